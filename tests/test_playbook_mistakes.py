"""Every kind of mistake in a playbook: all of them told at once, each at its place with its code."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import PlaybookError
from cashwrap.playbook import Fault, check, examine, load_playbook, read_files
from cashwrap.playbook.places import Places
from cashwrap.playbook.starter import starter_files

BROKEN = Path(__file__).parent / "broken_playbooks"
MARK = re.compile(r"^#! (\d+:\d+ \w+)$", re.MULTILINE)
"""What a broken file expects of itself, at its end."""


def told(faults: tuple[Fault, ...]) -> list[str]:
    return [f"{fault.line}:{fault.column} {fault.code}" for fault in faults]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mistake_is_told_at_once(path: Path) -> None:
    text = path.read_text()
    playbook, faults = examine({path.name: text})
    assert playbook is None
    assert told(faults) == MARK.findall(text)
    assert len(faults) > 0


def test_the_file_of_each_fault_is_named() -> None:
    files = {"a.yaml": "segments:\n  x: y > 1\n", "b.yaml": "segments:\n  x: z > 1\nplacements: []\n"}
    _, faults = examine(files)
    assert [str(fault).split(" ")[0:2] for fault in faults] == [
        ["a.yaml:2:6", "unknown_attribute"],
        ["b.yaml:2:3", "duplicate_key"],
        ["b.yaml:3:13", "wrong_type"],
    ]


def test_a_file_that_is_no_yaml_holds_nothing_against_the_others() -> None:
    files = {"a.yaml": "features: {orders: [\n", "b.yaml": "segments:\n  x: orders > 1\nplacementz: {}\n"}
    _, faults = examine(files)
    assert [(fault.file, fault.code) for fault in faults] == [("a.yaml", "yaml_syntax"), ("b.yaml", "unknown_key")]


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError) as raised:
        load_playbook(tmp_path)
    assert raised.value.faults == (".:1:1 no_files there is no .yaml file here; 'cashwrap init' writes a starter",)


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="nowhere"):
        load_playbook(tmp_path / "nowhere")


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_bytes(b"shop: {locale: \xff}")
    with pytest.raises(PlaybookError, match="UTF-8"):
        load_playbook(tmp_path)


def test_the_error_holds_all_faults_and_no_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("segments:\n  x: y > 1\n  z: y > 1 && sessions > 1\n")
    with pytest.raises(PlaybookError) as raised:
        load_playbook(tmp_path)
    assert [fault.split(" ")[0] for fault in raised.value.faults] == ["a.yaml:2:6", "a.yaml:3:6"]
    assert "2 mistakes" in raised.value.message


def test_warnings_do_not_stop_a_playbook() -> None:
    text = "features:\n  orders: {count: Order Completed}\nsegments:\n  back: sessions > 1\n"
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None
    assert told(faults) == ["2:3 unused_feature", "4:3 unused_segment"]
    assert {fault.severity for fault in faults} == {"warning"}
    assert playbook.warnings == faults


def test_a_flood_of_mistakes_is_bounded() -> None:
    text = "segments:\n" + "".join(f"  s{number}: nothing{number} > 1\n" for number in range(3000))
    _, faults = examine({"a.yaml": text})
    assert len(faults) == 1000


def test_hidden_files_and_other_files_are_not_read(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", ".c.yaml", "d.yaml~", "e.txt"):
        (tmp_path / name).write_text("{}\n")
    assert set(read_files(tmp_path)) == {"a.yaml", "b.yml"}


def test_every_code_is_in_the_reference() -> None:
    """Read from the source: whatever is handed to ``fail``, ``error`` or ``warn`` as a code."""
    root = Path(__file__).parents[1]
    folder = root / "src" / "cashwrap"
    sources = [*(folder / "playbook").glob("*.py"), folder / "expectations.py", folder / "publishing.py"]
    call = re.compile(
        r"""(?:fail|error|warn|_complain)\(\s*(?:[\w.\[\]"()*, ]+?), "([a-z]+_[a-z_]+|empty|repeated)","""
    )
    codes = {code for path in sources for code in call.findall(path.read_text())}
    assert len(codes) > 30
    text = (root / "docs" / "reference" / "playbook.md").read_text()
    assert sorted(code for code in codes if f"`{code}`" not in text) == []


# --- one mistake anywhere in the starter is found ---

WORDS = re.compile(r"(?<=[\s\"(])[a-z_]{4,}(?:\.[a-z_]+)?(?= *(?:==|>=|<=|[<>&|]))")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_misspelled_name_in_the_starter_is_found_where_it_is(data: st.DataObject) -> None:
    files = {name: text for name, text in starter_files().items() if "/" not in name}
    name = data.draw(st.sampled_from(["shoppers.yaml", "experiences.yaml"]))
    match = data.draw(st.sampled_from([found for found in WORDS.finditer(files[name]) if found.group() != "when"]))
    text = files[name]
    files[name] = f"{text[: match.start()]}q{match.group()}{text[match.end() :]}"
    playbook, faults = examine(files)
    assert playbook is None
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - text.rfind("\n", 0, match.start())
    assert (name, line, column, "unknown_attribute") in {
        (fault.file, fault.line, fault.column, fault.code) for fault in faults
    }


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_the_starter_crashes_the_checker(data: st.DataObject) -> None:
    """Cut, repeat or replace any stretch of any file: the answer is a playbook or faults, never an exception."""
    files = {name: text for name, text in starter_files().items() if "/" not in name}
    name = data.draw(st.sampled_from(sorted(files)))
    text = files[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 60)))
    put = data.draw(
        st.sampled_from(["", ":", "[", "}", "- ", "\n", "'", '"', "null", "12", "{a: 1}", text[start:end] * 2])
    )
    files[name] = text[:start] + put + text[end:]
    playbook, faults = examine(files)
    errors = [fault for fault in faults if fault.severity == "error"]
    assert (playbook is None) == bool(errors)
    lines = {file: text.count("\n") + 1 for file, text in files.items()}
    assert all(1 <= fault.line <= lines.get(fault.file, 1) + 1 and fault.column >= 1 for fault in faults)


