"""What one shopper's profile becomes through an event, a merge or a withdrawal. Pure over a draft.

``fold`` mutates the draft it is handed; whoever calls it hands it one decoded afresh from its row, so a profile
that was published is never touched. Every part is order-free: the same events in any order of arrival within
seven days leave the same values.
"""

import operator
from collections.abc import Iterable, Mapping

import msgspec

from cashwrap import attention, carts, codec, consent, orders, sessions, touches
from cashwrap.features import FeatureSet
from cashwrap.model import (
    PERSONALIZATION,
    ConsentState,
    Event,
    Millis,
    OfferUse,
    OpenCart,
    Profile,
    Purpose,
    Stamped,
    Value,
)

ANONYMOUS_IDS = 50
"""Devices one shopper may gather by merging; a kiosk that logs in a crowd stops here."""
EMAIL_HASHES = 5
CART_TOKENS = 20
TRAITS = 100
WISHLIST = 200
EXPERIMENTS = 200
"""Experiments whose arms are remembered for one shopper: the ones begun last."""
OFFERS = 200
"""Offers whose past is remembered for one shopper: the first ones."""
USES = 100
"""Reservations of one offer that are remembered, of each fate: the newest. The ledger counts them all."""
GRANTS = 10
"""Of the times an offer was promised the first and the last so many are remembered."""

_WHERE = ("device", "os", "browser", "locale", "time_zone", "country", "region", "location_source")
_MINUTE = 60_000
"""Where a shopper is, is kept to the minute (ties by value): an event need not stamp every fact anew."""
_facts = operator.attrgetter(*_WHERE)
_decoder: msgspec.msgpack.Decoder[Profile] = codec.decoder(Profile)


def encode(profile: Profile) -> bytes:
    """The profile as bytes for its row: equal ones give equal bytes, in whatever order their features came to be."""
    keys = list(profile.features)
    if keys != (ordered := sorted(keys)):
        profile.features = {key: profile.features[key] for key in ordered}
    return codec.encode(profile)


def decode(state: bytes) -> Profile:
    """A fresh draft from a row's bytes. Raises ``msgspec.DecodeError`` where they are no profile."""
    return _decoder.decode(state)


def fold(profile: Profile, event: Event, features: FeatureSet) -> None:
    """Take one event into the draft, as far as the purposes in ``event.mask`` allow.

    The caller has already gated the event and checked that it is not a duplicate. A flagged event (bot, internal,
    QA) changes nothing but consent.
    """
    if event.choices:
        denied = consent.apply_choice(profile.consent, event)
        if denied:
            withdraw(profile, denied, features)
    _identify(profile, event)
    if event.flags:
        return
    profile.updated = max(profile.updated, event.time)
    if event.source == OFFERING:  # what the engine notes: no activity of the shopper's
        _offer(profile.offers, event)
        features.update(profile, event)
        return
    if orders.apply(profile, event):
        features.rebuild_orders(profile)
    if event.mask & PERSONALIZATION:
        _remember(profile, event)
        sessions.touch(profile, event.time)
        carts.apply(profile, event, features.currency)
        if event.name in touches.EVENTS:
            touches.apply(profile, event)
        elif event.name in _SHOWN:
            _expose(profile, event)
    features.update(profile, event)


def withdraw(profile: Profile, purposes: Purpose, features: FeatureSet) -> None:
    """Forget, in the draft, what was kept for these purposes only."""
    for purpose in Purpose:
        if purpose & purposes:
            features.reset(profile, purpose)
    if purposes & PERSONALIZATION:
        profile.traits.clear()
        profile.lists.clear()
        profile.where.clear()
        profile.wishlist.clear()
        profile.sessions.clear()
        profile.session_count = 0
        profile.cart = OpenCart()
        profile.touched = []
        profile.arms.clear()
        profile.impressions.clear()
        for use in profile.offers.values():
            use.considered, use.grants = 0, []
        for order in profile.orders.values():
            order.mask &= ~Purpose.PERSONALIZATION


