"""A table in which anything but chance chose who was treated is refused; one of chance passes, as often as it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cashwrap.errors import InvalidInput
from cashwrap.history import write_facts
from cashwrap.learning.data import Column, Table
from cashwrap.learning.randomised import REFUSES, check_randomised, of_facts
from cashwrap.playbook import Playbook, examine
from engines import LIVE, Shop, TestClock, memory_world, shop_over


def table(n: int = 600, seed: int = 0, how: str = "chance", chance: float = 0.5) -> Table:
    """Shoppers with what they spent (sometimes unknown), their age and town; treated as ``how`` says."""
    rng = np.random.default_rng(seed)
    spent, age = rng.lognormal(3, 1, n), rng.normal(size=n)
    spent[rng.random(n) < 0.1] = np.nan
    town = rng.choice(list("abcde"), n).astype(object)
    rich = np.nan_to_num(spent) > 30
    chances = {
        "chance": np.full(n, chance),
        "high spenders": np.where(rich, 0.75, 0.35),
        "a town": np.where(town == "a", 0.8, 0.42),
        "the unknown": np.where(np.isnan(spent), 0.95, 0.45),
        "young and rich, or neither": np.where((age < 0) ^ rich, 0.7, 0.3),
        "too many": np.full(n, chance + 0.1),
    }
    return Table(
        columns=(Column("spent", "number", spent), Column("age", "number", age), Column("town", "category", town)),
        label=(rng.random(n) < 0.3).astype(float),
        time=np.arange(n),
        group=np.arange(n, dtype=np.int32),
        part=np.zeros(n, np.int8),
        explored=np.zeros(n, np.bool_),
        treated=(rng.random(n) < chances[how]).astype(np.int8),
        propensity=np.full(n, chance),
    )


def refused(data: Table) -> InvalidInput:
    with pytest.raises(InvalidInput) as told:
        check_randomised(data)
    return told.value


def test_chance_passes_and_is_refused_as_rarely_as_stated() -> None:
    found = [check_randomised(table(150, seed)) for seed in range(25)]
    for name in ("ratio_p", "joint_p", "learned_p"):
        values = np.array([getattr(each, name) for each in found])
        assert values.min() >= REFUSES
        assert 0.25 < np.mean(values) < 0.75  # a half, were it exact
    assert check_randomised(table(chance=0.2)).chances == (0.2, 0.2)


@pytest.mark.parametrize(
    ("how", "n", "names"),
    [
        ("high spenders", 600, "'spent'"),
        ("a town", 600, "'town'"),
        ("the unknown", 600, "'spent'"),
        ("young and rich, or neither", 3000, ""),
    ],
)
def test_whoever_was_chosen_is_refused(how: str, n: int, names: str) -> None:
    error = refused(table(n, how=how))
    assert error.code == "treatment_predictable"
    assert names in error.message


def test_other_sizes_than_were_due_are_refused() -> None:
    error = refused(table(how="too many"))
    assert error.code == "not_randomised"
    assert "50.0% were due" in error.message


def test_chances_that_changed_are_each_looked_at() -> None:
    """Half had 20 % and half 80 %: together they come to a half, as they would if it were the other way round."""
    data = table(2000)
    chance = np.where(np.arange(2000) < 1000, 0.2, 0.8)
    rng = np.random.default_rng(1)
    right = data._replace(treated=(rng.random(2000) < chance).astype(np.int8), propensity=chance)
    assert check_randomised(right).chances == (0.2, 0.8)
    assert refused(right._replace(propensity=1 - chance)).code == "not_randomised"


def test_what_does_not_say_enough_is_refused() -> None:
    data = table()
    assert "who was treated" in refused(data._replace(treated=None)).message
    assert "propensity: 0.5" in refused(data._replace(propensity=None)).message
    assert "nobody was treated" in refused(data._replace(treated=np.zeros(600, np.int8))).message
    assert "no chance" in refused(data._replace(propensity=np.where(np.arange(600) < 5, 0.0, 0.5))).message
    assert "no chance" in refused(data._replace(propensity=np.ones(600))).message
    assert "missing" in refused(data._replace(propensity=np.full(600, np.nan))).message
    assert "each arm needs" in refused(table(60)).message


def test_rows_of_one_shopper_are_one_unit() -> None:
    """Fifty times the same hundred shoppers prove nothing that a hundred do not."""
    data = table(200, 3)
    many = data._replace(
        columns=tuple(column._replace(values=np.repeat(column.values, 50)) for column in data.columns),
        treated=np.repeat(np.asarray(data.treated), 50),
        propensity=np.full(10_000, 0.5),
        group=np.repeat(data.group, 50),
    )
    assert check_randomised(many) == check_randomised(data)


# --- a shop's own experiment ---

MINUTE, DAY = 60_000, 86_400_000
TEXT = """
shop: {currency: EUR}
features:
  views: {count: Product Viewed, window: 30d}
