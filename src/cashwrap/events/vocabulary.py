"""Which events and fields exist, of which kind, and why they may be kept: the standard ones and a playbook's own.

What is not in here never reaches the disk.
"""

from collections.abc import Mapping

from msgspec import Struct

from cashwrap.declarations import Declarations, EventDecl, Kind, Spot
from cashwrap.errors import PlaybookError
from cashwrap.events.standard import (
    CALLS,
    ECOMMERCE,
    EVENT_ALIASES,
    MEMBERSHIPS,
    NECESSARY,
    NECESSARY_FROM_BACKEND,
    OURS,
    OURS_NECESSARY,
    PURPOSES,
    TRAITS,
    Fields,
    WireKind,
)
from cashwrap.model import PERSONALIZATION, Event, Purpose

_PUBLIC: dict[WireKind, Kind] = {
    "id": "text",
    "url": "text",
    "currency": "text",
    "token": "text",
    "email": "text",
    "quantity": "integer",
    "filters": "texts",
}
_SCALAR_KINDS = frozenset({"text", "integer", "number", "money", "boolean", "time"})


class EventType(Struct, frozen=True):
    """One event a shop may send. ``purposes`` is a mask: it is kept where any of them is allowed."""

    name: str
    fields: Fields
    purposes: int
    from_backend: int
    """The same for an event sent with a secret key: orders are ``necessary`` then."""
    ours: bool = False
    """Only the engine makes it: no request may carry one."""

    def kinds(self) -> dict[str, Kind]:
        """Each field's kind as conditions and features see it; an e-mail address is never seen."""
        return {name: public_kind(kind) for name, kind in self.fields.items() if kind != "email"}


class Vocabulary(Struct, frozen=True):
    """All events by name, and all traits; the older names they also go by are in ``standard``."""

    events: Mapping[str, EventType]
    traits: Mapping[str, WireKind]

    def purpose(self, event: Event) -> int:
        """The mask of purposes this event is declared for; 0 for one that is no longer declared."""
        found = self.events.get(event.name)
        if found is None:
            return PERSONALIZATION if event.trusted and event.name in MEMBERSHIPS else 0
        return found.from_backend if event.trusted else found.purposes


def public_kind(kind: WireKind) -> Kind:
    """The declared kind behind a narrower one of ours."""
    return _PUBLIC.get(kind, kind)  # type: ignore[arg-type]


def compile_vocabulary(declarations: Declarations) -> Vocabulary:
    """The standard vocabulary with what a playbook adds.

    Raises ``PlaybookError`` with every fault: a standard field declared with another kind, an alias declared as an
    event, a trait that is no scalar.
    """
    faults: list[str] = []
    events = {name: _standard(name, fields) for name, fields in (ECOMMERCE | CALLS).items()}
    events |= {name: _ours(name, fields) for name, fields in OURS.items()}
    for name, declared in declarations.events.items():
        if name in EVENT_ALIASES:
            message = f"{name} is another name of {EVENT_ALIASES[name]}; declare that one"
            faults.append(_fault(declared.spot, "event_is_alias", message))
            continue
        if name in OURS:
            faults.append(_fault(declared.spot, "event_is_ours", f"{name} is written by offers; name yours otherwise"))
            continue
        events[name] = _declared(declared, events.get(name), faults)
    for name, kind in declarations.traits.items():
        if kind not in _SCALAR_KINDS or (name in TRAITS and public_kind(TRAITS[name]) != kind):
            faults.append(_fault(Spot(), "trait_kind", f"trait {name} cannot be of kind {kind}"))
    if faults:
        raise PlaybookError("The playbook's events and traits have mistakes.", faults=tuple(faults))
    return Vocabulary(events, {**declarations.traits, **TRAITS})


def _standard(name: str, fields: Fields) -> EventType:
    purposes = Purpose.NECESSARY if name in NECESSARY else PURPOSES
    backend = purposes | Purpose.NECESSARY if name in NECESSARY_FROM_BACKEND else purposes
    return EventType(name, fields, purposes.value, backend.value)


def _ours(name: str, fields: Fields) -> EventType:
    purpose = Purpose.NECESSARY if name in OURS_NECESSARY else Purpose.PERSONALIZATION
    return EventType(name, fields, purpose.value, purpose.value, ours=True)


def _declared(declared: EventDecl, standard: EventType | None, faults: list[str]) -> EventType:
    """An event of the shop's own, or a standard one with more fields (which keeps its purposes)."""
    if standard is None:
        return EventType(declared.name, dict(declared.fields), declared.purpose.value, declared.purpose.value)
    for field, kind in declared.fields.items():
        known = standard.fields.get(field)
        if known is not None and public_kind(known) != kind:
            message = f"{declared.name}.{field} is {public_kind(known)} in the standard, not {kind}"
            faults.append(_fault(declared.spot, "field_kind", message))
    fields = {**declared.fields, **standard.fields}
    return EventType(standard.name, fields, standard.purposes, standard.from_backend)


def _fault(spot: Spot, code: str, message: str) -> str:
    return f"{spot.file}:{spot.line}:{spot.column} {code} {message}"
