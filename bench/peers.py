"""The same rules in three published engines, each by the fastest way it offers.

What a peer is spared: the shopper's attributes are turned into what it reads before the clock starts, segments
included, and it says only which experience wins where. It makes no consent lens, no segments, no content.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import datalogic_py
import msgspec
from cel_expr_python import cel
from growthbook import GrowthBook

from bench.shop import PLACEMENTS, Experience

Winners = tuple[str | None, ...]
"""The experience of each placement, in their order; ``None`` for the shop's default."""
_NAMES = tuple(f"p{number}" for number in range(PLACEMENTS))


class Peer(NamedTuple):
    """An engine: ``prepare`` makes of JSON attributes what it reads, ``decide`` is what is timed."""

    name: str
    prepare: Callable[[dict[str, Any]], Any]
    decide: Callable[[Any], Winners]


def _by_placement(experiences: list[Experience]) -> list[list[Experience]]:
    listed: dict[str, list[Experience]] = {name: [] for name in _NAMES}
    for each in experiences:
        listed[each.placement].append(each)
    return list(listed.values())


def growthbook(experiences: list[Experience]) -> Peer:
    """One feature a placement, one forced rule an experience: it stops at the first that holds."""
    features: dict[str, Any] = {
        name: {
            "defaultValue": None,
            "rules": [{"condition": each.rule.growthbook, "force": each.name} for each in listed],
        }
        for name, listed in zip(_NAMES, _by_placement(experiences), strict=True)
    }
    client = GrowthBook(features=features)

    def decide(attributes: dict[str, Any]) -> Winners:
        client.set_attributes(attributes)
        return tuple(client.eval_feature(name).value for name in _NAMES)

    return Peer("growthbook", lambda attributes: attributes, decide)


def cel_expr(experiences: list[Experience]) -> Peer:
    """Every condition compiled; in order of priority, up to the first that is true. An error is its unknown."""
    roots = "cart checkout device location page time traits segments session category_views".split()  # noqa: SIM905
    plain = "language orders sessions spent session_views coupons_tried".split()  # noqa: SIM905
    environment = cel.NewEnv(variables=dict.fromkeys([*roots, *plain], cel.Type.DYN))
    known = frozenset([*roots, *plain])
    compiled = [
        [(environment.compile(each.rule.cel), each.name) for each in listed] for listed in _by_placement(experiences)
    ]

    def prepare(attributes: dict[str, Any]) -> Any:
        return environment.Activation({name: value for name, value in attributes.items() if name in known})

    def decide(activation: Any) -> Winners:
        return tuple(_first(listed, activation) for listed in compiled)

    return Peer("cel-expr-python", prepare, decide)


def _first(listed: list[tuple[Any, str]], activation: Any) -> str | None:
    for expression, name in listed:
        if expression.eval(activation).value() is True:
            return name
    return None


def datalogic_all(experiences: list[Experience]) -> Peer:
    """All rules in one native call, then the first true one of each placement: every match, as our index finds it."""
    engine = datalogic_py.Engine()
    session = engine.session()
    listed = _by_placement(experiences)
    compiled = [engine.compile(msgspec.json.encode(each.rule.jsonlogic).decode()) for part in listed for each in part]
    spans, start = [], 0
    for part in listed:
        spans.append((start, start + len(part), [each.name for each in part]))
        start += len(part)

    def decide(data: Any) -> Winners:
        found = session.evaluate_many(compiled, data)
        winners: list[str | None] = []
        for first, stop, names in spans:
            part = found[first:stop]
            winners.append(names[part.index("true")] if "true" in part else None)
        return tuple(winners)

    return Peer("datalogic-py, all rules", _handle, decide)


def datalogic_first(experiences: list[Experience]) -> Peer:
    """One ``if`` chain a placement, so that it stops at the first rule that holds, and one native call for all."""
    engine = datalogic_py.Engine()
    session = engine.session()
    chains = []
    for listed in _by_placement(experiences):
        branches = [part for each in listed for part in (each.rule.jsonlogic, each.name)]
        chains.append(engine.compile(msgspec.json.encode({"if": [*branches, None]}).decode()))
    decode = msgspec.json.Decoder(str | None).decode

    def decide(data: Any) -> Winners:
        return tuple(decode(each) for each in session.evaluate_many(chains, data))

    return Peer("datalogic-py, first match", _handle, decide)


def _handle(attributes: dict[str, Any]) -> datalogic_py.DataHandle:
    return datalogic_py.DataHandle(msgspec.json.encode(attributes).decode())


Make = Callable[[list[Experience]], Peer]
PEERS: tuple[Make, ...] = (growthbook, cel_expr, datalogic_all, datalogic_first)
