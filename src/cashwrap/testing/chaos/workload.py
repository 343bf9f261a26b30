"""What fault runs send, and the book of it: every event with what it is worth, and which were acknowledged.

The events are views and orders of a few shoppers on devices and logged in, so that profiles merge. All of them may be
kept. What each shopper's profile must say can be told from the ids alone, without any code of the engine.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from cashwrap.engine import Engine, World
from cashwrap.errors import CashwrapError
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Minor, Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import ShopperKey
from cashwrap.request import ShopperRef
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.money import MoneyBook

TENANT = Tenant()
SHOPPERS = 6
CONSENT = {"consent": {"categoryPreferences": {"personalization": True, "analytics": True}}}
PLAYBOOK = """
shop: {currency: EUR, locale: en}
features:
  orders: {count: Order Completed}
  spent: {sum: Order Completed, of: total}
  views: {count: Product Viewed}
segments:
  regular: orders >= 2
offers:
  thanks:
    benefit: {amount: 1}
    limits: {total: 25}
placements:
  hello: {component: message}
  saving: {component: message}
experiences:
  save:
    in: saving
    offer: thanks
    show: {text: {en: "{offer.amount} less."}}
  greet:
    in: hello
    when: orders >= 1
    show: {text: {en: "Hello again."}}
"""


def playbook() -> Playbook:
    """The playbook of fault runs."""
    found, faults = examine({"chaos.yaml": PLAYBOOK})
    if found is None:
        raise AssertionError(faults)
    return found


class Said(Struct, frozen=True):
    """One event that was sent: whose it is, and the order's total in minor units; ``None`` for a view."""

    shopper: int
    total: Minor | None


class Book(Struct):
    """Everything sent, and what was acknowledged of it."""

    sent: dict[str, Said] = {}
    acknowledged: set[str] = set()
    forgotten: set[int] = set()
    """Shoppers whom somebody asked to forget, done or not: what they did may be gone."""
    money: MoneyBook = field(default_factory=MoneyBook)
    buried: set[bytes] = set()
    """Ids whose forgetting was acknowledged: nothing of theirs may ever be read again."""

    def copy(self) -> "Book":
        """The book as it is now."""
        return Book(dict(self.sent), set(self.acknowledged), set(self.forgotten), self.money.copy(), set(self.buried))

    def missing(self, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that nobody acknowledged."""
        return [event for event in events if event["messageId"] not in self.acknowledged]


class Traffic:
    """Makes events and writes them into the book. ``prefix`` keeps the ids of several senders apart."""

    def __init__(self, seed: int, book: Book, prefix: str = "m") -> None:
        self.dice = Dice(seed)
        self.book = book
        self.made: list[dict[str, Any]] = []
        self._prefix = f"{prefix}{seed}"

    def batch(self, most: int = 6) -> list[dict[str, Any]]:
        """Between one and ``most`` new events."""
        return [self._event() for _ in range(1 + self.dice.below(most))]

    def some_again(self, most: int = 4) -> list[dict[str, Any]]:
        """Events that were made before, such as a client that heard no answer sends again."""
        return [self.dice.pick(self.made) for _ in range(self.dice.below(most + 1))] if self.made else []

    def _event(self) -> dict[str, Any]:
        dice, number = self.dice, len(self.made)
        shopper, name = dice.below(SHOPPERS), f"{self._prefix}-{number}"
        total = 1 + dice.below(100_000) if dice.chance(40) else None
        who = dice.pick(({"anonymousId": f"device-{shopper}"}, {"userId": f"user-{shopper}"}, {}))
        who = who or {"anonymousId": f"device-{shopper}", "userId": f"user-{shopper}"}
        if total is None:
            what = {"event": "Product Viewed", "properties": {"product_id": f"p{dice.below(9)}"}}
        else:
            amount = f"{total // 100}.{total % 100:02}"
            what = {"event": "Order Completed", "properties": {"order_id": name, "total": amount, "currency": "EUR"}}
        event = {"type": "track", "messageId": name, "context": CONSENT, **who, **what}
        self.book.sent[name] = Said(shopper, total)
        self.made.append(event)
        return event


class Till:
    """Sends events to an engine in this process, and believes nothing but its acknowledgement."""

    def __init__(self, engine: Engine, book: Book) -> None:
        self.engine = engine
        self.book = book
        self.refused = 0

    def send(self, events: list[dict[str, Any]]) -> bool:
        """Send them as one request; whether they were acknowledged. Raises what is no error of ours."""
        if not events:
            return True
        submitted: list[Exception | None] = []
        try:
            batch = self.engine.parse(msgspec.json.encode({"batch": events}), None)
            taken = list(self.engine.live.normaliser.batch(batch, caller(self.engine.world).facts))
            submitted.append(self.engine.submit_and_wait(TENANT, taken).error)  # type: ignore[arg-type]
        except CashwrapError as error:
            submitted.append(error)
        if submitted[0] is not None:
            self.refused += 1
            if not isinstance(submitted[0], CashwrapError):
                raise submitted[0]
            return False
        self.book.acknowledged |= {event["messageId"] for event in events}
        return True

    def forget(self, shopper: int) -> bool:
        """Forget whoever is logged in as this shopper; whether that was acknowledged."""
        hot = self.engine.find(ShopperRef(user_id=f"user-{shopper}"), caller(self.engine.world))
        if hot is None:
            return True
        self.book.forgotten.add(shopper)
        try:
            self.engine.forget(ShopperKey(TENANT, hot.profile.id))
        except CashwrapError:
            self.refused += 1
            return False
        self.book.buried |= {hot.profile.id, *hot.profile.absorbed}
        return True


def caller(world: World) -> Caller:
    """The shop's backend."""
    key = ApiKey("chaos", "secret", TENANT, b"")
    return Caller(key, RequestFacts(received=world.clock.now(), source=key.id, tenant=TENANT, trusted=True))
