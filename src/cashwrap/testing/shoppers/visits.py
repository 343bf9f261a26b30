"""What simulated shoppers do: a stream of requests, in which what is answered changes what comes next."""

import heapq
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from cashwrap.model import Millis, Minor
from cashwrap.testing.shoppers.dice import Dice
from cashwrap.testing.shoppers.people import BOT, Item, Shopper, Visit, World, shopper

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Step(Struct):
    """One request of one shopper, and the place for its answer."""

    at: Millis
    """Since the start of the simulation; steps come in this order."""
    shopper: Shopper
    kind: str
    """``past``, ``consent``, ``events``, ``decide``, ``order`` or ``refund``."""
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    trusted: bool = False
    """Sent by the shop's backend, with the secret key."""
    answer: Mapping[str, Any] | None = None
    """Whoever plays puts the answer of ``/v1/decide`` here; ``None`` is a shop that shows its own defaults."""
    visit: int = 0
    """Which of the shopper's visits it belongs to."""
    sent: Millis = 0
    """When it is sent, since 1970 UTC."""

    @property
    def events(self) -> int:
        """How many events it carries."""
        return len(self.body.get("batch", ()))


_Waiting = tuple[Millis, int, Step, Iterator[Step]]
"""What is next: its time, whose it is, the step, and the visit it belongs to."""


def simulate(seed: int, shoppers: int, world: World | None = None) -> Iterator[Step]:
    """The requests of so many shoppers, in the order of their times. Put each answer into the step before the next.

    Shoppers overlap: one arrives every ``world.gap`` milliseconds. Only those of whom more is to come are in memory.
    """
    world = world or World()
    waiting: list[_Waiting] = []
    for index in range(shoppers):
        yield from _play(waiting, index * world.gap)
        _queue(waiting, index, _Walk(shopper(seed, index, world), world).steps())
    yield from _play(waiting, None)


def _play(waiting: list[_Waiting], until: Millis | None) -> Iterator[Step]:
    """What is due before ``until``; a visit's next step is asked for only when its last one is answered."""
    while waiting and (until is None or waiting[0][0] <= until):
        _, index, step, visit = heapq.heappop(waiting)
        yield step
        _queue(waiting, index, visit)


def _queue(waiting: list[_Waiting], index: int, visit: Iterator[Step]) -> None:
    step = next(visit, None)
    if step is not None:
        heapq.heappush(waiting, (step.at, index, step, visit))


