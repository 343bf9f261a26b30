"""A registered model judged on data: nothing is learned, nothing changes."""

from typing import NamedTuple

import msgspec
import numpy as np

from cashwrap.learned import registry
from cashwrap.learned.artefact import Artefact, Manifest
from cashwrap.learned.files import opened
from cashwrap.learning.data import TEST
from cashwrap.learning.gate import gate
from cashwrap.learning.mapping import Testing
from cashwrap.learning.results import Training
from cashwrap.learning.tasks import Data, Told, steps_of
from cashwrap.learning.training import Plan, lineage_of, peak
from cashwrap.model import Tenant
from cashwrap.ports import Clock
from cashwrap.world import World


class Found(NamedTuple):
    """A registered version, loaded."""

    version: str
    manifest: Manifest
    artefact: Artefact


def found(world: World, tenant: Tenant, named: str) -> Found:
    """The version that ``name`` or ``name@version`` says: without one the live version, else the newest.

    Raises ``StoreError`` (``no_such_model``, ``model_corrupt`` ...).
    """
    name, _, version = named.partition("@")
    model = registry.model_of(world.registry, tenant, name)
    chosen = registry.find(world, model, version or model.live)
    return Found(chosen, *opened(registry.files_of(world), world.vault, tenant, name, chosen))


def judged(model: Found, plan: Plan, data: Data, clock: Clock, *, everything: bool, told: Told) -> Training:
    """How good a model is on the test part of data, or on all of it. Raises ``InvalidInput`` as reading does."""
    began = clock.monotonic()
    version, manifest, artefact = model
    told(0.2, "testing")
    if everything:
        data = data._replace(part=np.full_like(data.part, TEST))
    share = Testing(share=plan.testing.share or 0.2)  # a finished model is asked once, whatever folds it was made by
    steps = steps_of(plan.task, data, share, plan.gap)
    evaluation = steps.evaluate(artefact, manifest.settings, None)
    learned, tested = manifest.lineage, lineage_of(plan, steps.data)
    known = tested.digest == learned.digest or 0 < tested.since <= learned.until
    if known:
        seen = "Some of these data were there when the model was made: what it does on new ones may be worse."
        evaluation = msgspec.structs.replace(evaluation, notes=(*evaluation.notes, seen))
    return Training(
        name=manifest.name,
        lineage=tested,
        settings=manifest.settings,
        trials=(),
        evaluation=evaluation,
        gate=gate(evaluation, kind=artefact.kind),
        seconds=clock.monotonic() - began,
        peak_bytes=peak(),
        version=version,
        judged="seen" if known else "unseen",
    )
