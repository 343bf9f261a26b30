"""A shopper being changed by one commit, and whose an event is, as far as a draft and the event alone can tell."""

import msgspec

from cashwrap import consent
from cashwrap.dedup import Seen
from cashwrap.hot import Identifier
from cashwrap.model import ConsentState, Event, Profile, Tenant, Where
from cashwrap.ports import ShopperKey
from cashwrap.records import allows


class Draft:
    """A shopper being changed by this window."""

    __slots__ = ("allowed", "base", "dirty", "folded", "gone", "key", "profile", "seen")

    def __init__(self, key: ShopperKey, profile: Profile, seen: Seen, base: bytes | None) -> None:
        self.key = key
        self.profile = profile
        self.seen = seen
        self.base = base
        self.allowed = allows(profile)
        """Whether personalization was allowed before: then decisions may have been kept."""
        self.folded: list[Event] = []
        self.dirty = False
        self.gone = False


def consent_of(draft: Draft | None, device: Draft | None) -> ConsentState:
    """What the shopper chose, on the device that is about to join them too."""
    if draft is None:
        return ConsentState()
    return draft.profile.consent if device is None else consent.merge(device.profile.consent, draft.profile.consent)


def choice_alone(event: Event) -> Event:
    """The consent choice an event carried, without anything else it held."""
    return msgspec.structs.replace(
        event, name="Consent Updated", properties={}, traits={}, where=Where(), cart_token=None, email_hash=None
    )


def may_be(draft: Draft, event: Event) -> bool:
    """Whether the event does not prove that this is somebody else."""
    return event.user_id is None or draft.profile.user_id in {None, event.user_id}


def says_otherwise(draft: Draft | None, event: Event) -> bool:
    """Whether the event claims, without proof, to be of another person than the profile it would go into.

    Such as one that is sent again after its identity token expired, on a device that somebody else owns.
    """
    if draft is None or event.user_id is not None or event.claimed_user_id is None:
        return False
    return draft.profile.user_id not in {None, event.claimed_user_id}


def opened_by_a_browser(draft: Draft, event: Event) -> bool:
    """Whether joining would hand a person to a device that only shares a cart or an address with them."""
    return event.user_id is not None and draft.profile.user_id is None and bool(draft.profile.anonymous_ids)


def lasting(draft: Draft) -> bool:
    """Whether the shopper is or will be kept: else nobody could ever find what is sealed for them, to forget it."""
    return draft.dirty or draft.base is not None


def withdrawn(draft: Draft) -> bool:
    """Whether this window took personalization from the shopper: then no decision of theirs may stay."""
    return draft.dirty and draft.allowed and not draft.gone and not allows(draft.profile)


def keys_of(draft: Draft) -> list[ShopperKey]:
    """Every id that the shopper has had."""
    return [ShopperKey(draft.key.tenant, shopper) for shopper in (draft.key.shopper, *draft.profile.absorbed)]


def devices_of(tenant: Tenant, profile: Profile) -> list[Identifier]:
    """What names a shopper who is nobody's user: what a merge hands on."""
    return [
        *((tenant, "anonymous", value) for value in profile.anonymous_ids),
        *((tenant, "email", value) for value in profile.email_hashes),
        *((tenant, "cart", value) for value in profile.cart_tokens),
    ]


def fresh(profile: Profile) -> Profile:
    """The shopper as they were before any event."""
    return Profile(id=profile.id, analytic_id=profile.analytic_id, created=profile.created)
