"""Offers: what they give to whom, how far limits are, what became of them, and what looks strange in their books."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.listing import Listed, listed
from cashwrap.console.pages.segments import uses
from cashwrap.console.routing import Route
from cashwrap.console.shop.ledger_pages import DAY, Checked, Days, LedgerPages, Read
from cashwrap.console.shop.suspicious import who
from cashwrap.console.shop.uses import Uses
from cashwrap.console.shopper.links import ShopperLinks
from cashwrap.declarations import OfferDecl
from cashwrap.errors import InvalidInput, Unavailable
from cashwrap.ledger import CodeCount
from cashwrap.model import Minor
from cashwrap.offering.availability import day_of
from cashwrap.offering.codes import WantedCodes, code_like, make_codes, offer_with_codes
from cashwrap.offers.benefits import Amount, FreeDelivery, FreeItem, Percent, Tiers
from cashwrap.offers.guard import budget_key, counted, day_key, exhausted, part_of, total_key
from cashwrap.offers.terms import Limits, Offer
from cashwrap.playbook import Playbook

CODES_MOST = 100_000
"""Codes of one download; the command makes more."""
SHOWN_WHO = 50
"""Shoppers of a pattern that whoever may is led to."""


class Used(Struct, frozen=True):
    """How far one limit is."""

    name: str
    used: int
    most: int | None
    money: bool = False

    @property
    def share(self) -> float:
        """The part that is used up, of one."""
        return min(1.0, self.used / self.most) if self.most else 0.0


class Row(Struct, frozen=True):
    """One offer in the list."""

    name: str
    offer: Offer
    terms: list[str]
    limits: list[Used]
    gone: bool
    held: Mapping[str, Minor]
    spent: Mapping[str, Minor]


class Every(Struct, frozen=True):
    """What the list shows. ``trouble`` says why there are no books, empty where there are."""

    page: Listed[Row]
    known: int
    read: Read | None
    checked: Checked | None
    trouble: str


class One(Struct, frozen=True):
    """What the page of one offer shows."""

    row: Row
    declared: OfferDecl
    uses: Uses
    read: Read | None
    days: Days
    parts: Mapping[str, list[Used]]
    codes: CodeCount
    granted_by: tuple[str, ...]
    trouble: str


async def every(ask: Ask) -> Response:
    """The list, with what is strange in the books and whether they add up."""
    found = await ask.run(_every, ask)
    return ask.page("offers.html", found=found, may_who=ask.allows("shopper.read"))


async def check(ask: Ask) -> Response:
    """Check the books, and go back to the list."""
    await ask.run(lambda: _books(ask).check())
    return ask.go("/offers")


async def one(ask: Ask) -> Response:
    """One offer."""
    return await _page_of(ask, ask.param("name"))


async def _page_of(ask: Ask, name: str, status: int = 200, *, problem: str = "", given: object = None) -> Response:
    found = await ask.run(_one, ask, name)
    return ask.page(
        "offer.html",
        status,
        name=name,
        one=found,
        shown=found.uses.offer(name),
        plot=_plot(ask, found.days),
        problem=problem,
        given=given or {},
        may_make=ask.allows("offer.codes") and found.row.offer.codes != "none" and not found.trouble,
        may_who=ask.allows("shopper.read"),
    )


async def make(ask: Ask) -> Response:
    """New codes as a text to keep: they are told this once."""
    name, form = ask.param("name"), await ask.form()
    try:
        wanted = _wanted(ask, form)
        playbook = (await ask.run(ask.console.reading.engine)).live.playbook
        like = code_like(offer_with_codes(playbook.offers, name), wanted, playbook.settings.time_zone)
    except InvalidInput as error:
        if error.code in ("no_such_offer", "no_codes"):
            raise
        return await _page_of(ask, name, 422, problem=error.message, given=form)
    world, tenant = ask.console.world, ask.tenant
    note = ask.note("offer.codes", name, count=wanted.count, uses=like.uses, expires=wanted.expires)
    texts = await ask.change(note, lambda: list(make_codes(world, tenant, like, wanted.count)))
    headers = {"content-disposition": f'attachment; filename="{name}-codes.txt"', "cache-control": "no-store"}
    return Response("\n".join(texts) + "\n", media_type="text/plain", headers=headers)


def _wanted(ask: Ask, form: Mapping[str, str]) -> WantedCodes:
    count, often = form.get("count", "").strip(), form.get("uses", "").strip()
    if not _is_number(count) or not 1 <= int(count) <= CODES_MOST:
        message = ask.say("Enter how many codes: 1 to %(most)s.", most=ask.look.number(CODES_MOST))
        raise InvalidInput(message, code="invalid_count")
    if often and not _is_number(often):
        raise InvalidInput(ask.say("Enter how often each may be used, or leave it empty."), code="invalid_count")
    return WantedCodes(int(count), int(often) if often else None, form.get("expires", "").strip())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


async def shoppers(ask: Ask) -> Response:
    """The shoppers behind a pattern, for whoever may read shoppers: as links, each opened with an entry of its own."""
    name, code = ask.param("name"), ask.param("code")
    links = await ask.run(_shoppers, ask, name, code)
    return ask.page("offer_shoppers.html", name=name, code=code, links=links, most=SHOWN_WHO)


def _shoppers(ask: Ask, name: str, code: str) -> list[tuple[str, int]]:
    if code not in ("loop", "refunds"):
        raise InvalidInput(ask.say("There is no such pattern."), code="no_such_pattern")
    world = ask.console.world
    moves, _ = _books(ask).moves(ask.tenant)
    digests = dict(who("loop" if code == "loop" else "refunds", name, moves)[:SHOWN_WHO])
    known = world.store.resolve(list(digests))
    links = ShopperLinks(world.vault, world.clock, world.random)
    return [
        (links.make(ask.tenant, ask.who.name, known[digest].shopper), times)
        for digest, times in digests.items()
        if digest in known and known[digest].tenant == ask.tenant
    ]


# --- reading ---


def _books(ask: Ask) -> LedgerPages:
    console = ask.console
    if console.world.ledger is None:
        raise Unavailable(ask.say("There is no ledger here: no offer can be granted."), code="no_ledger")
    return LedgerPages(console.world.ledger, console.world.clock, console.remembered)


def _every(ask: Ask) -> Every:
    playbook = ask.console.reading.engine().live.playbook
    declared = playbook.declarations.offers
    page = listed(ask, sorted(declared), lambda name: f"{name} {' '.join(declared[name].text.values())}")
    try:
        books = _books(ask)
        rows, read, checked = _rows(ask, playbook, page.items), books.read(ask.tenant), books.checked()
    except Unavailable as error:
        bare = [_row(ask, playbook, name, {}) for name in page.items]
        return Every(page.of(bare), len(declared), None, None, error.message)
    return Every(page.of(rows), len(declared), read, checked, "")


def _one(ask: Ask, name: str) -> One:
    engine = ask.console.reading.engine()
    playbook = engine.live.playbook
    if name not in playbook.offers:
        raise InvalidInput(ask.say("The live playbook has no such offer."), code="no_such_offer")
    offer, declared = playbook.offers[name], playbook.declarations.offers[name]
    read, parts, trouble = None, dict[str, list[Used]](), ""
    row = _row(ask, playbook, name, {})
    try:
        books = _books(ask)
        row, read = _rows(ask, playbook, [name])[0], books.read(ask.tenant)
        counters, day = _counters(ask, playbook, [name])
        parts = {
            arm: _limits(ask, part_of(name, arm), limits, offer, counters, day) for arm, limits in offer.parts.items()
        }
    except Unavailable as error:
        trouble = error.message
    experiences = playbook.declarations.experiences.values()
    granting = (
        each.name for each in experiences if each.offer == name or (each.best_of and each.best_of == offer.group)
    )
    return One(
        row=row,
        declared=declared,
        uses=uses(ask, engine),
        read=read,
        days=read.days.get(name, Days({}, {})) if read is not None else Days({}, {}),
        parts=parts,
        codes=read.codes.get(name, CodeCount()) if read is not None else CodeCount(),
        granted_by=tuple(sorted(granting)),
        trouble=trouble,
    )


def _rows(ask: Ask, playbook: Playbook, names: Sequence[str]) -> list[Row]:
    counters, _ = _counters(ask, playbook, names)
    return [_row(ask, playbook, name, counters, balanced=True) for name in names]


def _counters(ask: Ask, playbook: Playbook, names: Sequence[str]) -> tuple[Mapping[str, int], str]:
    ledger = ask.console.world.ledger
    day = day_of(ask.console.world.clock.now(), playbook.settings)
    keys = counted([playbook.offers[name] for name in names], day)
    return (ledger.used(ask.tenant, keys) if ledger is not None and keys else {}), day


def _row(ask: Ask, playbook: Playbook, name: str, counters: Mapping[str, int], *, balanced: bool = False) -> Row:
    offer, ledger = playbook.offers[name], ask.console.world.ledger
    day = day_of(ask.console.world.clock.now(), playbook.settings)
    balance = ledger.balance(ask.tenant, name) if balanced and ledger is not None else {}
    return Row(
        name,
        offer,
        list(terms(ask, offer)),
        _limits(ask, name, offer.limits, offer, counters, day),
        exhausted(offer, counters, day),
        {currency: held for currency, (held, _) in balance.items()},
        {currency: spent for currency, (_, spent) in balance.items()},
    )


def _limits(ask: Ask, name: str, limits: Limits, offer: Offer, counters: Mapping[str, int], day: str) -> list[Used]:
    """The limits that are counted for all shoppers together; the number of uses is told without one too."""
    found = [Used(ask.say("Uses"), counters.get(total_key(name), 0), limits.total)]
    if limits.day is not None:
        found.append(Used(ask.say("Uses today"), counters.get(day_key(name, day), 0), limits.day))
    if limits.budget is not None:
        used = counters.get(budget_key(name, offer.currency), 0)
        found.append(Used(ask.say("Budget"), used, limits.budget, money=True))
    return found


# --- in words ---


def terms(ask: Ask, offer: Offer) -> Iterator[str]:
    """What an offer gives and under which terms, a sentence each."""
    say, look = ask.say, ask.look
    yield _benefit(ask, offer)
    if offer.bundle:
        yield say("Only where all of these are in the cart: %(products)s", products=", ".join(offer.bundle))
    limits = offer.limits
    if limits.shopper is not None:
        yield say("At most %(count)s times for one shopper", count=look.number(limits.shopper))
    if limits.code is not None:
        yield say("At most %(count)s times with one code", count=look.number(limits.code))
    if offer.group is not None:
        yield say("One offer of the group %(group)s for one cart", group=offer.group)
    if offer.lasts is not None:
        yield say("Ends %(time)s after it was first granted to a shopper", time=look.lasted(offer.lasts))
    if offer.again_after is not None:
        yield say("Granted again after %(time)s at the earliest", time=look.lasted(offer.again_after))
    if offer.freeze is not None:
        yield say("Whom it was once not for, it is not for during %(time)s", time=look.lasted(offer.freeze))
    yield say("Held for %(time)s while somebody checks out", time=look.lasted(offer.holds))
    if offer.codes == "single":
        yield say("Opened by codes, each good once")
    if offer.codes == "shared":
        yield say("Opened by a code that many share")


def _benefit(ask: Ask, offer: Offer) -> str:
    say, look, of = ask.say, ask.look, offer.currency
    match offer.benefit:
        case Percent(percent, most):
            if most is None:
                return say("%(share)s off", share=look.percent(percent / 10_000, 2))
            return say(
                "%(share)s off, %(most)s at most", share=look.percent(percent / 10_000, 2), most=look.money(most, of)
            )
        case Amount(amount):
            return say("%(amount)s off", amount=look.money(amount, of))
        case FreeDelivery(methods):
            return say("Free delivery by %(methods)s", methods=", ".join(methods))
        case FreeItem(product):
            return say("One piece of %(product)s for nothing", product=product)
        case Tiers(tiers):
            steps = (
                say(
                    "from %(start)s %(less)s off",
                    start=look.money(tier.start, of),
                    less=look.percent(tier.percent / 10_000, 2) if tier.percent else look.money(tier.amount, of),
                )
                for tier in tiers
            )
            return "; ".join(steps)


def _plot(ask: Ask, days: Days) -> dict[str, object]:
    every = sorted({day for day, _ in days.lines})
    span = range(every[0], every[-1] + DAY, DAY) if every else range(0)
    kinds = (("redeem", ask.say("Redeemed")), ("reserve", ask.say("Reserved")), ("roll_back", ask.say("Taken back")))
    lines = [{"label": label, "values": [days.lines.get((day, kind), 0) for day in span]} for kind, label in kinds]
    return {"at": [day // 1000 for day in span], "lines": lines, "unit": ""}


ROUTES: list[Route] = [
    Route("GET", "/offers", every, "see"),
    Route("POST", "/offers/check", check, "see"),
    Route("GET", "/offers/of/{name}", one, "see"),
    Route("POST", "/offers/of/{name}/codes", make, "offer.codes"),
    Route("GET", "/offers/of/{name}/shoppers/{code}", shoppers, "shopper.read"),
]
