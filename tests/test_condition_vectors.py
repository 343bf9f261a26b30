"""spec/vectors/conditions.json against our evaluator, and planted bugs against the vectors."""

import importlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import condition_vectors
from cashwrap.condition import ConditionErrors, Environment, Type, check, compile_condition, explain
from cashwrap.condition.constants import to_millis
from cashwrap.condition.wire import from_wire

DOCUMENT = json.loads(condition_vectors.FILE.read_text(encoding="utf-8"))
ENVIRONMENTS = {
    name: Environment(
        {path: Type[kind.upper()] for path, kind in entry["types"].items()},
        frozenset(entry["segments"]),
        entry["currency"],
        entry["digits"],
    )
    for name, entry in DOCUMENT["environments"].items()
}
checking = importlib.import_module("cashwrap.condition.check")
evaluating = importlib.import_module("cashwrap.condition.evaluate")


def answer(case: dict[str, Any]) -> object:
    """What we say to a case: true, false, "unknown", or the errors."""
    try:
        checked = check(case["expression"], ENVIRONMENTS[case["environment"]])
    except ConditionErrors as refused:
        return [{"code": error.code, "offset": error.offset} for error in refused.errors]
    values = {name: condition_vectors.decode(value) for name, value in case.get("values", {}).items()}
    result = compile_condition(checked)(values)
    assert explain(checked, values).result is result
    return "unknown" if result is None else result


def failures() -> list[str]:
    """The cases we answer wrong. ``is`` for booleans: 1 is not true."""
    wrong = []
    for case in DOCUMENT["cases"]:
        expected = case["errors"] if "errors" in case else case["expected"]
        found = answer(case)
        if type(found) is not type(expected) or found != expected:
            wrong.append(f"{case['expression']} {case.get('values')}: expected {expected}, found {found}")
    return wrong


def test_the_evaluator_passes_every_vector() -> None:
    assert failures() == []


def test_the_compiled_form_answers_the_same() -> None:
    """What the file carries for evaluators that do not parse, read back and evaluated."""
    for case in DOCUMENT["cases"]:
        assert ("compiled" in case) is ("expected" in case), case["expression"]
        if "compiled" in case:
            values = {name: condition_vectors.decode(value) for name, value in case["values"].items()}
            found = evaluating.compile_node(from_wire(case["compiled"]))(values)
            expected = None if case["expected"] == "unknown" else case["expected"]
            assert found is expected, case["expression"]


def test_the_file_is_what_the_generator_writes() -> None:
    assert condition_vectors.FILE.read_text(encoding="utf-8") == condition_vectors.text()


def test_there_are_enough_cases_of_every_answer() -> None:
    answers = ["error" if "errors" in case else case["expected"] for case in DOCUMENT["cases"]]
    assert len(answers) >= 750
    assert all(answers.count(kind) >= 80 for kind in (True, False, "unknown", "error"))


# --- planted bugs: each must be caught ---


def unknown_is_false_under_negation(part: Callable[..., Any]) -> Callable[..., Any]:
    return lambda values: not part(values)


def and_that_passes_unknown(parts: list[Callable[..., Any]]) -> Callable[..., Any]:
    return lambda values: all(part(values) is not False for part in parts)


def and_that_stops_at_unknown(parts: list[Callable[..., Any]]) -> Callable[..., Any]:
    def evaluate(values: Any) -> bool | None:
        for part in parts:
            found = part(values)
            if not found:
                return found
        return True

    return evaluate


def or_that_drops_unknown(parts: list[Callable[..., Any]]) -> Callable[..., Any]:
    return lambda values: any(part(values) for part in parts)


def flag_that_takes_anything(name: str) -> Callable[..., Any]:
    return lambda values: None if values.get(name) is None else bool(values[name])


def has_that_asks_for_truth(node: Any) -> Callable[..., Any]:
    return lambda values: bool(values.get(node.name))


def average_by_whole_division(
    left: Callable[..., Any], apply: Callable[..., Any], limit: Decimal
) -> Callable[..., Any]:
    def evaluate(values: Any) -> bool | None:
        pair = left(values)
        return apply(pair[0] // pair[1], limit) if isinstance(pair, tuple) and pair[1] else None

    return evaluate


def average_of_nothing_is_zero(
    left: Callable[..., Any], apply: Callable[..., Any], limit: Decimal
) -> Callable[..., Any]:
    def evaluate(values: Any) -> bool | None:
        pair = left(values)
        return apply(pair[0], pair[1] * limit) if isinstance(pair, tuple) else None

    return evaluate


def money_by_float(amount: int | Decimal, digits: int) -> int:
    return int(float(amount) * 10**digits)


def without_offset(text: str) -> int | None:
    return to_millis(text[:19] + "Z")


BUGS = {
    "unknown is false under negation": (evaluating, "_not", unknown_is_false_under_negation),
    "and passes unknown": (evaluating, "_and", and_that_passes_unknown),
    "and stops at unknown": (evaluating, "_and", and_that_stops_at_unknown),
    "or drops unknown": (evaluating, "_or", or_that_drops_unknown),
    "a flag takes anything": (evaluating, "_flag", flag_that_takes_anything),
    "has asks for truth": (evaluating, "_has", has_that_asks_for_truth),
    "a bool is a number": (evaluating, "_is_number", lambda value: isinstance(value, int | Decimal)),
    "averages divide": (evaluating, "_compare_average", average_by_whole_division),
    "an average over nothing is zero": (evaluating, "_compare_average", average_of_nothing_is_zero),
    "money goes through float": (checking, "to_minor", money_by_float),
    "2.10 comes before 2.9": (evaluating, "to_version", lambda text: text),
    "an offset is left out": (checking, "_CONVERSIONS", checking._CONVERSIONS | {"timestamp": without_offset}),
    "a turned comparison keeps its sign": (checking, "FLIPPED", {op: op for op in checking.FLIPPED}),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, broken = BUGS[bug]
    monkeypatch.setattr(module, name, broken)
    if name == "_is_number":  # the table of guards holds it too
        monkeypatch.setitem(evaluating._GUARDS, "number", broken)
    try:
        caught = failures()
    except Exception as error:
        caught = [repr(error)]
    assert caught
