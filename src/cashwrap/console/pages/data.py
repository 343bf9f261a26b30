"""*Data*: what failed and what to do about it, what drifts from the playbook, how fresh products are, what is kept."""

from functools import partial

from starlette.responses import Response

from cashwrap import drift, failed
from cashwrap.audit import pseudonym
from cashwrap.console.ask import Ask
from cashwrap.console.failures import groups, remedy_of
from cashwrap.console.keeping import kept
from cashwrap.console.routing import Route
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.failed import Chosen, Replayed
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.repair import SHOPPER

HERE = "/data"
PAGE = 50
ROUNDS = 20
"""Requests to the server for one order to try all of a code again: a thousand events each."""
TOLD = 200
"""Events that stay and are told one by one."""
STRAYS = 200
"""Undeclared names that are listed: the most frequent."""


# --- failed events ---


async def overview(ask: Ask) -> Response:
    """Failed events by their reason."""
    found = await ask.run(groups, ask.console.world, ask.tenant)
    return ask.page("data.html", tab="", groups=found, total=sum(each.count for each in found), done=_done(ask))


def _done(ask: Ask) -> str:
    count = ask.query("count")
    return ask.say("Discarded: %(count)s.", count=count) if ask.query("done") == "discarded" and count.isdigit() else ""


async def listed(ask: Ask) -> Response:
    """One page of failed events, of one code or of all: reasons only."""
    code, after = ask.query("code")[:100], _number(ask.query("after") or "0")
    found = await ask.run(failed.listed, ask.console.world, Chosen(code=code, tenant=ask.tenant), after, PAGE + 1)
    nearest = found[PAGE - 1].sequence if len(found) > PAGE else 0
    return ask.page(
        "data_failed.html",
        tab="",
        failures=found[:PAGE],
        code=code,
        after=nearest,
        first=not after,
        remedy=remedy_of(code),
    )


async def one(ask: Ask) -> Response:
    """One failed event: its reason; what it holds for those who may read that, with an entry in the audit log."""
    return await ask.run(_one, ask, _number(ask.param("number")), None)


def _one(ask: Ask, number: int, problem: CashwrapError | None) -> Response:
    world = ask.console.world
    failure = failed.find(world, number, ask.tenant)
    event: object = None
    unreadable = ""
    if failure.payload is not None and ask.allows("failed.read"):
        who = pseudonym(world.vault, ShopperKey(failure.tenant, failure.payload[:SHOPPER]))
        note = ask.note("failed.read", str(number), code=failure.code, shopper=who)
        try:
            event = ask.console.trail.around(note, partial(failed.described, world, failure))
        except CashwrapError as error:
            unreadable = error.code
    values = {"failure": failure, "event": event, "unreadable": unreadable, "problem": problem}
    done = ask.say("Repaired. It is not tried again yet.") if ask.query("done") == "repaired" else ""
    return ask.page(
        "data_event.html", 400 if problem else 200, tab="", remedy=remedy_of(failure.code), done=done, **values
    )


async def repair(ask: Ask) -> Response:
    """A field of one set right, or left out, by the server."""
    number, form = _number(ask.param("number")), await ask.form()
    path = form.get("path", "").strip()[:300]
    body: dict[str, object] = {"unset": [path]} if form.get("leave") else {"set": {path: form.get("value", "")[:4096]}}
    try:
        await _upstream(ask, f"/v1/failed/{number}/repair", body)
    except InvalidInput as error:
        if error.code in {"no_such_event", "no_such_path"}:
            raise
        return await ask.run(_one, ask, number, error)
    return ask.go(f"{HERE}/failed/{number}", done="repaired")


async def replay(ask: Ask) -> Response:
    """Events tried again, and what became of each."""
    chosen = await _chosen(ask)
    told, after = Replayed(), 0
    for _ in range(ROUNDS):
        answer = await _upstream(ask, "/v1/failed/replay", {**chosen, "after": after})
        _add(told, answer)
        if told.next is None:
            break
        after = told.next
    return ask.page("data_replayed.html", tab="", told=told, left=list(told.left.items())[:TOLD], chosen=chosen)


def _add(told: Replayed, answer: dict[str, object]) -> None:
    """Take one answer's counts into the sum."""
    for fate in ("tried", "unreadable", *failed.FATES):
        count = answer.get(fate)
        if isinstance(count, int):
            setattr(told, fate, getattr(told, fate) + count)
    left = answer.get("left")
    if isinstance(left, dict):
        told.left |= {int(number): str(why) for number, why in left.items()}
    following = answer.get("next")
    told.next = following if isinstance(following, int) else None


