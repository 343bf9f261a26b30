"""A folder has one holder, and a store has one vault."""

import os
from pathlib import Path

import pytest

from cashwrap.adapters.folder import FolderLock, pair
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.errors import Locked, StoreError


def test_the_lock_is_exclusive_until_released_and_names_its_holder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "new")
    with pytest.raises(Locked, match=f"process {os.getpid()}: stop it first"):
        FolderLock(tmp_path / "new")
    lock.release()
    lock.release()
    FolderLock(tmp_path / "new").release()


def test_the_file_names_the_newest_holder_only(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("12345678901234\n")  # left by an earlier process
    lock = FolderLock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_store_keeps_to_its_first_vault() -> None:
    store, vault = MemoryStore(), MemoryVault(SystemRandom())
    pair(store, vault)
    pair(store, vault)
    with pytest.raises(StoreError, match="not the one") as refused:
        pair(store, MemoryVault(SystemRandom()))
    assert refused.value.code == "keys_mismatch"


def test_a_lost_key_file_is_noticed_at_the_next_start(tmp_path: Path) -> None:
    for lost in (False, False, True):
        if lost:
            (tmp_path / "keys.db").unlink()
        store, vault = SqliteStore(tmp_path), FileVault(tmp_path, SystemRandom())
        if lost:
            with pytest.raises(StoreError, match="put the right copy back"):
                pair(store, vault)
        else:
            pair(store, vault)
        store.close()
        vault.close()
