"""What the catalogue alone knows: likeness by words and attributes, and what is made to fit."""

import numpy as np
import pytest

from cashwrap.learning import similar
from cashwrap.learning.data import Interactions
from cashwrap.learning.similar import build, build_accessories, stocked
from cashwrap.model import Product
from cashwrap.recommend.tables import Accessories, Similar
from handmade import artefact, asks, interactions, named

PRODUCTS = (
    Product("red mug", title="Red mug with dots", category="mugs", attributes={"colour": "red"}),
    Product("blue mug", title="Blue mugs with dots", category="mugs", attributes={"colour": "blue"}),
    Product("red bag", title="Red cotton bag", category="bags", attributes={"colour": "red"}),
    Product("lamp", title="Lamp of steel", category="lamps"),
    Product("steel pan", title="Pan of steel", category="pans"),
    Product("bare"),
)


def catalogue(*products: Product) -> Interactions:
    return interactions([], catalogue={product.id: product for product in products})


def like(data: Interactions, *basket: str, recent: tuple[str, ...] = ()) -> dict[str, float]:
    arrays, _ = build(data, {})
    return named(data, Similar.of(artefact(arrays), len(data.items)).candidates(asks(data, basket, recent)))


def goes_with(data: Interactions, *basket: str) -> dict[str, float]:
    arrays, _ = build_accessories(data, {})
    return named(data, Accessories.of(artefact(arrays), len(data.items)).candidates(asks(data, basket)))


def test_words_category_and_attributes_make_items_alike() -> None:
    data = catalogue(*PRODUCTS)
    assert list(like(data, "red mug")) == ["blue mug", "red bag"]  # a plural is the same word
    assert list(like(data, "lamp")) == ["steel pan"]
    assert not like(data, "bare")


def test_likeness_is_the_cosine_of_what_rare_words_weigh() -> None:
    data = catalogue(
        Product("a", title="oak table"), Product("b", title="oak chair"), Product("c", title="table"), Product("d")
    )
    weight = np.log(5 / 3)  # both words are of two items of four
    arrays, _ = build(data, {})
    assert dict(zip(arrays["similar.items"], arrays["similar.scores"], strict=True)) == pytest.approx(
        {0: weight / np.hypot(weight, weight), 1: 1 / np.sqrt(2), 2: 1 / np.sqrt(2)}
    )


def test_what_was_looked_at_last_says_more() -> None:
    data = catalogue(*PRODUCTS)
    assert next(iter(like(data, recent=("red mug", "lamp")))) == "steel pan"
    assert next(iter(like(data, recent=("lamp", "red mug")))) == "blue mug"


def test_words_that_everything_has_cost_no_more_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    products = [Product(str(number), title=f"thing series {number // 2}") for number in range(60)]
    data = catalogue(*products)
    monkeypatch.setattr(similar, "WORK", 60 * 60)  # 'thing' and 'series' are of 60 each: one has room beside the pairs
    rows = build(data, {})[0]
    assert np.diff(rows["similar.offsets"]).tolist() == [1] * 60
    monkeypatch.setattr(similar, "BLOCK", 1)
    again = build(data, {})[0]
    assert all(np.array_equal(again[name], rows[name]) for name in rows)


def test_complements_come_first_then_what_names_the_product_then_its_kind() -> None:
    data = catalogue(
        Product("phone", category="Phones", brand="Acme", complements=("charger", "gone", "phone")),
        Product("cover", attributes={"fits": "other; Phone"}),
        Product("stand", attributes={"compatible_with": "phones"}),
        Product("watch", attributes={"suitable_for": "acme|phones"}),
        Product("charger", attributes={"fits": "phone"}),
        Product("pan", attributes={"material": "phone"}),
    )
    found = goes_with(data, "phone")
    assert list(found) == ["charger", "cover", "stand", "watch"]
    assert found["charger"] == 1
    assert not goes_with(data, "pan")


def test_of_what_fits_a_whole_category_only_so_much_stands_beside_each() -> None:
    cables = [Product(f"cable {number:02}", attributes={"fits": "phones"}) for number in range(50)]
    data = catalogue(Product("phone", category="phones"), *cables)
    assert len(goes_with(data, "phone")) == similar.GROUP


def test_what_nobody_has_seen_yet_is_suggested_too() -> None:
    sold = interactions([["red mug"], ["lamp"]])
    new = {product.id: product for product in (*PRODUCTS, Product("toy", title="Red mug", sensitive=True))}
    data = stocked(sold._replace(catalogue=new))
    assert data.items[:2] == sold.items
    assert "toy" not in data.items
    assert list(like(data, "red mug")) == ["blue mug", "red bag"]
