"""Webhooks: who is told that a shopper entered or left a segment, signed so that the receiver can believe it.

The header ``Cashwrap-Signature: t=<seconds>,v1=<hex>`` carries ``HMAC-SHA256(secret, "<seconds>.<body>")``; a receiver
refuses what is older than five minutes, and a delivery repeated carries the same ``id``.
"""

import base64
import hmac
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Random, Registry, Transition

KIND = "webhook"


class Webhook(Struct, frozen=True):
    """Where to send, and what. No segments means all of them."""

    tenant: Tenant
    name: str
    url: str
    segments: tuple[str, ...] = ()
    secret: str = ""

    def public(self) -> dict[str, object]:
        """The webhook without its secret."""
        return {"name": self.name, "url": self.url, "segments": list(self.segments)}

    def wants(self, transition: Transition) -> bool:
        """Whether this notice is for it."""
        return transition.tenant == self.tenant and (not self.segments or transition.segment in self.segments)


class Webhooks:
    """The webhooks of a data folder."""

    def __init__(self, registry: Registry, random: Random) -> None:
        self._registry = registry
        self._random = random
        self._all: list[Webhook] = []
        self.refresh()

    def refresh(self) -> None:
        """See what another process wrote."""
        documents = self._registry.documents(KIND)
        self._all = [msgspec.msgpack.decode(documents[name], type=Webhook) for name in sorted(documents)]

    def all(self) -> list[Webhook]:
        """Every webhook."""
        return self._all

    def of(self, tenant: Tenant) -> list[Webhook]:
        """One store's webhooks."""
        return [webhook for webhook in self._all if webhook.tenant == tenant]

    def put(self, webhook: Webhook) -> str:
        """Write a webhook with a new secret; returns it."""
        if not _is_address(webhook.url):
            raise InvalidInput("a webhook's url is https://host/path", code="invalid_url")
        secret = base64.urlsafe_b64encode(self._random.token(32)).decode().rstrip("=")
        kept = msgspec.structs.replace(webhook, secret=secret)
        self._registry.put(KIND, _key(webhook.tenant, webhook.name), msgspec.msgpack.encode(kept))
        self.refresh()
        return secret

    def remove(self, tenant: Tenant, name: str) -> None:
        """Remove a webhook."""
        self._registry.put(KIND, _key(tenant, name), None)
        self.refresh()


def notice(transition: Transition, number: int, user_id: str | None) -> bytes:
    """The body of one delivery; ``number`` is the same in a repeat."""
    return msgspec.json.encode(
        {
            "id": f"transition-{number}",
            "type": "segment.entered" if transition.entered else "segment.left",
            "segment": transition.segment,
            "shopper": transition.shopper.hex(),
            "userId": user_id,
            "store": transition.tenant.store,
            "environment": transition.tenant.environment,
            "at": transition.at,
        }
    )


def signature(secret: str, body: bytes, now: Millis) -> str:
    """The value of the ``Cashwrap-Signature`` header."""
    seconds = now // 1000
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
    return f"t={seconds},v1={digest}"


def host_of(url: str) -> str:
    """The host an address names, without anything that may be secret in it; empty for no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    named = parts.scheme in {"https", "http"} and parts.hostname and parts.username is None
    return bool(named) and port != 0 and url.isascii() and url.isprintable() and " " not in url


def _key(tenant: Tenant, name: str) -> str:
    return f"{tenant.store}/{tenant.environment}/{name}"
