"""Offer tokens: what a decision grants, signed, so that a shop can verify it offline with the published key.

A token is a JWS (ES256, ``typ: cashwrap-offer+jwt``) whose payload is JSON. It lives half an hour at most and never
longer than the promise. ``sub`` holds keyed digests of who it was granted to, mixed with the token's own id, so that
two tokens of one shopper cannot be told to be.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from cashwrap.errors import Conflict
from cashwrap.model import Disclosure, Grant, Millis, Minor, Tenant
from cashwrap.ports import Vault
from cashwrap.signing import OFFER, Signer, signer_of

LIFE: Millis = 30 * 60_000
"""How long a token is good at most."""
LONGEST = 8192
"""Characters of a token; longer ones are refused unread."""
_UNIT = 8
"""Bytes of a digest in ``sub``."""
_USER = "u"


class Claims(Struct, frozen=True, omit_defaults=True):
    """A token's payload. Times are whole seconds since 1970 UTC, ``amount`` is in minor units."""

    iss: str
    """Store and environment, as in ``default/live``."""
    jti: str
    iat: int
    exp: int
    sub: str
    """Digests, joined by dots, of all that the shopper was known by, each behind the first letter of its kind (user,
    anonymous, cart); empty where that was nothing."""
    offer: str
    benefit: dict[str, object]
    amount: Minor
    currency: str
    cart: str
    """``cart_hash`` of the cart that was decided on."""
    personal: bool
    disclosure: Disclosure | None = None
    arm: str = ""
    """The arm whose part of the limits it counts against; left out where they are not split."""


class Proof:
    """Signs and opens the tokens of a data folder."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._signer: Signer = signer_of(vault, OFFER)

    def sign(self, claims: Claims) -> str:
        """The token."""
        return self._signer.sign(_encode(claims))

    def open(self, token: str, tenant: Tenant, now: Millis) -> Claims:
        """What a token says. Raises ``Conflict``: ``bad_offer_token`` where it was not made here, for this store and
        environment, by this very text; ``offer_ended`` where its time is over.
        """
        claims = self._read(token)
        if claims.iss != tenant.name:
            raise Conflict("this offer was granted in another store or environment", code="bad_offer_token")
        if now >= claims.exp * 1000:
            raise Conflict("this offer token has expired: decide again", code="offer_ended")
        return claims

    def disclosure(self, token: str) -> Disclosure | None:
        """What a token says beside its price, also after its time; ``None`` for nothing, and for what is no token."""
        try:
            return self._read(token).disclosure
        except Conflict:
            return None

    def sub(self, jti: str, tenant: Tenant, units: Mapping[str, str]) -> str:
        """Who a token is for, by kind and id."""
        return ".".join(sorted(self._digest(jti, tenant, kind, value) for kind, value in units.items()))

    def is_for(self, claims: Claims, tenant: Tenant, units: Mapping[str, str]) -> bool:
        """Whether any of these names the shopper it was granted to; what was granted to nobody known is anybody's.

        Two users are never one shopper, whatever cart or device they share.
        """
        meant = claims.sub.split(".") if claims.sub else []
        named = {kind: self._digest(claims.jti, tenant, kind, value) for kind, value in units.items()}
        if "user" in named and any(each[0] == _USER for each in meant):
            return named["user"] in meant
        return not meant or not set(named.values()).isdisjoint(meant)

    def _digest(self, jti: str, tenant: Tenant, kind: str, value: str) -> str:
        digest = self._vault.digest("offer sub", jti, tenant.store, tenant.environment, kind, value)
        return kind[0] + digest[:_UNIT].hex()

    def _read(self, token: str) -> Claims:
        """Signing is deterministic: a good token is, to the letter, the one that its payload gives."""
        parts = token.split(".") if len(token) <= LONGEST and token.isascii() else []
        payload = _plain(parts[1]) if len(parts) == 3 else b""
        if not payload or not hmac.compare_digest(self._signer.sign(payload), token):
            raise Conflict("this offer token was not made here, or was changed", code="bad_offer_token")
        return _decode(payload)


def claims_of(grant: Grant, tenant: Tenant, jti: str, now: Millis, *, sub: str, cart: str) -> Claims:
    """What the token of a grant says."""
    ends = now + LIFE if not grant.expires else min(now + LIFE, grant.expires)
    return Claims(
        iss=tenant.name,
        jti=jti,
        iat=now // 1000,
        exp=ends // 1000,
        sub=sub,
        offer=grant.offer,
        benefit=dict(grant.benefit),
        amount=grant.amount,
        currency=grant.currency,
        cart=cart,
        personal=grant.personal,
        disclosure=grant.disclosure,
        arm=grant.arm,
    )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Claims).decode


def _plain(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""
