"""Whoever is forgotten is in no model any more: no digest, no row, and the model is due (I6)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.adapters.model_folder import FolderModels
from cashwrap.errors import DiskFull, InvalidInput
from cashwrap.learned import registry, subjects
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.files import SUBJECTS, opened, subjects_of, verify
from cashwrap.learned.forgetting import dues_of, forget, holding
from cashwrap.learned.subjects import arranged, digests_of, places_of, without
from cashwrap.recommend import neighbours
from cashwrap.request import ShopperRef
from cashwrap.serve.admin import Handlers
from cashwrap.shoppers import learned_from
from cashwrap.world import World
from engines import LIVE, shop_over
from learned_world import artefact, kept, world_with

PEOPLE = tuple(bytes([number]) * 16 for number in range(1, 5))
Sessions = list[tuple[int, list[int]]]
"""Of each session whose it is (-1 nobody's) and its items."""
ITEMS = 5


def index(sessions: Sessions) -> dict[str, Any]:
    """Sessions as neighbours read them."""
    lengths = [len(items) for _, items in sessions]
    postings: list[list[int]] = [[] for _ in range(ITEMS)]
    for session, (_, items) in enumerate(sessions):
        for place, item in enumerate(items):
            postings[item].append((session << subjects.SHIFT) | place)
    return {
        "session.user": np.array([who for who, _ in sessions], np.int32),
        "session.offsets": np.append(0, np.cumsum(lengths)).astype(np.int64),
        "session.items": np.array([item for _, items in sessions for item in items], np.int32),
        "session.worth": np.ones(len(sessions), np.float32),
        "session.starts": np.append(0, np.cumsum([len(each) for each in postings])).astype(np.int64),
        "session.postings": np.array([each for part in postings for each in part], np.int64),
        "session.rarity": np.ones(ITEMS, np.float32),
    }


def read(arrays: Any) -> tuple[Sessions, list[list[tuple[int, int]]]]:
    """Sessions and postings again, as one reads them who knows the format."""
    offsets, starts = arrays["session.offsets"], arrays["session.starts"]
    sessions = [
        (int(who), arrays["session.items"][offsets[at] : offsets[at + 1]].tolist())
        for at, who in enumerate(arrays["session.user"])
    ]
    listed = [
        [
            (int(key) >> subjects.SHIFT, int(key) & 255)
            for key in arrays["session.postings"][starts[item] : starts[item + 1]]
        ]
        for item in range(ITEMS)
    ]
    return sessions, listed


drawn = st.lists(st.tuples(st.integers(-1, 3), st.lists(st.integers(0, ITEMS - 1), max_size=4)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(drawn, st.permutations(range(4)), st.sets(st.integers(0, 3)))
def test_rows_go_as_a_naive_index_without_them_says(sessions: Sessions, order: list[int], gone: set[int]) -> None:
    digests = [100 * (1 + each) for each in order]
    made, ascending = arranged(Artefact("recommender", index(sessions), {}, {}), digests)
    places = places_of(ascending, [digests[each] for each in gone] + [7])
    changed, left = without(made.arrays, ascending, places)
    assert set(left.tolist()) == {digests[each] for each in range(4)} - {digests[each] for each in gone}
    found, listed = read({**made.arrays, **changed})
    named = left.tolist()
    for (who, items), (place, remain) in zip(sessions, found, strict=True):
        if who in gone:
            assert (place, remain) == (-1, [])
        else:
            assert remain == items
            assert (named[place] if place >= 0 else -1) == (digests[who] if who >= 0 else -1)
    assert listed == read(index([(-1, [] if who in gone else items) for who, items in sessions]))[1]


def test_sessions_of_a_file_are_nobodys() -> None:
    made = Artefact("recommender", index([(0, [1]), (7, [2])]), {}, {})
    assert "session.user" not in arranged(made, [])[0].arrays
    with pytest.raises(InvalidInput):
        arranged(made, [5, 6])


def test_postings_are_packed_as_neighbours_pack_them() -> None:
    assert subjects.SHIFT == neighbours.SHIFT
    changed, _ = without(index([(0, [1, 2]), (1, [2, 3])]), np.array([5, 6], "<u8"), np.array([0]))
    arrays = {**index([(0, [1, 2]), (1, [2, 3])]), **changed}
    assert neighbours.Index.of(arrays, ITEMS).items.tolist() == [2, 3]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_with(FolderModels(tmp_path / "models"))


def registered(world: World, sessions: Sessions, name: str = "next_item") -> str:
    return kept(world, name=name, artefact=artefact(**index(sessions)), subjects=PEOPLE)


def traces(world: World, folder: Path, person: int) -> bool:
    """Whether any file holds somebody's digest."""
    (digest,) = digests_of(world.vault, LIVE, [PEOPLE[person]])
    mark = digest.to_bytes(8, "little")
    return any(mark in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_who_is_forgotten_is_in_no_file(world: World, tmp_path: Path) -> None:
    version = registered(world, [(0, [1, 2]), (1, [4, 3]), (0, [0])])
    other = registered(world, [(1, [1, 2])], name="basket")
    counted = kept(world, name="abandon_propensity", subjects=PEOPLE[1:])
    assert traces(world, tmp_path, 0)
    found = {f"next_item@{version}", f"basket@{other}"}
    assert set(holding(world, LIVE, [PEOPLE[0]])) == found
    assert set(forget(world, LIVE, [PEOPLE[0]])) == found
    assert holding(world, LIVE, [PEOPLE[0]]) == []
    assert not traces(world, tmp_path, 0)
    assert traces(world, tmp_path, 1)
    assert world.models is not None
    manifest, left = opened(world.models, world.vault, LIVE, "next_item", version)
    assert read(left.arrays)[0] == [(-1, []), (read(left.arrays)[0][1][0], [4, 3]), (-1, [])]
    assert verify(world.models, world.vault, LIVE, "next_item", version) == []
    assert set(manifest.files) == {
        path.name for path in world.models.path(LIVE, "next_item", version, SUBJECTS).parent.iterdir()
    } - {"manifest.json"}
    due = dues_of(world.registry)
    assert {key[2]: each.shoppers for key, each in due.items()} == {version: 1, other: 1}
    assert forget(world, LIVE, [PEOPLE[1], PEOPLE[2]]) != []
    assert dues_of(world.registry)[LIVE.name, "next_item", version].shoppers == 3
    assert dues_of(world.registry)[LIVE.name, "abandon_propensity", counted].shoppers == 2
    assert {each.version for each in registry.listed(world, LIVE) if each.due is not None} == {version, other, counted}


def test_what_was_being_trained_meanwhile_is_cleaned_too(world: World, tmp_path: Path) -> None:
    assert forget(world, LIVE, [PEOPLE[0]]) == []
    version = registered(world, [(0, [1, 2]), (1, [4, 3])])
    assert not traces(world, tmp_path, 0)
    assert dues_of(world.registry)[LIVE.name, "next_item", version].shoppers == 1
    world.clock.wait(days=9)  # type: ignore[attr-defined]
    forget(world, LIVE, [PEOPLE[3]])
    assert len(world.registry.documents("forgotten subjects")) == 1, "a training takes no week"


def test_a_model_that_cannot_be_cleaned_goes(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version, broken = registered(world, [(0, [1, 2])]), registered(world, [(0, [1])], name="basket")
    assert world.models is not None
    world.models.path(LIVE, "basket", broken, "session.items.npy").write_bytes(b"damaged")
    nobodys = {name: array for name, array in index([(0, [1])]).items() if name != "session.user"}
    kept(world, name="other", artefact=artefact(**nobodys), subjects=PEOPLE)
    assert len(forget(world, LIVE, [PEOPLE[0]])) == 3
    assert world.models.versions(LIVE) == {"next_item": [version]}
    assert "is removed" in caplog.text
    assert not traces(world, tmp_path, 0)


def test_on_a_full_disk_it_goes_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(world, [(0, [1, 2])])
    models = world.models
    assert models is not None

    def full(*_: object) -> None:
        raise DiskFull("no room")

    monkeypatch.setattr(models, "rewrite", full)
    assert len(forget(world, LIVE, [PEOPLE[0]])) == 1
    assert models.versions(LIVE) == {}


def test_nobody_else_is_touched(world: World) -> None:
    version = registered(world, [(0, [1, 2])])
    assert world.models is not None
    before = world.models.path(LIVE, "next_item", version, SUBJECTS)
    assert forget(world, LIVE, [b"?" * 16]) == []
    assert world.models.path(LIVE, "next_item", version, SUBJECTS) == before
    assert len(subjects_of(world.models, LIVE, "next_item", version)) == 4


def test_forgetting_a_shopper_reaches_the_models(world: World) -> None:
    with shop_over(world) as shop:
        people = {}
        for name in ("ada", "bob"):
            shop.consents({"anonymousId": name})
            shop.keeps(shop.views({"anonymousId": name}))
            profile = shop.profile(anonymous=name)
            assert profile is not None
            people[name] = profile
        ids = tuple(each.analytic_id for each in people.values())
        version = kept(world, artefact=artefact(**index([(0, [1, 2]), (1, [3])])), subjects=ids)
        caller, ref = shop.caller(trusted=True), ShopperRef(anonymous_id="ada")
        ada = shop.engine.find(ref, caller)
        assert learned_from(shop.engine, ada, LIVE) == [f"next_item@{version}"]
        told = Handlers(shop.engine)._forget(ref, caller)
        assert told == {"forgotten": True, "models": [f"next_item@{version}"]}
        assert learned_from(shop.engine, ada, LIVE) == []
    assert holding(world, LIVE, ids[:1]) == []
    assert holding(world, LIVE, ids[1:]) == [f"next_item@{version}"]
