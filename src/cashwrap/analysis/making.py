"""From a data folder to reports: which playbook declares the experiment, what servers tallied, and what went before."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import duckdb
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.analysis.asking import ask, ask_holdout
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.question import JUDGED, Question
from cashwrap.analysis.render.words import day
from cashwrap.analysis.report import report
from cashwrap.analysis.results import Problem, Report
from cashwrap.analysis.statistics.guardrails import Harm, harms
from cashwrap.analysis.units import gather
from cashwrap.declarations import HOLDOUT, ExperienceDecl, Products
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.switches import Switch, Switches
from cashwrap.tallies import tallies
from cashwrap.versions import Versions
from cashwrap.world import World

VERSIONS = 50
"""Versions that are looked through for an experiment that is over, or for a design that was changed: the newest."""
QUICK: Millis = 86_400_000
"""How long after an exposure outcomes count when a ramp is guarded: harm is to be seen soon, not to the last refund."""
TRIES = 3
"""How often facts are asked that change meanwhile: somebody is forgotten, or another command brings them up to date."""
_STATE = "_state.json"
"""Beside the facts: how far they have come, as whoever changes them writes it (docs/decisions/0035)."""
_T = TypeVar("_T")


class Harmed(Struct, frozen=True):
    """An experience that is to be rolled back, and why."""

    experience: str
    harm: Harm
    reason: str
    candidates: tuple[str, ...] = ()
    """Models whose candidate the arm shows."""


def question_of(world: World, experiment: str, tenant: Tenant, playbook: Playbook | None) -> Question:
    """What an experiment asks; an empty name, or ``holdout``, asks what all of personalization earned.

    Without a ``playbook`` it is the live version's, or the newest one's that had the experiment. Raises
    ``InvalidInput`` as ``asking`` does, and ``no_playbook`` where nothing was ever live.
    """
    if playbook is None:
        playbook = _declaring(Versions(world.registry, world.clock), experiment)
    return ask_holdout(playbook, tenant) if experiment in {"", HOLDOUT} else ask(playbook, experiment, tenant)


def made(world: World, facts: Path, question: Question) -> Report:
    """The report of now, over the facts as they are. Raises ``CashwrapError`` (``facts_mismatch``)."""
    now = world.clock.now()
    tallied, noted = _tallied(world, question), partial(_noted, world, question)
    return _asked(facts, lambda table: report(table, question, now, tallied, noted))


def exported(facts: Path, question: Question, now: Millis, path: Path) -> int:
    """Write the exposure table, one row per unit, for its owner's eyes; how many there were."""
    count = _asked(facts, lambda table: gather(table, question, now).export(path))
    path.chmod(0o600)
    return count


def harmed(world: World, facts: Path, tenant: Tenant, playbook: Playbook | None) -> Iterator[Harmed]:
    """The experiences whose experiments do harm by what is known today, whatever look is planned.

    Always-valid bounds allow to ask at any moment. What an arm does within a day of the exposure is enough to stop it.
    """
    if playbook is None:
        playbook = _declaring(Versions(world.registry, world.clock), "")
    for name, experience in playbook.declarations.experiences.items():
        if experience.experiment is None or not experience.enabled:
            continue
        try:
            question = _quick(ask(playbook, name, tenant))
        except InvalidInput:
            continue  # one that has nothing to compare keeps no other from being guarded
        found = _asked(facts, partial(report, question=question, now=world.clock.now()))
        for harm in harms(found.results):
            reason = f"{harm.arm} harms {harm.metric} ({harm.by})"
            yield Harmed(name, harm, reason, _candidates(experience, harm.arm))
            break


def _candidates(experience: ExperienceDecl, arm: str) -> tuple[str, ...]:
    content = experience.variations.get(arm)
    return (content.model,) if isinstance(content, Products) and content.version == "candidate" else ()


