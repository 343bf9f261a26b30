"""The one place that changes rows: a thread that folds whatever waits into one commit (group commit).

Requests submit and are told when their events are durable. Many submissions share one fsync, so throughput grows with
load while a lone request waits for one fsync only. Between commits the thread sweeps: it re-evaluates the segments of
shoppers whose time has come.

On a full disk events are refused before they touch it, nothing is swept, and actions (a forget) go on with the reserve.
"""

import errno
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from cashwrap.errors import CashwrapError, DiskFull, Unavailable
from cashwrap.events import Accounting
from cashwrap.faults import crash_point
from cashwrap.ports import Reserve
from cashwrap.repair import failure_of
from cashwrap.window import Context, Submission, Window

log = logging.getLogger(__name__)

WAITING = 4096
"""Submissions that may wait; more are turned away with a time to come back."""
WAITING_EVENTS = 50_000
"""Events that may wait in them, since one submission may hold thousands: bounds memory when the disk is slow."""
AT_ONCE = 128
"""Submissions in one commit: bounds how long the first of them waits."""
EVENTS_AT_ONCE = 5_000
"""Events after which a commit takes no further submission, for the same reason."""


class Writing(Protocol):
    """Where submissions go: the thread below, or another process that has one."""

    def submit(self, submission: Submission) -> None:
        """Queue a submission. Raises ``Unavailable`` when nothing more can be taken now."""

    def call(self, action: Callable[[], None], /) -> None:
        """Run ``action`` between commits, where this is the process that commits; else raises ``Locked``."""

    def waiting(self) -> int:
        """How many requests wait to be stored."""

    def close(self) -> None:
        """Take nothing more, and return when what was taken is settled."""


