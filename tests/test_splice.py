"""A playbook's text changed entry by entry: it says what was asked for, and every other byte is as it was."""

from collections.abc import Callable
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.editing import opened, splice
from cashwrap.editing.writing import Plain, entry_of, is_plain, scalar
from cashwrap.errors import InvalidInput
from cashwrap.expectations import plain
from cashwrap.playbook.document import read_document
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.starter import starter_files
from cashwrap.publishing import examine_files

HARD = [
    "no", "Yes", "on", "null", "~", "true", "2026-12-01", "2026-12-01T08:00", "12:30:45", "0x1F", "1_000", "1e3", ".5",
    "-", "- a", "a: b", "a #b", "#a", "a:", ": a", "*a", "&a", "!a", "%a", "@a", "`a`", "|", ">", "? a", "[a]", "{a}",
    "it's", '"quoted"', "'", '"', "\\", "a\nb", "a\n\nb ", " lead", "trail ", "\t", "", "<<", "=", "\u202egnp.exe",
    "\u2028", "\x85", "\ufeff", "\x00", "ümläut", "日本", "🙂", "<script>alert(1)</script>", "a" * 200, "---", "...",
    '"high_value" in segments && cart.total >= 50', 'device.type == "mobile"', "spent > 500", "50%", "48h", "EUR",
]  # fmt: skip
WORDS = st.sampled_from(
    ["a", "b", "when", "show", "text", "en", "de", "in", "Order Completed", "x.y", "k-1", "no", "1"]
)
SCALARS: st.SearchStrategy[Plain] = st.one_of(
    st.sampled_from(HARD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-(10**12), 10**12),
    st.booleans(),
    st.decimals(-10_000, 10_000, places=2),
)
VALUES: st.SearchStrategy[Plain] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(WORDS, inner, min_size=1, max_size=4)
    ),
    max_leaves=8,
)
NAMES = ["one", "two", "three", "Order Seen", "no"]


def value_of(text: str) -> Plain:
    faults = Faults()
    document = read_document("x.yaml", text, faults)
    assert document.root is not None
    assert not len(faults), (text, faults.sorted())
    return plain(document.root)  # type: ignore[return-value]


@pytest.mark.parametrize("text", HARD)
def test_a_text_is_read_as_itself_by_everyone(text: str) -> None:
    for said in (scalar(text), scalar(text, flow=True), scalar(text, like='"'), scalar(text, like="'")):
        assert value_of(f"a: {said}") == {"a": text}
        assert yaml.safe_load(f"a: {said}") == {"a": text}
    assert value_of(f"a: [{scalar(text, flow=True)}, x]") == {"a": [text, "x"]}


@given(VALUES)
@settings(max_examples=60)
def test_what_is_written_is_read_as_it_was(value: Plain) -> None:
    assert splice.same(value_of(entry_of("name", value, 0)), {"name": value})


def test_what_is_easily_taken_for_something_else_is_quoted() -> None:
    assert [text for text in ("no", "2026-12-01", "12:30", "1e3", "~", "a: b", "a #b") if is_plain(text)] == []
    assert [text for text in ("50%", "48h", "spent > 500", "Order Completed", "it") if not is_plain(text)] == []


# --- a text in any style ---


