"""What people read of a ledger's books, over the same named statements as its rules (``bookkeeping.py``)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from cashwrap.ledger import CodeCount, Entry, Holding, Move, Reservation
from cashwrap.model import Millis, Tenant

_LINE = 8
"""The columns of a line, before those of its reservation."""
_T = TypeVar("_T")


class Run(Protocol):
    """Runs one named statement in the transaction that is open, and answers all its rows."""

    def __call__(self, name: str, /, **values: object) -> list[tuple[Any, ...]]:
        """``values`` by the names that the statement gives its parameters."""


class BookReader(ABC):
    """The port ``Books`` over a database that runs our statements."""

    @abstractmethod
    def _read(self, work: Callable[[Run], _T]) -> _T:
        """Run it on what was committed last, all of it at one moment."""

    def moves(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Move]:
        """Lines with a greater sequence, ascending, each with its reservation."""
        rows = self._read(lambda run: run("moves", tenant=tenant.name, after=after, limit=limit))
        return [_move(tenant, row) for row in rows]

    def holding(self, tenant: Tenant) -> list[Holding]:
        """What is reserved now, by offer and currency."""
        return [Holding(*row) for row in self._read(lambda run: run("holding", tenant=tenant.name))]

    def code_counts(self, tenant: Tenant) -> dict[str, CodeCount]:
        """Codes by the offer that they open. Reads all of them."""
        name = tenant.name
        made, used = self._read(lambda run: (run("codes_made", tenant=name), run("codes_used", tenant=name)))
        often = dict(used)
        return {offer: CodeCount(count, often.get(offer, 0)) for offer, count in made}

    def refusals(self, tenant: Tenant, since: Millis) -> dict[tuple[str, Millis], int]:
        """How many requests were refused, by reason and hour (its first millisecond), as long as answers are kept."""
        rows = self._read(lambda run: run("refusals", tenant=tenant.name, since=since))
        return {(reason, hour): count for reason, hour, count in rows}


def _move(tenant: Tenant, row: tuple[Any, ...]) -> Move:
    entry = Entry(*row[:_LINE])
    amount, *rest = row[_LINE:]
    return Move(entry, Reservation(entry.reservation, tenant, entry.offer, entry.currency, amount, *rest))
