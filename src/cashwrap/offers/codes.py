"""Codes that open an offer: 65 random bits, easy to read out and to type. Pure but for the randomness handed in.

Thirteen characters of Crockford's base32 (no I, L, O, U), written in three groups. What is typed may be in any case,
with or without dashes, and with the letters that look like a digit. Only keyed digests are kept.
"""

from cashwrap.model import Tenant
from cashwrap.ports import Random, Vault

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 13
BITS = 5 * LENGTH
LONGEST = 64
"""Characters of what may be typed; more is no code."""
_ALIKE = str.maketrans("OIL", "011", " -\u2010\u2011\u2012\u2013\u2014\u00a0\t")
"""What looks like a digit is one, and every kind of dash and space is none."""


def new_code(random: Random) -> str:
    """A code, such as ``7K2M-9QXC-4TZ8B``."""
    number = int.from_bytes(random.token(9)) >> 72 - BITS
    return written("".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(LENGTH))))


def read_code(typed: str) -> str | None:
    """The thirteen characters that were meant; ``None`` for what is no code."""
    if len(typed) > LONGEST:
        return None
    code = typed.upper().translate(_ALIKE)
    return code if len(code) == LENGTH and all(character in ALPHABET for character in code) else None


def written(code: str) -> str:
    """Thirteen characters as a person reads them."""
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def code_digest(vault: Vault, tenant: Tenant, code: str) -> bytes:
    """16 bytes that stand for a code of this store and environment; only this data folder can make them."""
    return vault.digest("offer code", tenant.store, tenant.environment, code)