def merge(into: Profile, other: Profile, features: FeatureSet) -> None:
    """Take a device's profile into an identified one. Explicit choices are kept as ``consent.merge`` says.

    ``other`` must not be identified as somebody else: two identified shoppers never merge.
    """
    if other.user_id is not None and other.user_id != into.user_id:
        raise ValueError("two identified shoppers never merge")
    into.created = min(into.created, other.created)
    into.updated = max(into.updated, other.updated)
    into.absorbed = sorted({*into.absorbed, *other.absorbed, other.id})
    former = {*into.former_analytic_ids, *other.former_analytic_ids, other.analytic_id}
    into.former_analytic_ids = sorted(former)
    into.anonymous_ids = _newest(into.anonymous_ids, other.anonymous_ids, ANONYMOUS_IDS)
    into.email_hashes = _newest(into.email_hashes, other.email_hashes, EMAIL_HASHES)
    into.cart_tokens = _newest(into.cart_tokens, other.cart_tokens, CART_TOKENS)
    for mine, theirs in (
        (into.traits, other.traits),
        (into.lists, other.lists),
        (into.where, other.where),
        (into.wishlist, other.wishlist),
    ):
        for name, stamped in theirs.items():
            _stamp(mine, name, stamped)
    for salt, seen in other.arms.items():
        for arm, since in seen.items():
            _see(into.arms, salt, arm, since)
    attention.merge(into.impressions, other.impressions)
    for name, past in other.offers.items():
        if (use := _use_of(into.offers, name)) is not None:
            _merge_use(use, past)
    sessions.merge(into, other)
    carts.merge(into, other)
    touches.merge(into, other)
    orders.merge(into, other)
    features.merge(into, other)
    features.rebuild_orders(into)
    before = _granted(into.consent) | _granted(other.consent)
    into.consent = consent.merge(other.consent, into.consent)
    withdraw(into, before & ~_granted(into.consent) | consent.denied(into.consent), features)


def may_absorb(into: Profile, other: Profile) -> bool:
    """Whether an anonymous profile may join an identified one: not somebody else's, and within the limits."""
    if other.user_id is not None and other.user_id != into.user_id:
        return False
    return len({*into.anonymous_ids, *other.anonymous_ids}) <= ANONYMOUS_IDS


def attributes(profile: Profile, features: FeatureSet, now: Millis, mask: int) -> dict[str, Value]:
    """The profile's attributes by dotted path, through the consent lens of ``mask``; what it hides is missing."""
    values = features.values(profile, now, mask)
    if not mask & PERSONALIZATION:
        return values
    values.update(sessions.values(profile, now))
    values.update(carts.values(profile, now))
    for name, stamped in profile.traits.items():
        values[f"traits.{name}"] = stamped.value
    values["traits.known"] = profile.user_id is not None
    if profile.wishlist:
        values["wishlist"] = frozenset(item for item, kept in profile.wishlist.items() if kept.value)
    return values


def lists(profile: Profile) -> dict[str, bool]:
    """Audience memberships pushed in from outside."""
    return {name: stamped.value is True for name, stamped in profile.lists.items()}


def first_arms(profile: Profile) -> dict[str, str]:
    """The arm that the shopper saw first of each experiment, by its salt."""
    return {salt: min(seen, key=lambda arm: (seen[arm], arm)) for salt, seen in profile.arms.items()}


def tainted(profile: Profile) -> list[str]:
    """The experiments, by salt, of which the shopper has seen two arms, such as one on each of two devices."""
    return sorted(salt for salt, seen in profile.arms.items() if len(seen) > 1)


def time_zone(profile: Profile) -> str | None:
    """The shopper's own time zone, where it is known."""
    stamped = profile.where.get("time_zone")
    return str(stamped.value) if stamped is not None else None


def has_history(profile: Profile) -> bool:
    """Whether more is known than the visit at hand."""
    return profile.user_id is not None or sessions.count(profile) > 1


def _granted(state: ConsentState) -> Purpose:
    return Purpose(consent.mask_of(state) & ~Purpose.NECESSARY)


def _identify(profile: Profile, event: Event) -> None:
    if event.user_id is not None and profile.user_id is None:
        profile.user_id = event.user_id
    if event.anonymous_id is not None:
        ids = profile.anonymous_ids
        if event.anonymous_id not in ids and len(ids) < ANONYMOUS_IDS:
            ids.append(event.anonymous_id)
    if event.email_hash is not None:
        _add(profile.email_hashes, event.email_hash, EMAIL_HASHES)
    if event.cart_token is not None:
        _add(profile.cart_tokens, event.cart_token, CART_TOKENS)


