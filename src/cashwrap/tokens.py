"""Decision tokens: the compact, signed proof of what a decision showed, that exposures carry back.

A token is the base64url of a msgpack array followed by 16 bytes of HMAC-SHA256. It holds no identifier: the
shopper it was made for is a keyed digest, so a token says nothing to who reads it and fits nobody else.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import msgspec
from msgspec import Struct

from cashwrap.errors import NotAllowed
from cashwrap.model import Level, Millis, Tenant
from cashwrap.ports import Vault

MAX_TOKEN = 4096
"""Characters of a token; longer ones are refused unread."""
MAC = 16
"""Bytes of signature: a forger needs 2**127 tries."""
UNITS = 50_000
"""Shoppers whose digests are remembered."""

_DECISION = b"cashwrap decision v2\x00"
_PREVIEW = b"cashwrap preview v1\x00"
_UNIT = b"cw unit v1"


class Proof(Struct, frozen=True, array_like=True):
    """What a token proves. Each of ``exposures`` is an ``Exposure`` without the defaults at its end."""

    tenant: Tenant
    decision: str
    playbook: str
    level: Level
    expires: Millis
    exposures: tuple[tuple[int, ...], ...] = ()


class Preview(Struct, frozen=True, array_like=True):
    """What a preview link shows, whatever the conditions say: experiences with the variation of each."""

    tenant: Tenant
    expires: Millis
    forced: dict[str, str]


class _Sealed(Struct, frozen=True, array_like=True):
    proof: Proof
    units: tuple[bytes, ...]


_encode = msgspec.msgpack.Encoder().encode
_sealed: msgspec.msgpack.Decoder[_Sealed] = msgspec.msgpack.Decoder(_Sealed)
_preview: msgspec.msgpack.Decoder[Preview] = msgspec.msgpack.Decoder(Preview)


class Tokens:
    """Signs and opens tokens. ``key`` is 32 random bytes that never leave the server."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._digest = lru_cache(maxsize=UNITS)(self._digest_of)

    def sign(self, proof: Proof, units: Iterable[str]) -> str:
        """A decision's token, for the shopper whom all of these name."""
        digest, tenant = self._digest, proof.tenant
        payload = _encode(_Sealed(proof, tuple([digest(tenant, unit) for unit in units])))
        return _text(payload + self._mac(_DECISION, payload))

    def open(self, token: str, units: Iterable[str], now: Millis) -> Proof:
        """The proof inside, for a shopper whom any of these names.

        Raises ``NotAllowed`` where the token was changed, is another shopper's, or has expired.
        """
        sealed = _sealed.decode(self._opened(token, _DECISION))
        wanted = {self._digest(sealed.proof.tenant, unit) for unit in units}
        if wanted.isdisjoint(sealed.units):
            raise _refused("token_of_another", "this decision token belongs to another shopper")
        if now >= sealed.proof.expires:
            raise _refused("token_expired", "this decision token has expired; decide again")
        return sealed.proof

    def sign_preview(self, preview: Preview) -> str:
        """A preview's token, as its link carries it."""
        payload = _encode(preview)
        return _text(payload + self._mac(_PREVIEW, payload))

    def open_preview(self, token: str, tenant: Tenant, now: Millis) -> Preview:
        """What the link shows. Raises ``NotAllowed`` where it was changed, is another store's, or has expired."""
        preview = _preview.decode(self._opened(token, _PREVIEW))
        if preview.tenant != tenant:
            raise _refused("bad_token", "this preview was made for another store")
        if now >= preview.expires:
            raise _refused("token_expired", "this preview has expired; make a new link")
        return preview

    def _opened(self, token: str, purpose: bytes) -> bytes:
        signed = _bytes(token)
        payload, mac = signed[:-MAC], signed[-MAC:]
        if not hmac.compare_digest(mac, self._mac(purpose, payload)):
            raise _refused("bad_token", "this token was not made here")
        return payload

    def _mac(self, purpose: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._key, purpose + payload, "sha256")[:MAC]

    def _digest_of(self, tenant: Tenant, unit: str) -> bytes:
        store = tenant.store
        named = f"{len(store)}:{store}{tenant.environment}:{unit}"
        return blake2b(named.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key, person=_UNIT).digest()


def tokens_of(vault: Vault) -> Tokens:
    """The tokens of a data folder, under the key that its vault derives."""
    return Tokens(vault.digest("decision tokens") + vault.digest("decision tokens", "2"))


def _text(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    """Only the one spelling of the bytes: base64 ignores some bits of its last character."""
    if len(token) > MAX_TOKEN or not token.isascii():
        raise _refused("bad_token", "this is no decision token")
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise _refused("bad_token", "this is no decision token") from None
    if base64.urlsafe_b64encode(signed).rstrip(b"=").decode() != token:
        raise _refused("bad_token", "this is no decision token")
    return signed


def _refused(code: str, message: str) -> NotAllowed:
    return NotAllowed(message, code=code)
