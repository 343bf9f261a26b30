"""What a shopper allows, from explicit choices to a mask of purposes. Pure.

A choice is granted or denied, per purpose and scope (this device, or the person); what was never chosen is
unknown, and unknown neither grants nor revokes. Within a scope the newer choice wins, at the same moment the
denial; across scopes a denial wins. The order in which choices arrive never matters.

``Sec-GPC: 1`` denies ``advertising``, and ``personalization`` too unless that was granted in a request which itself
carried the signal; a market listed in the settings is exempt from the second part, with its recorded reason.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from cashwrap.declarations import Settings
from cashwrap.model import Choice, ConsentState, Event, Purpose

GRANTED, DENIED, UNKNOWN = "granted", "denied", "unknown"

BY_NAME: dict[str, Purpose] = {purpose.name.lower(): purpose for purpose in Purpose if purpose.name}
"""Purposes by the name a playbook and a choice use."""

CHOOSABLE: frozenset[str] = frozenset(BY_NAME) - {"necessary"}
"""Purposes a shopper decides about; ``necessary`` holds without asking."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in CHOOSABLE},
    "necessary": (),
    "essential": (),
    "performance": ("analytics",),
    "statistics": ("analytics",),
    "functional": ("personalization",),
    "preferences": ("personalization",),
    "marketing": ("advertising",),
    "targeting": ("advertising",),
    "social media": ("advertising",),
    "c0001": (),
    "c0002": ("analytics",),
    "c0003": ("personalization",),
    "c0004": ("advertising",),
    "c0005": ("advertising",),
    "analytics_storage": ("analytics",),
    "personalization_storage": ("personalization",),
    "ad_storage": ("advertising",),
    "ad_user_data": ("advertising",),
    "ad_personalization": ("advertising",),
}
"""What common banners call their categories (lower case): OneTrust's groups, Google's consent mode, plain words."""

_NONE = Purpose(0)
_BIT = {name: purpose.value for name, purpose in BY_NAME.items()}
_NECESSARY = Purpose.NECESSARY.value


