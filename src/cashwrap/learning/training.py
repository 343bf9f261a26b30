"""START HERE: from data to a model that may go on. Split by time, search, fit, evaluation on what is unseen, gate.

``make`` sequences the steps and owns no rule; what a step means for a recommender or a prediction is in ``tasks``.
"""

import resource
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from cashwrap.learned.artefact import Artefact, Lineage
from cashwrap.learning.data import Table
from cashwrap.learning.drift import Baselines
from cashwrap.learning.gate import gate
from cashwrap.learning.mapping import Testing
from cashwrap.learning.results import Training
from cashwrap.learning.tasks import Data, Settings, Told, steps_of
from cashwrap.model import Millis
from cashwrap.ports import Clock

PARTS = ("train", "valid", "test")


class Plan(Struct, frozen=True):
    """What is to be made: a model's name and task, and where the data comes from.

    ``refit`` makes the model anew from all data once its settings have been judged on the test part: what a shop serves
    knows of yesterday.
    """

    name: str
    task: str
    source: str
    testing: Testing = Testing(share=0.2)
    gap: Millis = 0
    """How far labels reach ahead of their moment."""
    playbook: str = ""
    refit: bool = False


class Made(NamedTuple):
    """What came of it. ``artefact`` is what would serve; ``drift`` what later data is compared with."""

    training: Training
    artefact: Artefact
    drift: Baselines
    subjects: tuple[bytes, ...]


def make(
    plan: Plan, data: Data, clock: Clock, *, live: Settings | None = None, told: Told = lambda _, __: None
) -> Made:
    """Make a model of a plan's task. ``live`` are the settings of what it would replace, and has to be as good as.

    Raises ``InvalidInput`` where the data cannot make one: ``no_interactions``, ``no_examples``, ``one_class``,
    ``future_leak``, ``not_randomised`` ...
    """
    began = clock.monotonic()
    steps = steps_of(plan.task, data, plan.testing, plan.gap)
    doubts = steps.doubts()
    settings, trials = steps.search(_part(told, 0.0, 0.5))
    artefact = steps.fit(settings, _part(told, 0.5, 0.7))
    told(0.7, "testing on what it has not seen")
    evaluation = steps.evaluate(artefact, settings, live)
    found = gate(evaluation, kind=artefact.kind, micros=steps.micros(artefact), told=doubts)
    usual = steps.usual(artefact, evaluation)
    if plan.refit and found.passed:
        artefact = steps.everything().fit(settings, _part(told, 0.9, 1.0))
    training = Training(
        name=plan.name,
        lineage=lineage_of(plan, steps.data),
        settings=settings,
        trials=trials,
        evaluation=evaluation,
        gate=found,
        seconds=clock.monotonic() - began,
        peak_bytes=peak(),
    )
    told(1.0, "done")
    return Made(training, artefact, usual, steps.data.subjects)


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _part(told: Told, begin: float, end: float) -> Told:
    """A step's own progress as a part of the whole."""
    return lambda done, words: told(begin + (end - begin) * done, words)


def lineage_of(plan: Plan, data: Data) -> Lineage:
    """Where a model comes from."""
    counts = np.bincount(data.part, minlength=len(PARTS))
    return Lineage(
        source=plan.source,
        digest=data.digest,
        rows=len(data.time),
        since=int(data.time.min()) if data.clock and len(data.time) else 0,
        until=int(data.time.max()) if data.clock and len(data.time) else 0,
        parts={name: int(count) for name, count in zip(PARTS, counts, strict=False)},
        subjects=len(data.subjects),
        playbook=plan.playbook,
        features=tuple(column.name for column in data.columns) if isinstance(data, Table) else (),
        explored=float(data.explored.mean()) if len(data.explored) else 0.0,
        cashwrap=version("cashwrap"),
    )
