"""What decisions ask of offers and tell of them: which are closed to a shopper, what was promised, and the proof.

Nothing here waits: limits come from memory, the shopper's past from the profile at hand, and what is to be remembered
of a decision is handed to the writer as an event.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cashwrap.condition import Predicate
from cashwrap.errors import Unavailable
from cashwrap.hot import HotProfile
from cashwrap.inputs import NO_PAST, Past
from cashwrap.model import (
    PERSONALIZATION,
    Decision,
    Event,
    Grant,
    Inputs,
    Millis,
    OfferUse,
    Profile,
    Promise,
    Tenant,
)
from cashwrap.offering.around import Around, Named, name_of, note
from cashwrap.offering.availability import Availability
from cashwrap.offering.proof import Proof, claims_of
from cashwrap.offers.cart import cart_hash
from cashwrap.offers.guard import closed, promise, round_of
from cashwrap.offers.terms import Offer
from cashwrap.playbook import Playbook
from cashwrap.profiles import CONSIDERED, GRANTED
from cashwrap.window import Submission

log = logging.getLogger(__name__)
ID = 12
"""Random bytes of a token's id and of a reservation's."""
_MINUTE: Millis = 60_000
_NO_PROMISES: Mapping[str, Promise] = {}
_UNUSED = OfferUse()


class Promises:
    """The deciding side of offering."""

    def __init__(self, around: Around, availability: Availability, proof: Proof) -> None:
        self._around = around
        self._availability = availability
        self._proof = proof
        self._known: tuple[str, tuple[_Freezing, ...]] = ("", ())
        self.unremembered: Counter[str] = Counter()
        """Grants and verdicts that the writer had no room for, by event; a later decision tries again."""

    def past(self, tenant: Tenant, hot: HotProfile | None, mask: int, now: Millis) -> Past:
        """What one decision goes by. ``mask`` holds the purposes allowed now."""
        offers = self._around.offers()
        if not offers:
            return NO_PAST
        standing = self._availability.of(tenant)
        remembered = hot is not None and bool(mask & PERSONALIZATION)
        everybody = standing.closed if remembered else standing.unremembered
        if hot is None or not hot.profile.offers:
            return Past(everybody, _NO_PROMISES)
        own = _closed_to(hot.profile, offers, now, remembered=remembered)
        promised = dict(_promised_to(hot.profile, offers, now)) if remembered else _NO_PROMISES
        return Past({**own, **everybody} if own else everybody, promised)

    def sign(self, grants: Iterable[Grant], inputs: Inputs) -> dict[str, str]:
        """The tokens of what one decision grants, by offer."""
        cart = cart_hash(inputs.lines, inputs.currency)
        return {grant.offer: self._signed(grant, inputs, cart) for grant in grants}

    def remember(self, hot: HotProfile, inputs: Inputs, decision: Decision) -> None:
        """Have the profile remember what it does not know yet: first grants, and offers that were not for the shopper.

        Only where personalization is allowed; without waiting, and without ever raising.
        """
        if not inputs.mask & PERSONALIZATION:
            return
        events = [*self._granted(hot, inputs, decision), *self._considered(hot, inputs, decision)]
        who = name_of(hot) if events else None
        if who is None:
            return
        try:
            self._around.submit(inputs.tenant, [_event(each, who) for each in events], [], _settled)
        except Unavailable:
            self.unremembered.update(each.name for each in events)

    def _signed(self, grant: Grant, inputs: Inputs, cart: str) -> str:
        tenant, now = inputs.tenant, inputs.now
        jti = self._around.world.random.token(ID).hex()
        sub = self._proof.sub(jti, tenant, inputs.units)
        return self._proof.sign(claims_of(grant, tenant, jti, now, sub=sub, cart=cart))

    def _granted(self, hot: HotProfile, inputs: Inputs, decision: Decision) -> "Iterator[_Note]":
        offers, past = self._around.offers(), hot.profile.offers
        for grant in decision.grants:
            offer = offers.get(grant.offer)
            if offer is not None and _is_first(offer, past.get(offer.name, _UNUSED), inputs.now):
                yield _Note(GRANTED, offer, grant.expires, inputs.now)

    def _considered(self, hot: HotProfile, inputs: Inputs, decision: Decision) -> "Iterator[_Note]":
        """The offers that keep a verdict, which were looked at and were not for the shopper. Unknown is no verdict."""
        freezing, now = self._freezing(), inputs.now
        if not freezing:
            return
        looked_at = {name for name, answer in decision.placements.items() if answer.reason not in _NOT_LOOKED_AT}
        for offer, freeze, predicate, placements in freezing:
            if placements.isdisjoint(looked_at):
                continue
            use = hot.profile.offers.get(offer.name, _UNUSED)
            kept = use.considered and now < use.considered + freeze
            if not kept and round_of(offer, use, now) is None and predicate(inputs.values) is False:
                yield _Note(CONSIDERED, offer, now + freeze, now)

    def _freezing(self) -> tuple["_Freezing", ...]:
        """The live playbook's offers with ``freeze``, and where they are shown."""
        playbook = self._around.live().playbook
        if self._known[0] != playbook.hash:
            self._known = playbook.hash, tuple(_freezing(playbook))
        return self._known[1]


