"""A shop laid out like a checkerboard: whoever looks at a white field goes on to the next white one, and so with black.

Sessions walk six fields of one colour in order, so that what follows is known by eye.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import recommending
from cashwrap.learning.data import TEST, TRAIN, Interactions
from cashwrap.learning.mapped import read_interactions
from cashwrap.learning.mapping import load_mapping
from cashwrap.learning.questions import Questions
from cashwrap.model import Inputs, Product, Tenant, Touch
from cashwrap.recommend.asked import NOBODY, Asked
from cashwrap.recommend.hybrid import Recommender
from cashwrap.recommend.visit import Earlier

FIELDS = 24
NAMES = tuple(f"{'white' if place % 2 else 'black'} {place}" for place in range(FIELDS))
ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CASHWRAP_DATA", ROOT.parent / "shared" / "data"))
CLICKS = DATA / "yoochoose_clicks_100k" / "clicks.csv.gz"


def quiet(_: float, __: str) -> None:
    """Hears nothing."""


def shop(sessions: int = 400, tested: float = 0.2, steps: int = 6) -> Interactions:
    """Walks over fields of one colour: ``start, start + 2, ...``."""
    start = np.random.default_rng(7).integers(0, FIELDS, sessions)
    item = ((start[:, None] + 2 * np.arange(steps)) % FIELDS).astype(np.int32).ravel()
    part = np.where(np.arange(sessions) < sessions * (1 - tested), TRAIN, TEST).astype(np.int8)
    return Interactions(
        items=NAMES,
        item=item,
        kind=np.zeros(len(item), np.int8),
        time=np.arange(len(item), dtype=np.int64) * 60_000,
        offsets=np.arange(sessions + 1, dtype=np.int64) * steps,
        user=np.full(sessions, -1, np.int32),
        part=part,
        explored=np.zeros(sessions, np.bool_),
        catalogue={name: Product(name, title=name, category=name.split()[0]) for name in NAMES},
    )


def looked(*items: int) -> Asked:
    """A visit."""
    ages = np.arange(len(items), 0, -1).astype(np.float32)
    return NOBODY._replace(recent=np.array(items, np.int32), kinds=np.zeros(len(items), np.int8), ages=ages)


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return recommending.fit(shop(), "next_item", {}, quiet)


def test_what_follows_on_the_board_is_first(artefact: Artefact) -> None:
    recommender = Recommender.of(artefact)
    assert recommender.recommend(looked(2, 4, 6), 1)[0].item == 8
    assert "blend.masks" in artefact.arrays, "trees were learned"
    ranked = recommending.ranked(artefact, shop(), "next_item", TEST)
    assert len(ranked.rank) == 80 * 5
    assert (ranked.rank == 1).mean() > 0.95
    assert not ranked.seen.any()
    assert ranked.length is not None
    assert ranked.length[:5].tolist() == [1, 2, 3, 4, 5]


def test_every_place_says_its_source_and_a_source_can_be_asked_alone(artefact: Artefact) -> None:
    recommender = Recommender.of(artefact)
    found = recommender.recommend(looked(2, 4), 10)
    assert {each.source for each in found} <= set(recommender.names)
    assert found[0].source in {"session", "follows"}
    assert {each.source for each in recommender.recommend(looked(2, 4), 5, "session")} == {"session"}
    assert recommender.recommend(looked(2, 4), 5, "seen")[0].item == 4
    assert recommender.recommend(looked(2, 4), 5, "nobody") == []


def test_who_is_not_known_gets_what_is_popular(artefact: Artefact) -> None:
    found = Recommender.of(artefact).recommend(NOBODY, 20)
    assert len(found) == 20
    assert {each.source for each in found} <= {"popular", "trending"}


def test_what_is_in_the_cart_is_never_suggested(artefact: Artefact) -> None:
    asked = looked(2, 4)._replace(basket=np.array([6, 8], np.int32))
    recommender = Recommender.of(artefact)
    for source in ("recommended", *recommender.names):
        assert not {6, 8} & {each.item for each in recommender.recommend(asked, 50, source)}


def test_the_same_data_makes_the_same_model_and_files_change_nothing(artefact: Artefact, tmp_path: Path) -> None:
    again = recommending.fit(shop(), "next_item", {}, quiet)
    arrays = {}
    for name, array in again.arrays.items():
        assert np.array_equal(array, artefact.arrays[name]), name
        np.save(tmp_path / f"{name}.npy", array)
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    first, second = (
        Recommender.of(artefact),
        Recommender.of(Artefact("recommender", arrays, again.texts, again.settings)),
    )
    for item in range(FIELDS):
        assert first.recommend(looked(item), 20) == second.recommend(looked(item), 20)


def test_an_index_that_does_not_fit_is_not_loaded(artefact: Artefact) -> None:
    for name in ("session.rarity", "blend.shares", "category.of"):
        arrays = {**artefact.arrays, name: artefact.arrays[name][:-1]}
        with pytest.raises(ValueError, match="fit"):
            Recommender.of(Artefact("recommender", arrays, artefact.texts, artefact.settings))


def test_a_question_is_what_the_inputs_know(artefact: Artefact) -> None:
    inputs = Inputs(
        now=600_000,
        tenant=Tenant("shop", "test"),
        values={},
        level="profile",
        mask=0,
        placements=None,
        basket=(NAMES[3], "gone"),
        touched=(Touch("gone", "view", 0, "a"), Touch(NAMES[5], "add", 540_000, "b")),
        bought=((NAMES[7], -86_400_000 + 600_000, 2), ("gone", 0, 1)),
        earlier=(Touch(NAMES[2], "view", -86_400_000 + 600_000, "c"), Touch("gone", "view", 0, "d")),
    )
    asked = Recommender.of(artefact).question(inputs, 600_000)
    assert [asked.recent.tolist(), asked.kinds.tolist(), asked.ages.tolist()] == [[5], [1], [60.0]]
    assert [asked.basket.tolist(), asked.bought.tolist()] == [[3], [7]]
    assert [asked.bought_days.tolist(), asked.bought_times.tolist()] == [[1.0], [2]]
    assert [asked.earlier.tolist(), asked.earlier_days.tolist()] == [[2], [1.0]]


def test_a_model_that_knows_other_items_is_asked_in_its_own_numbers(artefact: Artefact) -> None:
    data = shop()
    turned = data._replace(items=tuple(reversed(NAMES)), item=(FIELDS - 1 - data.item).astype(np.int32))
    ours, theirs = (recommending.ranked(artefact, each, "next_item", TEST) for each in (data, turned))
    assert np.array_equal(ours.rank, theirs.rank)
    assert np.array_equal(ours.items[ours.items >= 0], FIELDS - 1 - theirs.items[theirs.items >= 0])


def test_baselines_answer_the_same_questions() -> None:
    found = recommending.baselines(shop(200), "next_item", TEST)
    assert list(found) == ["popular", "item_knn", "vsknn"]
    assert len({tuple(each.cluster.tolist()) for each in found.values()}) == 1
    assert (found["vsknn"].rank == 0).sum() < (found["popular"].rank > 5).sum()


def test_the_search_is_bounded_and_its_settings_fit() -> None:
    settings, trials = recommending.search(shop(300), "next_item", quiet)
    assert 10 < len(trials) < 40
    assert max(trial.value for trial in trials if "session" in trial.settings) == next(
        trial.value for trial in trials if trial.settings == {"session": settings["session"]}
    )
    assert recommending.fit(shop(300), "next_item", settings, quiet).settings["session"] == settings["session"]


def test_a_basket_is_completed() -> None:
    artefact = recommending.fit(shop(), "basket", {}, quiet)
    ranked = recommending.ranked(artefact, shop(), "basket", TEST)
    assert len(ranked.rank) == 80 * 6, "every item of every order is hidden once"
    assert ((ranked.rank > 0) & (ranked.rank <= 3)).mean() > 0.9


def test_what_cannot_be_learned_from_is_said() -> None:
    data = shop(20)
    for one, code in (
        (data._replace(part=np.full(20, TEST, np.int8)), "no_interactions"),
        (data._replace(item=np.zeros_like(data.item)), "too_few_items"),
    ):
        with pytest.raises(InvalidInput) as caught:
            recommending.search(one, "next_item", quiet)
        assert caught.value.code == code
        with pytest.raises(InvalidInput) as caught:
            recommending.fit(one, "basket", {}, quiet)
        assert caught.value.code == code


def test_a_handful_of_sessions_is_enough_for_an_answer() -> None:
    artefact = recommending.fit(shop(6, 0.0), "next_item", {}, quiet)
    assert "blend.masks" not in artefact.arrays, "too little to learn trees from"
    assert Recommender.of(artefact).recommend(looked(2), 5)


def test_the_longest_session_is_cut() -> None:
    data = shop(2, 0.0)
    item = np.concatenate((data.item, np.random.default_rng(1).integers(0, FIELDS, 100_000).astype(np.int32)))
    data = data._replace(
        item=item,
        kind=np.zeros(len(item), np.int8),
        time=np.arange(len(item), dtype=np.int64),
        offsets=np.append(data.offsets, len(item)),
        user=np.full(3, -1, np.int32),
        part=np.zeros(3, np.int8),
        explored=np.zeros(3, np.bool_),
    )
    artefact = recommending.fit(data, "next_item", {}, quiet)
    assert len(artefact.arrays["session.items"]) == 6 + 6 + 30
    assert len(Questions(data, "next_item").ask(2, len(item) - 1).recent) == 50


def test_only_targets_are_asked_for_and_earlier_orders_are_known() -> None:
    data = shop(3, 0.0, steps=3)._replace(targets=(0,), user=np.array([5, -1, 5], np.int32))
    kind = data.kind.copy()
    kind[[1, 2]] = 2
    kind[3] = 1
    questions = Questions(data._replace(kind=kind), "next_item")
    assert questions.chosen(np.ones(3, np.bool_)).row.tolist() == [5, 7, 8]
    asked = questions.ask(2, 7)
    assert sorted(asked.bought.tolist()) == sorted(data.item[[1, 2]].tolist())
    assert asked.ages.tolist() == [0.0], "how long the last was looked at is not known yet"
    assert asked.earlier.tolist() == data.item[:3].tolist(), "the first session is the same shopper's"
    assert not len(questions.ask(1, 5).earlier)


def test_who_comes_back_goes_on_where_they_were() -> None:
    earlier = np.array([4, 2, 4], np.int32)
    found = Earlier().candidates(NOBODY._replace(earlier=earlier, earlier_days=np.array([1, 1, 0], np.float32)))
    assert dict(zip(found.items.tolist(), found.scores.tolist(), strict=True)) == pytest.approx(
        {2: 1 / 4, 4: 1 / 6 + 1}
    )
    assert not len(Earlier().candidates(NOBODY).items)


def test_a_catalogue_out_of_the_file_does_not_tell_of_the_test() -> None:
    data = shop(60)
    item = data.item.copy()
    item[: 48 * 6][item[: 48 * 6] == 4] = 5  # 4 is in the test alone
    artefact = recommending.fit(data._replace(item=item), "next_item", {}, quiet)
    recommender = Recommender.of(artefact)
    for place in set(range(FIELDS)) - {4}:
        assert 4 not in {each.item for each in recommender.recommend(looked(place), FIELDS)}
    assert recommender.recommend(looked(2, 4), FIELDS, "seen")[0].item == 4, "what was looked at is known all the same"


@pytest.mark.data
@pytest.mark.skipif(not CLICKS.exists(), reason="the real data is not here")
def test_clicks_of_a_real_shop_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the sessions, and fewer questions to learn the blend from: quick, and not much worse."""
    monkeypatch.setattr(recommending, "LEARNED_FROM", 600)
    data = read_interactions(load_mapping(Path("yoochoose")), CLICKS)
    settings = {"session": {"fade": 1.2, "rare": 2.0}, "blend": {"rounds": 10}}
    artefact = recommending.fit(data, "next_item", settings, quiet)
    few = data._replace(part=np.where(np.arange(data.sessions) % 16 == 0, data.part, TRAIN).astype(np.int8))
    rank = recommending.ranked(artefact, few, "next_item", TEST).rank
    assert len(rank) > 400
    assert ((rank > 0) & (rank <= 20)).mean() > 0.62
