"""YAML as the playbook reads it: narrow types, exact places, and a complaint for everything refused."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.playbook import document as module
from cashwrap.playbook.document import Document, Node, locate, read_document, resolve
from cashwrap.playbook.faults import Faults


def read(text: str) -> tuple[Document, list[str]]:
    faults = Faults()
    document = read_document("a.yaml", text, faults)
    return document, [f"{fault.line}:{fault.column} {fault.code}" for fault in faults.sorted()]


def plain(node: Node | None) -> object:
    if node is None:
        return None
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    return [plain(value) for value in node.value] if isinstance(node.value, list) else node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0.50", Decimal("0.50")),
        ("1.", "1."),
        (".5", ".5"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-03-02", "2026-03-02"),
        ("9" * 31, "9" * 31),
        ("=", "="),
        ("٣", "٣"),
    ],
)
def test_types_are_yaml_1_2_read_narrowly(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_a_quoted_scalar_is_text() -> None:
    document, faults = read("a: '1'\nb: \"true\"\nc: |\n  12\nd: 0.50\n")
    assert plain(document.root) == {"a": "1", "b": "true", "c": "12\n", "d": Decimal("0.50")}
    assert faults == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a: &x 1\nb: *x\n", ["1:4 yaml_anchor", "2:4 yaml_alias"]),
        ("a: !returning\n", ["1:4 yaml_tag"]),
        ("a: !!str 1\n", ["1:4 yaml_tag"]),
        ("a: !<tag:x> {}\n", ["1:4 yaml_tag"]),
        ("a: ! 1\n", ["1:4 yaml_tag"]),
        ("a: 1\nb: 2\na: 3\n", ["3:1 duplicate_key"]),
        ("<<: {a: 1}\n", ["1:1 yaml_merge_key"]),
        ("? [a]\n: 1\n", ["1:3 yaml_key"]),
        ("a: 1\n---\nb: 2\n", ["2:1 yaml_documents"]),
        ("a: [1, 2\n", ["2:1 yaml_syntax"]),
        ("a:\n\tb: 1\n", ["2:1 yaml_syntax"]),
        ("a: \x00\n", ["1:1 yaml_syntax"]),
        ("a: 1\nb: \ud800\n", ["2:1 yaml_syntax"]),
        ("[" * 17 + "]" * 17, ["1:17 yaml_depth"]),
        ("{a: " * 17 + "}" * 17, ["1:65 yaml_depth"]),
    ],
)
def test_refusals_name_their_place(text: str, faults: list[str]) -> None:
    assert read(text)[1] == faults


@pytest.mark.parametrize(
    "line",
    [
        '  when: "vip" in segments && cart.total > 5',
        '  when: x == "a: b"',
        "  when: && x",
        "  when: %x",
        "  when: @x",
        "  when: `x`",
    ],
)
def test_a_condition_that_yaml_cuts_gets_a_hint(line: str) -> None:
    faults = Faults()
    read_document("a.yaml", f"a:\n{line}\n", faults)
    (fault,) = faults.sorted()
    assert fault.line == 2
    assert "single quotes" in fault.message


def test_other_mistakes_get_no_such_hint() -> None:
    faults = Faults()
    read_document("a.yaml", "a: 'x\n", faults)
    assert "single quotes" not in faults.sorted()[0].message


def test_an_empty_file_is_empty() -> None:
    document, faults = read("# nothing yet\n")
    assert document.root is not None
    assert plain(document.root) is None
    assert faults == []


def test_a_byte_order_mark_and_windows_lines_are_fine() -> None:
    document, faults = read("\ufeffa: 1\r\nb: 2\r\n")
    assert plain(document.root) == {"a": 1, "b": 2}
    assert faults == []


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 4)
    assert read("a: 1\nb: 2\nc: 3\n")[1] == ["2:1 file_too_big"]
    monkeypatch.setattr(module, "MAX_BYTES", 4)
    assert read("a: 1\nb: 2\n")[1] == ["1:1 file_too_big"]


# --- places inside a scalar ---


def scalar(text: str) -> tuple[Document, Node]:
    document, faults = read(text)
    assert faults == []
    assert document.root is not None
    assert isinstance(document.root.value, dict)
    return document, document.root.value["a"]


@pytest.mark.parametrize(
    ("text", "word", "place"),
    [
        ("a: one two\n", "two", (1, 8)),
        ("a: 'one two'\n", "two", (1, 9)),
        ("a: 'it''s two'\n", "two", (1, 11)),
        ('a: "one\\ttwo"\n', "two", (1, 10)),
        ('a: "\\u00e9\\x41\\U0001F600two"\n', "two", (1, 25)),
        ("a: one\n  two\n", "two", (2, 3)),
        ("a: 'one\n\n  two'\n", "two", (3, 3)),
        ("a: |\n  one\n  two\n", "two", (3, 3)),
        ("a: >-\n  one\n  and two\n", "two", (3, 7)),
        ("b: {a: one two}\n".replace("b: {a: one two}", "a: one two # no"), "two", (1, 8)),
        ("a: é two\n", "two", (1, 6)),
    ],
)
def test_an_offset_is_found_through_quotes_escapes_and_folds(text: str, word: str, place: tuple[int, int]) -> None:
    document, node = scalar(text)
    spot = locate(document, node, node.text.index(word))
    assert (spot.line, spot.column) == place


WORDS = st.lists(st.text(st.sampled_from("abc'\"\\é &|=>"), min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.sampled_from(["'", '"', "plain"]))
def test_every_offset_points_at_its_own_character(words: list[str], style: str) -> None:
    """Oracle: what stands in the file at the place found is the character asked for, escapes apart."""
    value = "x" + "".join(words).strip() + "x"
    if style == "plain" and any(mark in value for mark in (": ", " #")):
        return
    written = {
        "'": "'" + value.replace("'", "''") + "'",
        '"': '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"',
        "plain": value,
    }[style]
    document, node = scalar(f"a: {written}\n")
    assert node.text == value
    line = document.text.split("\n")[0]
    for offset, char in enumerate(value):
        spot = locate(document, node, offset)
        assert spot.line == 1
        found = line[spot.column - 1 :]
        assert found[0] == char or (found[0] == "\\" and found[1] == char)


# --- fuzz ---

SNIPPETS = st.sampled_from(
    [
        *"a -'\"{}[],#|>\n\t\r\\é%@=\x85\u2028\x07�",
        "b:",
        "  ",
        "- ",
        ": ",
        "? ",
        "&x",
        "*x",
        "!t",
        "---\n",
        "...\n",
        "<<",
        "true",
        "1.5",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(SNIPPETS, max_size=40).map("".join))
def test_no_text_crashes_the_reader(text: str) -> None:
    document, faults = read(text)
    assert document.root is not None or faults
    assert all(int(fault.split(":")[0]) >= 1 for fault in faults)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_unicode_crashes_the_reader(text: str) -> None:
    read(text)


BREAKS = "\x85\u2028\u2029\r"  # the C parser follows YAML 1.1 here and folds them like line ends
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(codec="utf-8", exclude_characters=BREAKS), max_size=20)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", min_size=1, max_size=4), inner),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_what_a_good_writer_writes_is_read_back(tree: object) -> None:
    text = yaml.safe_dump({"tree": tree}, allow_unicode=True, default_flow_style=None)
    document, faults = read(text)
    assert faults == [] or "yaml_depth" in faults[0]
    if not faults:
        assert plain(document.root) == {"tree": tree}


def test_planted_a_reader_that_shrugs_at_duplicates_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = module._Builder._take_key

    def shrug(self: object, frame: module._Frame, key: Node) -> None:
        original(self, frame, key)  # type: ignore[arg-type]
        frame.skip = False

    monkeypatch.setattr(module._Builder, "_take_key", shrug)
    document, _ = read("a: 1\na: 2\n")
    assert plain(document.root) == {"a": 2}  # without the plant it stays 1
    monkeypatch.undo()
    assert plain(read("a: 1\na: 2\n")[0].root) == {"a": 1}
