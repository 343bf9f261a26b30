"""The documentation does what it says: its commands run, its links lead somewhere, its tables come from the code."""

import importlib.metadata
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from spec.generate import outputs
from spec.reference import commands, example

from cashwrap.declarations import Settings
from cashwrap.serve.openapi import document
from house.test_imports import LAYERS, modules, room
from page_walk import Walk, fits, steps

ROOT = Path(__file__).parents[1]
WALKED = (
    "README.md",
    "docs/tutorial.md",
    "docs/howto/answer-a-privacy-request.md",
    "docs/howto/answer-why.md",
    "docs/howto/back-up.md",
    "docs/howto/change-a-playbook.md",
    "docs/howto/connect-a-crm.md",
    "docs/howto/decide-in-the-browser.md",
    "docs/howto/embed-in-python.md",
    "docs/howto/identify-shoppers.md",
    "docs/howto/mend-failed-events.md",
    "docs/howto/run-an-experiment.md",
    "docs/howto/run-it.md",
    "docs/howto/run-offers.md",
    "docs/howto/simulate-a-shop.md",
    "docs/howto/use-as-a-library.md",
    "docs/howto/use-openfeature.md",
)
README_LINES = 150
"""Three screens."""


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def walk(page: str, folder: Path) -> None:
    with Walk(folder, free_port()) as reader:
        for step in steps(page):
            reader.take(step)


@pytest.mark.parametrize("name", WALKED)
def test_the_commands_of_a_page_do_what_it_says(name: str, tmp_path: Path) -> None:
    page = (ROOT / name).read_text()
    promised = [step for step in steps(page) if step.expected is not None]
    assert len(promised) >= 1, "a page that is walked shows what its commands print"
    walk(page, tmp_path)


def dead_links(page: str, folder: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL))
    return [link for link in links if "://" not in link and not (folder / link).exists()]


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert dead_links(path.read_text(), path.parent) == []


