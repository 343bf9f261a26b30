"""The one place where heavy rooms come in: those that only some commands and jobs need, most with an extra."""

from importlib import import_module
from typing import Any, Literal

from cashwrap.errors import CashwrapError


def part_of(room: Literal["analysis", "learning", "console"], module: str) -> Any:
    """A module of a room that needs the extra of its name. Raises ``CashwrapError`` (``extra_missing``)."""
    try:
        return import_module(f"cashwrap.{room}.{module}")
    except ImportError as error:
        if (error.name or "").startswith("cashwrap"):
            raise
        message = f"This needs {error.name}, which is not installed. Install cashwrap[{room}]"
        raise CashwrapError(message, code="extra_missing") from error
