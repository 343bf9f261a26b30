"""Every adapter keeps the public contracts, and the contracts notice an adapter that does not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.model import Millis, Tenant
from cashwrap.ports import (
    Changes,
    Failure,
    Fold,
    Horizon,
    KeptDecision,
    Record,
    Row,
    ShopperKey,
    Snapshot,
    Transition,
    Vault,
)
from cashwrap.testing import FullStore, SnapshotContract, StoreContract, VaultContract


class TestMemoryStore(StoreContract, SnapshotContract):
    @pytest.fixture
    def store(self) -> FullStore:
        return MemoryStore()


class TestSqliteStore(StoreContract, SnapshotContract):
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


class KeepsDecisions(MemoryStore):
    def _clear(self, keys: set[ShopperKey]) -> None:
        """A withdrawal that is not heard."""


class LosesWrites(MemoryStore):
    def commit(self, changes: Changes) -> int:
        return super().commit(Changes(records=changes.records[:1000], rows=changes.rows))


class KeepsSnapshots(MemoryStore):
    def forget(self, key: ShopperKey) -> None:
        kept = dict(self._snapshots)
        super().forget(key)
        self._snapshots = kept


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
        (KeepsDecisions, "test_a_cleared_shopper_has_no_kept_decisions"),
        (KeepsDecisions, "test_forgetting_removes_one_shopper_and_nobody_else"),
        (DueAnyhow, "test_the_due_come_earliest_first_and_only_when_due"),
    ],
)
def test_the_store_contract_is_red_on_a_planted_bug(broken: type[MemoryStore], promise: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        getattr(StoreContract(), promise)(broken())


def test_the_snapshot_contract_is_red_on_a_planted_bug() -> None:
    with pytest.raises(AssertionError):
        SnapshotContract().test_forgetting_reaches_snapshots_failures_and_notices(KeepsSnapshots())


def test_the_vault_contract_is_red_on_a_repeated_nonce() -> None:
    with pytest.raises(AssertionError):
        VaultContract().test_sealing_twice_never_repeats_itself(MemoryVault(FixedNonce()))


_tenants = st.sampled_from([Tenant("a", "live"), Tenant("a", "test"), Tenant("b", "live")])
_shoppers = st.sampled_from([bytes([n]) * 16 for n in range(4)])
_keys = st.builds(ShopperKey, _tenants, _shoppers)
_digests = st.sampled_from([bytes([n]) * 16 for n in range(5)])
_names = st.sampled_from(["vip", "new", "löwe"])
_bytes = st.binary(max_size=6)
_times = st.integers(0, 20)
_changes = st.builds(
    Changes,
    records=st.lists(
        st.builds(Record, _tenants, _shoppers, _times, st.sampled_from(["events", "merge"]), _bytes, _times), max_size=3
    ),
    rows=st.dictionaries(_keys, st.none() | st.builds(Row, _bytes, _bytes, st.none() | _times), max_size=3),
    dues=st.dictionaries(_keys, st.none() | _times, max_size=2),
    identities=st.dictionaries(_digests, _keys, max_size=3),
    transitions=st.lists(st.builds(Transition, _tenants, _shoppers, _names, st.booleans(), _times), max_size=4),
    failures=st.lists(st.builds(Failure, _tenants, _times, _names, _names, _names, _times), max_size=2),
    cleared=st.lists(_keys, max_size=2),
    decisions=st.lists(
        st.builds(KeptDecision, _tenants, st.binary(min_size=12, max_size=12), _shoppers, _times, _times, _bytes),
        max_size=4,
    ),
)


def everything_in(store: FullStore) -> list[object]:
    tenants = [Tenant("a", "live"), Tenant("a", "test"), Tenant("b", "live")]
    keys = [ShopperKey(tenant, bytes([n]) * 16) for tenant in tenants for n in range(4)]
    return [
        list(store.log()),
        store.load(keys),
        store.resolve([bytes([n]) * 16 for n in range(5)]),
        # ties are told apart by the shopper alone
        [(store.load([key])[key].due, key.shopper) for key in store.due(15, 100)],
        [store.members(tenant, name) for tenant in tenants for name in ("vip", "new", "löwe")],
        [store.sizes(tenant) for tenant in tenants],
        store.inside(keys),
        [transition for _, transition in store.pending(1000)],
        store.failures(),
        [store.decisions(tenant, since, limit=3) for tenant in tenants for since in (0, 9)],
        sorted(store.shoppers(None, 100)),
        [store.names(key) for key in keys],
        [(store.horizon(fold), dict(store.all_snapshots(fold))) for fold in ("horizon", "backfill")],
        [store.decision(each.tenant, each.id) for tenant in tenants for each in store.decisions(tenant)],
    ]


class Step(NamedTuple):
    """A step of a fold: so many records further."""

    fold: Fold
    records: int
    snapshots: dict[ShopperKey, Snapshot | None]


_steps = st.builds(
    Step,
    st.sampled_from(["horizon", "backfill"]),
    st.integers(0, 3),
    st.dictionaries(_keys, st.none() | st.builds(Snapshot, _bytes, _bytes), max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_changes | _keys | st.tuples(_times, st.integers(0, 5), st.integers(0, 9)) | _steps, max_size=6))
def test_both_stores_answer_the_same_after_any_history(
    history: list[Changes | ShopperKey | tuple[int, int, int] | Step],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, file = MemoryStore(), SqliteStore(folder)
        for step in history:
            for store in (memory, file):
                if isinstance(step, Changes):
                    store.commit(step)
                elif isinstance(step, Step):
                    reached = min(store.horizon(step.fold).sequence + step.records, store.commit(Changes()))
                    store.advance(Horizon(reached, reached), step.snapshots, step.fold)
                elif isinstance(step, ShopperKey):
                    store.forget(step)
                else:
                    store.prune(*step)
        assert everything_in(memory) == everything_in(file)
        file.close()
        again = SqliteStore(folder)
        assert everything_in(memory) == everything_in(again)
        again.close()
