"""A world with models, and artefacts small enough to know by heart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from cashwrap.adapters.audit import MemoryAudit
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.model_memory import MemoryModels
from cashwrap.adapters.vault import MemoryVault
from cashwrap.learned import registry
from cashwrap.learned.artefact import Artefact, Figure, Gate, Kind, Lineage
from cashwrap.learned.registry import Draft
from cashwrap.ports import ModelFiles
from cashwrap.world import World
from engines import LIVE, SeededRandom, TestClock

PASSED, FAILED = Gate(passed=True), Gate(passed=False, reasons=(("not_better", "It is no better than popularity."),))
LINEAGE = Lineage("facts", "0123456789abcdef", 5)


def world_with(models: ModelFiles | None = None, clock: TestClock | None = None) -> World:
    store, rng = MemoryStore(), SeededRandom()
    kept = MemoryModels() if models is None else models
    vault = MemoryVault(rng)
    return World(store, store, store, store, store, vault, clock or TestClock(), rng, audit=MemoryAudit(), models=kept)


def artefact(kind: Kind = "recommender", **arrays: Any) -> Artefact:
    given = arrays or {"scores": np.array([[1.5, 2.5], [3.5, 4.5]], np.float32), "empty": np.empty((0, 3), np.int32)}
    return Artefact(kind, given, {"items": '["mug", "pot"]'}, {"k": 100, "weights": [0.25, 1e-5]})


def draft(made: Artefact | None = None, name: str = "next_item", **fields: Any) -> Draft:
    figures: Mapping[str, Figure] = {"recall@20": Figure(0.42, 0.41, 0.43)}
    return replace(Draft(name, made or artefact(), LINEAGE, figures, PASSED), **fields)


def kept(world: World, **fields: Any) -> str:
    """A version, a second after the one before."""
    world.clock.wait(minutes=1 / 60)  # type: ignore[attr-defined]
    return registry.register(world, LIVE, draft(**fields))
