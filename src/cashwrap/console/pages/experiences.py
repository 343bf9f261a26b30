"""Experiences: by placement in the order in which they are tried, who wins, what keeps them back, and kill switches."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal, cast, get_args

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.listing import Listed, listed
from cashwrap.console.pages.segments import uses
from cashwrap.console.routing import Route
from cashwrap.console.shop.looks import Look, looks, week
from cashwrap.console.shop.uses import Shown, Uses, models_of, predictions_read
from cashwrap.console.shop.winning import FEW, Wins, wins
from cashwrap.declarations import CapsDecl, Declarations, ExperienceDecl, ScheduleDecl
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis
from cashwrap.playbook import Playbook
from cashwrap.playbook.faults import Fault
from cashwrap.playbook.lint import lint
from cashwrap.playbook.schedule import ends, instant
from cashwrap.request import zone_of
from cashwrap.switches import Scope, Switch, Switches
from cashwrap.tallies import tallies

MINUTE: Millis = 60_000
FRESH: Millis = MINUTE
"""How old what kept decisions say may be."""
LINTED: Millis = 60 * MINUTE
REASON = 200
"""Characters of why something was switched off."""
State = Literal["on", "off", "switched_off", "later", "over"]


class Off(Struct, frozen=True):
    """What is switched off in a store."""

    everything: Switch | None
    placements: Mapping[str, Switch]
    experiences: Mapping[str, Switch]

    def of(self, experience: ExperienceDecl) -> Switch | None:
        """What switches an experience off, the widest first."""
        return self.everything or self.placements.get(experience.placement) or self.experiences.get(experience.name)

    @property
    def all(self) -> list[Switch]:
        """Every switch, the widest first."""
        return [*([self.everything] if self.everything else []), *self.placements.values(), *self.experiences.values()]


class Row(Struct, frozen=True):
    """One experience in the list. ``place`` counts from 1 within its placement, among those that are on."""

    declared: ExperienceDecl
    place: int | None
    state: State
    switch: Switch | None
    warnings: tuple[Fault, ...]


class Every(Struct, frozen=True):
    """What the list shows."""

    page: Listed[Row]
    known: int
    placements: list[str]
    off: Off
    wins: Wins
    warned: int
    playbook: Playbook

    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows of the page by placement, in the playbook's order."""
        return [(name, list(rows)) for name, rows in groupby(self.page.items, lambda row: row.declared.placement)]


class One(Struct, frozen=True):
    """What the page of one experience shows."""

    row: Row
    before: list[str]
    after: list[str]
    off: Off
    wins: Wins
    uses: Uses
    shown: Shown | None
    looks: list[tuple[str, list[Look]]]
    caps: list[tuple[str, CapsDecl]]
    arms: Mapping[str, Mapping[str, int]]
    reads: tuple[str, ...]
    models: tuple[str, ...]
    playbook: Playbook


async def every(ask: Ask) -> Response:
    """The list."""
    found = await ask.run(_every, ask)
    return ask.page("experiences.html", found=found, few=FEW, done=_done(ask), may_stop=ask.allows("stop"))


async def one(ask: Ask) -> Response:
    """One experience."""
    found = await ask.run(_one, ask, ask.param("name"))
    declared = found.row.declared
    return ask.page(
        "experience.html",
        name=declared.name,
        one=found,
        few=FEW,
        week=week(declared.schedule) if declared.schedule is not None else [],
        clock=_clock(ask, found.playbook),
        done=_done(ask),
        may_stop=ask.allows("stop"),
    )


async def switch(ask: Ask) -> Response:
    """Switch everything, a placement or an experience off, or on again: effective with the next decision."""
    form = await ask.form()
    scope, name, is_off = form.get("scope", ""), form.get("name", ""), form.get("off") == "1"
    if scope not in get_args(Scope):
        raise InvalidInput(ask.say("This cannot be switched."), code="invalid_switch")
    found, tenant, world = cast("Scope", scope), ask.tenant, ask.console.world
    if is_off:
        await ask.run(_must_be_there, ask, found, name)
    elif not await ask.run(_is_off, ask, found, name):  # else whatever is typed would stand in the audit log for ever
        return ask.go("/experiences", done="on")
    reason = " ".join(form.get("reason", "").split())[:REASON]
    note = ask.note("switch.off" if is_off else "switch.on", f"{scope} {name}".strip())
    thrown = Switch(found, name, world.clock.now(), reason, tenant, note.actor)
    await ask.change(note, lambda: Switches(world.registry).set(thrown, off=is_off))
    back = form.get("back", "")
    path = f"/experiences/of/{back}" if back.replace("_", "").isalnum() and back.isascii() else "/experiences"
    return ask.go(path, done="off" if is_off else "on")


