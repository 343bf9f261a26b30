"""Visits as the rows tell them, beside the data's own session ids: a few words a shopper, whatever the file's size.

Rows of one shopper are taken in the order of the file. Where that is the order of time (the usual case), the count
explains every difference: ``gap sessions = given + resumed + split - joined``.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from cashwrap.sessions import GAP

_GAP = timedelta(milliseconds=GAP)
_CART = frozenset({"Product Added"})


class _Visit(Struct):
    newest: datetime
    session: object
    cart: bool


class Visits(Struct):
    """Counts over all shoppers."""

    count: int = 0
    """Visits by a gap of 30 minutes."""
    carts: int = 0
    """Visits in which something was put into the cart."""
    split: int = 0
    """Places where one given session holds a gap of 30 minutes or more."""
    joined: int = 0
    """Places where a shopper's next given session begins within 30 minutes."""
    unordered: int = 0
    """Rows older than the one before of the same shopper."""
    runs: int = 0
    given: set[object] = set()
    shoppers: dict[object, _Visit] = {}

    def see(self, shopper: object, moment: datetime, session: object, event: str) -> None:
        """Take one event; ``session`` is ``None`` where the data have no sessions of their own."""
        cart = event in _CART
        visit = self.shoppers.get(shopper)
        if visit is None:
            self.shoppers[shopper] = _Visit(moment, session, cart)
            self.count += 1
            self.carts += cart
            self._run(session)
            return
        near = moment - visit.newest < _GAP
        if moment < visit.newest:
            self.unordered += 1
        else:
            visit.newest = moment
        if session is not None and session != visit.session:
            visit.session = session
            self._run(session)
            self.joined += near
        elif session is not None:
            self.split += not near
        if not near:
            self.count += 1
            visit.cart = False
        self.carts += cart and not visit.cart
        visit.cart = visit.cart or cart

    def _run(self, session: object) -> None:
        if session is not None:
            self.given.add(session)
            self.runs += 1

    @property
    def resumed(self) -> int:
        """How often a given session goes on after another one of the same shopper, or for another shopper."""
        return self.runs - len(self.given)
