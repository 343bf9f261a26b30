"""Simulated shoppers with known effects: who they are, what they do, and exactly how a decision changes it.

A simulation is a stream of requests in the order of their times. Whoever plays it answers the decisions; what a
shopper does next depends on that answer, by effects that are written down here. So what an experiment finds can be
compared with what is true::

    for step in simulate(seed=7, shoppers=1000):
        step.answer = post(step.path, step.body, step.headers, secret=step.trusted)

Everything follows from the seed: the same seed and the same answers give the same bytes. Each shopper has dice of their
own, and what they would do is drawn before they start, so that one answer changes one shopper, and only by its effect.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from cashwrap.model import Millis, Minor

_MASK = (1 << 64) - 1
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
TABLET = (
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


class Dice:
    """A stream of 64-bit numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014).

    Not the standard library's, whose streams may differ between versions: a simulation is quoted by its seed.
    """

    def __init__(self, seed: int, *more: int) -> None:
        self._state = seed & _MASK
        for each in more:
            self._state = (self.draw() ^ each) & _MASK

    def draw(self) -> int:
        """The next number, 0 to 2^64 - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit - 1``, evenly but for 1 part in 2^64 / limit."""
        return self.draw() * limit >> 64

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)


class Item(Struct, frozen=True):
    """A product as the simulation needs it; ``price`` in minor units."""

    id: str
    price: Minor
    category: str


ITEMS = tuple(
    Item(f"{category}-{number}", price * 100, category)
    for category, prices in {
        "coffee": (19, 28, 45, 89),
        "garden": (12, 34, 52, 120),
        "kitchen": (15, 24, 60, 140),
        "desk": (9, 31, 75, 160),
        "home": (18, 29, 49, 99),
    }.items()
    for number, price in enumerate(prices, 1)
)
"""A small catalogue for those who bring none; prices in cents."""


class Effect(Struct, frozen=True):
    """What seeing something changes, in thousandths: the truth an experiment has to find.

    Seen means: the placement's options begin with ``first``, or its experience has the name ``experience``.
    """

    name: str
    placement: str
    lift: int = 0
    """Added to the chance to buy, in thousandths."""
    adds: int = 0
    """The chance to add the first product shown, in thousandths."""
    first: tuple[str, ...] = ()
    experience: str = ""

    def seen(self, answer: Mapping[str, Any]) -> bool:
        """Whether one placement's answer shows it."""
        content = answer.get("content")
        if not isinstance(content, Mapping):
            return False
        if self.first:
            return tuple(option["id"] for option in content.get("options", ())[: len(self.first)]) == self.first
        return answer.get("experience") == self.experience


WALLETS_FIRST = Effect("wallets_first", "payment_methods", lift=60, first=("apple_pay", "google_pay"))
EXPRESS_FIRST = Effect("express_first", "delivery_methods", lift=30, first=("express",))
BASKET_WAITED = Effect("basket_waited", "basket_message", lift=60, experience="your_basket_waited")
FAVOURITES = Effect("favourites", "accessories", adds=250, experience="favourites_for_enthusiasts")
OPEN_CODE_FIELD = Effect("open_code_field", "coupon_field", experience="open_for_discount_seekers")
"""Changes nothing: whoever finds an effect here is wrong."""


class Persona(Struct, frozen=True):
    """A kind of shopper. ``share`` and ``conversion`` (the chance to buy where no effect is seen) in thousandths."""

    name: str
    share: int
    conversion: int
    user_agent: str
    device: str
    effects: tuple[Effect, ...] = ()
    grants: tuple[str, ...] = ("analytics", "personalization")
    """What they allow; nothing means they refuse, and then no request names them."""
    gpc: bool = False
    identified: bool = False


PERSONAS = (
    Persona("new_mobile", 300, 300, IPHONE, "mobile", (WALLETS_FIRST,)),
    Persona("enthusiast", 150, 350, DESKTOP, "desktop", (FAVOURITES,)),
    Persona("cart_abandoner", 150, 100, DESKTOP, "desktop", (BASKET_WAITED,)),
    Persona("discount_seeker", 100, 200, TABLET, "tablet", (OPEN_CODE_FIELD,)),
    Persona("high_value", 80, 550, DESKTOP, "desktop", (EXPRESS_FIRST,), identified=True),
    Persona("decliner", 100, 280, DESKTOP, "desktop", grants=()),
    Persona("gpc", 60, 290, IPHONE, "mobile", (WALLETS_FIRST,), grants=("analytics",), gpc=True),
    Persona("bot", 60, 0, BOT, "desktop", grants=()),
)
"""All of them; their shares add up to 1000."""


