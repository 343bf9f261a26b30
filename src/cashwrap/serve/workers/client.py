"""The process that writes, as a process that serves sees it.

Whatever is handed over waits for its answer here; where the writer dies, all that waits is told to come again, which is
safe because events know their own ids. Nothing here waits for a socket but the two threads that are made for it.
"""

import contextlib
import itertools
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from cashwrap.catalogues import Change
from cashwrap.errors import CashwrapError, Locked, Unavailable
from cashwrap.hot import Hot
from cashwrap.model import Tenant
from cashwrap.ports import ShopperKey
from cashwrap.records import Recorder
from cashwrap.serve.workers.frames import (
    Answered,
    Decided,
    Events,
    Forget,
    Frame,
    FromWriter,
    Gone,
    Products,
    Settled,
    Splitter,
    error_of,
    framed,
    from_writer,
)
from cashwrap.window import Submission

log = logging.getLogger("cashwrap")

UNSENT = 16 * 1024 * 1024
"""Bytes that may wait for the writer to read; more is turned away."""
READ = 256 * 1024
SHIP = 0.02
"""Seconds that a decision may wait to be handed over."""
PATIENCE = 10.0
"""Seconds that a call, and the end, may take."""


class Quota(Struct, frozen=True):
    """How much one process may have waiting: its part of what the writer takes, so that no other is kept out."""

    submissions: int
    events: int