@st.composite
def sections(draw: st.DrawFn) -> tuple[str, dict[str, Plain], list[str]]:
    """A file as people write them: its text, what its section says, and comments that belong to nobody."""
    values = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=4))
    indent = draw(st.integers(1, 4))
    lines, comments = ["# above", "segments:"], ["# above"]
    for number, (name, value) in enumerate(values.items()):
        if draw(st.booleans()):
            lines.append("")
        if draw(st.booleans()):
            comments.append(f"# before {number}")
            lines.append(" " * draw(st.integers(0, 3)) + comments[-1])
        lines.append(entry_of(name, value, indent))
        if draw(st.booleans()):
            lines[-1] += "   # beside" if not lines[-1].endswith("\n") else ""
    comments.append("# below")
    text = "\n".join([*lines, "", "# below", "traits:", "  tier: string"]) + draw(st.sampled_from(["", "\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text, values, comments


def own(text: str, name: str) -> str:
    found = opened.Opened("x.yaml", text)
    return found.own(found.entries("segments")[name])


@given(sections(), st.sampled_from([*NAMES, "new"]), VALUES, st.sampled_from([None, "", *NAMES]))
@settings(max_examples=80)
def test_only_the_entry_changes(
    drawn: tuple[str, dict[str, Plain], list[str]], name: str, value: Plain, after: str | None
) -> None:
    text, values, comments = drawn
    if after == name or (after and after not in values):
        after = None
    before = {"x.yaml": text, "other.yaml": "offers: {}"}
    made = splice.put(before, "segments", name, value, after)
    assert made["other.yaml"] == before["other.yaml"]
    said = value_of(made["x.yaml"].removeprefix("\ufeff"))
    assert splice.same(said, {"segments": values | {name: value}, "traits": {"tier": "string"}})
    for other in set(values) - {name}:
        assert own(made["x.yaml"], other) == own(text, other)
    assert [comment for comment in comments if comment not in made["x.yaml"]] == []
    if after is not None:
        order = splice.names(made, "segments")
        assert order.index(name) == (order.index(after) + 1 if after else 0)
    if name in values and splice.same(values[name], value) and after is None:
        assert made == before


@given(sections(), st.data())
@settings(max_examples=40)
def test_removing_and_renaming_leave_the_rest(
    drawn: tuple[str, dict[str, Plain], list[str]], data: st.DataObject
) -> None:
    text, values, comments = drawn
    name = data.draw(st.sampled_from(sorted(values)))
    without = splice.remove({"x.yaml": text}, "segments", name)["x.yaml"]
    renamed = splice.rename({"x.yaml": text}, "segments", name, "other: name")["x.yaml"]
    for other in set(values) - {name}:
        assert own(without, other) == own(renamed, other) == own(text, other)
    assert splice.entry({"x.yaml": without}, "segments", name) is None
    assert splice.same(value_of(without.removeprefix("\ufeff")).get("segments", {}), {  # type: ignore[union-attr]
        key: value for key, value in values.items() if key != name
    })  # fmt: skip
    found = splice.entry({"x.yaml": renamed}, "segments", "other: name")
    assert found is not None
    assert splice.same(found.value, values[name])
    assert [comment for comment in comments if comment not in without or comment not in renamed] == []


def test_a_key_of_an_entry_changes_and_its_neighbours_stay() -> None:
    text = (
        "segments:\n"
        "  vip:   # who matters\n"
        "    description: 'Has spent'   # much\n"
        "    # the limit\n"
        "    when: spent > 500          # in euros\n"
        "  other: spent > 1\n"
    )
    made = splice.put({"s.yaml": text}, "segments", "vip", {"description": "Has spent", "when": "spent > 900"})
    assert made["s.yaml"] == text.replace("spent > 500", "spent > 900")
    made = splice.put(made, "segments", "vip", {"description": "Has spent", "when": "spent > 900", "size": 3})
    assert made["s.yaml"] == text.replace("spent > 500", "spent > 900").replace("euros\n", "euros\n    size: 3\n")
    assert splice.put(made, "segments", "vip", {"when": "spent > 900"})["s.yaml"] == (
        "segments:\n  vip:   # who matters\n    # the limit\n    when: spent > 900          # in euros\n"
        "  other: spent > 1\n"
    )


def test_braces_and_brackets_keep_what_stands_in_them() -> None:
    text = 'placements:\n  hero:  {component: message, text: {en: "A", de: "B"}}   # first\n'
    value: Plain = {"component": "message", "text": {"en": "A", "de": "C"}, "purpose": "credit"}
    made = splice.put({"p.yaml": text}, "placements", "hero", value)["p.yaml"]
    assert made == 'placements:\n  hero:  {component: message, text: {en: "A", de: "C"}, purpose: credit}   # first\n'


def test_a_section_in_braces_is_written_as_lines_when_one_is_added() -> None:
    files = {"p.yaml": "placements: {a: {component: message}, b: {component: help}}\nshop: {currency: EUR}\n"}
    made = splice.put(files, "placements", "c", {"component": "field"})
    assert made["p.yaml"] == (
        "placements:\n  a: {component: message}\n  b: {component: help}\n  c: {component: field}\n"
        "shop: {currency: EUR}\n"
    )
    assert splice.remove(made, "placements", "a")["p.yaml"].startswith("placements:\n  b: {component: help}\n")


def test_a_condition_never_stands_in_braces() -> None:
    made = splice.put({}, "features", "big", {"count": "Order Completed", "where": "total > 3"})
    assert made == {"features.yaml": "features:\n  big:\n    count: Order Completed\n    where: total > 3\n"}


def test_a_new_entry_goes_where_most_of_its_section_is() -> None:
    files = {"a.yaml": "segments:\n  a: x > 1\n", "b.yaml": "segments:\n  b: x > 1\n  c: x > 2\n"}
    assert splice.put(files, "segments", "d", "x > 3")["b.yaml"].endswith("  c: x > 2\n  d: x > 3\n")
    assert splice.put(files, "segments", "d", "x > 3", after="a")["a.yaml"].endswith("  a: x > 1\n  d: x > 3\n")
    assert splice.put(files, "metrics", "m", {"rate": "x"})["metrics.yaml"] == "metrics:\n  m: {rate: x}\n"


def test_the_keys_of_the_shop_are_set_one_by_one() -> None:
    files = {"shop.yaml": "shop:\n  currency: EUR   # ours\n  locale: en\n"}
    made = splice.put(files, "shop", "", {"currency": "CHF", "markets": ["NO", "DE"]})
    assert made == {"shop.yaml": "shop:\n  currency: CHF   # ours\n  markets: ['NO', DE]\n"}


def test_the_starter_says_the_same_after_every_entry_was_moved_and_written() -> None:
    files = starter_files()
    live, _ = examine_files(files)
    for section in ("segments", "offers", "features", "placements"):
        for name in splice.names(files, section):
            found = splice.entry(files, section, name)
            assert found is not None
            assert splice.put(files, section, name, found.value) == files
            assert value_of(entry_of(name, found.value, 4)) == {name: found.value}
    moved = splice.move(
        splice.move(files, "experiences", "buy_as_usual", ""), "experiences", "buy_as_usual", "checkout_on_phones"
    )
    back, faults = examine_files(moved)
    assert live is not None
    assert back is not None
    assert not [each for each in faults if each.severity == "error"]
    order = splice.names(moved, "experiences")
    assert order.index("buy_as_usual") == order.index("checkout_on_phones") + 1


@pytest.mark.parametrize(
    "text",
    [
        "segments: [a, b]\n",
        "- segments\n",
        "segments: &x {a: 1}\n",
        "segments:\n  ? a\n  : x > 1\n",
        "{segments: {a: x > 1}}\n",
        "segments:\n  a: x > 1\n  a: x > 2\n",
        "segments: {a: 1, # one\n  b: 2}\n",
        "segments:\n\ta: 1\n",
    ],
)
def test_what_is_written_in_an_unusual_way_is_refused_and_never_spoilt(text: str) -> None:
    files = {"segments.yaml": text}
    with pytest.raises(InvalidInput) as told:
        splice.put(splice.put(files, "segments", "b", "x > 3"), "segments", "a", "x > 4")
    assert told.value.code == "cannot_edit"


def test_names_that_are_none_are_told() -> None:
    files = {"s.yaml": "segments:\n  a: x > 1\n  b: x > 2\n"}
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: splice.remove(files, "segments", "c"), "no_such_entry"),
        (lambda: splice.put(files, "segments", "c", "x > 1", after="d"), "no_such_entry"),
        (lambda: splice.move(files, "segments", "a", "a"), "no_such_entry"),
        (lambda: splice.rename(files, "segments", "a", "b"), "name_taken"),
        (lambda: splice.put(files, "segments", "c", 0.5), "cannot_edit"),  # type: ignore[arg-type]
        (lambda: splice.put(files, "shop", "", "EUR"), "cannot_edit"),
    ]
    for change, code in cases:
        with pytest.raises(InvalidInput) as told:
            change()
        assert told.value.code == code


def test_a_planted_bug_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends entries a line too late would take a neighbour along."""
    files = {"s.yaml": "segments:\n  a: x > 1\n  b: x > 2\n"}

    class Wrong(opened.Opened):
        def _line_end(self, place: int) -> int:
            return super()._line_end(super()._line_end(place))

    monkeypatch.setattr(splice, "Opened", Wrong)
    with pytest.raises(InvalidInput) as told:
        splice.remove(files, "segments", "a")
    assert told.value.code == "cannot_edit"


def test_money_keeps_its_digits() -> None:
    made = splice.put({}, "offers", "o", {"benefit": {"amount": Decimal("12.50")}, "kind": "repeat"})
    assert "amount: 12.50" in made["offers.yaml"]
