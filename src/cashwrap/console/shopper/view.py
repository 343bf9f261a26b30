"""One shopper as a page tells of them: who, what they allow, what is known and what follows from it. Pure."""

from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct

from cashwrap import consent, profiles
from cashwrap.declarations import CapsDecl
from cashwrap.memberships import standing_values
from cashwrap.model import (
    PERSONALIZATION,
    Choice,
    Impressions,
    Inputs,
    Millis,
    Minor,
    Order,
    Product,
    Profile,
    Tenant,
    Value,
)
from cashwrap.orders import Net, net
from cashwrap.playbook import Playbook
from cashwrap.segments import PREFIX, Segment
from cashwrap.tell import Part, part_of

KEYS = 12
"""Keys of one feature that is split, such as its categories: those with the most."""
LISTED = 50
"""Orders, devices, impressions and products that are listed: the newest."""
PAGE = 50
"""Segments of one page."""


class Allowed(Struct, frozen=True):
    """One purpose: what was chosen, and whether that allows it now."""

    purpose: str
    allowed: bool
    device: Choice | None
    person: Choice | None


class Reading(Struct, frozen=True):
    """One value as people read it. ``amount`` is set where it is money, in minor units of the shop's currency."""

    name: str
    text: str
    amount: Minor | None = None


class Feature(Struct, frozen=True):
    """What a playbook's feature says of somebody: nothing where it is not known, several readings where it is split."""

    name: str
    purpose: str
    readings: tuple[Reading, ...]
    more: int = 0
    """Keys that are not listed."""


class Member(Struct, frozen=True):
    """A segment, and whether the shopper is in. ``since`` is 0 where that is not known."""

    name: str
    inside: bool | None
    since: Millis = 0
    condition: Part | None = None
    """``None`` where members are pushed in from outside, or nobody asked."""


class Bought(Struct, frozen=True):
    """An order and what it is worth now."""

    order: Order
    net: Net


class Arm(Struct, frozen=True):
    """An experiment that the shopper has seen: its first arm counts; another one since taints them."""

    experiment: str
    arm: str
    since: Millis
    tainted: bool


class Counted(Struct, frozen=True):
    """How often something was shown, by what attention caps count, and the caps that hold for it, if any."""

    key: str
    seen: Impressions
    limits: CapsDecl | None


class Piece(Struct, frozen=True):
    """A line of the open cart."""

    id: str
    title: str
    quantity: int
    price: Minor | None


class View(Struct, frozen=True):
    """All of it. Lists are the newest ``LISTED``; ``personal`` says whether personalization is allowed."""

    profile: Profile
    personal: bool
    consents: tuple[Allowed, ...]
    features: tuple[Feature, ...]
    traits: tuple[Reading, ...]
    others: tuple[Reading, ...]
    inside: tuple[Member, ...]
    counts: Mapping[str, int]
    """Segments by ``in``, ``out`` and ``unknown``."""
    cart: tuple[Piece, ...]
    orders: tuple[Bought, ...]
    arms: tuple[Arm, ...]
    impressions: tuple[Counted, ...]
    touched: tuple[tuple[str, str, Millis], ...]
    """A product's title, what was done with it, and when."""


def view(
    playbook: Playbook, profile: Profile, products: Mapping[str, Product], entered: Mapping[str, Millis], now: Millis
) -> View:
    """Everything about somebody, through the lens of what they allow."""
    mask = consent.mask_of(profile.consent, settings=playbook.settings)
    values, personal = standing_values(playbook, profile, now, mask), bool(mask & PERSONALIZATION)
    inside = [name for name in sorted(playbook.segments.names) if values.get(PREFIX + name) is True]
    orders = sorted(profile.orders.values(), key=lambda each: each.time, reverse=True)
    return View(
        profile=profile,
        personal=personal,
        consents=tuple(_consents(profile, mask)),
        features=tuple(_features(playbook, values)),
        traits=tuple(_reading(playbook, f"traits.{name}", values) for name in profile.traits if personal),
        others=tuple(_others(playbook, values)),
        inside=tuple(Member(name, inside=True, since=entered.get(name, 0)) for name in inside[:LISTED]),
        counts=_counts(playbook, values),
        cart=tuple(_cart(profile, products)) if personal else (),
        orders=tuple(Bought(order, net(order)) for order in orders[:LISTED]),
        arms=tuple(_arms(playbook, profile)),
        impressions=tuple(islice(_impressions(playbook, profile), LISTED)),
        touched=tuple(_touched(profile, products)),
    )