def _remember(profile: Profile, event: Event) -> None:
    for name, value in event.traits.items():
        if name in profile.traits or len(profile.traits) < TRAITS:
            _stamp(profile.traits, name, Stamped(value, event.time, event.id))
    known, minute = profile.where, event.time // _MINUTE * _MINUTE
    for name, fact in zip(_WHERE, _facts(event.where), strict=True):
        if fact is not None:
            old = known.get(name)
            if old is None or (minute, fact) > (old.time, old.value):
                known[name] = Stamped(fact, minute, "")
    if event.name in _LISTINGS:
        audience = event.properties.get("audience")
        if isinstance(audience, str):
            _stamp(profile.lists, audience, Stamped(_LISTINGS[event.name], event.time, event.id))
    elif event.name in _WISHES:
        product = event.properties.get("product_id")
        if isinstance(product, str) and (product in profile.wishlist or len(profile.wishlist) < WISHLIST):
            _stamp(profile.wishlist, product, Stamped(_WISHES[event.name], event.time, event.id))


def _expose(profile: Profile, event: Event) -> None:
    """Take in an exposure, or a dismissal, that its token has proven (see ``exposures``)."""
    counted = event.properties.get("counted")
    keys = counted if isinstance(counted, list) else ()
    if event.name == DISMISSED:
        attention.dismiss(profile.impressions, keys, event.time)
        return
    attention.count(profile.impressions, keys, event.time)
    salt, arm = event.properties.get("experiment"), event.properties.get("variation")
    if isinstance(salt, str) and isinstance(arm, str):
        _see(profile.arms, salt, arm, event.time)


def _see(arms: dict[str, dict[str, Millis]], salt: str, arm: str, since: Millis) -> None:
    if salt not in arms and len(arms) >= EXPERIMENTS:
        begun, oldest = min((max(seen.values()), each) for each, seen in arms.items())
        if (begun, oldest) > (since, salt):
            return
        del arms[oldest]  # else the experiments of years ago would leave no room for those of today
    seen = arms.setdefault(salt, {})
    seen[arm] = min(since, seen.get(arm, since))


def _offer(offers: dict[str, OfferUse], event: Event) -> None:
    """Note what became of an offer. The events are the engine's own, so what they hold is sound."""
    facts = event.properties
    use = _use_of(offers, str(facts.get("offer", "")))
    if use is None:
        return
    if event.name == GRANTED:
        expires = facts.get("expires")
        _promised(use, [(event.time, expires if isinstance(expires, int) else 0)])
    elif event.name == CONSIDERED:
        use.considered = max(use.considered, event.time)
    elif event.name in _FATES:
        _first(getattr(use, _FATES[event.name]), {str(facts.get("reservation", "")): event.time})


def _use_of(offers: dict[str, OfferUse], name: str) -> OfferUse | None:
    if name not in offers and len(offers) < OFFERS:
        offers[name] = OfferUse()
    return offers.get(name)


def _merge_use(mine: OfferUse, theirs: OfferUse) -> None:
    mine.considered = max(mine.considered, theirs.considered)
    _promised(mine, theirs.grants)
    for fate in _FATES.values():
        _first(getattr(mine, fate), getattr(theirs, fate))


def _promised(use: OfferUse, more: Iterable[tuple[Millis, Millis]]) -> None:
    use.grants = sorted({*use.grants, *more})
    del use.grants[GRANTS:-GRANTS]


def _first(kept: dict[str, Millis], more: Mapping[str, Millis]) -> None:
    """Add reservations to those of a fate, each since when first; the oldest go where there are too many."""
    for name, time in more.items():
        kept[name] = min(time, kept.get(name, time))
    for name in sorted(kept, key=lambda each: (kept[each], each))[:-USES]:
        del kept[name]


OFFERING = "offers"
"""The source of what the engine and the ledger tell about offers; no key has this id."""
GRANTED, CONSIDERED = "Offer Granted", "Offer Considered"
RESERVED, REDEEMED, RELEASED = "Offer Reserved", "Offer Redeemed", "Offer Released"
_FATES = {RESERVED: "reserved", REDEEMED: "redeemed", RELEASED: "released"}
EXPOSED, DISMISSED = "Experience Viewed", "Experience Dismissed"
_SHOWN = frozenset({EXPOSED, DISMISSED})
_LISTINGS = {"Audience Member Added": True, "Audience Member Removed": False}
_WISHES = {"Product Added to Wishlist": True, "Product Removed from Wishlist": False}


def _stamp(where: dict[str, Stamped], name: str, new: Stamped) -> None:
    old = where.get(name)
    if old is None or (new.time, new.id, str(new.value)) > (old.time, old.id, str(old.value)):
        where[name] = new


def _add(ids: list[str], value: str, limit: int) -> None:
    if value not in ids:
        if len(ids) >= limit:
            del ids[0]
        ids.append(value)


def _newest(mine: list[str], theirs: Iterable[str], limit: int) -> list[str]:
    joined = dict.fromkeys([*theirs, *mine])
    return list(joined)[-limit:]
