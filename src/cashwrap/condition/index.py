"""All conditions of a playbook as one bitmap index: which hold for a shopper, in microseconds.

Every arm of every condition (see ``arms``) has one bit; lower bits come first. For each attribute and each
place its value can be in (see ``dimension``) there is one mask of the arms that this value does not refute.
A decision ANDs one mask per attribute: the bits left standing are the arms whose indexed tests all come out
as wanted. What cannot be indexed (a *residual* test: text search, averages, a second required member of a set)
is checked on the bits that are left, and only there.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

from cashwrap.condition.arms import Arm, Arms, Test
from cashwrap.condition.ast import Attribute, In, Literal, Node
from cashwrap.condition.check import Checked
from cashwrap.condition.constants import Version, to_version
from cashwrap.condition.dimension import (
    FALSE,
    MISSING,
    OTHER,
    STRANGE,
    TRUE,
    Axis,
    Dimension,
    Versions,
    subject,
    to_mask,
)
from cashwrap.condition.evaluate import Predicate, Values, compile_node

MOST_CELLS = 4_000_000_000
"""Bits of all masks together, half a gigabyte: an attribute that is compared with tens of thousands of values in as
many conditions would take more, and its tests are residual."""
Residual = tuple[tuple[Predicate, bool], ...]


class Index:
    """Conditions by position, in the order given to ``build_index``.

    ``starts[i]`` is the first bit of condition ``i`` and ``starts[-1]`` the number of bits; ``owners`` has the
    position of each bit; ``whole`` the keys of conditions that could not be taken apart completely.
    """

    __slots__ = ("_all", "moving", "owners", "residuals", "stable", "starts", "whole")

    def __init__(
        self,
        *,
        starts: tuple[int, ...],
        owners: tuple[int, ...],
        whole: tuple[Hashable, ...],
        residuals: dict[int, Residual],
        everything: int,
    ) -> None:
        self.starts = starts
        self.owners = owners
        self.whole = whole
        self.residuals = residuals
        self._all = everything
        self.stable = Slices(everything)
        self.moving = Slices(everything)

    def profile_mask(self, values: Values) -> int:
        """The bits that the stable attributes leave standing: what ``matches`` may go on from, as long as they stay."""
        return self.stable.narrow(self._all, values)

    def matches(self, values: Values, mask: int | None = None) -> int:
        """The bits whose indexed tests hold; those in ``residuals`` are still to be checked.

        ``mask`` is the ``profile_mask`` of values in which all stable attributes are the same.
        """
        return self.moving.narrow(self.stable.narrow(self._all, values) if mask is None else mask, values)

    def holds(self, bit: int, values: Values) -> bool:
        """Whether the residual tests of a bit come out as wanted."""
        return all(test(values) is wanted for test, wanted in self.residuals.get(bit, ()))

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """The bits of the conditions from ``first`` up to ``stop``: their offset, and a mask as wide as they are."""
        offset = self.starts[first]
        return offset, (1 << self.starts[stop] - offset) - 1


class Slices:
    """Some attributes, each with a mask for every value of it, under the cheapest look-up that answers the same."""

    __slots__ = (
        "_all", "_flags", "_mixed", "_numbers", "_prefixed", "_sets", "_sparse", "_texts", "_unsparse", "_versions",
    )  # fmt: skip

    def __init__(self, everything: int) -> None:
        self._all = everything
        self._flags: list[tuple[str, int, int, int]] = []
        self._texts: list[tuple[str, dict[str, int], int, int]] = []
        self._prefixed: list[tuple[str, dict[str, int], Dimension, int]] = []
        self._numbers: list[tuple[str, list[int | Decimal], list[int], int]] = []
        self._versions: list[tuple[str, list[Version], list[int], int]] = []
        self._mixed: list[tuple[str, Dimension]] = []
        self._sets: list[tuple[str, dict[str, tuple[int, int]], int, int]] = []
        self._sparse: dict[str, Dimension] = {}
        self._unsparse = everything

    def narrow(self, mask: int, values: Values) -> int:
        """Those bits of ``mask`` that no value here refutes."""
        get = values.get
        for name, true, false, neither in self._flags:
            value = get(name)
            mask &= true if value is True else false if value is False else neither
        for name, table, other, neither in self._texts:
            value = get(name)
            mask &= table.get(value, other) if isinstance(value, str) else neither
        for name, points, masks, neither in self._numbers:
            value = get(name)
            if type(value) is int or (isinstance(value, Decimal) and value.is_finite()):
                at = bisect_left(points, value)
                mask &= masks[2 * at + (at < len(points) and points[at] == value)]
            else:
                mask &= neither
        for name, members, base, neither in self._sets:
            mask &= _members(get(name), members, base, neither)
        if self._prefixed or self._versions or self._mixed:
            mask = self._narrow_further(mask, values)
        if self._sparse:
            mask &= self._present(values)
        return mask

    def _narrow_further(self, mask: int, values: Values) -> int:
        """The same by the kinds of attributes that few playbooks have."""
        for name, table, begun, neither in self._prefixed:
            value = values.get(name)
            if isinstance(value, str):
                named = table.get(value)
                mask &= begun.masks[begun.begun(value)] if named is None else named
            else:
                mask &= neither
        for name, points, masks, neither in self._versions:
            value = values.get(name)
            version = to_version(value) if isinstance(value, str) else None
            if version is None:
                mask &= neither
            else:
                at = bisect_left(points, version)
                mask &= masks[2 * at + (at < len(points) and points[at] == version)]
        for name, dimension in self._mixed:
            mask &= dimension.masks[dimension.place(values.get(name))]
        return mask

    def _present(self, values: Values) -> int:
        """The bits that need one of the rarely present attributes and find it, and those that need none."""
        mask, sparse = self._unsparse, self._sparse
        for name in values.keys() & sparse.keys():
            dimension, value = sparse[name], values[name]
            if type(value) is int:
                at = bisect_left(points := dimension.points, value)
                mask |= dimension.numeric[2 * at + (at < len(points) and points[at] == value)]
            else:
                mask |= dimension.masks[dimension.place(value)]
        return mask

    def slice(self, name: str, dimension: Dimension) -> None:
        """Add an attribute of one value."""
        masks = dimension.masks
        neither = masks[STRANGE]
        numbers = dimension.numeric
        odd = [masks[MISSING] != neither, masks[FALSE] != neither or masks[TRUE] != neither]
        texts = {text: masks[place] for text, place in dimension.texts.items()}
        has_texts = bool(texts or dimension.prefixes) or masks[OTHER] != neither
        has_numbers = any(mask != neither for mask in numbers)
        if isinstance(dimension, Versions):
            self._versions.append((name, dimension.points, numbers, neither))
        elif odd[0] or sum((odd[1], has_texts, has_numbers)) > 1:
            self._mixed.append((name, dimension))
        elif has_numbers:
            self._numbers.append((name, dimension.points, numbers, neither))
        elif dimension.prefixes:
            self._prefixed.append((name, texts, dimension, neither))
        elif has_texts:
            self._texts.append((name, texts, masks[OTHER], neither))
        else:
            self._flags.append((name, masks[TRUE], masks[FALSE], neither))

    def slice_set(self, name: str, wanted: Mapping[int, Sequence[tuple[str, bool]]]) -> None:
        """Add an attribute that holds a set, from the elements each bit wants inside or outside."""
        inside: dict[str, list[int]] = defaultdict(list)
        outside: dict[str, list[int]] = defaultdict(list)
        for bit, elements in wanted.items():
            for element, present in elements:
                (inside if present else outside)[element].append(bit)
        members = {
            element: (to_mask(inside.get(element, ())), to_mask(outside.get(element, ())))
            for element in inside.keys() | outside.keys()
        }
        base = self._all & ~to_mask(bit for bits in inside.values() for bit in bits)
        self._sets.append((name, members, base, self._all & ~to_mask(wanted)))

    def slice_sparse(self, name: str, dimension: Dimension, bits: int) -> None:
        """Add an attribute that few shoppers have, and without which these bits do not stand."""
        self._sparse[name] = dimension
        self._unsparse &= ~bits


def _members(value: object, members: Mapping[str, tuple[int, int]], base: int, neither: int) -> int:
    if not isinstance(value, frozenset):
        return neither
    standing, refuted = base, 0
    for element in value if len(value) <= len(members) else members.keys() & value:
        hit = members.get(element)
        if hit is not None:
            standing |= hit[0]
            refuted |= hit[1]
    return standing & ~refuted if refuted else standing


def build_index(
    conditions: Sequence[tuple[Hashable, Checked | None]], stable: Callable[[str], bool] = lambda _: False
) -> Index:
    """Compile conditions together; ``None`` is for everyone. Order is priority: the first has the lowest bits.

    ``stable`` says of an attribute, by its flat name, whether ``Index.profile_mask`` answers for it.
    """
    builder = _Builder()
    for key, condition in conditions:
        builder.add(key, condition)
    return builder.build(stable)


class _Builder:
    def __init__(self) -> None:
        self.arms = Arms()
        self.starts = [0]
        self.bits: list[Arm] = []
        self.whole: list[Hashable] = []

    def add(self, key: Hashable, condition: Checked | None) -> None:
        arms: list[Arm] = [()]
        if condition is not None:
            arms, complete = self.arms.of(condition.node)
            if not complete:
                self.whole.append(key)
        self.bits.extend(arms)
        self.starts.append(len(self.bits))

    def build(self, stable: Callable[[str], bool]) -> Index:
        tests = _Tests(self.arms.predicates, len(self.bits))
        for bit, arm in enumerate(self.bits):
            tests.sort(bit, arm)
        spans = enumerate(pairwise(self.starts))
        everything = (1 << len(self.bits)) - 1
        index = Index(
            starts=tuple(self.starts),
            owners=tuple(position for position, (start, stop) in spans for _ in range(start, stop)),
            whole=tuple(self.whole),
            residuals={bit: tuple(found) for bit, found in tests.residuals.items()},
            everything=everything,
        )
        for axis, by_bit in tests.dense.items():
            dimension = tests.dimensions[axis]
            dimension.fill(by_bit, rest=everything & ~to_mask(by_bit))
            _half(index, axis[0], stable).slice(axis[0], dimension)
        for name, wanted in tests.members.items():
            _half(index, name, stable).slice_set(name, wanted)
        for axis, by_bit in tests.sparse.items():
            tests.dimensions[axis].fill(by_bit, rest=0)
            _half(index, axis[0], stable).slice_sparse(axis[0], tests.dimensions[axis], to_mask(by_bit))
        return index


def _half(index: Index, name: str, stable: Callable[[str], bool]) -> Slices:
    return index.stable if stable(name) else index.moving


class _Tests:
    """Every arm's tests, sorted by how they are answered."""

    def __init__(self, predicates: dict[str, Node], bits: int) -> None:
        self.predicates = predicates
        self.compiled: dict[str, Predicate] = {}
        self.subjects = {key: subject(node) for key, node in predicates.items()}
        about: dict[Axis, list[Node]] = defaultdict(list)
        for key, axis in self.subjects.items():
            if axis is not None:
                about[axis].append(predicates[key])
        self.dimensions = {
            axis: Dimension(nodes) if axis[1] == "value" else Versions(nodes) for axis, nodes in about.items()
        }
        places: dict[Axis | str, int] = {axis: dimension.count for axis, dimension in self.dimensions.items()}
        for node in predicates.values():
            if isinstance(node, In) and isinstance(node.container, Attribute):
                places[node.container.name] = places.get(node.container.name, 0) + 2
        self.crowded = _crowded(places, bits)
        """Attributes, and sets by their name alone, that have no masks."""
        self.accepted: dict[Test, int] = {}
        self.dense: dict[Axis, dict[int, int]] = defaultdict(dict)
        """Attribute to bit to the places the bit accepts."""
        self.sparse: dict[Axis, dict[int, int]] = defaultdict(dict)
        """The same for attributes that most shoppers lack; here a bit is under one attribute only."""
        self.members: dict[str, dict[int, list[tuple[str, bool]]]] = defaultdict(dict)
        """Set to bit to the elements it wants inside, or outside."""
        self.residuals: dict[int, list[tuple[Predicate, bool]]] = defaultdict(list)

    def sort(self, bit: int, arm: Arm) -> None:
        """Sort the tests of one bit."""
        rare: dict[Axis, list[Test]] = defaultdict(list)
        for test in arm:
            axis = self.subjects[test[0]]
            if axis in self.crowded:
                self.leave(bit, test)
            elif axis is not None and "[" in axis[0]:
                rare[axis].append(test)
            elif axis is not None:
                places = self.dense[axis].get(bit, -1)
                self.dense[axis][bit] = places & self.places(axis, test)
            else:
                self.sort_other(bit, test)
        self.sort_rare(bit, rare)

    def sort_other(self, bit: int, test: Test) -> None:
        """A set's member, as long as it is the first this bit wants inside; all else is residual."""
        key, wanted = test
        match self.predicates[key]:
            case In(Literal(str() as element), Attribute() as container) if container.name not in self.crowded:
                elements = self.members[container.name].setdefault(bit, [])
                if not (wanted and any(inside for _, inside in elements)):
                    elements.append((element, wanted))
                    return
            case _:
                pass
        self.leave(bit, test)

    def sort_rare(self, bit: int, rare: dict[Axis, list[Test]]) -> None:
        """The first attribute that the bit cannot do without finds it; what the others say is residual."""
        found = False
        for axis, tests in rare.items():
            places = -1
            for test in tests:
                places &= self.places(axis, test)
            if not found and not places & 1 << MISSING:
                found = True
                self.sparse[axis][bit] = places
            else:
                for test in tests:
                    self.leave(bit, test)

    def places(self, axis: Axis, test: Test) -> int:
        """The places of the attribute where the test comes out as wanted."""
        known = self.accepted.get(test)
        if known is None:
            known = self.dimensions[axis].accepted(self.predicates[test[0]], wanted=test[1])
            self.accepted[test] = known
        return known

    def leave(self, bit: int, test: Test) -> None:
        """Check this test only on the bits that are left."""
        key, wanted = test
        if key not in self.compiled:
            self.compiled[key] = compile_node(self.predicates[key])
        self.residuals[bit].append((self.compiled[key], wanted))


def _crowded(places: Mapping[Axis | str, int], bits: int) -> frozenset[Axis | str]:
    """The attributes with most places: those whose masks would not fit, once all smaller ones have theirs."""
    left, crowded = MOST_CELLS, set()
    for attribute, count in sorted(places.items(), key=lambda each: (each[1], str(each[0]))):
        left -= count * bits
        if left < 0:
            crowded.add(attribute)
    return frozenset(crowded)
