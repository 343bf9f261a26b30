"""What reads what in a playbook, worked out once a version: where a change of one thing reaches. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from cashwrap.condition import ConditionError
from cashwrap.declarations import Condition, Products
from cashwrap.editing.builder import Group, rows_of
from cashwrap.experiences import Experience
from cashwrap.playbook import Playbook
from cashwrap.segments import Segment, segments_read


class Readers(Struct, frozen=True):
    """What reads one segment, each sorted by name; ``segments`` are those that are made of it."""

    experiences: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


NOBODY = Readers()


def readers_of(playbook: Playbook) -> Mapping[str, Readers]:
    """By segment what reads it directly; experiences and offers that are switched off in the playbook do not."""
    experiences: defaultdict[str, set[str]] = defaultdict(set)
    offers: defaultdict[str, set[str]] = defaultdict(set)
    segments: defaultdict[str, set[str]] = defaultdict(set)
    for experience in playbook.experiences.ordered:
        for name in segments_read(experience.condition) if experience.condition is not None else ():
            experiences[name].add(experience.name)
    for offer in playbook.offers.values():
        for name in segments_read(offer.condition) if offer.condition is not None else ():
            offers[name].add(offer.name)
    for segment in playbook.segments.ordered:
        for name in segment.needs:
            segments[name].add(segment.name)
    every = {*experiences, *offers, *segments}
    return {name: Readers(*map(_sorted, (experiences[name], offers[name], segments[name]))) for name in every}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


class Shown(Struct, frozen=True):
    """A condition for people: as it is written, as rows, and the segments that it names, each opened."""

    text: str
    rows: Group | None
    opened: tuple["Opened", ...] = ()


class Opened(Struct, frozen=True):
    """A segment that a condition names; ``shown`` is its own condition, ``None`` where it is pushed in from outside."""

    name: str
    shown: Shown | None


OPENED = 30
"""Segments that are opened below one condition, each where it is first named."""


class Uses(Struct, frozen=True):
    """What reads what in one version, by name."""

    playbook: Playbook
    segments: Mapping[str, Segment]
    experiences: Mapping[str, Experience]
    """Those that are switched on in the playbook."""
    readers: Mapping[str, Readers]

    def of(self, segment: str) -> Readers:
        """What reads a segment."""
        return self.readers.get(segment, NOBODY)

    def segment(self, name: str) -> Shown | None:
        """A segment's condition, opened; ``None`` for one that is pushed in from outside."""
        declared = self.playbook.declarations.segments[name]
        return self._opened(declared.when, self._needs(name), {name})

    def experience(self, name: str) -> Shown | None:
        """An experience's condition, opened; ``None`` for everyone."""
        declared, compiled = self.playbook.declarations.experiences[name], self.experiences.get(name)
        condition = compiled.condition if compiled is not None else None
        return self._opened(declared.when, segments_read(condition) if condition is not None else (), set())

    def offer(self, name: str) -> Shown | None:
        """An offer's own condition, opened; ``None`` for everyone."""
        declared, condition = self.playbook.declarations.offers[name], self.playbook.offers[name].condition
        return self._opened(declared.when, segments_read(condition) if condition is not None else (), set())

    def _needs(self, name: str) -> tuple[str, ...]:
        compiled = self.segments.get(name)
        return compiled.needs if compiled is not None else ()

    def _opened(self, condition: Condition | None, reads: Iterable[str], seen: set[str]) -> Shown | None:
        if condition is None:
            return None
        inside = []
        for name in sorted(set(reads) - seen):
            if len(seen) >= OPENED:
                break
            seen.add(name)
            declared = self.playbook.declarations.segments[name]
            inside.append(Opened(name, self._opened(declared.when, self._needs(name), seen)))
        return Shown(condition.text, _rows(condition.text), tuple(inside))


def uses_of(playbook: Playbook) -> Uses:
    """Work it out: once a version."""
    return Uses(
        playbook,
        {each.name: each for each in playbook.segments.ordered},
        {each.name: each for each in playbook.experiences.ordered},
        readers_of(playbook),
    )


def _rows(text: str) -> Group | None:
    """``None`` for what no rows can be made of."""
    try:
        return rows_of(text)
    except ConditionError:
        return None


def predictions_read(playbook: Playbook, attributes: Iterable[str]) -> tuple[str, ...]:
    """The predictions among the attributes that a condition reads."""
    known = set(playbook.predictions)
    return tuple(sorted(known.intersection(attributes)))


def models_of(playbook: Playbook, experience: str) -> tuple[str, ...]:
    """The models that an experience's lists of products ask, each with its version."""
    shows = playbook.declarations.experiences[experience].variations.values()
    return tuple(sorted({f"{show.model} ({show.version})" for show in shows if isinstance(show, Products)}))