def members(
    playbook: Playbook, profile: Profile, tenant: Tenant, now: Millis, asked: tuple[str, str, str]
) -> tuple[list[Member], str]:
    """A page of segments with their conditions judged: ``asked`` is ``in``, ``out``, ``unknown`` or empty, a part of
    their names, and the name after which the page begins. With it where the next one does."""
    state, part, after = asked
    mask = consent.mask_of(profile.consent, settings=playbook.settings)
    values = standing_values(playbook, profile, now, mask)
    inputs = Inputs(now=now, tenant=tenant, values=values, level="profile", mask=mask, placements=None)
    found = [
        segment
        for segment in sorted(playbook.segments.ordered, key=lambda each: each.name)
        if segment.name > after and part in segment.name and state in {"", _state(values.get(segment.flat))}
    ]
    told = [_member(playbook, inputs, segment) for segment in found[:PAGE]]
    return told, told[-1].name if len(found) > PAGE else ""


def _member(playbook: Playbook, inputs: Inputs, segment: Segment) -> Member:
    value = inputs.values.get(segment.flat)
    condition = part_of(playbook, inputs, segment.checked) if segment.checked is not None else None
    return Member(segment.name, value if isinstance(value, bool) else None, 0, condition)


def _state(value: Value) -> str:
    return {True: "in", False: "out"}.get(value, "unknown") if isinstance(value, bool) else "unknown"


def _counts(playbook: Playbook, values: Mapping[str, Value]) -> dict[str, int]:
    counts = {"in": 0, "out": 0, "unknown": 0}
    for segment in playbook.segments.ordered:
        counts[_state(values.get(segment.flat))] += 1
    return counts


def _consents(profile: Profile, mask: int) -> Iterator[Allowed]:
    state = profile.consent
    for name, purpose in consent.BY_NAME.items():
        yield Allowed(name, bool(purpose & mask), state.device.get(name), state.person.get(name))


def _reading(playbook: Playbook, name: str, values: Mapping[str, Value]) -> Reading:
    value = values.get(name)
    money = not playbook.money.isdisjoint((name, f"{name.partition('[')[0]}[*]"))
    amount = value if money and isinstance(value, int) and not isinstance(value, bool) else None
    return Reading(name, playbook.written(name, value), amount)


def _features(playbook: Playbook, values: Mapping[str, Value]) -> Iterator[Feature]:
    for name, declared in playbook.declarations.features.items():
        paths = [path for path in values if path == name or path.startswith((f"{name}.", f"{name}["))]
        keyed = [path for path in paths if path.startswith(f"{name}[")]
        keyed.sort(key=lambda path: (-_size(values[path]), path))
        plain = [path for path in paths if not path.startswith(f"{name}[")]
        read = tuple(_reading(playbook, path, values) for path in [*plain, *keyed[:KEYS]])
        yield Feature(name, str(declared.purpose.name).lower(), read, max(0, len(keyed) - KEYS))


def _others(playbook: Playbook, values: Mapping[str, Value]) -> Iterator[Reading]:
    """What is known besides features: visits, device, the cart's age."""
    own = tuple(playbook.declarations.features)
    for name in sorted(values):
        head = name.partition(".")[0].partition("[")[0]
        if head not in own and head not in {"segments", "consent", "traits"}:
            yield _reading(playbook, name, values)


def _size(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _cart(profile: Profile, products: Mapping[str, Product]) -> Iterator[Piece]:
    for kept in sorted(profile.cart.lines.values(), key=lambda each: (each.time, each.id)):
        line = kept.line
        yield Piece(line.product_id, _title(line.product_id, products), line.quantity, line.price)


def _arms(playbook: Playbook, profile: Profile) -> Iterator[Arm]:
    named = {each.salt: each.name for each in playbook.experiences.names.experiences if each.salt}
    tainted = set(profiles.tainted(profile))
    for salt, arm in sorted(profiles.first_arms(profile).items()):
        yield Arm(named.get(salt, salt), arm, profile.arms[salt][arm], salt in tainted)


def _impressions(playbook: Playbook, profile: Profile) -> Iterator[Counted]:
    """The newest first."""
    limits = {cap.key: cap.limits for each in playbook.experiences.ordered for cap in each.caps}
    for key, seen in sorted(profile.impressions.items(), key=_last, reverse=True):
        yield Counted(key, seen, limits.get(key))


def _last(counted: tuple[str, Impressions]) -> Millis:
    return max(counted[1].times, default=0)


def _touched(profile: Profile, products: Mapping[str, Product]) -> Iterator[tuple[str, str, Millis]]:
    for each in profile.touched[: -LISTED - 1 : -1]:
        yield _title(each.product, products), each.kind, each.time


def _title(product: str, products: Mapping[str, Product]) -> str:
    found = products.get(product)
    return found.title if found is not None and found.title else product
