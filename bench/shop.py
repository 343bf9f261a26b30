"""A shop of any size in memory: its playbook as text, its shoppers with their history, and what they ask.

The same number gives the same shop. Of five shoppers one has not consented, and every request leaves something out, so
that conditions meet what they do not know.
"""

import random
import threading
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench import rules
from bench.rules import Rule
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import MemoryVault
from cashwrap.engine import Engine, World
from cashwrap.events import RequestFacts
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.request import DecideRequest

PLACEMENTS = 20
START: Millis = 1_772_452_800_000
"""2026-03-02 12:00 UTC, a Monday."""
FILE = 10_000
"""Experiences in one file of the playbook."""
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_HEAD = """\
shop: {currency: EUR, locale: en}
traits: {tier: text, channel: text, points: integer}
features:
  orders:          {count: Order Completed}
  spent:           {sum: Order Completed, of: subtotal}
  bought:          {count: Order Completed, by: product_id}
  coupons_tried:   {count: [Coupon Entered, Coupon Applied], window: 90d}
  category_views:  {count: Product Viewed, by: category, window: 30d}
  session_views:   {count: Product Viewed, session: true}
"""


class Experience(NamedTuple):
    """One experience of the generated playbook."""

    name: str
    placement: str
    priority: int
    rule: Rule


class BenchClock:
    """Stands still until it is moved, so that two engines that are asked in turn see the same hour."""

    def __init__(self) -> None:
        self.time: Millis = START

    def now(self) -> Millis:
        """Wall-clock milliseconds."""
        return self.time

    def monotonic(self) -> float:
        """Seconds."""
        return self.time / 1000


class Shopper(NamedTuple):
    """One shopper's question, decoded, and the profile in memory; ``hot`` is ``None`` for a stranger."""

    request: DecideRequest
    caller: Caller
    hot: HotProfile | None


NARROW = (5, 8)
"""Tests a rule that few shoppers meet."""


def experiences(count: int, *, narrow: bool = False) -> list[Experience]:
    """In the order in which they are tried. ``narrow`` ones hold for few shoppers."""
    rng = random.Random(count)
    made = []
    for number in range(count):
        rule = _shown(number, rules.rule(rng, NARROW) if narrow else rules.rule(rng))
        made.append(Experience(f"e{number}", f"p{number % PLACEMENTS}", rng.choice((0, 0, 0, 10, 20)), rule))
    return sorted(made, key=lambda each: -each.priority)


def _shown(number: int, found: Rule) -> Rule:
    """A text that says an amount is shown where there is one: what cannot be shown gives way to the next."""
    return rules.both(rules.compare("cart.total", 1, least=True, scale=100), found) if _says_amount(number) else found


def _says_amount(number: int) -> bool:
    return number % 8 == 5


def playbook_files(made: list[Experience]) -> dict[str, str]:
    """The playbook's files by name."""
    rng = random.Random(0)
    head = _HEAD + "segments:\n"
    head += "".join(f"  {name}: '{rules.segment_rule(rng).ours}'\n" for name in rules.SEGMENTS)
    head += "placements:\n" + "".join(f"  p{number}: {{component: message}}\n" for number in range(PLACEMENTS))
    files = {"shop.yaml": head}
    by_number = sorted(made, key=lambda each: int(each.name[1:]))
    for start in range(0, len(made), FILE):
        blocks = [_block(each) for each in by_number[start : start + FILE]]
        files[f"experiences{start // FILE:03}.yaml"] = "experiences:\n" + "".join(blocks)
    return files


def _block(each: Experience) -> str:
    amount = "{cart.total, money}: " if _says_amount(int(each.name[1:])) else ""
    return (
        f"  {each.name}:\n    in: {each.placement}\n    priority: {each.priority}\n    when: '{each.rule.ours}'\n"
        f'    show: {{text: {{en: "{amount}text {each.name}", de: "{amount}Satz {each.name}"}}}}\n'
    )


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write a playbook's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def open_shop(playbook: Playbook, shoppers: int) -> tuple[Engine, list[Shopper]]:
    """An engine over memory, and shoppers whose profiles were folded from their events."""
    store, random_bytes = MemoryStore(), SystemRandom()
    vault = MemoryVault(random_bytes)
    engine = Engine(playbook, World(store, store, store, store, store, vault, BenchClock(), random_bytes))
    key = ApiKey("bench", "secret", Tenant(), b"")
    caller = Caller(key, RequestFacts(received=START, source=key.id, tenant=key.tenant, trusted=True))
    for number in range(shoppers):
        if number % 5:
            _collect(engine, caller, history(number))
    made = []
    for number in range(shoppers):
        request = msgspec.convert(question(number), DecideRequest)
        made.append(Shopper(request, caller, engine.find(request.shopper, caller)))
    return engine, made