def from_categories(preferences: Mapping[str, bool], purposes: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Choices out of a banner's categories: first as the playbook maps them, then by their common names.

    A category nobody knows says nothing. Where two categories speak of one purpose, the refusal counts.
    """
    choices: dict[str, str] = {}
    for category, granted in preferences.items():
        names = purposes.get(category)
        for name in CATEGORIES.get(category.lower(), ()) if names is None else names:
            if name in CHOOSABLE and not (granted and choices.get(name) == DENIED):
                choices[name] = GRANTED if granted else DENIED
    return choices


def mask_of(
    state: ConsentState, *, gpc: bool = False, market: str | None = None, settings: Settings | None = None
) -> int:
    """The mask of purposes this state allows now; ``gpc`` says whether the request at hand carried the signal."""
    mask = _NECESSARY
    device, person = state.device, state.person
    for name in device.keys() | person.keys() if person else device:
        if name not in CHOOSABLE or (gpc and name == "advertising"):
            continue
        heeded = gpc and name == "personalization" and gpc_exemption(market, settings) is None
        if _granted(device.get(name), person.get(name), heeded=heeded):
            mask |= _BIT[name]
    return mask


def _granted(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    """Whether explicit choices allow a purpose; with ``heeded``, one made under ``Sec-GPC`` must be among them."""
    if (device is None and person is None) or _refuses(device) or _refuses(person):
        return False
    return not heeded or any(choice is not None and choice.gpc for choice in (device, person))


def _refuses(choice: Choice | None) -> bool:
    return choice is not None and not choice.granted


def gpc_exemption(market: str | None, settings: Settings | None) -> str | None:
    """The recorded reason why ``Sec-GPC`` leaves personalization alone in this market, if it does."""
    if market is None or settings is None:
        return None
    return settings.gpc_allows_personalization.get(market)


def apply_choice(state: ConsentState, event: Event) -> Purpose:
    """Take an event's choices into the draft ``state``; the purposes that are newly denied by it.

    The caller resets what it kept for those. A choice older than a known one of its scope changes nothing.
    """
    scope = state.person if event.scope == "person" else state.device
    given = event.properties.get("source")
    source = given if isinstance(given, str) else event.name
    if agrees(state, event):
        time, gpc = event.time, event.gpc
        for name, word in event.choices.items():
            if time >= scope[name].time:
                scope[name] = newer(scope[name], Choice(word == GRANTED, time, source, gpc))
        return _NONE
    newly = 0
    for name, word in event.choices.items():
        if name not in CHOOSABLE or word not in {GRANTED, DENIED}:
            continue
        before = _denied(state, name)
        choice = Choice(word == GRANTED, event.time, source, event.gpc)
        known = scope.get(name)
        scope[name] = choice if known is None else newer(known, choice)
        if not before and _denied(state, name):
            newly |= _BIT[name]
    return Purpose(newly)


def agrees(state: ConsentState, event: Event) -> bool:
    """Whether the event only repeats what its scope already says: most stamped events of a visit do."""
    scope, gpc = state.person if event.scope == "person" else state.device, event.gpc
    for name, word in event.choices.items():
        known = scope.get(name)
        if known is None or word != (GRANTED if known.granted else DENIED) or known.gpc != gpc:
            return False
    return True


def denied(state: ConsentState) -> Purpose:
    """The purposes the shopper has explicitly denied: what no declared basis may override."""
    if not state.device and not state.person:
        return _NONE
    return Purpose(sum(_BIT[name] for name in CHOOSABLE if _denied(state, name)))


def _denied(state: ConsentState, name: str) -> bool:
    return _refuses(state.device.get(name)) or _refuses(state.person.get(name))


def newer(one: Choice, other: Choice) -> Choice:
    """The choice that holds: the newer; at the same moment the more protective. A total order, so merges commute."""
    if one.time != other.time:
        return one if one.time > other.time else other
    return max(one, other, key=lambda choice: (not choice.granted, not choice.gpc, choice.source))


def merge(one: ConsentState, other: ConsentState) -> ConsentState:
    """What two records of one shopper say together, scope by scope. Commutative, associative, idempotent."""
    return ConsentState(_merged(one.device, other.device), _merged(one.person, other.person))


def _merged(one: Mapping[str, Choice], other: Mapping[str, Choice]) -> dict[str, Choice]:
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        merged[name] = newer(one[name], other[name])
    return merged


def gate(state: ConsentState | None, event: Event, settings: Settings) -> int:
    """The mask of purposes this event may be kept and used for, given what is stored about its shopper.

    An event without choices of its own has the stored ones, else only ``necessary``. With choices, these count as
    the newest word on their scope unless a stored one is newer; what the event itself denies stays denied for it,
    even after a later grant. ``event.mask`` holds the basis an import declares (0 otherwise): it counts wherever
    nobody has refused.
    """
    known = state if state is not None else ConsentState()
    refused = 0
    if event.choices and not agrees(known, event):
        known = ConsentState(dict(known.device), dict(known.person))
        apply_choice(known, event)
        refused = sum(_BIT.get(name, 0) for name, word in event.choices.items() if word == DENIED)
    mask = mask_of(known, gpc=event.gpc, market=event.where.country, settings=settings)
    if event.mask:
        mask |= event.mask & ~denied(known).value
    return (mask & ~refused) | _NECESSARY


def basis(names: Iterable[str]) -> int:
    """The mask of an import that declares these purposes as its legal basis; nothing declared means ``necessary``.

    Raises ``KeyError`` for a name that is no purpose.
    """
    mask = _NECESSARY
    for name in names:
        mask |= _BIT[name]
    return mask


def allowed(purpose: int, mask: int) -> bool:
    """Whether something declared for any of these purposes may be kept or used under this mask."""
    return bool(purpose & mask)


@lru_cache(maxsize=64)
def values(mask: int) -> Mapping[str, bool]:
    """The attributes ``consent.<purpose>`` under this mask."""
    return {f"consent.{name}": bool(purpose & mask) for name, purpose in BY_NAME.items()}
