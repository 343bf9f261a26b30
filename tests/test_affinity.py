"""The category that a visit goes on in: learned from visits whose rule is known."""

from typing import Any

import msgspec
import numpy as np
import pytest

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.extras import answering
from cashwrap.learning.affinity import asking, baselines, evaluate, fit, questions, ranked
from cashwrap.learning.data import TEST, Interactions
from cashwrap.model import Inputs, Product, Tenant, Touch
from cashwrap.propensity import Affinity
from cashwrap.propensity.affinity import Visit
from cashwrap.recommend.asked import ADD, ORDER, VIEW

CATEGORIES = ("mugs", "tea", "hats", "socks")


def quiet(_: float, __: str) -> None:
    """Nobody listens."""


def visits(walks: list[list[str]], *, kind: int = VIEW, test: float = 0.3) -> Interactions:
    """Visits that walk through categories; each has one item of its name."""
    items = (*CATEGORIES, "nowhere")
    places = [items.index(each) for walk in walks for each in walk]
    part = np.zeros(len(walks), np.int8)
    part[int(len(walks) * (1 - test)) :] = TEST
    return Interactions(
        items=items,
        item=np.array(places, np.int32),
        kind=np.full(len(places), kind, np.int8),
        time=np.arange(len(places), dtype=np.int64),
        offsets=np.cumsum([0, *map(len, walks)]).astype(np.int64),
        user=np.arange(len(walks), dtype=np.int32) % 50,
        part=part,
        explored=np.arange(len(walks)) % 10 == 0,
        catalogue={each: Product(each, category=each.upper()) for each in CATEGORIES},
    )


def by_rule(count: int = 200) -> Interactions:
    """Mugs are followed by tea, hats by socks, and all else by anything."""
    rng = np.random.default_rng(2)
    walks = []
    for _ in range(count):
        walk = [str(rng.choice(CATEGORIES))]
        for _ in range(4):
            walk.append({"mugs": "tea", "hats": "socks"}.get(walk[-1]) or str(rng.choice(CATEGORIES)))
        walks.append(walk)
    return visits(walks)


@pytest.fixture(scope="module")
def made() -> tuple[Interactions, Artefact]:
    data = by_rule()
    return data, fit(data, quiet)


def asked(*touched: str, basket: tuple[str, ...] = (), bought: tuple[str, ...] = ()) -> Inputs:
    return Inputs(
        now=0, tenant=Tenant("shop", "live"), values={}, level="profile", mask=0, placements=None, basket=basket,
        touched=tuple(Touch(product, "view", at, str(at)) for at, product in enumerate(touched)),
        bought=tuple((product, 0, 1) for product in bought),
    )  # fmt: skip


def test_a_rule_is_found_and_beats_the_last_category(made: tuple[Interactions, Artefact]) -> None:
    data, artefact = made
    found = evaluate(ranked(artefact, data, TEST), baselines(data, TEST), data, 1)
    assert found.main == "accuracy"
    assert found.count == 60 * 4
    assert set(found.baselines) == {"last_category", "most_popular"}
    assert all(each.low > 0 for each in found.versus if each.metric == "accuracy")
    assert {each.name for each in found.slices} == {
        "goes on in the same category", "goes on in another category", "the holdout",
    }  # fmt: skip


def test_nothing_is_better_where_there_is_nothing_to_find() -> None:
    """Shoppers who stay where they are: no model is right more often than the last category."""
    rng = np.random.default_rng(3)
    data = visits([[str(rng.choice(CATEGORIES))] * 4 for _ in range(300)])
    found = evaluate(ranked(fit(data, quiet), data, TEST), baselines(data, TEST), data, 1)
    last = [each for each in found.versus if each.baseline == "last_category" and each.metric == "accuracy"]
    assert [(each.ours, each.theirs, each.low <= 0) for each in last] == [(1.0, 1.0, True)]


