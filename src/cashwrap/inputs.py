"""From a request and a profile to ``Inputs``: everything a decision may depend on, through the consent lens.

What the shopper does not allow is not filtered later: it never becomes an attribute, so no condition, message or
segment can reach it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypedDict

from msgspec import Struct

from cashwrap import consent, predicting, profiles
from cashwrap.declarations import Settings
from cashwrap.errors import InvalidEvent
from cashwrap.events import RequestFacts
from cashwrap.events.money import minor_digits
from cashwrap.hot import HotProfile, Standing
from cashwrap.keys import ApiKey
from cashwrap.model import (
    NECESSARY,
    PERSONALIZATION,
    Impressions,
    Inputs,
    Level,
    Line,
    Millis,
    Minor,
    Promise,
    Tenant,
    Touch,
    Value,
)
from cashwrap.offers.grant import PROMISED, running
from cashwrap.playbook import Playbook
from cashwrap.predicting import NOTHING_LEARNED, Learned
from cashwrap.request import (
    DecideRequest,
    PageContext,
    cart_lines,
    clock_values,
    describe,
    request_values,
    to_minor,
)

BASKET = 100
"""Products of the cart that recommendations look at."""
_MINUTE = 60_000


class Caller(Struct, frozen=True):
    """Who sent a request, as far as the shell could tell."""

    key: ApiKey
    facts: RequestFacts


class Past(NamedTuple):
    """What stands against granting offers to one shopper now, by offer, and what was promised to them."""

    closed: Mapping[str, str]
    promised: Mapping[str, Promise]


NO_PAST = Past({}, {})


class Known(NamedTuple):
    """What is known of who asks, besides the request itself: the ids as they are kept, and a profile if there is one.

    ``units`` has ``user`` (only where it is proven), ``anonymous`` and ``cart``. ``impressions`` are those counted
    under the cart, for a shopper without a profile. ``forced`` is what a preview shows. ``past`` tells of the
    shopper's offers, by the purposes allowed now. ``shed`` is what is left out under load. ``models`` are the store's;
    ``recommending`` asks for what they look at even where no list of the playbook does.
    """

    units: Mapping[str, str]
    hot: HotProfile | None = None
    impressions: Mapping[str, Impressions] = {}
    forced: Mapping[str, str] = {}
    past: Callable[[int], Past] = lambda _: NO_PAST
    shed: int = 0
    models: Learned = NOTHING_LEARNED
    recommending: bool = False


class Gathered(NamedTuple):
    """Inputs, and what the profile's part of them leaves standing of the playbook's index, where that is known.

    ``as_of`` is the moment for which that part was computed, 0 where there is none.
    """

    inputs: Inputs
    narrowed: int | None
    as_of: Millis = 0


def gather(playbook: Playbook, request: DecideRequest, caller: Caller, known: Known, now: Millis) -> Gathered:
    """Everything the decision may depend on, as one frozen value."""
    settings, context, hot = playbook.settings, request.context, known.hot
    values = request_values(context, settings.currency, playbook.digits)
    describe(values, caller.facts, playbook.networks, trusted=caller.key.trusted)
    mask, level = lens(settings, caller, hot, values)
    past = known.past(mask) if playbook.offers else NO_PAST
    arms: Mapping[str, str] = {}
    impressions, session_start, narrowed, as_of = known.impressions, 0, None, 0
    personal = bool(mask & PERSONALIZATION)
    if hot is not None and personal:
        clock = clock_values(now, context.time_zone or hot.facts.zone or settings.time_zone, settings.time_zone)
        standing = _standing(hot, playbook, known, now, mask, caller.key.tenant)
        narrowed, as_of = standing.narrowed, standing.as_of
        values = {**standing.values, **clock, **values}
        if playbook.offers:
            values[PROMISED] = running(past.promised, now)
        playbook.deciding.evaluate(values, hot.facts.lists)
        arms, impressions, session_start = hot.facts.arms, hot.profile.impressions, hot.facts.session_start(now)
    else:
        clock = clock_values(now, context.time_zone or settings.time_zone, settings.time_zone)
        values = {**clock, **consent.values(mask), **values}
        playbook.standing.evaluate(values, None)
        playbook.deciding.evaluate(values, None)  # pushed lists too are unknown without consent
    checkout, units = context.checkout, known.units
    lines, shipping = _cart(playbook, context) if playbook.offers else ((), None)
    inputs = Inputs(
        now=now,
        tenant=caller.key.tenant,
        values=values,
        level=level,
        mask=mask,
        placements=tuple(dict.fromkeys(request.placements)) if request.placements is not None else None,
        locale=context.locale or settings.locale,
        currency=(context.currency or settings.currency).upper(),
        payment_methods=tuple(checkout.payment_methods),
        delivery_methods=tuple(checkout.delivery_methods),
        saved_method=checkout.saved_method,
        basket=tuple([item.id for item in context.cart.items[:BASKET]]),
        units=units,
        arms=arms,
        impressions=impressions,
        session_start=session_start,
        forced=known.forced,
        quiet=checkout.quiet,
        lines=lines,
        shipping=shipping,
        delivery=checkout.delivery_method,
        closed=past.closed,
        promised=past.promised,
        shed=known.shed,
        **_learned(playbook, request, known, now, personal=personal),
    )
    return Gathered(inputs, narrowed, as_of)


class _Learned(TypedDict, total=False):
    touched: tuple[Touch, ...]
    earlier: tuple[Touch, ...]
    bought: tuple[tuple[str, Millis, int], ...]
    models: Mapping[str, str]


def _learned(playbook: Playbook, request: DecideRequest, known: Known, now: Millis, *, personal: bool) -> _Learned:
    """What recommendations look at, where any are asked for, and the versions of all models that are.

    Without consent that is the product that the page is about, and nothing that the shopper did.
    """
    hot, page = known.hot, request.context.page.product
    found: _Learned = {}
    asked = {}
    if playbook.recommenders or known.recommending:
        touched, found["earlier"] = predicting.lately(hot.profile, now) if hot is not None and personal else ((), ())
        if page and not (touched and touched[-1].product == page):
            minute = now // _MINUTE * _MINUTE  # so that whoever asks again within it asks the same
            touched = (*touched, Touch(page, "view", minute, ""))
        found["touched"] = touched
        found["bought"] = hot.bought if hot is not None and personal else ()
        for name, version in playbook.recommenders:
            if (exact := known.models.version(name, version)) is not None:
                asked[name if version == "live" else f"{name}/{version}"] = exact
    if hot is not None and personal and hot.standing.models:
        asked.update(hot.standing.models)
    if asked:
        found["models"] = asked
    return found


def _cart(playbook: Playbook, context: PageContext) -> tuple[tuple[Line, ...], Minor | None]:
    """The cart as offers are worked out on it, and what its delivery costs; nothing in a currency that is none."""
    settings = playbook.settings
    try:
        digits = minor_digits((context.currency or settings.currency).upper())
    except InvalidEvent:
        return (), None
    shipping = context.cart.shipping
    return cart_lines(context.cart, digits), None if shipping is None else to_minor(shipping, digits)


def lens(settings: Settings, caller: Caller, hot: HotProfile | None, values: Mapping[str, Value]) -> tuple[int, Level]:
    """The purposes allowed now, and the level of data they give."""
    bare: Level = "request" if settings.request_level else "default"
    if hot is None:
        return NECESSARY, bare
    asked = (caller.facts.gpc, values.get("location.country"), settings)
    known, mask = hot.lens
    if known != asked:
        market = asked[1] if isinstance(asked[1], str) else None
        mask = int(consent.mask_of(hot.profile.consent, gpc=asked[0], market=market, settings=settings))
        hot.lens = (asked, mask)
    if not mask & PERSONALIZATION:
        return mask, bare
    return mask, "profile" if hot.facts.history else "session"


def _standing(hot: HotProfile, playbook: Playbook, known: Known, now: Millis, mask: int, tenant: Tenant) -> Standing:
    """The profile's and the consent's attributes, with the predictions and the segments that they decide, once a
    second, mask, playbook and models."""
    models = known.models
    stamp = (now // 1000, mask, playbook.hash, models.stamp() if playbook.predicted else None)
    standing = hot.standing
    if standing.stamp != stamp:
        values = profiles.attributes(hot.profile, playbook.features, now, mask)
        versions: Mapping[str, str] = {}
        if playbook.predicted:
            seen = predicting.profile_inputs(hot.profile, values, now, mask, hot.bought, tenant)
            told, versions, _ = predicting.tell(playbook.predicted, playbook, models, seen)
            values = {**values, **told}
        values = {**values, **consent.values(mask)}
        playbook.standing.evaluate(values, hot.facts.lists)
        narrowed = playbook.experiences.index.profile_mask(values)
        hot.standing = standing = Standing(stamp, values, narrowed, now, versions)
    return standing
