"""A backup is taken while the store is written, holds one moment of it, and every difference is found."""

import threading
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from cashwrap.adapters.audit import FileAudit
from cashwrap.adapters.backup import backup, digest, restore, verify
from cashwrap.adapters.folder import pair
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.cli.main import app
from cashwrap.errors import Forgotten, StoreError
from cashwrap.ledger import Code
from cashwrap.model import Product, Tenant
from cashwrap.ports import AuditEntry, Changes, Record, Row, ShopperKey, Transition

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
    """The digest of the store's copy."""
    return backup(folder, to / "store", keys=folder, keys_destination=to / "keys").files["cashwrap.db"]


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
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*.*")) == [
        "backup.json",
        "cashwrap.db",
        "keys.db",
    ]
    assert not list(tmp_path.glob("[bc]/*"))
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").rglob("*.db")} == {0o600}
    store.close()
    vault.close()


# --- restore ---


def folder_with(folder: Path, numbers: range) -> tuple[SqliteStore, FileVault]:
    store, vault = SqliteStore(folder), FileVault(folder, SystemRandom())
    pair(store, vault)
    filled(store, vault, numbers)
    return store, vault


def test_what_was_acknowledged_before_a_backup_under_load_is_there_elsewhere(tmp_path: Path) -> None:
    """With the ledger and the audit log; the copy restored has the digest that was printed, and the same state."""
    folder, stop = tmp_path / "data", threading.Event()
    store, vault = folder_with(folder, range(30))
    ledger, audit = SqliteLedger(folder), FileAudit(folder, vault, vault)
    ledger.add_codes(TENANT, [Code(b"d" * 16, "offer", 1, 10)])
    audit.append(AuditEntry(1, "me", "playbook.publish"))

    def work() -> None:
        number = 30
        while not stop.is_set():
            filled(store, vault, range(number, number + 1))
            number += 1

    writer = threading.Thread(target=work)
    writer.start()
    manifest = backup(folder, tmp_path / "copy", keys=folder, keys_destination=tmp_path / "keys")
    stop.set()
    writer.join(30)
    for each in (ledger, store, vault):
        each.close()
    restored = restore(tmp_path / "copy", tmp_path / "new", keys=tmp_path / "keys")
    assert restored == manifest
    assert manifest.files.keys() == {"cashwrap.db", "ledger.db", "audit.jsonl"}
    assert digest(tmp_path / "new" / "cashwrap.db") == manifest.files["cashwrap.db"]
    again, keys = SqliteStore(tmp_path / "new"), FileVault(tmp_path / "new", SystemRandom())
    records = list(again.log())
    assert len(records) >= 30
    assert [keys.open(each.shopper, each.payload) for each in records] == [b"event %d" % n for n in range(len(records))]
    assert FileAudit(tmp_path / "new", keys, keys).verify() == []
    book = SqliteLedger(tmp_path / "new")
    assert book.code(TENANT, b"d" * 16) == Code(b"d" * 16, "offer", 1, 10)
    for closing in (again, keys, book):
        closing.close()


@pytest.mark.parametrize("kept", ["current keys", "old keys and the current ones", "keys from elsewhere"])
def test_an_old_backup_forgets_again_whoever_was_forgotten_since(tmp_path: Path, kept: str) -> None:
    folder = tmp_path / "data"
    store, vault = folder_with(folder, range(4))
    backup(folder, tmp_path / "copy", keys=folder, keys_destination=tmp_path / "old")
    gone = ShopperKey(TENANT, (1).to_bytes(16, "big"))
    row = store.load([gone])[gone].state
    vault.destroy(gone.shopper)
    vault.bury([b"n" * 16], 77)
    store.forget(gone)
    vault.close()
    store.close()
    keys, forgotten = (folder, None) if kept == "current keys" else (tmp_path / "old", folder)
    if kept == "keys from elsewhere":
        forgotten = tmp_path / "elsewhere"
        FileVault(forgotten, SystemRandom()).close()
        with pytest.raises(StoreError, match="another data folder"):
            restore(tmp_path / "copy", tmp_path / "new", keys=keys, forgotten=forgotten)
        assert list((tmp_path / "new").iterdir()) == []
        return
    restore(tmp_path / "copy", tmp_path / "new", keys=keys, forgotten=forgotten)
    again, own = SqliteStore(tmp_path / "new"), FileVault(tmp_path / "new", SystemRandom())
    assert len(again.shoppers(None, 9)) == 3
    assert (again.names(gone), again.load([gone])) == ([], {})
    assert own.buried([b"n" * 16]) == {b"n" * 16: 77}
    for record in again.log():
        if record.shopper == gone.shopper:
            with pytest.raises(Forgotten):
                own.open(record.shopper, record.payload)
        else:
            assert own.open(record.shopper, record.payload).startswith(b"event")
    again.close()
    own.close()
    assert not [path for path in (tmp_path / "new").iterdir() if row in path.read_bytes()]


def test_restoring_overwrites_nothing_and_takes_nothing_else_for_a_backup(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store, vault = folder_with(folder, range(4))
    store.close()
    vault.close()
    backup(folder, tmp_path / "copy", keys=folder, keys_destination=tmp_path / "copy")
    with pytest.raises(StoreError, match="holds something") as told:
        restore(tmp_path / "copy", folder, keys=tmp_path / "copy")
    assert told.value.code == "folder_not_empty"
    with pytest.raises(StoreError, match="is no backup"):
        restore(folder, tmp_path / "new", keys=folder)
    (tmp_path / "copy" / "backup.json").write_text('{"files": {"cashwrap.db": "0", "../../etc/passwd": "0"}}')
    with pytest.raises(StoreError, match="does not name"):
        restore(tmp_path / "copy", tmp_path / "new", keys=folder)
    (tmp_path / "copy" / "backup.json").write_text('{"files": {"cashwrap.db": "0"}}')
    with pytest.raises(StoreError, match="holds other data"):
        restore(tmp_path / "copy", tmp_path / "new", keys=folder)
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []


def test_the_commands_print_the_same_digest(tmp_path: Path) -> None:
    store, vault = folder_with(tmp_path / "data", range(3))
    store.close()
    vault.close()
    run = CliRunner()
    copy, new = str(tmp_path / "copy"), str(tmp_path / "new")
    saved = run.invoke(app, ["backup", copy, "--data", str(tmp_path / "data")])
    back = run.invoke(app, ["restore", copy, "--data", new])
    assert (saved.exit_code, back.exit_code, saved.output) == (0, 0, back.output)
    assert run.invoke(app, ["restore", copy, "--data", new]).exit_code == 1
