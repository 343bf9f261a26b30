"""Sessions: runs of activity without a gap of 30 minutes, kept as intervals that grow together.

Which events share a session depends on their times alone, so they may arrive in any order within seven days of the
newest. What lies further back can no longer change: all but the newest such session (which tells how long the shopper
was away) become a number.
"""

import bisect

from cashwrap.aggregates import DAY, LATE, MINUTE, earliest
from cashwrap.model import Millis, Profile, Session, Value

GAP = 30 * MINUTE
"""Two events this far apart or further are in two sessions."""


def touch(profile: Profile, time: Millis) -> None:
    """Take one event of the shopper's own activity into the draft."""
    sessions = profile.sessions
    if sessions:
        newest = sessions[-1]
        if newest.start <= time < newest.end + GAP:  # nearly always
            newest.events += 1
            newest.end = max(newest.end, time)
            _freeze(profile)
            return
        if time < newest.end - LATE:
            return
    _join(sessions, Session(time, time))
    _freeze(profile)


def merge(into: Profile, other: Profile) -> None:
    """Take another profile's sessions into the draft; what overlaps was one session on two devices."""
    for session in other.sessions:
        _join(into.sessions, Session(session.start, session.end, session.events))
    into.session_count += other.session_count
    _freeze(into)


def current(profile: Profile, now: Millis) -> Session | None:
    """The session that is still going on at ``now``."""
    if not profile.sessions:
        return None
    newest = profile.sessions[-1]
    return newest if now < newest.end + GAP else None


def count(profile: Profile) -> int:
    """How many sessions the shopper ever had."""
    return profile.session_count + len(profile.sessions)


def values(profile: Profile, now: Millis) -> dict[str, Value]:
    """``sessions``, ``session.age_minutes``, ``session.events``, ``days_since_last_visit``.

    The last is whole days since the visit before this one ended; unknown on a first visit.
    """
    session = current(profile, now)
    found: dict[str, Value] = {
        "sessions": count(profile),
        "session.age_minutes": max(0, now - session.start) // MINUTE if session else 0,
        "session.events": session.events if session else 0,
    }
    before = _before(profile, session)
    if before is not None:
        found["days_since_last_visit"] = max(0, now - before.end) // DAY
    return found


def next_change(profile: Profile, now: Millis) -> Millis | None:
    """The earliest time after ``now`` at which ``values`` may differ without an event."""
    session = current(profile, now)
    before = _before(profile, session)
    minute = days = None
    if session is not None:
        minute = min(session.end + GAP, session.start + (max(0, now - session.start) // MINUTE + 1) * MINUTE)
    if before is not None:
        days = before.end + (max(0, now - before.end) // DAY + 1) * DAY
    return earliest((minute, days))


def _before(profile: Profile, session: Session | None) -> Session | None:
    ended = profile.sessions[:-1] if session else profile.sessions
    return ended[-1] if ended else None


def _join(sessions: list[Session], new: Session) -> None:
    first = bisect.bisect_right(sessions, new.start - GAP, key=lambda session: session.end)
    last = bisect.bisect_left(sessions, new.end + GAP, key=lambda session: session.start)
    for session in sessions[first:last]:
        new.start = min(new.start, session.start)
        new.end = max(new.end, session.end)
        new.events += session.events
    sessions[first:last] = [new]


def _freeze(profile: Profile) -> None:
    """Count the sessions that no event within seven days can reach, but keep the newest of them."""
    sessions = profile.sessions
    if len(sessions) < 2 or sessions[1].end >= sessions[-1].end - LATE - GAP:
        return
    reachable = bisect.bisect_left(sessions, sessions[-1].end - LATE - GAP, key=lambda session: session.end)
    profile.session_count += reachable - 1
    del sessions[: reachable - 1]
