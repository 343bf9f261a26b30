"""The console's own files: small, typed, from nowhere else, and never stale."""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.console.conftest import Site

from cashwrap.console.assets import version

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "src/cashwrap/console"
STATIC = CONSOLE / "static"
TSC = ROOT / "sdk/node_modules/.bin/tsc"
OURS = sorted(path for path in STATIC.iterdir() if path.suffix in {".js", ".css", ".svg"} and ".min." not in path.name)
LARGEST = 64 * 1024
"""Bytes of everything a page loads, compressed: one look at a photo."""
ELSEWHERE = re.compile(r"""(?:src|href|url\(|import|fetch\()\s*[=(]?\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def checker() -> None:
    if not TSC.exists() or shutil.which("node") is None:
        reason = "checking the console's scripts needs node and `npm ci` in sdk/"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def types(config: Path) -> subprocess.CompletedProcess[str]:
    command = ["node", str(TSC), "-p", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_scripts_are_typed(checker: None) -> None:
    checked = types(ROOT / "tests/console/jsconfig.json")
    assert checked.returncode == 0, checked.stdout


def test_types_notice_a_mistake(checker: None, tmp_path: Path) -> None:
    config = (ROOT / "tests/console/jsconfig.json").read_text()
    (tmp_path / "wrong.js").write_text("window.cashwrapPlots.append(7, {});\n")
    shutil.copy(ROOT / "tests/console/globals.d.ts", tmp_path)
    (tmp_path / "jsconfig.json").write_text(config.replace("../../src/cashwrap/console/static/*.js", "*.js"))
    assert "wrong.js(1,29): error TS2345" in types(tmp_path / "jsconfig.json").stdout


def test_pages_ask_nobody_else() -> None:
    """And hold no script, style or handler of their own: the policy would stop them."""
    for path in [*OURS, *sorted((CONSOLE / "templates").glob("*.html"))]:
        text = path.read_text()
        assert not ELSEWHERE.search(text), path.name
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|\|\s*safe\b|hx-on", text), path.name
        if path.suffix == ".js":
            assert not re.search(r"\beval\(|innerHTML|outerHTML\s*=|document\.write|new Function|\balert\(", text), (
                path.name
            )


def test_what_the_rules_look_for_is_found() -> None:
    assert ELSEWHERE.search('<img src="https://cdn.example/x.png">')
    assert ELSEWHERE.search("@import '//fonts.example/a.css'")


def test_a_page_is_light() -> None:
    loaded = [*(path for path in OURS), *STATIC.glob("*.min.*")]
    assert sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in loaded) <= LARGEST


def test_licences_of_what_others_wrote_stand_beside_it() -> None:
    for path in STATIC.glob("*.min.js"):
        assert (STATIC / f"{path.name.partition('-')[0]}-LICENSE.txt").exists(), path.name


def test_they_are_kept_by_browsers_under_a_name_that_changes_with_them(site: Site) -> None:
    client = site.client()
    answer = client.get(f"/console/static/{version()}/console.css")
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    for path in OURS:
        assert client.get(f"/console/static/{version()}/{path.name}").status_code == 200
    for name in ("nothing.js", "..%2fapp.py", "__init__.py"):
        assert client.get(f"/console/static/{version()}/{name}").status_code == 404


def test_icons_that_pages_use_are_there() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
    used = set[str]()
    for path in (CONSOLE / "templates").glob("*.html"):
        used |= set(re.findall(r'icon\("([\w-]+)"\)', path.read_text()))
    used |= set(re.findall(r'\("/(\w+)", _\(', (CONSOLE / "templates/parts.html").read_text()))
    assert used <= drawn
