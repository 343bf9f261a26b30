"""The fact table holds what it was given and nothing more, changes whole, and gives one person up from every file."""

import sys
from datetime import date, datetime
from pathlib import Path

import msgspec
import pyarrow.dataset
import pyarrow.parquet
import pytest

from cashwrap.adapters import parquet
from cashwrap.adapters.parquet import Fact, ParquetFacts, files_of, turn, write_facts
from cashwrap.errors import CashwrapError
from cashwrap.model import Purpose

DAY = 86_400_000
ALLOWED = Purpose.NECESSARY | Purpose.ANALYTICS


def fact(who: int, day: int = 0, mask: int = ALLOWED, amount: int = 100) -> Fact:
    return Fact(
        "acme", "live", bytes([who]) * 16, day * DAY, day * DAY + who, "Product Viewed", amount=amount, mask=mask
    )


FULL = Fact(
    store="acme",
    environment="live",
    analytic_id=b"a" * 16,
    session_start=1,
    time=2,
    event="Order Completed",
    product_ids=("a", "b"),
    quantities=(1, 2),
    prices=(None, 3),
    amount=4,
    currency="EUR",
    mask=3,
    device="mobile",
    country="DE",
    experience="e",
    variation="v",
    experiment="s",
    outcome="shown",
    held="shop",
    propensity=5_000,
    decision="d",
    level="profile",
    placement="p",
    playbook="h",
    segments=("new", "rich"),
    latency=7,
    flags=1,
    trusted=True,
    received=8,
    browser="firefox",
    order=b"o" * 8,
    cart=b"c" * 8,
    subtotal=9,
    discount=10,
    shipping=11,
    tax=12,
    cost=13,
    quantity=14,
    step="payment",
    method="card",
    offer="spring",
    measures={"score": 0.5},
)


def read(folder: Path) -> list[dict[str, object]]:
    """As any reader of Parquet folders finds them."""
    rows: list[dict[str, object]] = pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pylist()
    return sorted(rows, key=lambda row: (str(row["day"]), str(row["analytic_id"])))


@pytest.mark.parametrize("mask", [0, Purpose.NECESSARY, Purpose.PERSONALIZATION | Purpose.ADVERTISING])
def test_without_analytics_there_is_no_fact(tmp_path: Path, mask: int) -> None:
    assert write_facts(tmp_path, [fact(1, mask=mask)]) == 0
    assert files_of(tmp_path) == []


def test_every_column_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert write_facts(tmp_path, [FULL]) == 1
    [row] = read(tmp_path)
    assert (row.pop("day"), row.pop("bucket")) == ("1970-01-01", 1)
    written = msgspec.structs.asdict(FULL)
    assert list(row) == list(Fact.__struct_fields__)
    plain = {name: _plain(value) for name, value in row.items()}
    plain["measures"] = dict(row["measures"])  # type: ignore[call-overload]
    assert plain == {name: list(value) if isinstance(value, tuple) else value for name, value in written.items()}
    alike = {name for name, value in written.items() if value == getattr(fact(1), name)}
    assert alike <= {"store", "environment", "mask"}, "what is only its default here proves nothing"


def _plain(value: object) -> object:
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def test_facts_lie_by_day_and_bucket(tmp_path: Path) -> None:
    assert write_facts(tmp_path, [fact(1), fact(17), fact(2), fact(1, day=1)]) == 4
    assert [str(path.relative_to(tmp_path).parent) for path in files_of(tmp_path)] == [
        "day=1970-01-01/bucket=01",
        "day=1970-01-01/bucket=02",
        "day=1970-01-02/bucket=01",
    ]
    assert [(row["day"], row["analytic_id"], row["amount"]) for row in read(tmp_path)] == [
        ("1970-01-01", bytes([1]) * 16, 100),
        ("1970-01-01", bytes([2]) * 16, 100),
        ("1970-01-01", bytes([17]) * 16, 100),
        ("1970-01-02", bytes([1]) * 16, 100),
    ]


def test_many_files_of_a_day_become_one(tmp_path: Path) -> None:
    for number in range(parquet.FILES):
        write_facts(tmp_path, [fact(1, amount=number)])
    assert len(files_of(tmp_path)) == parquet.FILES
    write_facts(tmp_path, [fact(17, amount=99)])
    assert len(files_of(tmp_path)) == 1
    assert sorted(str(row["amount"]) for row in read(tmp_path)) == sorted([*map(str, range(parquet.FILES)), "99"])


