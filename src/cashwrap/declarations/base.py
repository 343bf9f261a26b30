"""What every declaration stands on: where it was written, events, features, segments, placements and caps."""

from typing import Literal

from msgspec import Struct

from cashwrap.model import Purpose

Measure = Literal["count", "sum", "average", "min", "max", "first", "last", "distinct", "top", "rate", "decayed"]
"""How a feature aggregates."""
Kind = Literal["text", "integer", "number", "money", "boolean", "time", "texts", "products"]
"""What kind of value a field holds."""
Component = Literal["options", "message", "products", "button", "field", "help", "layout", "installments"]
"""What a placement is made of."""


Methods = Literal["payment_methods", "delivery_methods"]
"""Which list an options placement orders."""


class Spot(Struct, frozen=True):
    """Where something was written; lines and columns count from 1."""

    file: str = ""
    line: int = 0
    column: int = 0


class Condition(Struct, frozen=True):
    """A condition's source text and where it starts."""

    text: str
    spot: Spot = Spot()


class EventDecl(Struct, frozen=True):
    """An event of the shop's own, or more fields for a standard one."""

    name: str
    fields: dict[str, Kind] = {}
    purpose: Purpose = Purpose.PERSONALIZATION
    spot: Spot = Spot()


class FeatureDecl(Struct, frozen=True):
    """An aggregate over a shopper's events.

    ``of`` names the property measured, ``by`` the one it is split by, ``per`` the event that divides a
    rate, ``where`` filters events. ``window`` and
    ``half_life`` are in milliseconds; ``session`` restricts to the current session.
    """

    name: str
    measure: Measure
    events: tuple[str, ...]
    of: str | None = None
    by: str | None = None
    per: tuple[str, ...] = ()
    where: Condition | None = None
    window: int | None = None
    session: bool = False
    half_life: int | None = None
    purpose: Purpose = Purpose.PERSONALIZATION
    spot: Spot = Spot()


class SegmentDecl(Struct, frozen=True):
    """A named condition, or (``members: pushed``) a list whose members are pushed in from outside."""

    name: str
    when: Condition | None
    pushed: bool = False
    description: str = ""
    spot: Spot = Spot()


class CapsDecl(Struct, frozen=True):
    """How often something may be shown to one shopper: in a session, in 24 hours, ever; ``None`` is no limit.

    ``cool_down`` is the quiet after a shopper dismissed it, in milliseconds.
    """

    session: int | None = None
    day: int | None = None
    shopper: int | None = None
    cool_down: int | None = None


class PlacementDecl(Struct, frozen=True):
    """A named spot of the checkout.

    ``of`` says which list an ``options`` placement orders; ``purpose`` what a decision here needs
    beyond its level. ``format`` groups placements that claim the same kind of attention (``banner``, ``overlay``);
    left out, it is the component. ``layer`` is that of all its experiments which name none.
    """

    name: str
    component: Component
    of: Methods | None = None
    purpose: Purpose | None = None
    format: str = ""
    layer: str | None = None
    caps: CapsDecl = CapsDecl()
    spot: Spot = Spot()
