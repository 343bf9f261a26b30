"""Segments: what they mean, how large they are and were, what their members have in common, and how they overlap."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.groups.sampling import BANDS, Looking, Shape, Unknown
from cashwrap.console.groups.sizes import DAY, HOURS, MINUTE, Counted
from cashwrap.console.listing import Listed, listed
from cashwrap.console.routing import Route
from cashwrap.console.shop.uses import Readers, Uses, uses_of
from cashwrap.declarations import SegmentDecl
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis

FRESH: Millis = 10 * MINUTE
"""How old what members look like may be: looking takes seconds."""
TREND: Millis = HOURS
"""What the trend of a size looks back."""
FOREVER: Millis = 365 * DAY


class Row(Struct, frozen=True):
    """One segment in the list. ``size`` is 0 for too few to tell; ``before`` is what it was, where that is known."""

    name: str
    declared: SegmentDecl
    size: int
    share: float
    before: int | None
    readers: Readers


class One(Struct, frozen=True):
    """Everything that the page of one segment shows."""

    declared: SegmentDecl
    counted: Counted
    before: int | None
    curve: Sequence[tuple[Millis, int]]
    uses: Uses


def uses(ask: Ask, engine: Engine) -> Uses:
    """What reads what in the live playbook. For a thread."""
    playbook = engine.live.playbook
    return ask.console.remembered.get(("uses", playbook.hash), FOREVER, lambda: uses_of(playbook))


async def every(ask: Ask) -> Response:
    """The list: by name or by size, fifty at a time."""
    page, counted, known = await ask.run(_every, ask)
    return ask.page("segments.html", page=page, counted=counted, known=known, days=TREND // DAY)


def _every(ask: Ask) -> tuple[Listed[Row], Counted, int]:
    engine, recorder = ask.console.reading.engine(), ask.console.sizes
    declared, counted = engine.live.playbook.declarations.segments, recorder.now(ask.tenant)
    readers = uses(ask, engine)
    names = sorted(declared)
    if ask.query("sort") == "size":
        names.sort(key=lambda name: -counted.of(name))
    shown = listed(ask, names, lambda name: f"{name} {declared[name].description}")
    before = recorder.before(ask.tenant, shown.items, TREND)
    rows = [_row(declared[name], counted, before.get(name), readers.of(name)) for name in shown.items]
    return shown.of(rows), counted, len(names)


def _row(declared: SegmentDecl, counted: Counted, before: int | None, readers: Readers) -> Row:
    size = counted.of(declared.name)
    share = min(1.0, size / counted.everybody) if counted.everybody else 0.0
    return Row(declared.name, declared, size, share, before, readers)


async def one(ask: Ask) -> Response:
    """One segment."""
    name = ask.param("name")
    found = await ask.run(_one, ask, name)
    return ask.page(
        "segment.html",
        name=name,
        one=found,
        size=found.counted.of(name),
        shown=found.uses.segment(name),
        readers=found.uses.of(name),
        plot=_plot(ask, found.curve),
    )


def _one(ask: Ask, name: str) -> One:
    engine, recorder = ask.console.reading.engine(), ask.console.sizes
    declared = _declared(ask, engine, name)
    before = recorder.before(ask.tenant, [name], TREND).get(name)
    return One(declared, recorder.now(ask.tenant), before, recorder.curve(ask.tenant, name), uses(ask, engine))


async def members(ask: Ask) -> Response:
    """What the members of a segment look like: a part of its page, since looking takes a moment."""
    name = ask.param("name")
    shape, unknown, size = await ask.run(_looked, ask, name)
    template = "segment_members.html" if ask.is_part else "segment_members_page.html"
    return ask.part(template, name=name, shape=shape, unknown=unknown, size=size, bands=BANDS)


def _looked(ask: Ask, name: str) -> tuple[Shape, Unknown, int]:
    engine, recorder, tenant = ask.console.reading.engine(), ask.console.sizes, ask.tenant
    _declared(ask, engine, name)
    playbook = engine.live.playbook
    segment, size = uses(ask, engine).segments[name], recorder.now(tenant).of(name)
    looking = Looking(ask.console.world, tenant, recorder.veil)

    def look() -> tuple[Shape, Unknown]:
        question, many = recorder.question(segment), len(playbook.segments.ordered)
        return looking.shape(name, question, size, many), looking.unknown(playbook, name)

    shape, unknown = ask.console.remembered.get(("shape", tenant, playbook.hash, name), FRESH, look)
    return shape, unknown, size


def _declared(ask: Ask, engine: Engine, name: str) -> SegmentDecl:
    declared: Mapping[str, SegmentDecl] = engine.live.playbook.declarations.segments
    if name not in declared:
        raise InvalidInput(ask.say("The live playbook has no such segment."), code="no_such_segment")
    return declared[name]


def _plot(ask: Ask, curve: Sequence[tuple[Millis, int]]) -> dict[str, object]:
    return {
        "at": [at // 1000 for at, _ in curve],
        "lines": [{"label": ask.say("Shoppers"), "values": [size for _, size in curve]}],
        "unit": "",
    }


ROUTES: list[Route] = [
    Route("GET", "/segments", every, "see"),
    Route("GET", "/segments/of/{name}", one, "see"),
    Route("GET", "/segments/of/{name}/members", members, "see"),
]