def test_readme_fits_three_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_changelog_begins_with_the_version_there_is() -> None:
    newest = re.findall(r"^## (\S+?),", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest == importlib.metadata.version("cashwrap")


# --- made from the code ---


@pytest.mark.parametrize("name", sorted(outputs()))
def test_what_is_made_from_the_code_is_current(name: str) -> None:
    assert (ROOT / name).read_bytes() == outputs()[name], "run: make schemas"


@pytest.mark.parametrize(("name", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_every_command_has_an_example_that_names_it_and_options_it_has(name: str, command: object) -> None:
    assert wrong_example(name, command) == []


def wrong_example(name: str, command: object) -> list[str]:
    """What an example of a command's help says that is not so."""
    words = shlex.split(example(command))
    if words[: len(name.split())] != name.split():
        return [f"no example of {name}"]
    known = {option for each in command.params for option in each.opts}  # type: ignore[attr-defined]
    return [word for word in words if word.startswith("--") and word not in known]


def test_the_settings_page_has_every_setting() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    assert [name for name in Settings.__struct_fields__ if f"| `{name}` |" not in page] == []


def undocumented_routes(decision: str) -> list[str]:
    """Routes of the OpenAPI document that the table of decision 2 lacks; a brace expands, an address has its path."""
    table = " ".join(re.findall(r"^\| (.*?) \|", decision, re.MULTILINE))
    table = re.sub(r"/v1/\{([a-z,]+)\}", lambda found: " ".join(f"/v1/{word}" for word in found[1].split(",")), table)
    paths = document("0")["paths"]
    assert isinstance(paths, dict)
    return [path for path in paths if not re.search(rf"{re.escape(path)}(?![\w/])", table)]


def test_the_decision_about_http_has_every_route() -> None:
    assert undocumented_routes((ROOT / "docs/decisions/0002-http-api.md").read_text()) == []


# --- ARCHITECTURE.md ---


def drawn_layers(page: str) -> list[set[str]]:
    """The rooms of the diagram, line by line: names, then at least two spaces, then what they are."""
    diagram = page.split("## Rooms", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]
    return [set(re.split(r"\s{2,}", line)[0].split()) for line in diagram.splitlines()]


def existing_layers() -> list[set[str]]:
    """The layers that the import test holds, as far as their rooms exist."""
    rooms = {room(path) for path in modules()}
    return [there for names in LAYERS if (there := names & rooms)]


def missing_tests(page: str) -> list[str]:
    """Tests that a page names and that are not there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    return [f"{path}::{test}" for path, test in named if f"def {test}(" not in (ROOT / path).read_text()]


def missing_files(page: str) -> list[str]:
    """Files of ``src/cashwrap`` that a page names and that are not there."""
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", page)
    return [name for name in named if not (ROOT / "src/cashwrap" / name).exists() and not (ROOT / name).exists()]


def test_the_diagram_is_what_the_import_test_holds() -> None:
    assert drawn_layers((ROOT / "ARCHITECTURE.md").read_text()) == existing_layers()


def test_each_invariant_names_tests_that_exist_or_says_not_yet() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    rows = dict(re.findall(r"^\| (I\d+) \|.*\| (.*) \|$", page, re.MULTILINE))
    assert list(rows) == [f"I{number}" for number in range(1, 14)]
    assert [name for name, guard in rows.items() if "::" not in guard and not guard.startswith("not yet: ")] == []
    assert missing_tests(page) == []


def test_the_files_of_the_two_lives_exist() -> None:
    assert missing_files((ROOT / "ARCHITECTURE.md").read_text()) == []


class TestTheCheckerItself:
    """Planted bugs: each must be seen."""

    def test_sees_a_command_that_fails(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="failed with 1"):
            walk("```sh\nfalse\n```\n", tmp_path)

    def test_sees_an_output_that_differs(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="and not: two"):
            walk("```sh\necho one\n```\n\n```text\ntwo\n```\n", tmp_path)

    def test_sees_a_server_that_ends(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="the server ended"):
            walk("```sh server\necho no\n```\n", tmp_path)

    def test_sees_a_dead_link(self, tmp_path: Path) -> None:
        assert dead_links("[a](gone.md) [b](https://example.org)", tmp_path) == ["gone.md"]

    def test_keeps_variables_from_one_block_to_the_next(self, tmp_path: Path) -> None:
        walk("```sh\nNAME=ada\n```\n\n```sh\necho $NAME\n```\n\n```text\nada\n```\n", tmp_path)

    def test_dots_stand_for_anything_and_nothing_else_does(self) -> None:
        assert fits('{"a":1,"text":"x"}', '... "text":"x" ...')
        assert not fits('{"text":"y"}', '... "text":"x" ...')
        assert not fits("one three two", "one two")

    def test_sees_a_room_that_moved(self) -> None:
        page = (ROOT / "ARCHITECTURE.md").read_text().replace("\nwriter lookup ", "\nwriter ", 1)
        assert drawn_layers(page) != existing_layers()

    def test_sees_a_test_and_a_file_that_are_gone(self) -> None:
        assert missing_tests("`tests/test_docs.py::test_gone`") == ["tests/test_docs.py::test_gone"]
        assert missing_files("`serve/gone.py`") == ["serve/gone.py"]

    def test_sees_a_command_without_an_example_and_one_with_a_wrong_option(self) -> None:
        class Command:
            help = "Do.\n\nExample: `cashwrap do --quickly`"
            params = ()

        assert wrong_example("cashwrap undo", Command()) == ["no example of cashwrap undo"]
        assert wrong_example("cashwrap do", Command()) == ["--quickly"]

    def test_sees_a_route_that_nobody_wrote_down(self) -> None:
        decision = (ROOT / "docs/decisions/0002-http-api.md").read_text().replace("/v1/kill", "/v1/off")
        assert undocumented_routes(decision) == ["/v1/kill"]
