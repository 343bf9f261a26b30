"""Start the process that writes and those that serve, introduce them to each other, and replace whichever dies.

The supervisor opens no database, starts no thread and runs no event loop: that is what makes it safe to fork from, at
the start and at any time later, and leaves little in it that could die. Where it is killed, the kernel ends the others.
"""

import contextlib
import ctypes
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.serve.run import address_of, listen
from cashwrap.serve.workers.processes import LINK, READY, STOP, Crew, Shared, work, write

log = logging.getLogger("cashwrap")

MOST = 64
"""Serving processes."""
STABLE = 10.0
"""Seconds a process must live for its next start to need no pause."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
DRAIN = 15.0
"""Seconds that requests which have begun may take when the server stops."""
CLOSE = 30.0
"""Seconds that the writer may take to commit what waits, and to tidy its files."""
_BUFFER = 1 << 20
_PR_SET_PDEATHSIG = 1
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
_WATCHED = (*_STOPS, signal.SIGCHLD)


class _Process(Struct):
    """One that lives."""

    pid: int
    control: socket.socket
    began: float
    ready: bool = False


class _Post:
    """A process that is to be there: who holds the post, and when the next one may start where nobody does."""

    def __init__(self, name: str, body: Callable[[socket.socket], None]) -> None:
        self.name = name
        self.body = body
        self.holder: _Process | None = None
        self.pause = 0.0
        self.due = 0.0

    @property
    def ready(self) -> bool:
        """Whether its holder does what it is there for."""
        return self.holder is not None and self.holder.ready


class Supervisor:
    """``run`` starts everything and returns when it was stopped; a process that cannot start ends it with its error."""

    def __init__(self, crew: Crew, fail: Callable[[CashwrapError], None]) -> None:
        """``fail`` tells an operator of an error. Raises ``InvalidInput``, and ``CashwrapError`` (``port_taken``)."""
        if sys.platform != "linux":
            raise InvalidInput("several workers need Linux; leave --workers out", code="workers_unsupported")
        self._held = _hold(crew)
        self._address = address_of(self._held)
        port: int = self._held.getsockname()[1]
        crew = replace(crew, options=replace(crew.options, port=port))
        shared = Shared(crew.workers, SystemRandom())
        self._fail = fail
        self._now = SystemClock().monotonic
        self._writer = _Post("the process that writes", partial(write, crew, shared))
        self._workers = [
            _Post(f"worker {each}", partial(work, crew, shared, each)) for each in range(1, crew.workers + 1)
        ]
        self._selector = selectors.DefaultSelector()
        self._told = False

    def run(self, ready: Callable[[str], None]) -> bool:
        """Until SIGTERM or SIGINT; ``False`` where it could not start. ``ready`` is called with the address."""
        bell, ringer = socket.socketpair()
        for end in (bell, ringer):
            end.settimeout(0)
        signal.set_wakeup_fd(ringer.fileno(), warn_on_full_buffer=False)
        for number in _WATCHED:
            signal.signal(number, _noted)
        self._selector.register(bell, selectors.EVENT_READ)
        self._start(self._writer)
        stopping = False
        while not stopping:
            for key, _ in self._selector.select(self._wait()):
                if key.data is None:
                    stopping = not _STOPS.isdisjoint(bell.recv(64))
                else:
                    self._hear(key.data)
            if self._bury() and not self._told:
                break
            if not self._told and all(post.ready for post in self._posts()):
                self._told = True
                ready(self._address)
            if not stopping:
                self._revive()
        self._stop()
        return stopping

    def _posts(self) -> list[_Post]:
        return [self._writer, *self._workers]

    # --- starting ---

    def _start(self, post: _Post) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._live(post, parent, theirs)
        theirs.close()
        post.holder = _Process(pid, ours, self._now())
        self._selector.register(ours, selectors.EVENT_READ, post)
        if post is not self._writer:
            self._introduce(post)

    def _live(self, post: _Post, parent: int, control: socket.socket) -> None:
        """The whole life of a forked process."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before that
                os._exit(code)
            self._selector.close()
            self._held.close()
            for other in self._posts():
                if other.holder is not None:
                    other.holder.control.close()
            post.body(control)
            code = 0
        except CashwrapError as error:
            self._fail(error)
        except BaseException:
            log.exception("%s failed", post.name)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _introduce(self, worker: _Post) -> None:
        """Give a worker and the writer a socket to each other."""
        if worker.holder is None or self._writer.holder is None or not self._writer.ready:
            return
        ends = socket.socketpair()
        for holder, end in zip((worker.holder, self._writer.holder), ends, strict=True):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            with contextlib.suppress(OSError):  # it died: its successor is introduced again
                socket.send_fds(holder.control, [LINK], [end.fileno()])
            end.close()

    def _hear(self, post: _Post) -> None:
        holder = post.holder
        if holder is None:
            return
        try:
            said = holder.control.recv(64)
        except OSError:
            said = b""
        if said != READY:
            self._selector.unregister(holder.control)  # it is about to end
            return
        holder.ready = True
        if post is not self._writer:
            return
        for worker in self._workers:
            if worker.holder is not None:
                self._introduce(worker)
            elif not self._told:
                self._start(worker)

    # --- ending and replacing ---

    def _bury(self) -> bool:
        """See who died; whether anybody did."""
        dead = [post for post in self._posts() if post.holder is not None and _ended(post.holder)]
        for post in dead:
            if post.holder is None:
                continue
            with contextlib.suppress(KeyError):
                self._selector.unregister(post.holder.control)
            post.holder.control.close()
            now = self._now()
            lasted = now - post.holder.began
            post.pause = 0.0 if lasted > STABLE else min(LONGEST_PAUSE, max(FIRST_PAUSE, post.pause * 2))
            post.holder, post.due = None, now + post.pause
            if self._told:
                log.error("%s ended after %.0f s; the next one starts in %.1f s", post.name, lasted, post.pause)
        return bool(dead)

    def _revive(self) -> None:
        for post in self._posts():
            if self._told and post.holder is None and post.due <= self._now():
                self._start(post)

    def _wait(self) -> float | None:
        """Seconds until somebody is to be started."""
        dues = [post.due for post in self._posts() if post.holder is None]
        return max(0.0, min(dues) - self._now()) if dues and self._told else None

    def _stop(self) -> None:
        """First those that serve, who answer what has begun; then the writer, who has it all by then."""
        for worker in self._workers:
            if worker.holder is not None:
                os.kill(worker.holder.pid, signal.SIGTERM)
        for worker in self._workers:
            self._await_end(worker, DRAIN)
        if self._writer.holder is not None:
            with contextlib.suppress(OSError):
                self._writer.holder.control.send(STOP)
        self._await_end(self._writer, CLOSE)
        self._held.close()

    def _await_end(self, post: _Post, seconds: float) -> None:
        """Wait for a process; one that does not end in time is killed, which loses nothing that was acknowledged."""
        until = self._now() + seconds
        while post.holder is not None and not _ended(post.holder):
            if self._now() > until:
                log.error("%s did not end in %.0f s; it is killed", post.name, seconds)
                os.kill(post.holder.pid, signal.SIGKILL)
                os.waitpid(post.holder.pid, 0)
                return
            time.sleep(0.01)


def _ended(holder: _Process) -> bool:
    return bool(os.waitpid(holder.pid, os.WNOHANG)[0])


def _hold(crew: Crew) -> socket.socket:
    """Keep the port for this account's processes: bound, and taking no connection.

    Raises ``CashwrapError`` (``port_taken``), also where another server shares the port among its own processes.
    """
    alone = listen(crew.options)  # which only works where nobody else has it
    family, (host, port) = alone.family, alone.getsockname()[:2]
    alone.close()
    held = socket.socket(family)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host, port))
    return held


def _noted(_number: int, _frame: object) -> None:
    """The signal is read from the wake-up socket."""
