"""A small OpenID provider on the machine itself: discovery, keys, authorization, and tokens for a code with PKCE.

It checks what a real one checks (client, secret, redirect address, verifier, each code once) and, where a test says
so, answers as a forger would.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "cashwrap", "a-secret-of-the-client"
Sign = Callable[["Provider", dict[str, Any]], str]


def signed(provider: "Provider", claims: dict[str, Any]) -> str:
    """As it should be."""
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key)


@dataclass
class Provider:
    """One provider, and somebody who is signed in at it."""

    clock: Callable[[], int]
    address: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    """What it says of them, over what every token says."""
    sign: Sign = signed
    issuer: str = ""
    """What it calls itself, where not its address."""
    redirect: str = "https://testserver/console/sso/return"
    asked: list[Mapping[str, str]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.codes: dict[str, Mapping[str, str]] = {}

    def change_key(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})

    async def about(self, _: Request) -> Response:
        self.fetched.append("about")
        return JSONResponse(
            {
                "issuer": self.issuer or self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/keys",
            }
        )

    async def keys(self, _: Request) -> Response:
        self.fetched.append("keys")
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == self.redirect
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(f"{self.redirect}?{urlencode({'code': code, 'state': asked['state']})}", 303)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        good = asked is not None and challenge.decode().rstrip("=") == asked["code_challenge"]
        if not good or asked is None or form["redirect_uri"] != self.redirect or basic != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = self.clock() // 1000
        claims = {
            "iss": self.address,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "sub": "u1",
        }
        if "max_age" in asked:
            claims["auth_time"] = now
        said = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": self.sign(self, said)})


def by_none(_: Provider, claims: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"none"}', msgspec.json.encode(claims))
    ]
    return f"{parts[0]}.{parts[1]}."


def by_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    """The public key taken for a shared secret."""
    said = ".".join(_text(msgspec.json.encode(part)) for part in ({"alg": "HS256", "kid": "first"}, claims))
    return f"{said}.{_text(hmac.digest(provider.key.as_pem(private=False), said.encode(), 'sha256'))}"


def by_another_key(_: Provider, claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": "first"})
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, other)


def by_its_own_key(_: Provider, claims: dict[str, Any]) -> str:
    """The key that verifies it comes along in its header."""
    key = ECKey.generate_key("P-256", {"kid": "first"})
    return jwt.encode({"alg": "ES256", "kid": "first", "jwk": key.as_dict(private=False)}, claims, key)


def changed(provider: Provider, claims: dict[str, Any]) -> str:
    """Signed, and then made somebody else's."""
    head, _, signature = signed(provider, claims).split(".")
    other = base64.urlsafe_b64encode(msgspec.json.encode({**claims, "sub": "admin"})).decode().rstrip("=")
    return f"{head}.{other}.{signature}"


def nonsense(_: Provider, __: dict[str, Any]) -> str:
    return "a.b.c"


def _text(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


@contextmanager
def provider(clock: Callable[[], int]) -> Iterator[Provider]:
    """A provider at a free port."""
    found = Provider(clock)
    routes = [
        Route("/.well-known/openid-configuration", found.about),
        Route("/keys", found.keys),
        Route("/authorize", found.authorize),
        Route("/token", found.token, methods=["POST"]),
    ]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    found.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
