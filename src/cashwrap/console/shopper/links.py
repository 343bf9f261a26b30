"""Addresses of one shopper: sealed, so that no address, log or browser history holds an id, and nobody counts up.

What stands in an address opens for the person who searched, in the store they searched in, for a while. It is sealed by
AES-256-GCM under a key of the data folder's own: nobody else can make one, or read it.
"""

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Clock, Random, Vault

LIFE: Millis = 4 * 60 * 60_000
"""How long an address is good: a search is quickly made again."""
LONGEST = 600
_NONCE = 12


class Link(Struct, frozen=True, array_like=True):
    """What an address leads to: a shopper, and one of their kept decisions or none."""

    tenant: Tenant
    person: str
    """Whose address it is."""
    expires: Millis
    shopper: bytes
    decision: str = ""


class ShopperLinks:
    """Makes and opens them. Any thread may call it."""

    def __init__(self, vault: Vault, clock: Clock, random: Random) -> None:
        self._cipher = AESGCM(vault.digest("console shopper link", "1") + vault.digest("console shopper link", "2"))
        self._clock = clock
        self._random = random

    def make(self, tenant: Tenant, person: str, shopper: bytes, decision: str = "") -> str:
        """The part of an address that leads there."""
        link = Link(tenant, person, self._clock.now() + LIFE, shopper, decision)
        nonce = self._random.token(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(link), None)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str, tenant: Tenant, person: str) -> Link:
        """Where it leads.

        Raises ``InvalidInput`` (``no_such_shopper_link``) for what was not made here, and ``NotAllowed``
        (``shopper_link_of_another``, ``shopper_link_expired``).
        """
        link = self._opened(text)
        if link.tenant != tenant or link.person != person:
            message = "this address is somebody else's, or of another store: search for the shopper yourself"
            raise NotAllowed(message, code="shopper_link_of_another")
        if self._clock.now() >= link.expires:
            raise NotAllowed("this address has expired: search for the shopper again", code="shopper_link_expired")
        return link

    def _opened(self, text: str) -> Link:
        try:
            sealed = base64.b64decode(text[:LONGEST] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            return msgspec.msgpack.decode(plain, type=Link)
        except (ValueError, binascii.Error, InvalidTag, msgspec.DecodeError):
            message = "this address leads to nobody: search for the shopper"
            raise InvalidInput(message, code="no_such_shopper_link") from None
