"""Who comes to a simulated shop, and exactly what they do for what they see: effects, kinds of shoppers, outcomes.

All of a shopper is drawn before anything is shown to them, so both are known: what they did, and what they would have
done. Chances and shares are in thousandths, money in minor units with two digits, times in milliseconds.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from cashwrap.model import Millis, Minor, Product
from cashwrap.testing.shoppers.dice import Dice

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
"""The user agent of a telephone."""
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
"""The user agent of a browser on a desk."""
TABLET = (
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
"""The user agent of a tablet."""
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
"""The user agent of a crawler: whoever has it looks at products and never buys."""
_DAY: Millis = 86_400_000


class Item(Struct, frozen=True):
    """A product as the simulation needs it; ``cost`` is what the shop pays for it."""

    id: str
    price: Minor
    category: str
    cost: Minor = 0


ITEMS = tuple(
    Item(f"{category}-{number}", price * 100, category, price * 60)
    for category, prices in {
        "coffee": (19, 28, 45, 89),
        "garden": (12, 34, 52, 120),
        "kitchen": (15, 24, 60, 140),
        "desk": (9, 31, 75, 160),
        "home": (18, 29, 49, 99),
    }.items()
    for number, price in enumerate(prices, 1)
)
"""A small catalogue for those who bring none; prices in cents, of which 60 % are cost."""


class Effect(Struct, frozen=True):
    """What seeing something changes: the truth an experiment has to find.

    Seen means: the placement's options begin with ``first``, or its experience has the name ``experience`` (and its
    variation the name ``variation``, where one is given). Several effects may hang on one experience, each ``only``
    for some kinds of shoppers.
    """

    name: str
    placement: str
    lift: int = 0
    """Added to the chance to buy, in thousandths; below 0 it does harm."""
    adds: int = 0
    """The chance to add the first product shown, in thousandths."""
    first: tuple[str, ...] = ()
    experience: str = ""
    variation: str = ""
    amount: Minor = 0
    """Taken off whatever is bought; how many more buy for it is the shopper's ``elasticity``."""
    returns: int = 0
    """Added to the chance that an order comes back, in thousandths."""
    only: tuple[str, ...] = ()
    """The kinds of shoppers it works on, by name; none means all."""

    def seen(self, answer: Mapping[str, Any]) -> bool:
        """Whether one placement's answer shows it."""
        content = answer.get("content")
        if not isinstance(content, Mapping):
            return False
        if self.first:
            return tuple(option["id"] for option in content.get("options", ())[: len(self.first)]) == self.first
        named = answer.get("experience") == self.experience
        return named and self.variation in ("", answer.get("variation"))


WALLETS_FIRST = Effect("wallets_first", "payment_methods", lift=60, first=("apple_pay", "google_pay"))
"""What the starter playbook does to newcomers on telephones."""
EXPRESS_FIRST = Effect("express_first", "delivery_methods", lift=30, first=("express",))
"""What it does to regulars."""
BASKET_WAITED = Effect("basket_waited", "basket_message", lift=60, experience="your_basket_waited")
"""What it does to those who left a basket behind."""
FAVOURITES = Effect("favourites", "accessories", adds=250, experience="favourites_for_enthusiasts")
"""What it does to enthusiasts: it fills baskets, and changes nobody's mind."""
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
    elasticity: int = 0
    """How many percent more buy for each percent off, in thousandths: 2000 is two for one."""
    refunds: int = 0
    """Of a thousand orders, how many more than the shop's usual come back."""
    reach: int = 1000
    """Of a thousand, how many go on from the basket to the checkout: those nearest to buying. Not below any chance."""


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
"""Those the starter playbook is for; their shares add up to 1000."""


class World(Struct, frozen=True):
    """The shop they come to. Times in milliseconds, money in minor units with two digits, shares in thousandths."""

    items: Sequence[Item] = ITEMS
    currency: str = "EUR"
    start: Millis = 1_767_225_600_000
    gap: Millis = 200
    """From one shopper's arrival to the next."""
    pace: int = 1000
    """Thousandths of the time a person takes between two steps; 1000 is natural, 0 does everything at once."""
    refunds: int = 40
    """Of a thousand orders, how many are sent back, the whole or half of it."""
    payment_methods: tuple[str, ...] = ("card", "paynow", "invoice", "bank_transfer", "apple_pay", "google_pay")
    delivery_methods: tuple[str, ...] = ("standard", "express", "bike_courier", "pickup")
    personas: tuple[Persona, ...] = PERSONAS
    effects: tuple[Effect, ...] = ()
    """What experiences do to everybody, beside what the personas bring."""
    analytics: int = 1000
    """Of those whose persona allows it, how many do; ``personalization`` is drawn apart from it."""
    personalization: int = 1000
    skewed: int = 0
    """Of a thousand devices, how many have a wrong clock, by up to ``skew`` either way."""
    skew: Millis = 0
    visits: int = 1
    """The most visits of one shopper; from 1 to this many, all as likely."""
    apart: Millis = _DAY
    """From one visit to the next, at least; less than twice that."""
    returned_after: Millis = 0
    """How long goods are kept before they come back, at least; less than twice that. 0 is within the minute."""
    browse: bool = True
    """Whether they look at products before they go to the basket."""

    def products(self) -> list[Product]:
        """The items as the shop's catalogue has them."""
        return [
            Product(item.id, item.id, item.price, item.cost, 1_000_000, item.category, url="/", image="/")
            for item in self.items
        ]