class Writer:
    """Folds and commits on its own thread until ``close``, which finishes what is waiting.

    ``pause`` is in seconds: how long it rests where there is nothing to do.
    """

    def __init__(
        self,
        context: Callable[[], Context],
        sweep: Callable[[], bool],
        monotonic: Callable[[], float],
        reserve: Reserve | None = None,
        pause: float = 0.25,
    ) -> None:
        self._context = context
        self._sweep = sweep
        self._monotonic = monotonic
        self._reserve = reserve
        self._pause = pause
        self._next_sweep = 0.0
        self._behind = False
        self._waiting: queue.SimpleQueue[Submission | Callable[[], None] | None] = queue.SimpleQueue()
        self._events = 0
        """How many events wait; changed only while the door is held."""
        self._closed = False
        self._door = threading.Lock()
        """Held while something is queued or the writer closes, so that nothing is queued behind the end."""
        self._thread = threading.Thread(target=self._run, name="cashwrap-writer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Queue a submission. Raises ``Unavailable`` when too much waits, the disk is full or the writer is closing."""
        if self._is_full():
            raise _no_room()
        self._put(submission, len(submission.events))

    def call(self, action: Callable[[], None]) -> None:
        """Run ``action`` on the writer thread between commits (a forget, a rebuild); returns when it is done.

        Whatever it raises is raised here. It is run again where it was the first to find the disk full, this time with
        the reserve to use: so it must be one that may be cut off and asked for again.
        """
        done = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                self._with_reserve(action)
            except BaseException as error:
                failure.append(error)
            finally:
                done.set()

        self._put(run)
        done.wait()
        if failure:
            raise failure[0]

    def _is_full(self) -> bool:
        return self._reserve is not None and self._reserve.full()

    def _with_reserve(self, action: Callable[[], None]) -> None:
        was_full = self._is_full()
        try:
            action()
        except (DiskFull, OSError) as error:
            no_room = isinstance(error, DiskFull) or error.errno == errno.ENOSPC
            if self._reserve is None or was_full or not no_room:
                raise
            self._reserve.give()
            action()

    def waiting(self) -> int:
        """How many requests wait to be stored."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Take nothing more, commit what waits, stop."""
        with self._door:
            closing, self._closed = not self._closed, True
        if closing:
            self._waiting.put(None)
        self._thread.join()

    def _put(self, item: Submission | Callable[[], None], events: int = 0) -> None:
        with self._door:
            if self._closed:
                raise Unavailable("the server is stopping; send the same request again", code="stopping")
            too_many = events and self._events and self._events + events > WAITING_EVENTS
            if too_many or self._waiting.qsize() >= WAITING:
                raise Unavailable("too many requests wait to be stored; send the same request again")
            self._events += events
            self._waiting.put(item)

    def _run(self) -> None:
        while True:
            try:
                first = self._waiting.get(timeout=0.0 if self._behind else self._pause)
            except queue.Empty:
                self._keep_decisions()
                self._tidy(idle=True)
                continue
            batch, action, stop = self._gather(first)
            if batch:
                with self._door:
                    self._events -= sum(len(submission.events) for submission in batch)
                self._commit(batch)
            if action is not None or stop:  # what was decided before is kept before
                self._keep_decisions()
            if action is not None:
                action()
            if stop:
                return
            self._tidy()

    def _gather(
        self, first: Submission | Callable[[], None] | None
    ) -> tuple[list[Submission], Callable[[], None] | None, bool]:
        """Everything waiting, up to the first action; order is kept."""
        batch: list[Submission] = []
        events = 0
        item = first
        while True:
            if item is None:
                return batch, None, True
            if not isinstance(item, Submission):
                return batch, item, False
            batch.append(item)
            events += len(item.events)
            if len(batch) >= AT_ONCE or events >= EVENTS_AT_ONCE:
                return batch, None, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return batch, None, False

    def _commit(self, batch: list[Submission]) -> None:
        try:
            if self._is_full():  # since they were queued
                _turn_away(batch, _no_room())
            else:
                self._keep(batch)
        except CashwrapError as error:
            _turn_away(batch, error)
        except Exception:
            log.exception("a commit failed; its events are tried one by one")
            for submission in batch:
                self._one_by_one(submission)
        for submission in batch:
            if submission.settled is not None:
                try:
                    submission.settled(submission)
                except Exception:  # whoever waited is gone; the others still wait
                    log.exception("nobody could be told that events are stored")

    def _keep(self, batch: list[Submission]) -> None:
        """One window: fold, make durable, show. Whatever it raises, nothing of it was kept."""
        context = self._context()
        window = Window(context)
        try:
            window.prefetch(batch)
            for submission in batch:
                window.take(submission)
            changes, newest = window.changes(), 0
            if changes:
                crash_point("writer.folded")
                context.vault.persist()
                crash_point("vault.persisted")
                newest = context.store.commit(changes)
                crash_point("store.committed")
        except Exception:
            window.abandon()
            for submission in batch:
                submission.accounting = Accounting()
            raise
        if changes:
            window.publish(newest)
            crash_point("writer.published")

    def _keep_decisions(self) -> None:
        """Commit decisions that no event takes along."""
        if self._is_full():
            return
        try:
            recorder = self._context().recorder
            while recorder is not None and recorder.waits():
                self._keep([])
        except CashwrapError as error:
            log.warning("decisions were not recorded: %s", error.message)
        except Exception:
            log.exception("decisions could not be recorded")

    def _one_by_one(self, submission: Submission) -> None:
        """Each event in a commit of its own: one that cannot be kept is set aside and does not hold up the others."""
        tenant, total = submission.tenant, Accounting()
        events = [Submission(tenant, [event], replays=submission.replays) for event in submission.events]
        parts = [Submission(tenant, [], submission.failures), *events]
        submission.error = None
        try:
            for part in parts:
                try:
                    self._keep([part])
                except CashwrapError:
                    raise
                except Exception:
                    part.failures = [failure_of(tenant, event, "event_failed") for event in part.events]
                    part.events = []
                    self._keep([part])
                total.add(part.accounting)
                submission.error = submission.error or part.error
        except Exception as error:
            _give_up(submission, error)
        submission.accounting = total

    def _tidy(self, *, idle: bool = False) -> None:
        """Sweep now and then; with nothing to commit, until nobody is due any more. See whether there is room again."""
        now = self._monotonic()
        if now < self._next_sweep and not (idle and self._behind):
            return
        self._next_sweep = now + self._pause
        self._behind = False
        try:
            if self._reserve is not None:
                self._reserve.tend()
            if not self._is_full():
                self._behind = self._sweep()
        except CashwrapError as error:
            log.warning("the sweep waits: %s", error.message)
        except Exception:
            log.exception("the sweep failed; it is tried again")


def _no_room() -> DiskFull:
    return DiskFull("the disk is full: nothing was taken; send the same request again when somebody has made room")


def _turn_away(batch: Iterable[Submission], error: CashwrapError) -> None:
    for submission in batch:
        _give_up(submission, error)


def _give_up(submission: Submission, error: Exception) -> None:
    """Nothing is acknowledged: the same request may be sent again."""
    kept = error if isinstance(error, CashwrapError) else Unavailable("the events were not kept; try again")
    # Its traceback leads back to the submission: thousands of such circles stop the server while they are freed.
    kept.__traceback__ = kept.__cause__ = kept.__context__ = None
    submission.error = kept
