"""What an import did, in numbers, and what the shop's playbook makes of the shoppers in it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice

from msgspec import Struct, field

from cashwrap import carts, consent, orders, profiles, segments, sessions
from cashwrap.content import Catalogue
from cashwrap.decide import decide
from cashwrap.engine import World
from cashwrap.errors import Forgotten
from cashwrap.events import Accounting
from cashwrap.events.money import minor_digits
from cashwrap.model import Inputs, Millis, Minor, Profile, Tenant, Value
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.request import clock_values

AT_ONCE = 1000
"""Profiles loaded at once."""


class Sessions(Struct):
    """Visits by a gap of 30 minutes, beside the data's own sessions.

    For rows in the order of time ``visits = given + resumed + split - joined``.
    """

    visits: int = 0
    given: int = 0
    resumed: int = 0
    """A given session goes on after another one of the same shopper, or for another shopper."""
    split: int = 0
    """A given session holds a gap of 30 minutes or more."""
    joined: int = 0
    """A given session begins within 30 minutes of the one before."""
    unordered: int = 0
    """Rows older than the one before of the same shopper."""


class FailedRow(Struct, frozen=True):
    """A row that failed: where it stands, which of its fields is at fault, and why."""

    place: str
    field: str
    code: str
    message: str


class Report(Struct):
    """All numbers of one import. Money is in major units, as text."""

    source: str
    rows: int = 0
    skipped: dict[str, int] = {}
    joined: int = 0
    unmatched_returns: int = 0
    events: Accounting = field(default_factory=Accounting)
    failed: dict[str, int] = {}
    examples: list[FailedRow] = []
    """The first failed rows, at most 100; all of them wait among the failed events."""
    names: dict[str, int] = {}
    """Events read, by name."""
    first: Millis | None = None
    last: Millis | None = None
    shoppers: int = 0
    """Shoppers whose profile changed; the numbers from here on are about them, as they are now."""
    sessions: int = 0
    compared: Sessions = field(default_factory=Sessions)
    carts: int = 0
    """Visits of the file in which something was put into the cart."""
    open_carts: int = 0
    orders: int = 0
    """Orders that stand: neither cancelled, returned nor paid back in full."""
    orders_undone: int = 0
    revenue: dict[str, str] = {}
    """By currency, net of refunds."""
    refunded: dict[str, str] = {}
    segments: dict[str, int] = {}
    experiences: dict[str, int] = {}
    """Shoppers to whom a checkout with their open cart would have shown it, where consent follows the basis."""
    notes: list[str] = []
    """What is probably not meant."""
    interrupted: str = ""
    """Why the file was not read to its end."""
    seconds: float = 0.0
    """For reading, folding and keeping; the census of shoppers comes on top."""
    rows_per_second: int = 0
    events_per_second: int = 0


class Census:
    """Adds up shoppers as they are after an import, seen through the basis the mapping declares."""

    def __init__(self, world: World, playbook: Playbook, tenant: Tenant, basis: int) -> None:
        self._world = world
        self._playbook = playbook
        self._tenant = tenant
        self._basis = basis
        self._segments: Counter[str] = Counter()
        self._experiences: Counter[str] = Counter()
        self._revenue: Counter[str] = Counter()
        self._refunded: Counter[str] = Counter()
        products = world.catalogue.products(tenant)
        self._catalogue = Catalogue.of(products, version=world.catalogue.version(tenant))

    def count(self, keys: Iterable[ShopperKey], now: Millis, report: Report) -> None:
        """Fill in the report's numbers about these shoppers as of ``now``."""
        for profile in _profiles(self._world, keys):
            report.shoppers += 1
            report.sessions += sessions.count(profile)
            self._money(profile, report)
            values = self._values(profile, now)
            report.open_carts += bool(values.get("open_cart.count"))
            self._segments.update(segments.members_of(values, self._playbook.segments))
            self._decide(profile, values, now)
        report.segments = dict(sorted(self._segments.items()))
        report.experiences = dict(sorted(self._experiences.items()))
        report.revenue = _amounts(self._revenue)
        report.refunded = _amounts(self._refunded)

    def _money(self, profile: Profile, report: Report) -> None:
        for order in profile.orders.values():
            currency = order.currency or self._playbook.settings.currency
            net = orders.net(order)
            if orders.counts(order):
                report.orders += 1
                self._revenue[currency] += net.total
            elif order.state != "hinted":
                report.orders_undone += 1
            if net.refunded:
                self._refunded[currency] += net.refunded

    def _values(self, profile: Profile, now: Millis) -> dict[str, Value]:
        mask = self._mask(profile)
        values: dict[str, Value] = dict(segments.remembered_values(profile))
        values.update(profiles.attributes(profile, self._playbook.features, now, mask))
        zone = self._playbook.settings.time_zone
        values.update(clock_values(now, profiles.time_zone(profile) or zone, zone))
        values.update(consent.values(mask))
        for mine, theirs in _CART.items():  # the page of a checkout would tell the cart
            if theirs in values:
                values[mine] = values[theirs]
        self._playbook.segments.evaluate(values, profiles.lists(profile))
        return values

    def _mask(self, profile: Profile) -> int:
        return self._basis & ~int(consent.denied(profile.consent))

    def _decide(self, profile: Profile, values: dict[str, Value], now: Millis) -> None:
        settings = self._playbook.settings
        locale = values.get("locale")
        inputs = Inputs(
            now=now,
            tenant=self._tenant,
            values=values,
            level="profile" if profiles.has_history(profile) else "session",
            mask=self._mask(profile),
            placements=None,
            locale=locale if isinstance(locale, str) else settings.locale,
            currency=settings.currency,
            basket=tuple(carts.lines(profile.cart)),
        )
        decision = decide(self._playbook.experiences, inputs, self._catalogue)
        self._experiences.update(answer.experience for answer in decision.placements.values() if answer.experience)


_CART = {
    "cart.total": "open_cart.total",
    "cart.count": "open_cart.count",
    "cart.products": "open_cart.products",
    "cart.categories": "open_cart.categories",
}


def _profiles(world: World, keys: Iterable[ShopperKey]) -> Iterator[Profile]:
    waiting = iter(keys)
    while page := list(islice(waiting, AT_ONCE)):
        for key, row in world.store.load(page).items():
            try:
                yield profiles.decode(world.vault.open(key.shopper, row.state))
            except Forgotten:
                continue


def _amounts(minor: dict[str, Minor]) -> dict[str, str]:
    return {
        currency: f"{Decimal(amount).scaleb(-minor_digits(currency)):f}" for currency, amount in sorted(minor.items())
    }