def test_a_change_that_is_not_committed_never_was(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1)])
    with turn(tmp_path) as mine:
        mine.add([fact(2)])
        mine.rewrite(mine.files()[0], lambda *_: None)
    assert [row["analytic_id"] for row in read(tmp_path)] == [bytes([1]) * 16]


def test_rewriting_takes_a_fact_into_its_new_bucket(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1), fact(17), fact(33)])
    with turn(tmp_path) as mine:
        [path] = mine.files()

        def edit(who: bytes, time: int, start: int) -> tuple[bytes, int] | None:
            if who[0] == 1:
                return None
            return (bytes([2]) * 16, time) if who[0] == 17 else (who, start)

        assert mine.rewrite(path, edit) == 1
        mine.commit(position=7)
    assert [path.parent.name for path in files_of(tmp_path)] == ["bucket=01", "bucket=02"]
    assert [row["analytic_id"] for row in read(tmp_path)] == [bytes([33]) * 16, bytes([2]) * 16]
    with turn(tmp_path) as mine:
        assert mine.state.position == 7
        assert [(each.time, each.session_start) for each in mine.seen([bytes([2]) * 16])] == [(17, 17)]
        assert mine.seen([bytes([33]) * 16], [date(1970, 1, 2)]) == []
        assert mine.seen([]) == []


def test_a_file_from_before_a_column_was_there_can_still_be_rewritten(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1), fact(17)])
    [path] = files_of(tmp_path)
    older = pyarrow.parquet.ParquetFile(path).read().drop_columns(["held"])
    pyarrow.parquet.write_table(older, path)
    assert ParquetFacts(tmp_path).forget([bytes([1]) * 16]) == 1
    [row] = read(tmp_path)
    assert (row["analytic_id"], row["held"], row["amount"]) == (bytes([17]) * 16, None, 100)


def test_forgetting_rewrites_only_the_files_that_hold_the_person(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1), fact(17), fact(33)])  # one bucket, shared
    write_facts(tmp_path, [fact(1, day=1), fact(17, day=2), fact(2, day=1)])
    crashed = tmp_path / "_unfinished" / "00000001-0000.parquet"
    crashed.write_bytes(b"half a file with anybody in it")
    before = set(files_of(tmp_path))
    assert crashed.exists() is False
    facts = ParquetFacts(tmp_path)
    assert facts.forget([bytes([1]) * 16]) == 2
    after = set(files_of(tmp_path))
    assert [row["analytic_id"] for row in read(tmp_path)] == [bytes([n]) * 16 for n in (33, 17, 2, 17)]
    assert len(before & after) == 2
    for path in after:  # footers keep the least and the greatest id of a file
        assert bytes([1]) * 16 not in path.read_bytes()
    assert facts.forget([bytes([1]) * 16]) == 0


def test_a_batch_that_was_read_before_brings_nobody_back(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1)])
    ParquetFacts(tmp_path).forget([bytes([1]) * 16])
    assert write_facts(tmp_path, [fact(1), fact(2)]) == 1
    assert [row["analytic_id"] for row in read(tmp_path)] == [bytes([2]) * 16]


def test_where_there_are_no_facts_there_is_nothing_to_forget(tmp_path: Path) -> None:
    assert ParquetFacts(tmp_path / "facts").forget([bytes(16)]) == 0
    assert files_of(tmp_path / "facts") == []
    assert not (tmp_path / "facts").exists()


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    write_facts(tmp_path / "facts", [fact(1)])
    inside = [tmp_path / "facts", *(tmp_path / "facts").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in inside if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in inside if path.is_file()} == {0o600}


def test_a_state_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    write_facts(tmp_path, [fact(1)])
    (tmp_path / "_state.json").write_text("{")
    with pytest.raises(CashwrapError, match="remove the folder") as broken:
        files_of(tmp_path)
    assert broken.value.code == "facts_mismatch"


def test_without_the_extra_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CashwrapError, match=r"Install cashwrap\[parquet\]") as missing:
        write_facts(tmp_path, [fact(1)])
    assert missing.value.code == "extra_missing"
    assert ParquetFacts(tmp_path / "nothing").forget([bytes(16)]) == 0
