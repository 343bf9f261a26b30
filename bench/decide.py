"""Microseconds to decide 20 placements in process, profile hot: ``python -m bench.decide [--sizes 10,1000,...]``.

The same rules and shoppers go to GrowthBook's Python SDK (one feature per placement, one forced rule per
experience), and every winner is compared. All engines run in one process, so read the ratios. No asserts but
agreement: a number to read.
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from growthbook import GrowthBook
from msgspec import structs

from cashwrap.condition import Checked, Environment, Type, check, compile_condition
from cashwrap.decide import Experiences, compile_experiences, decide, encode_answer
from cashwrap.declarations import (
    Button,
    Content,
    Declarations,
    ExperienceDecl,
    Help,
    Message,
    Options,
    PlacementDecl,
)
from cashwrap.model import Inputs, Tenant
from cashwrap.segments import Segments, compile_segments

PLACEMENTS = 20
SHOPPERS = 200
WORDS = {
    "device": 3, "country": 20, "category": 50, "tier": 4, "browser": 5, "os": 5,
    "language": 8, "channel": 6, "referrer": 30, "payment": 8, "step": 5,
}  # fmt: skip
NUMBERS = {"orders": 20, "sessions": 30, "items": 12, "hour": 24, "age": 300, "views": 60, "coupons": 6}
MONEY = {"total": 500, "spent": 2000}
FLAGS = ("returning", "newsletter", "guest")
SEGMENTS = tuple(f"s{number}" for number in range(20))
BRANDS = [f"brand{number}" for number in range(100)]
SKUS = [f"sku{number}" for number in range(500)]
KEYS = [f"cat{number}" for number in range(30)]

ENVIRONMENT = Environment(
    {
        **dict.fromkeys(WORDS, Type.STRING),
        **dict.fromkeys(NUMBERS, Type.NUMBER),
        **dict.fromkeys(MONEY, Type.MONEY),
        **dict.fromkeys(FLAGS, Type.BOOL),
        "brands": Type.STRING_SET,
        "skus": Type.STRING_SET,
        "category_views[*]": Type.NUMBER,
    },
    segments=frozenset(SEGMENTS),
)

Rule = tuple[str, dict[str, Any]]
"""The same condition for us and for GrowthBook."""


def predicate(rng: random.Random) -> Rule:
    kind = rng.choices(("word", "number", "money", "flag", "segment", "member", "count"), (30, 20, 15, 6, 12, 10, 7))[0]
    if kind == "word":
        return word(rng)
    if kind in {"number", "money"}:
        name, top = rng.choice(list((NUMBERS if kind == "number" else MONEY).items()))
        scale = 1 if kind == "number" else 100
        if rng.random() < 0.5:
            limit = rng.randint(top // 2, top - 1)
            return f"{name} >= {limit}", {name: {"$gte": limit * scale}}
        limit = rng.randint(1, top // 2)
        return f"{name} < {limit}", {name: {"$lt": limit * scale}}
    if kind == "flag":
        name, wanted = rng.choice(FLAGS), rng.random() < 0.5
        return (name if wanted else f"!{name}"), {name: wanted}
    if kind == "segment":
        name = rng.choice(SEGMENTS)
        return f'"{name}" in segments', {f"segments.{name}": True}
    if kind == "member":
        name, pool = rng.choice((("brands", BRANDS), ("skus", SKUS)))
        element = rng.choice(pool)
        if rng.random() < 0.3:
            return f'!("{element}" in {name})', {"$not": {name: {"$elemMatch": {"$eq": element}}}}
        return f'"{element}" in {name}', {name: {"$elemMatch": {"$eq": element}}}
    key, limit = rng.choice(KEYS), rng.randint(1, 6)
    return f'category_views["{key}"] >= {limit}', {f"category_views.{key}": {"$gte": limit}}


def word(rng: random.Random) -> Rule:
    name, count = rng.choice(list(WORDS.items()))
    choices = [f"{name}{number}" for number in range(count)]
    roll = rng.random()
    if roll < 0.75:
        value = rng.choice(choices)
        return f'{name} == "{value}"', {name: value}
    if roll < 0.85:
        value = rng.choice(choices)
        return f'{name} != "{value}"', {name: {"$ne": value}}
    some = rng.sample(choices, min(3, count))
    listed = ", ".join(f'"{value}"' for value in some)
    return f"{name} in [{listed}]", {name: {"$in": some}}


def rule(rng: random.Random) -> Rule:
    parts = [predicate(rng) for _ in range(rng.randint(2, 5))]
    if rng.random() < 0.15:
        extra = [predicate(rng) for _ in range(2)]
        either = f"({' || '.join(source for source, _ in extra)})"
        parts.append((either, {"$or": [query for _, query in extra]}))
    return " && ".join(source for source, _ in parts), {"$and": [query for _, query in parts]}


class Shopper(NamedTuple):
    inputs: Inputs
    attributes: dict[str, Any]


def shopper(number: int) -> Shopper:
    rng = random.Random(number)
    plain: dict[str, Any] = {name: f"{name}{rng.randrange(count)}" for name, count in WORDS.items()}
    plain |= {name: rng.randrange(top) for name, top in NUMBERS.items()}
    plain |= {name: rng.randrange(top * 100) for name, top in MONEY.items()}
    plain |= {name: rng.random() < 0.5 for name in FLAGS}
    brands, skus = rng.sample(BRANDS, 6), rng.sample(SKUS, 10)
    counts = {key: rng.randint(1, 9) for key in rng.sample(KEYS, 8)}
    segments = {name: rng.random() < 0.3 for name in SEGMENTS}
    values = plain | {"brands": frozenset(brands), "skus": frozenset(skus), "cart.total": plain["total"]}
    values |= {f'category_views["{key}"]': count for key, count in counts.items()}
    values |= {f"segments.{name}": inside for name, inside in segments.items()}
    values |= {f"filler{number}": number for number in range(110)}
    inputs = Inputs(
        now=1_760_000_000_000,
        tenant=Tenant(),
        values=values,
        level="profile",
        mask=63,
        placements=None,
        unit=f"u{number}",
        locale=rng.choice(("en-GB", "de", "de-AT", "fr")),
        payment_methods=("card", "paypal", "apple_pay", "invoice", "klarna"),
    )
    nested = {"brands": brands, "skus": skus, "category_views": counts, "segments": segments}
    return Shopper(inputs, plain | nested)


def content(number: int, placement: int) -> Content:
    """17 placements of 20 are texts, as shops have them; one text in eight says an amount."""
    if placement < 2:
        return Options(first=("apple_pay",), highlight=("paypal",), badge={"paypal": {"en": "fast", "de": "schnell"}})
    if placement == 2:
        return Button({"en": f"Pay {number}", "de": f"Zahlen {number}"})
    if placement == 3:
        return Help({"en": f"Hint {number}", "de": f"Hinweis {number}"})
    if number % 8 == 0:
        return Message({"en": f"Only {{cart.total, money}} ({number})", "de": f"Nur {{cart.total, money}} ({number})"})
    return Message({"en": f"Text {number}", "de": f"Satz {number}"})


def component(placement: int) -> Any:
    return {0: "options", 1: "options", 2: "button", 3: "help"}.get(placement, "message")


def declare(count: int) -> Declarations:
    placements = {f"p{each}": PlacementDecl(f"p{each}", component(each)) for each in range(PLACEMENTS)}
    experiences = [
        ExperienceDecl(f"e{each}", f"p{each % PLACEMENTS}", None, content(each, each % PLACEMENTS))
        for each in range(count)
    ]
    return Declarations(placements=placements, experiences={each.name: each for each in experiences})


def median_us(call: Callable[[Shopper], object], shoppers: list[Shopper], repeats: int) -> float:
    """The median over shoppers of each one's best time, which a busy neighbour disturbs least."""
    best = []
    for each in shoppers:
        times = []
        for _ in range(repeats):
            start = time.perf_counter_ns()
            call(each)
            times.append(time.perf_counter_ns() - start)
        best.append(min(times))
    return statistics.median(best) / 1000