class Visit(Struct, frozen=True):
    """What was drawn for one visit, each number from 0 to 999: something happens where it is below its chance."""

    after: Millis
    """Since the shopper's first visit."""
    items: tuple[Item, ...]
    """What goes into the basket."""
    buying: int
    adding: int
    returning: int
    keeping: int = 0
    """Below 500 all of a returned order comes back, else half."""

    @property
    def total(self) -> Minor:
        """What is in the basket."""
        return sum(item.price for item in self.items)


class Outcome(Struct, frozen=True):
    """What a shopper did, or would have done: orders, and the shop's money in them.

    As everywhere, an order that was paid back in full is none, and its goods are there to be sold again.
    """

    orders: int = 0
    revenue: Minor = 0
    """What was paid, discounts taken off."""
    refunded: Minor = 0
    cost: Minor = 0
    """Of what was sold, also where a part of the price was paid back."""

    @property
    def net(self) -> Minor:
        """What was paid and not paid back."""
        return self.revenue - self.refunded

    @property
    def profit(self) -> Minor:
        """What is left of it when the goods are paid."""
        return self.net - self.cost

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.orders + other.orders,
            self.revenue + other.revenue,
            self.refunded + other.refunded,
            self.cost + other.cost,
        )


class Shopper(Struct, frozen=True):
    """One shopper, fixed by (seed, index) before anything is shown to them. ``seen`` are names of effects."""

    seed: int
    index: int
    persona: Persona
    visits: tuple[Visit, ...]
    effects: tuple[Effect, ...] = ()
    """All that can work on them."""
    grants: tuple[str, ...] = ()
    skew: Millis = 0
    """How far their device's clock is ahead."""
    returning: int = 0
    """The chance that an order of theirs comes back where nothing changes it."""

    @property
    def name(self) -> str:
        """Unique to the seed, so that two simulations never share a shopper."""
        return f"sim-{self.seed}-{self.index}"

    def chance(self, seen: Collection[str], visit: int = 0) -> int:
        """The chance to buy, in thousandths, having seen the effects named."""
        persona, total = self.persona, self.visits[visit].total
        for_price = persona.conversion * persona.elasticity * self.off(seen, visit) // (1000 * total) if total else 0
        return persona.conversion + for_price + sum(each.lift for each in self._felt(seen))

    def off(self, seen: Collection[str], visit: int = 0) -> Minor:
        """What is taken off the basket."""
        return min(self.visits[visit].total, sum(each.amount for each in self._felt(seen)))

    def buys(self, seen: Collection[str], visit: int = 0) -> bool:
        """Whether they buy: a potential outcome, known for what was seen and for what was not."""
        return self.visits[visit].buying < self.chance(seen, visit)

    def adds(self, seen: Collection[str], visit: int = 0) -> bool:
        """Whether they add the first product that was shown to go with the basket."""
        return any(self.visits[visit].adding < each.adds for each in self._felt(seen))

    def back(self, paid: Minor, seen: Collection[str], visit: int = 0) -> Minor:
        """How much of an order is paid back."""
        drawn = self.visits[visit]
        if drawn.returning >= self.returning + sum(each.returns for each in self._felt(seen)):
            return 0
        return paid if drawn.keeping < 500 else paid // 2

    def outcome(self, seen: Collection[str], visit: int = 0) -> Outcome:
        """What comes of one visit, but for what accessories add to the basket."""
        if not self.buys(seen, visit):
            return Outcome()
        paid = self.visits[visit].total - self.off(seen, visit)
        back = self.back(paid, seen, visit)
        if back and back == paid:
            return Outcome()
        return Outcome(1, paid, back, sum(item.cost for item in self.visits[visit].items))

    def _felt(self, seen: Collection[str]) -> list[Effect]:
        return [each for each in self.effects if each.name in seen]


def shopper(seed: int, index: int, world: World | None = None) -> Shopper:
    """Shopper ``index`` of a simulation."""
    world = world or World()
    dice = Dice(seed, index)
    persona = _persona(world.personas, dice.below(1000))
    first = _visit(world, dice, 0)
    drawn = {
        "analytics": dice.below(1000) < world.analytics,
        "personalization": dice.below(1000) < world.personalization,
    }
    ahead = dice.between(-world.skew, world.skew) if dice.below(1000) < world.skewed else 0
    visits = [first]
    for _ in range(dice.below(world.visits)):
        visits.append(_visit(world, dice, visits[-1].after + world.apart + dice.below(world.apart)))
    mine = [each for each in world.effects if not each.only or persona.name in each.only]
    return Shopper(
        seed,
        index,
        persona,
        tuple(visits),
        () if persona.user_agent == BOT else (*persona.effects, *mine),
        tuple(each for each in persona.grants if drawn.get(each, True)),
        ahead,
        world.refunds + persona.refunds,
    )


def _visit(world: World, dice: Dice, after: Millis) -> Visit:
    first = world.items[dice.below(len(world.items))]
    alike = [item for item in world.items if item.category == first.category and item.id != first.id]
    more = [alike[dice.below(len(alike))] for _ in range(dice.below(3))] if alike else []
    items = tuple({item.id: item for item in (first, *more)}.values())
    return Visit(after, items, dice.below(1000), dice.below(1000), dice.below(1000), dice.below(1000))


def _persona(personas: Sequence[Persona], draw: int) -> Persona:
    for persona in personas:
        draw -= persona.share
        if draw < 0:
            return persona
    raise AssertionError("the shares add up to 1000")
