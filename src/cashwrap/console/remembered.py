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
    fresh: Millis
    """How old whoever asked for it allowed it to be."""


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
            try:
                value = make()
            except BaseException:
                with self._lock:
                    self._making.pop(name, None)  # who asks for nonsense leaves nothing behind
                raise
            with self._lock:
                self._known[name] = Known(self._clock.now(), value, fresh)
                self._forget()
            return value

    def _forget(self) -> None:
        """What is long too old, and may be large; and of more than there is room for the oldest.

        What was never to be told again without making it is kept: ``known`` tells it.
        """
        now, ages = self._clock.now(), sorted(self._known, key=lambda each: self._known[each].at)
        spare = set(ages[: max(0, len(ages) - MOST)])
        spare |= {each for each in ages if 0 < 2 * self._known[each].fresh < now - self._known[each].at}
        for each in spare:
            del self._known[each]
            self._making.pop(each, None)

    def known(self, name: Hashable) -> Known | None:
        """What is known by this name, however old."""
        return self._known.get(name)