async def discard(ask: Ask) -> Response:
    """Failed events removed for good."""
    answer = await _upstream(ask, "/v1/failed/discard", await _chosen(ask))
    return ask.go(HERE, done="discarded", count=answer.get("discarded", 0))


async def _chosen(ask: Ask) -> dict[str, object]:
    """One by its number, all of a code, or all. Raises ``InvalidInput`` where a form says neither."""
    form = await ask.form()
    if form.get("number"):
        return {"numbers": [_number(form["number"])]}
    if form.get("code"):
        return {"code": form["code"][:100]}
    if form.get("all"):
        return {"all": True}
    raise InvalidInput(ask.say("Say which ones."), code="invalid_request")


async def _upstream(ask: Ask, path: str, body: object) -> dict[str, object]:
    """Ask the server, which leaves the entry in the audit log in this person's name."""
    return await ask.run(ask.console.upstream.call, "POST", path, ask.who.mark, ask.tenant, body)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("there is no such failed event", code="no_such_event")
    return int(text)


# --- drift ---


async def drifting(ask: Ask) -> Response:
    """What arrives and is not declared, and what is declared and does not arrive any more."""
    return await ask.run(_drifting, ask)


def _drifting(ask: Ask) -> Response:
    world, playbook = ask.console.world, ask.console.reading.engine().live.playbook
    days = drift.days_of(world.registry, ask.tenant)
    report = drift.report(days, declared_of(playbook), world.clock.now())
    return ask.page(
        "data_drift.html",
        tab="/drift",
        report=report,
        undeclared=[(each, hint(each.event, each.field)) for each in report.undeclared[:STRAYS]],
        unknown=[(each, hint(each.event, "")) for each in report.unknown[:STRAYS]],
        wrong=[each for each in groups(world, ask.tenant) if each.remedy == "field"],
    )


def declared_of(playbook: Playbook) -> dict[str, list[str]]:
    """The events that are declared, with the paths of the fields that they may bring."""
    vocabulary = playbook.vocabulary
    traits = [f"traits.{name}" for name in vocabulary.traits]
    return {
        name: [*(f"properties.{field}" for field in event.fields), *(traits if name == "Identified" else ())]
        for name, event in vocabulary.events.items()
        if not event.ours
    }


def hint(event: str, field: str) -> str:
    """What to add to the playbook so that this is kept; empty where the name is not known."""
    part, _, name = field.partition(".")
    if not event or (field and not name):
        return ""
    if part == "traits":
        return f"traits:\n  {_key(name)}: text\n"
    if name:
        return f"events:\n  {_key(event)}: {{fields: {{{_key(name)}: text}}}}\n"
    return f"events:\n  {_key(event)}: {{fields: {{}}, purpose: personalization}}\n"


def _key(name: str) -> str:
    """A name as a key of YAML."""
    return name if name.replace("_", "").replace(" ", "").isalpha() and name == name.strip() else f'"{name}"'


# --- products, and what is kept ---


async def goods(ask: Ask) -> Response:
    """How fresh and whole the catalogue is."""
    return await ask.run(_goods, ask)


def _goods(ask: Ask) -> Response:
    world = ask.console.world
    shelf = ask.console.goods.shelf(ask.tenant)
    return ask.page("data_goods.html", tab="/catalogue", shelf=shelf, stale=shelf.stale(world.clock.now()))


async def keeping(ask: Ask) -> Response:
    """What is kept and for how long, how much room is left, what waits to be told."""
    return await ask.run(_keeping, ask)


def _keeping(ask: Ask) -> Response:
    console = ask.console
    settings = console.reading.engine().live.playbook.settings
    state = kept(console.world, console.options.data, ask.tenant)
    horizon = console.world.store.horizon()
    return ask.page("data_keeping.html", tab="/keeping", state=state, settings=settings, horizon=horizon)


ROUTES: list[Route] = [
    Route("GET", HERE, overview, "see"),
    Route("GET", f"{HERE}/failed", listed, "see"),
    Route("POST", f"{HERE}/failed/replay", replay, "failed.settle"),
    Route("POST", f"{HERE}/failed/discard", discard, "failed.settle"),
    Route("GET", f"{HERE}/failed/{{number}}", one, "see"),
    Route("POST", f"{HERE}/failed/{{number}}/repair", repair, "failed.settle"),
    Route("GET", f"{HERE}/drift", drifting, "see"),
    Route("GET", f"{HERE}/catalogue", goods, "see"),
    Route("GET", f"{HERE}/keeping", keeping, "see"),
]