placements:
  note: {component: message}
  side: {component: message}
offers:
  tenner: {benefit: {percent: 10}, limits: {total: 1000}}
experiences:
  less:
    in: note
    offer: tenner
    show: {text: {en: Ten percent off}}
    experiment: {arms: {control: 40%, main: 60%}, design: {window: 2d}}
  more:
    in: side
    show: {text: {en: Hello}}
    experiment: {control: 50%}
  all:
    in: side
    offer: tenner
    show: {text: {en: Ten percent off}}
"""
CART = {"items": [{"id": "mug-1", "quantity": 2, "price": 20}], "token": "cart-1"}


def playbook(text: str = TEXT) -> Playbook:
    found, faults = examine({"a.yaml": text})
    assert found is not None, faults
    return found


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), playbook()) as found:
        yield found


def meets(shop: Shop, name: str, views: int) -> str:
    """Consent, look at mugs, come to the offer; the arm."""
    who = {"anonymousId": name}
    shop.consents(who)
    shop.keeps(*(shop.views(who) for _ in range(views)))
    shop.clock.wait(minutes=1)
    shop.engine.offering.look()  # the clock went on, and what is left of limits is known for a moment only
    answer = shop.decide(shopper=who, context={"cart": CART, "currency": "EUR"}, placements=["note"])
    properties = {"token": answer["token"], "placement": "note"}
    shop.keeps(shop.event(event="Experience Viewed", properties=properties, **who))
    shop.clock.wait(minutes=1)
    arm: str = answer["placements"]["note"]["variation"]
    return arm


def learned(shop: Shop, folder: Path, experience: str = "less") -> Table:
    world = shop.engine.world
    write_facts(world, folder)
    return of_facts(world, folder, shop.engine.live.playbook, experience, LIVE)


def test_each_shopper_is_one_row_as_known_before_the_first_exposure(shop: Shop, tmp_path: Path) -> None:
    arms = {f"device-{number:04}": meets(shop, f"device-{number:04}", number + 1) for number in range(12)}
    assert set(arms.values()) == {"control", "main"}
    names = list(arms)
    shop.keeps(shop.views({"anonymousId": names[0]}))  # later than the exposure: nobody may know of it
    meets(shop, names[0], 3)
    shop.keeps(shop.orders({"anonymousId": names[1]}, "soon", 20.0), trusted=True)
    shop.keeps(shop.orders({"anonymousId": names[2]}, "off", 20.0), trusted=True)
    shop.keeps(shop.event(event="Order Cancelled", properties={"order_id": "off"}, anonymousId=names[2]), trusted=True)
    shop.consents({"anonymousId": names[3]}, personalization="denied", analytics="granted")
    shop.clock.wait(days=2.5)
    shop.keeps(shop.orders({"anonymousId": names[4]}, "late", 20.0), trusted=True)
    meets(shop, "device-new", 1)  # her two days are not over
    found = learned(shop, tmp_path)
    views = next(column.values for column in found.columns if column.name == "views")
    rows = {int(each) - 1: row for row, each in enumerate(views)}
    assert sorted(rows) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]  # all but who withdrew
    assert found.treated is not None
    assert found.propensity is not None
    assert found.seen is not None
    assert [found.treated[rows[each]] for each in sorted(rows)] == [
        arms[names[each]] == "main" for each in sorted(rows)
    ]
    assert [each for each in rows if found.label[rows[each]]] == [1]
    assert found.propensity == pytest.approx(np.full(11, 0.6))
    assert (found.seen <= found.time).all()
    assert len(found.subjects) == 11


@pytest.mark.parametrize(
    ("experience", "code"),
    [("more", "no_offer"), ("all", "no_experiment"), ("fewer", "no_such_experience"), ("less", "no_examples")],
)
def test_what_is_no_randomised_offer_is_refused(shop: Shop, tmp_path: Path, experience: str, code: str) -> None:
    with pytest.raises(InvalidInput) as told:
        learned(shop, tmp_path, experience)
    assert told.value.code == code


@pytest.mark.parametrize(
    "experiment",
    ["{control: 40%, unit: cart}", "{arms: {a: 50%, b: 50%}}"],
)
def test_carts_and_offers_for_everybody_are_refused(tmp_path: Path, experiment: str) -> None:
    show: Any = "show: {text: {en: Ten percent off}}"
    text = TEXT.replace("{arms: {control: 40%, main: 60%}, design: {window: 2d}}", experiment)
    if "arms" in experiment:
        both = "variations: {a: {text: {en: Ten}}, b: {text: {en: Twelve}}}"
        text = text.replace(show, both, 1)
    with shop_over(memory_world(TestClock()), playbook(text)) as shop, pytest.raises(InvalidInput) as told:
        learned(shop, tmp_path)
    assert told.value.code == "not_randomised"