def _must_be_there(ask: Ask, scope: Scope, name: str) -> None:
    declared = ask.console.reading.engine().live.playbook.declarations
    if scope == "placement" and name not in declared.placements:
        raise InvalidInput(ask.say("The live playbook has no such placement."), code="no_such_placement")
    if scope == "experience" and name not in declared.experiences:
        raise InvalidInput(ask.say("The live playbook has no such experience."), code="no_such_experience")


def _is_off(ask: Ask, scope: Scope, name: str) -> bool:
    thrown = Switches(ask.console.world.registry).of(ask.tenant)
    return any((each.scope, each.name) == (scope, name) for each in thrown)


def _done(ask: Ask) -> str:
    said = {
        "off": ask.say("Switched off: it takes effect with the next decision."),
        "on": ask.say("Switched on again: it takes effect with the next decision."),
    }
    return said.get(ask.query("done"), "")


# --- reading ---


def _every(ask: Ask) -> Every:
    engine = ask.console.reading.engine()
    playbook, now = engine.live.playbook, ask.console.world.clock.now()
    declared, off = playbook.declarations, _off(ask)
    warnings = _warnings(ask, playbook, now)
    wanted = ask.query("placement")
    names = [each.name for each in _in_order(declared) if not wanted or each.placement == wanted]
    page = listed(ask, names, lambda name: f"{name} {declared.experiences[name].placement}")
    places = _places(playbook)
    rows = [_row(playbook, name, places, off, warnings, now) for name in page.items]
    return Every(
        page.of(rows), len(declared.experiences), list(declared.placements), off, _wins(ask), len(warnings), playbook
    )


def _one(ask: Ask, name: str) -> One:
    engine = ask.console.reading.engine()
    playbook, now = engine.live.playbook, ask.console.world.clock.now()
    declared = playbook.declarations.experiences.get(name)
    if declared is None:
        raise InvalidInput(ask.say("The live playbook has no such experience."), code="no_such_experience")
    off, places, found = _off(ask), _places(playbook), uses(ask, engine)
    row = _row(playbook, name, places, off, _warnings(ask, playbook, now), now)
    beside = [each for each in _in_order(playbook.declarations) if each.placement == declared.placement]
    others = [each.name for each in beside if each.name in places]
    at = others.index(name) if name in others else len(others)
    compiled = found.experiences.get(name)
    read = compiled.condition.attributes if compiled is not None and compiled.condition is not None else ()
    return One(
        row=row,
        before=others[max(0, at - 5) : at],
        after=others[at + 1 : at + 6],
        off=off,
        wins=_wins(ask),
        uses=found,
        shown=found.experience(name),
        looks=[(variation, looks(content)) for variation, content in declared.variations.items()],
        caps=list(_caps(playbook.declarations, declared)),
        arms=_arms(ask, engine, declared),
        reads=predictions_read(playbook, read),
        models=models_of(playbook, name),
        playbook=playbook,
    )


def _in_order(declared: Declarations) -> list[ExperienceDecl]:
    """Placement by placement, the one to try first first; what is switched off in the playbook where it would be."""
    by_placement: dict[str, list[ExperienceDecl]] = {name: [] for name in declared.placements}
    for each in declared.experiences.values():
        by_placement[each.placement].append(each)
    return [each for listed in by_placement.values() for each in sorted(listed, key=lambda one: -one.priority)]


def _places(playbook: Playbook) -> Mapping[str, int]:
    """The place of each experience in its placement, from 1."""
    found = {}
    for placement in playbook.experiences.placements.values():
        for place, each in enumerate(playbook.experiences.ordered[placement.first : placement.stop], 1):
            found[each.name] = place
    return found


