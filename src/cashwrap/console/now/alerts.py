"""What somebody should look at now. Pure: a situation in, alerts out; each rule says what it waits for before it tells.

A rule that cries wolf is switched off by whoever hears it. So every one needs enough cases to judge by, and the one
about orders knows how sure it is (docs/reference/console-now.md has all thresholds).
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from cashwrap.console.now.confirmed import Loss
from cashwrap.console.now.figures import HOUR, MINUTE, Point, slower
from cashwrap.console.shop.goods import STALE
from cashwrap.model import Millis

Tone = Literal["warn", "bad"]
LATEST: Millis = 5 * MINUTE
"""The time that shares are taken of."""
ENOUGH = 100
"""Decisions, or placements, in that time before a share of them says anything."""
SHARE = 0.01
"""The share from which degraded, late, failing and conflicting is too much ..."""
TERRIBLE = 0.05
"""... and from which it is worse than that."""
DEADLINE = 0.05
"""Seconds that a decision may take where the caller does not say: one of ``counts.BUCKETS``."""
JUMP, SIGMAS = 0.02, 5.0
"""A share of fallbacks has jumped where it is at least this, and this many standard errors above the day's."""
FEWEST = 20
"""Events that failed, or orders that were missed, before their share says anything."""
BACKLOG = 1_000
"""Failed events that wait before somebody is told."""
SILENT: Millis = 10_000
"""How long a process may say nothing."""
UNDELIVERED: Millis = 10 * MINUTE
"""How long a webhook may wait for its receiver."""
QUIET: Millis = 10 * MINUTE
"""The shortest time without an order that may be too long ..."""
CHANCE = 1e-6
"""... which it is where a shop as usual would see it with less than this chance. Every pause between two orders is a
trial: a shop with a thousand orders a day would be told wrongly once in three years."""
UNSEEN, UNCONFIRMED = 0.3, 0.02
"""The shares of orders that browsers, and backends, may not tell of."""


class Usual(Struct, frozen=True):
    """Orders that came in earlier times like this one: how many, and in how many minutes."""

    orders: int
    minutes: float


class Situation(Struct, frozen=True, kw_only=True):
    """All that the rules look at, of one store and of the installation around it, at one moment."""

    now: Millis
    # of the installation
    waited: Millis | None = None
    """For how long a console with a server beside it has listened; ``None`` for one without."""
    processes: Mapping[str, Millis] = {}
    """By role: when each was heard last."""
    shed: int = 0
    disk_full: bool = False
    playbook_error: str = ""
    whole: Point = field(default_factory=Point)
    """The last minutes, of all stores: how long decisions took."""
    backlog_share: float = 0.0
    """How full the store of failed events is."""
    # of the store
    recent: Point = field(default_factory=Point)
    """The last minutes."""
    day: Point = field(default_factory=Point)
    """The day before them."""
    last_order: Millis | None = None
    """When the backend's last order was made; ``None`` where none is known of."""
    usual: tuple[tuple[float, tuple[Usual, ...]], ...] = ()
    """The time since then in pieces: the minutes of each, and what earlier times like it had, by ways to compare."""
    loss: Loss = Loss()
    failed: int = 0
    """Failed events that wait."""
    switched_off: tuple[str, ...] = ()
    """What kill switches are on."""
    undelivered: Millis | None = None
    """Since when the webhook waits that waits for longest."""
    stocked: Millis | None = None
    """When the catalogue last changed, where it is one that changes."""


class Alert(Struct, frozen=True):
    """One thing to look at. ``code`` names it, ``values`` are for its text."""

    code: str
    tone: Tone
    values: Mapping[str, object] = {}
    since: Millis | None = None
    """Where the situation itself says since when; else since it was first seen."""


def alerts(situation: Situation) -> list[Alert]:
    """Everything to look at now, the worst first."""
    found = [alert for rule in RULES if (alert := rule(situation)) is not None]
    return sorted(found, key=lambda alert: alert.tone != "bad")


