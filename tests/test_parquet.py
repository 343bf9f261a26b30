"""Facts hold what analysis may see and nothing more, and forgetting takes one person out of every file."""

import sys
from pathlib import Path

import msgspec
import pyarrow.dataset
import pyarrow.parquet
import pytest

from cashwrap.adapters.parquet import Fact, fact_of, forget, write_facts
from cashwrap.errors import CashwrapError
from cashwrap.model import Event, Line, Purpose, Tenant, Where

DAY = 86_400_000
TENANT = Tenant("acme", "live")
ALLOWED = Purpose.NECESSARY | Purpose.ANALYTICS


def event(mask: int = ALLOWED, **properties: object) -> Event:
    return Event(
        id="m1",
        name="Order Completed",
        time=20_000 * DAY + 5,
        received=1,
        mask=mask,
        source="web",
        anonymous_id="canary-anonymous",
        user_id="canary-user",
        email_hash="canary-mail",
        cart_token="canary-cart",
        traits={"first_name": "canary-name"},
        properties=properties,
        where=Where(device="mobile", country="DE", path="/canary-path"),
    )


def fact(who: int, day: int = 0, mask: int = ALLOWED, amount: int = 100) -> Fact:
    return Fact(
        "acme", "live", bytes([who]) * 16, day * DAY, day * DAY + who, "Product Viewed", amount=amount, mask=mask
    )


def read(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pylist()
    return sorted(rows, key=lambda row: (str(row["day"]), str(row["analytic_id"])))


def test_an_order_becomes_a_fact_without_payload_or_identity() -> None:
    lines = [Line("shoe", 2, 4_999, name="canary"), Line("sock")]
    order = event(products=lines, total=10_498, revenue=9_998, currency="EUR", coupon="canary-coupon")
    made = fact_of(TENANT, order, analytic_id=b"a" * 16, session_start=7)
    assert made == Fact(
        store="acme",
        environment="live",
        analytic_id=b"a" * 16,
        session_start=7,
        time=20_000 * DAY + 5,
        event="Order Completed",
        product_ids=("shoe", "sock"),
        quantities=(2, 1),
        prices=(4_999, None),
        amount=10_498,
        currency="EUR",
        mask=3,
        device="mobile",
        country="DE",
    )
    assert b"canary" not in msgspec.json.encode(made)


def test_a_single_product_and_a_lesser_amount_are_read_too() -> None:
    viewed = event(product_id="shoe", price=4_999, quantity=3, value=7)
    made = fact_of(TENANT, viewed, analytic_id=b"a" * 16, session_start=7)
    assert made is not None
    assert (made.product_ids, made.quantities, made.prices, made.amount) == (("shoe",), (3,), (4_999,), 7)
    bare = fact_of(TENANT, event(), analytic_id=b"a" * 16, session_start=7)
    assert bare is not None
    assert (bare.product_ids, bare.amount, bare.currency) == ((), None, None)


@pytest.mark.parametrize("mask", [0, Purpose.NECESSARY, Purpose.PERSONALIZATION | Purpose.ADVERTISING])
def test_without_analytics_there_is_no_fact(tmp_path: Path, mask: int) -> None:
    assert fact_of(TENANT, event(mask), analytic_id=b"a" * 16, session_start=7) is None
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
    assert fact_of(TENANT, event(), analytic_id=b"a" * 16, session_start=7) is not None


def test_an_exposure_is_typed_and_reads_back(tmp_path: Path) -> None:
    proven = {
        "experience": "greeting",
        "variation": "formal",
        "experiment": "greeting-2",
        "outcome": "control",
        "propensity": 5_000,
        "decision": "ab" * 12,
        "level": "profile",
    }
    told = msgspec.structs.replace(event(**proven, placement="banner"), name="Experience Viewed")
    made = fact_of(TENANT, told, analytic_id=b"a" * 16, session_start=7)
    assert made is not None
    write_facts(tmp_path, [made])
    [row] = read(tmp_path)
    assert {name: row[name] for name in proven} == proven
    strange = msgspec.structs.replace(event(experience=3, propensity="much", level="x"), name="Experience Dismissed")
    made = fact_of(TENANT, strange, analytic_id=b"a" * 16, session_start=7)
    assert made is not None
    assert (made.experience, made.propensity, made.level) == (None, None, "x")
    bought = fact_of(TENANT, event(**proven), analytic_id=b"a" * 16, session_start=7)
    assert bought is not None
    assert (bought.experience, bought.decision) == (None, None), "only exposures carry what a token proved"