def growthbook(rules: list[Rule]) -> Callable[[Shopper], dict[str, str | None]]:
    features: dict[str, Any] = {f"p{each}": {"defaultValue": None, "rules": []} for each in range(PLACEMENTS)}
    for number, (_, query) in enumerate(rules):
        features[f"p{number % PLACEMENTS}"]["rules"].append({"condition": query, "force": f"e{number}"})
    client = GrowthBook(features=features)

    def winners(each: Shopper) -> dict[str, str | None]:
        client.set_attributes(each.attributes)
        return {name: client.eval_feature(name).value for name in features}

    return winners


def winners_of(experiences: Experiences, each: Shopper) -> dict[str, str | None]:
    return {name: answer.experience for name, answer in decide(experiences, each.inputs).placements.items()}


def compare(experiences: Experiences, peer: Callable[[Shopper], Any], shoppers: list[Shopper]) -> int:
    """How many answers were compared; stops at the first that differs."""
    compared = 0
    for each in shoppers:
        ours, theirs = winners_of(experiences, each), peer(each)
        assert ours == theirs, {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
        compared += len(ours)
    return compared


def segments(rng: random.Random) -> Segments:
    plain = (source for source, _ in iter(lambda: rule(rng), None) if "segments" not in source)
    return compile_segments({name: check(next(plain), ENVIRONMENT) for name in SEGMENTS})


def with_segments(experiences: Experiences, found: Segments) -> Callable[[Shopper], object]:
    def call(each: Shopper) -> object:
        values = dict(each.inputs.values)
        found.evaluate(values, None)
        return decide(experiences, structs.replace(each.inputs, values=values))

    return call


def closures(conditions: dict[str, Checked | None]) -> Callable[[Shopper], object]:
    tests = [compile_condition(each) for each in conditions.values() if each is not None]
    return lambda each: [test(each.inputs.values) for test in tests]


def row(count: int, rng: random.Random, shoppers: list[Shopper], *, peers: bool) -> dict[str, Any]:
    rules = [rule(rng) for _ in range(count)]
    declarations = declare(count)
    gc.disable()  # as the compiler of a playbook does
    start = time.perf_counter()
    conditions: dict[str, Checked | None] = {
        f"e{number}": check(source, ENVIRONMENT) for number, (source, _) in enumerate(rules)
    }
    parsed = time.perf_counter()
    experiences = compile_experiences(declarations, conditions, playbook="bench")
    compiled = time.perf_counter()
    gc.enable()
    gc.collect()
    gc.freeze()  # as a server does after each swap
    result: dict[str, Any] = {"n": count, "check s": parsed - start, "compile s": compiled - parsed}
    repeats = 10
    result["match us"] = median_us(lambda each: experiences.index.matches(each.inputs.values), shoppers, repeats)
    result["decide us"] = median_us(lambda each: decide(experiences, each.inputs), shoppers, repeats)
    result["+segments us"] = median_us(with_segments(experiences, segments(rng)), shoppers, repeats)
    decisions = {each.inputs.unit: decide(experiences, each.inputs) for each in shoppers}
    result["encode us"] = median_us(
        lambda each: encode_answer(decisions[each.inputs.unit], "d", "t"), shoppers, repeats
    )
    result["winners"] = statistics.mean(
        sum(name is not None for name in winners_of(experiences, each).values()) for each in shoppers
    )
    if peers:
        peer = growthbook(rules)
        few = shoppers[: max(3, 20_000 // count)]
        result["compared"] = compare(experiences, peer, few)
        result["growthbook us"] = median_us(peer, few, 3)
        result["closures us"] = median_us(closures(conditions), few, 3)
        result["ratio"] = result["growthbook us"] / result["decide us"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,100,1000,10000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    shoppers = [shopper(number) for number in range(SHOPPERS)]
    rows = [row(size, random.Random(size), shoppers, peers=size <= 10_000) for size in sizes]
    names = list(rows[0])
    print(" | ".join(f"{name:>13}" for name in names))
    for each in rows:
        cells = [each.get(name, "") for name in names]
        print(" | ".join(f"{cell:13.2f}" if isinstance(cell, float) else f"{cell:>13}" for cell in cells))


if __name__ == "__main__":
    main()