def chance_of_none(pieces: tuple[tuple[float, tuple[Usual, ...]], ...]) -> float:
    """The chance of no order in all this time, for a shop that goes on as it did in earlier times like it.

    Orders are taken for Poisson with a rate that is not known but was seen: n orders in T minutes. With Jeffreys'
    prior the rate is Gamma(n + 1/2, T), and no order comes in t more minutes with (T / (T + t))^(n + 1/2) (the
    negative binomial predictive distribution; Gelman et al., Bayesian Data Analysis, 2.6). So a shop that was seen for
    little is believed little. Of several ways to compare, the one that makes the silence least surprising counts.
    """
    chance = 1.0
    for minutes, ways in pieces:
        seen = [way for way in ways if way.minutes > 0]
        chance *= max(((way.minutes / (way.minutes + minutes)) ** (way.orders + 0.5) for way in seen), default=1.0)
    return chance


def _no_orders(now: Situation) -> Alert | None:
    if now.last_order is None or now.now - now.last_order < QUIET or chance_of_none(now.usual) >= CHANCE:
        return None
    expected = sum(
        minutes * min((way.orders / way.minutes for way in ways if way.minutes > 0), default=0.0)
        for minutes, ways in now.usual
    )
    values = {"lasted": now.now - now.last_order, "expected": _about(expected)}
    return Alert("no_orders", "bad", values, now.last_order)


def _about(count: float) -> int:
    """With two digits that say something: a text that counts up every second is read out every second."""
    step = int(10 ** max(0, len(str(round(count))) - 2))
    return round(count / step) * step


def _degraded(now: Situation) -> Alert | None:
    share = now.recent.share("degraded", "decisions")
    if now.recent.decisions < ENOUGH or share <= SHARE:
        return None
    return Alert("degraded", _tone(share), {"share": share})


def _fallbacks(now: Situation) -> Alert | None:
    """A jump against the day before: the two-proportion z test with the pooled share."""
    recent, day = now.recent, now.day
    share, before = recent.share("fallbacks", "answers"), day.share("fallbacks", "answers")
    if min(recent.answers, day.answers) < ENOUGH or share < JUMP:
        return None
    pooled = (recent.fallbacks + day.fallbacks) / (recent.answers + day.answers)
    error = math.sqrt(pooled * (1 - pooled) * (1 / recent.answers + 1 / day.answers))
    if share - before <= SIGMAS * error:
        return None
    return Alert("fallbacks", _tone(share), {"share": share, "before": before})


def _slow(now: Situation) -> Alert | None:
    taken = sum(now.whole.buckets)
    share = slower(now.whole.buckets, DEADLINE) / taken if taken else 0.0
    if taken < ENOUGH or share <= SHARE:
        return None
    return Alert("slow", _tone(share), {"share": share, "millis": round(DEADLINE * 1000)})


def _failing(now: Situation) -> Alert | None:
    share = now.recent.share("failed", "events")
    if now.recent.failed < FEWEST or share <= SHARE:
        return None
    return Alert("events_failing", _tone(share), {"share": share, "count": now.recent.failed})


def _conflicting(now: Situation) -> Alert | None:
    share = now.recent.share("conflict", "events")
    if now.recent.conflict < FEWEST or share <= SHARE:
        return None
    return Alert("events_conflicting", "warn", {"share": share, "count": now.recent.conflict})


def _refusing(now: Situation) -> Alert | None:
    if not now.whole.no_room:
        return None
    return Alert("no_room", "bad", {"count": now.whole.no_room})


def _backlog(now: Situation) -> Alert | None:
    if now.failed < BACKLOG and now.backlog_share < 0.9:
        return None
    return Alert("backlog", "bad" if now.backlog_share >= 0.9 else "warn", {"count": now.failed})


def _disk(now: Situation) -> Alert | None:
    return Alert("disk_full", "bad") if now.disk_full else None


def _broken(now: Situation) -> Alert | None:
    return Alert("playbook_broken", "bad", {"message": now.playbook_error}) if now.playbook_error else None


def _shedding(now: Situation) -> Alert | None:
    return Alert("shedding", "bad" if now.shed > 1 else "warn", {"step": now.shed}) if now.shed else None


def _silent(now: Situation) -> Alert | None:
    """A process that was heard and is not any more, or a server that never was."""
    if now.waited is None:
        return None
    silent = sorted(role for role, heard in now.processes.items() if now.now - heard > SILENT)
    if silent:
        return Alert("process_silent", "bad", {"roles": ", ".join(silent)}, min(now.processes[each] for each in silent))
    if not now.processes and now.waited > SILENT:
        return Alert("server_silent", "bad")
    return None


