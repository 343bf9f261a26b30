"""Product feeds: every format, every kind of bad row with its code, and nothing else than products and faults."""

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import feed
from cashwrap.errors import InvalidInput
from cashwrap.feed import Format, RowFault, read_feed, sniff
from cashwrap.model import Product

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CASHWRAP_DATA", ROOT.parent / "shared" / "data"))
MERCHANT = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item>
  <g:id>TV-1</g:id><title>Google &amp; Chromecast</title><link>https://shop.example/tv</link>
  <g:image_link>https://shop.example/tv.jpg</g:image_link><g:price>12.50 EUR</g:price>
  <g:cost_of_goods_sold>6.25 EUR</g:cost_of_goods_sold><g:availability>out of stock</g:availability>
  <g:google_product_category>Electronics</g:google_product_category><g:product_type>tv</g:product_type>
  <g:brand>Acme</g:brand><g:color>black</g:color><g:adult>yes</g:adult>
  <g:shipping><g:country>DE</g:country><g:price>5 EUR</g:price></g:shipping>
</item>
<item><g:id>TV-2</g:id><g:price>USD 3</g:price></item>
</channel></rss>"""


def read(text: str | bytes, format_: Format, currency: str = "EUR") -> list[Product | RowFault]:
    body = text if isinstance(text, bytes) else text.encode()
    return list(read_feed(io.BytesIO(body), format_, currency))


def one(fields: dict[str, object], currency: str = "EUR") -> Product:
    (found,) = read(json.dumps([fields]), "json", currency)
    assert isinstance(found, Product), found
    return found


def code(fields: object, currency: str = "EUR") -> str:
    (found,) = read(json.dumps([fields]), "json", currency)
    assert isinstance(found, RowFault), found
    return found.code


class TestFields:
    def test_everything_a_product_may_have(self) -> None:
        found = one(
            {
                "id": "KC-1",
                "title": "Mug",
                "titles": {"en": "Mug", "de": "Becher"},
                "price": "12.50",
                "cost": "4",
                "currency": "EUR",
                "stock": 3,
                "category": "mugs",
                "brand": "Acme",
                "attributes": {"material": "clay", "ml": 300},
                "complements": ["KC-2", "KC-2", "KC-3"],
                "sensitive": False,
                "url": "/p/1",
                "image": "/i/1.svg",
            }
        )
        assert found == Product(
            id="KC-1",
            title="Mug",
            price=1250,
            cost=400,
            stock=3,
            category="mugs",
            brand="Acme",
            url="/p/1",
            image="/i/1.svg",
            attributes={"material": "clay", "ml": "300"},
            titles={"en": "Mug", "de": "Becher"},
            complements=("KC-2", "KC-3"),
        )

    @pytest.mark.parametrize(
        ("text", "currency", "minor"),
        [
            ("12.50 EUR", "EUR", 1250),
            ("EUR 12.5", "EUR", 1250),
            ("12.500", "EUR", 1250),
            ("500", "JPY", 500),
            ("1.234", "KWD", 1234),
            (7, "EUR", 700),
            (9.99, "EUR", 999),
            (0.1, "EUR", 10),
        ],
    )
    def test_amounts_are_exact(self, text: object, currency: str, minor: int) -> None:
        assert one({"id": "a", "price": text}, currency).price == minor

    def test_the_column_of_the_shops_currency_wins(self) -> None:
        fields = {"id": "a", "price": "9", "price_usd": "10.00", "price_pln": "40.00", "currency": "EUR"}
        assert one(fields, "PLN").price == 4000

    def test_a_sale_price_counts_unless_it_has_dates(self) -> None:
        assert one({"id": "a", "price": "9", "sale_price": "7"}).price == 700
        dated = {"id": "a", "price": "9", "sale_price": "7", "sale_price_effective_date": "2026-01-01/2026-02-01"}
        assert one(dated).price == 900

    @pytest.mark.parametrize(
        ("fields", "stock"),
        [
            ({"stock": "4"}, 4),
            ({"quantity": -2}, 0),
            ({"availability": "out of stock"}, 0),
            ({"availability": "in_stock"}, None),
            ({"availability": "out_of_stock", "stock": 2}, 2),
            ({}, None),
        ],
    )
    def test_stock(self, fields: dict[str, object], stock: int | None) -> None:
        assert one({"id": "a", **fields}).stock == stock

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"title": "x"}, "missing_id"),
            ({"id": ["x"]}, "invalid_type"),
            ({"id": "x" * 201}, "too_long"),
            ({"id": "a", "title": "x" * 1025}, "too_long"),
            ({"id": "a", "title": "x\u0000y"}, "invalid_text"),
            ({"id": "a", "price": "12,50"}, "invalid_price"),
            ({"id": "a", "price": "NaN"}, "invalid_price"),
            ({"id": "a", "price": True}, "invalid_price"),
            ({"id": "a", "price": {"amount": 1}}, "invalid_price"),
            ({"id": "a", "price": "999999999999999"}, "invalid_price"),
            ({"id": "a", "price": "-1"}, "negative_price"),
            ({"id": "a", "price": "1.005"}, "inexact_price"),
            ({"id": "a", "price": "3 USD"}, "other_currency"),
            ({"id": "a", "price": "3", "currency": "USD"}, "other_currency"),
            ({"id": "a", "cost": "x"}, "invalid_price"),
            ({"id": "a", "stock": "many"}, "invalid_stock"),
            ({"id": "a", "stock": "1.5"}, "invalid_stock"),
            ({"id": "a", "stock": True}, "invalid_stock"),
            ({"id": "a", "sensitive": "maybe"}, "invalid_boolean"),
            ({"id": "a", "attributes": "red"}, "invalid_type"),
            ({"id": "a", "attributes": {"a": [1]}}, "invalid_type"),
            ({"id": "a", "attributes": {str(n): "x" for n in range(51)}}, "too_many"),
            ({"id": "a", "complements": [str(n) for n in range(51)]}, "too_many"),
            ({"id": "a", "complements": [{}]}, "invalid_type"),
            ({"id": "a", "image": {"src": "x"}}, "invalid_type"),
            ("no object", "bad_json"),
            ({"id": "a", "title": "x", "big": "y" * 70_000}, "row_too_long"),
        ],
    )
    def test_a_bad_row_has_a_code(self, fields: object, expected: str) -> None:
        assert code(fields) == expected

    def test_half_a_character_is_refused(self) -> None:
        found = read(b'[{"id": "a", "title": "\\ud800"}, {"id": "b"}]', "json")
        assert [type(row).__name__ for row in found] == ["RowFault", "Product"]


class TestFormats:
    def test_csv_with_names_of_its_own(self) -> None:
        text = "\ufeffProduct_ID,Name,Price EUR,attribute:size,title:de,complements\r\na,Mug,3.10,big,Becher,b|c\r\n"
        assert read(text, "csv") == [
            Product(
                id="a",
                title="Mug",
                price=310,
                attributes={"size": "big"},
                titles={"de": "Becher"},
                complements=("b", "c"),
            )
        ]

    def test_bad_lines_of_csv_cost_themselves(self) -> None:
        rows = [b"id,title", b"a,ok", b"b", b"c,\xff", b'd,"x"y', b"e," + b"z" * 70_000, b"a,again", b"f,fine", b""]
        found = read(b"\n".join(rows), "csv")
        assert [row.id for row in found if isinstance(row, Product)] == ["a", "f"]
        assert sorted((row.line, row.code) for row in found if isinstance(row, RowFault)) == [
            (3, "wrong_field_count"),
            (4, "not_utf8"),
            (5, "bad_csv"),
            (6, "row_too_long"),
            (7, "duplicate_id"),
        ]

    def test_merchant_tsv(self) -> None:
        assert read('id\ttitle\tprice\na\tA "Mug"\t3.10 EUR\n', "tsv") == [Product(id="a", title='A "Mug"', price=310)]

    def test_json_under_products_and_json_lines(self) -> None:
        expected = [Product(id="a"), Product(id="2")]
        assert read('{"products": [{"id": "a"}, {"id": 2}]}', "json") == expected
        assert read('{"id": "a"}\n\n{"id": 2}\n', "jsonl") == expected

    def test_merchant_xml(self) -> None:
        first, second = read(MERCHANT, "xml")
        assert first == Product(
            id="TV-1",
            title="Google & Chromecast",
            price=1250,
            cost=625,
            stock=0,
            category="tv",
            brand="Acme",
            url="https://shop.example/tv",
            image="https://shop.example/tv.jpg",
            attributes={"color": "black"},
            sensitive=True,
        )
        assert isinstance(second, RowFault)
        assert (second.code, second.line) == ("other_currency", 11)

    @pytest.mark.parametrize(
        ("text", "format_", "expected"),
        [
            ("", "csv", "empty_feed"),
            ("name,price\nx,1\n", "csv", "missing_column"),
            ("[1", "json", "bad_json"),
            ('{"items": []}', "json", "bad_json"),
            ("<rss><item>", "xml", "bad_xml"),
            ("<a>" * 20, "xml", "bad_xml"),
            ('<!DOCTYPE x [<!ENTITY a "b">]><rss>&a;</rss>', "xml", "xml_doctype"),
            ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>', "xml", "xml_doctype"),
        ],
    )
    def test_a_feed_that_is_none(self, text: str, format_: Format, expected: str) -> None:
        with pytest.raises(InvalidInput) as raised:
            read(text, format_)
        assert raised.value.code == expected

    def test_an_unknown_currency_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="ISO 4217"):
            read("[]", "json", "XXX")

    def test_a_huge_item_of_xml_is_a_fault(self) -> None:
        (found,) = read(f"<rss><item><id>a</id><title>{'x' * 200_000}</title></item></rss>", "xml")
        assert isinstance(found, RowFault)
        assert found.code == "row_too_long"

    def test_rows_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed, "MOST_ROWS", 2)
        with pytest.raises(InvalidInput) as raised:
            read("id\na\nb\nc\n", "csv")
        assert raised.value.code == "too_many_rows"

    def test_a_json_feed_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed, "LARGEST_JSON", 10)
        with pytest.raises(InvalidInput) as raised:
            read('[{"id": "abcdef"}]', "json")
        assert raised.value.code == "feed_too_large"

    @pytest.mark.parametrize(
        ("head", "format_"),
        [
            (b"  <?xml", "xml"),
            (b"\xef\xbb\xbf[{", "json"),
            (b'{"products": [', "json"),
            (b'{"id": 1}\n{"id": 2}', "jsonl"),
            (b"id\ttitle\n", "tsv"),
            (b"id,title\n", "csv"),
        ],
    )
    def test_the_format_by_the_first_bytes(self, head: bytes, format_: Format) -> None:
        assert sniff(head) == format_


def test_the_demo_shops_feed_is_whole() -> None:
    found = read((ROOT / "shop/seed/feed.json").read_bytes(), "json")
    assert len(found) > 50
    assert [row for row in found if isinstance(row, RowFault)] == []


@pytest.mark.data
def test_real_catalogues() -> None:
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set CASHWRAP_DATA")
    dummy = read((DATA / "catalog_dummyjson/products.json").read_bytes(), "json", "USD")
    assert len({row.id for row in dummy if isinstance(row, Product)}) == 194
    first = next(row for row in dummy if isinstance(row, Product))
    assert (first.price, first.stock, first.category) == (999, 99, "beauty")
    saleor = read((DATA / "catalog_saleor/products.csv").read_bytes(), "csv", "PLN")
    assert len([row for row in saleor if isinstance(row, Product)]) == 32
    assert {row.code for row in saleor if isinstance(row, RowFault)} == {"duplicate_id"}


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
_names = st.sampled_from(["id", "title", "price", "cost", "stock", "sensitive", "attributes", "titles", "complements"])


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.dictionaries(_names, _values, max_size=6), max_size=4))
def test_any_json_ends_in_products_and_faults(rows: list[dict[str, object]]) -> None:
    try:
        body = json.dumps(rows, allow_nan=False).encode()
    except ValueError:
        return
    found = read(body, "json")
    assert len(found) == len(rows)
    for row in found:
        assert isinstance(row, Product | RowFault)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200), format_=st.sampled_from(["csv", "tsv", "json", "jsonl", "xml"]))
def test_any_bytes_end_well(body: bytes, format_: Format) -> None:
    try:
        found = read(body, format_)
    except InvalidInput:
        return
    assert all(isinstance(row, Product | RowFault) for row in found)


_price = st.decimals(min_value=0, max_value=10**9, places=2)


@settings(max_examples=100, deadline=None)
@given(prices=st.lists(_price, max_size=5))
def test_what_csv_says_is_what_is_read(prices: list[object]) -> None:
    text = "id,price\n" + "".join(f"p{number},{price}\n" for number, price in enumerate(prices))
    found = read(text, "csv")
    assert [row.price for row in found if isinstance(row, Product)] == [int(price * 100) for price in prices]  # type: ignore[operator]
