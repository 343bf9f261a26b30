"""Models as decisions ask them: whatever is broken answers nothing, what changes is seen, shadows stay silent."""

import logging
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace

from cashwrap.adapters.model_folder import FolderModels
from cashwrap.learned import extras, registry, serving
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.forgetting import forget
from cashwrap.learned.serving import REMEMBERED, STEP, Models
from cashwrap.learned.shadow import shadow_of
from cashwrap.learned.shadowing import SHARE
from cashwrap.model import Inputs, Suggested, Tenant, Touch
from cashwrap.predicting import Learned
from cashwrap.world import World
from engines import LIVE
from learned_world import artefact, kept, world_with

INPUTS = Inputs(now=1_000_000, tenant=LIVE, values={}, level="request", mask=0, placements=None, basket=("mug",))


class Chance:
    """A predictor that says what its artefact holds."""

    def __init__(self, made: Artefact) -> None:
        self.says = float(made.arrays["says"][0])

    def predict(self, values: Any) -> float:
        if values.get("breaks"):
            raise ValueError("no such column")
        return self.says


class Found(NamedTuple):
    item: int
    source: str


class Lists:
    """A recommender that says what its artefact holds, and counts how often it is asked."""

    def __init__(self, made: Artefact) -> None:
        self.items = ("mug", "pot", "cup")
        self.says = made.arrays["says"].tolist()
        self.asked = 0

    def question(self, inputs: Inputs, now: int) -> tuple[Inputs, int]:
        return inputs, now

    def recommend(self, asked: tuple[Inputs, int], limit: int, source: str) -> list[Found]:
        self.asked += 1
        if source == "breaks":
            raise IndexError("no such row")
        return [Found(item, source) for item in self.says][:limit]


def answers(made: Artefact) -> Any:
    if made.texts.get("broken"):
        raise ValueError("the arrays do not fit")
    return Lists(made) if made.kind == "recommender" else Chance(made)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(serving, "answering", answers)
    return world_with(FolderModels(tmp_path / "models"))


def chance(world: World, says: float, name: str = "abandon_propensity", **more: Any) -> str:
    return kept(world, name=name, artefact=artefact("predictor", says=np.array([says])), **more)


def lists(world: World, *says: int, **more: Any) -> str:
    return kept(world, name="basket", artefact=artefact(says=np.array(says, np.int32)), **more)


def live(world: World, name: str, version: str) -> None:
    registry.promote(world, LIVE, name, version, "trusted")


def test_what_is_live_answers_and_the_rest_does_not(world: World) -> None:
    first, second = chance(world, 0.25), chance(world, 0.5)
    models = Models(world)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    live(world, "abandon_propensity", first)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None, "until the next refresh"
    models.refresh()
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.25
    assert models.of(LIVE).version("abandon_propensity", "live") == first
    registry.candidate(world, LIVE, "abandon_propensity", second, "trusted")
    models.refresh()
    assert models.of(LIVE).predict("abandon_propensity", "candidate", {}) == 0.5
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.25
    for other in (Tenant("default", "test"), Tenant("other", "live")):
        assert models.of(other).predict("abandon_propensity", "live", {}) is None
        assert models.of(other).version("abandon_propensity", "live") is None


def test_it_is_what_decisions_ask() -> None:
    learned: Learned = Models(world_with()).of(LIVE)
    assert learned.suggest("basket", "live", "recommended", INPUTS) == ()
    assert learned.next_category("live", INPUTS) is None


def test_a_stamp_changes_with_what_answers_and_only_then(world: World) -> None:
    models = Models(world)
    stamps = [models.stamp(LIVE)]
    first, second = chance(world, 0.25), chance(world, 0.5)
    for change in (first, second):
        live(world, "abandon_propensity", change)
        models.refresh()
        stamps.append(models.stamp(LIVE))
    answering = models.of(LIVE)
    models.refresh()
    assert models.of(LIVE) is answering, "nothing changed"
    registry.rollback(world, LIVE, "abandon_propensity")
    models.refresh()
    assert len({*stamps, models.stamp(LIVE)}) == 4
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.25


def test_suggestions_are_remembered_for_a_minute(world: World) -> None:
    live(world, "basket", lists(world, 1, 2))
    models = Models(world).of(LIVE)
    asked = models.roles["basket", "live"].answers
    touched = replace(INPUTS, touched=(Touch("mug", "view", 999_000, "1"),))
    expected = [Suggested("pot", "recommended"), Suggested("cup", "recommended")]
    for _ in range(3):
        assert list(models.suggest("basket", "live", "recommended", INPUTS)) == expected
        assert (
            list(models.suggest("basket", "live", "recommended", replace(INPUTS, now=INPUTS.now + 9 * STEP)))
            == expected
        )
    assert asked.asked == 1, "a cart has no age"
    for now in (STEP * 17 + 1, STEP * 18, STEP * 18 + 1):
        models.suggest("basket", "live", "recommended", replace(touched, now=now))
    assert asked.asked == 3
    models.suggest("basket", "live", "together", INPUTS)
    models.suggest("basket", "live", "recommended", replace(INPUTS, basket=("pot",)))
    assert asked.asked == 5
    for number in range(REMEMBERED * 2):
        models.suggest("basket", "live", "recommended", replace(INPUTS, basket=(f"{number}",)))
    assert len(models.roles["basket", "live"].remembered) <= REMEMBERED


