"""Somebody's visit, put into a data folder through an engine, as a server would."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from cashwrap.engine import Engine
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.request import DecideRequest
from cashwrap.versions import Versions
from cashwrap.window import Submission

HOSTILE = "<script>alert(1)</script>\u202e\"'" + "x" * 160
MUG = {"product_id": "mug", "name": HOSTILE, "price": 12.5, "quantity": 2, "category": "kitchen"}


def consent(**choices: str) -> dict[str, object]:
    return {"type": "consent", "userId": "customer-7", "scope": "person", "choices": choices}


def track(event: str, user: str = "customer-7", **properties: object) -> dict[str, object]:
    return {"type": "track", "userId": user, "event": event, "properties": properties}


VISIT = [
    consent(personalization="granted", analytics="granted"),
    {"type": "identify", "userId": "customer-7", "traits": {"first_name": HOSTILE}},
    track("Product Viewed", **MUG),
    track("Product Added", cart_id="cart-of-customer-7", **MUG),
    track("Order Completed", order_id="A1", subtotal=612.5, total=620, currency="EUR", products=[MUG]),
]


def fill(
    folder: Path, events: Iterable[Mapping[str, object]] = VISIT, decides: int = 1, **context: object
) -> list[str]:
    """Take events and decide so often for customer-7; the ids of the decisions."""
    with open_world(folder) as world:
        versions = Versions(world.registry, world.clock)
        live = versions.live()
        assert live is not None
        engine = Engine(versions.load(live.hash), world)
        try:
            take(engine, events)
            found = []
            for _ in range(decides):
                body = {
                    "shopper": {"userId": "customer-7"},
                    "context": {"cart": {"total": 42}, "checkout": {"paymentMethods": ["card", "invoice"]}, **context},
                }
                answer = msgspec.json.decode(engine.decide(msgspec.convert(body, DecideRequest), _caller(engine)))
                found.append(answer["decisionId"])
            take(engine, [track("Cart Viewed")])
            if found:
                take(engine, [track("Experience Viewed", token=answer["token"], placement="basket_message")])
            return found
        finally:
            engine.close()


def take(engine: Engine, events: Iterable[Mapping[str, object]]) -> Submission:
    """Hand events over and wait for them."""
    done = threading.Event()
    batch = engine.parse(msgspec.json.encode({"batch": list(events)}), None)
    submission, _ = engine.collect(batch, _caller(engine), lambda _: done.set())
    assert done.wait(20)
    return submission


def _caller(engine: Engine) -> Caller:
    tenant = Tenant()
    now = engine.world.clock.now()
    return Caller(ApiKey("backend", "secret", tenant, b""), RequestFacts(now, "backend", tenant, trusted=True))
