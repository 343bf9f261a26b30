"""Examples of a prediction as columns, from the shop's own log: what conditions could have read at each moment."""

from array import array
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from cashwrap.attributes import ATTRIBUTES, KIND_TYPES
from cashwrap.condition import Type
from cashwrap.declarations import PredictionDecl
from cashwrap.errors import InvalidInput
from cashwrap.history.examples import Known, Told, attributes_at, examples
from cashwrap.learning.data import TRAIN, Column, ColumnKind, Table
from cashwrap.learning.interactions import digest_of
from cashwrap.model import Millis, Purpose, Tenant
from cashwrap.playbook import Playbook
from cashwrap.propensity.values import members, number, text
from cashwrap.world import World

_KINDS: Mapping[Type, ColumnKind] = {
    Type.BOOL: "number",
    Type.NUMBER: "number",
    Type.MONEY: "number",
    Type.AVERAGE: "number",
    Type.MONEY_AVERAGE: "number",
    Type.STRING: "category",
    Type.STRING_SET: "set",
}
"""What attributes become. Moments are left out: those to come are later than all that was learned from."""


def columns_of(playbook: Playbook, features: tuple[str, ...] = ()) -> dict[str, ColumnKind]:
    """The columns that a profile's attributes make: ``features``, or all of them.

    Of a feature split by something these are its ``max``, ``total``, ``distinct`` and ``top``, and a single key
    (``views["mugs"]``) where it is named. Names that no profile has are left out.
    """
    types = {each.path: each.type for each in ATTRIBUTES if each.source == "profile"}
    types |= {f"traits.{name}": KIND_TYPES[kind] for name, kind in playbook.declarations.traits.items()}
    types |= playbook.features.types()
    found = {name: types.get(name) or types.get(_split(name)) for name in features or types}
    kinds = {name: _KINDS.get(kind) for name, kind in found.items() if kind is not None}
    return {name: kind for name, kind in kinds.items() if kind is not None and not name.endswith("[*]")}


def of_log(
    world: World,
    playbook: Playbook,
    decl: PredictionDecl,
    tenant: Tenant,
    *,
    now: Millis,
    told: Told = lambda _, __: None,
) -> Table:
    """The examples that the log holds of a prediction, ascending in time; all of it is TRAIN.

    See ``history.examples`` for what a moment is and who is in it. ``group`` is the shopper. Columns that say
    nothing of anybody are left out. Raises ``InvalidInput`` (``no_examples``) with what to do.
    """
    filling = _Filling(columns_of(playbook, decl.features), _sensitive(world, tenant))
    labels, explored = array("b"), array("b")
    for example in examples(world, playbook, decl, tenant, now=now, told=told):
        filling.add(example.known)
        labels.append(example.label)
        explored.append(example.explored)
    if not labels:
        raise InvalidInput(_nothing(decl), code="no_examples")
    return filling.table(np.array(labels, np.float64), np.array(explored, np.bool_))


def at_moments(
    world: World,
    playbook: Playbook,
    tenant: Tenant,
    wanted: Mapping[bytes, list[Millis]],
    *,
    purpose: Purpose = Purpose.PERSONALIZATION,
    features: tuple[str, ...] = (),
) -> Table:
    """What was known just before given moments, by analytic id, ascending in time: without labels (they are NaN), which
    whoever asks has, by ``subjects[group]`` and ``time``."""
    filling = _Filling(columns_of(playbook, features), _sensitive(world, tenant))
    for known in attributes_at(world, playbook, tenant, wanted, purpose=purpose, names=features):
        filling.add(known)
    count = len(filling.time)
    return filling.table(np.full(count, np.nan), np.zeros(count, np.bool_))


def _nothing(decl: PredictionDecl) -> str:
    minutes = decl.within // 60_000
    return (
        f"the log holds no example for {decl.name}: none of {', '.join(decl.at)} of a shopper who allows "
        f"{str(decl.purpose.name).lower()} is older than the {minutes:,} minutes that it looks ahead. Wait until there "
        "are some, or learn from a file with --mapping"
    )


def _sensitive(world: World, tenant: Tenant) -> frozenset[str]:
    """Products that are called so now: the log may have them from before."""
    return frozenset(name for name, product in world.catalogue.products(tenant).items() if product.sensitive)


def _split(name: str) -> str:
    return f"{name.partition('[')[0]}[*]"


class _Filling:
    """Columns that grow row by row, eight bytes a cell: a text is there once."""

    def __init__(self, kinds: Mapping[str, ColumnKind], sensitive: frozenset[str]) -> None:
        """``sensitive`` are products: a text that names one is as good as missing."""
        self._sensitive = sensitive
        self.time = array("q")
        self._seen = array("q")
        self._who: list[bytes] = []
        self._texts: dict[str, str] = {}
        self._numbers = {name: array("d") for name, kind in kinds.items() if kind == "number"}
        self._categories: dict[str, list[str]] = {name: [] for name, kind in kinds.items() if kind == "category"}
        self._sets: dict[str, list[str]] = {name: [] for name, kind in kinds.items() if kind == "set"}

    def add(self, known: Known) -> None:
        """One row more."""
        self.time.append(known.time)
        self._seen.append(known.seen)
        self._who.append(known.analytic_id)
        value = known.values.get
        for name, numbers in self._numbers.items():
            numbers.append(number(value(name)))
        for name, texts in self._categories.items():
            found = text(value(name))
            texts.append("" if found in self._sensitive else self._once(found))
        for name, texts in self._sets.items():
            texts.append(self._once(",".join(each for each in members(value(name)) if each not in self._sensitive)))

    def _once(self, found: str) -> str:
        return self._texts.setdefault(found, found)

    def table(self, label: NDArray[np.float64], explored: NDArray[np.bool_]) -> Table:
        """The rows so far, in order of time."""
        subjects = sorted(set(self._who))
        places = {analytic_id: place for place, analytic_id in enumerate(subjects)}
        group = np.array([places[each] for each in self._who], np.int32)
        time = np.array(self.time, np.int64)
        order = np.lexsort((group, time))
        columns = tuple(each._replace(values=each.values[order]) for each in self._columns())
        told = [_told(each) for each in columns]
        return Table(
            columns=columns,
            label=label[order],
            time=time[order],
            group=group[order],
            part=np.full(len(order), TRAIN, np.int8),
            explored=explored[order],
            seen=np.array(self._seen, np.int64)[order],
            subjects=tuple(subjects),
            digest=digest_of(time[order], group[order], label[order], *told),
        )

    def _columns(self) -> Iterator[Column]:
        """Those in which anybody has something."""
        for name, numbers in self._numbers.items():
            floats = np.array(numbers, np.float64)
            if not np.isnan(floats).all():
                yield Column(name, "number", floats)
        yield from (
            Column(name, "category", np.array(texts, object)) for name, texts in self._categories.items() if any(texts)
        )
        yield from (Column(name, "set", np.array(texts, object)) for name, texts in self._sets.items() if any(texts))


def _told(column: Column) -> bytes:
    """A column as bytes, for the digest."""
    texts = column.values.tolist() if column.kind != "number" else ()
    return "\n".join((column.name, *texts)).encode() + (column.values.tobytes() if not texts else b"")
