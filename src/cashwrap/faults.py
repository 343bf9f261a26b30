"""Crash points: marked places where a test may end the process, to see that nothing acknowledged is lost there.

A mark costs one comparison. ``CASHWRAP_CRASH_AT=name`` or ``name:3`` (the third time) ends the process by SIGKILL when
the mark is passed; ``seen`` collects the marks passed while a test watches. Without either, a mark does nothing.
"""

import os
import signal
from collections import Counter

POINTS: dict[str, str] = {
    "writer.folded": "events are folded, nothing is durable",
    "vault.persisted": "new keys are durable, what they seal is not",
    "store.committed": "log and profiles are durable, nobody was told",
    "writer.published": "decisions see the new profiles, no request was answered",
    "forget.destroyed": "a shopper's key is gone, the rows are still there",
    "ledger.counted": "inside a reservation's transaction: limits are counted, nothing is durable",
    "ledger.committed": "a reservation's change is durable, nobody was told",
    "notice.told": "the profile knows of a redemption, the notice is still in the outbox",
    "retention.snapshot": "inside a retention step: snapshots are written, the log's old records are still there",
    "backfill.merged": "inside a backfill: some shoppers have the new feature, others do not",
    "audit.appended": "an audit entry is written, its anchor is not",
    "models.written": "a model's files are durable, the folder is not in its place",
    "models.replaced": "a model without a forgotten shopper is in its place, the one with them is still there",
    "reserve.released": "the disk's reserve is given away, nothing used it yet",
}
"""Every mark there is, and what is true there."""

seen: Counter[str] | None = None
"""Marks passed, while a test watches."""
_wanted, _left = "", 1


def crash_at(text: str) -> None:
    """End this process at the named mark, or at its third passing with ``name:3``; nowhere with an empty text.

    The environment's ``CASHWRAP_CRASH_AT`` says the same when the process starts.
    """
    global _wanted, _left  # noqa: PLW0603 - one process, one crash
    _wanted, _, count = text.partition(":")
    _left = int(count or 1)


def crash_point(name: str) -> None:
    """A place where the process may die. ``name`` is one of ``POINTS``."""
    if _wanted or seen is not None:
        _passed(name)


def _passed(name: str) -> None:
    global _left  # noqa: PLW0603 - one process, one crash
    if seen is not None:
        seen[name] += 1
    if name == _wanted:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


crash_at(os.environ.get("CASHWRAP_CRASH_AT", ""))
