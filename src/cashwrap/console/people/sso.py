"""Single sign-on by OpenID Connect: the code flow with PKCE, at the one provider that a file describes.

What a browser brings back is believed only where it began here (a sealed cookie with state, nonce and verifier, good
once and for ten minutes), and an ID token only by its signature, issuer, audience, time and nonce. Calls go to the
provider's host and to those the file names, and nowhere else.
"""

import base64
import hmac
import logging
import os
import ssl
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.audit import Note, Trail
from cashwrap.console.people.accounts import Accounts, SignedIn, Visitor
from cashwrap.console.people.people import Person, ended, newcomer
from cashwrap.console.roles import EVERYWHERE, Grant, Role, told
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed, StoreError, Unavailable
from cashwrap.model import Millis
from cashwrap.world import World

log = logging.getLogger("cashwrap")
FILE = "CASHWRAP_SSO"
"""The environment variable that names the file."""
COOKIE = "__Host-cashwrap-sso"
LIFE: Millis = 10 * 60_000
"""How long somebody may take at the provider."""
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures that are believed; never one by a shared secret, nor none."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SKEW = 60
_PATIENCE = 10.0
_LARGEST = 256_000
_KEYS_FOR: Millis = 3_600_000
_KEYS_AGAIN: Millis = 60_000
_USED = 10_000


