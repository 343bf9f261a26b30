"""The browser SDK's own checks, run from here so that one command runs everything.

Its logic is tested by node's test runner (``sdk/test``), its types by ``tsc``; the file that shops load must be
what the sources build to, byte for byte, and small. What needs a browser is in ``journeys/test_sdk_browser.py``.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SDK = Path(__file__).parents[1] / "sdk"
LIB = SDK / "lib"
MINIFIED = LIB / "cashwrap.min.js"
LARGEST = 6 * 1024

TOOLS = {"tsc": SDK / "node_modules/.bin/tsc", "esbuild": SDK / "node_modules/.bin/esbuild"}


def node(*arguments: str) -> str:
    """Run node in ``sdk/`` and return what it prints; its failure is the test's."""
    done = subprocess.run(["node", *arguments], cwd=SDK, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Skip with a line that says why; in CI a skip is a failure."""
    missing = [name for name, path in TOOLS.items() if not path.exists()]
    if shutil.which("node") is None:
        missing.insert(0, "node")
    if missing:
        reason = f"the SDK's tests need {', '.join(missing)}: install node 20 and run `npm ci` in sdk/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def test_logic() -> None:
    printed = node("--test", *sorted(str(path) for path in (SDK / "test").glob("*.test.js")))
    assert int(re.findall(r"# pass (\d+)", printed)[0]) > 50
    assert re.findall(r"# (?:fail|cancelled|skipped|todo) (\d+)", printed) == ["0"] * 4


def types(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", str(TOOLS["tsc"]), "-p", str(folder / "jsconfig.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_types() -> None:
    checked = types(SDK)
    assert checked.returncode == 0, checked.stdout


def test_types_notice_a_mistake(tmp_path: Path) -> None:
    shutil.copy(SDK / "jsconfig.json", tmp_path)
    shutil.copytree(LIB, tmp_path / "lib")
    (tmp_path / "lib" / "wrong.js").write_text('import { push } from "./queue.js";\npush(7);\n')
    assert "wrong.js(2,6): error TS2345" in types(tmp_path).stdout


def test_minified_is_what_the_sources_build_to(tmp_path: Path) -> None:
    node("build.js", "--out", str(tmp_path))
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in (MINIFIED, LIB / "integrity.json")}, (
        "run `npm run build` in sdk/ and commit what it writes"
    )


def test_integrity_is_that_of_what_a_page_loads() -> None:
    """The minified file, and the parts that it loads from beside it."""
    parts = set(re.findall(r'import\("\./(\w+\.js)"\)', MINIFIED.read_text()))
    assert parts == {"offer.js", "preview.js", "products.js", "signals.js"}
    digests = {
        name: "sha384-" + base64.b64encode(hashlib.sha384((LIB / name).read_bytes()).digest()).decode()
        for name in (MINIFIED.name, *sorted(parts))
    }
    assert json.loads((LIB / "integrity.json").read_text()) == digests


def test_a_part_that_is_loaded_on_demand_needs_no_other() -> None:
    """It would come with a second copy of what the minified file has inside."""
    for name in ("offer.js", "preview.js", "products.js", "signals.js"):
        assert not re.search(r"^import |\bimport\((?!\")", (LIB / name).read_text(), re.MULTILINE), name


def test_minified_is_small() -> None:
    assert len(gzip.compress(MINIFIED.read_bytes(), compresslevel=9, mtime=0)) <= LARGEST


def test_nothing_is_needed_to_use_it() -> None:
    package = json.loads((SDK / "package.json").read_text())
    assert "dependencies" not in package
    for path in LIB.glob("*.js"):
        for module in re.findall(r"""(?:from|import)\s*\(?\s*["']([^"']+)["']""", path.read_text()):
            assert module.startswith("./"), f"{path.name} imports {module}"


def test_versions_agree() -> None:
    package = json.loads((SDK / "package.json").read_text())["version"]
    project = re.search(r'^version = "(.+)"', (SDK.parent / "pyproject.toml").read_text(), re.MULTILINE)
    source = re.search(r'VERSION = "(.+)"', (LIB / "track.js").read_text())
    assert project is not None
    assert source is not None
    assert {package, project[1], source[1]} == {package}


def test_tools_are_pinned_without_addresses() -> None:
    tools = json.loads((SDK / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in tools.values())
    lock = (SDK / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "http" not in re.sub(r'"funding": \{[^}]*\}', "", lock)


FORBIDDEN = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    r"|localStorage|sessionStorage|indexedDB|console\."
)


def test_sources_use_nothing_that_parses_markup_stores_or_logs() -> None:
    for path in LIB.glob("*.js"):
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(FORBIDDEN, code), path.name


def test_the_search_for_what_is_forbidden_finds_it() -> None:
    for line in ("place.innerHTML = text;", "eval(text)", 'localStorage.setItem("a", "b")', "console.log(1)"):
        assert re.search(FORBIDDEN, line)