class _Walk:
    """A shopper's way through the shop, visit by visit, one step at a time."""

    def __init__(self, who: Shopper, world: World) -> None:
        self.who, self.world, self.persona = who, world, who.persona
        self.dice = Dice(who.seed, who.index, 1)
        self.arrival = self.at = who.index * world.gap
        self.count = 0
        self.visit = 0
        self.basket: dict[Item, int] = {}
        self.seen: set[str] = set()
        self.ids: dict[str, str] = {}
        self.returning: list[tuple[Millis, dict[str, Any]]] = []
        if who.grants:
            self.ids = {"userId" if self.persona.identified else "anonymousId": who.name}

    def steps(self) -> Iterator[Step]:
        """From the first page of the first visit to the last parcel that comes back."""
        if self.persona.user_agent == BOT:
            yield from self.crawl()
            return
        for number, visit in enumerate(self.who.visits):
            yield from self.send_back(self.arrival + visit.after)
            self.visit, self.seen, self.basket = number, set(), dict.fromkeys(visit.items, 1)
            self.at = max(self.at, self.arrival + visit.after)
            yield from self.walk()
        yield from self.send_back(None)

    def walk(self) -> Iterator[Step]:
        """One visit: to the order, or to leaving without one."""
        if not self.visit:
            yield from self.past()
            if self.ids and self.count == 0:
                yield self.send("consent", [self.consent(0)])
        yield from self.browse()
        yield from self.look_at_basket()
        if self.drawn.buying >= self.persona.reach:
            return
        yield from self.check_out()
        if self.who.buys(self.seen, self.visit):
            yield from self.order()

    # --- parts of a visit ---

    def crawl(self) -> Iterator[Step]:
        """A crawler opens page after page and names itself honestly."""
        self.ids = {"anonymousId": self.who.name}
        for _ in range(3):
            yield self.send("events", [self.view(item) for item in self.drawn.items])
            self.wait(200, 800)

    def past(self) -> Iterator[Step]:
        """What happened before today, where the persona has a past."""
        match self.persona.name:
            case "high_value":
                orders = [self.ordered(days * _DAY, number) for number, days in enumerate((6, 4, 2), 1)]
                yield self.send("past", [self.consent(6 * _DAY + _HOUR), *orders])
            case "enthusiast":
                yield self.send("past", [self.consent(2 * _DAY), self.view(self.drawn.items[0], 2 * _DAY - _MINUTE)])
            case "cart_abandoner":
                added = [self.added(item, 3 * _HOUR - _MINUTE) for item in self.drawn.items]
                yield self.send("past", [self.consent(3 * _HOUR), *added])
            case "discount_seeker":
                codes = [self.event("Coupon Entered", {"coupon_id": f"TRY{n}"}, _HOUR - n * _MINUTE) for n in (1, 2)]
                yield self.send("past", [self.consent(_HOUR), *codes])

    def browse(self) -> Iterator[Step]:
        """Look around, put things into the basket. Who refused is not followed."""
        first = self.drawn.items[0]
        kind = [item for item in self.world.items if item.category == first.category]
        views = 5 if self.persona.name == "enthusiast" else self.dice.between(1, 3)
        views = views if self.world.browse else 0
        for number in range(views):
            self.wait(2, 8)
            if self.ids:
                yield self.send("events", [self.view(kind[number % len(kind)])])
        self.wait(2, 6)
        if self.ids and self.persona.name != "cart_abandoner":  # theirs waited for them
            yield self.send("events", [self.added(item) for item in self.drawn.items])

    def look_at_basket(self) -> Iterator[Step]:
        """The basket page: a message, accessories, the field for codes."""
        self.wait(1, 4)
        asked = self.decide("cart", ["basket_message", "accessories", "coupon_field", "checkout_button"])
        yield asked
        yield from self.take_in(asked)
        shown = _products(asked.answer)
        by_id = {item.id: item for item in self.world.items}
        if self.who.adds(self.seen, self.visit) and shown and shown[0] in by_id:
            self.basket[by_id[shown[0]]] = 1
            if self.ids:
                yield self.send("events", [self.added(by_id[shown[0]])])

    def check_out(self) -> Iterator[Step]:
        """Delivery, then payment: asked by the shop's backend."""
        self.wait(2, 6)
        if self.ids:
            yield self.send("events", [self.event("Checkout Started", self.money())], trusted=True)
        for step, placements in (("delivery", ["delivery_methods"]), ("payment", ["payment_methods"])):
            self.wait(3, 9)
            if self.ids:
                yield self.send("events", [self.event("Checkout Step Viewed", {"step": step})], trusted=True)
            asked = self.decide("payment", [*placements, "checkout_help"], step)
            yield asked
            yield from self.take_in(asked)

    def order(self) -> Iterator[Step]:
        """The order, by the shop's backend; now and then it comes back."""
        if self.ids:
            self.wait(5, 20)
            yield self.send("events", [self.event("Payment Info Entered", {"step": "payment"})], trusted=True)
        self.wait(2, 5)
        number = f"{self.who.name}-{self.visit + 1}"
        off = self.who.off(self.seen, self.visit)
        money = self.money(off)
        yield self.send("order", [self.event("Order Completed", {"order_id": number, **money})], trusted=True)
        paid = self.total - off
        if back := self.who.back(paid, self.seen, self.visit):
            due = self.at + self.world.returned_after + self.dice.below(max(1, self.world.returned_after))
            refund = {"order_id": number, "refund_id": f"{number}-r", "currency": self.world.currency}
            products = {"products": money["products"]} if back == paid else {}
            amounts = {"total": _major(back), "value": _major(back)}
            self.returning.append((due, {**refund, **amounts, **products}))

    def send_back(self, until: Millis | None) -> Iterator[Step]:
        """What comes back before a moment, or all that is left."""
        for due, refund in [each for each in self.returning if until is None or each[0] < until]:
            self.returning.remove((due, refund))
            self.at = max(self.at, due)
            self.wait(20, 60)
            yield self.send("refund", [self.event("Order Refunded", refund)], trusted=True)

    def take_in(self, asked: Step) -> Iterator[Step]:
        """Remember what was seen, and report each experience shown as the SDK and the shop's backend do."""
        answer = asked.answer or {}
        placements = answer.get("placements") or {}
        for effect in self.who.effects:
            if effect.seen(placements.get(effect.placement) or {}):
                self.seen.add(effect.name)
        shown = [
            {"placement": name, "experience": each["experience"], "variation": each["variation"]}
            for name, each in placements.items()
            if each.get("experience")
        ]
        if self.ids and shown and answer.get("token"):
            proof = {"token": answer["token"], "latency": self.dice.between(20, 120)}
            events = [self.event("Experience Viewed", {**each, **proof}) for each in shown]
            yield self.send("events", events, trusted=asked.trusted)

    # --- what is sent ---

    @property
    def drawn(self) -> Visit:
        return self.who.visits[self.visit]

    @property
    def cart(self) -> str:
        return f"{self.who.name}-cart-token-{self.visit}"  # shorter ones could be guessed, and name nobody

    @property
    def total(self) -> Minor:
        return sum(item.price * quantity for item, quantity in self.basket.items())

    def wait(self, low: int, high: int) -> None:
        """A person takes ``low`` to ``high`` seconds."""
        self.at += self.dice.between(low * _SECOND, high * _SECOND) * self.world.pace // 1000

    def send(self, kind: str, events: list[dict[str, Any]], *, trusted: bool = False) -> Step:
        trusted = trusted or self.persona.identified
        ahead = self.world.start + (0 if trusted else self.who.skew)
        for event in events:
            event["timestamp"] = _iso(event["timestamp"] + ahead)
        body: dict[str, Any] = {"batch": events}
        if not trusted and self.who.skew:
            body["sentAt"] = _iso(self.at + ahead)
        return self.step(kind, "/v1/batch", body, trusted=trusted)

    def step(self, kind: str, path: str, body: dict[str, Any], *, trusted: bool) -> Step:
        sent = self.world.start + self.at
        return Step(self.at, self.who, kind, path, body, self.headers(), trusted, visit=self.visit, sent=sent)

    def headers(self) -> dict[str, str]:
        """As the shop's proxy would pass them on; the network is one set aside for tests (RFC 2544)."""
        headers = {"User-Agent": self.persona.user_agent, "X-Forwarded-For": f"198.18.{self.who.index % 256}.0"}
        return {**headers, "Sec-GPC": "1"} if self.persona.gpc else headers

    def event(self, name: str, properties: dict[str, Any], ago: Millis = 0, cart: str = "") -> dict[str, Any]:
        """A track call; an order of someone who refused names its cart and nobody."""
        return {**self.envelope("track", ago, cart or self.cart), "event": name, "properties": properties}

    def envelope(self, kind: str, ago: Millis, cart: str) -> dict[str, Any]:
        self.count += 1
        context = {"userAgent": self.persona.user_agent, "locale": "en", "cart": {"token": cart}}
        message = {"type": kind, "messageId": f"{self.who.name}-{self.count}", "context": context, **self.ids}
        return {**message, "timestamp": self.at - ago}

    def consent(self, ago: Millis) -> dict[str, Any]:
        granted = dict.fromkeys(self.who.grants, "granted")
        refused = dict.fromkeys({"analytics", "personalization"} - set(granted), "denied")
        scope = "person" if self.persona.identified else "device"
        return {
            **self.envelope("consent", ago, self.cart),
            "choices": granted | refused,
            "scope": scope,
            "source": "simulation",
        }

    def view(self, item: Item, ago: Millis = 0) -> dict[str, Any]:
        return self.event("Product Viewed", _line(item), ago)

    def added(self, item: Item, ago: Millis = 0) -> dict[str, Any]:
        return self.event("Product Added", {**_line(item), "quantity": 1}, ago)

    def ordered(self, ago: Millis, number: int) -> dict[str, Any]:
        """An earlier order of a regular: 180, 190, 200 in major units."""
        dearest = max(self.world.items, key=lambda item: item.price)
        properties = {
            "order_id": f"{self.who.name}-p{number}",
            "subtotal": _major(17_000 + 1000 * number),
            "currency": self.world.currency,
            "products": [{**_line(dearest), "quantity": 1}],
        }
        return self.event("Order Completed", properties, ago, f"{self.who.name}-cart-p{number}")

    def money(self, off: Minor = 0) -> dict[str, Any]:
        products = [{**_line(item), "quantity": quantity} for item, quantity in self.basket.items()]
        paid = _major(self.total - off)
        amounts = {"subtotal": paid, "total": paid, "value": paid}
        if off:
            amounts["discount"] = _major(off)
        return {**amounts, "currency": self.world.currency, "products": products}

    def decide(self, page: str, placements: list[str], step: str = "") -> Step:
        """Ask as the page would: payment pages by the backend, others by the browser. Who refused is not named."""
        who = self.ids if "personalization" in self.who.grants else {}
        items = [{**_asked(item), "quantity": quantity} for item, quantity in self.basket.items()]
        context: dict[str, Any] = {
            "page": {"path": f"/{page}/", "type": page},
            "device": {"type": self.persona.device},
            "locale": "en",
            "currency": self.world.currency,
            "timeZone": "Europe/Berlin",
            "cart": {
                "token": self.cart,
                "total": _major(self.total),
                "count": sum(self.basket.values()),
                "items": items,
            },
        }
        if step:
            offered = {"paymentMethods": self.world.payment_methods, "deliveryMethods": self.world.delivery_methods}
            context["checkout"] = {"step": step, **offered}
        body = {"shopper": who, "context": context, "placements": placements}
        trusted = bool(step) or self.persona.identified
        return self.step("decide", "/v1/decide", body, trusted=trusted)


def _iso(moment: Millis) -> str:
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _major(amount: Minor) -> str:
    """Money on the wire is a text, so that no float comes near it."""
    return f"{amount // 100}.{amount % 100:02d}"


def _line(item: Item) -> dict[str, Any]:
    return {"product_id": item.id, "category": item.category, "price": _major(item.price)}


def _asked(item: Item) -> dict[str, Any]:
    return {"id": item.id, "category": item.category, "price": _major(item.price)}


def _products(answer: Mapping[str, Any] | None) -> list[str]:
    """The products an answer shows beside the basket."""
    placements = (answer or {}).get("placements") or {}
    content = (placements.get("accessories") or {}).get("content") or {}
    return [item["id"] for item in content.get("items", ())]
