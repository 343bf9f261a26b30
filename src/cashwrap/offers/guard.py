"""What keeps an offer from being granted, and what was promised when it first was. Pure.

The clock of a promise starts with the first grant and is never started anew by anything a shopper does: another
session, an emptied cart, a refund. Of devices that turn out to be one shopper's the clock that ends first counts. With
``again_after`` a new promise may be made when that has passed since every other; without it there is only one.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from cashwrap.model import Millis, OfferUse, Promise
from cashwrap.offers.terms import Limits, Offer

Closed = Literal["", "exhausted", "used", "ended", "cooling", "frozen"]
"""Why an offer cannot be granted; empty where nothing stands against it."""
NOTHING_USED: Mapping[str, int] = {}


class Round(NamedTuple):
    """What was promised, and after which nothing may be promised yet."""

    began: Millis
    expires: Millis
    """When what was promised then ends; 0 for with the offer itself."""


def exhausted(offer: Offer, counters: Mapping[str, int], day: str) -> bool:
    """Whether a limit of the whole shop is used up. ``counters`` are the ledger's, ``day`` is today in the shop."""
    return _used_up(offer.name, offer.limits, offer.currency, counters, day)


def exhausted_parts(offer: Offer, counters: Mapping[str, int], day: str) -> list[str]:
    """The arms whose part of a limit is used up, as ``part_of`` names them."""
    named = {part_of(offer.name, arm): limits for arm, limits in offer.parts.items()}
    return [name for name, limits in named.items() if _used_up(name, limits, offer.currency, counters, day)]


def _used_up(name: str, limits: Limits, currency: str, counters: Mapping[str, int], day: str) -> bool:
    return any(
        most is not None and counters.get(key, 0) >= most
        for key, most in (
            (total_key(name), limits.total),
            (day_key(name, day), limits.day),
            (budget_key(name, currency), limits.budget),
        )
    )


def closed(offer: Offer, use: OfferUse | None, now: Millis) -> Closed:
    """Why it cannot be granted to a shopper with this past, as far as that is theirs alone."""
    if use is None:
        return ""
    most = offer.limits.shopper
    if most is not None and len(_standing(use)) >= most:
        return "used"
    running = round_of(offer, use, now)
    if running is not None and (reason := _over(offer, use, running, now)):
        return reason
    until = use.considered + (offer.freeze or 0)
    if use.considered and now < until and (running is None or use.considered <= running.began):
        return "frozen"
    return ""


def promise(offer: Offer, use: OfferUse | None, now: Millis) -> Promise | None:
    """What the shopper was told and is still held to; ``None`` where a grant would be a new promise."""
    running = round_of(offer, use, now) if use is not None else None
    return None if running is None or not _has_clock(offer) else Promise(running.expires)


def round_of(offer: Offer, use: OfferUse, now: Millis) -> Round | None:
    """The promises that still count: none may be made anew before ``again_after`` has passed since each of them.

    Of several, such as one on each of two devices, the one that ends first is the true one. A use without a grant, such
    as by a code, counts like one.
    """
    since = now - offer.again_after if offer.again_after is not None else None
    times = [*use.grants, *((time, 0) for time in use.redeemed.values())]
    counting = [(time, expires) for time, expires in times if since is None or time > since]
    if not counting:
        return None
    ends = [expires or (time + offer.lasts if offer.lasts is not None else 0) for time, expires in counting]
    return Round(min(counting)[0], min((end for end in ends if end), default=0))


def needs_memory(offer: Offer) -> bool:
    """Whether it can be granted only to a shopper whose past may be kept: else its clock would start every time."""
    return _has_clock(offer) or offer.freeze is not None


def part_of(offer: str, arm: str) -> str:
    """The name of an arm's part of an offer, for its counters and where it is closed; no offer has a slash in its."""
    return f"{offer}/arm/{arm}"


def total_key(offer: str) -> str:
    """The counter of all uses."""
    return f"{offer}/total"


def day_key(offer: str, day: str) -> str:
    """The counter of one day's uses; ``day`` as in ``2026-12-31``."""
    return f"{offer}/day/{day}"


def budget_key(offer: str, currency: str) -> str:
    """The counter of what all uses come to, in minor units."""
    return f"{offer}/budget/{currency}"


def counted(offers: Iterable[Offer], day: str) -> list[str]:
    """The counters that say whether these offers are exhausted."""
    return [
        key
        for offer in offers
        for name in (offer.name, *(part_of(offer.name, arm) for arm in offer.parts))
        for key in (total_key(name), day_key(name, day), budget_key(name, offer.currency))
    ]


def _over(offer: Offer, use: OfferUse, running: Round, now: Millis) -> Closed:
    """Why the round gives nothing any more."""
    if offer.lasts is not None and running.expires and now >= running.expires:
        return "cooling" if offer.again_after is not None else "ended"
    if offer.again_after is not None and any(use.redeemed[each] >= running.began for each in _standing(use)):
        return "cooling"
    return ""


def _standing(use: OfferUse) -> list[str]:
    """The reservations that were redeemed and not taken back."""
    return [reservation for reservation in use.redeemed if reservation not in use.released]


def _has_clock(offer: Offer) -> bool:
    return offer.lasts is not None or offer.again_after is not None
