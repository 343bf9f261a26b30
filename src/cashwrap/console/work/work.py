"""What runs in the job process: each function gets the data folder, and answers with plain values that a page shows.

Rooms that need an extra come in here and nowhere else in the console, by ``part_of``: pages load none of them, and
say which one is missing.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from cashwrap.audit import Note, Trail
from cashwrap.console.work.jobs import tell
from cashwrap.errors import CashwrapError, StoreError
from cashwrap.extras import part_of
from cashwrap.history import write_facts
from cashwrap.learned import registry
from cashwrap.learned.files import checked, manifest_of
from cashwrap.library import FACTS, open_world
from cashwrap.model import Millis, Tenant
from cashwrap.versions import Versions
from cashwrap.world import World

PAST = 20
"""Versions that are looked through for experiments that are over, the newest."""
Export = Literal["html", "csv", "sql", "json"]
_analysis = partial(part_of, "analysis")
_learning = partial(part_of, "learning")


class Brief(Struct, frozen=True):
    """One experiment in a line; ``code`` is the verdict's, or the error's where there is no report."""

    code: str
    arm: str = ""
    look: int = 0
    looks: int = 0
    units: int = 0
    started: Millis | None = None
    days_left: float | None = None
    problem: str = ""
    """Why there is no report."""
    doubts: int = 0


class Past(Struct, frozen=True):
    """An experiment that the live playbook has no more; ``at`` is when a version with it went live last."""

    name: str
    placement: str
    at: Millis
    hash: str


class Survey(Struct, frozen=True):
    """What became of experiments, by name, and those that are over."""

    briefs: Mapping[str, Brief]
    past: tuple[Past, ...]


class Harmful(Struct, frozen=True):
    """An experiment that ``cashwrap guard`` would roll back."""

    name: str
    metric: str
    arm: str
    by: str
    candidates: tuple[str, ...]


class Grid(NamedTuple):
    """A table in words; columns in ``left`` hold text."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int]


class Card(Struct, frozen=True):
    """What a model's card says, in words."""

    title: str
    heading: str
    sentence: str
    passed: bool
    judged: str
    steps: tuple[str, ...]
    learned: tuple[tuple[str, str], ...]
    claims: tuple[str, ...]
    notes: tuple[str, ...]
    limits: tuple[str, ...]
    calibration: str
    reliability: tuple[tuple[float, float, int], ...]
    """What it says, what comes, of how many."""
    tables: tuple[Grid, ...]
    settings: str
    cost: str


class Shift(NamedTuple):
    """One reading of drift."""

    kind: str
    name: str
    verdict: str
    sentence: str


class Drifted(Struct, frozen=True):
    """Whether a model still fits: ``fine``, ``watch`` or ``retrain``, of so many rows."""

    verdict: str
    rows: int
    readings: tuple[Shift, ...]


class Trained(Struct, frozen=True):
    """What came of a training."""

    version: str
    passed: bool
    sentence: str
    reasons: tuple[tuple[str, str], ...]


# --- experiments ---


def report(data: Path, tenant: Tenant, name: str) -> bytes:
    """The report of an experiment, its facts brought up to date first; an ``analysis.results.Report`` as msgpack."""
    making = _analysis("making")
    with open_world(data, serving=False) as world:
        question = making.question_of(world, name, tenant, None)
        _update(world, data, 0.7)
        tell(0.7, "counting")
        return msgspec.msgpack.encode(making.made(world, data / FACTS, question))


def exported(data: Path, tenant: Tenant, name: str, kind: Export) -> bytes:
    """The same as a file."""
    making, exports = _analysis("making"), _analysis("render.exports")
    with open_world(data, serving=False) as world:
        question = making.question_of(world, name, tenant, None)
        _update(world, data, 0.5)
        tell(0.5, "counting")
        found = making.made(world, data / FACTS, question)
    tell(0.8, "writing")
    write: Mapping[Export, Callable[[], str | bytes]] = {
        "html": lambda: _analysis("render.page").render_page(found),
        "csv": lambda: exports.to_csv(found),
        "json": lambda: exports.to_json(found),
        "sql": lambda: "".join(f"-- {part}\n{text};\n\n" for part, text in found.sql.items()),
    }
    text: str | bytes = write[kind]()
    return text if isinstance(text, bytes) else text.encode()


def surveyed(data: Path, tenant: Tenant, names: tuple[str, ...]) -> Survey:
    """What became of these experiments, and which ones are over."""
    making = _analysis("making")
    with open_world(data, serving=False) as world:
        past = tuple(_past(Versions(world.registry, world.clock)))
        _update(world, data, 0.3)
        briefs = {}
        for place, name in enumerate(names):
            tell(0.3 + 0.7 * place / len(names), name)
            briefs[name] = _brief(making, world, data, tenant, name)
    return Survey(briefs, past)


def guarded(data: Path, tenant: Tenant) -> tuple[Harmful, ...]:
    """What ``cashwrap guard`` would roll back now."""
    making = _analysis("making")
    with open_world(data, serving=False) as world:
        _update(world, data, 0.5)
        tell(0.5, "counting")
        return tuple(
            Harmful(each.experience, each.harm.metric, each.harm.arm, each.harm.by, each.candidates)
            for each in making.harmed(world, data / FACTS, tenant, None)
        )


