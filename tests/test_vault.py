"""What the key file promises beyond the contract: durable keys, no copy of a destroyed one, private files."""

import random
import shutil
import subprocess
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.adapters import database, vault
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.errors import Forgotten, StoreError, Unavailable


class Canaries:
    """Randomness whose keys can be found again in a file."""

    def __init__(self) -> None:
        self._chance = random.Random(5)
        self.keys = 0

    def token(self, size: int) -> bytes:
        if size != 32:
            return self._chance.randbytes(size)
        self.keys += 1
        return (canary(self.keys) * 3).encode().ljust(32, b"#")  # so that any part left behind shows


def canary(number: int) -> str:
    return f"KEY-{number:06}"


def shopper(number: int) -> bytes:
    return number.to_bytes(16, "big")


def traces(folder: Path, text: str) -> list[str]:
    """Looked for by another process: opening the files here would drop SQLite's locks on them."""
    grep = shutil.which("grep") or "grep"
    found = subprocess.run([grep, "-rlaF", text, str(folder)], capture_output=True, text=True, check=False)
    return sorted(Path(line).name for line in found.stdout.splitlines())


def test_persisted_keys_and_digests_come_back_and_others_do_not(tmp_path: Path) -> None:
    first = FileVault(tmp_path, SystemRandom())
    kept = first.seal(shopper(1), b"kept")
    first.persist()
    lost = first.seal(shopper(2), b"never durable")
    digest = first.digest("a", "b")
    first.close()
    second = FileVault(tmp_path, SystemRandom())
    assert second.open(shopper(1), kept) == b"kept"
    assert second.digest("a", "b") == digest
    with pytest.raises(Forgotten):
        second.open(shopper(2), lost)
    assert FileVault(tmp_path / "other", SystemRandom()).digest("a", "b") != digest
    second.close()


def test_persist_waits_for_the_disk_and_keeps_the_keys_when_it_fails(tmp_path: Path) -> None:
    files = FileVault(tmp_path, SystemRandom())
    sealed = files.seal(shopper(1), b"word")
    writer = files._table._database._writer
    assert writer is not None
    assert (writer.pragma("synchronous"), writer.pragma("secure_delete")) == (2, 1)
    writer.set_commit_hook(lambda: True)
    with pytest.raises(Unavailable):
        files.persist()
    files.persist()
    files.close()
    again = FileVault(tmp_path, SystemRandom())
    assert again.open(shopper(1), sealed) == b"word"
    again.close()


def test_destroying_leaves_no_byte_of_the_key_and_spares_the_others(tmp_path: Path) -> None:
    files = FileVault(tmp_path, Canaries())
    for number in range(2, 300):  # the first canary is the digests' secret
        files.seal(shopper(number), b"")
        if number % 7 == 0:
            files.persist()
    files.persist()
    assert traces(tmp_path, canary(100)) == ["keys.db-wal"]
    for number in (2, 100, 299):
        assert files.destroy(shopper(number)) is True
        assert traces(tmp_path, canary(number)) == []
    assert traces(tmp_path, canary(101)) == ["keys.db"]
    files.close()
    assert traces(tmp_path, canary(100)) == []
    again = FileVault(tmp_path, Canaries())
    with pytest.raises(Forgotten):
        again.seal(shopper(100), b"")
    assert again.destroy(shopper(100)) is False
    again.close()


@pytest.mark.parametrize(
    ("setting", "file"), [("secure_delete = ON", "keys.db"), ("wal_autocheckpoint = 2000", "keys.db-wal")]
)
def test_the_scan_is_red_on_a_careless_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, file: str
) -> None:
    monkeypatch.setitem(database._SETUP, "writer", database._SETUP["writer"].replace(setting, "secure_delete = OFF"))
    if file == "keys.db-wal":
        monkeypatch.setattr(database.Database, "truncate", lambda _: None)
    files = FileVault(tmp_path, Canaries())
    for number in range(2, 40):
        files.seal(shopper(number), b"")
    files.persist()
    files.destroy(shopper(20))
    assert file in traces(tmp_path, canary(20))
    files.close()


def test_the_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    files = FileVault(tmp_path / "keys", SystemRandom())
    files.seal(shopper(1), b"")
    files.persist()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    files.close()


def test_a_payload_carries_twenty_eight_bytes_more(tmp_path: Path) -> None:
    assert len(MemoryVault(SystemRandom()).seal(shopper(1), b"x" * 100)) == 128


def test_more_shoppers_than_hot_keys_still_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_HOT_KEYS", 8)
    files = FileVault(tmp_path, SystemRandom())
    sealed = [files.seal(shopper(number), b"%d" % number) for number in range(50)]  # fresh keys leave the cache too
    assert [files.open(shopper(n), payload) for n, payload in enumerate(sealed)] == [b"%d" % n for n in range(50)]
    files.persist()
    assert [files.open(shopper(n), payload) for n, payload in enumerate(sealed)] == [b"%d" % n for n in range(50)]
    assert len(files._hot) == 8
    files.close()


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    FileVault(tmp_path, SystemRandom()).close()
    (tmp_path / "keys.db").write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(StoreError, match="restore it from a backup"):
        FileVault(tmp_path, SystemRandom())


def test_a_newer_key_file_is_refused(tmp_path: Path) -> None:
    FileVault(tmp_path, SystemRandom()).close()
    db = apsw.Connection(str(tmp_path / "keys.db"))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(StoreError, match="install a newer cashwrap"):
        FileVault(tmp_path, SystemRandom())


_MEMORY = MemoryVault(SystemRandom())


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=16))
def test_whatever_is_sealed_opens(plain: bytes, who: bytes) -> None:
    assert _MEMORY.open(who, _MEMORY.seal(who, plain)) == plain


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_digests_agree_exactly_when_the_parts_do(one: list[str], other: list[str]) -> None:
    assert (_MEMORY.digest(*one) == _MEMORY.digest(*other)) == (one == other)
