"""Offers for a Python program that holds its own engine: plain arguments in, plain structs out."""

import logging
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.model import Tenant
from cashwrap.offering import Offering
from cashwrap.offering.asked import HeldOffer, OfferReport, RedeemBody, ReleaseBody, ReserveBody, TakeBackBody

log = logging.getLogger("cashwrap")
LOOK = 0.25
"""Seconds between two looks at the limits, and at what is to be told and to expire."""
T = TypeVar("T")


class Offers:
    """What a shop's own code asks of the offers of its store.

    Every method may block, and raises what is wrong: ``InvalidInput`` for what cannot be understood, ``Conflict`` with
    the reason for what cannot be had, ``Unavailable`` where nothing can be kept now. ``key`` makes a change happen
    once: send a new one with each new request, and the same one when you ask again.
    """

    def __init__(self, offering: Offering, tenant: Tenant) -> None:
        self._offering = offering
        self._tenant = tenant
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        offering.availability.watch([tenant])

    def reserve(self, key: str, asked: Mapping[str, object]) -> HeldOffer:
        """Hold an offer for a cart. ``asked`` is what ``POST /v1/offers/reserve`` takes: the ``token`` that granted it
        or a ``code``, the ``cart`` and its ``currency``, who the ``shopper`` is; prices in major units."""
        return self._offering.desk.reserve(self._tenant, _fit(asked, ReserveBody), key)

    def redeem(self, key: str, reservation: str, order: str, amount: Decimal | None = None) -> HeldOffer:
        """Spend what is held, for an order; ``amount``, in major units, may be less than what is held."""
        body = {"reservation": reservation, "order": order, "amount": amount}
        return self._offering.desk.redeem(self._tenant, _fit(body, RedeemBody), key)

    def release(self, key: str, reservation: str) -> HeldOffer:
        """Give back what is held."""
        return self._offering.desk.release(self._tenant, _fit({"reservation": reservation}, ReleaseBody), key)

    def roll_back(
        self, key: str, *, reservation: str | None = None, order: str | None = None, amount: Decimal | None = None
    ) -> list[HeldOffer]:
        """Take a redemption back, or all of an order; ``amount``, in major units, for a part of the money."""
        body = {"reservation": reservation, "order": order, "amount": amount}
        return self._offering.desk.roll_back(self._tenant, _fit(body, TakeBackBody), key)

    def reservation(self, reservation: str) -> HeldOffer:
        """A reservation as it is now."""
        return self._offering.desk.reservation(self._tenant, reservation)

    def report(self) -> list[OfferReport]:
        """Every offer with its limits and how far they are."""
        return self._offering.desk.report(self._tenant)

    # --- the engine's ---

    def keep(self) -> None:
        """Look after the offers in the background from now on; may be called again."""
        if self._thread is None:
            self._look()
            self._thread = threading.Thread(target=self._run, name="cashwrap-offers", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End what ``keep`` began."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(LOOK):
            self._offering.tend()
            self._look()

    def _look(self) -> None:
        try:
            self._offering.look()
        except CashwrapError as error:
            log.warning("how far offers are could not be read: %s", error)


def _fit(body: Mapping[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_request") from None
