"""Bad input: whatever is written is refused in bounded time and memory, with a code and a place, or is cheap."""

import inspect
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from cashwrap.condition import Checked, ConditionErrors, check, excessive_segments
from cashwrap.condition.arms import MAX_ARMS, MAX_TESTS, Arms
from cashwrap.condition.ast import Literal
from cashwrap.condition.check import MAX_MESSAGE
from cashwrap.condition.cost import MAX_COST, MAX_SEGMENT_DEPTH, MAX_SEGMENTS_COST
from cashwrap.condition.environment import COMPARED, did_you_mean
from cashwrap.condition.evaluate import compile_node, explain
from cashwrap.condition.parse import MAX_DEPTH, MAX_LIST, MAX_NODES
from condition_language import ENVIRONMENT

BIG = 10 * 1024 * 1024
FRAMES = 400
"""Frames that a condition may need on top of what already runs; Python allows 1,000 at least."""


def first_mistake(source: str) -> tuple[str, int]:
    with pytest.raises(ConditionErrors) as refused:
        check(source, ENVIRONMENT)
    for error in refused.value.errors:
        assert len(error.message) <= MAX_MESSAGE
        assert len(error.hint) <= MAX_MESSAGE
        assert 0 <= error.offset <= len(source)
    return refused.value.code, refused.value.offset


