"""Experiments: which run, what each found so far, and the switch that stops one.

A report is a job. While somebody looks it is asked again every minute; a page that is open asks for its part and gets
a line that says how old the figures are, and the figures only where they changed.
"""

import re
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from cashwrap.analysis.results import Report
from cashwrap.console.ask import Ask
from cashwrap.console.listing import Listed, listed
from cashwrap.console.routing import Route
from cashwrap.console.work import work
from cashwrap.console.work.jobs import Job, named
from cashwrap.console.work.report_view import View, view
from cashwrap.declarations import HOLDOUT, ExperienceDecl
from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.model import Millis
from cashwrap.playbook import Playbook
from cashwrap.playbook.schedule import ends, instant
from cashwrap.switches import Switch, Switches

FRESH: Millis = 60_000
"""After so long the report of an experiment that somebody looks at is made again."""
SURVEYED: Millis = 5 * 60_000
REASON = 500
"""Characters of why something was stopped."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")
State = Literal["running", "planned", "stopped", "off", "over"]
FILES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "sql": "application/sql; charset=utf-8",
    "json": "application/json",
}


class Row(Struct, frozen=True):
    """One experiment of the live playbook. ``arms`` with their shares of 10,000, ``traffic`` likewise."""

    name: str
    placement: str
    state: State
    arms: tuple[tuple[str, int], ...]
    goal: str
    days: int
    traffic: int


class Listing(Struct, frozen=True):
    """The page of the list, and what became of its experiments, as far as that is known yet."""

    page: Listed[Row]
    known: int
    holdout: int
    """The share of 10,000 that is kept out of everything."""
    job: Job | None
    """``None`` where too many others wait."""


class One(Struct, frozen=True):
    """One experiment: what the live playbook says of it, what is switched off, and its report so far."""

    name: str
    row: Row | None
    off: tuple[Switch, ...]
    job: Job
    ahead: int
    view: View | None
    digest: str
    """Of all figures that a page shows: where it is the same, the page stays as it is."""


async def index(ask: Ask) -> Response:
    """The list; asked for as a part, with what is known by now."""
    found = await ask.run(_listing, ask)
    template = "experiments_list.html" if ask.is_part else "experiments.html"
    return ask.page(template, found=found, surveyed=found.job.result if found.job is not None else None)


def _listing(ask: Ask) -> Listing:
    playbook = ask.console.reading.engine().live.playbook
    declared = {name: each for name, each in playbook.declarations.experiences.items() if each.experiment is not None}
    page = listed(ask, sorted(declared), lambda name: f"{name} {declared[name].placement}")
    switches = Switches(ask.console.world.registry).of(ask.tenant)
    now = ask.console.world.clock.now()
    rows = [_row(declared[name], playbook, switches, now) for name in page.items]
    job = _surveyed(ask, playbook, tuple(page.items))
    return Listing(page.of(rows), len(declared), playbook.declarations.settings.holdout.share, job)


def _surveyed(ask: Ask, playbook: Playbook, names: tuple[str, ...]) -> Job | None:
    wanted = (*names, HOLDOUT) if playbook.declarations.settings.holdout.share else names
    key = named(ask.tenant, "survey", playbook.hash, *wanted)
    try:
        return ask.console.jobs.ask(key, work.surveyed, ask.tenant, wanted, fresh=SURVEYED)
    except TooMuch:
        return ask.console.jobs.find(key)


def _row(declared: ExperienceDecl, playbook: Playbook, switches: list[Switch], now: Millis) -> Row:
    experiment = declared.experiment
    if experiment is None:
        raise InvalidInput(f"{declared.name} has no experiment", code="no_such_experiment")
    traffic = [share for since, share in experiment.traffic if since <= now]
    return Row(
        name=declared.name,
        placement=declared.placement,
        state=_state(declared, playbook, switches, now, traffic[-1] if traffic else 0),
        arms=tuple(experiment.arms.items()),
        goal=experiment.goal,
        days=experiment.design.days,
        traffic=traffic[-1] if traffic else 0,
    )


def _state(declared: ExperienceDecl, playbook: Playbook, switches: list[Switch], now: Millis, traffic: int) -> State:
    if not declared.enabled:
        return "off"
    if any(_touches(each, declared) for each in switches):
        return "stopped"
    schedule = declared.schedule
    if schedule is None:
        return "running" if traffic else "planned"
    zone = playbook.declarations.settings.time_zone
    if (end := ends(schedule, zone)) is not None and end <= now:
        return "over"
    begun = schedule.start is None or instant(schedule.start, zone).millis <= now
    return "running" if begun and traffic else "planned"


def _touches(switch: Switch, declared: ExperienceDecl) -> bool:
    places = {("all", ""), ("placement", declared.placement), ("experience", declared.name)}
    return (switch.scope, switch.name) in places


# --- one of them ---


async def one(ask: Ask) -> Response:
    """An experiment with its report; asked for as a part, what changed of it."""
    found = await ask.run(_one, ask, ask.param("name"))
    if not ask.is_part:
        return ask.page("experiment.html", one=found, done=_done(ask))
    if found.view is not None and ask.query("seen") == found.digest:
        response = ask.part("experiment_live.html", one=found)
        response.headers["hx-retarget"] = "#live"
        return response
    return ask.part("experiment_report.html", one=found)


def _one(ask: Ask, name: str) -> One:
    row, off = _declared(ask, name)
    job = _reported(ask, name)
    report = msgspec.msgpack.decode(job.result, type=Report) if job.result is not None else None
    return One(
        name=name,
        row=row,
        off=off,
        job=job,
        ahead=ask.console.jobs.ahead(job),
        view=view(report, ask.look) if report is not None else None,
        digest=_digest(report) if report is not None else "",
    )


def _reported(ask: Ask, name: str) -> Job:
    key = named(ask.tenant, "report", name)
    try:
        return ask.console.jobs.ask(key, work.report, ask.tenant, name, fresh=FRESH)
    except TooMuch:
        job = ask.console.jobs.find(key)
        if job is None:
            raise
        return job


def _declared(ask: Ask, name: str) -> tuple[Row | None, tuple[Switch, ...]]:
    """What the live playbook says of it; nothing of one that is over, or of the shop's holdout.

    Raises ``InvalidInput`` (``no_such_experiment``) for what can be none.
    """
    playbook = ask.console.reading.engine().live.playbook
    declared = playbook.declarations.experiences.get(name)
    if declared is None or declared.experiment is None:
        if declared is not None or not _NAME.fullmatch(name):
            raise InvalidInput(ask.say("There is no such experiment."), code="no_such_experiment")
        return None, ()
    switches = Switches(ask.console.world.registry).of(ask.tenant)
    row = _row(declared, playbook, switches, ask.console.world.clock.now())
    return row, tuple(each for each in switches if _touches(each, declared))


def _digest(report: Report) -> str:
    """Of what a reader would see change: not of when it was made."""
    plan = replace(report.plan, days_left=None) if report.plan is not None else None
    seen = replace(report, made=0, sql={}, plan=plan, through=0 if report.started is None else report.through)
    return blake2b(msgspec.msgpack.encode(seen), digest_size=8).hexdigest()


# --- files ---


async def file(ask: Ask) -> Response:
    """The report as a file; until it is made, a page that asks again by itself."""
    name, kind = ask.param("name"), ask.query("kind")
    if kind not in FILES:
        raise InvalidInput(ask.say("A report comes as html, csv, sql or json."), code="invalid_request")
    await ask.run(_declared, ask, name)
    key = named(ask.tenant, "file", kind, name)
    job = await ask.run(partial(ask.console.jobs.ask, fresh=FRESH), key, work.exported, ask.tenant, name, kind)
    if job.awaited:
        response = ask.page("experiment_file.html", 202, name=name, kind=kind, job=job)
        response.headers["refresh"] = "2"
        return response
    if job.state == "failed":
        raise CashwrapError(job.message, code=job.code)
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    headers = {"content-disposition": f'attachment; filename="{plain}.{kind}"'}
    return Response(job.result, media_type=FILES[kind], headers=headers)


# --- stopping, and what ought to be ---


async def stop(ask: Ask) -> Response:
    """Switch it off: with the next decision nobody is in it."""
    reason = (await ask.form()).get("reason", "").strip()[:REASON]
    if not reason:
        raise InvalidInput(ask.say("Say why, for whoever reads it later."), code="missing_reason")
    return await _switch(ask, off=True, reason=reason)


async def start(ask: Ask) -> Response:
    """Switch it on again."""
    return await _switch(ask, off=False, reason="")


async def _switch(ask: Ask, *, off: bool, reason: str) -> Response:
    name = ask.param("name")
    row, _ = await ask.run(_declared, ask, name)
    if row is None:
        message = ask.say("The live playbook has no such experiment, so there is nothing to stop.")
        raise InvalidInput(message, code="no_such_experiment")
    note = ask.note("switch.off" if off else "switch.on", f"experience {name}")
    world = ask.console.world
    switch = Switch("experience", name, world.clock.now(), reason, ask.tenant, note.actor)
    await ask.change(note, lambda: Switches(world.registry).set(switch, off=off))
    return ask.go(f"/experiments/{name}", done="stopped" if off else "started")


def _done(ask: Ask) -> str:
    texts = {
        "stopped": ask.say("It is stopped: from the next decision on nobody is in it."),
        "started": ask.say("It runs again from the next decision on."),
    }
    return texts.get(ask.query("done"), "")


async def guard(ask: Ask) -> Response:
    """Which experiments do harm by what is known now: what ``cashwrap guard`` would roll back."""
    key = named(ask.tenant, "guard")
    job = await ask.run(partial(ask.console.jobs.ask, fresh=SURVEYED), key, work.guarded, ask.tenant)
    switches = await ask.run(lambda: Switches(ask.console.world.registry).kills(ask.tenant).experiences)
    template = "experiments_harm.html" if ask.is_part else "experiments_guard.html"
    return ask.page(template, job=job, off=switches)


ROUTES: list[Route] = [
    Route("GET", "/experiments", index, "see"),
    Route("GET", "/guard", guard, "see"),
    Route("GET", "/experiments/{name}", one, "see"),
    Route("GET", "/experiments/{name}/file", file, "see"),
    Route("POST", "/experiments/{name}/stop", stop, "stop"),
    Route("POST", "/experiments/{name}/start", start, "stop"),
]