class _Freezing(NamedTuple):
    """An offer that keeps its verdict, and the placements where it may be granted."""

    offer: Offer
    freeze: Millis
    predicate: Predicate
    placements: frozenset[str]


def _freezing(playbook: Playbook) -> Iterator[_Freezing]:
    experiences = playbook.experiences
    shown: dict[str, set[str]] = {}
    for name, placement in experiences.placements.items():
        for experience in experiences.ordered[placement.first : placement.stop]:
            for offer in experience.choice.offers if experience.choice is not None else ():
                shown.setdefault(offer.name, set()).add(name)
    for name, places in shown.items():
        offer = playbook.offers[name]
        if offer.freeze is not None and offer.predicate is not None:
            yield _Freezing(offer, offer.freeze, offer.predicate, frozenset(places))


_NOT_LOOKED_AT = frozenset({"no_such_placement", "killed", "no_consent", "late", "error", "quiet", "preview"})
"""Reasons of answers that no condition was asked for."""


class _Note(NamedTuple):
    """Something to be remembered of a decision."""

    name: str
    offer: Offer
    expires: Millis
    time: Millis


def _closed_to(profile: Profile, offers: Mapping[str, Offer], now: Millis, *, remembered: bool) -> dict[str, str]:
    """What the shopper's own past closes. A use counts whatever was allowed since: limits are necessary."""
    found: dict[str, str] = {}
    for name, use in profile.offers.items():
        offer = offers.get(name)
        reason = closed(offer, use, now) if offer is not None else ""
        if reason and (remembered or reason == "used"):
            found[name] = reason
    return found


def _promised_to(profile: Profile, offers: Mapping[str, Offer], now: Millis) -> Iterator[tuple[str, Promise]]:
    for name, use in profile.offers.items():
        offer = offers.get(name)
        found = promise(offer, use, now) if offer is not None else None
        if found is not None:
            yield name, found


def _is_first(offer: Offer, use: OfferUse, now: Millis) -> bool:
    """Whether the profile does not know yet of this round; of an offer without a clock, of any grant."""
    if not use.grants:
        return round_of(offer, use, now) is None or offer.lasts is None
    return offer.again_after is not None and round_of(offer, use, now) is None


def _event(told: _Note, who: Named) -> Event:
    """Named by the minute: decisions at one moment tell the same thing once."""
    offer = told.offer
    facts: dict[str, object] = {"offer": offer.name, "kind": offer.kind}
    if told.expires:
        facts["expires"] = told.expires
    return note(told.name, f"{offer.name}:{told.name}:{told.time // _MINUTE}", told.time, who, facts)


def _settled(submission: Submission) -> None:
    """A grant that was not kept is told again by the next decision."""
    if submission.error is not None:
        log.debug("what was granted was not remembered: %s", submission.error)