@pytest.mark.parametrize(
    ("source", "code", "offset"),
    [
        ("a" * BIG, "too_long", 4096),
        ("(" * BIG, "too_long", 4096),
        ("orders > 3 // " + "x" * BIG, "too_long", 4096),
        ("\u202e" * BIG, "too_long", 4096),
        ("(" * 10_000, "too_long", 4096),
        ("(" * 4096, "too_deep", MAX_DEPTH),
        ("(" * 2048 + ")" * 2048, "too_deep", MAX_DEPTH),
        ("!" * 4096, "too_deep", MAX_DEPTH),
        ("f(" * 2048, "too_deep", 2 * MAX_DEPTH + 1),
        ("!(" * 2048, "too_deep", MAX_DEPTH),
        ("[" * 4096, "unexpected_token", 1),
        ("has(" * 1024, "too_deep", 4 * MAX_DEPTH + 3),
        ("a[" * 2048, "unexpected_token", 2),
        ("a." * 2048, "unexpected_end", 4096),
        ("a" + ".a" * 2047, "unknown_attribute", 0),
        ("a" * 4096, "unknown_attribute", 0),
        ('"' * 4095, "not_supported", 0),
        ('"' + "\\" * 4095, "unterminated_string", 0),
        ('"' + "\\\\" * 2047, "unterminated_string", 0),
        ("'\"" * 2048, "unterminated_string", 4095),
        ("1" * 4096, "bad_number", 0),
        ("1." * 2048, "unexpected_token", 3),
        ("1e" * 2048, "bad_number", 0),
        ("-" * 4096, "not_supported", 0),
        ("a<" * 2048, "unexpected_token", 3),
        ("true&&" * 682 + "true", "too_many_nodes", 6 * MAX_NODES // 2),
        ("orders in [" + "1," * 2040 + "]", "list_too_long", 11 + 2 * MAX_LIST),
        (" || ".join(['"a" in wishlist'] * 101), "too_costly", 0),
        ("\x00" * 4096, "hidden_character", 0),
        ("\ud800" * 4096, "unexpected_character", 0),
        ("e\u0301" * 2048, "not_normalized", 0),
        ('locale == "' + "\u0301" * 4000 + '"', "hidden_character", 11),
        ("\ufdfa" * 4096, "unexpected_character", 0),
        ("// " + "\u202e", "hidden_character", 3),
    ],
    ids=lambda value: None if isinstance(value, int) else value[:12].encode("unicode_escape").decode(),
)  # fmt: skip
def test_a_bomb_is_refused_where_it_goes_off_in_little_memory(source: str, code: str, offset: int) -> None:
    tracemalloc.start()
    try:
        found = first_mistake(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == (code, offset)
    assert peak < 5_000_000


def deepest() -> list[str]:
    """Every way to nest, as deep as is let through."""
    inner = "orders > 1"
    sources = ["(" * MAX_DEPTH + inner + ")" * MAX_DEPTH, "!" * MAX_DEPTH + "subscribed"]
    for joint in ("&&", "||"):
        mixed = inner
        for level in range(MAX_DEPTH // 2):
            mixed = f"!({mixed} {joint if level % 2 else '||'} subscribed)"
        sources.append(mixed)
    return sources


def with_few_frames(call: Callable[[], Any]) -> Any:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + FRAMES)
    try:
        return call()
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("source", deepest())
def test_the_deepest_condition_needs_few_frames(source: str) -> None:
    def everything() -> None:
        checked = check(source, ENVIRONMENT)
        Arms().of(checked.node)
        compile_node(checked.node)({})
        explain(checked, {})

    with_few_frames(everything)


@pytest.mark.parametrize("source", ["(" * 4096, "!" * 4096, "f(" * 2048, "!(" * 2048])
def test_a_deeper_one_is_refused_in_as_few(source: str) -> None:
    assert with_few_frames(lambda: first_mistake(source))[0] == "too_deep"


def test_planted_a_parser_without_a_limit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["cashwrap.condition.parse"], "MAX_DEPTH", 10**6)
    with pytest.raises(RecursionError):
        with_few_frames(lambda: first_mistake("(" * 4096))


def test_tests_multiply_up_to_a_limit() -> None:
    one = " && ".join(f"orders != {number}" for number in range(30))
    either = " && ".join(f"(cart.count == {number} || rating == {number})" for number in range(6))
    arms, complete = Arms().of(check(f"{one} && {either}", ENVIRONMENT).node)
    assert len(arms) == 1
    assert not complete
    arms, complete = Arms().of(check(f"orders != 1 && {either}", ENVIRONMENT).node)
    assert (len(arms), complete) == (MAX_ARMS, True)
    assert sum(map(len, arms)) <= MAX_TESTS


def test_a_name_is_compared_with_few_others() -> None:
    names = [f"segment_{number}" for number in range(50_000)]
    assert did_you_mean("segmant_17", names) != ""
    assert did_you_mean("x" * 4000, names) == ""
    assert did_you_mean("vi", ["vip"] + ["other"] * COMPARED) == "did you mean vip?"


# --- segments ---


def made(cost: int = 1, *needs: str) -> Checked:
    return Checked("", Literal(value=True), cost, tuple(f"segments.{name}" for name in needs))


def chain(length: int) -> dict[str, Checked | None]:
    return {"s0": made()} | {f"s{at}": made(1, f"s{at - 1}") for at in range(1, length)}


def excess(segments: dict[str, Checked | None]) -> list[tuple[str, str]]:
    return [(name, error.code) for name, error in excessive_segments(segments)]


def test_segments_may_cost_and_nest_up_to_their_limits() -> None:
    assert excess({}) == []
    assert excess(chain(MAX_SEGMENT_DEPTH)) == []
    assert excess(chain(MAX_SEGMENT_DEPTH + 1)) == [(f"s{MAX_SEGMENT_DEPTH}", "too_deep")]
    assert excess(dict(reversed(chain(5000).items()))) == [(f"s{MAX_SEGMENT_DEPTH}", "too_deep")]
    many = {f"s{at}": made(MAX_COST) for at in range(MAX_SEGMENTS_COST // MAX_COST)}
    assert excess({**many, "pushed": None}) == []
    assert excess({**many, "more": made(2)}) == [("s0", "too_costly")]


def test_cycles_and_unknown_segments_are_left_to_others() -> None:
    assert excess({"a": made(1, "b"), "b": made(1, "c"), "c": made(1, "a"), "d": made(1, "d", "gone")}) == []


def test_a_braid_is_counted_in_little_time() -> None:
    """Each reads all before it: as many paths as 2 to the 25th, and 300 edges."""
    assert excess({f"s{at}": made(1, *(f"s{below}" for below in range(at))) for at in range(25)}) == []
