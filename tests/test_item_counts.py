"""Counts of pairs as SQL over the fact table are those that the builder finds in memory."""

import random
from pathlib import Path

import ibis  # type: ignore[import-untyped]
import numpy as np
import pytest

from cashwrap.adapters import parquet
from cashwrap.adapters.parquet import Fact, write_facts
from cashwrap.analysis.facts import FactTable
from cashwrap.learning.counts import item_counts, item_pairs
from cashwrap.learning.interactions import FEW, LONGEST, Wanted, of_facts
from cashwrap.learning.lines import bought
from cashwrap.learning.tables import counted
from cashwrap.model import Product, Tenant

NOW = 1_790_000_000_000
ACME = Tenant("acme", "live")
WANTED = Wanted(ACME, "basket", NOW, None, FEW, LONGEST)


def order(dice: random.Random, number: int) -> Fact:
    products = tuple(dice.choice(("toy", "tea", "cup", "pot", "bag", "tin")) for _ in range(dice.randrange(1, 5)))
    when = NOW - dice.randrange(10**9)
    return Fact(
        "acme",
        "live",
        dice.randrange(6).to_bytes(16, "big"),
        time=when,
        session_start=when,
        received=when,
        event="Order Completed",
        product_ids=products,
        quantities=(1,) * len(products),
        order=number.to_bytes(8, "big"),
        trusted=True,
        mask=3,
    )


def test_the_sql_finds_what_the_builder_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "sync", lambda _: None)
    dice = random.Random(3)
    write_facts(tmp_path, [order(dice, number) for number in range(60)])
    data = of_facts(tmp_path, ACME, "basket", catalogue={"toy": Product("toy", sensitive=True)}, now=NOW)
    with FactTable(tmp_path) as table:
        table.run("CREATE TEMP TABLE sensitive AS SELECT 'toy' AS product")
        sensitive = ibis.table({"product": "string"}, name="sensitive")
        pairs = table.rows(item_pairs(table.facts, sensitive, WANTED))
        counts = table.rows(item_counts(table.facts, sensitive, WANTED))
    told = {(a, b): (orders, shoppers) for a, b, orders, shoppers in pairs}
    found = {
        (data.items[a], data.items[b]): (orders, shoppers)
        for part in counted(bought(data), few=FEW)
        for a, b, orders, shoppers, _ in zip(*part, strict=True)
    }
    assert len(told) > 5
    assert {*told} == {(a, b) for a, b in found if a < b}
    assert all(found[a, b] == found[b, a] == told[a, b] for a, b in told)
    lines = bought(data)
    assert {name: of for name, *of in counts} == {
        name: [orders, shoppers]
        for name, orders, shoppers in zip(data.items, np.bincount(lines.item), lines.shoppers(), strict=True)
    }


def test_it_is_one_statement_for_any_engine() -> None:
    facts = ibis.table(
        {
            **dict.fromkeys(("store", "environment", "event"), "string"),
            **dict.fromkeys(("analytic_id", "order"), "binary"),
            **dict.fromkeys(("session_start", "time", "received"), "int64"),
            **dict.fromkeys(("mask", "flags"), "int16"),
            "trusted": "boolean",
            "product_ids": "array<string>",
            "held": "string",
            "day": "date",
        },
        name="facts",
    )
    sensitive = ibis.table({"product": "string"}, name="sensitive")
    for engine in ("postgres", "bigquery"):
        sql = str(ibis.to_sql(item_pairs(facts, sensitive, WANTED), dialect=engine))
        assert sql.startswith("WITH")
        assert sql.count("JOIN") >= 1
