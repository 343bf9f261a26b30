"""A registered model judged on data: nothing is learned, nothing changes."""

import resource
import time

import msgspec
import numpy as np

from cashwrap.learned import registry
from cashwrap.learned.files import opened
from cashwrap.learning.data import TEST
from cashwrap.learning.gate import gate
from cashwrap.learning.mapping import Testing
from cashwrap.learning.results import Training
from cashwrap.learning.tasks import Data, Told, steps_of
from cashwrap.learning.training import Plan, lineage_of
from cashwrap.model import Tenant
from cashwrap.world import World


def judged(  # noqa: PLR0913 - who, what, and on which data
    world: World, tenant: Tenant, named: str, plan: Plan, data: Data, *, everything: bool, told: Told
) -> Training:
    """How good ``name`` or ``name@version`` is on the test part of data, or on all of it.

    Raises ``StoreError`` (``no_such_model``, ``model_corrupt`` ...) and what the data lacks.
    """
    began = time.monotonic()
    name, _, version = named.partition("@")
    model = registry.model_of(world.registry, tenant, name)
    found = registry.find(world, model, version or model.live)
    manifest, artefact = opened(registry.files_of(world), world.vault, tenant, name, found)
    told(0.2, "testing")
    if everything:
        data = data._replace(part=np.full_like(data.part, TEST))
    share = Testing(share=plan.testing.share or 0.2)  # a finished model is asked once, whatever folds it was made by
    steps = steps_of(plan.task, data, share, plan.gap)
    evaluation = steps.evaluate(artefact, manifest.settings, None)
    learned, tested = manifest.lineage, lineage_of(plan, steps.data)
    if tested.digest == learned.digest or 0 < tested.since <= learned.until:
        seen = "Some of these data were there when the model was made: what it does on new ones may be worse."
        evaluation = msgspec.structs.replace(evaluation, notes=(*evaluation.notes, seen))
    return Training(
        name=name,
        lineage=tested,
        settings=manifest.settings,
        trials=(),
        evaluation=evaluation,
        gate=gate(evaluation, kind=artefact.kind),
        seconds=time.monotonic() - began,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        version=found,
    )
