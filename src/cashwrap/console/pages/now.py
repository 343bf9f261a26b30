"""What happens now: figures, curves, what to look at, and all of it live."""

from collections.abc import Callable
from math import inf
from typing import Any

import msgspec
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.console import Console
from cashwrap.console.look import Look, look_of
from cashwrap.console.now.figures import DAY, HOUR, MINUTE, SECOND, Point, at_most
from cashwrap.console.now.live import State
from cashwrap.console.people.people import Person
from cashwrap.console.people.sessions import IDLE, LONGEST, Session
from cashwrap.console.roles import may
from cashwrap.console.routing import Route
from cashwrap.console.streams import Event
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis, Tenant

SPANS: dict[str, tuple[Millis, Millis, Millis]] = {
    "minutes": (10 * MINUTE, 5 * SECOND, MINUTE),
    "day": (DAY, 5 * MINUTE, HOUR),
    "quarter": (90 * DAY, 6 * HOUR, DAY),
}
"""What curves show: how long, in which steps, and in which steps orders, which are few."""
SLOWEST = 200
"""Milliseconds that are drawn for what took longer than the last bucket tells."""
Line = Callable[[Point], float | None]


async def now(ask: Ask) -> Response:
    """The page."""
    span = ask.query("span", "minutes")
    if span not in SPANS:
        raise InvalidInput(ask.say("Choose one of the times shown."), code="no_such_span")
    state = await ask.run(ask.console.live.state, ask.tenant)
    plots = await ask.run(_plots, ask.console, ask.tenant, ask.look, span)
    values = _figures(state, ask.tenant, may_stop=ask.allows("stop"))
    return ask.page("now.html", plots=plots, span=span, **values)


async def stream(ask: Ask) -> Response:
    """What changes, for as long as the person may see it."""
    console, tenant, language, session = ask.console, ask.tenant, ask.look.language, ask.session
    may_stop, who = ask.allows("stop"), ask.who

    async def make() -> bytes:
        return await ask.run(_piece, console, tenant, language, may_stop)

    async def still() -> bool:
        return session is not None and await ask.run(_may_still, console, who.name, session, tenant, may_stop)

    return console.live.streams.open((tenant, language, may_stop), make, still)


async def acknowledge(ask: Ask) -> Response:
    """Take an alert on: it stays quiet until it clears."""
    code, live, who = ask.param("code"), ask.console.live, ask.who.shown
    note = ask.note("alert.acknowledge", code)
    if not any(each.alert.code == code for each in (await ask.run(live.state, ask.tenant)).told):
        raise InvalidInput(ask.say("This alert has cleared by itself."), code="no_such_alert")
    await ask.change(note, lambda: live.acknowledge(ask.tenant, code, who))
    return ask.go("/now")


ROUTES: list[Route] = [
    Route("GET", "/now", now, "see"),
    Route("GET", "/now/stream", stream, "see"),
    Route("POST", "/now/alerts/{code}", acknowledge, "stop"),
]


def _may_still(console: Console, name: str, session: Session, tenant: Tenant, may_stop: bool) -> bool:  # noqa: FBT001
    """Whether a session lasts and allows what its stream shows. To look is no use of it: an idle session still ends."""
    sessions, clock, person = console.sessions, console.world.clock, console.people.find(name)
    if person is None or person.disabled or person.epoch != session.epoch:
        return False
    over = clock.now() - session.began > LONGEST or clock.now() - sessions.seen(session) > IDLE
    known = any(each.id == session.id for each in sessions.of(name))
    return known and not over and _sees(person, tenant) and may(person.grants, "stop", tenant) == may_stop


def _sees(person: Person, tenant: Tenant) -> bool:
    return may(person.grants, "see", tenant)


def _piece(console: Console, tenant: Tenant, language: str, may_stop: bool) -> bytes:  # noqa: FBT001
    """What a stream is sent: the figures as they stand in the page, and the newest point of each curve."""
    look, state = look_of(language), console.live.state(tenant)
    html = look.render("now_figures.html", {"csrf": "", **_figures(state, tenant, may_stop=may_stop)})
    points = {name: _newest(plot) for name, _, plot in _plots(console, tenant, look, "minutes", steps=2)}
    told = {name: point for name, point in points.items() if point is not None}
    return Event("figures", html).encode() + Event("points", msgspec.json.encode(told).decode()).encode()


def _newest(plot: dict[str, Any]) -> dict[str, Any] | None:
    return {"at": plot["at"][-1], "values": [line["values"][-1] for line in plot["lines"]]} if plot["at"] else None


def _figures(state: State, tenant: Tenant, *, may_stop: bool) -> dict[str, Any]:
    """What the template of the figures needs: nothing of who looks, since all who may see the same share it."""
    situation, buckets = state.situation, state.latency.buckets
    return {
        "state": state,
        "situation": situation,
        "base": f"/console/{tenant.store}/{tenant.environment}",
        "may_stop": may_stop,
        "events": round(state.minute.events / state.seconds, 1),
        "decisions": round(state.minute.decisions / state.seconds, 1),
        "latency": [(name, at_most(buckets, share)) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))],
        "endless": inf,
        "degraded": situation.recent.share("degraded", "decisions"),
        "fallbacks": situation.recent.share("fallbacks", "answers"),
        "heard": bool(situation.processes),
    }


def _plots(
    console: Console, tenant: Tenant, look: Look, span: str, steps: int = 0
) -> list[tuple[str, str, dict[str, Any]]]:
    """Curves: each with its id, its title, and what is drawn; of ``steps`` at the end only where that is not 0."""
    long, step, slow = SPANS[span]
    own, since = console.live.curve(tenant, steps * step or long, step), console.live.heard_since(step)
    whole = console.live.curve(None, steps * step or long, step)
    orders = console.live.curve(tenant, steps * slow or long, slow)
    rates: dict[str, Line] = {
        look.say("Decisions"): lambda point: point.decisions * SECOND / step,
        look.say("Events"): lambda point: point.events * SECOND / step,
    }
    taken: dict[str, Line] = {
        name: _taken(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }  # the names of quantiles are the same in every language
    shares: dict[str, Line] = {
        look.say("Degraded"): lambda point: point.share("degraded", "decisions") if point.decisions else None,
        look.say("Fallbacks"): lambda point: point.share("fallbacks", "answers") if point.answers else None,
    }
    sold: dict[str, Line] = {
        look.say("Backend"): lambda point: point.orders,
        look.say("Browsers"): lambda point: point.hints,
    }
    return [
        ("plot-rates", look.say("Decisions and events a second"), _drawn(own, rates, since=since)),
        ("plot-latency", look.say("Decisions took at most, in milliseconds"), _drawn(whole, taken, "ms")),
        ("plot-shares", look.say("Degraded decisions and fallbacks"), _drawn(own, shares, "share")),
        ("plot-orders", look.say("Orders, by who told of them"), _drawn(orders, sold)),
    ]


def _taken(share: float) -> Line:
    def millis(point: Point) -> float | None:
        seconds = at_most(point.buckets, share)
        return None if seconds is None else min(SLOWEST, seconds * SECOND)

    return millis


def _drawn(
    points: list[tuple[Millis, Point]], lines: dict[str, Line], unit: str = "", since: Millis = 0
) -> dict[str, Any]:
    """What ``parts.plot`` draws; before ``since`` nothing was known."""
    drawn = [
        {"label": label, "values": [line(point) if at >= since else None for at, point in points]}
        for label, line in lines.items()
    ]
    return {"at": [at // SECOND for at, _ in points], "lines": drawn, "unit": unit}