def _collect(engine: Engine, caller: Caller, events: list[dict[str, Any]]) -> None:
    done = threading.Event()
    batch = engine.parse(msgspec.json.encode({"batch": events}), None)
    submission, refused = engine.collect(batch, caller, lambda _: done.set())
    done.wait()
    if refused or submission.error is not None:
        raise SystemExit(f"the events of a shopper were not taken: {refused or submission.error}")


def history(number: int) -> list[dict[str, Any]]:
    """What a shopper did before: a grant, views, orders, and for most a membership."""
    rng = random.Random(number)
    who = f"shopper{number:08}"
    events: list[dict[str, Any]] = [{"type": "consent", "choices": {"personalization": "granted"}}]
    if rng.random() < 0.8:
        traits: dict[str, Any] = {"tier": rng.choice(rules.WORDS["traits.tier"]), "points": rng.randrange(1000)}
        if rng.random() < 0.8:
            traits["channel"] = rng.choice(rules.WORDS["traits.channel"])
        events.append({"type": "identify", "traits": traits})
    liked = rng.sample(rules.CATEGORIES, 6)
    for _ in range(rng.randrange(25)):
        properties = {"product_id": rng.choice(rules.PRODUCTS), "category": rng.choice(liked)}
        events.append({"type": "track", "event": "Product Viewed", "properties": properties})
    for order in range(rng.choice((0, 0, 1, 2, 4))):
        total = rng.randrange(1, 60_000) / 100
        properties: dict[str, Any] = {
            "order_id": f"{who}.{order}",
            "subtotal": total,
            "total": total,
            "currency": "EUR",
        }
        events.append({"type": "track", "event": "Order Completed", "properties": properties})
    return [
        {"anonymousId": who, "messageId": f"{who}.{at}", "timestamp": "2026-03-02T11:59:00Z"} | event
        for at, event in enumerate(events)
    ]


def question(number: int) -> dict[str, Any]:
    """What the shop's page asks for a shopper; each part of it is left out now and then."""
    rng = random.Random(f"question {number}")
    pick = {path: rng.choice(values) for path, values in rules.WORDS.items()}
    items = [
        {"id": rng.choice(rules.PRODUCTS), "category": rng.choice(rules.CATEGORIES), "quantity": 1}
        for _ in range(rng.randint(1, 8))
    ]
    parts: dict[str, Any] = {
        "page": {"path": "/checkout/payment/", "type": pick["page.type"]},
        "device": {name: pick[f"device.{name}"] for name in ("type", "os", "browser") if rng.random() < 0.95},
        "locale": f"{pick['language']}-XX",
        "location": {"country": pick["location.country"]},
        "cart": {"total": rng.randrange(1, 50_000) / 100, "count": len(items), "items": items},
        "checkout": {
            "step": pick["checkout.step"],
            "paymentMethods": rng.sample(rules.METHODS, 5),
            "deliveryMethods": ["standard", "express", "pickup"],
        },
    }
    context = {name: part for name, part in parts.items() if rng.random() < 0.93}
    context["timeZone"] = rng.choice(("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney"))
    return {"shopper": {"anonymousId": f"shopper{number:08}"}, "context": context}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Our flat attributes as nested JSON, for engines that know no other; unknown ones are left out."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or isinstance(value, tuple):
            continue
        *above, last = name.replace('["', ".").replace('"]', "").split(".")
        inside = nested
        for part in above:
            inside = inside.setdefault(part, {})
        inside[last] = sorted(value) if isinstance(value, frozenset) else value
    return nested