def _update(world: World, data: Path, part: float) -> None:
    """Bring the facts up to what is in the log: ``part`` of the whole work."""
    write_facts(world, data / FACTS, told=lambda done, of: tell(part * done / of if of else part, "reading the log"))


def _brief(making: Any, world: World, data: Path, tenant: Tenant, name: str) -> Brief:
    try:
        found = making.made(world, data / FACTS, making.question_of(world, name, tenant, None))
    except CashwrapError as error:
        return Brief(error.code, problem=error.message)
    look, plan = found.look, found.plan
    return Brief(
        code=found.verdict.code,
        arm=found.verdict.arm or "",
        look=look.number if look is not None else 0,
        looks=look.of if look is not None else 0,
        units=sum(arm.units for arm in found.arms),
        started=found.started,
        days_left=plan.days_left if plan is not None else None,
        doubts=len(found.doubts),
    )


def _past(versions: Versions) -> Iterator[Past]:
    live = versions.live()
    if live is None:
        return
    known = {name for name, each in versions.load(live.hash).declarations.experiences.items() if each.experiment}
    newest: dict[str, Millis] = {}
    for release in reversed(versions.releases()):
        newest.setdefault(release.hash, release.at)
    for digest, at in islice(newest.items(), PAST):
        try:
            experiences = versions.load(digest).declarations.experiences
        except CashwrapError:
            continue  # one that this cashwrap cannot read any more
        for name, each in experiences.items():
            if each.experiment is not None and name not in known:
                known.add(name)
                yield Past(name, each.placement, at, digest)


# --- models ---


def card(data: Path, tenant: Tenant, name: str, version: str) -> Card | None:
    """What a version's card says; ``None`` where nothing is kept of its training."""
    results = _learning("results")
    with open_world(data, serving=False) as world:
        files = registry.files_of(world)
        manifest = manifest_of(files, world.vault, tenant, name, version)
        if "training.json" not in manifest.files:
            return None
        text = checked(files, tenant, manifest, "training.json")
    try:
        training = msgspec.json.decode(text, type=results.Training)
    except msgspec.DecodeError as error:
        raise StoreError(f"what {name}@{version} keeps of its training is damaged", code="model_corrupt") from error
    return _card(msgspec.structs.replace(training, version=version))


def _card(training: Any) -> Card:
    phrases, tables = _learning("render.phrases"), _learning("render.tables")
    evaluation = training.evaluation
    shown = (
        tables.versus(evaluation),
        tables.figures(evaluation),
        tables.slices(evaluation),
        tables.sources(evaluation),
        tables.trials(training),
    )
    return Card(
        title=phrases.title(training),
        heading=phrases.heading(training),
        sentence=phrases.sentence(training),
        passed=training.gate.passed,
        judged=training.judged,
        steps=tuple(phrases.next_steps(training, kept=True)),
        learned=tuple(phrases.learned_from(training)),
        claims=tuple(phrases.claims(evaluation)),
        notes=evaluation.notes,
        limits=_learning("render.card").limits(training),
        calibration=phrases.calibration(evaluation),
        reliability=tuple((bar.predicted, bar.observed, bar.count) for bar in evaluation.reliability),
        tables=tuple(Grid(*each) for each in shown if each.rows),
        settings=tables.settings(training.settings),
        cost=phrases.cost(training),
    )


def drifted(data: Path, tenant: Tenant, name: str, version: str) -> Drifted:
    """Whether a version still fits what happens now."""
    making = _learning("making")
    with open_world(data, serving=False) as world:
        _, found = making.own(_shop(world, data, tenant), name)
        tell(0.8, "comparing")
        drift = _learning("drifting").drifted(world, tenant, f"{name}@{version}", found)
    readings = tuple(Shift(each.kind, each.name, each.verdict, each.sentence) for each in drift.readings)
    return Drifted(drift.verdict, drift.rows, readings)


def learnable(data: Path, tenant: Tenant) -> tuple[tuple[str, str], ...]:
    """The models that are due for training, and why."""
    making = _learning("making")
    with open_world(data, serving=False) as world:
        return tuple(making.due(making.shop_of(world, data / FACTS, tenant, None)))


def trained(data: Path, tenant: Tenant, name: str, actor: str) -> Trained:
    """Learn a model and register it, as ``cashwrap train`` does; ``actor`` stands in the audit log."""
    making, training = _learning("making"), _learning("training")
    with open_world(data, serving=False) as world:
        shop = _shop(world, data, tenant)
        plan, found = making.own(shop, name)
        live = making.live_of(shop, name)
        made = training.make(
            plan, found, world.clock, live=live, told=lambda done, words: tell(0.3 + 0.7 * done, words)
        )
        note = Note(actor, "model.train", name, {"passed": made.training.gate.passed}, tenant)
        change = partial(making.registered, world, tenant, made)
        kept = Trail(world.audit, world.clock).around(note, change)
    return Trained(kept.version, kept.gate.passed, _learning("render.phrases").sentence(kept), kept.gate.reasons)


def _shop(world: World, data: Path, tenant: Tenant) -> Any:
    """Whose data it is, with the facts brought up to date."""
    shop = _learning("making").shop_of(world, data / FACTS, tenant, None)
    _update(world, data, 0.3)
    return shop