def test_a_server_is_answered_by_the_same_rule(made: tuple[Interactions, Artefact]) -> None:
    _, artefact = made
    model = answering(artefact)
    assert isinstance(model, Affinity)
    assert model.category(asked("tea", "mugs")) == "TEA"
    assert model.category(asked("mugs", "hats")) == "SOCKS"
    place = {name: at for at, name in enumerate(model.categories)}
    visit = Visit([place["TEA"], place["MUGS"]])
    assert model.categories[model.ranked(visit)[0]] == "TEA"
    assert model.category(asked(basket=("mugs",))) is not None
    assert model.category(asked(bought=("tea",))) is not None


def test_nothing_is_told_of_who_did_nothing_that_is_known(made: tuple[Interactions, Artefact]) -> None:
    model = Affinity.of(made[1])
    assert model.category(asked()) is None
    assert model.category(asked("new", "nowhere")) is None
    assert model.category(asked("mugs", "new")) == "TEA"


def test_a_question_knows_nothing_of_what_comes_after(made: tuple[Interactions, Artefact]) -> None:
    data, _ = made
    kind = data.kind.copy()
    kind[1], kind[3] = ADD, ORDER
    category = np.array([0, 1, 2, 3, -1])
    items = data.item.copy()
    items[:5] = [0, 1, 4, 2, 3]
    found = list(questions(data._replace(kind=kind, item=items), category, np.array([0, 50])))
    first = [each for each in found if each.session == 0]
    assert [(each.visit.touched, each.came) for each in first] == [([0], 1), ([0, 1], 2), ([0, 1, 2], 3)]
    assert [set(each.visit.cart) for each in first] == [set(), {1}, {1}]
    assert [set(each.visit.bought) for each in first] == [set(), set(), {2}]
    later = [each for each in found if each.session == 50]
    assert data.user[50] == data.user[0]
    assert all(set(each.visit.bought) == {2} for each in later)


def test_only_the_kinds_that_a_test_asks_for_are_asked(made: tuple[Interactions, Artefact]) -> None:
    data = made[0]._replace(targets=(ORDER,))
    assert list(questions(data, np.arange(5), np.arange(3))) == []


def test_the_same_data_make_the_same_model(made: tuple[Interactions, Artefact]) -> None:
    again = fit(made[0], quiet)
    assert again.texts == made[1].texts
    assert all(np.array_equal(again.arrays[name], array) for name, array in made[1].arrays.items())
    assert {array.dtype.kind for array in again.arrays.values()} <= set("if")
    assert msgspec.json.decode(again.texts["categories"]) == [each.upper() for each in CATEGORIES]


def test_the_test_part_changes_nothing(made: tuple[Interactions, Artefact]) -> None:
    data, artefact = made
    tested = np.repeat(data.part == TEST, np.diff(data.offsets))
    other = fit(data._replace(item=np.where(tested, 3 - data.item, data.item).astype(np.int32)), quiet)
    assert all(np.array_equal(other.arrays[name], array) for name, array in artefact.arrays.items())


def test_questions_to_be_timed(made: tuple[Interactions, Artefact]) -> None:
    data, artefact = made
    calls = asking(artefact, data, 5)
    assert len(calls) == 5
    assert all(isinstance(call(), list) for call in calls)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (visits([["mugs", "tea"]] * 20), "too_few_examples"),
        (visits([["mugs"]] * 500), "too_few_examples"),
        (visits([["nowhere", "nowhere"]] * 500), "too_few_examples"),
        (visits([["mugs", "tea"]] * 500)._replace(catalogue={}), "no_categories"),
        (visits([]), "too_few_examples"),
    ],
)
def test_bad_input(data: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        fit(data, quiet)
    assert refused.value.code == code


def test_nothing_to_test_on(made: tuple[Interactions, Artefact]) -> None:
    data = made[0]._replace(part=np.zeros_like(made[0].part))
    assert evaluate(ranked(made[1], data, TEST), baselines(data, TEST), data, 1).count == 0


def test_a_test_of_many_visits_asks_some(made: tuple[Interactions, Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.learning.affinity.MOST_VISITS", 7)
    data, artefact = made
    ours = ranked(artefact, data, TEST)
    assert len(np.unique(ours.session)) == 7
    assert all(np.array_equal(each.session, ours.session) for each in baselines(data, TEST).values())
