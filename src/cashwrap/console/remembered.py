"""What pages worked out and need not work out again at once. In memory, for the life of a console."""

import threading
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar, cast

from cashwrap.model import Millis
from cashwrap.ports import Clock

MOST = 500
"""Things remembered; of more the oldest goes."""
T = TypeVar("T")


class Known(NamedTuple):
    """Something that was worked out, and when."""

    at: Millis
    value: object


class Remembered:
    """Values by name, each as old as whoever asks allows. Any thread may call it; two who ask at once wait for one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._known: dict[Hashable, Known] = {}

    def get(self, name: Hashable, fresh: Millis, make: Callable[[], T]) -> T:
        """What is known by this name, unless it is older than ``fresh``: then ``make`` works it out."""
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            known = self._known.get(name)
            if known is not None and self._clock.now() - known.at <= fresh:
                return cast("T", known.value)
            value = make()
            with self._lock:
                self._known[name] = Known(self._clock.now(), value)
                while len(self._known) > MOST:
                    oldest = min(self._known, key=lambda each: self._known[each].at)
                    del self._known[oldest]
                    self._making.pop(oldest, None)
            return value

    def known(self, name: Hashable) -> Known | None:
        """What is known by this name, however old."""
        return self._known.get(name)