def _switched_off(now: Situation) -> Alert | None:
    if not now.switched_off:
        return None
    return Alert("switched_off", "warn", {"names": ", ".join(now.switched_off[:5]), "count": len(now.switched_off)})


def _unconfirmed(now: Situation) -> Alert | None:
    loss = now.loss
    told = loss.orders + loss.unconfirmed
    if not loss.orders and loss.unconfirmed >= 5:
        return Alert("no_backend_orders", "bad", {"count": loss.unconfirmed})
    if loss.unconfirmed < FEWEST or loss.unconfirmed <= UNCONFIRMED * told:
        return None
    return Alert("unconfirmed_orders", "warn", {"count": loss.unconfirmed, "share": loss.unconfirmed / told})


def _unseen(now: Situation) -> Alert | None:
    loss = now.loss
    if loss.unseen < FEWEST or loss.unseen <= UNSEEN * loss.asked:
        return None
    return Alert("unseen_orders", "warn", {"count": loss.unseen, "share": loss.unseen / loss.asked})


def _undelivered(now: Situation) -> Alert | None:
    if now.undelivered is None or now.now - now.undelivered < UNDELIVERED:
        return None
    return Alert("webhooks_failing", "warn", {"lasted": now.now - now.undelivered}, now.undelivered)


def _stale(now: Situation) -> Alert | None:
    if now.stocked is None or now.now - now.stocked <= STALE:
        return None
    return Alert("catalogue_stale", "warn", {"lasted": now.now - now.stocked}, now.stocked)


def _tone(share: float) -> Tone:
    return "bad" if share > TERRIBLE else "warn"


RULES: tuple[Callable[[Situation], Alert | None], ...] = (
    *(_no_orders, _silent, _disk, _broken, _shedding, _refusing, _slow, _degraded, _fallbacks, _switched_off),
    *(_failing, _conflicting, _backlog, _unconfirmed, _unseen, _undelivered, _stale),
)
HELD: Millis = 30_000
"""How long an alert stays that is not there any more: one that comes and goes is one alert."""


class Told(Struct, frozen=True):
    """An alert with its life: since when, last seen when, and who has taken it on."""

    alert: Alert
    since: Millis
    seen: Millis
    who: str = ""
    taken: Millis = 0


class Watch:
    """The alerts of all stores from when they come to when they clear."""

    def __init__(self, told: Mapping[tuple[str, str], Told] | None = None) -> None:
        self.told: dict[tuple[str, str], Told] = dict(told or {})
        """By store and code."""

    def see(self, store: str, found: list[Alert], now: Millis) -> list[Told]:
        """What a store's situation says now; all alerts of it that have not cleared, those nobody took on first."""
        for alert in found:
            known = self.told.get((store, alert.code))
            began = alert.since if alert.since is not None else (known.since if known is not None else now)
            who, taken = (known.who, known.taken) if known is not None else ("", 0)
            self.told[store, alert.code] = Told(alert, began, now, who, taken)
        for key, each in list(self.told.items()):
            if key[0] == store and now - each.seen > HELD:
                del self.told[key]
        return self.of(store)

    def of(self, store: str) -> list[Told]:
        """A store's alerts as they were seen last."""
        found = [each for (name, _), each in self.told.items() if name == store]
        return sorted(found, key=lambda each: (bool(each.who), each.alert.tone != "bad", each.since))

    def acknowledge(self, store: str, code: str, who: str, now: Millis) -> bool:
        """Somebody takes an alert on: it stays quiet until it clears. ``False`` where it has cleared already."""
        known = self.told.get((store, code))
        if known is None:
            return False
        self.told[store, code] = Told(known.alert, known.since, known.seen, who, now)
        return True


def hours_between(since: Millis, until: Millis) -> list[tuple[Millis, float]]:
    """A time in pieces of whole hours: when the hour of each began, and the minutes in it."""
    pieces, at = [], since
    while at < until:
        began = at - at % HOUR
        end = min(began + HOUR, until)
        pieces.append((began, (end - at) / MINUTE))
        at = end
    return pieces