class World(Struct, frozen=True):
    """The shop they come to. Times in milliseconds, money in minor units with two digits."""

    items: Sequence[Item] = ITEMS
    currency: str = "EUR"
    start: Millis = 1_767_225_600_000
    gap: Millis = 200
    """From one shopper's arrival to the next."""
    pace: int = 1000
    """Thousandths of the time a person takes between two steps; 1000 is natural, 0 does everything at once."""
    refunds: int = 40
    """Of a thousand orders, how many are sent back."""
    payment_methods: tuple[str, ...] = ("card", "paynow", "invoice", "bank_transfer", "apple_pay", "google_pay")
    delivery_methods: tuple[str, ...] = ("standard", "express", "bike_courier", "pickup")


class Shopper(Struct, frozen=True):
    """One shopper, fixed by (seed, index) before anything is shown to them."""

    seed: int
    index: int
    persona: Persona
    items: tuple[Item, ...]
    """What goes into the basket."""
    buying: int
    """Drawn from 0 to 999: buys where this is below the chance."""
    adding: int
    returning: int

    @property
    def name(self) -> str:
        """Unique to the seed, so that two simulations never share a shopper."""
        return f"sim-{self.seed}-{self.index}"

    def chance(self, seen: Collection[str]) -> int:
        """The chance to buy, in thousandths, having seen the effects named."""
        return self.persona.conversion + sum(each.lift for each in self.persona.effects if each.name in seen)

    def buys(self, seen: Collection[str]) -> bool:
        """Whether they buy: a potential outcome, known for what was seen and for what was not."""
        return self.buying < self.chance(seen)

    def adds(self, seen: Collection[str]) -> bool:
        """Whether they add the first product that was shown to go with the basket."""
        return any(self.adding < each.adds for each in self.persona.effects if each.name in seen)


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

    @property
    def events(self) -> int:
        """How many events it carries."""
        return len(self.body.get("batch", ()))


_Waiting = tuple[Millis, int, Step, Iterator[Step]]
"""What is next: its time, whose it is, the step, and the visit it belongs to."""


def shopper(seed: int, index: int, world: World | None = None) -> Shopper:
    """Shopper ``index`` of a simulation."""
    world = world or World()
    dice = Dice(seed, index)
    persona = _persona(dice.below(1000))
    first = world.items[dice.below(len(world.items))]
    alike = [item for item in world.items if item.category == first.category and item.id != first.id]
    more = [alike[dice.below(len(alike))] for _ in range(dice.below(3))] if alike else []
    items = tuple({item.id: item for item in (first, *more)}.values())
    return Shopper(seed, index, persona, items, dice.below(1000), dice.below(1000), dice.below(1000))


def simulate(seed: int, shoppers: int, world: World | None = None) -> Iterator[Step]:
    """The requests of so many shoppers, in the order of their times. Put each answer into the step before the next.

    Shoppers overlap: one arrives every ``world.gap`` milliseconds. Only those who are in the shop are kept in memory.
    """
    world = world or World()
    waiting: list[_Waiting] = []
    for index in range(shoppers):
        yield from _play(waiting, index * world.gap)
        visit = _Visit(shopper(seed, index, world), world).walk()
        _queue(waiting, index, visit)
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


def _persona(draw: int) -> Persona:
    for persona in PERSONAS:
        draw -= persona.share
        if draw < 0:
            return persona
    raise AssertionError("the shares add up to 1000")


