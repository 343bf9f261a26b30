"""One shopper as the shop's own people may see them, and forgetting them. Behind a secret key only."""

from collections.abc import Callable

from cashwrap import consent, profiles
from cashwrap.audit import pseudonym
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller
from cashwrap.learned.forgetting import holding
from cashwrap.memberships import standing_values
from cashwrap.model import ConsentState, Profile, Purpose, Tenant
from cashwrap.offering.around import Named
from cashwrap.orders import net
from cashwrap.ports import ShopperKey
from cashwrap.request import ShopperRef


def describe(engine: Engine, ref: ShopperRef, caller: Caller) -> dict[str, object]:
    """Everything held about a shopper and what follows from it, through the lens of their consent.

    Money in minor units, times in milliseconds. Raises ``InvalidInput`` (``no_such_shopper``).
    """
    return described(engine, _found(engine, ref, caller).profile, gpc=caller.facts.gpc)


def described(engine: Engine, profile: Profile, *, gpc: bool = False) -> dict[str, object]:
    """The same of a profile that is at hand."""
    playbook = engine.live.playbook
    now = engine.world.clock.now()
    values = standing_values(playbook, profile, now)
    mask = consent.mask_of(profile.consent, gpc=gpc, settings=playbook.settings)
    return {
        "identified": profile.user_id is not None,
        "userId": profile.user_id,
        "created": profile.created,
        "updated": profile.updated,
        "consent": {name: _word(profile.consent, name) for name in sorted(consent.CHOOSABLE)},
        "allowed": sorted(name for name, purpose in consent.BY_NAME.items() if purpose & mask),
        "segments": {name: values.get(f"segments.{name}") for name in sorted(playbook.segments.names)},
        "attributes": {
            path: sorted(value) if isinstance(value, frozenset) else value
            for path, value in sorted(values.items())
            if not path.startswith(("segments.", "consent."))
        },
        "traits": {name: kept.value for name, kept in sorted(profile.traits.items())},
        "cart": _cart(profile) if mask & Purpose.PERSONALIZATION else None,
        "orders": [
            {"id": order.id, "time": order.time, "state": order.state, "net": net(order), "currency": order.currency}
            for order in sorted(profile.orders.values(), key=lambda each: each.time)
        ],
        "touched": [
            {"product": each.product, "what": each.kind, "time": each.time} for each in reversed(profile.touched)
        ],
        "experiments": {
            salt: {"arm": arm, "tainted": salt in profiles.tainted(profile)}
            for salt, arm in sorted(profiles.first_arms(profile).items())
        },
        "impressions": {
            key: {"count": seen.count, "newest": max(seen.times, default=None), "dismissed": seen.dismissed or None}
            for key, seen in sorted(profile.impressions.items())
        },
    }


def forgetting(engine: Engine, ref: ShopperRef, caller: Caller) -> tuple[str, Callable[[], bool]]:
    """Who this is in the audit log, and what forgets them.

    Offers are held and spent without a profile too: then only the ledger has somebody to forget. What forgets raises
    ``InvalidInput`` (``no_such_shopper``) where nobody is known there either.
    """
    hot = engine.find(ref, caller)
    if hot is None:
        return "ledger", lambda: _forget_in_ledger(engine, ref, caller)
    key = ShopperKey(caller.key.tenant, hot.profile.id)
    return pseudonym(engine.world.vault, key), lambda: engine.forget(key)


def learned_from(engine: Engine, hot: HotProfile | None, tenant: Tenant) -> list[str]:
    """The models that hold anything of this shopper, as ``name@version``: forgetting takes it out of them, and they are
    to be trained again."""
    if hot is None:
        return []
    return holding(engine.world, tenant, [hot.profile.analytic_id, *hot.profile.former_analytic_ids])


def _forget_in_ledger(engine: Engine, ref: ShopperRef, caller: Caller) -> bool:
    tenant, named = caller.key.tenant, Named(user=ref.user_id, anonymous=ref.anonymous_id)
    ledger = engine.world.ledger
    if ledger is None or not ledger.forget(tenant, named.digests(engine.world.vault, tenant)):
        raise _nobody()
    return True


def key_of(engine: Engine, ref: ShopperRef, caller: Caller) -> ShopperKey:
    """Who this is. Raises ``InvalidInput`` (``no_such_shopper``)."""
    return ShopperKey(caller.key.tenant, _found(engine, ref, caller).profile.id)


def _found(engine: Engine, ref: ShopperRef, caller: Caller) -> HotProfile:
    hot = engine.find(ref, caller)
    if hot is None:
        raise _nobody()
    return hot


def _nobody() -> InvalidInput:
    return InvalidInput("nobody is known by this id in this store and environment", code="no_such_shopper")


def _word(state: ConsentState, name: str) -> str:
    choices = [choice for choice in (state.device.get(name), state.person.get(name)) if choice is not None]
    if not choices:
        return consent.UNKNOWN
    return consent.GRANTED if all(choice.granted for choice in choices) else consent.DENIED


def _cart(profile: Profile) -> list[dict[str, object]]:
    lines = sorted(profile.cart.lines.values(), key=lambda each: (each.time, each.id))
    return [{"id": each.line.product_id, "quantity": each.line.quantity, "price": each.line.price} for each in lines]
