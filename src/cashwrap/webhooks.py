"""Webhooks: who is told that a shopper entered or left a segment, or of exposures, signed so that the receiver can
believe it.

The header ``Cashwrap-Signature: t=<seconds>,v1=<hex>`` carries ``HMAC-SHA256(secret, "<seconds>.<body>")``; a receiver
refuses what is older than five minutes, and a delivery repeated carries the same ``id``.
"""

import base64
import hmac
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.model import Event, Millis, Purpose, Tenant
from cashwrap.ports import Exposed, Notice, Random, Registry, Transition

KIND = "webhook"
Told = Literal["segments", "exposures"]
"""What a webhook is told of."""


class Webhook(Struct, frozen=True):
    """Where to send, and what. No segments means all of them; ``told`` says of which kinds of things."""

    tenant: Tenant
    name: str
    url: str
    segments: tuple[str, ...] = ()
    secret: str = ""
    told: tuple[Told, ...] = ("segments",)

    def public(self) -> dict[str, object]:
        """The webhook without its secret."""
        return {"name": self.name, "url": self.url, "segments": list(self.segments), "told": list(self.told)}

    def wants(self, notice: Notice) -> bool:
        """Whether this notice is for it."""
        if notice.tenant != self.tenant:
            return False
        if isinstance(notice, Exposed):
            return "exposures" in self.told
        return "segments" in self.told and (not self.segments or notice.segment in self.segments)


class ExposureNotice(Struct, frozen=True, omit_defaults=True):
    """What a webhook with ``exposures`` is sent, once for each that was stored and may be analysed; again and again for
    a day until it is answered with 2xx. Bots and the shop's own people are left out. Nothing in it names the shopper.
    """

    id: str
    """``exposure-`` and a number: the same in a repeat."""
    type: Literal["exposure"]
    shopper: str
    """The pseudonym of the fact table, in hex; another one once a login has joined two shoppers."""
    experience: str
    arm: str
    outcome: str
    """``shown``, ``control``, ``holdout``, ``capped`` or ``unfunded``."""
    propensity: int
    """The chance, of 10,000, that this unit got this arm."""
    placement: str
    decision: str
    playbook: str
    store: str
    environment: str
    at: Millis
    """When it was seen."""
    experiment: str | None = None
    """The experiment's salt; left out where the experience is in no experiment."""
    held: str | None = None
    """Kept out for good: by the ``shop``'s holdout or by the ``experiment``'s own."""
    segments: list[str] = []
    """Those the shopper was in then."""


_ANALYTICS = Purpose.ANALYTICS.value
_FACTS = (
    *("experience", "outcome", "propensity", "placement", "decision", "playbook"),
    *("experiment", "held", "segments"),
)


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

    def tell_exposures(self, tenant: Tenant) -> bool:
        """Whether anybody is to be told of a store's exposures."""
        return any("exposures" in webhook.told for webhook in self._all if webhook.tenant == tenant)

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


def exposed(event: Event, tenant: Tenant, shopper: bytes, pseudonym: bytes) -> Exposed | None:
    """What outside tools are told of a proven exposure; ``None`` where analysis may not see it, or it is nobody's."""
    if not event.mask & _ANALYTICS or event.flags:
        return None
    facts = {name: event.properties[name] for name in _FACTS if name in event.properties}
    body = {"type": "exposure", "shopper": pseudonym.hex(), **facts, "arm": event.properties.get("variation")}
    body |= {"store": tenant.store, "environment": tenant.environment, "at": event.time}
    return Exposed(tenant, shopper, msgspec.json.encode(body), event.received)


def body_of(notice: Notice, number: int, user_id: Callable[[], str | None]) -> bytes:
    """The body of one delivery; ``number`` is the same in a repeat. ``user_id`` is asked where it is told."""
    if isinstance(notice, Exposed):
        told = {"id": f"exposure-{number}", **msgspec.json.decode(notice.body)}
        return msgspec.json.encode(msgspec.convert(told, ExposureNotice))
    return segment_notice(notice, number, user_id())


def segment_notice(transition: Transition, number: int, user_id: str | None) -> bytes:
    """The body that tells of a segment entered or left."""
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
    return f"{tenant.name}/{name}"
