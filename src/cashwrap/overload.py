"""What to leave out when more comes in than one core can answer, and in which order. Pure: samples in, verdicts out.

The signals are how late the event loop runs what it was asked to run at a given moment (everything that arrives waits
at least that long) and how long events wait to be stored. As in CoDel (Nichols and Jacobson, 2012) only lateness that
does not go away within an interval counts, so that a burst is no overload. First events are turned away, a growing
share of them (cut quickly, grown slowly, as congestion control does), then decisions are made simpler, a step at a
time. Decisions always answer.
"""

import enum

from msgspec import Struct

from cashwrap.model import Millis


class Shed(enum.IntEnum):
    """What is left out; each step includes those before it."""

    NOTHING = 0
    EVENTS = 1
    """A share of what browsers send is turned away with a time to come back; a backend's events are not."""
    RECOMMENDATIONS = 2
    """Placements of products answer with the shop's default."""
    EXPERIMENTS = 3
    """Experiences in a test answer with the shop's default, and nobody is exposed."""
    DEFAULTS = 4
    """Every placement answers with the shop's default."""


class Tuning(Struct, frozen=True):
    """When to act. Times in milliseconds."""

    late: Millis = 10
    """Lateness from which there is too much to do: half of a decision's usual deadline."""
    slow: Millis = 150
    """How long events may wait to be stored before there are too many of them."""
    interval: Millis = 100
    """How long it must last: a burst, a commit or a playbook swap is over by then."""
    calm: Millis = 1_000
    """How long it must stay away before one step is taken back."""
    cut: float = 0.95
    deep_cut: float = 0.6
    """What the share of events becomes when the loop is late, and when it is five times as late as that."""
    grow: float = 1.03
    fast_grow: float = 1.15
    """What it grows by in a calm interval: fast, as long as it is well below where it was last too much."""
    least: float = 0.05
    """The share of events below which turning away more of them does not help."""


class Overload:
    """Watches one event loop. Not safe across threads: the loop itself calls it."""

    def __init__(self, tuning: Tuning = Tuning()) -> None:  # noqa: B008 - frozen
        self._tuning = tuning
        self.shed = Shed.NOTHING
        self.share = 1.0
        """The share of events that is taken."""
        self.turned_away = 0
        """Requests with events that were told to come back."""
        self._edge = 1.0
        """The share that was too much the last time."""
        self._credit = 0.0
        self._was_calm = True
        self._began: Millis | None = None
        self._least_late: Millis = 0
        self._least_wait: Millis = 0
        self._last_late: Millis = 0
        self._calm_since: Millis | None = None

    def note(self, late: Millis, wait: Millis, now: Millis) -> None:
        """The loop was so late just now, and the request that waits longest for its events to be stored waits so long.

        ``now`` is monotonic. Call it about every ten milliseconds.
        """
        tuning = self._tuning
        if self._began is None:
            self._began, self._least_late, self._least_wait = now, late, wait
        self._least_late, self._least_wait = min(self._least_late, late), min(self._least_wait, wait)
        if now - self._began < tuning.interval:
            return
        if self._least_late >= tuning.late or self._least_wait >= tuning.slow:
            self._calm_since = None
            self._more()
        else:
            self._less(now)
        self._began, self._last_late = None, self._least_late

    def takes(self, *, trusted: bool) -> bool:
        """Whether a request with events is taken now; the shares come out exactly, without chance."""
        if self.shed is Shed.NOTHING or trusted:
            return True
        self._credit += self.share
        if self._credit >= 1:
            self._credit -= 1
            return True
        self.turned_away += 1
        return False

    def _more(self) -> None:
        """Leave out more: fewer events, and where there are hardly any left, the next step."""
        if self.share > self._tuning.least:
            self.shed = max(self.shed, Shed.EVENTS)
            if self._was_calm:
                self._edge, self._was_calm = self.share, False
            deep = self._least_late >= 5 * self._tuning.late or self._least_wait >= 5 * self._tuning.slow
            cut = self._tuning.deep_cut if deep else self._tuning.cut
            self.share = max(self._tuning.least, self.share * cut)
        elif self.shed < Shed.DEFAULTS and self._least_late >= max(self._last_late, self._tuning.late):
            self.shed = Shed(self.shed + 1)  # decisions themselves wait, and not for less time than before

    def _less(self, now: Millis) -> None:
        """Take back: decisions first, in the order they were made simpler, then events, a little at a time."""
        if self.shed is Shed.NOTHING:
            return
        if self.shed > Shed.EVENTS:
            if self._calm_since is None:
                self._calm_since = now
            if now - self._calm_since >= self._tuning.calm:
                self.shed, self._calm_since = Shed(self.shed - 1), None
            return
        self._was_calm = True
        fast = self.share < 0.8 * self._edge
        self.share = min(1.0, self.share * (self._tuning.fast_grow if fast else self._tuning.grow))
        if self.share == 1.0:
            self.shed = Shed.NOTHING
