"""The second factor: codes of six digits from a phone (TOTP, RFC 6238), and codes on paper for when it is lost.

Secrets are sealed by a key that only this data folder can make, and bound to the person: copied into another account
they do not open. Codes on paper have 50 random bits and are kept as keyed hashes.
"""

import base64
import hmac
import re

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cashwrap.errors import StoreError
from cashwrap.model import Millis
from cashwrap.ports import Random, Vault

STEP = 30
"""Seconds a code is shown."""
WINDOW = 1
"""Steps that a phone's clock may be ahead or behind."""
RECOVERY = 10
"""Codes on paper that are made at once."""
_SECRET = 20
"""Bytes: as many as SHA-1 has (RFC 4226, section 4)."""
_NONCE = 12
_ON_PAPER = re.compile(r"[a-z2-7]{10}")
_DIGITS = re.compile(r"[0-9]{6}")


class SecondFactor:
    """Makes, seals and checks the codes of a data folder's people."""

    def __init__(self, vault: Vault, random: Random) -> None:
        self._vault = vault
        self._random = random
        self._cipher = AESGCM(vault.digest("console secrets", "1") + vault.digest("console secrets", "2"))

    def draw(self, name: str) -> str:
        """A new secret for a person, sealed."""
        secret = base64.b32encode(self._random.token(_SECRET)).decode()
        return self.seal(f"totp {name}", secret)

    def secret(self, name: str, sealed: str) -> str:
        """The secret, to be typed into a phone. Raises ``StoreError`` where it is another person's, or was changed."""
        return self.open(f"totp {name}", sealed)

    def picture(self, name: str, sealed: str) -> str:
        """The secret as a QR code: a ``data:`` address of a picture."""
        address = pyotp.TOTP(self.secret(name, sealed)).provisioning_uri(name=name, issuer_name="cashwrap")
        return str(segno.make(address, micro=False, error="m").svg_data_uri(scale=4, border=4, light="#ffffff"))

    def step(self, name: str, sealed: str, code: str, after: int, now: Millis) -> int | None:
        """The time step whose code this is; ``None`` where it is wrong or of a step that is not ``after`` the last
        one used: a code that somebody read over a shoulder is of no use."""
        digits = code.replace(" ", "")
        if not _DIGITS.fullmatch(digits):
            return None
        totp, current = pyotp.TOTP(self.secret(name, sealed)), now // 1000 // STEP
        near = range(current - WINDOW, current + WINDOW + 1)
        fitting = [step for step in near if hmac.compare_digest(totp.generate_otp(step), digits)]
        return next((step for step in fitting if step > after), None)

    def codes(self) -> list[str]:
        """Codes for paper."""
        drawn = (base64.b32encode(self._random.token(10)).decode().lower()[:10] for _ in range(RECOVERY))
        return [f"{code[:5]}-{code[5:]}" for code in drawn]

    def digest(self, name: str, code: str) -> str:
        """How a code on paper is kept; empty for what cannot be one."""
        plain = code[:20].replace("-", "").replace(" ", "").lower()
        return self._vault.digest("console recovery", name, plain).hex() if _ON_PAPER.fullmatch(plain) else ""

    def is_code(self, given: str) -> bool:
        """Whether this could be a code at all; no password is as short."""
        return bool(_DIGITS.fullmatch(given.replace(" ", "")) or self.digest("", given))

    def seal(self, what: str, text: str) -> str:
        """Encrypt a text; it opens for the same ``what`` only."""
        nonce = self._random.token(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), what.encode())
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, what: str, sealed: str) -> str:
        """Undo ``seal``. Raises ``StoreError`` (``secret_changed``)."""
        try:
            raw = base64.urlsafe_b64decode(sealed)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], what.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise StoreError("a sealed secret was changed or belongs elsewhere", code="secret_changed") from error