# --- planted bugs ---


def test_planted_a_checker_that_stops_at_the_first_mistake_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Places.condition
    calls: list[object] = []

    def once(self: Places, *args: object) -> None:
        if not calls:
            original(self, *args)  # type: ignore[arg-type]
        calls.append(args)

    monkeypatch.setattr(Places, "condition", once)
    path = BROKEN / "conditions.yaml"
    _, faults = examine({path.name: path.read_text()})
    assert told(faults) != MARK.findall(path.read_text())


def test_planted_a_checker_blind_to_purposes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check._Checker, "purposes", lambda *_: None)
    path = BROKEN / "contents.yaml"
    _, faults = examine({path.name: path.read_text()})
    assert told(faults) != MARK.findall(path.read_text())


def test_planted_a_checker_blind_to_what_metrics_are_of_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "check_metrics", lambda *_: None)
    path = BROKEN / "metrics.yaml"
    _, faults = examine({path.name: path.read_text()})
    assert told(faults) != MARK.findall(path.read_text())


def test_a_condition_with_too_many_alternatives_is_told_and_still_judged() -> None:
    any_of_many = " && ".join(f"(cart.count == {number} || sessions > {number})" for number in range(7))
    text = (
        "placements:\n  spot: {component: message}\nexperiences:\n  wide:\n    in: spot\n"
        f"    when: '{any_of_many}'\n    show: {{text: {{en: Hello}}}}\n"
    )
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is not None
    assert [(fault.code, fault.line, fault.severity) for fault in faults] == [("many_alternatives", 6, "warning")]
    assert playbook.warnings == faults
