"""Where the processes that serve hand their events over: the writer's side of every connection.

One thread reads from all connections in turn, a bounded amount from each, so that a busy one holds up no other; what
the writer has settled with one commit goes back to each process as one piece.
"""

import contextlib
import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.ports import ShopperKey
from cashwrap.serve.workers.frames import (
    Answered,
    Decided,
    Events,
    Forget,
    Frame,
    Gone,
    Products,
    Settled,
    Splitter,
    ToWriter,
    framed,
    to_writer,
    trouble_of,
)
from cashwrap.window import Submission

log = logging.getLogger("cashwrap")

READ = 256 * 1024
"""Bytes read from a connection before the next one has its turn."""
CALLS = 4
"""Forgettings and the like at once: they wait for the writer's thread."""


class _Link:
    """One connection, used by the desk's thread alone but for ``answers``."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.splitter = Splitter()
        self.answers: deque[Frame] = deque()
        self.unsent = bytearray()


class Desk:
    """Serves connections until ``close``. ``admit`` takes one more, from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rung = False
        self._ringing = threading.Lock()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._arriving: deque[socket.socket] = deque()
        self._gone: deque[ShopperKey] = deque()
        self._links: set[_Link] = set()
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="cashwrap-call")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cashwrap-desk", daemon=True)
        self._thread.start()

    def admit(self, connection: socket.socket) -> None:
        """Serve this connection too."""
        connection.settimeout(0)
        self._arriving.append(connection)
        self._ring()

    def tell_gone(self, shopper: ShopperKey) -> None:
        """Have every process drop what it remembers of somebody who was forgotten."""
        self._gone.append(shopper)
        self._ring()

    def close(self) -> None:
        """Answer what is settled and let go of all connections. May be called again."""
        self._calls.shutdown()
        self._closed = True
        self._ring()
        self._thread.join()
        with self._ringing:  # whoever still answers must not ring a file of somebody else under the same number
            self._rung = True
            if self._bell >= 0:
                os.close(self._bell)
                self._bell = -1

    def _ring(self) -> None:
        """Wake the thread: once, however many call before it wakes."""
        with self._ringing:
            if not self._rung:
                self._rung = True
                os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        while True:
            ended = self._closed
            for key, _ in self._selector.select(0 if ended else None):
                if key.data is None:
                    os.eventfd_read(self._bell)
                    self._rung = False
                elif key.data in self._links:
                    self._read(key.data)
            while self._arriving:
                link = _Link(self._arriving.popleft())
                self._links.add(link)
                self._selector.register(link.connection, selectors.EVENT_READ, link)
            while self._gone:
                gone = Gone(self._gone.popleft())
                for link in self._links:
                    link.answers.append(gone)
            for link in list(self._links):
                self._write(link)
            if ended:
                break
        for link in list(self._links):
            self._drop(link)
        self._selector.close()

    # --- reading ---

    def _read(self, link: _Link) -> None:
        try:
            data = link.connection.recv(READ)
            for body in link.splitter.feed(data):
                self._take(link, to_writer(body))
        except BlockingIOError:
            return
        except Exception:  # whatever one process sent, the others go on
            log.exception("a connection broke")
            data = b""
        if not data:
            self._drop(link)

    def _take(self, link: _Link, frame: ToWriter) -> None:
        if isinstance(frame, Events):
            self._keep(link, frame)
        elif isinstance(frame, Decided):
            for told in frame.decisions:
                self._engine.recorder.take(told)
        elif isinstance(frame, Forget):
            self._later(link, frame.number, lambda: self._engine.forget(frame.key))
        elif isinstance(frame, Products):
            self._later(link, frame.number, lambda: self._change_products(frame))

    def _change_products(self, frame: Products) -> dict[str, object]:
        catalogues = self._engine.catalogues
        catalogues.refresh()  # the process that asks may have seen newer ones
        return catalogues.change(frame.tenant, frame.changes)

    def _keep(self, link: _Link, frame: Events) -> None:
        def settled(submission: Submission) -> None:
            trouble = trouble_of(submission.error) if submission.error is not None else None
            self._answer(link, Settled(frame.number, submission.accounting, trouble))

        submission = Submission(frame.tenant, frame.events, frame.failures, settled, frame.replays)
        try:
            self._engine.keep(submission)
        except CashwrapError as error:
            self._answer(link, Settled(frame.number, submission.accounting, trouble_of(error)))

    def _later(self, link: _Link, number: int, action: Callable[[], object]) -> None:
        """Do what waits for the writer's thread on another one than this."""

        def run() -> None:
            try:
                answered = Answered(number, msgspec.msgpack.encode(action()))
            except Exception as error:
                if not isinstance(error, CashwrapError):
                    log.exception("a call failed")
                answered = Answered(number, b"", trouble_of(error))
            self._answer(link, answered)

        self._calls.submit(run)

    # --- writing ---

    def _answer(self, link: _Link, frame: Frame) -> None:
        link.answers.append(frame)
        self._ring()

    def _write(self, link: _Link) -> None:
        """Send what is settled, as far as the process takes it; how much that can be is bounded by what it asked."""
        waited = bool(link.unsent)
        while link.answers:
            link.unsent += framed(link.answers.popleft())
        if not link.unsent:
            return
        try:
            sent = link.connection.send(link.unsent)
            del link.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(link)
            return
        if bool(link.unsent) != waited:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.unsent else 0)
            self._selector.modify(link.connection, events, link)

    def _drop(self, link: _Link) -> None:
        self._links.discard(link)
        with contextlib.suppress(KeyError):
            self._selector.unregister(link.connection)
        link.connection.close()
