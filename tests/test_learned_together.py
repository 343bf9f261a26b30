"""What trainers make, kept by the registry and asked by decisions: the real ones of each kind, and all of the way."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from cashwrap.adapters.model_folder import FolderModels
from cashwrap.learned import registry
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.forgetting import forget
from cashwrap.learned.serving import Models
from cashwrap.learning import sources
from cashwrap.learning.data import TRAIN, Interactions
from cashwrap.model import Inputs, Touch
from cashwrap.propensity.affinity import Affinity
from cashwrap.world import World
from engines import LIVE
from learned_world import kept, world_with

ADA, BOB = b"a" * 16, b"b" * 16
VISITS = [(1, "mug pot"), (0, "tea cup"), (1, "mug cup"), (1, "mug pot"), (1, "tea pot")]
"""Whose each is, and what was looked at: only Ada went from tea to a cup."""
INPUTS = Inputs(now=10**9, tenant=LIVE, values={}, level="profile", mask=0, placements=None)


def interactions() -> Interactions:
    items = ("cup", "mug", "pot", "tea")
    rows = [[items.index(name) for name in said.split()] for _, said in VISITS]
    count = len(VISITS)
    return Interactions(
        items=items,
        item=np.array(rows, np.int32).ravel(),
        kind=np.zeros(2 * count, np.int8),
        time=np.arange(2 * count, dtype=np.int64) * 60_000,
        offsets=np.arange(0, 2 * count + 1, 2, dtype=np.int64),
        user=np.array([who for who, _ in VISITS], np.int32),
        part=np.full(count, TRAIN, np.int8),
        explored=np.zeros(count, np.bool_),
        subjects=(ADA, BOB),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_with(FolderModels(tmp_path / "models"))


def suggested(models: Models, product: str, source: str = "session") -> list[str]:
    inputs = replace(INPUTS, touched=(Touch(product, "view", 10**9 - 5_000, "1"),))
    return [each.product for each in models.of(LIVE).suggest("next_item", "live", source, inputs)]


def test_a_recommender_is_kept_asked_and_forgets(world: World) -> None:
    data = interactions()
    made = sources.recommender(data, "next_item", {})
    version = kept(world, artefact=made, subjects=data.subjects)
    registry.promote(world, LIVE, "next_item", version, "trusted")
    models = Models(world)
    assert models.status(LIVE)[0].code == ""
    assert set(suggested(models, "tea")) == {"tea", "cup", "pot"}
    assert suggested(models, "mug", "recommended")
    assert forget(world, LIVE, [ADA]) == [f"next_item@{version}"]
    models.refresh()
    assert models.status(LIVE)[0].code == ""
    assert set(suggested(models, "tea")) == {"tea", "pot"}, "nobody else went from tea to a cup"
    assert "cup" in suggested(models, "mug")


def test_a_category_is_told(world: World) -> None:
    affinity = Affinity(["drinks", "pots"], [0.5, 0.5], [{1: 5}, {0: 5}])
    affinity.weights = np.array([0, 0, 0, 0, 0, 1.0, 0, 0])
    affinity.items = {"tea": 0, "pot": 1}
    arrays, texts = affinity.parts()
    version = kept(world, name="next_category", artefact=Artefact("predictor", arrays, texts, {"model": "affinity"}))
    registry.promote(world, LIVE, "next_category", version, "trusted")
    models = Models(world).of(LIVE)
    assert models.next_category("live", replace(INPUTS, touched=(Touch("tea", "view", 10**9, "1"),))) == "pots"
    assert models.next_category("live", INPUTS) is None
