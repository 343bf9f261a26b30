"""Decision tokens: the compact, signed proof of what a decision showed, that exposures carry back.

A token is the base64url of a msgpack array followed by 16 bytes of HMAC-SHA256. It holds no identifier: the
shopper it was made for is a keyed digest, so a token says nothing to who reads it and fits nobody else.
"""

import base64
import binascii
import hmac
from hashlib import blake2b

import msgspec
from msgspec import Struct

from cashwrap.errors import NotAllowed
from cashwrap.model import Level, Millis, Tenant

MAX_TOKEN = 4096
"""Characters of a token; longer ones are refused unread."""
MAC = 16
"""Bytes of signature: a forger needs 2**127 tries."""

_PURPOSE = b"cashwrap decision v1\x00"
_UNIT = b"cw unit v1"


class Proof(Struct, frozen=True, array_like=True):
    """What a token proves. ``shown`` pairs a placement's number with an experience's, as the playbook counts them."""

    tenant: Tenant
    decision: str
    playbook: str
    level: Level
    expires: Millis
    shown: tuple[tuple[int, int], ...] = ()


class _Sealed(Struct, frozen=True, array_like=True):
    proof: Proof
    unit: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Sealed).decode


def decision_token(proof: Proof, unit: str, key: bytes) -> str:
    """Sign a proof for one shopper. ``key`` is 32 random bytes that never leave the server."""
    payload = _encode(_Sealed(proof, _digest(proof.tenant, unit, key)))
    signed = payload + _signature(payload, key)
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def open_token(token: str, key: bytes, *, unit: str, now: Millis) -> Proof:
    """The proof inside. Raises NotAllowed where the token was changed, is another shopper's, or has expired."""
    signed = _bytes(token)
    payload, mac = signed[:-MAC], signed[-MAC:]
    if not hmac.compare_digest(mac, _signature(payload, key)):
        raise _refused("bad_token", "this decision token was not made here")
    sealed = _decode(payload)
    if not hmac.compare_digest(sealed.unit, _digest(sealed.proof.tenant, unit, key)):
        raise _refused("token_of_another", "this decision token belongs to another shopper")
    if now >= sealed.proof.expires:
        raise _refused("token_expired", "this decision token has expired; decide again")
    return sealed.proof


def _signature(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, "sha256")[:MAC]


def _digest(tenant: Tenant, unit: str, key: bytes) -> bytes:
    store = tenant.store
    named = f"{len(store)}:{store}{tenant.environment}:{unit}"
    return blake2b(named.encode("utf-8", "surrogatepass"), digest_size=8, key=key, person=_UNIT).digest()


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
