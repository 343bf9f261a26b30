"""What every store must do with snapshots: the log folded up to a horizon.

A subclass defines the fixture ``store``, as for ``StoreContract``.
"""

from cashwrap.ports import Changes, Failure, Horizon, Row, ShopperKey, Snapshot
from cashwrap.testing.contracts import LIVE, TEST, FullStore, key, move, record, shopper


class SnapshotContract:
    """Every store keeps these promises."""

    def test_advancing_the_horizon_puts_snapshots_in_place_of_records(self, store: FullStore) -> None:
        """Records up to it are gone, the others stay, and sequences go on, even past the last record."""
        store.commit(Changes(records=[record(n) for n in range(1, 6)]))
        snapshots = {key(1): Snapshot(b"one", b"ids"), key(2): Snapshot(b"two", b""), key(3): None}
        store.advance(Horizon(3, 30), snapshots)
        assert store.horizon() == Horizon(3, 30)
        assert [each.sequence for each in store.log()] == [4, 5]
        assert store.snapshots([key(1), key(3), key(1, TEST)]) == {key(1): Snapshot(b"one", b"ids")}
        store.advance(Horizon(5, 50), {key(1): Snapshot(b"more", b""), key(2): None})
        assert dict(store.all_snapshots()) == {key(1): Snapshot(b"more", b"")}
        assert list(store.log()) == []
        assert store.commit(Changes(records=[record(9)])) == 6
        assert [(each.sequence, each.payload) for each in store.log()] == [(6, b"sealed")]

    def test_two_folds_do_not_meet(self, store: FullStore) -> None:
        """A backfill's snapshots remove no record, and are cleared in small steps."""
        store.commit(Changes(records=[record(n) for n in range(3)]))
        store.advance(Horizon(2, 20), {key(n): Snapshot(b"new", b"") for n in range(5)}, "backfill")
        assert (store.horizon(), store.horizon("backfill")) == (Horizon(), Horizon(2, 20))
        assert len(list(store.log())) == 3
        assert store.snapshots([key(1)]) == {}
        assert [store.clear("backfill", 2) for _ in range(3)] == [True, True, False]
        assert store.horizon("backfill") == Horizon()
        assert list(store.all_snapshots("backfill")) == []

    def test_everybody_is_paged_through_once(self, store: FullStore) -> None:
        """Shoppers of all tenants, whoever comes or goes meanwhile."""
        everybody = {key(n, tenant) for n in range(7) for tenant in (LIVE, TEST)}
        store.commit(Changes(rows=dict.fromkeys(everybody, Row(b"", b""))))
        found: list[ShopperKey] = []
        while page := store.shoppers(found[-1] if found else None, 4):
            found += page
        assert (len(found), set(found)) == (14, everybody)

    def test_forgetting_reaches_snapshots_failures_and_notices(self, store: FullStore) -> None:
        """In every fold; whoever else failed or waits stays."""
        payloads = [shopper(1) + b"sealed", shopper(2) + b"sealed", None]
        failures = [Failure(LIVE, 1, "code", "why", "", 9, payload) for payload in payloads]
        identities = {b"a" * 16: key(1), b"b" * 16: key(1), b"c" * 16: key(2)}
        transitions = [move(n, "vip", entered=True) for n in (1, 2)]
        store.commit(Changes(failures=failures, identities=identities, transitions=transitions))
        for fold in ("horizon", "backfill"):
            store.advance(Horizon(), {key(1): Snapshot(b"s", b""), key(2): Snapshot(b"s", b"")}, fold)
        assert (store.names(key(1)), store.names(key(7))) == ([b"a" * 16, b"b" * 16], [])
        store.forget(key(1))
        assert store.names(key(1)) == []
        assert [dict(store.all_snapshots(fold)) for fold in ("horizon", "backfill")] == [
            {key(2): Snapshot(b"s", b"")},
            {key(2): Snapshot(b"s", b"")},
        ]
        assert [each.payload for each in store.failures()] == payloads[1:]
        assert [each.shopper for _, each in store.pending(9)] == [shopper(2)]
