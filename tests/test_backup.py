"""A backup is taken while the store is written, holds one moment of it, and every difference is found."""

import threading
from pathlib import Path

import apsw
import pytest

from cashwrap.adapters.backup import backup, digest, verify
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.errors import Forgotten, StoreError
from cashwrap.model import Product, Tenant
from cashwrap.ports import Changes, Record, Row, ShopperKey, Transition

TENANT = Tenant()


def filled(store: SqliteStore, vault: FileVault, numbers: range) -> None:
    for number in numbers:
        key = ShopperKey(TENANT, number.to_bytes(16, "big"))
        changes = Changes(
            records=[Record(TENANT, key.shopper, number, "events", vault.seal(key.shopper, b"event %d" % number))],
            rows={key: Row(vault.seal(key.shopper, b"state %d" % number), b"", number)},
            identities={vault.digest(str(number)): key},
            transitions=[Transition(TENANT, key.shopper, "vip", True, number)],
        )
        vault.persist()
        store.commit(changes)


def copied(folder: Path, to: Path) -> str:
    return backup(folder, to / "store", keys=folder, keys_destination=to / "keys")


def test_a_backup_taken_under_load_holds_one_whole_moment(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store, vault = SqliteStore(folder), FileVault(folder, SystemRandom())
    filled(store, vault, range(50))
    started, stop = threading.Event(), threading.Event()

    def work() -> None:
        number = 50
        while not stop.is_set():
            filled(store, vault, range(number, number + 1))
            started.set()
            number += 1

    writer = threading.Thread(target=work)
    writer.start()
    started.wait(30)
    expected = copied(folder, tmp_path / "copy")
    stop.set()
    writer.join(30)
    verify(tmp_path / "copy" / "store" / "cashwrap.db", expected)
    (tmp_path / "copy" / "store" / "keys.db").write_bytes((tmp_path / "copy" / "keys" / "keys.db").read_bytes())
    restored, keys = SqliteStore(tmp_path / "copy" / "store"), FileVault(tmp_path / "copy" / "store", SystemRandom())
    records = list(restored.log())
    assert len(records) >= 51
    for number, record in enumerate(records):
        assert keys.open(record.shopper, record.payload) == b"event %d" % number
        assert restored.resolve([vault.digest(str(number))]) == {
            vault.digest(str(number)): ShopperKey(TENANT, record.shopper)
        }
    assert restored.sizes(TENANT) == {"vip": len(records)}
    for closing in (restored, keys, store, vault):
        closing.close()


def test_the_copy_of_the_store_alone_does_not_bring_back_a_forgotten_shopper(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store, vault = SqliteStore(folder), FileVault(folder, SystemRandom())
    filled(store, vault, range(2))
    copied(folder, tmp_path / "copy")
    vault.destroy((0).to_bytes(16, "big"))
    restored = SqliteStore(tmp_path / "copy" / "store")
    gone, kept = restored.log()
    with pytest.raises(Forgotten):
        vault.open(gone.shopper, gone.payload)
    assert vault.open(kept.shopper, kept.payload) == b"event 1"
    for closing in (restored, store, vault):
        closing.close()


def test_the_digest_names_the_content_and_not_the_pages(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / name) for name in "ab"]
    for store, order in zip(stores, (["x", "y"], ["y", "x"]), strict=True):
        for name in order:
            store.upsert(TENANT, [Product(name, price=5)])
        store.close()
    first, second = (digest(tmp_path / name / "cashwrap.db") for name in "ab")
    assert first == second
    db = apsw.Connection(str(tmp_path / "a" / "cashwrap.db"))
    db.execute("VACUUM")
    db.close()
    assert digest(tmp_path / "a" / "cashwrap.db") == first


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE log SET received = received + 1 WHERE sequence = 2",
        "DELETE FROM identities WHERE digest = (SELECT max(digest) FROM identities)",
        "UPDATE profiles SET due = NULL WHERE due = 1",
        "UPDATE tenants SET environment = 'test'",
        "PRAGMA user_version = 99",
    ],
)
def test_any_difference_in_content_is_found(tmp_path: Path, planted: str) -> None:
    store, vault = SqliteStore(tmp_path), FileVault(tmp_path, SystemRandom())
    filled(store, vault, range(3))
    expected = copied(tmp_path, tmp_path / "copy")
    store.close()
    vault.close()
    copy = tmp_path / "copy" / "store" / "cashwrap.db"
    verify(copy, expected)
    db = apsw.Connection(str(copy))
    db.execute(planted)
    db.close()
    with pytest.raises(StoreError, match="holds other data"):
        verify(copy, expected)


def test_a_damaged_or_missing_copy_is_refused(tmp_path: Path) -> None:
    store, vault = SqliteStore(tmp_path), FileVault(tmp_path, SystemRandom())
    filled(store, vault, range(100))
    expected = copied(tmp_path, tmp_path / "copy")
    store.close()
    vault.close()
    copy = tmp_path / "copy" / "store" / "cashwrap.db"
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError):
        verify(copy, expected)
    copy.write_bytes(b"something else entirely" * 200)
    with pytest.raises(StoreError):
        verify(copy, expected)
    copy.unlink()
    with pytest.raises(StoreError):
        verify(copy, expected)


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    store, vault = SqliteStore(tmp_path), FileVault(tmp_path, SystemRandom())
    copied(tmp_path, tmp_path / "copy")
    with pytest.raises(StoreError, match="there already"):
        copied(tmp_path, tmp_path / "copy")
    with pytest.raises(StoreError):
        backup(tmp_path / "nowhere", tmp_path / "b", keys=tmp_path, keys_destination=tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*.*")) == ["cashwrap.db", "keys.db"]
    assert list((tmp_path / "b").iterdir()) == []
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").rglob("*.db")} == {0o600}
    store.close()
    vault.close()
