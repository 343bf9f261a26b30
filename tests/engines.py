"""An engine for tests: the true one, over memory or a data folder, with a clock and randomness that the test owns."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from cashwrap.adapters.audit import FileAudit, MemoryAudit
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.engine import Engine, World
from cashwrap.events import Refused, RequestFacts
from cashwrap.events.accounting import Accounting
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey, sign_identity
from cashwrap.model import Millis, Profile, Tenant
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.ports import ShopperKey
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.window import Submission

STARTER = Path(__file__).parents[1] / "playbooks/starter"
START: Millis = 1_772_452_800_000
"""2026-03-02 12:00 UTC, a Monday."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GRANTED = {"personalization": "granted", "analytics": "granted"}
LIVE = Tenant("default", "live")


class TestClock:
    """Stands still until it is moved."""

    __test__ = False

    def __init__(self, now: Millis = START) -> None:
        self.time = now

    def now(self) -> Millis:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1000

    def wait(self, *, minutes: float = 0, days: float = 0) -> None:
        self.time += int(minutes * 60_000 + days * 86_400_000)


class SeededRandom:
    """The same bytes in every run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def token(self, size: int) -> bytes:
        with self._lock:
            return self._random.randbytes(size)


@cache
def starter() -> Playbook:
    return load_playbook(STARTER)


class Shop:
    """A shop in front of an engine: sends what browsers and backends send, and asks what they ask."""

    def __init__(self, engine: Engine, clock: TestClock, tenant: Tenant = LIVE) -> None:
        self.engine = engine
        self.clock = clock
        self.tenant = tenant
        keys, world = engine.keys, engine.world
        self.public_text = keys.create("publishable", tenant, ("https://shop.example",), world.random)
        self.secret_text = keys.create("secret", tenant, (), world.random)
        self.sent = 0

    @property
    def public(self) -> ApiKey:
        return self.engine.keys.find(self.public_text)

    @property
    def secret(self) -> ApiKey:
        return self.engine.keys.find(self.secret_text)

    def caller(self, *, trusted: bool = False, gpc: bool = False, agent: str | None = BROWSER) -> Caller:
        key = self.secret if trusted else self.public
        return Caller(
            key,
            RequestFacts(
                received=self.clock.now(),
                source=key.id,
                tenant=key.tenant,
                trusted=key.trusted,
                user_agent=None if trusted else agent,
                gpc=gpc,
            ),
        )

    def event(self, kind: str = "track", **fields: Any) -> dict[str, Any]:
        """An event with a message id of its own."""
        self.sent += 1
        return {"type": kind, "messageId": f"{self.tenant.store}-{self.sent}", **fields}

    def batch(
        self, *events: dict[str, Any], trusted: bool = False, gpc: bool = False, agent: str | None = BROWSER
    ) -> tuple[Submission, list[Refused]]:
        """Send events as one request and wait until they are settled."""
        body = msgspec.json.encode({"batch": events})
        return self.send(body, self.caller(trusted=trusted, gpc=gpc, agent=agent))

    def send(self, body: bytes, caller: Caller) -> tuple[Submission, list[Refused]]:
        done = threading.Event()
        taken = self.engine.collect(self.engine.parse(body, None), caller, lambda _: done.set())
        assert done.wait(30)
        return taken

    def keeps(self, *events: dict[str, Any], **how: Any) -> Accounting:
        """Send events and expect an acknowledgement; what became of them."""
        submission, _ = self.batch(*events, **how)
        assert submission.error is None, submission.error
        assert submission.accounting.balanced()
        return submission.accounting

    def consents(self, who: dict[str, Any], trusted: bool = False, **choices: str) -> Accounting:
        return self.keeps(self.event("consent", choices=choices or GRANTED, **who), trusted=trusted)

    def views(self, who: dict[str, Any], product: str = "mug-1", **fields: Any) -> dict[str, Any]:
        return self.event(event="Product Viewed", properties={"product_id": product, "category": "coffee"}, **who)

    def orders(self, who: dict[str, Any], order: str, total: float, **fields: Any) -> dict[str, Any]:
        properties = {"order_id": order, "subtotal": total, "total": total, "currency": "EUR", **fields}
        return self.event(event="Order Completed", properties=properties, **who)

    def token(self, user: str, **changes: Any) -> str:
        now = changes.pop("now", self.clock.now())
        return sign_identity(
            changes.pop("secret", self.secret_text), user, changes.pop("store", self.tenant.store), now, **changes
        )

    def decide(self, *, trusted: bool = False, gpc: bool = False, **fields: Any) -> dict[str, Any]:
        request = msgspec.convert(fields, DecideRequest)
        answer: dict[str, Any] = msgspec.json.decode(self.engine.decide(request, self.caller(trusted=trusted, gpc=gpc)))
        return answer

    def key(self, *, user: str | None = None, anonymous: str | None = None) -> ShopperKey | None:
        hot = self.engine.find(ShopperRef(anonymous_id=anonymous, user_id=user), self.caller(trusted=True))
        return None if hot is None else ShopperKey(self.tenant, hot.profile.id)

    def profile(self, *, user: str | None = None, anonymous: str | None = None) -> Profile | None:
        hot = self.engine.find(ShopperRef(anonymous_id=anonymous, user_id=user), self.caller(trusted=True))
        return None if hot is None else hot.profile

    def explained(self, who: dict[str, Any]) -> dict[str, Any]:
        """The attributes a decision would read."""
        from_request = msgspec.convert({"shopper": who}, DecideRequest)
        caller = self.caller(trusted=True)
        hot = self.engine.find(from_request.shopper, caller)
        return dict(self.engine.inputs(self.engine.live.playbook, from_request, caller, hot).inputs.values)


def memory_world(clock: TestClock, seed: int = 1) -> World:
    rng, store = SeededRandom(seed), MemoryStore()
    kept: dict[str, Any] = {"ledger": SqliteLedger(None), "audit": MemoryAudit()}
    return World(store, store, store, store, store, MemoryVault(rng), clock, rng, **kept)


@contextmanager
def folder_world(folder: Path, clock: TestClock, seed: int = 1) -> Iterator[World]:
    rng = SeededRandom(seed)
    store, vault, ledger = SqliteStore(folder), FileVault(folder, rng), SqliteLedger(folder)
    kept: dict[str, Any] = {"ledger": ledger, "audit": FileAudit(folder, vault, vault)}
    try:
        yield World(store, store, store, store, store, vault, clock, rng, **kept)
    finally:
        ledger.close()
        vault.close()
        store.close()


@contextmanager
def shop_over(world: World, playbook: Playbook | None = None, tenant: Tenant = LIVE) -> Iterator[Shop]:
    engine = Engine(playbook or starter(), world)
    clock = world.clock
    assert isinstance(clock, TestClock)
    try:
        yield Shop(engine, clock, tenant)
    finally:
        engine.close()
