"""Offers at run time: what decisions may grant, what backends hold and spend, and what profiles learn of it.

``past`` and ``granted`` are for deciding and never wait. ``desk`` is for backends and may block. ``look`` reads the
limits anew, in every process; ``tend`` is for the one process that writes: it expires, tells and takes back.
"""

import logging
from collections.abc import Callable, Mapping

from cashwrap.errors import CashwrapError
from cashwrap.hot import HotProfile
from cashwrap.inputs import NO_PAST, Past
from cashwrap.keys import Keys
from cashwrap.model import Decision, Inputs, Millis, Minor, Tenant
from cashwrap.offering.around import Around
from cashwrap.offering.asked import HeldOffer, OfferReport, RedeemBody, ReleaseBody, ReserveBody, TakeBackBody
from cashwrap.offering.availability import Availability
from cashwrap.offering.desk import Desk
from cashwrap.offering.notices import Keep, Notices
from cashwrap.offering.promises import Promises
from cashwrap.offering.proof import Proof
from cashwrap.offering.refunds import Refunds
from cashwrap.records import Recorder
from cashwrap.window import Submission

__all__ = [
    "Around",
    "HeldOffer",
    "OfferReport",
    "Offering",
    "RedeemBody",
    "ReleaseBody",
    "ReserveBody",
    "TakeBackBody",
]

log = logging.getLogger("cashwrap")
EXPIRED_AT_ONCE = 1_000
"""Reservations that one look may let expire."""
EXPIRE_EVERY = 1.0
"""Seconds between two looks at what is over."""
BALANCES_EVERY = 2.5
"""Seconds between two looks at what is held and spent, for metrics."""
_NO_TOKENS: Mapping[str, str] = {}


class Offering:
    """The offers of one engine."""

    def __init__(self, around: Around, keep: Keep, keys: Keys) -> None:
        self._around = around
        self._keys = keys
        self.availability = Availability(around)
        proof = Proof(around.world.vault)
        self.promises = Promises(around, self.availability, proof)
        self.desk = Desk(around, self.availability, proof)
        self.notices = Notices(around, keep)
        self.refunds = Refunds(around, self.availability)
        self.balances: dict[tuple[Tenant, str, str], tuple[Minor, Minor]] = {}
        """What is held and spent, by store, offer and currency, as last looked at."""
        self._balanced_at = self._expired_at = float("-inf")
        self._failing: set[str] = set()

    # --- deciding ---

    def past(self, tenant: Tenant, hot: HotProfile | None, now: Millis) -> Callable[[int], Past]:
        """What stands against granting offers to a shopper, by the purposes that turn out to be allowed."""
        if not self._around.offers():
            return _nothing
        return lambda mask: self.promises.past(tenant, hot, mask, now)

    def granted(self, hot: HotProfile | None, inputs: Inputs, decision: Decision, *, shown: bool) -> Mapping[str, str]:
        """The tokens of what a decision grants, by offer; what was ``shown`` is remembered.

        Never raises: without a token a grant says what there would be, and nobody can redeem it.
        """
        if not self._around.offers():
            return _NO_TOKENS
        try:
            if shown and hot is not None:
                self.promises.remember(hot, inputs, decision)
            return self.promises.sign(decision.grants, inputs) if decision.grants else _NO_TOKENS
        except Exception:
            log.exception("a grant could not be signed")
            return _NO_TOKENS

    # --- the writer ---

    def follow(self, submission: Submission, recorder: Recorder) -> None:
        """Watch what becomes durable, so that refunded orders give their offers back. Where events are written only."""
        if self._around.world.ledger is None:
            return
        settled = submission.settled

        def done(kept: Submission) -> None:
            self.refunds.watch(kept, recorder.newest)
            if settled is not None:
                settled(kept)

        submission.settled = done

    # --- in the background ---

    def look(self) -> None:
        """Read how far limits are. Raises ``Unavailable``."""
        self.availability.watch(key.tenant for key in self._keys.all())
        self.availability.refresh()

    def tend(self) -> None:
        """Let expire what is over, tell the log what changed, take back what orders no longer pay for.

        Each on its own: what fails is told once and tried again next time. Never raises.
        """
        ledger, clock = self._around.world.ledger, self._around.world.clock
        if ledger is None:
            return
        if clock.monotonic() - self._expired_at >= EXPIRE_EVERY:
            self._expired_at = clock.monotonic()
            self._try("reservations could not expire", lambda: ledger.expire(clock.now(), EXPIRED_AT_ONCE))
        if clock.monotonic() - self._balanced_at >= BALANCES_EVERY:
            self._balanced_at = clock.monotonic()
            self._try("what offers hold and spent could not be read", self._balance)
        self._try("the log could not be told of offers", self.notices.tell)
        self._try("refunded orders could not give their offers back", self.refunds.run)

    def _balance(self) -> None:
        self.availability.watch(key.tenant for key in self._keys.all())
        self.balances = dict(self.availability.balances())

    def _try(self, complaint: str, work: Callable[[], object]) -> None:
        try:
            work()
            self._failing.discard(complaint)
        except Exception as error:
            if complaint not in self._failing:
                self._failing.add(complaint)
                log.warning("%s: %s", complaint, error, exc_info=None if isinstance(error, CashwrapError) else error)


def _nothing(_: int) -> Past:
    return NO_PAST