class _Visit:
    """A shopper's way through the shop, one step at a time."""

    def __init__(self, who: Shopper, world: World) -> None:
        self.who, self.world, self.persona = who, world, who.persona
        self.dice = Dice(who.seed, who.index, 1)
        self.at = who.index * world.gap
        self.count = 0
        self.basket = dict.fromkeys(who.items, 1)
        self.seen: set[str] = set()
        self.ids: dict[str, str] = {}
        if self.persona.grants:
            self.ids = {"userId" if self.persona.identified else "anonymousId": who.name}

    def walk(self) -> Iterator[Step]:
        """From the first page to the order, or to leaving without one."""
        if self.persona.user_agent == BOT:
            yield from self.crawl()
            return
        yield from self.past()
        if self.ids and self.count == 0:
            yield self.send("consent", [self.consent(0)])
        yield from self.browse()
        yield from self.look_at_basket()
        yield from self.check_out()
        if self.who.buys(self.seen):
            yield from self.order()

    # --- parts of a visit ---

    def crawl(self) -> Iterator[Step]:
        """A crawler opens page after page and names itself honestly."""
        self.ids = {"anonymousId": self.who.name}
        for _ in range(3):
            yield self.send("events", [self.view(item) for item in self.who.items])
            self.wait(200, 800)

    def past(self) -> Iterator[Step]:
        """What happened before today, where the persona has a past."""
        match self.persona.name:
            case "high_value":
                orders = [self.ordered(days * _DAY, number) for number, days in enumerate((6, 4, 2), 1)]
                yield self.send("past", [self.consent(6 * _DAY + _HOUR), *orders])
            case "enthusiast":
                yield self.send("past", [self.consent(2 * _DAY), self.view(self.who.items[0], 2 * _DAY - _MINUTE)])
            case "cart_abandoner":
                added = [self.added(item, 3 * _HOUR - _MINUTE) for item in self.who.items]
                yield self.send("past", [self.consent(3 * _HOUR), *added])
            case "discount_seeker":
                codes = [self.event("Coupon Entered", {"coupon_id": f"TRY{n}"}, _HOUR - n * _MINUTE) for n in (1, 2)]
                yield self.send("past", [self.consent(_HOUR), *codes])

    def browse(self) -> Iterator[Step]:
        """Look around, put things into the basket. Who refused is not followed."""
        first = self.who.items[0]
        kind = [item for item in self.world.items if item.category == first.category]
        views = 5 if self.persona.name == "enthusiast" else self.dice.between(1, 3)
        for number in range(views):
            self.wait(2, 8)
            if self.ids:
                yield self.send("events", [self.view(kind[number % len(kind)])])
        self.wait(2, 6)
        if self.ids and self.persona.name != "cart_abandoner":  # theirs waited for them
            yield self.send("events", [self.added(item) for item in self.who.items])

    def look_at_basket(self) -> Iterator[Step]:
        """The basket page: a message, accessories, the field for codes."""
        self.wait(1, 4)
        asked = self.decide("cart", ["basket_message", "accessories", "coupon_field", "checkout_button"])
        yield asked
        yield from self.take_in(asked)
        shown = _products(asked.answer)
        by_id = {item.id: item for item in self.world.items}
        if self.who.adds(self.seen) and shown and shown[0] in by_id:
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
            asked = self.decide("payment", [*placements, "checkout_help"], step)
            yield asked
            yield from self.take_in(asked)

    def order(self) -> Iterator[Step]:
        """The order, by the shop's backend; now and then it comes back."""
        self.wait(2, 5)
        number = f"{self.who.name}-1"
        placed = self.event("Order Completed", {"order_id": number, **self.money()})
        yield self.send("order", [placed], trusted=True)
        if self.who.returning < self.world.refunds:
            self.wait(20, 60)
            back = {"order_id": number, "refund_id": f"{number}-r", **self.money()}
            yield self.send("refund", [self.event("Order Refunded", back)], trusted=True)

    def take_in(self, asked: Step) -> Iterator[Step]:
        """Remember what was seen, and report each experience shown as the SDK and the shop's backend do."""
        answer = asked.answer or {}
        placements = answer.get("placements") or {}
        for effect in self.persona.effects:
            if effect.seen(placements.get(effect.placement) or {}):
                self.seen.add(effect.name)
        shown = [
            {"placement": name, "experience": each["experience"], "variation": each["variation"]}
            for name, each in placements.items()
            if each.get("experience")
        ]
        if self.ids and shown and answer.get("token"):
            events = [self.event("Experience Viewed", {**each, "token": answer["token"]}) for each in shown]
            yield self.send("events", events, trusted=asked.trusted)

    # --- what is sent ---

    @property
    def cart(self) -> str:
        return f"{self.who.name}-cart"

    def wait(self, low: int, high: int) -> None:
        """A person takes ``low`` to ``high`` seconds."""
        self.at += self.dice.between(low * _SECOND, high * _SECOND) * self.world.pace // 1000

    def send(self, kind: str, events: list[dict[str, Any]], *, trusted: bool = False) -> Step:
        trusted = trusted or self.persona.identified
        return Step(self.at, self.who, kind, "/v1/batch", {"batch": events}, self.headers(), trusted)

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
        return {**message, "timestamp": _iso(self.world.start + self.at - ago)}

    def consent(self, ago: Millis) -> dict[str, Any]:
        granted = dict.fromkeys(self.persona.grants, "granted")
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

    def money(self) -> dict[str, Any]:
        total = sum(item.price * quantity for item, quantity in self.basket.items())
        products = [{**_line(item), "quantity": quantity} for item, quantity in self.basket.items()]
        amounts = {"subtotal": _major(total), "total": _major(total), "value": _major(total)}
        return {**amounts, "currency": self.world.currency, "products": products}

    def decide(self, page: str, placements: list[str], step: str = "") -> Step:
        """Ask as the page would: payment pages by the backend, others by the browser. Who refused is not named."""
        who = self.ids if "personalization" in self.persona.grants else {}
        items = [{**_asked(item), "quantity": quantity} for item, quantity in self.basket.items()]
        total = sum(item.price * quantity for item, quantity in self.basket.items())
        context: dict[str, Any] = {
            "page": {"path": f"/{page}/", "type": page},
            "device": {"type": self.persona.device},
            "locale": "en",
            "currency": self.world.currency,
            "timeZone": "Europe/Berlin",
            "cart": {"token": self.cart, "total": _major(total), "count": sum(self.basket.values()), "items": items},
        }
        if step:
            offered = {"paymentMethods": self.world.payment_methods, "deliveryMethods": self.world.delivery_methods}
            context["checkout"] = {"step": step, **offered}
        body = {"shopper": who, "context": context, "placements": placements}
        trusted = bool(step) or self.persona.identified
        return Step(self.at, self.who, "decide", "/v1/decide", body, self.headers(), trusted)


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
