"""Exposures in the fact table: what a decision's token proved, from the browser's event to a typed row."""

from pathlib import Path

import pytest

from cashwrap.history import write_facts
from cashwrap.playbook import examine
from engines import TestClock, memory_world, shop_over

PLAYBOOK = """
shop: {currency: EUR, locale: en}
placements:
  banner: {component: message}
experiences:
  greeting:
    in: banner
    variations:
      formal: {text: {en: Good day.}}
    experiment: {arms: {control: 50%, formal: 50%}, goal: conversion, salt: greeting-2}
"""


def test_an_exposure_becomes_a_row_in_treatment_and_control(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    playbook, faults = examine({"p.yaml": PLAYBOOK})
    assert playbook is not None, faults
    world, expected = memory_world(TestClock()), set()
    with shop_over(world, playbook) as shop:
        for number in range(12):
            who = {"anonymousId": f"anon-facts-{number:08}"}
            shop.consents(who)
            answer = shop.decide(shopper=who)
            shown = answer["placements"]["banner"]
            outcome = "control" if shown["content"] is None else "shown"
            expected.add(
                (answer["decisionId"], "greeting", shown["variation"], "greeting-2", outcome, 5_000, "session")
            )
            properties = {"placement": "banner", "token": answer["token"]}
            shop.keeps(shop.event(event="Experience Viewed", properties=properties, **who))
    assert {each[4] for each in expected} == {"shown", "control"}
    write_facts(world, tmp_path)
    rows = [row for path in tmp_path.rglob("*.parquet") for row in parquet.ParquetFile(path).read().to_pylist()]
    names = ("decision", "experience", "variation", "experiment", "outcome", "propensity", "level")
    found = {tuple(row[name] for name in names) for row in rows if row["event"] == "Experience Viewed"}
    assert found == expected
