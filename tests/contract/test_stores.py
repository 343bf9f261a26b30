"""Every adapter keeps the public contracts, and the contracts notice an adapter that does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.model import Millis
from cashwrap.ports import Changes, ShopperKey, Vault
from cashwrap.testing import FullStore, StoreContract, VaultContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> FullStore:
        return MemoryStore()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[FullStore]:
        store = SqliteStore(tmp_path)
        yield store
        store.close()


class TestMemoryVault(VaultContract):
    @pytest.fixture
    def vault(self) -> Vault:
        return MemoryVault(SystemRandom())


class TestFileVault(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path) -> Iterator[Vault]:
        vault = FileVault(tmp_path, SystemRandom())
        yield vault
        vault.close()


class ForgetsHalf(MemoryStore):
    def forget(self, key: ShopperKey) -> None:
        self._profiles.pop(key, None)


class LosesWrites(MemoryStore):
    def commit(self, changes: Changes) -> int:
        return super().commit(Changes(records=changes.records[:1000], rows=changes.rows))


class DueAnyhow(MemoryStore):
    def due(self, until: Millis, limit: int) -> list[ShopperKey]:
        return super().due(until, limit)[::-1]


class FixedNonce:
    """Randomness that repeats itself: the mistake that undoes AES-GCM."""

    def token(self, size: int) -> bytes:
        return b"\7" * size


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (ForgetsHalf, "test_forgetting_removes_one_shopper_and_nobody_else"),
        (LosesWrites, "test_the_log_continues_after_any_sequence"),
        (LosesWrites, "test_the_outbox_holds_transitions_until_they_are_settled"),
        (DueAnyhow, "test_the_due_come_earliest_first_and_only_when_due"),
    ],
)
def test_the_store_contract_is_red_on_a_planted_bug(broken: type[MemoryStore], promise: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        getattr(StoreContract(), promise)(broken())


def test_the_vault_contract_is_red_on_a_repeated_nonce() -> None:
    with pytest.raises(AssertionError):
        VaultContract().test_sealing_twice_never_repeats_itself(MemoryVault(FixedNonce()))
