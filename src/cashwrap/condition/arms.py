"""Conditions as alternatives of plain tests: negation pushed to the leaves, then disjunctive normal form.

A test is wanted true or wanted false, and where it is unknown it is neither. In Kleene's logic a condition is
true exactly if all tests of one of its arms come out as wanted, so nothing is lost on the way.
"""

from collections.abc import Iterable
from itertools import product

from cashwrap.condition.ast import And, Attribute, Compare, Literal, Node, Not, Or, to_text

MAX_ARMS = 64
"""Arms of one condition; more cost more than they save."""
MAX_TESTS = 2048
"""Tests in all arms of one condition together."""

Test = tuple[str, bool]
"""A predicate by its key, and how it must come out."""
Arm = tuple[Test, ...]
"""Tests that must all come out as wanted; an arm without tests always does."""


class Arms:
    """Turns conditions into arms, and keeps each different predicate once, in ``predicates`` by its key."""

    def __init__(self) -> None:
        self.predicates: dict[str, Node] = {}

    def of(self, node: Node) -> tuple[list[Arm], bool]:
        """The condition's arms, and whether all of it could be taken apart.

        Where the arms or their tests would be too many, the parts that multiply stay whole, as one predicate each.
        """
        arms = self._arms(node, wanted=True)
        if arms is not None and sum(map(len, arms)) <= MAX_TESTS:
            return arms, True
        parts = node.operands if isinstance(node, And) else (node,)
        split = [self._arms(part, wanted=True) for part in parts]
        whole = [
            found if found is not None and len(found) <= 1 else [self._test(part, wanted=True)]
            for part, found in zip(parts, split, strict=True)
        ]
        return _all(whole) or [], False

    def _arms(self, node: Node, *, wanted: bool) -> list[Arm] | None:
        match node:
            case Not(operand):
                return self._arms(operand, wanted=not wanted)
            case And(operands) | Or(operands):
                parts = [self._arms(operand, wanted=wanted) for operand in operands]
                known = [part for part in parts if part is not None]
                if len(known) < len(parts):
                    return None
                return _all(known) if isinstance(node, And) is wanted else _any(known)
            case Literal(value):
                return [()] if value is wanted else []
            case _:
                return [self._test(node, wanted=wanted)]

    def _test(self, node: Node, *, wanted: bool) -> Arm:
        key = _key(node)
        self.predicates.setdefault(key, node)
        return ((key, wanted),)


def _key(node: Node) -> str:
    """The same for predicates that say the same."""
    match node:
        case Attribute():
            return node.name
        case Compare(op, Attribute() as left, Literal(value), domain):
            return f"{domain} {left.name} {op} {value!r}"
        case Compare(domain=domain):
            return f"{domain} {to_text(node)}"
        case _:
            return to_text(node)


def _any(parts: list[list[Arm]]) -> list[Arm] | None:
    arms = list(dict.fromkeys(arm for part in parts for arm in part))
    return arms if len(arms) <= MAX_ARMS else None


def _all(parts: list[list[Arm]]) -> list[Arm] | None:
    count = 1
    for part in parts:
        count *= len(part)
    if count > MAX_ARMS:
        return None
    joined = (_join(choice) for choice in product(*parts))
    return list(dict.fromkeys(arm for arm in joined if arm is not None))


def _join(arms: Iterable[Arm]) -> Arm | None:
    """All tests of several arms, each once; ``None`` where one is wanted both true and false."""
    tests: dict[str, bool] = {}
    for arm in arms:
        for key, wanted in arm:
            if tests.setdefault(key, wanted) is not wanted:
                return None
    return tuple(tests.items())