def _asked(facts: Path, ask: Callable[[FactTable], _T]) -> _T:
    """What the facts answer as one change left them: asked again where they changed meanwhile."""
    for _ in range(TRIES):
        before = _state(facts)
        try:
            with FactTable(facts) as table:
                answer = ask(table)
        except duckdb.Error as error:
            if before == _state(facts):
                message = f"The facts in {facts} cannot be read. 'cashwrap facts --again' writes what the log still has"
                raise CashwrapError(f"{message}: {str(error).splitlines()[0]}", code="facts_mismatch") from error
            continue
        if before == _state(facts):
            break
    else:
        raise CashwrapError(f"The facts in {facts} change all the time; ask again later", code="facts_mismatch")
    return answer


def _state(facts: Path) -> bytes:
    """What tells one state of the fact table from another; nothing where it is not of our making."""
    path = facts / _STATE
    return path.read_bytes() if path.exists() else b""


def _quick(question: Question) -> Question:
    window = min(question.design.window, QUICK)
    design = replace(question.design, method="always_valid", window=window, maturity=0)
    metrics = [each for each in question.metrics if each.role in JUDGED]
    kept = tuple(replace(each, window=min(each.window, window)) for each in metrics)
    return replace(question, design=design, metrics=kept, segments=())


def _declaring(versions: Versions, experiment: str) -> Playbook:
    """The live version, or the newest one before it that had the experiment."""
    live = versions.live()
    if live is None:
        message = "No playbook was ever live on this data folder. Serve one, or name its folder with --playbook"
        raise InvalidInput(message, code="no_playbook")
    playbook = versions.load(live.hash)
    if experiment in {"", HOLDOUT} or experiment in playbook.declarations.experiences:
        return playbook
    for earlier in _earlier(versions):
        if experiment in earlier.declarations.experiences:
            return earlier
    return playbook


def _earlier(versions: Versions) -> Iterator[Playbook]:
    """The versions that have been live, the newest first; those that cannot be read any more are passed over."""
    releases = sorted(versions.releases(), key=lambda release: release.number, reverse=True)
    yield from _loaded(versions, dict.fromkeys(release.hash for release in releases))


def _loaded(versions: Versions, hashes: Collection[str]) -> Iterator[Playbook]:
    for each in islice(hashes, VERSIONS):
        try:
            yield versions.load(each)
        except CashwrapError:
            continue


def _tallied(world: World, question: Question) -> Mapping[str, int]:
    """How often servers decided for each arm; none for the shop's holdout, which most decisions never come to."""
    counts: dict[str, int] = {}
    for (salt, arm, outcome), days in tallies(world.registry, question.tenant).items():
        if question.salt and salt == question.salt and outcome != HOLDOUT:
            counts[arm] = counts.get(arm, 0) + sum(days.values())
    return counts


def _noted(world: World, question: Question, playbooks: Collection[str]) -> list[Problem]:
    """Doubts about the experiment itself: switched off, or not what it was when it began."""
    if not question.salt:
        return []
    off = [each for each in Switches(world.registry).of(question.tenant) if _touches(each, question)]
    stopped = [Problem("switched_off", f"It is switched off since {day(each.since)}: {_reason(each)}") for each in off]
    return stopped[:1] + _changed(world, question, playbooks)


def _touches(switch: Switch, question: Question) -> bool:
    return (switch.scope, switch.name) in {
        ("all", ""),
        ("placement", question.placement),
        ("experience", question.experiment),
    }


def _reason(switch: Switch) -> str:
    return f"{switch.reason.rstrip('.')}." if switch.reason else "no reason was given."


def _changed(world: World, question: Question, playbooks: Collection[str]) -> list[Problem]:
    """A doubt where a release that exposed units asked something else of the same experiment."""
    for earlier in _loaded(Versions(world.registry, world.clock), playbooks):
        try:
            asked = ask(earlier, question.experiment, question.tenant)
        except InvalidInput:
            continue
        if asked.salt == question.salt and _pledge(asked) != _pledge(question):
            return [
                Problem(
                    "design_changed",
                    "The design, the goal or a guardrail was changed after the experiment had begun. Error rates hold "
                    "only for what was declared before the first exposure: begin afresh with another salt, unless "
                    "nobody had seen a figure by then.",
                )
            ]
    return []


def _pledge(question: Question) -> object:
    """What has to be declared before an experiment begins."""
    judged = [(each.name, each.role, each.margin) for each in question.metrics if each.role in JUDGED]
    return question.design, judged
