"""Interactions out of facts: as a naive reading has them, nobody who must not be in them, and the split by time."""

import os
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import ibis
import numpy as np
import pytest

from cashwrap import history
from cashwrap.adapters import parquet
from cashwrap.adapters.parquet import Fact, write_facts
from cashwrap.analysis.facts import COLUMNS, to_sql
from cashwrap.errors import InvalidInput
from cashwrap.learning import interactions as room
from cashwrap.learning.data import TEST, TRAIN, VALID, Column, Interactions, Table, Task
from cashwrap.learning.interactions import FEW, LONGEST, Wanted, expression, of_facts, split_by_time
from cashwrap.model import Product, Tenant
from cashwrap.recommend.asked import ADD, ORDER, SAVE, VIEW
from engines import LIVE, TestClock, memory_world, shop_over

DAY = 86_400_000
NOW = 1_790_000_000_000
MINUTE = 60_000
ACME = Tenant("acme", "live")
KINDS = {"Product Viewed": VIEW, "Product Added": ADD, "Product Added to Wishlist": SAVE}
CATALOGUE = {
    "toy": Product("toy", sensitive=True),
    "p1": Product("p1"),
    **{f"c{number}": Product(f"c{number}") for number in range(50)},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer files, no waiting for the disk, and several batches of columns."""
    monkeypatch.setattr(parquet, "sync", lambda _: None)
    monkeypatch.setattr(parquet, "BUCKETS", 1)
    monkeypatch.setattr(room, "BATCH", 50)


def fact(shopper: int, time: int, event: str, *products: str, **more: object) -> Fact:
    order = more.pop("order", None)
    fields = {
        "session_start": time,
        "received": time,
        "mask": 3,
        "order": None if order is None else str(order).encode().rjust(8, b"-"),
        **more,
    }
    pieces = tuple(1 for _ in products)
    return Fact("acme", "live", _id(shopper), time=time, event=event, product_ids=products, quantities=pieces, **fields)


def _id(shopper: int) -> bytes:
    return shopper.to_bytes(16, "big")


def shop(dice: random.Random, count: int = 500) -> list[Fact]:
    """A few weeks of a small shop, with everything that must not be learned from among it."""
    made, orders = [], 0
    for visit in range(count // 5):
        who, start = dice.randrange(20), NOW - dice.randrange(5 * DAY)
        alike = {"session_start": start, "flags": 1 if dice.random() < 0.05 else 0}
        for step in range(dice.randrange(1, 8)):
            at = {**alike, "received": start + step * MINUTE + dice.randrange(9)}
            name = dice.choice(("toy", "p1", "p2", "p3", "p4", f"rare{dice.randrange(30)}"))
            event = dice.choice((*KINDS, "Product Removed", "Page Viewed", "Cart Viewed"))
            products = () if event == "Page Viewed" else (name,)
            made.append(fact(who, start + step * MINUTE, event, *products, **at))
        if dice.random() < 0.6:
            orders += 1
            made += _order(dice, who, start + 20 * MINUTE, f"o{orders}", alike)
        if visit % 10 == 0:
            shown = {"held": dice.choice(("shop", "experiment")), "outcome": "holdout", **alike}
            made.append(fact(dice.randrange(20), start, "Experience Viewed", **shown))
    made += [fact(3, NOW + DAY, "Product Viewed", "p1")]  # of a day that is not yet
    other = {"session_start": NOW - DAY, "received": NOW - DAY, "mask": 3}
    made += [
        Fact(*tenant, _id(who), time=NOW - DAY, event="Product Viewed", product_ids=("elsewhere",), **other)
        for tenant in (("acme", "test"), ("other", "live"))
        for who in range(5)
    ]
    dice.shuffle(made)
    return made


def _order(dice: random.Random, who: int, time: int, name: str, alike: dict[str, int]) -> list[Fact]:
    """An order as the browser and the backend tell it, now and then twice, changed, or taken back."""
    basket = [dice.choice(("toy", "p1", "p2", "p3", f"rare{dice.randrange(12)}")) for _ in range(dice.randrange(1, 4))]
    told = {**alike, "order": name, "trusted": True}
    made = [fact(who, time, "Order Completed", *basket, **{**told, "trusted": False, "received": time - 1})]
    if dice.random() < 0.8:
        made += [
            fact(who, time, "Order Completed", *basket, **{**told, "received": time + 100 * each}) for each in (1, 2)
        ]
    if dice.random() < 0.3:
        made.append(fact(who, time + MINUTE, "Order Updated", "p4", *basket, **told))
    if dice.random() < 0.2:
        undone = dice.choice(("Order Cancelled", "Order Returned", "Order Refunded"))
        made.append(fact(who, time + DAY, undone, **{**told, "session_start": time + DAY, "received": time + DAY}))
    return made


Row = tuple[str, int, int]
"""Item, kind, time."""


def naive(
    facts: Iterable[Fact], task: Task, since: int = 0, longest: int = 200
) -> dict[tuple[bytes, object], list[Row]]:
    """The same by loops: the rows of every session."""
    mine = [
        each
        for each in facts
        if (each.store, each.environment) == ("acme", "live")
        and not each.flags
        and each.mask & 2
        and each.time <= NOW
        and each.session_start >= since
    ]
    sessions: dict[tuple[bytes, object], list[tuple[int, int, int, int, str]]] = defaultdict(list)
    if task == "next_item":
        for each in mine:
            if each.event in KINDS and each.product_ids:
                told = (each.time, each.received, KINDS[each.event], 0, each.product_ids[0])
                sessions[each.analytic_id, each.session_start].append(told)
    for order in {each.order for each in mine if each.order and each.trusted}:
        reports = [each for each in mine if each.order == order and each.trusted]
        content = sorted(
            (each for each in reports if each.event in {"Order Completed", "Order Updated"}),
            key=lambda each: (each.time, each.received),
        )
        if not content or {each.event for each in reports} & {"Order Cancelled", "Order Returned"}:
            continue
        first = content[0]
        visit = order if task == "basket" else first.session_start
        times = [each.time for each in content if each.event == "Order Completed"] or [first.time]
        received = min(each.received for each in content)
        lines = dict.fromkeys(next(each.product_ids for each in reversed(content) if each.product_ids))
        for place, product in enumerate(lines):
            sessions[first.analytic_id, visit].append((min(times), received, ORDER, place, product))
    kept = {key: sorted(row for row in rows if row[4] != "toy")[-longest:] for key, rows in sessions.items()}
    who = defaultdict(set)
    for (shopper, _), rows in kept.items():
        for row in rows:
            who[row[4]].add(shopper)
    found = {key: [(row[4], row[2], row[0]) for row in rows if len(who[row[4]]) >= FEW] for key, rows in kept.items()}
    return {key: rows for key, rows in found.items() if rows}


def sessions_of(data: Interactions) -> list[tuple[bytes, list[Row]]]:
    """Each session with its shopper."""
    rows = [
        (data.items[item], int(kind), int(time))
        for item, kind, time in zip(data.item, data.kind, data.time, strict=True)
    ]
    return [
        (data.subjects[data.user[at]], rows[data.offsets[at] : data.offsets[at + 1]]) for at in range(data.sessions)
    ]


@pytest.mark.parametrize(("task", "days"), [("next_item", None), ("basket", 3)])
def test_facts_become_the_sessions_that_a_naive_reading_finds(tmp_path: Path, task: Task, days: int | None) -> None:
    facts = shop(random.Random(7))
    write_facts(tmp_path, facts)
    data = of_facts(tmp_path, ACME, task, catalogue=CATALOGUE, now=NOW, days=days)
    told = naive(facts, task, 0 if days is None else NOW - days * DAY)
    assert sorted(sessions_of(data)) == sorted((shopper, rows) for (shopper, _), rows in told.items())
    ends = data.time[data.offsets[1:] - 1]
    assert (np.diff(ends) >= 0).all()
    assert list(data.items) == sorted({row[0] for rows in told.values() for row in rows})
    assert set(data.subjects) == {shopper for shopper, _ in told}
    held = {each.analytic_id for each in facts if each.held == "shop" and not each.flags}
    if days is None:
        assert [data.subjects[user] in held for user in data.user] == data.explored.tolist()
        assert 0 < data.explored.sum() < data.sessions
    assert not {"toy", "elsewhere"} & set(data.items)
    assert data.catalogue is CATALOGUE
    assert (data.part == TRAIN).all()
    assert {kind: array.dtype.kind for kind, array in data._asdict().items() if isinstance(array, np.ndarray)} == {
        "item": "i", "kind": "i", "time": "i", "offsets": "i", "user": "i", "part": "i", "explored": "b",
    }  # fmt: skip


def test_the_oracle_sees_what_is_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these bugs makes the arrays another than the naive reading's."""
    facts = shop(random.Random(7))
    write_facts(tmp_path, facts)
    told = sorted((shopper, rows) for (shopper, _), rows in naive(facts, "basket").items())
    allowed, ordered = room._allowed, room._ordered
    planted = {
        "_allowed": lambda rows, wanted: allowed(rows.mutate(flags=rows.flags * 0), wanted),
        "_ordered": lambda rows, **how: ordered(rows.mutate(trusted=ibis.literal(True)), **how),
        "FEW": 2,
        "_UNDONE": ("Order Cancelled",),
    }
    for name, bug in planted.items():
        with monkeypatch.context() as patch:
            patch.setattr(room, name, bug)
            data = of_facts(tmp_path, ACME, "basket", catalogue=CATALOGUE, now=NOW)
        assert sorted(sessions_of(data)) != told, name


def test_a_visit_of_very_many_events_keeps_its_newest(tmp_path: Path) -> None:
    busy = [
        fact(1, NOW - 5000 + each, "Product Viewed", f"c{each % 3}", session_start=NOW - 5000) for each in range(900)
    ]
    others = [fact(who, NOW - DAY, "Product Viewed", f"c{each}") for who in (2, 3) for each in range(3)]
    write_facts(tmp_path, [*busy, *others])
    data = of_facts(tmp_path, ACME, "next_item", catalogue=CATALOGUE, now=NOW)
    lengths = np.diff(data.offsets).tolist()
    assert lengths == [3, 3, 200]
    assert data.time[-200:].tolist() == [NOW - 5000 + each for each in range(700, 900)]


def test_nothing_to_learn_from_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cashwrap facts") as empty:
        of_facts(tmp_path, ACME, "next_item", catalogue={}, now=NOW)
    assert empty.value.code == "no_interactions"
    write_facts(tmp_path, [fact(who, NOW - who, "Product Viewed", "p1") for who in range(9)])
    with pytest.raises(InvalidInput, match="ordered") as none:
        of_facts(tmp_path, ACME, "basket", catalogue={}, now=NOW)
    assert none.value.code == "no_interactions"


def test_nobody_is_in_it_who_withdrew_or_was_forgotten_or_never_allowed(tmp_path: Path) -> None:
    names = ("a", "b", "c", "withdrew", "gone", "never")
    people = {name: {"anonymousId": f"anon-{name:0>12}"} for name in names}
    with shop_over(memory_world(TestClock())) as shop:
        for name, person in people.items():
            if name != "never":
                shop.consents(person)
            own = () if name in "abc" else (shop.views(person, f"only-{name}"),)
            shop.keeps(shop.views(person, "mug"), *own)
        found = {name: shop.profile(anonymous=person["anonymousId"]) for name, person in people.items()}
        history.write_facts(shop.engine.world, tmp_path)
        shop.consents(people["withdrew"], analytics="denied")
        history.write_facts(shop.engine.world, tmp_path)
        key = shop.key(anonymous=people["gone"]["anonymousId"])
        assert key is not None
        gone = found["gone"]
        assert gone is not None
        shop.engine.forget(key)
        parquet.ParquetFacts(tmp_path).forget([gone.analytic_id])
        data = of_facts(tmp_path, LIVE, "next_item", catalogue={}, now=shop.clock.now())
    assert data.items == ("mug",)
    assert sorted(data.subjects) == sorted(profile.analytic_id for name in "abc" if (profile := found[name]))
    assert len(data.item) == 3


def test_the_sql_is_what_it_was() -> None:
    """``RENEW=1 pytest tests/test_learning_interactions.py`` writes it again."""
    types = {"VARCHAR": "string", "BLOB": "binary", "BIGINT": "int64", "SMALLINT": "int16", "BOOLEAN": "boolean"}
    kinds = {
        **{name: types[kind] for name, kind in COLUMNS.items() if kind in types},
        **dict.fromkeys(("product_ids",), "array<string>"),
        "day": "date",
    }
    facts, sensitive = ibis.table(kinds, name="facts"), ibis.table({"product": "string"}, name="sensitive")
    for task in ("next_item", "basket"):
        sql = to_sql(expression(facts, sensitive, Wanted(ACME, task, NOW, NOW - 30 * DAY, FEW, LONGEST))) + "\n"
        path = Path(__file__).parent / "snapshots" / f"interactions_{task}.sql"
        if os.environ.get("RENEW"):
            path.write_text(sql)
        assert sql == path.read_text(), f"{path.name} changed; look at the difference, then renew it"


# --- the split ---


def interactions(ends: list[int], part: list[int] | None = None) -> Interactions:
    count = len(ends)
    return Interactions(
        items=("a",),
        item=np.zeros(count, np.int32),
        kind=np.zeros(count, np.int8),
        time=np.array(ends, np.int64),
        offsets=np.arange(count + 1, dtype=np.int64),
        user=np.zeros(count, np.int32),
        part=np.array(part or [TRAIN] * count, np.int8),
        explored=np.zeros(count, np.bool_),
    )


def table(time: list[int], group: list[int] | None = None, **more: object) -> Table:
    count = len(time)
    return Table(
        columns=(Column("x", "number", np.arange(count, dtype=np.float64)),),
        label=np.zeros(count),
        time=np.array(time, np.int64),
        group=np.array(group or range(count), np.int32),
        part=np.zeros(count, np.int8),
        explored=np.zeros(count, np.bool_),
    )._replace(**more)


def test_the_last_in_time_is_tested_and_before_it_validated() -> None:
    split = split_by_time(interactions(list(range(100))), test=0.2, valid=0.25)
    assert split.part.tolist() == [TRAIN] * 60 + [VALID] * 20 + [TEST] * 20
    same = split_by_time(interactions([1, 2, 3, 4, 5, 5, 5, 5, 5, 9]), test=0.3, valid=0)
    assert same.part.tolist() == [TRAIN] * 4 + [TEST] * 6  # what happened at one moment is in one part
    given = split_by_time(interactions(list(range(10)), [TRAIN] * 8 + [TEST] * 2), test=0.5, valid=0.25)
    assert given.part.tolist() == [TRAIN] * 6 + [VALID] * 2 + [TEST] * 2
    at_once = split_by_time(interactions([7] * 10), test=0.2, valid=0)
    assert at_once.part.tolist() == [TRAIN] * 8 + [TEST] * 2


def test_no_label_and_no_shopper_reaches_into_a_later_part() -> None:
    found = split_by_time(table(list(range(100))), test=0.2, valid=0.25, gap=5)
    kept = {part: found.time[found.part == part].tolist() for part in (TRAIN, VALID, TEST)}
    assert kept == {TRAIN: list(range(56)), VALID: list(range(60, 76)), TEST: list(range(80, 100))}
    assert found.columns[0].values.tolist() == found.time.tolist()
    groups = [at % 7 if at % 2 else 7 + at for at in range(100)]
    found = split_by_time(table(list(range(100)), groups), test=0.2, valid=0.25)
    for part in (TRAIN, VALID):
        assert not set(found.group[found.part == part]) & set(found.group[found.part > part])
    assert found.time[found.part == TEST].tolist() == list(range(80, 100))  # the test part is whole


def test_an_order_without_a_clock_has_no_gap() -> None:
    assert len(split_by_time(table(list(range(10)), clock=False), gap=5).label) == 10
