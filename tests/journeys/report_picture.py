"""Take the picture of a report for the documentation: `python -m tests.journeys.report_picture`.

Writes `docs/images/report.png`, the top of a page in a browser. Look at it before you commit it.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/journeys"), str(ROOT / "tests")]

import reports  # noqa: E402 - tests' own modules
from cashwrap.analysis.render.page import render_page  # noqa: E402
from conftest import CHROMIUM_ARGS  # noqa: E402

LARGEST = 300_000


def main() -> None:
    """Keep the picture. Fails when it is too heavy for a page."""
    path = ROOT / "docs" / "images" / "report.png"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_content(render_page(reports.win()))
        bottom = page.get_by_role("heading", name="Guardrails").bounding_box()
        height = int(bottom["y"]) if bottom is not None else 1000
        page.set_viewport_size({"width": 1280, "height": height})
        taken = Image.open(BytesIO(page.screenshot()))
        browser.close()
    taken.convert("RGB").quantize(96).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size // 1000} KB")  # noqa: T201 - a command speaks
    if size > LARGEST:
        sys.exit(f"it is larger than {LARGEST // 1000} KB")


if __name__ == "__main__":
    main()
