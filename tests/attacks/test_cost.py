"""Input made to be slow: what one request costs is bounded by its size, since decisions wait behind it."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from cashwrap.events.scrub import scrub

LENGTH = 1024


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python the work takes: the same on every machine."""
    count = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", ["9 ", "4 ", "4-3 ", "49", "٤ ", "2 7 "])
def test_a_text_of_nothing_but_digits_is_searched_once(piece: str) -> None:
    """Fifteen such events once held up all decisions for five seconds."""
    text = piece * (LENGTH // len(piece))
    assert lines_run(lambda: scrub(text)) < 20 * LENGTH


@pytest.mark.parametrize("text", ["a" * 1023 + "@", "a%40" * 256, "a@" * 512, "a." * 511 + "@b"])
def test_a_text_that_is_almost_an_address_is_searched_once(text: str) -> None:
    assert scrub(text) == text
    assert lines_run(lambda: scrub(text)) < 20 * LENGTH


@pytest.mark.parametrize("glue", ["\t", "\r\n", "\u2011", "\u2014", "\u200b", "\u2212"])
def test_a_card_copied_from_a_document_is_removed(glue: str) -> None:
    assert scrub(glue.join(["4111", "1111", "1111", "1111"])) == "[removed]"
