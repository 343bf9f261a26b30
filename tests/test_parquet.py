"""Facts hold what analysis may see and nothing more, and forgetting takes one person out of every file."""

import sys
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet
import pytest

from cashwrap.adapters.parquet import Fact, forget, write_facts
from cashwrap.errors import CashwrapError
from cashwrap.model import Purpose

DAY = 86_400_000
ALLOWED = Purpose.NECESSARY | Purpose.ANALYTICS


def fact(who: int, day: int = 0, mask: int = ALLOWED, amount: int = 100) -> Fact:
    return Fact(
        "acme", "live", bytes([who]) * 16, day * DAY, day * DAY + who, "Product Viewed", amount=amount, mask=mask
    )


def read(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pylist()
    return sorted(rows, key=lambda row: (str(row["day"]), str(row["analytic_id"])))


@pytest.mark.parametrize("mask", [0, Purpose.NECESSARY, Purpose.PERSONALIZATION | Purpose.ADVERTISING])
def test_without_analytics_there_is_no_fact(tmp_path: Path, mask: int) -> None:
    assert write_facts(tmp_path, [fact(1, mask=mask)]) == []
    assert list(tmp_path.iterdir()) == []


def test_facts_come_back_as_written_by_day_and_bucket(tmp_path: Path) -> None:
    written = write_facts(tmp_path, [fact(1), fact(17), fact(2), fact(1, day=1)])
    places = [str(path.relative_to(tmp_path).parent) for path in written]
    assert sorted(places) == [
        "day=1970-01-01/bucket=01",
        "day=1970-01-01/bucket=02",
        "day=1970-01-02/bucket=01",
    ]
    rows = read(tmp_path)
    assert [(row["day"], row["analytic_id"], row["amount"]) for row in rows] == [
        ("1970-01-01", bytes([1]) * 16, 100),
        ("1970-01-01", bytes([2]) * 16, 100),
        ("1970-01-01", bytes([17]) * 16, 100),
        ("1970-01-02", bytes([1]) * 16, 100),
    ]


def test_the_same_batch_again_adds_nothing(tmp_path: Path) -> None:
    batch = [fact(1), fact(2)]
    assert write_facts(tmp_path, batch) == write_facts(tmp_path, batch)
    assert len(read(tmp_path)) == 2
    write_facts(tmp_path, [fact(1, amount=101)])
    assert len(read(tmp_path)) == 3


def test_forgetting_rewrites_only_the_files_that_hold_the_person(tmp_path: Path) -> None:
    written = write_facts(tmp_path, [fact(1), fact(17), fact(33)])  # one bucket, shared
    written += write_facts(tmp_path, [fact(1, day=1), fact(17, day=2), fact(2, day=1)])
    crashed = written[0].with_suffix(".tmp")
    crashed.write_bytes(b"half a file with anybody in it")
    before = {path: path.stat().st_ino for path in written}
    assert forget(tmp_path, bytes([1]) * 16) == 2
    after = {path: path.stat().st_ino for path in written if path.exists()}
    assert [row["analytic_id"] for row in read(tmp_path)] == [bytes([n]) * 16 for n in (33, 17, 2, 17)]
    assert sum(after.get(path) == inode for path, inode in before.items()) == 2
    assert not crashed.exists()
    for path in after:  # footers keep the least and the greatest id of a file
        assert bytes([1]) * 16 not in path.read_bytes()
    assert forget(tmp_path, bytes([1]) * 16) == 0


def test_without_the_extra_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CashwrapError, match=r"Install cashwrap\[parquet\]") as missing:
        write_facts(tmp_path, [fact(1)])
    assert missing.value.code == "extra_missing"
