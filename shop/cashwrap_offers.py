"""What a shop needs to believe an offer of cashwrap: the cart's hash, the published keys, the token's signature.

Nothing here asks the engine except for its public keys, once. Needs joserfc; like `cashwrap_client.py` it may be
copied into your own shop.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections import Counter
from pathlib import Path

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

log = logging.getLogger("cashwrap_client")

KIND = "cashwrap-offer+jwt"
LONGEST = 8_192  # characters of a token
ASK_AGAIN = 60.0  # seconds: a token with an unknown key must not make every page ask for keys


class Refused(Exception):
    """This token proves nothing here. The reason is for the log, not for the shopper."""


def cart_hash(items, currency):
    """Return the hash that binds a promise to a cart: `items` are (id, quantity, price of one piece in minor units)."""
    pieces = Counter()
    for product_id, quantity, price in items:
        pieces[product_id.encode(), ("-" if price is None else str(price)).encode()] += quantity
    rows = [b"%s\t%d\t%s" % (name, count, price) for (name, price), count in sorted(pieces.items()) if count]
    return hashlib.sha256(b"\n".join([b"cashwrap cart v1", currency.encode(), *rows])).hexdigest()


class Keys:
    """The engine's public keys: fetched once, kept in a file, asked for again only where a token names another."""

    def __init__(self, path, fetch):
        """`fetch()` returns the JSON of `/.well-known/cashwrap/jwks.json` as a dict, {} where nobody answers."""
        self.path, self.fetch = Path(path), fetch
        self._lock, self._asked = threading.Lock(), -ASK_AGAIN
        self._kept = self._read()

    def named(self, kid):
        """Return the one key of that name as a set, or raise `Refused`."""
        found = self._find(kid)
        if not found and self._may_ask():
            self._renew()
            found = self._find(kid)
        if not found:
            raise Refused("unknown key")
        return KeySet.import_key_set({"keys": found})

    def _find(self, kid):
        return [key for key in self._kept.get("keys", ()) if key.get("kid") == kid]

    def _may_ask(self):
        with self._lock:
            due = time.monotonic() - self._asked >= ASK_AGAIN
            if due:
                self._asked = time.monotonic()
            return due

    def _renew(self):
        answer = self.fetch()
        if not isinstance(answer.get("keys"), list):
            self._asked = -ASK_AGAIN  # nobody answered: that is no reason to wait
            return
        self._kept = answer
        aside = self.path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        aside.write_text(json.dumps(answer))
        aside.replace(self.path)

    def _read(self):
        try:
            kept = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}


def verify(token, keys, *, store, currency, cart, now=time.time):
    """Return the claims of an offer that holds for this cart, or raise `Refused`. `cart` is the hash of OUR cart."""
    if not isinstance(token, str) or not 0 < len(token) <= LONGEST:
        raise Refused("no token")
    try:
        header = jws.extract_compact(token.encode()).headers()
        if header.get("typ") != KIND:
            raise Refused(f"a token for something else: {header.get('typ')!r}")
        found = jws.deserialize_compact(token, keys.named(header.get("kid")), algorithms=["ES256"])
        claims = json.loads(found.payload)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"not signed by the engine: {type(error).__name__}") from error
    if not isinstance(claims, dict) or not isinstance(claims.get("exp"), int | float):
        raise Refused("no end")
    if claims["exp"] <= now():
        raise Refused("too old")
    wanted = {"currency": currency, "cart": cart}
    for name, value in wanted.items():
        if claims.get(name) != value:
            raise Refused(f"made for another {name}")
    if str(claims.get("iss", "")).partition("/")[0] != store:
        raise Refused("made for another store")
    return claims
