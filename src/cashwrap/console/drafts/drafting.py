"""What there is to say about a draft before it goes live: its mistakes, its cases, what it changes, and what of it
moves money. Small drafts are examined on a thread, large ones in the process for long work."""

import threading
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cashwrap.console.ask import Ask
from cashwrap.console.drafts.drafts import Approval, Draft, Drafts, digest_of, size_of
from cashwrap.console.people.people import Person
from cashwrap.console.roles import PLAYBOOK, may
from cashwrap.console.work.jobs import Job, named
from cashwrap.declarations import Declarations
from cashwrap.differences import Change, difference
from cashwrap.editing.money import Moved, money_moves
from cashwrap.errors import InvalidInput
from cashwrap.expectations import read_cases, run_cases
from cashwrap.library import open_world
from cashwrap.playbook import Fault, Playbook, examine
from cashwrap.playbook.faults import Faults
from cashwrap.versions import Versions, playbook_files

SMALL = 300_000
"""Bytes of texts that are examined on a thread; beyond that it takes seconds."""
KEPT = 64
"""Outcomes that are remembered."""


class Ran(Struct, frozen=True):
    """One case: where it stands, and whether it came as expected."""

    name: str
    file: str
    line: int
    met: bool


class Examined(Struct, frozen=True):
    """A draft against what is live. Without a ``hash`` it cannot go live, and its changes are not known."""

    hash: str
    live: str
    faults: tuple[Fault, ...]
    cases: tuple[Ran, ...] = ()
    changes: tuple[Change, ...] = ()
    money: tuple[Moved, ...] = ()

    @property
    def errors(self) -> tuple[Fault, ...]:
        """What keeps it from going live."""
        return tuple(each for each in self.faults if each.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What is probably not meant."""
        return tuple(each for each in self.faults if each.severity == "warning")

    @property
    def sound(self) -> bool:
        """Whether it may go live as far as its texts and cases say."""
        return bool(self.hash) and not self.errors


def drafts_of(ask: Ask) -> Drafts:
    """The drafts of the console."""
    world = ask.console.world
    return Drafts(world.registry, world.clock, world.random)


def live_of(versions: Versions) -> str:
    """The hash of what is live; empty where nothing is."""
    live = versions.live()
    return live.hash if live is not None else ""


# --- examining ---


def compiled(files: Mapping[str, str]) -> tuple[Playbook | None, tuple[Fault, ...], tuple[Ran, ...]]:
    """A draft's playbook, every complaint, and how its cases came out."""
    own = playbook_files(files)
    playbook, found = examine(own)
    faults, ran = Faults(), list[Ran]()
    cases = read_cases({name: text for name, text in files.items() if name not in own}, faults)
    if playbook is None:
        return None, tuple(sorted({*found, *faults.sorted()})), ()
    for case in cases:
        before = len(faults)
        run_cases(playbook, [case], faults)
        ran.append(Ran(case.name, case.spot.file, case.spot.line, len(faults) == before))
    return playbook, tuple(sorted({*found, *faults.sorted()})), tuple(ran)


def examined(files: Mapping[str, str], versions: Versions) -> Examined:
    """Everything about some texts against what is live."""
    playbook, faults, ran = compiled(files)
    live = live_of(versions)
    if playbook is None:
        return Examined("", live, faults, ran)
    before = _declared(versions, live)
    changes = tuple(difference(before, playbook.declarations))
    money = tuple(money_moves(before, playbook.declarations, changes))
    return Examined(playbook.hash, live, faults, ran, changes, money)


def examined_apart(data: Path, files: Mapping[str, str]) -> Examined:
    """The same in the process for long work."""
    with open_world(data, serving=False) as world:
        return examined(files, Versions(world.registry, world.clock))


def _declared(versions: Versions, live: str) -> Declarations:
    """What is live, or nothing at all where this cashwrap cannot read it any more: then all of it is new."""
    try:
        return versions.load(live).declarations if live else Declarations()
    except InvalidInput:
        return Declarations()


_lock = threading.Lock()
_outcomes: dict[tuple[str, str], Examined] = {}


def examine_now(ask: Ask, files: Mapping[str, str]) -> Examined | Job:
    """What there is to say, or the job that finds it out. Blocks: call it on a thread."""
    versions = ask.console.versions
    key = digest_of(files), live_of(versions)
    with _lock:
        known = _outcomes.get(key)
    if known is None and size_of(files) > SMALL:
        job = ask.console.jobs.ask(named(PLAYBOOK, "examine", *key), examined_apart, dict(files), fresh=3_600_000)
        if job.state != "done":
            return job
        known = job.result
    found: Examined = known if known is not None else examined(files, versions)
    with _lock:
        _outcomes[key[0], found.live] = found  # something else may have gone live since it was asked
        while len(_outcomes) > KEPT:
            del _outcomes[next(iter(_outcomes))]
    return found


# --- the second person ---


def approvals(people: list[Person], draft: Draft) -> list[tuple[Person, Approval]]:
    """Who agreed to the draft as it is, had no hand in it, and may still say so."""
    known = {person.actor: person for person in people if not person.disabled}
    return [
        (known[each.who], each)
        for each in draft.approved_by()
        if each.who in known and may(known[each.who].grants, "approve", PLAYBOOK)
    ]
