"""Sign what others verify: JSON Web Signature (RFC 7515, compact) by ES256, which every browser and backend knows."""

import base64
import hashlib

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from cashwrap.ports import Vault

BUNDLE = "cashwrap-bundle+jws"
OFFER = "cashwrap-offer+jwt"
"""What a signature is for, named in its header: one kind is never taken for another."""
_SIZE = 32
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's base point: private keys are below it."""
_encode = msgspec.json.Encoder().encode


class Signer:
    """One P-256 key. The same bytes have the same signature (RFC 6979), so that an ETag stands for both."""

    def __init__(self, seed: bytes, kind: str = BUNDLE) -> None:
        """``seed`` is secret and of 48 bytes, so that every key is as likely (FIPS 186-5, A.2.1)."""
        self._kind = kind
        self._key = ec.derive_private_key(int.from_bytes(seed) % (_ORDER - 1) + 1, ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        bare = {"crv": "P-256", "kty": "EC", "x": _text(_bytes(numbers.x)), "y": _text(_bytes(numbers.y))}
        self.kid = _text(hashlib.sha256(_encode(bare)).digest())
        """The key's thumbprint (RFC 7638)."""
        self.jwk: dict[str, str] = {**bare, "kid": self.kid, "alg": "ES256", "use": "sig"}
        """The public key, as a JWKS holds it."""

    def sign(self, payload: bytes) -> str:
        """The payload with its signature, as one line of ASCII."""
        header = _encode({"alg": "ES256", "typ": self._kind, "kid": self.kid})
        said = f"{_text(header)}.{_text(payload)}"
        algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self._key.sign(said.encode(), algorithm))
        return f"{said}.{_text(_bytes(r) + _bytes(s))}"


def signer_of(vault: Vault, kind: str = BUNDLE) -> Signer:
    """The signer of a data folder: its keys follow from the folder's secret, and outlive every process."""
    name = "bundle key" if kind == BUNDLE else f"signing key {kind}"
    return Signer(b"".join(vault.digest(name, part) for part in ("1", "2", "3")), kind)


def jwks(*signers: Signer) -> bytes:
    """The set of public keys that sign here, as JSON (RFC 7517)."""
    return _encode({"keys": [signer.jwk for signer in signers]})


def _bytes(number: int) -> bytes:
    return number.to_bytes(_SIZE)


def _text(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()
