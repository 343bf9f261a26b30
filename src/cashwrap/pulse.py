"""A pulse: what one serving process has counted since it began, small enough to be sent every second.

Counters only grow for as long as their process lives, so that a pulse that is lost costs nothing: the next one says it
all again. Who receives them subtracts. Nothing in it is about a person.
"""

from typing import get_args

import msgspec
from msgspec import Struct, field

from cashwrap.events import Accounting
from cashwrap.model import Millis, Reason

SHOWN: frozenset[Reason] = frozenset({"match", "preview"})
MEANT: frozenset[Reason] = frozenset({"no_match", "no_consent", "control", "holdout", "capped", "quiet", "no_offer"})
"""The shop's default, because this is what was to be shown: no experience fits, or one is kept back on purpose."""
FALLBACK: frozenset[Reason] = frozenset(get_args(Reason)) - SHOWN - MEANT
"""The shop's default in place of what was to be shown: late, broken, switched off, left out under load, without
content, or for a placement that nobody declared."""
STORES = 300
"""Stores told of in one pulse: a datagram has room for some 200 KB."""
LONGEST = 1_000
"""Characters told of a broken playbook's mistakes."""


class StorePulse(Struct, frozen=True, array_like=True, gc=False):
    """What a process has counted for one store and environment."""

    decisions: int = 0
    degraded: int = 0
    reasons: dict[Reason, int] = {}
    """Placements answered, by reason; of the first decisions of each second, see ``counts``."""
    events: Accounting = field(default_factory=Accounting)
    """What became of the events that this process has written."""


class Pulse(Struct, frozen=True, array_like=True, gc=False):
    """One process at one moment."""

    role: str
    """``server``, or with several processes ``writer`` and ``worker 1`` ...: whoever has it next replaces this one."""
    pid: int
    began: Millis
    at: Millis
    stores: dict[str, StorePulse] = {}
    """By the tenant's name."""
    buckets: list[int] = []
    """Decisions by how long they took, as ``counts.BUCKETS`` has it, and those above."""
    seconds: float = 0.0
    """How long they took together."""
    shed: int = 0
    """What is left out under load: a step of ``overload.Shed``."""
    turned_away: int = 0
    """Requests with events that were told to come back."""
    no_room: int = 0
    """Failed events there was no room for, and requests refused for that."""
    waiting: int = 0
    """Requests whose events wait to be stored."""
    disk_full: bool = False
    playbook: str = ""
    """Hash of what decides here."""
    playbook_error: str = ""
    """The mistakes of the newest change, while an older playbook stays live."""
    ending: bool = False
    """The process is stopping as it was told to: nobody need miss it."""

    @property
    def process(self) -> tuple[int, Millis]:
        """Names the process: its number may be used again."""
        return self.pid, self.began


_pulse: "msgspec.msgpack.Decoder[Pulse]" = msgspec.msgpack.Decoder(Pulse)
encode = msgspec.msgpack.Encoder().encode


def decode(sent: bytes) -> Pulse | None:
    """A pulse as it was sent; ``None`` for what is none."""
    try:
        return _pulse.decode(sent)
    except msgspec.DecodeError:
        return None
