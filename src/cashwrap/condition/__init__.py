"""The condition language: a bounded, typed, side-effect-free subset of CEL with three-valued logic.

    checked = check('cart.total > 200 && "vip" in segments', environment)   # raises ConditionErrors, all at once
    holds = compile_condition(checked)
    holds({"cart.total": 25000, "segments.vip": True})                      # True, False, or None for unknown

``docs/reference/conditions.md`` is the language; ``spec/vectors/conditions.json`` pins its meaning for every
evaluator, in whatever language it is written.
"""

from cashwrap.condition.ast import Node, keyed, line_and_column, referenced_attributes, to_text
from cashwrap.condition.check import Checked, ConditionErrors, check
from cashwrap.condition.cost import excessive_segments
from cashwrap.condition.environment import Environment, Type
from cashwrap.condition.evaluate import Explanation, Predicate, Values, compile_condition, explain
from cashwrap.condition.parse import parse
from cashwrap.condition.restrict import restrict
from cashwrap.condition.wire import from_wire, to_wire
from cashwrap.errors import ConditionError

__all__ = [
    "Checked",
    "ConditionError",
    "ConditionErrors",
    "Environment",
    "Explanation",
    "Node",
    "Predicate",
    "Type",
    "Values",
    "check",
    "compile_condition",
    "excessive_segments",
    "explain",
    "from_wire",
    "keyed",
    "line_and_column",
    "parse",
    "referenced_attributes",
    "restrict",
    "to_text",
    "to_wire",
]
