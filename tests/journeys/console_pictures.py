"""Take pictures of every page of the console from a demo with traffic: `python -m tests.journeys.console_pictures DIR`.

Starts a demo with a past and simulated shoppers, waits until there is something to see, and takes each page on a desk
and on a phone, light and dark, into DIR; axe looks at each of them as well. `--at URL --password WORDS` takes them from
a demo that runs already. Look at each before you keep it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "shop"), str(ROOT / "tests/journeys"), str(ROOT / "tests")]

from console_walk import Found, barriers, shown_in, too_wide, walk  # noqa: E402 - beside this file
from demo import Demo  # noqa: E402 - the demo's own modules live beside the shop
from programs import Child  # noqa: E402
from smoke import JONAS  # noqa: E402

from conftest import CHROMIUM_ARGS, DESKTOP  # noqa: E402

LOOKS = [
    ("desk-light", False, False),
    ("desk-dark", True, False),
    ("phone-light", False, True),
    ("phone-dark", True, True),
]
SHOPPERS, RATE = 300.0, 8.0
"""Seconds of traffic before the first picture, and simulated shoppers a second."""
COUNTED = 30_000
DRAWN = 400
"""Milliseconds until a job has ended, and until a plot has taken a new width."""


def sign_in(page: Page, base: str, name: str, password: str) -> None:
    page.goto(f"{base}/console/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click("button.primary")
    page.wait_for_url("**/now")


def shopper(page: Page, base: str) -> str:
    """The address of the demo's regular, who has to be searched."""
    page.goto(f"{base}/console/default/live/shopper")
    page.fill("[name=who]", JONAS)
    page.click("main button:has-text('Find')")
    page.wait_for_url("**/shopper/*")
    return page.url


def draft(page: Page, base: str) -> str:
    """The address of a draft."""
    page.goto(f"{base}/console/default/live/drafts")
    page.fill("#f-title", "A word for the evening")
    page.click("button:has-text('Make the draft')")
    page.wait_for_url("**/drafts/*")
    return page.url.partition("?")[0]


def take(page: Page, found: Found, folder: Path) -> list[str]:
    """The page in each look; what is wrong with it."""
    wrong = list[str]()
    with suppress(Error):  # what is counted beside the page: taken as it is, where that takes too long
        page.wait_for_function("!document.querySelector('progress, [hx-trigger*=\"load delay\"]')", timeout=COUNTED)
    for look, dark, phone in LOOKS:
        shown_in(page, dark=dark, phone=phone)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(DRAWN)
        (folder / look).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / look / f"{found.name}.png", full_page=True)
        wrong += [f"{found.name} ({look}): {each}" for each in barriers(page)]
        if too_wide(page):
            wrong.append(f"{found.name} ({look}): wider than the screen")
    shown_in(page, dark=False, phone=False)
    return wrong


def everything(browser: Browser, base: str, password: str, folder: Path) -> list[str]:
    """Every page as the owner sees it, and how one signs in."""
    context = browser.new_context(
        user_agent=DESKTOP, locale="en", viewport={"width": 1280, "height": 860}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{base}/console/login")
    wrong = take(page, Found("/console/login", page.url), folder)
    sign_in(page, base, "olga", password)
    for found in walk(page, base, first=(shopper(page, base), draft(page, base))):
        print(f"{found.name:40} {found.address.removeprefix(base)}", flush=True)  # noqa: T201 - a command speaks
        wrong += take(page, found, folder)
    context.close()
    return wrong


@contextmanager
def demo() -> Iterator[Demo]:
    """One with a past, and traffic that has been coming for a while."""
    with tempfile.TemporaryDirectory() as folder:
        one = Demo(Path(folder), 0, 0, past=True)
        try:
            one.start()
            one.traffic(RATE, 7)
            time.sleep(SHOPPERS)
            yield one
        finally:
            Child.stop_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at", metavar="URL", help="a running demo's engine")
    parser.add_argument("--password", help="of its people")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("pictures need Debian's chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS, env={**os.environ})
        if given.at:
            wrong = everything(browser, given.at, given.password, given.folder)
        else:
            with demo() as running:
                wrong = everything(browser, running.engine, running.password, given.folder)
        browser.close()
    print("\n".join(wrong) or "axe finds nothing serious")  # noqa: T201
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