def test_an_answer_that_fails_is_none_and_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    live(world, "abandon_propensity", chance(world, 0.25))
    live(world, "basket", lists(world, 1))
    models = Models(world)
    for _ in range(3):
        assert models.of(LIVE).predict("abandon_propensity", "live", {"breaks": True}) is None
        assert models.of(LIVE).suggest("basket", "live", "breaks", INPUTS) == ()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert {(each.model, each.failed) for each in models.status(LIVE)} == {("abandon_propensity", 3), ("basket", 3)}
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.25


def damage(world: World, name: str, version: str) -> None:
    assert world.models is not None
    path = world.models.path(LIVE, name, version, "says.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def test_a_broken_live_model_falls_back_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (chance(world, says) for says in (0.1, 0.2, 0.3))
    for version in (first, second, third):
        live(world, "abandon_propensity", version)
    damage(world, "abandon_propensity", second)
    damage(world, "abandon_propensity", third)
    models = Models(world)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.1
    assert models.of(LIVE).version("abandon_propensity", "live") == first
    (status,) = models.status(LIVE)
    assert (status.version, status.answering, status.code) == (third, first, "model_corrupt")
    for _ in range(3):
        world.clock.wait(minutes=2)  # type: ignore[attr-defined]
        models.refresh()
    assert len(caplog.records) == 2, "each is told once"
    damage(world, "abandon_propensity", first)
    models = Models(world)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    assert models.status(LIVE)[0].answering == ""


def test_a_broken_candidate_is_no_candidate(world: World) -> None:
    first, second = chance(world, 0.1), chance(world, 0.2)
    live(world, "abandon_propensity", first)
    registry.candidate(world, LIVE, "abandon_propensity", second, "trusted")
    damage(world, "abandon_propensity", second)
    models = Models(world).of(LIVE)
    assert models.version("abandon_propensity", "candidate") is None
    assert models.predict("abandon_propensity", "candidate", {}) is None
    assert models.predict("abandon_propensity", "live", {}) == 0.1


def test_arrays_that_fit_nothing_are_left_out(world: World) -> None:
    strange = Artefact("predictor", {}, {"broken": "yes"}, {})
    live(world, "abandon_propensity", kept(world, name="abandon_propensity", artefact=strange))
    models = Models(world)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    assert models.status(LIVE)[0].code == "model_format"


def test_what_was_mended_is_tried_again(world: World) -> None:
    version = chance(world, 0.1)
    live(world, "abandon_propensity", version)
    assert world.models is not None
    path = world.models.path(LIVE, "abandon_propensity", version, "says.npy")
    sound = path.read_bytes()
    damage(world, "abandon_propensity", version)
    models = Models(world)
    path.write_bytes(sound)
    models.refresh()
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    world.clock.wait(minutes=2)  # type: ignore[attr-defined]
    models.refresh()
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.1


def test_an_engine_without_numpy_starts_and_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live(world, "abandon_propensity", chance(world, 0.1))

    def missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(extras, "import_module", missing)
    models = Models(world)
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    assert models.status(LIVE)[0].code == "extra_missing"


def test_roles_that_cannot_be_read_change_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    live(world, "abandon_propensity", chance(world, 0.1))
    models = Models(world)
    world.registry.put("model", "default/live/other", b'{"newer": true}')
    models.refresh()
    assert "models stay as they are" in caplog.text
    assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.1


def test_a_shadow_is_counted_and_never_seen(world: World) -> None:
    live(world, "abandon_propensity", chance(world, 0.25))
    shadow = chance(world, 0.75)
    live(world, "basket", lists(world, 1, 2))
    listed = lists(world, 2, 0)
    models = Models(world)
    for _ in range(SHARE * 10):
        assert models.of(LIVE).predict("abandon_propensity", "live", {}) == 0.25
        assert models.of(LIVE).suggest("basket", "live", "recommended", INPUTS)[0].product == "pot"
        models.of(LIVE).suggest("basket", "live", "breaks", INPUTS)
    models.flush(ending=True)
    told = shadow_of(world.registry, LIVE, "abandon_propensity", shadow)
    assert (told.asked, told.failed, told.agreement) == (10, 0, 0.5)
    told = shadow_of(world.registry, LIVE, "basket", listed)
    assert (told.asked, told.failed) == (20, 20 - told.compared)
    assert told.agreement == 0.5


def test_a_shadow_is_asked_where_nothing_is_live_yet(world: World) -> None:
    shadow = chance(world, 0.75)
    models = Models(world)
    for _ in range(SHARE * 3):
        assert models.of(LIVE).predict("abandon_propensity", "live", {}) is None
    models.flush(ending=True)
    told = shadow_of(world.registry, LIVE, "abandon_propensity", shadow)
    assert (told.asked, told.compared) == (3, 0)


def test_who_is_forgotten_leaves_memory_too(world: World) -> None:
    live(world, "abandon_propensity", chance(world, 0.1, subjects=(b"a" * 16,)))
    models = Models(world)
    before = models.of(LIVE).roles["abandon_propensity", "live"]
    assert len(forget(world, LIVE, [b"a" * 16])) == 1
    models.refresh()
    assert models.of(LIVE).roles["abandon_propensity", "live"] is not before


def test_answers_while_roles_change(world: World) -> None:
    versions = [chance(world, 0.25), chance(world, 0.25)]
    live(world, "abandon_propensity", versions[0])
    models, said, done = Models(world), set(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            said.add(models.of(LIVE).predict("abandon_propensity", "live", {}))

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(20):
        live(world, "abandon_propensity", versions[(number + 1) % 2])
        models.refresh()
    done.set()
    asking.join()
    assert said <= {0.25}