class _Call:
    """Somebody waits for this answer."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value = b""
        self.error: CashwrapError | None = None


class WriterClient:
    """Port ``remote.Remote`` over a socket, for any thread. ``attach`` gives it a writer, also a new one later."""

    def __init__(self, hot: Hot, quota: Quota) -> None:
        self._hot = hot
        self._quota = quota
        self._recorder: Recorder | None = None
        self._numbers = itertools.count(1)
        self._state = threading.Condition()
        """Guards everything below; notified when something is to be sent, settled, or ends."""
        self._link: socket.socket | None = None
        self._open: dict[int, Submission | _Call] = {}
        self._events = 0
        """How many events wait for their answer."""
        self._unsent = bytearray()
        self._sending = False
        """The sending thread has bytes in hand: what comes now goes behind them."""
        self._closed = False
        threading.Thread(target=self._send_on, name="cashwrap-send", daemon=True).start()

    def carry(self, recorder: Recorder) -> None:
        """Hand this recorder's decisions over, from now on."""
        self._recorder = recorder

    def attach(self, link: socket.socket) -> None:
        """A connection to a writer: what comes now goes there."""
        with self._state:
            self._lose("the process that writes was replaced; send the same request again")
            self._link = link
        self._hot.profiles.clear()
        self._hot.identities.clear()
        threading.Thread(target=self._receive, args=(link,), name="cashwrap-receive", daemon=True).start()

    # --- what is asked ---

    def submit(self, submission: Submission) -> None:
        """Hand events over. Raises ``Unavailable`` where the writer is away or has enough to do."""
        number, events = next(self._numbers), len(submission.events)
        kept = list(submission.events), list(submission.failures), submission.replays
        frame = framed(Events(number, submission.tenant, *kept))
        with self._state:
            many = events and self._events and self._events + events > self._quota.events
            if many or len(self._open) >= self._quota.submissions:
                raise Unavailable("too many requests wait to be stored; send the same request again")
            self._send(frame)
            self._open[number] = submission
            self._events += events

    def call(self, _: Callable[[], None]) -> None:
        """Raises ``Locked``: an action cannot cross."""
        raise Locked("only the process that writes can do this")

    def forget(self, key: ShopperKey) -> bool:
        """Forget a shopper; when it returns no process knows them any more. ``False`` where nobody was there."""
        return bool(self._ask(lambda number: Forget(number, key)))

    def change_products(self, tenant: Tenant, changes: Iterable[Change]) -> dict[str, object]:
        """Change prices and stock, one change after the other, whichever process they came from."""
        told: dict[str, object] = self._ask(lambda number: Products(number, tenant, list(changes)))
        return told

    def waiting(self) -> int:
        """How many requests of this process wait."""
        return len(self._open)

    def close(self) -> None:
        """Hand over the last decisions, wait for what is open, and let go of the writer."""
        with contextlib.suppress(Unavailable):
            self._ship()
        with self._state:
            self._state.wait_for(lambda: not self._open and not self._unsent and not self._sending, PATIENCE)
            self._closed = True
            self._lose("the server is stopping; send the same request again", code="stopping")
            self._state.notify_all()

    def _ask(self, asked: Callable[[int], Frame]) -> Any:
        number, call = next(self._numbers), _Call()
        frame = framed(asked(number))
        with self._state:
            if len(self._open) >= self._quota.submissions:
                raise Unavailable("too many requests wait to be stored; send the same request again")
            self._send(frame)
            self._open[number] = call
        if not call.done.wait(PATIENCE):
            with self._state:
                self._open.pop(number, None)
            raise Unavailable("the process that writes takes too long; ask again")
        if call.error is not None:
            raise call.error
        return msgspec.msgpack.decode(call.value)

    # --- sending ---

    def _send(self, frame: bytes) -> None:
        """With the state held: send now what the socket takes at once, the rest later and in order."""
        link = self._link
        if link is None:
            raise Unavailable("the process that writes is away; send the same request again")
        if len(self._unsent) + len(frame) > UNSENT and self._unsent:
            raise Unavailable("too many requests wait to be stored; send the same request again")
        sent = 0
        if not self._unsent and not self._sending:
            try:
                sent = link.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                pass
            except OSError:
                raise Unavailable("the process that writes is away; send the same request again") from None
        if sent < len(frame):
            self._unsent += memoryview(frame)[sent:]
            self._state.notify_all()

    def _send_on(self) -> None:
        """On a thread of its own: send what the socket did not take at once, and decisions now and then."""
        while True:
            with self._state:
                self._state.wait_for(lambda: self._unsent or self._closed, SHIP)
                if self._closed:
                    return
                chunk, link = bytes(self._unsent[:READ]), self._link
                del self._unsent[: len(chunk)]
                self._sending = bool(chunk)
            if chunk and link is not None:
                with contextlib.suppress(OSError):  # the receiving thread finds out too, and tells whoever waits
                    link.sendall(chunk)
            with self._state:
                self._sending = False
                self._state.notify_all()
            with contextlib.suppress(Unavailable):
                self._ship()

    def _ship(self) -> None:
        """Hand decisions over; where they cannot be, those at hand are lost, which is what they are worth."""
        recorder = self._recorder
        while recorder is not None and self._link is not None and recorder.waits():
            told = recorder.hand_over()
            try:
                with self._state:
                    self._send(framed(Decided(told)))
            except Unavailable:
                recorder.lost(len(told))
                raise

    # --- receiving ---

    def _receive(self, link: socket.socket) -> None:
        """On a thread of its own: answers, until this writer is gone."""
        splitter = Splitter()
        try:
            while data := link.recv(READ):
                for body in splitter.feed(data):
                    self._take(from_writer(body))
        except (OSError, CashwrapError, msgspec.DecodeError):
            log.debug("the writer's connection broke", exc_info=True)
        with self._state:
            if self._link is link:
                self._lose("the process that writes ended; send the same request again")
        link.close()

    def _take(self, frame: FromWriter) -> None:
        if isinstance(frame, Gone):
            self._hot.profiles.drop(frame.shopper)
            self._hot.identities.clear()
            return
        with self._state:
            waiting = self._open.pop(frame.number, None)
            if isinstance(waiting, Submission):
                self._events -= len(waiting.events)
            if not self._open:
                self._state.notify_all()
        error = error_of(frame.trouble) if frame.trouble is not None else None
        if isinstance(waiting, _Call) and isinstance(frame, Answered):
            waiting.value = frame.value
            _tell(waiting, error)
        elif isinstance(waiting, Submission) and isinstance(frame, Settled):
            waiting.accounting = frame.accounting
            _tell(waiting, error)

    def _lose(self, message: str, code: str | None = None) -> None:
        """With the state held: nobody is there any more; tell all that wait."""
        link, self._link = self._link, None
        waiting, self._open = list(self._open.values()), {}
        self._events = 0
        self._unsent.clear()
        if link is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for each in waiting:
            _tell(each, Unavailable(message, code=code))


def _tell(waiting: Submission | _Call, error: CashwrapError | None) -> None:
    waiting.error = error
    if isinstance(waiting, _Call):
        waiting.done.set()
    elif waiting.settled is not None:
        try:
            waiting.settled(waiting)
        except Exception:  # whoever waited is gone; the others still wait
            log.exception("nobody could be told that events are stored")
