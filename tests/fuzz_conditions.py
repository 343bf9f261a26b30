"""Conditions made from the grammar, sound, mutated and untyped, through every evaluator there is.

``python tests/fuzz_conditions.py 1000000`` runs that many (``make fuzz``); the suite runs 20,000. Each is read,
checked, compiled, evaluated as a closure, as JSON and in the index of a playbook of fifty, and all agree with the naive
oracle. Only ``ConditionError`` may be raised, and nothing is accepted whose cost is above the bound.
"""

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cashwrap.condition import Checked, ConditionErrors, check, compile_condition, from_wire, parse, to_text, to_wire
from cashwrap.condition.ast import walk
from cashwrap.condition.check import MAX_ERRORS
from cashwrap.condition.cost import MAX_COST, measure
from cashwrap.condition.evaluate import compile_node
from cashwrap.condition.index import Index, build_index
from cashwrap.condition.lex import MAX_LENGTH
from cashwrap.condition.parse import MAX_LIST, MAX_NODES
from condition_language import ENVIRONMENT, TYPES, Sampler, oracle

PLAYBOOK = 50
SHOPPERS = 2
NAMES = [*(path.replace("[*]", '["shoes"]') for path in TYPES if path != "traits.*"), "traits.city", "segments", "cart"]
PIECES = [
    "&&", "||", "!", "(", ")", "[", "]", ",", ".", "-", " in ", "has(", "size(", '"', "'", "\\", "==", "!=", "<", ">=",
    "1", "1.5", "e9", " ", "//", "\n", "true", "false", '"vip" in segments', "timestamp(", 'version("2.10.0")', "null",
    "x", '.startsWith("d")', "é", "\u202e", "\u200b", "\0", "e\u0301", "\u0430", "\ud800", "=", "?", "+", "1e400",
    "9" * 40,
    'timestamp("2026-12-24T18:00:00Z")', '"' + "a" * 70 + '"', "(((((((((((", "!" * 35, "[1,1,1]",
]  # fmt: skip
REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "conditions.md"
_TABLE = REFERENCE.read_text(encoding="utf-8").partition("## Mistakes")[2].partition("## For")[0]
MISTAKES = frozenset(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", _TABLE, re.MULTILINE))))
"""The documented ones."""


class Grammar:
    """Anything the grammar allows, whatever its types."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def either(self, depth: int = 3) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.35:
            return self.relation(depth)
        if pick < 0.5:
            return f"!({self.either(depth - 1)})"
        joint = self.random.choice([" && ", "||"])
        return joint.join(f"({self.either(depth - 1)})" for _ in range(self.random.randint(2, 4)))

    def relation(self, depth: int) -> str:
        op = self.random.choice(["==", "!=", "<", "<=", ">", ">=", " in "])
        return f"{self.value(depth)}{op}{self.value(depth)}" if self.random.random() < 0.8 else self.value(depth)

    def value(self, depth: int) -> str:
        kind = self.random.randrange(7)
        if kind < 3:
            return self.random.choice(NAMES)
        if kind == 3:
            return self.constant()
        if kind == 4:
            return f"[{','.join(self.constant() for _ in range(self.random.choice([0, 1, 2, 5])))}]"
        function = self.random.choice(["has", "size", "startsWith", "contains", "timestamp", "version", "matches"])
        args = (
            ",".join(self.value(max(0, depth - 1)) for _ in range(self.random.choice([0, 1, 1, 1, 2]))) if depth else ""
        )
        return f"{self.random.choice(NAMES)}.{function}({args})" if kind == 5 else f"{function}({args})"

    def constant(self) -> str:
        return self.random.choice(['"de"', "'mobile'", "3", "-2.5", "1e2", "true", "false", '""', "0.001", '"2.10"'])


def mutated(source: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        at, cut = rng.randint(0, len(source)), rng.choice([0, 0, 1, 2, 5, 20])
        piece = (
            rng.choice(PIECES) if rng.random() < 0.7 else source[rng.randint(0, len(source)) :][: rng.randint(0, 40)]
        )
        source = source[:at] + piece + source[at + cut :]
    return source * rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 50])


def written(seed: int) -> str:
    """One condition: half of them sound."""
    rng = random.Random(~seed)
    pick = rng.random()
    if pick < 0.5:
        return Sampler(seed).condition(depth=rng.choice([1, 2, 2, 3]))
    if pick < 0.7:
        return Grammar(seed).either()
    return mutated(Sampler(seed).condition(depth=2) if pick < 0.9 else Grammar(seed).either(2), rng)


def checked_or_refused(source: str) -> Checked | None:
    """Sound and within its limits, or refused with codes that are documented at places inside the source."""
    try:
        checked = check(source, ENVIRONMENT)
    except ConditionErrors as refused:
        errors = refused.errors
    else:
        errors = ()
    if errors:
        offsets = [error.offset for error in errors]
        assert len(offsets) <= MAX_ERRORS, source
        assert offsets == sorted(offsets), source
        assert 0 <= offsets[0] <= offsets[-1] <= len(source), source
        assert MISTAKES.issuperset(error.code for error in errors), source
        return None
    assert len(source) <= MAX_LENGTH
    assert checked.cost == measure(checked.node)[0] <= MAX_COST, source
    assert sum(1 for _ in walk(checked.node)) <= MAX_NODES + MAX_LIST * MAX_NODES
    return checked


class Counted(dict[str, object]):
    """Values that count how often they are asked for."""

    asked = 0

    def get(self, name: str, default: object = None) -> object:
        self.asked += 1
        return super().get(name, default)


def agree(source: str, checked: Checked, shoppers: list[dict[str, object]]) -> list[bool | None]:
    """What a condition says of each shopper; fails where an evaluator says something else."""
    tree, holds = parse(source), compile_condition(checked)
    again = compile_node(from_wire(json.loads(json.dumps(to_wire(checked.node)))))
    found: list[bool | None] = []
    for values in shoppers:
        counted = Counted(values)
        answer = holds(counted)
        assert counted.asked <= checked.cost, source
        assert answer is again(values), source
        assert answer is oracle(tree, values), f"{source} {values}"
        found.append(answer)
    return found


def standing(index: Index, values: Mapping[str, object]) -> list[int]:
    mask = index.matches(values, index.profile_mask(values))
    found: dict[int, None] = {}
    while mask:
        bit = (mask & -mask).bit_length() - 1
        mask &= mask - 1
        if index.holds(bit, values):
            found[index.owners[bit]] = None
    return list(found)


def round_of(seed: int, count: int, seen: Counter[Any]) -> None:
    """One playbook of ``count`` conditions."""
    rng = random.Random(seed)
    shoppers = [Sampler(seed * SHOPPERS + number).values(wrong=0.15) for number in range(SHOPPERS)]
    conditions: list[Checked] = []
    answers: list[list[bool | None]] = []
    for number in range(count):
        source = written(seed * PLAYBOOK + number)
        checked = checked_or_refused(source)
        seen["accepted" if checked is not None else "refused"] += 1
        if checked is None:
            continue
        conditions.append(checked)
        answers.append(agree(source, checked, shoppers))
        seen.update(answers[-1])
        if number % 5 == 0:
            assert to_text(parse(to_text(parse(source)))) == to_text(parse(source)), source
    kept = frozenset(name for name in NAMES if rng.random() < 0.5)
    index = build_index(list(enumerate(conditions)), kept.__contains__)
    for shopper, values in enumerate(shoppers):
        wanted = [position for position, found in enumerate(answers) if found[shopper] is True]
        assert standing(index, values) == wanted, f"seed {seed}"


def fuzz(count: int, first: int = 0) -> Counter[Any]:
    """How many of ``count`` conditions were accepted and refused, and what they said; fails at the first fault."""
    seen: Counter[Any] = Counter()
    for start in range(0, count, PLAYBOOK):
        round_of(first + start // PLAYBOOK, min(PLAYBOOK, count - start), seen)
    return seen


def main() -> None:
    count, done = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, 0
    seen: Counter[Any] = Counter()
    began = time.monotonic()
    while done < count:
        step = min(20_000, count - done)
        seen += fuzz(step, done // PLAYBOOK)
        done += step
        print(f"{done:,} conditions, {time.monotonic() - began:.0f} s: {dict(seen)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