def _row(
    playbook: Playbook,
    name: str,
    places: Mapping[str, int],
    off: Off,
    warnings: Mapping[str, Sequence[Fault]],
    now: Millis,
) -> Row:
    declared = playbook.declarations.experiences[name]
    switch, zone = off.of(declared), playbook.settings.time_zone
    state: State = "switched_off" if switch else "off" if name not in places else _time(declared.schedule, zone, now)
    return Row(declared, places.get(name), state, switch, tuple(warnings.get(name, ())))


def _time(schedule: ScheduleDecl | None, zone: str, now: Millis) -> State:
    """Whether a schedule has begun and is not over; where it goes by the shopper's clock, as in the shop."""
    if schedule is None:
        return "on"
    over = ends(schedule, zone)
    if over is not None and over <= now:
        return "over"
    return "later" if schedule.start is not None and instant(schedule.start, zone).millis > now else "on"


def _off(ask: Ask) -> Off:
    thrown = Switches(ask.console.world.registry).of(ask.tenant)
    return Off(
        next((each for each in thrown if each.scope == "all"), None),
        {each.name: each for each in thrown if each.scope == "placement"},
        {each.name: each for each in thrown if each.scope == "experience"},
    )


def _wins(ask: Ask) -> Wins:
    world, tenant = ask.console.world, ask.tenant
    return ask.console.remembered.get(("wins", tenant), FRESH, lambda: wins(world, tenant))


def _warnings(ask: Ask, playbook: Playbook, now: Millis) -> Mapping[str, list[Fault]]:
    """What the playbook's own check finds strange in its experiences, by name."""
    name = "lint", playbook.hash
    return ask.console.remembered.get(name, LINTED, lambda: by_experience(playbook.declarations, lint(playbook, now)))


def by_experience(declared: Declarations, faults: Sequence[Fault]) -> Mapping[str, list[Fault]]:
    """Warnings by the experience at whose place they are. Pure."""
    owners = {}
    for each in declared.experiences.values():
        for spot in (each.spot, each.when.spot if each.when is not None else each.spot):
            owners[spot.file, spot.line, spot.column] = each.name
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        owner = owners.get((fault.file, fault.line, fault.column))
        if owner is not None:
            found.setdefault(owner, []).append(fault)
    return found


def _caps(declared: Declarations, experience: ExperienceDecl) -> Iterator[tuple[str, CapsDecl]]:
    """Every cap that may keep it back, by what it is a cap of: ``experience``, ``placement``, a format, or ``all``."""
    placement = declared.placements[experience.placement]
    form = placement.format or placement.component
    attention = declared.settings.attention
    every = (
        ("experience", experience.caps),
        ("placement", placement.caps),
        (form, attention.get(form, CapsDecl())),
        ("all", attention.get("all", CapsDecl())),
    )
    return ((of, caps) for of, caps in every if caps != CapsDecl())


def _arms(ask: Ask, engine: Engine, declared: ExperienceDecl) -> Mapping[str, Mapping[str, int]]:
    """How many decisions came to each arm of its experiment, by outcome, as servers counted them."""
    if declared.experiment is None:
        return {}
    salt, found = declared.experiment.salt or declared.name, dict[str, dict[str, int]]()
    for (of, arm, outcome), days in tallies(engine.world.registry, ask.tenant).items():
        if of == salt:
            found.setdefault(arm, {})[outcome] = sum(days.values())
    return found


def _clock(ask: Ask, playbook: Playbook) -> tuple[int, float]:
    """The day of the week, from 1, and the hour where the shop is."""
    now = datetime.fromtimestamp(ask.console.world.clock.now() / 1000, UTC)
    local = now.astimezone(zone_of(playbook.settings.time_zone) or UTC)
    return local.isoweekday(), local.hour + local.minute / 60


ROUTES: list[Route] = [
    Route("GET", "/experiences", every, "see"),
    Route("GET", "/experiences/of/{name}", one, "see"),
    Route("POST", "/experiences/switch", switch, "stop"),
]
