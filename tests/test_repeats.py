"""What is bought again: examples against a naive oracle, and chances by eye."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.learning import repeats
from cashwrap.learning.lines import bought
from cashwrap.learning.repeats import build, examples
from cashwrap.recommend.asked import NOBODY
from cashwrap.recommend.repeat import Repeat
from handmade import artefact, has_bought, interactions, named


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 2), st.sets(st.sampled_from("abc"), min_size=1)), min_size=1, max_size=15))
def test_examples_agree_with_walking_through_the_orders(orders: list[tuple[int, set[str]]]) -> None:
    users = [user for user, _ in orders]
    data = interactions(
        [sorted(items) for _, items in orders], users=users, days=[3.0 * at for at in range(len(orders))]
    )
    told = sorted(_walked(orders))
    found = examples(bought(data), data.user)
    rows = zip(found.shopper, found.item, found.times, found.days, found.again, strict=True)
    assert told == sorted((who, data.items[item], times, days, bool(again)) for who, item, times, days, again in rows)


def _walked(orders: list[tuple[int, set[str]]]) -> list[tuple[int, str, int, float, bool]]:
    """Each order of a shopper asks of each item of their earlier ones whether it has it."""
    found = []
    for who in {user for user, _ in orders if user >= 0}:
        had: dict[str, tuple[int, int]] = {}
        for at, items in ((at, items) for at, (user, items) in enumerate(orders) if user == who):
            found += [(who, name, times, 3.0 * (at - last), name in items) for name, (times, last) in had.items()]
            had |= {name: (had.get(name, (0, 0))[0] + 1, at) for name in items}
    return found


def test_waits_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "WAITS", 5)
    data = interactions([["a"], *([["b"]] * 50)], users=[0] * 51)
    found = examples(bought(data), data.user)
    assert (found.item == 0).sum() == 5
    assert found.again.sum() == 49


def test_what_is_bought_every_month_is_due_after_a_month_and_what_is_bought_once_never() -> None:
    orders, users, days = [], [], []
    for month in range(12):
        for shopper in range(30):
            orders.append(["coffee", f"once {month}"] if shopper % 3 else ["coffee"])
            users.append(shopper)
            days.append(month * 30.0 + shopper * 0.5)
    data = interactions(orders, users=users, days=days)
    arrays, _ = build(data, {})
    source = Repeat.of(artefact(arrays), len(data.items))
    coffee = data.items.index("coffee")
    assert arrays["repeat.interval"][coffee] == pytest.approx(30, rel=0.02)
    found = named(data, source.candidates(has_bought(data, {"coffee": (30, 3), "once 3": (30, 1)})))
    assert list(found) == ["coffee", "once 3"]
    assert found["coffee"] > 0.8
    assert found["once 3"] < 0.2


def test_what_comes_sooner_than_usual_is_less_likely_than_what_is_due() -> None:
    """Soap is bought every 30 days, bread every 3: after 4 days bread is due."""
    orders, users, days = [], [], []
    for shopper in range(20):
        for day in range(0, 180, 3):
            orders.append(["bread", "soap"] if day % 30 == 0 else ["bread"])
            users.append(shopper)
            days.append(float(day))
    order = np.argsort(days, kind="stable")
    data = interactions(
        [orders[at] for at in order], users=[users[at] for at in order], days=[days[at] for at in order]
    )
    source = Repeat.of(artefact(build(data, {})[0]), 2)
    found = named(data, source.candidates(has_bought(data, {"bread": (3, 3), "soap": (3, 3)})))
    assert found["bread"] > 5 * found["soap"]


def test_items_that_few_bought_again_are_as_the_average() -> None:
    data = interactions([["tea"], ["tea"], ["rare"], ["rare"]] * 2, users=[0, 0, 1, 1] * 2, days=list(range(8)))
    arrays, _ = build(data, {"few": 3})
    assert arrays["repeat.lift"].tolist() == [1, 1]
    assert arrays["repeat.interval"][0] == arrays["repeat.interval"][1]


def test_nobody_known_nothing_repeated() -> None:
    for data in (interactions([["a"], ["a"]]), interactions([])):
        arrays, _ = build(data, {})
        source = Repeat.of(artefact(arrays), len(data.items))
        assert not len(source.candidates(NOBODY).items)
        assert np.isfinite(arrays["repeat.chance"]).all()


def test_a_table_of_other_items_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit 9 items"):
        Repeat.of(artefact(build(interactions([["a"]]), {})[0]), 9)
