"""A registered model's drift: what it was learned from, as kept beside it, against the shop's data from after that."""

import msgspec
import numpy as np

from cashwrap.learned import registry
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.files import opened
from cashwrap.learning.data import Interactions, Table
from cashwrap.learning.drift import Answers, Baselines, Drift, drift
from cashwrap.learning.mapped import chosen as chosen_sessions
from cashwrap.learning.splits import chosen
from cashwrap.model import Millis, Tenant
from cashwrap.propensity import Predictor
from cashwrap.world import World

KEPT = "drift.json"
"""The ``Baselines`` beside a version."""


def drifted(world: World, tenant: Tenant, named: str, data: Table | Interactions) -> Drift:
    """How far the newest of some data is from what ``name``, or ``name@version``, was learned from.

    Only what happened after that is looked at; data without a clock, all of it. Raises ``InvalidInput`` and
    ``StoreError`` (``no_such_model``, ``model_corrupt`` ...) as the registry does.
    """
    name, _, version = named.partition("@")
    model = registry.model_of(world.registry, tenant, name)
    found = registry.find(world, model, version or model.live)
    files = registry.files_of(world)
    artefact = opened(files, world.vault, tenant, name, found).artefact
    trained = msgspec.json.decode(files.read(tenant, name, found, KEPT), type=Baselines)
    now = newer(data, trained.until)
    return drift(trained, now, at=world.clock.now(), answers=_answers(artefact, now))


def newer(data: Table | Interactions, until: Millis) -> Table | Interactions:
    """The rows, or whole sessions, that ended after a moment."""
    if not data.clock or not until:
        return data
    if isinstance(data, Table):
        return chosen(data, data.time > until)
    ended = np.full(data.sessions, until)
    filled = np.diff(data.offsets) > 0
    ended[filled] = data.time[data.offsets[1:][filled] - 1]
    return chosen_sessions(data, ended > until)


def _answers(artefact: Artefact, now: Table | Interactions) -> Answers:
    """What the model says to that: chances, which can be held against labels, or which items it knows."""
    if isinstance(now, Table):
        chances = artefact.kind == "predictor" and len(now.label)
        return Answers(scores=Predictor.of(artefact).predict_many(now.columns)) if chances else Answers()
    return Answers(known=frozenset(msgspec.json.decode(artefact.texts["items"], type=list[str])))