class Secret(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the client's secret is: an environment variable, or a file."""

    env: str = ""
    file: str = ""

    def read(self) -> str:
        """The secret. Raises ``InvalidInput`` (``invalid_sso``)."""
        try:
            found = os.environ.get(self.env, "") if self.env else Path(self.file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidInput(f"the secret of the single sign-on: {error}", code="invalid_sso") from None
        if not found:
            raise InvalidInput("the secret of the single sign-on is empty", code="invalid_sso")
        return found


class GroupRole(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is in this group has this role."""

    group: str
    role: Role
    store: str = EVERYWHERE
    environment: str = EVERYWHERE


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The provider, as the file describes it."""

    issuer: str
    client: str
    address: str
    """Where people reach the console's server, such as ``https://console.shop.example``."""
    secret: Secret | None = None
    name: str = "single sign-on"
    scope: str = "openid email profile"
    groups: str = "groups"
    """The claim with somebody's groups."""
    roles: tuple[GroupRole, ...] = ()
    hosts: tuple[str, ...] = ()
    """Further hosts the provider answers at."""


class _Begun(Struct, frozen=True):
    """What the cookie holds, sealed."""

    state: str
    nonce: str
    verifier: str
    to: str
    until: Millis
    again: bool = False


class _Provider(Struct, frozen=True):
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


def single_sign_on(file: Path | None, accounts: Accounts, world: World) -> "SingleSignOn | None":
    """The single sign-on that a file describes; ``None`` without one. A file that is wrong is logged and costs nobody
    their password."""
    named = os.environ.get(FILE, "")
    path = file or (Path(named) if named else None)
    if path is None:
        return None
    try:
        return SingleSignOn(read_settings(path), accounts, world)
    except InvalidInput as error:
        log.error("there is no single sign-on: %s (%s)", error.message, error.code)  # noqa: TRY400 - no bug
        return None


def read_settings(path: Path) -> Settings:
    """The file's settings. Raises ``InvalidInput`` (``invalid_sso``), saying what is wrong."""
    try:
        settings = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except (OSError, ValueError) as error:  # both libraries' errors are ValueErrors
        raise InvalidInput(f"{path}: {error}", code="invalid_sso") from None
    for address in (settings.issuer, settings.address):
        _check_address(address, f"{path}: ")
    return settings


class SingleSignOn:
    """The way in through a provider. Every method may block; any thread may call it."""

    def __init__(self, settings: Settings, accounts: Accounts, world: World) -> None:
        self.settings = settings
        self._accounts = accounts
        self._world = world
        self._trail = Trail(world.audit, world.clock)
        self._hosts = {urlsplit(settings.issuer).netloc, *settings.hosts}
        self._redirect = f"{settings.address.rstrip('/')}/console/sso/return"
        self._lock = threading.Lock()
        self._used: OrderedDict[str, None] = OrderedDict()
        self._keys: KeySet | None = None
        self._keys_at: Millis = 0

    def start(self, to: str, *, again: bool = False) -> tuple[str, str]:
        """Where to send a browser, and its cookie. ``again``: the provider has to ask for the password anew.

        Raises ``Unavailable`` (``sso_away``) and ``CashwrapError`` (``extra_missing``).
        """
        state, nonce, verifier = (self._random() for _ in range(3))
        begun = _Begun(state, nonce, verifier, to, self._now() + LIFE, again)
        more: dict[str, str] = {"prompt": "login", "max_age": "0"} if again else {}
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._provider(client).authorization_endpoint, state=state, code_verifier=verifier, nonce=nonce, **more
            )
        return str(address), self._accounts.factor.seal("sso", msgspec.json.encode(begun).decode())

    def finish(self, cookie: str, given: Mapping[str, str], visitor: Visitor) -> tuple[SignedIn, str]:
        """Somebody comes back: signed in, and where they wanted to go.

        Raises ``NotAllowed`` (``sso_refused``, ``sso_unknown``, ``sso_no_role``) and as ``start`` does.
        """
        begun = self._begun(cookie, given)
        if "error" in given:
            raise NotAllowed("The single sign-on did not let you in. Try again.", code="sso_refused")
        with self._client() as client:
            provider = self._provider(client)
            token = _asked(
                lambda: client.fetch_token(
                    provider.token_endpoint, code=given.get("code", ""), code_verifier=begun.verifier
                )
            )
            claims = self._claims(client, provider, str(token.get("id_token", "")), begun)
        proven = self._is_anew(claims)
        if begun.again and not proven:
            raise NotAllowed("The single sign-on did not ask you again. Try again.", code="sso_refused")
        person = self._person(claims)
        return self._accounts.enter(person, visitor, "single sign-on", proven=proven), begun.to

    # --- what comes back ---

    def _begun(self, cookie: str, given: Mapping[str, str]) -> _Begun:
        try:
            begun = msgspec.json.decode(self._accounts.factor.open("sso", cookie), type=_Begun)
        except (StoreError, msgspec.DecodeError):
            raise _refused() from None
        fits = hmac.compare_digest(begun.state.encode(), given.get("state", "").encode("utf-8", "replace"))
        issuer = given.get("iss", self.settings.issuer)  # RFC 9207
        if not fits or self._now() > begun.until or issuer != self.settings.issuer:
            raise _refused()
        with self._lock:
            if begun.state in self._used:
                raise _refused()
            self._used[begun.state] = None
            while len(self._used) > _USED:
                self._used.popitem(last=False)
        return begun

    def _claims(self, client: Any, provider: _Provider, token: str, begun: _Begun) -> Mapping[str, object]:
        """What an ID token says, where it may be believed (OpenID Connect Core 1.0, section 3.1.3.7)."""
        claims = self._verified(client, provider, token)
        now, audience = self._now() // 1000, claims.get("aud")
        meant = [audience] if isinstance(audience, str) else audience
        expires, issued, nonce = claims.get("exp"), claims.get("iat"), claims.get("nonce")
        good = (
            claims.get("iss") == self.settings.issuer
            and isinstance(meant, list)
            and self.settings.client in meant
            and (len(meant) == 1 or "azp" in claims)
            and claims.get("azp", self.settings.client) == self.settings.client
            and isinstance(expires, int)
            and now < expires + _SKEW
            and isinstance(issued, int)
            and now - LIFE // 1000 <= issued <= now + _SKEW
            and isinstance(nonce, str)
            and hmac.compare_digest(nonce.encode("utf-8", "replace"), begun.nonce.encode())
        )
        subject = claims.get("sub")
        if not good or not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise _refused()
        return claims

    def _verified(self, client: Any, provider: _Provider, token: str) -> Mapping[str, object]:
        for anew in (False, True):
            try:
                return jwt.decode(token, self._key_set(client, provider, anew=anew), algorithms=ALGORITHMS).claims
            except InvalidKeyIdError:
                continue  # the provider may have changed its keys since we read them
            except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                break
        raise _refused()

    def _key_set(self, client: Any, provider: _Provider, *, anew: bool) -> KeySet:
        now = self._now()
        with self._lock:
            keys, age = self._keys, now - self._keys_at
        if keys is not None and age < (_KEYS_AGAIN if anew else _KEYS_FOR):
            return keys
        document = self._document(client, provider.jwks_uri)
        try:
            keys = KeySet.import_key_set(document)
        except (JoseError, ValueError, KeyError, TypeError):
            raise _away() from None
        with self._lock:
            self._keys, self._keys_at = keys, now
        return keys

    def _is_anew(self, claims: Mapping[str, object]) -> bool:
        """Whether the provider asked for a password a moment ago."""
        at = claims.get("auth_time")
        return isinstance(at, int) and abs(self._now() // 1000 - at) <= LIFE // 1000

    # --- whose account that is ---

    def _person(self, claims: Mapping[str, object]) -> Person:
        subject = f"{self.settings.issuer} {claims['sub']}"
        grants = self._grants(claims)
        person = next((each for each in self._accounts.people.all() if each.subject == subject), None)
        if person is None:
            person = self._bound(claims, subject, grants)
        if person.disabled:
            raise NotAllowed("This account is disabled. Ask an administrator.", code="sign_in_failed")
        if person.provided and grants != person.grants:
            person = self._moved(person, grants)
        if person.provided and not grants:
            raise NotAllowed("None of your groups has a role here. Ask an administrator.", code="sso_no_role")
        return person

    def _bound(self, claims: Mapping[str, object], subject: str, grants: tuple[Grant, ...]) -> Person:
        """The account of this e-mail address, from now on theirs; or a new one, where groups say roles."""
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str):
            message = "The single sign-on does not vouch for your e-mail address. Ask an administrator."
            raise NotAllowed(message, code="sso_unknown")
        people, name = self._accounts.people, email.lower()
        found = people.find(name)
        if found is not None and not found.subject:
            note = Note(found.actor, "person.single_sign_on", found.actor)
            return self._trail.around(note, lambda: people.change(name, lambda each: replace(each, subject=subject)))
        if found is not None or not grants:
            message = "There is no account for you here. Ask an administrator for an invitation."
            raise NotAllowed(message, code="sso_unknown")
        display = claims.get("name")
        made = newcomer(
            name, grants, self._world.clock, self._world.random, display=display if isinstance(display, str) else ""
        )
        person = replace(made, subject=subject, provided=True)
        note = Note(person.actor, "person.single_sign_on", person.actor, {"roles": told(grants)})
        return self._trail.around(note, lambda: people.add(person))

    def _moved(self, person: Person, grants: tuple[Grant, ...]) -> Person:
        note = Note("person:single-sign-on", "person.roles", person.actor, {"roles": told(grants)})
        people = self._accounts.people
        return self._trail.around(
            note, lambda: people.change(person.name, lambda found: replace(ended(found), grants=grants))
        )

    def _grants(self, claims: Mapping[str, object]) -> tuple[Grant, ...]:
        named = claims.get(self.settings.groups)
        groups = {each for each in named if isinstance(each, str)} if isinstance(named, list) else set()
        mapped = {
            Grant(each.role, each.store, each.environment) for each in self.settings.roles if each.group in groups
        }
        return tuple(sorted(mapped))

    # --- the provider ---

    def _client(self) -> Any:
        try:
            secret = self.settings.secret.read() if self.settings.secret is not None else None
        except InvalidInput as error:
            raise _broken(error) from None
        return _client_class()(
            self.settings.client,
            secret,
            scope=self.settings.scope,
            redirect_uri=self._redirect,
            code_challenge_method="S256",
            timeout=_PATIENCE,
            trust_env=False,
            verify=_trusted(),
        )

    def _provider(self, client: Any) -> _Provider:
        """What it says of itself now. Raises ``Unavailable`` (``sso_away``) where that is not about this issuer."""
        where = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            provider = msgspec.convert(self._document(client, where), _Provider)
        except msgspec.ValidationError:
            raise _away() from None
        if provider.issuer != self.settings.issuer:
            raise _away()
        for address in (provider.token_endpoint, provider.jwks_uri):
            self._check_host(address)
        if urlsplit(provider.authorization_endpoint).scheme not in ("https", urlsplit(self.settings.issuer).scheme):
            raise _away()
        return provider

    def _document(self, client: Any, address: str) -> Any:
        self._check_host(address)
        return _asked(lambda: _fetched(client, address))

    def _check_host(self, address: str) -> None:
        try:
            _check_address(address, "")
        except InvalidInput as error:
            raise _broken(error) from None
        host = urlsplit(address).netloc
        if host not in self._hosts:
            message = f"it answers at another host: add {host} to 'hosts' in its file"
            raise _broken(InvalidInput(message, code="invalid_sso"))

    def _random(self) -> str:
        return base64.urlsafe_b64encode(self._world.random.token(48)).decode().rstrip("=")

    def _now(self) -> Millis:
        return self._world.clock.now()


@cache
def _trusted() -> ssl.SSLContext:
    """Whom this machine trusts: a company's own provider may be signed by its own authority."""
    return ssl.create_default_context()


def _fetched(client: Any, address: str) -> Any:
    body = b""
    with client.stream("GET", address, withhold_token=True) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > _LARGEST:
                raise _away()
    return msgspec.json.decode(body)


def _asked(call: Any) -> Any:
    """What the provider answers. The extra has errors of its own, which all mean the same to us."""
    try:
        return call()
    except CashwrapError:
        raise
    except Exception as error:
        log.warning("the single sign-on did not answer as it should: %s", type(error).__name__)
        raise _away() from error


def _client_class() -> Any:
    """The one place where the extra comes in. Raises ``CashwrapError`` (``extra_missing``)."""
    try:
        return import_module("authlib.integrations.httpx_client").OAuth2Client
    except ImportError as error:
        message = f"Single sign-on needs {error.name}, which is not installed. Install cashwrap[sso]"
        raise CashwrapError(message, code="extra_missing") from error


def _check_address(address: str, where: str) -> None:
    parts = urlsplit(address)
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)) or not parts.hostname:
        raise InvalidInput(f"{where}{address!r} is no https address", code="invalid_sso")


def _refused() -> NotAllowed:
    message = "This sign-in cannot be believed, or took too long. Sign in again."
    return NotAllowed(message, code="sso_refused")


def _broken(error: CashwrapError) -> Unavailable:
    """What is wrong is for the log; whoever signs in learns that it does not work."""
    log.error("the single sign-on does not work: %s (%s)", error.message, error.code)
    return _away()


def _away() -> Unavailable:
    return Unavailable("The single sign-on does not answer. Try again, or sign in with your password.", code="sso_away")
