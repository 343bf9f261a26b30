"""Everything this shop knows about cashwrap's HTTP API. Standard library only: copy it into your own shop.

Two promises: nothing here ever raises, and nothing here ever takes longer than `timeout_ms`. When the engine is
slow, wrong or gone, the answer is empty and the shop shows its own defaults.
"""

import base64
import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
import urllib.parse

log = logging.getLogger("cashwrap_client")

BREAK_SECONDS = 2.0  # after a failure, do not ask again for this long: a dead engine costs one timeout, not one a page
MAX_ANSWER = 1_000_000


class Unreachable(Exception):
    """The engine did not answer in time, or not in HTTP."""


class Connections(threading.local):
    """One persistent connection per thread (`http.client` sets TCP_NODELAY)."""

    def __init__(self, host, port, timeout):
        self.host, self.port, self.timeout, self.open = host, port, timeout, None

    def exchange(self, method, path, body, headers):
        """Return (status, headers, body). A kept connection that the server closed meanwhile is reopened once."""
        for attempt in ("kept", "fresh"):
            connection = self.open or http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            fresh, self.open = self.open is None, None
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                payload = response.read(MAX_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                gone = isinstance(error, ConnectionError | http.client.BadStatusLine)
                if gone and not fresh and attempt == "kept":
                    continue
                raise Unreachable(str(error) or type(error).__name__) from error
            if response.will_close or not response.isclosed():
                connection.close()
            else:
                self.open = connection
            return response.status, response.headers, payload
        raise Unreachable("closed twice")


class Client:
    """One per process. `url` empty means: there is no cashwrap, every call answers empty."""

    def __init__(self, url, secret_key="", store="default", deadline_ms=50, timeout_ms=80, offer_ms=800):
        parts = urllib.parse.urlsplit(url)
        self.enabled = bool(parts.hostname)
        self.secret_key, self.store, self.deadline_ms = secret_key, store, deadline_ms
        self.prefix = parts.path.rstrip("/")
        host, port = parts.hostname or "", parts.port or 80
        self._quick = Connections(host, port, timeout_ms / 1000)  # while a shopper waits
        self._asked = Connections(host, port, offer_ms / 1000)  # while a shopper waits for what they asked for
        self._patient = Connections(host, port, 2.0)  # behind the scenes
        self._ask_again = 0.0
        self._said = set()

    def decide(self, question, *, gpc=False, explain=False):
        """Return the answer of `POST /v1/decide`, or {} whenever anything is not right.

        `gpc` passes the shopper's own `Sec-GPC: 1` on: a backend that asks for them must not lose it.
        """
        headers = {"Sec-GPC": "1"} if gpc else {}
        if explain:  # somebody studies the answer: nobody's checkout waits for it
            question = {**question, "deadlineMs": 1000, "explain": True}
            return self._json("POST", "/v1/decide", question, self._patient, headers)
        if time.monotonic() < self._ask_again:
            return {}
        return self._json("POST", "/v1/decide", {**question, "deadlineMs": self.deadline_ms}, self._quick, headers)

    def shopper(self, **who):
        """Return profile, segments and consent of one shopper (`anonymousId=` or `userId=`), or {}."""
        query = urllib.parse.urlencode({name: value for name, value in who.items() if value})
        return self._json("GET", f"/v1/shoppers?{query}", None, self._patient) if query else {}

    def consent(self, event, *, gpc=False):
        """Record a consent choice made on a page that runs no script of cashwrap."""
        return self._json("POST", "/v1/consent", event, self._patient, {"Sec-GPC": "1"} if gpc else {})

    def send(self, events):
        """Deliver events from the backend. True: delivered or refused for good; False: keep them and try later."""
        try:
            status, _, body = self._call("POST", "/v1/batch", {"batch": events, "sentAt": now()}, self._patient)
        except Unreachable as error:
            self._say(f"events wait: {error}")
            return False
        if status >= 500 or status in (408, 429):
            self._say(f"events wait: status {status}")
            return False
        if status >= 400 or b'"errors"' in body:
            log.warning("cashwrap refused events (%s): %s", status, body[:500].decode("utf-8", "replace"))
        return True

    def offer(self, action, body, key, *, wait=True):
        """Ask to `reserve`, `redeem`, `release` or `rollback` an offer: (status, answer), or (0, {}) for no answer.

        `key` makes it happen once: after (0, {}) nobody knows whether it happened, and asking again with the same
        key and body is always right. `wait=False` is for behind the scenes.
        """
        connections = self._asked if wait else self._patient
        try:
            headers = {"Idempotency-Key": key}
            status, _, payload = self._call("POST", f"/v1/offers/{action}", body, connections, headers)
            answer = json.loads(payload)
        except (Unreachable, ValueError) as error:
            self._say(f"/v1/offers/{action}: {error}")
            return 0, {}
        return status, answer if isinstance(answer, dict) else {}

    def keys(self):
        """Return the public keys that the engine signs offers with, as a JWKS, or {}."""
        return self._json("GET", "/.well-known/cashwrap/jwks.json", None, self._patient)

    def identity_token(self, user_id, lifetime=900):
        """Return a JWT that proves to the engine who logged in here (see docs/decisions/0002)."""
        parts = self.secret_key.split("_", 3)
        if len(parts) != 4:
            return ""
        key = hmac.digest(self.secret_key.encode(), b"cashwrap identity v1", "sha256")
        issued = int(time.time())
        header = {"alg": "HS256", "typ": "JWT", "kid": parts[2]}
        claims = {"sub": user_id, "aud": "cashwrap", "iat": issued, "exp": issued + lifetime, "store": self.store}
        signed = f"{_base64url(_compact(header))}.{_base64url(_compact(claims))}"
        return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"

    def forward(self, method, path, body, headers):
        """Pass a browser's request on unchanged; used by the shop's first-party path. Raises `Unreachable`."""
        return self._patient.exchange(method, self.prefix + path, body, headers)

    def _call(self, method, path, body, connections, extra=()):
        if not self.enabled:
            raise Unreachable("no engine configured")
        headers = {**dict(extra), "Authorization": f"Bearer {self.secret_key}", "Content-Type": "application/json"}
        payload = None if body is None else _compact(body)
        return connections.exchange(method, self.prefix + path, payload, headers)

    def _json(self, method, path, body, connections, extra=()):
        try:
            status, _, payload = self._call(method, path, body, connections, extra)
            answer = json.loads(payload)
            if status == 200 and isinstance(answer, dict):
                return answer
            if isinstance(answer, dict) and answer.get("code") == "no_such_shopper":
                return {}  # not trouble: nothing is stored about them
            self._say(f"{path.split('?')[0]} answered {status}: {payload[:200]!r}")
        except Unreachable as error:
            if connections is self._quick:
                self._ask_again = time.monotonic() + BREAK_SECONDS
            self._say(f"{path.split('?')[0]}: {error}")
        except ValueError:
            self._say(f"{path.split('?')[0]} did not answer JSON")
        return {}

    def _say(self, message):
        """Log each kind of trouble once: a dead engine must not fill the shop's disk either."""
        if self.enabled and message not in self._said and len(self._said) < 100:
            self._said.add(message)
            log.warning("cashwrap: %s (said once)", message)


def now():
    """Return the time as the events carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"


def _compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
