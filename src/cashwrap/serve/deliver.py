"""Deliver webhooks: committed segment changes and exposures, in order, each until its receiver took it or a day has
passed."""

import asyncio
import logging

from cashwrap.adapters.http import Internet
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.ports import Notice
from cashwrap.webhooks import Webhook, body_of, signature

log = logging.getLogger("cashwrap")
PAUSE = 0.25
AT_ONCE = 100
"""Notices that may become settled in one round."""
HELD = 10_000
"""Notices that wait for a receiver and are looked past, so that they do not hold up the others'."""
PATIENCE = 24 * 3_600_000
"""Milliseconds until a notice that nobody takes is given up, and said so in the log."""
LONGEST_WAIT = 300.0


class Deliverer:
    """One loop over the outbox. A receiver that fails waits longer each time; the others are not held up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._http = engine.world.http or Internet(engine.world.clock)
        self._taken: set[tuple[int, str]] = set()
        self._waits: dict[str, tuple[float, float]] = {}
        """By webhook: the clock time before which it is left alone, and the wait that led to it."""
        self._held = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await asyncio.to_thread(self.round)
            except CashwrapError as error:
                log.warning("webhooks wait: %s", error)
            except Exception:
                log.exception("webhooks wait")

    def round(self) -> int:
        """Deliver what is pending; how many notices are settled."""
        engine, settled = self._engine, []
        now = engine.world.clock.now()
        pending = engine.world.outbox.pending(AT_ONCE + min(self._held, HELD))
        for number, notice in pending:
            wanted = [webhook for webhook in engine.webhooks.all() if webhook.wants(notice)]
            done = [self._deliver(webhook, number, notice) for webhook in wanted]
            if all(done):
                settled.append(number)
            elif now - notice.at > PATIENCE:
                log.error("notice %d was taken by nobody for a day; it is given up", number)
                settled.append(number)
        self._held = len(pending) - len(settled)
        if settled:
            engine.writer.call(lambda: engine.world.outbox.settle(settled))
            self._taken -= {pair for pair in self._taken if pair[0] in settled}
        return len(settled)

    def _deliver(self, webhook: Webhook, number: int, notice: Notice) -> bool:
        if (number, webhook.url) in self._taken:
            return True
        clock = self._engine.world.clock
        not_before, wait = self._waits.get(webhook.url, (0.0, 0.0))
        if clock.monotonic() < not_before:
            return False
        body = body_of(notice, number, lambda: self._user(notice))
        if self._http.post(webhook.url, body, signature(webhook.secret, body, clock.now())):
            self._taken.add((number, webhook.url))
            self._waits.pop(webhook.url, None)
            return True
        wait = min(LONGEST_WAIT, max(1.0, wait * 2))
        self._waits[webhook.url] = (clock.monotonic() + wait, wait)
        return False

    def _user(self, notice: Notice) -> str | None:
        return self._engine.lookup.users(notice.tenant, [notice.shopper]).get(notice.shopper)
