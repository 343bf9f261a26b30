"""What takes longer than a page may: reports, backtests, evaluations, in a process of their own and at low priority.

One at a time; asked again for what runs or has just run, the same job is told.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from cashwrap.errors import CashwrapError
from cashwrap.model import Millis
from cashwrap.ports import Clock

log = logging.getLogger("cashwrap")
KEPT = 200
"""Jobs whose outcome is remembered."""
State = Literal["waiting", "running", "done", "failed"]


class Job(Struct):
    """One piece of work: its name says all it depends on, so that nobody asks the same twice."""

    name: str
    began: Millis
    state: State = "waiting"
    ended: Millis = 0
    result: Any = None
    code: str = ""
    message: str = ""


class Jobs:
    """Runs work in another process. Any thread may call it."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data = data
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._pool: ProcessPoolExecutor | None = None

    def ask(self, name: str, work: Callable[..., Any], *args: object, fresh: Millis = 0) -> Job:
        """The job of this name: the one that waits, runs or ended at most ``fresh`` ago, else a new one.

        ``work`` is a module's function, called in the other process as ``work(data folder, *args)``; what it takes and
        answers is pickled between two processes of ours.
        """
        now = self._clock.now()
        with self._lock:
            job = self._jobs.get(name)
            if job is not None and (job.state in ("waiting", "running") or now - job.ended <= fresh):
                return job
            job = self._jobs[name] = Job(name, now)
            while len(self._jobs) > KEPT:
                del self._jobs[next(iter(self._jobs))]
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, get_context("spawn"), _step_back)
            future = self._pool.submit(work, self._data, *args)
            job.state = "running"
        future.add_done_callback(lambda done: self._ended(job, done))
        return job

    def find(self, name: str) -> Job | None:
        """A job by its name."""
        return self._jobs.get(name)

    def _ended(self, job: Job, done: "Future[Any]") -> None:
        error = done.exception() if not done.cancelled() else None
        job.ended = self._clock.now()
        if error is None and not done.cancelled():
            job.result, job.state = done.result(), "done"
            return
        known = isinstance(error, CashwrapError)
        job.code = error.code if isinstance(error, CashwrapError) else "internal_error"
        job.message = error.message if isinstance(error, CashwrapError) else "this failed; the server's log says why"
        job.state = "failed"
        if not known:
            log.error("the job %s failed", job.name, exc_info=error)
            with self._lock:
                self._pool = None  # a process that died takes its pool along

    def close(self) -> None:
        """Let go of the process."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Whoever decides goes first."""
    os.nice(10)
