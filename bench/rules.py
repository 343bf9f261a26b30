"""Conditions a shop might write, each in four languages: ours, GrowthBook's, CEL, and JsonLogic.

All four say the same, a missing attribute included: what a condition needs and does not find makes it not eligible.
Only ours and CEL know "unknown", so in the other two a test is guarded, in the way that costs them least: GrowthBook
by ``$exists``, JsonLogic by a default that fails the test. Negations are pushed to the leaves for them too.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

WORDS = {
    "device.type": ("mobile", "desktop", "tablet"),
    "device.os": ("ios", "android", "windows", "macos", "linux"),
    "device.browser": ("safari", "chrome", "firefox", "edge"),
    "language": ("en", "de", "fr", "nl", "pl", "es", "it", "cs"),
    "location.country": tuple(
        "DE FR US GB NL AT PL ES IT CZ DK SE NO FI BE CH PT IE HU GR".split()  # noqa: SIM905 - reads as what it is
    ),
    "page.type": ("cart", "information", "delivery", "payment", "review", "receipt"),
    "checkout.step": ("cart", "address", "delivery", "payment", "review"),
    "traits.tier": ("basic", "silver", "gold", "platinum"),
    "traits.channel": ("search", "social", "mail", "direct", "partner", "display"),
}
NUMBERS = {
    "orders": 6, "sessions": 6, "cart.count": 12, "session_views": 25, "coupons_tried": 5,
    "category_views.max": 12, "category_views.total": 25, "session.events": 30, "traits.points": 1000,
}  # fmt: skip
"""Whole numbers and the value that few exceed."""
MONEY = {"cart.total": 500, "spent": 1500}
"""Major units in ours, minor units in all others."""
CATEGORIES = tuple(f"category{number}" for number in range(30))
PRODUCTS = tuple(f"product{number}" for number in range(300))
METHODS = ("card", "paypal", "apple_pay", "google_pay", "invoice", "klarna", "bank_transfer", "gift_card")
SETS = {"cart.products": PRODUCTS, "cart.categories": CATEGORIES, "checkout.payment_methods": METHODS}
SEGMENTS = tuple(f"segment{number}" for number in range(20))
MANY = 10**15
"""Above every number: what JsonLogic reads where there is none and less is asked for."""


class Rule(NamedTuple):
    """One condition in four languages, and its opposite: known, and not so."""

    ours: str
    cel: str
    growthbook: dict[str, Any]
    jsonlogic: Any
    not_growthbook: dict[str, Any]
    not_jsonlogic: Any


def compare(path: str, limit: int, *, least: bool, scale: int = 1) -> Rule:
    """At least ``limit``, which is above 0, or below it."""
    value = limit * scale
    least_mongo, below_mongo = {path: {"$gte": value}}, {path: {"$lt": value}}
    least_logic, below_logic = {">=": [{"var": path}, value]}, {"<": [{"var": [path, MANY]}, value]}
    sign = ">=" if least else "<"
    ours, cel = f"{path} {sign} {limit}", f"{path} {sign} {value}"
    if least:
        return Rule(ours, cel, least_mongo, least_logic, below_mongo, below_logic)
    return Rule(ours, cel, below_mongo, below_logic, least_mongo, least_logic)


def equal(path: str, value: str) -> Rule:
    """This text."""
    text = f'{path} == "{value}"'
    differs = {"!==": [{"var": [path, value]}, value]}
    return Rule(
        text, text, {path: value}, {"===": [{"var": path}, value]}, {path: {"$exists": True, "$ne": value}}, differs
    )


def one_of(path: str, values: list[Any]) -> Rule:
    """One of these texts or numbers."""
    listed = ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)
    text = f"{path} in [{listed}]"
    outside = {"!": [{"in": [{"var": [path, values[0]]}, values]}]}
    nowhere = {path: {"$exists": True, "$nin": values}}
    return Rule(text, text, {path: {"$in": values}}, {"in": [{"var": path}, values]}, nowhere, outside)


def holds(path: str, element: str) -> Rule:
    """A set with this element."""
    text = f'"{element}" in {path}'
    lacks = {"!": [{"in": [element, {"var": [path, [element]]}]}]}
    inside = {"in": [element, {"var": [path, []]}]}
    return Rule(text, text, {path: {"$in": [element]}}, inside, {path: {"$exists": True, "$nin": [element]}}, lacks)


def flag(path: str, ours: str | None = None) -> Rule:
    """True."""
    return Rule(ours or path, path, {path: True}, {"var": path}, {path: False}, {"!": [{"var": [path, True]}]})


def negate(rule: Rule) -> Rule:
    """Known, and not so."""
    return Rule(
        f"!({rule.ours})", f"!({rule.cel})",
        rule.not_growthbook, rule.not_jsonlogic, rule.growthbook, rule.jsonlogic,
    )  # fmt: skip


def both(*rules: Rule) -> Rule:
    """All of them."""
    return _join(" && ", rules, ("$and", "and"), ("$or", "or"))


def either(*rules: Rule) -> Rule:
    """At least one of them."""
    return _join(" || ", rules, ("$or", "or"), ("$and", "and"))


def _join(sign: str, rules: tuple[Rule, ...], says: tuple[str, str], negated: tuple[str, str]) -> Rule:
    return Rule(
        sign.join(f"({each.ours})" if " || " in each.ours else each.ours for each in rules),
        sign.join(f"({each.cel})" if " || " in each.cel else each.cel for each in rules),
        {says[0]: [each.growthbook for each in rules]},
        {says[1]: [each.jsonlogic for each in rules]},
        {negated[0]: [each.not_growthbook for each in rules]},
        {negated[1]: [each.not_jsonlogic for each in rules]},
    )


# --- a random one ---


def word(rng: random.Random) -> Rule:
    path, values = rng.choice(list(WORDS.items()))
    roll = rng.random()
    if roll < 0.75:
        return equal(path, rng.choice(values))
    return negate(equal(path, rng.choice(values))) if roll < 0.85 else one_of(path, rng.sample(values, 3))


def number(rng: random.Random) -> Rule:
    path, top = rng.choice(list(NUMBERS.items()))
    least = rng.random() < 0.6
    return compare(path, rng.randint(max(1, top // 2), top) if least else rng.randint(1, max(1, top // 2)), least=least)


def money(rng: random.Random) -> Rule:
    path, top = rng.choice(list(MONEY.items()))
    least = rng.random() < 0.6
    return compare(path, rng.randint(top // 2, top) if least else rng.randint(1, top // 2), least=least, scale=100)


def window(rng: random.Random) -> Rule:
    """Hours of the day, on some days: what a schedule says."""
    hour = rng.randint(1, 20)
    hours = both(compare("time.hour", hour, least=True), compare("time.hour", hour + rng.randint(1, 8), least=False))
    roll = rng.random()
    if roll < 0.3:
        return both(hours, negate(flag("time.is_weekend")))
    return both(hours, one_of("time.weekday", sorted(rng.sample(range(1, 8), 3)))) if roll < 0.6 else hours


def segment(rng: random.Random) -> Rule:
    name = rng.choice(SEGMENTS)
    inside = flag(f"segments.{name}", f'"{name}" in segments')
    return negate(inside) if rng.random() < 0.25 else inside


def member(rng: random.Random) -> Rule:
    path, pool = rng.choice(list(SETS.items()))
    found = holds(path, rng.choice(pool))
    return negate(found) if rng.random() < 0.3 else found


def count(rng: random.Random) -> Rule:
    """How often a product of one category was looked at: CEL and we write a key, the others a path."""
    key, limit = rng.choice(CATEGORIES), rng.randint(1, 4)
    plain = compare(f"category_views.{key}", limit, least=True)
    text = f'category_views["{key}"] >= {limit}'
    return plain._replace(ours=text, cel=text)


KINDS: dict[Callable[[random.Random], Rule], int] = {
    word: 32, number: 16, money: 10, window: 8, segment: 16, member: 10, count: 8,
}  # fmt: skip


def predicate(rng: random.Random, kinds: dict[Callable[[random.Random], Rule], int] = KINDS) -> Rule:
    """One test. ``kinds`` has the choices and their weights."""
    return rng.choices(list(kinds), list(kinds.values()))[0](rng)


def rule(rng: random.Random, tests: tuple[int, int] = (2, 5)) -> Rule:
    """Some tests that all must hold; one in six has an alternative too, one in eight a negated pair."""
    parts = [predicate(rng) for _ in range(rng.randint(*tests))]
    if rng.random() < 0.16:
        parts.append(either(predicate(rng), predicate(rng)))
    if rng.random() < 0.12:
        pair = either if rng.random() < 0.5 else both
        parts.append(negate(pair(predicate(rng), predicate(rng))))
    return both(*parts)


def segment_rule(rng: random.Random) -> Rule:
    """What a segment says: one or two tests, none of another segment."""
    kinds = {kind: weight for kind, weight in KINDS.items() if kind not in {segment, window, member}}
    parts = [predicate(rng, kinds) for _ in range(rng.randint(1, 2))]
    return either(*parts) if rng.random() < 0.5 else both(*parts)
