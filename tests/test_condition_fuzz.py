"""20,000 conditions made from the grammar; ``make fuzz`` runs a million. Planted bugs must be seen by it."""

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cashwrap.condition.ast import And, Or
from cashwrap.condition.dimension import Dimension
from fuzz_conditions import fuzz

CONDITIONS = 20_000
PARTS = 4
"""Parts of the suite's share, so that several workers can take them."""


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_written_is_refused_or_means_one_thing(part: int) -> None:
    each = CONDITIONS // PARTS
    seen = fuzz(each, first=10_000_000 + part * each)
    assert seen["accepted"] + seen["refused"] == each
    assert min(seen["accepted"], seen["refused"]) > each / 5
    assert min(seen[True], seen[False], seen[None]) > each / 20


def module(name: str) -> Any:
    return sys.modules[f"cashwrap.condition.{name}"]


def crash_on_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module("parse").unquote
    monkeypatch.setattr(module("parse"), "unquote", lambda token: plain(token).encode("ascii").decode())


def compare_as_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(value: object) -> bool:
        return isinstance(value, int | Decimal)

    monkeypatch.setitem(module("evaluate")._GUARDS, "number", guard)


def cost_without_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module("check").measure
    monkeypatch.setattr(module("check"), "measure", lambda node: (1, plain(node)[1]))


def arms_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = module("arms")
    plain = arms.Arms._arms

    def swapped(self: Any, node: Any, *, wanted: bool) -> Any:
        return plain(self, And(node.operands) if isinstance(node, Or) and not wanted else node, wanted=wanted)

    monkeypatch.setattr(arms.Arms, "_arms", swapped)


def prefixes_that_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dimension, "begun", lambda self, text: 4 + len(self.prefixes))


def wire_without_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module("wire").constant_to_wire

    def unsigned(value: Any) -> Any:
        return plain(abs(value)) if isinstance(value, Decimal | int) and not isinstance(value, bool) else plain(value)

    monkeypatch.setattr(module("wire"), "constant_to_wire", unsigned)


@pytest.mark.parametrize(
    "plant",
    [
        crash_on_escapes,
        compare_as_floats,
        cost_without_sets,
        arms_swapped,
        prefixes_that_nothing_ends,
        wire_without_a_sign,
    ],
)
def test_a_planted_bug_is_seen(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, ValueError, IndexError)):
        fuzz(3_000)
