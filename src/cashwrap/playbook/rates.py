"""What other currencies are worth in the shop's own, by the day: what amounts of theirs count as in reports."""

import re
from decimal import Decimal

from cashwrap.model import Millis
from cashwrap.playbook.document import Node
from cashwrap.playbook.json_schema import DAY
from cashwrap.playbook.schedule import read_step
from cashwrap.playbook.shape import Shape, is_currency

MAX_CURRENCIES = 200
MAX_CHANGES = 5_000
"""Days on which a rate may change: one a day for more than ten years."""
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")
Rates = dict[str, tuple[tuple[Millis, str], ...]]


def read_rates(shape: Shape, node: Node, currency: str, zone: str) -> Rates:
    """The rates by currency, each from a moment on (0 for always); exact, as written. ``zone`` is the shop's."""
    entries = shape.entries(node, "rates")
    if len(entries) > MAX_CURRENCIES:
        shape.fail(node, "too_many", f"a shop may have rates of {MAX_CURRENCIES} currencies")
        return {}
    return {
        name: _changes(shape, value, zone) for name, value in entries.items() if _other(shape, name, value, currency)
    }


def _other(shape: Shape, name: str, node: Node, currency: str) -> bool:
    if not is_currency(name):
        message = f"{name!r} is not a currency; write its ISO 4217 code, such as USD"
        shape.faults.error(shape.key_spot(node), "unknown_currency", message)
        return False
    if name == currency:
        message = f"{name} is the shop's own currency; rates are those of others in it"
        shape.faults.error(shape.key_spot(node), "bad_value", message)
        return False
    return True


def _changes(shape: Shape, node: Node, zone: str) -> tuple[tuple[Millis, str], ...]:
    """A number, which holds always, or numbers by the day they hold from."""
    if not isinstance(node.value, dict):
        return ((0, _rate(shape, node)),)
    if not node.value:
        shape.fail(node, "empty", "write a number, or numbers by the day each holds from, such as 2026-01-01: 0.92")
    if len(node.value) > MAX_CHANGES:
        shape.fail(node, "too_many", f"a rate may change {MAX_CHANGES} times")
        return ()
    found: list[tuple[Millis, str]] = []
    for day, value in node.value.items():
        if not re.fullmatch(DAY, day):
            message = f"{day[:40]!r} is not a day; write it as 2026-01-01"
            shape.faults.error(shape.key_spot(value), "bad_value", message)
            continue
        since = read_step(shape, value, day, zone)
        if since is not None and found and since <= found[-1][0]:
            shape.faults.error(shape.key_spot(value), "bad_value", f"{day} is not after the day before it")
        elif since is not None:
            found.append((since, _rate(shape, value)))
    return tuple(found)


def _rate(shape: Shape, node: Node) -> str:
    """A positive number, exactly as written."""
    scalar = isinstance(node.value, int | Decimal | str) and not isinstance(node.value, bool)
    if not scalar or not _RATE.fullmatch(node.text) or not Decimal(node.text):
        shape.fail(
            node, "wrong_type", "a rate is a number above 0, such as 0.92, with at most 12 digits after the point"
        )
        return "1"
    return node.text
