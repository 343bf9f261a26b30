"""API keys and identity tokens: who may do what, and who a shopper provably is.

A publishable key is public: it may append events and ask for placements, nothing else. A secret key belongs to the
shop's backend. Only hashes are kept; the key's text is shown once. From a secret key both sides derive an identity key,
so that the shop can sign who is logged in without the server ever holding the secret (docs/decisions/0002).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Struct

from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Random, Registry

KIND = "key"
TOKEN_LIFE = 3600
"""Seconds an identity token may live; a minute of clock difference is forgiven."""
_SKEW = 60
_PREFIX = {"publishable": "cwp", "secret": "cws"}
_ENVIRONMENTS = ("live", "test")
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?/*")
_PORTS = {"http": "80", "https": "443"}
_STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ApiKey(Struct, frozen=True):
    """A key as kept: nothing here lets anyone make the key again."""

    id: str
    kind: Literal["publishable", "secret"]
    tenant: Tenant
    digest: bytes
    """SHA-256 of the key's text, which has 256 random bits: nothing to guess, so nothing to slow down."""
    origins: tuple[str, ...] = ()
    """Origins a browser may call from; none means no browser."""
    identity: bytes = b""
    """Verifies identity tokens signed with this secret key."""

    @property
    def trusted(self) -> bool:
        """Whether this is the shop's own backend."""
        return self.kind == "secret"


class Keys:
    """The keys of a data folder, by id; ``refresh`` reads them again."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._by_id: dict[str, ApiKey] = {}
        self._proven: dict[str, ApiKey] = {}
        self.refresh()

    def refresh(self) -> None:
        """See keys made or revoked by another process."""
        documents = self._registry.documents(KIND)
        self._by_id = {name: msgspec.msgpack.decode(document, type=ApiKey) for name, document in documents.items()}
        self._proven = {}

    def create(
        self, kind: Literal["publishable", "secret"], tenant: Tenant, origins: tuple[str, ...], random: Random
    ) -> str:
        """Make a key; returns its text, which is kept nowhere."""
        text, key = draw(kind, tenant, origins, random)
        self.add(key)
        return text

    def add(self, key: ApiKey) -> None:
        """Let a key be used."""
        self._registry.put(KIND, key.id, msgspec.msgpack.encode(key))
        self.refresh()

    def revoke(self, key_id: str) -> None:
        """A revoked key is refused from now on."""
        self._registry.put(KIND, key_id, None)
        self.refresh()

    def all(self) -> list[ApiKey]:
        """Every key, by id."""
        return [self._by_id[key_id] for key_id in sorted(self._by_id)]

    def find(self, text: str | None) -> ApiKey:
        """The key with this text. Raises ``NotAllowed`` with code ``unknown_key``."""
        if not text:
            raise NotAllowed("send a key: Authorization: Bearer, Basic user name, or writeKey", code="missing_key")
        known = self._proven.get(text)
        if known is not None:
            return known
        parts = text.split("_", 3) if text.isascii() else []
        key = self._by_id.get(parts[2]) if len(parts) == 4 else None
        given = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        if key is None or not hmac.compare_digest(given, key.digest):
            raise NotAllowed("this key is not known here; make one with: cashwrap keys create", code="unknown_key")
        self._proven[text] = key
        return key

    def verify(self, token: str, tenant: Tenant, now: Millis) -> str:
        """The user id an identity token proves. Raises ``NotAllowed`` with code ``invalid_token``."""
        key = self._by_id.get(_key_id(token))
        if key is None or not key.trusted or key.tenant != tenant:
            raise _untrue()
        try:
            claims = jwt.decode(token, OctKey.import_key(key.identity), algorithms=["HS256"]).claims
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _untrue() from None
        return _user(claims, tenant, now // 1000)


def draw(
    kind: Literal["publishable", "secret"], tenant: Tenant, origins: tuple[str, ...], random: Random
) -> tuple[str, ApiKey]:
    """A new key: its text, and what is kept of it. Raises ``InvalidInput`` for a tenant or an origin that is none."""
    if not _STORE.fullmatch(tenant.store):
        raise InvalidInput("a store's name has letters, digits, dots, dashes and underscores", code="invalid_store")
    if tenant.environment not in _ENVIRONMENTS:
        raise InvalidInput("an environment is live or test", code="unknown_environment")
    key_id = base64.b32encode(random.token(5)).decode().lower()
    secret = base64.urlsafe_b64encode(random.token(32)).decode().rstrip("=")
    text = f"{_PREFIX[kind]}_{tenant.environment}_{key_id}_{secret}"
    key = ApiKey(
        id=key_id,
        kind=kind,
        tenant=tenant,
        digest=hashlib.sha256(text.encode()).digest(),
        origins=tuple(_origin(origin) for origin in origins),
        identity=identity_key(text) if kind == "secret" else b"",
    )
    return text, key


def identity_key(secret_key: str) -> bytes:
    """The 32 bytes that sign identity tokens: ``HMAC-SHA256(secret key, "cashwrap identity v1")``."""
    return hmac.digest(secret_key.encode(), b"cashwrap identity v1", "sha256")


def sign_identity(secret_key: str, user_id: str, store: str, now: Millis, life: int = 600) -> str:
    """An identity token for a logged-in shopper, as a shop's backend makes it; ``life`` in seconds."""
    header = {"alg": "HS256", "kid": secret_key.split("_", 3)[2]}
    issued = now // 1000
    claims = {"sub": user_id, "aud": "cashwrap", "store": store, "iat": issued, "exp": issued + life}
    return jwt.encode(header, claims, OctKey.import_key(identity_key(secret_key)))


def _key_id(token: str) -> str:
    if len(token) > 2048:
        raise _untrue()
    head = token.split(".", 1)[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise _untrue() from None
    name = header.get("kid") if isinstance(header, dict) else None
    return name if isinstance(name, str) else ""


def _user(claims: Mapping[str, object], tenant: Tenant, now: int) -> str:
    user, issued, expires = claims.get("sub"), claims.get("iat"), claims.get("exp")
    timely = (
        isinstance(issued, int)
        and isinstance(expires, int)
        and issued - _SKEW <= now <= expires
        and expires - issued <= TOKEN_LIFE
    )
    meant = claims.get("aud") == "cashwrap" and claims.get("store") == tenant.store
    if not (timely and meant and isinstance(user, str) and 0 < len(user) <= 200):
        raise _untrue()
    return user


def _untrue() -> NotAllowed:
    return NotAllowed(
        "this identity token is forged, expired or for another store; sign a new one", code="invalid_token"
    )


def _origin(text: str) -> str:
    """The origin as browsers send it: lower case, no default port. Raises ``InvalidInput`` for what none would send."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None or not text.startswith(("http://", "https://")):
        raise InvalidInput(f"{text!r} is no origin; write it as https://shop.example", code="invalid_origin")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != _PORTS[scheme] else "")
