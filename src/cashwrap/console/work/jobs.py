"""What takes longer than a page may: reports, backtests, evaluations, in a process of their own and at low priority.

One at a time; asked again for what waits, runs or has just run, the same job is told. A job that dies, takes too long
or too much memory is over with a code, and the next one gets a new process. The process ends with the console.
"""

import logging
import os
import resource
import threading
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from cashwrap.errors import CashwrapError, TooMuch
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Clock

log = logging.getLogger("cashwrap")
KEPT = 200
"""Jobs whose outcome is remembered."""
START = 60.0
"""Seconds that a process may take to begin."""
WAITING = 20
"""Jobs that may wait."""
MEMORY = 4 * 1024**3
"""Bytes that a job may have, on a machine with twice as many."""
State = Literal["waiting", "running", "done", "failed"]
Work = Callable[..., Any]


class Limits(Struct, frozen=True):
    """What one job may take: seconds, and bytes of its process's own memory."""

    seconds: float = 600.0
    memory: int = MEMORY


class Job(Struct):
    """One piece of work: its name says all it depends on, so that nobody asks the same twice.

    ``result`` came at ``made``; while it waits, runs, or has failed, that is the result of the last time, if there was
    one. ``share`` and ``words`` tell how far it is, where the work says so.
    """

    name: str
    began: Millis
    state: State = "waiting"
    ended: Millis = 0
    result: Any = None
    made: Millis = 0
    code: str = ""
    message: str = ""
    share: float = 0.0
    words: str = ""

    @property
    def awaited(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ("waiting", "running")


class _Told(Struct, frozen=True):
    """What the other process says on the way."""

    share: float
    words: str


class _Failed(Struct, frozen=True):
    """... and at an end without a result."""

    code: str
    message: str
    trace: str = ""


class _Done(Struct, frozen=True):
    """... and with one."""

    result: Any


class _Order(Struct, frozen=True):
    """What it is asked to do."""

    job: Job
    work: Work
    args: tuple[object, ...]


def named(tenant: Tenant, what: str, *more: str) -> str:
    """A job's name: what is done, for one store and environment alone."""
    return "\x1f".join((tenant.store, tenant.environment, what, *more))


class Jobs:
    """Runs work in another process. Any thread may call it."""

    def __init__(self, data: Path, clock: Clock, limits: Limits | None = None) -> None:
        self._data = data
        self._clock = clock
        self._limits = limits or Limits(memory=min(MEMORY, _machine() // 2))
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._orders: deque[_Order] = deque()
        self._runner: threading.Thread | None = None
        self._process: _Process | None = None
        self._closed = False

    def ask(self, name: str, work: Work, *args: object, fresh: Millis = 0) -> Job:
        """The job of this name: the one that waits, runs or ended at most ``fresh`` ago, else a new one.

        ``work`` is a module's function, called in the other process as ``work(data folder, *args)``; what it takes and
        answers is pickled between two processes of ours. Raises ``TooMuch`` (``too_many_jobs``).
        """
        now = self._clock.now()
        with self._changed:
            last = self._jobs.get(name)
            if last is not None and (last.awaited or now - last.ended <= fresh):
                return last
            if len(self._orders) >= WAITING:
                message = f"{WAITING} jobs wait already; try again in a minute"
                raise TooMuch(message, code="too_many_jobs", retry_after=60)
            self._jobs.pop(name, None)
            job = self._jobs[name] = Job(name, now)
            if last is not None:
                job.result, job.made = last.result, last.made
            self._orders.append(_Order(job, work, args))
            self._forget_old()
            if self._runner is None:
                self._runner = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._runner.start()
            self._changed.notify()
        return job

    def find(self, name: str) -> Job | None:
        """A job by its name."""
        return self._jobs.get(name)

    def ahead(self, job: Job) -> int:
        """How many others come before a job that waits."""
        with self._changed:
            waiting = [order.job for order in self._orders]
        return waiting.index(job) + 1 if job in waiting else 0

    def close(self) -> None:
        """End the process and whatever it does."""
        with self._changed:
            self._closed = True
            self._orders.clear()
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()
        if self._runner is not None:
            self._runner.join(5)

    def _forget_old(self) -> None:
        ended = [name for name, job in self._jobs.items() if not job.awaited]
        for name in ended[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[name]

    # --- the thread beside the process ---

    def _run(self) -> None:
        while (order := self._next()) is not None:
            job = order.job
            try:
                outcome = self._outcome(order)
            except Exception:  # whatever comes back unreadable ends one job and not this thread
                self._drop()
                outcome = _Failed("internal_error", _INTERNAL, traceback.format_exc())
            self._end(job, outcome)
        self._drop()

    def _next(self) -> _Order | None:
        with self._changed:
            while not self._orders and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            order = self._orders.popleft()
            order.job.state = "running"
            return order

    def _outcome(self, order: _Order) -> _Done | _Failed:
        process, limit = self._started(), self._clock.monotonic() + self._limits.seconds
        process.line.send((order.work, self._data, order.args))
        while process.line.poll(max(0.0, limit - self._clock.monotonic())):
            try:
                said: _Told | _Done | _Failed = process.line.recv()
            except (EOFError, ConnectionError):
                self._drop()
                return _Failed("job_died", "The process that worked on this ended by itself. Try again.")
            if not isinstance(said, _Told):
                return said
            order.job.share, order.job.words = said.share, said.words
        self._drop()
        minutes = round(self._limits.seconds / 60)
        return _Failed("job_too_long", f"This took longer than {minutes} minutes and was ended. Use the command line.")

    def _end(self, job: Job, outcome: _Done | _Failed) -> None:
        now = self._clock.now()
        if isinstance(outcome, _Failed):
            job.code, job.message, job.ended, job.state = outcome.code, outcome.message, now, "failed"
            if not self._closed and outcome.trace:
                log.error("the job %s failed\n%s", job.name.replace("\x1f", " "), outcome.trace)
            return
        job.result, job.made, job.ended, job.share = outcome.result, now, now, 1.0
        job.state = "done"

    def _started(self) -> "_Process":
        process = self._process
        if process is None or not process.alive:
            process = _Process(self._limits.memory)  # takes a moment, in which others may ask
            with self._changed:
                self._process = process
                if self._closed:
                    process.kill()
        return process

    def _drop(self) -> None:
        with self._changed:
            if self._process is not None:
                self._process.kill()
            self._process = None


class _Process:
    """The other process, and the line to it."""

    def __init__(self, memory: int) -> None:
        self.line, theirs = Pipe()
        self._process = get_context("spawn").Process(target=_work, args=(theirs, memory), daemon=True, name="jobs")
        self._process.start()
        theirs.close()
        if self.line.poll(START):
            self.line.recv()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()


# --- in the other process ---

_INTERNAL = "This failed, and it is a fault of ours; the server's log says more."
_line: Connection | None = None
"""To the console; only in a process that works for one."""


def tell(share: float, words: str = "") -> None:
    """Say how far the work is, from 0 to 1; where nobody listens, nothing."""
    if _line is not None:
        _line.send(_Told(share, words))


def _work(line: Connection, memory: int) -> None:
    """One job after the other, for as long as the console lives."""
    global _line  # noqa: PLW0603 - what works need not carry a way to tell through every call
    os.nice(10)  # whoever decides goes first
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _line = line
    tell(0.0)  # it is there: what a job may take begins afterwards
    while True:
        try:
            work, data, args = line.recv()
        except EOFError:
            return
        try:
            line.send(_done(work, data, args))
        except Exception:  # no way to send what it answered
            line.send(_Failed("internal_error", _INTERNAL, traceback.format_exc()))


def _done(work: Work, data: Path, args: tuple[object, ...]) -> _Done | _Failed:
    try:
        return _Done(work(data, *args))
    except CashwrapError as error:
        return _Failed(error.code, error.message)
    except MemoryError:
        return _Failed("job_too_large", "This needs more memory than a job may have. Use the command line.")
    except Exception:  # the job's fault, told to whoever asked for it
        return _Failed("internal_error", _INTERNAL, traceback.format_exc())


def _end_with_parent() -> None:
    """Also where the console was killed: what it asked for interests nobody any more."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _machine() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
