"""How a feature's value reads: spread over the paths that conditions name, in the units and types they have there."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cashwrap.aggregates import DECAYED_SCALE
from cashwrap.condition.ast import keyed
from cashwrap.condition.environment import Type
from cashwrap.declarations import FeatureDecl, Kind
from cashwrap.extract import NUMBER_PLACES
from cashwrap.model import Value

Reader = Callable[[dict[str, Value], Any], None]
"""Spreads an aggregate's value over the paths that conditions name."""
ADDITIVE = frozenset({"count", "sum", "decayed"})
"""Measures whose keys add up to a total."""
_quoted = lru_cache(maxsize=8192)(keyed)


def _unit(decl: FeatureDecl, kind: Kind) -> Callable[[int], int | Decimal]:
    """How an integer of the state reads."""
    if kind == "number":
        return lambda whole: Decimal(whole).scaleb(-NUMBER_PLACES)
    if decl.measure == "decayed" and kind != "money":
        return lambda whole: Decimal(whole) / DECAYED_SCALE
    return lambda whole: whole


def reader(name: str, decl: FeatureDecl, kind: Kind) -> Reader:
    """How the aggregate's value of this feature is told."""
    if decl.by is not None:
        return _split_reader(name, decl, kind)
    if decl.measure in ("first", "last"):
        return _edge_reader(name, decl, kind)
    unit = _unit(decl, kind)
    reads: Callable[[Any], Value]
    match decl.measure:
        case "distinct":
            reads = len
        case "top":
            reads = _largest
        case "average" if kind == "number":
            reads = _scaled_average
        case "average" | "rate":
            reads = _pair
        case _:
            reads = unit

    def read(found: dict[str, Value], value: Any) -> None:
        known = None if value is None else reads(value)
        if known is not None:
            found[name] = known

    return read


def _pair(value: tuple[int, int]) -> Value:
    return value


def _scaled_average(value: tuple[int, int]) -> Value:
    """The sum is in 1/10,000: so many times the count keeps the quotient exact."""
    return value[0], value[1] * 10**NUMBER_PLACES


def _edge_reader(name: str, decl: FeatureDecl, kind: Kind) -> Reader:
    unit = _unit(decl, kind)
    ago = f"{name}.days_ago"

    def read(found: dict[str, Value], value: Any) -> None:
        if value is not None:
            if decl.of is not None:
                found[name] = unit(value[0])
            found[ago] = value[1]

    return read


def _split_reader(name: str, decl: FeatureDecl, kind: Kind) -> Reader:
    unit = _unit(decl, kind)
    distinct, largest, total, top = f"{name}.distinct", f"{name}.max", f"{name}.total", f"{name}.top"
    of_sets, additive = decl.measure == "distinct", decl.measure in ADDITIVE

    def read(found: dict[str, Value], value: Any) -> None:
        sizes: dict[str, int] = {key: len(part) for key, part in value.items()} if of_sets else value
        for key, size in sizes.items():
            found[_quoted(name, key)] = unit(size)
        found[distinct] = len(sizes)
        found[largest] = unit(max(sizes.values(), default=0))
        if additive:
            found[total] = unit(sum(sizes.values()))
        if sizes:
            found[top] = _largest(sizes)

    return read


def _largest(sizes: Mapping[str, int]) -> str | None:
    """The key with the largest size; of several the first in the alphabet."""
    return min(sizes, key=lambda key: (-sizes[key], key), default=None)


def types(name: str, decl: FeatureDecl, kind: Kind) -> dict[str, Type]:
    """What conditions may name, with types; ``name[*]`` stands for every key."""
    money = kind == "money" and decl.measure != "distinct"
    amount = Type.MONEY if money else Type.NUMBER
    if decl.by is not None:
        found = {
            f"{name}[*]": amount,
            f"{name}.max": amount,
            f"{name}.distinct": Type.NUMBER,
            f"{name}.top": Type.STRING,
        }
        return found | {f"{name}.total": amount} if decl.measure in ADDITIVE else found
    match decl.measure:
        case "top":
            return {name: Type.STRING}
        case "average":
            return {name: Type.MONEY_AVERAGE if money else Type.AVERAGE}
        case "rate":
            return {name: Type.AVERAGE}
        case "first" | "last":
            ago = {f"{name}.days_ago": Type.NUMBER}
            return ago if decl.of is None else {name: _SCALARS.get(kind, Type.STRING), **ago}
        case _:
            return {name: amount}


_SCALARS = {
    "money": Type.MONEY,
    "integer": Type.NUMBER,
    "number": Type.NUMBER,
    "time": Type.TIME,
    "boolean": Type.BOOL,
}
