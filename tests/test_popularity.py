"""What sells and what sells more than it did, by eye."""

import json

import pytest

from cashwrap.learning.popularity import build, build_trending
from cashwrap.model import Product
from cashwrap.recommend.asked import NOBODY
from cashwrap.recommend.popular import Popular, Trending
from handmade import artefact, interactions, named

CATALOGUE = {
    "tea": Product("tea", category="drinks"),
    "juice": Product("juice", category="drinks"),
    "bread": Product("bread", category="food"),
    "shelf": Product("shelf"),
}
ANY = {"few": 1}


def test_newer_orders_count_more() -> None:
    data = interactions([["tea"]] * 3 + [["bread"]] * 2, days=[0, 0, 0, 30, 30])
    arrays, _ = build(data, {**ANY, "half_life": 30})
    found = named(data, Popular.of(artefact(arrays), 2).candidates(NOBODY))
    assert found == pytest.approx({"bread": 1.0, "tea": 0.75})
    arrays, _ = build(data, {**ANY, "half_life": 0})
    assert list(named(data, Popular.of(artefact(arrays), 2).candidates(NOBODY))) == ["tea", "bread"]


def test_a_category_has_a_row_of_its_own() -> None:
    data = interactions([["bread"], ["bread", "tea"], ["juice", "tea"]], catalogue=CATALOGUE)
    arrays, texts = build(data, ANY)
    assert json.loads(texts["popular.categories"]) == ["drinks", "food"]
    source = Popular.of(artefact(arrays), 4)
    assert list(named(data, source.candidates(NOBODY._replace(category=0)))) == ["tea", "juice"]
    assert list(named(data, source.candidates(NOBODY._replace(category=1)))) == ["bread"]
    assert list(named(data, source.candidates(NOBODY))) == ["bread", "tea", "juice"]
    assert list(named(data, source.candidates(NOBODY._replace(category=7)))) == ["bread", "tea", "juice"]


def test_items_of_too_few_shoppers_are_not_told() -> None:
    data = interactions([["tea"]] * 9 + [["bread"]] * 3, users=[0] * 9 + [1, 2, 3])
    found = named(data, Popular.of(artefact(build(data, {})[0]), 2).candidates(NOBODY))
    assert list(found) == ["bread"]


def test_what_sells_more_than_its_share_of_the_weeks_before_is_trending() -> None:
    weeks = [(["tea"], day) for day in range(0, 70, 2)] + [(["bread"], day) for day in range(58, 70)]
    data = interactions([items for items, _ in weeks], days=[day for _, day in weeks])
    found = named(data, Trending.of(artefact(build_trending(data, {**ANY, "window": 14})[0]), 2).candidates(NOBODY))
    assert list(found) == ["bread"]


def test_without_a_clock_the_last_tenth_is_lately() -> None:
    data = interactions([["tea"]] * 90 + [["bread"]] * 10)
    found = named(data, Trending.of(artefact(build_trending(data, ANY)[0]), 2).candidates(NOBODY))
    assert list(found) == ["bread"]


def test_nothing_sold_is_nothing_told() -> None:
    data = interactions([])
    assert not len(Popular.of(artefact(build(data, {})[0]), 0).candidates(NOBODY).items)
    assert not len(Trending.of(artefact(build_trending(data, {})[0]), 0).candidates(NOBODY).items)


def test_rows_of_other_items_are_refused() -> None:
    data = interactions([["tea"], ["bread"]])
    with pytest.raises(ValueError, match="does not fit 1 items"):
        Popular.of(artefact(build(data, ANY)[0]), 1)
