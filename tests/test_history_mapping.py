"""Mapping files: what they mean, and every mistake told at once with its place."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.events import Envelope, Refused
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.history import load_mapping, read_mapping
from cashwrap.history.convert import Converter
from cashwrap.history.mapping import Map, placeholders
from cashwrap.history.rows import BadRow, read_rows
from cashwrap.playbook import examine

BOOK, _ = examine(
    {"p.yaml": "shop: {currency: EUR, locale: en}\nevents:\n  Quiz: {fields: {at: time, tags: texts, ok: boolean}}\n"}
)
assert BOOK is not None
WORDS: Vocabulary = BOOK.vocabulary
ROOT = Path(__file__).parents[1]
LEAST = "source: s\ntime: t\nshopper: {user: u}\nevents:\n  - name: Quiz\n"
LATEST = 1_800_000_000_000


def faults(text: str) -> list[str]:
    with pytest.raises(PlaybookError) as raised:
        read_mapping("m.yaml", text, WORDS)
    return [" ".join(fault.split()[:2]) for fault in raised.value.faults]


def mapped(text: str) -> Map:
    return read_mapping("m.yaml", text, WORDS)


def converted(text: str, **row: object) -> Envelope | Refused:
    converter = Converter(mapped(text), WORDS, "f.csv", LATEST)
    out: list[Envelope | Refused] = []
    converter.take(1, tuple(row.get(name, "") for name in converter.columns), out)
    (made,) = out
    return made


class TestMistakes:
    def test_all_at_once(self) -> None:
        text = (
            "source: s\n"
            "tmie: x\n"
            "time: {column: t, unit: h, zone: Mars/Base}\n"
            "shopper: {}\n"
            "basis: [fun]\n"
            "currency: XXX\n"
            "format: xls\n"
            "events:\n"
            "  - name: Product Viewd\n"
            "  - name: Product Viewed\n"
            "    properties: {prise: p, price: {column: c, kind: money}}\n"
            "    lines: x\n"
            "  - name: Quiz\n"
            "    products: {product_id: p}\n"
            "    total: total\n"
            "    returns: true\n"
            "    when: {a: {suffix: x}}\n"
            "skip: [{when: {a: b}}]\n"
        )
        assert faults(text) == [
            "m.yaml:2:1 unknown_key",
            "m.yaml:3:25 bad_value",
            "m.yaml:3:34 unknown_time_zone",
            "m.yaml:4:10 missing_key",
            "m.yaml:5:9 bad_value",
            "m.yaml:6:11 unknown_currency",
            "m.yaml:7:9 bad_value",
            "m.yaml:9:11 unknown_event",
            "m.yaml:11:18 unknown_property",
            "m.yaml:11:53 bad_value",
            "m.yaml:12:12 bad_value",
            "m.yaml:14:15 bad_value",
            "m.yaml:15:12 bad_value",
            "m.yaml:16:14 bad_value",
            "m.yaml:17:12 missing_key",
            "m.yaml:17:16 unknown_key",
            "m.yaml:18:8 missing_key",
        ]

    @pytest.mark.parametrize("text", ["", "- a", "x", "a: [", "source: s"])
    def test_what_is_no_mapping(self, text: str) -> None:
        assert faults(text)

    @pytest.mark.parametrize("pick", ["{}", "{column: a, value: b}", "{text: a, column: b}"])
    def test_a_value_comes_from_one_place(self, pick: str) -> None:
        assert faults(f"{LEAST}    properties: {{ok: {pick}}}\n") == ["m.yaml:6:22 missing_key"]

    def test_a_mapping_of_our_own_goes_by_its_name(self) -> None:
        assert load_mapping(Path("retailrocket"), WORDS).source == "retailrocket"

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="cannot be read"):
            load_mapping(tmp_path / "none.yaml", WORDS)
        (tmp_path / "bad.yaml").write_bytes(b"\xff")
        with pytest.raises(InvalidInput, match="UTF-8"):
            load_mapping(tmp_path / "bad.yaml", WORDS)


class TestMeaning:
    def test_the_least_one_needs_no_basis(self) -> None:
        found = mapped(LEAST)
        assert (found.basis, found.columns()) == (1, ("t", "u"))

    @pytest.mark.parametrize(
        ("time", "value", "seconds"),
        [
            ("{column: t, unit: s}", "1600000000", 1_600_000_000),
            ("{column: t, unit: s}", 1_600_000_000, 1_600_000_000),
            ("{column: t, unit: ms}", "1600000000000", 1_600_000_000),
            ("t", "2020-09-13T12:26:40Z", 1_600_000_000),
            ("t", "2020-09-13 12:26:40 UTC", 1_600_000_000),
            ("t", "2020-09-13 14:26:40+02:00", 1_600_000_000),
            ("{column: t, zone: Europe/Berlin}", "2020-09-13 14:26:40", 1_600_000_000),
            ("{column: t, format: '%d.%m.%Y %H:%M:%S'}", "13.09.2020 12:26:40", 1_600_000_000),
        ],
    )
    def test_times(self, time: str, value: object, seconds: int) -> None:
        made = converted(LEAST.replace("time: t", f"time: {time}"), t=value, u="ann")
        assert isinstance(made, Envelope)
        assert made.timestamp is not None
        assert made.timestamp.timestamp() == seconds

    @pytest.mark.parametrize(
        ("value", "code"), [("x", "invalid_time"), ("", "invalid_time"), ("9999-01-01", "time_out_of_range")]
    )
    def test_times_that_are_none(self, value: str, code: str) -> None:
        made = converted(LEAST, t=value, u="ann")
        assert isinstance(made, Refused)
        assert (made.code, made.path) == (code, "t")

    def test_kinds_of_columns(self) -> None:
        text = LEAST + (
            "    properties:\n"
            "      at: {column: when, kind: time}\n"
            "      tags: {column: tags, kind: texts, separator: '|'}\n"
            "      ok: {column: ok, kind: boolean}\n"
        )
        made = converted(text, t="2020-01-01", u="ann", when="1970-01-02", tags="a| b|", ok="yes")
        assert isinstance(made, Envelope)
        assert made.properties == {"at": 86_400_000, "tags": ["a", "b"], "ok": True}
        wrong = converted(text, t="2020-01-01", u="ann", ok="perhaps")
        assert isinstance(wrong, Refused)
        assert (wrong.code, wrong.path) == ("invalid_type", "ok")

    def test_ids_that_were_numbers(self) -> None:
        text = LEAST.replace("{user: u}", "{user: {column: u, kind: integer}}")
        made = converted(text, t="2020-01-01", u="17850.0")
        assert isinstance(made, Envelope)
        assert made.user_id == 17850
        wrong = converted(text, t="2020-01-01", u="17850.5")
        assert isinstance(wrong, Refused)
        assert wrong.code == "invalid_number"

    def test_message_ids(self) -> None:
        assert converted(LEAST, t="2020-01-01", u="a").message_id == "f.csv:1"
        assert converted(f"{LEAST}message: id\n", t="2020-01-01", u="a", id="x7").message_id == "x7"
        assert converted(f"{LEAST}message: id\n", t="2020-01-01", u="a").message_id == "f.csv:1"

    def test_texts_with_columns_in_them(self) -> None:
        assert placeholders("{a}-{row}-{b c}") == ("a", "b c")
        text = (
            LEAST.replace("name: Quiz", "name: Order Completed") + "    properties: {order_id: {text: '{a}/{row}'}}\n"
        )
        made = converted(text, t="2020-01-01", u="ann", a="x")
        assert isinstance(made, Envelope)
        assert made.properties == {"order_id": "x/1"}

    def test_surroundings(self) -> None:
        text = LEAST + "context: {country: c, device: d, locale: {value: de}}\n"
        made = converted(text, t="2020-01-01", u="ann", c="DE", d="mobile")
        assert isinstance(made, Envelope)
        assert made.context is not None
        assert made.context.location is not None
        assert (made.context.location.country, made.context.locale) == ("DE", "de")

    def test_the_first_event_that_fits(self) -> None:
        text = LEAST.replace(
            "  - name: Quiz\n", "  - {name: Product Viewed, when: {a: [x, y], b: {prefix: q}}}\n  - name: Quiz\n"
        )
        assert converted(text, t="2020-01-01", u="a", a="y", b="qq").event == "Product Viewed"  # type: ignore[union-attr]
        assert converted(text, t="2020-01-01", u="a", a="y", b="zq").event == "Quiz"  # type: ignore[union-attr]


@settings(max_examples=120, deadline=None)
@given(text=st.text(alphabet="aeiostuvn: {}[]-\n'\"&*!#%|>,{row}", max_size=80))
def test_any_text_is_a_mapping_or_a_list_of_mistakes(text: str) -> None:
    told: tuple[str, ...] = ("a mapping",)
    try:
        read_mapping("m.yaml", LEAST + text, WORDS)
    except PlaybookError as error:
        told = error.faults
    assert told


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=300), format_=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_any_bytes_are_rows_or_complaints(tmp_path_factory: pytest.TempPathFactory, body: bytes, format_: str) -> None:
    path = tmp_path_factory.mktemp("rows") / "f"
    path.write_bytes(b"t,u\n" + body if format_ != "jsonl" else body)
    code = "missing_column"
    try:
        for item in read_rows(path, format_, ["t"]):
            assert isinstance(item, BadRow) or len(item.row) == 1
    except InvalidInput as error:
        code = error.code
    assert code in {"missing_column", "truncated_file"}


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.text(max_size=12), min_size=4, max_size=4))
def test_any_row_is_an_event_or_a_refusal(values: list[str]) -> None:
    text = LEAST + "    properties: {ok: {column: ok, kind: boolean}, at: {column: at, kind: time}}\n"
    made = converted(text, **dict(zip(("t", "u", "ok", "at"), values, strict=True)))
    assert isinstance(made, Envelope | Refused)


class TestTheManual:
    PAGE = (ROOT / "docs/howto/import.md").read_text()

    def test_its_example_is_a_mapping(self) -> None:
        (example,) = re.findall(r"```yaml\n(.*?)```", self.PAGE, flags=re.DOTALL)
        found = mapped(example)
        assert [event.name for event in found.events] == ["Product Viewed", "Order Completed"]

    def test_every_code_is_listed(self) -> None:
        known = self.PAGE + (ROOT / "docs/reference/errors.md").read_text()
        told = {code for path in SOURCES for code in codes(path.read_text())}
        assert {"missing_id", "scattered_order", "private_address", "not_utf8"} <= told
        assert sorted(code for code in told if f"`{code}`" not in known) == []


SOURCES = [
    *(ROOT / "src/cashwrap/history").glob("*.py"),
    ROOT / "src/cashwrap/feed.py",
    ROOT / "src/cashwrap/adapters/http.py",
    ROOT / "src/cashwrap/cli/imports.py",
]


def codes(source: str) -> set[str]:
    """The codes a file gives to errors and bad rows."""
    found = re.findall(r'code="(\w+)"|_Bad\(\s*"(\w+)"|(?:RowFault|BadRow)\([^,"]+,\s*"(\w+)"', source)
    return {code for codes in found for code in codes if code}
