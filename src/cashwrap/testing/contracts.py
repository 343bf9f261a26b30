"""What every store and every vault must do, as pytest classes to subclass.

A subclass defines the fixture ``store`` (or ``vault``): a fresh, empty one for each test.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from cashwrap.errors import Forgotten, StoreError
from cashwrap.model import Product, Tenant
from cashwrap.ports import (
    CatalogueStore,
    Changes,
    Exposed,
    FailedEvents,
    Failure,
    Horizon,
    KeptDecision,
    Outbox,
    Record,
    Registry,
    Row,
    ShopperKey,
    Store,
    Transition,
    Vault,
)
from cashwrap.testing.threads import together

LIVE = Tenant("acme", "live")
TEST = Tenant("acme", "test")


class FullStore(Store, Outbox, FailedEvents, Registry, CatalogueStore, Protocol):
    """A store that implements every storage port, as the embedded one does."""


def shopper(number: int) -> bytes:
    """A shopper's id: 16 bytes that sort as ``number`` does."""
    return number.to_bytes(16, "big")


def key(number: int, tenant: Tenant = LIVE) -> ShopperKey:
    """Names shopper ``number`` of a tenant."""
    return ShopperKey(tenant, shopper(number))


def record(number: int, payload: bytes = b"sealed", tenant: Tenant = LIVE) -> Record:
    """An entry of the log, not numbered yet."""
    return Record(tenant, shopper(number), received=1_000 + number, kind="events", payload=payload, mask=5)


def move(number: int, segment: str, *, entered: bool, tenant: Tenant = LIVE) -> Transition:
    """A shopper enters or leaves a segment."""
    return Transition(tenant, shopper(number), segment, entered, at=2_000 + number)


def kept(number: int, who: int = 1, time: int | None = None, tenant: Tenant = LIVE) -> KeptDecision:
    """A decision of shopper ``who``; its id sorts as ``number`` does."""
    moment = 1_000 + number if time is None else time
    return KeptDecision(tenant, number.to_bytes(12, "big"), shopper(who), moment, number, b"sealed %d" % number)


class StoreContract:
    """The promises of ``Store``, ``Outbox``, ``FailedEvents``, ``Registry`` and ``CatalogueStore``."""

    # --- the log ---

    def test_an_empty_store_answers_everywhere(self, store: FullStore) -> None:
        """Nothing is there, and asking is no error."""
        assert list(store.log()) == []
        assert store.load([key(1)]) == {}
        assert store.resolve([b"\0" * 16]) == {}
        assert store.due(10**15, 10) == []
        assert store.members(LIVE, "any") == []
        assert store.sizes(LIVE) == {}
        assert store.pending(10) == []
        assert store.failures() == []
        assert store.decision(LIVE, b"\0" * 12) is None
        assert store.decisions(LIVE) == []
        assert store.prune(10**15, 0, 10) == 0
        assert store.documents("any") == {}
        assert dict(store.products(LIVE)) == {}
        assert store.version(LIVE) == 0
        assert store.commit(Changes()) == 0

    def test_the_log_keeps_records_whole_and_numbers_them_upwards(self, store: FullStore) -> None:
        """``commit`` answers the newest sequence; nothing but the sequence is added."""
        merge = Record(TEST, shopper(3), 9, "merge", b"\x00\xff", 1)
        first = store.commit(Changes(records=[record(1), record(2)]))
        second = store.commit(Changes(records=[merge]))
        kept = list(store.log())
        assert [r.sequence for r in kept] == sorted({r.sequence for r in kept})
        assert (kept[1].sequence, kept[2].sequence) == (first, second)
        assert [_bare(r) for r in kept] == [_bare(r) for r in (record(1), record(2), merge)]
        assert store.commit(Changes(rows={key(1): Row(b"s", b"")})) == second

    def test_the_log_continues_after_any_sequence(self, store: FullStore) -> None:
        """Readers page by the sequence they saw last, over more records than any page holds."""
        newest = store.commit(Changes(records=[record(n, payload=b"%d" % n) for n in range(1_234)]))
        everything = list(store.log())
        assert [r.payload for r in everything] == [b"%d" % n for n in range(1_234)]
        assert list(store.log(after=everything[700].sequence)) == everything[701:]
        assert list(store.log(after=newest)) == []

    def test_one_shoppers_records_are_found_in_a_stretch_of_the_log(self, store: FullStore) -> None:
        """Of one tenant, also under the names of who was merged into them; the newest first."""
        store.commit(Changes(records=[record(n % 5, payload=b"%d" % n) for n in range(50)]))
        store.commit(Changes(records=[record(1, tenant=TEST)]))
        everything, who = list(store.log()), [shopper(1), shopper(3)]
        wanted = [each for each in everything if each.shopper in who and each.tenant == LIVE]
        assert store.log_of(LIVE, who, 0, everything[-1].sequence) == wanted[::-1]
        assert store.log_of(LIVE, who, wanted[1].sequence, wanted[9].sequence) == wanted[9:1:-1]
        store.advance(Horizon(wanted[4].sequence, 0), {})
        assert store.log_of(LIVE, who, 0, everything[-1].sequence) == wanted[:4:-1]

    # --- profiles and identities ---

    def test_a_row_is_replaced_whole_and_removed_by_none(self, store: FullStore) -> None:
        """The newest commit wins, and other shoppers are not touched."""
        store.commit(Changes(rows={key(1): Row(b"old", b"x", 5), key(2): Row(b"other", b"")}))
        store.commit(Changes(rows={key(1): Row(b"new", b"", None)}))
        assert store.load([key(1), key(2), key(3)]) == {
            key(1): Row(b"new", b"", None),
            key(2): Row(b"other", b"", None),
        }
        store.commit(Changes(rows={key(1): None, key(9): None}))
        assert store.load([key(1), key(2)]) == {key(2): Row(b"other", b"")}

    def test_a_tenant_never_sees_another_ones_rows(self, store: FullStore) -> None:
        """The same sixteen bytes in two environments are two shoppers."""
        store.commit(
            Changes(
                rows={key(1, LIVE): Row(b"live", b""), key(1, TEST): Row(b"test", b"")},
                transitions=[move(1, "vip", entered=True, tenant=LIVE), move(2, "vip", entered=True, tenant=TEST)],
            )
        )
        assert store.load([key(1, TEST)]) == {key(1, TEST): Row(b"test", b"")}
        assert store.members(LIVE, "vip") == [shopper(1)]
        assert store.sizes(TEST) == {"vip": 1}
        assert [store.population(tenant) for tenant in (LIVE, TEST, Tenant("none", "live"))] == [1, 1, 0]
        store.forget(key(1, LIVE))
        assert store.population(LIVE) == 0
        assert store.load([key(1, LIVE), key(1, TEST)]) == {key(1, TEST): Row(b"test", b"")}

    def test_an_identity_names_the_shopper_who_claimed_it_last(self, store: FullStore) -> None:
        """A merge moves an identifier; committing it again changes nothing."""
        one, two = b"1" * 16, b"2" * 16
        store.commit(Changes(identities={one: key(1), two: key(2)}))
        store.commit(Changes(identities={two: key(2)}))
        store.commit(Changes(identities={one: key(2), two: key(2)}))
        assert store.resolve([one, two, b"3" * 16]) == {one: key(2), two: key(2)}

    def test_the_due_come_earliest_first_and_only_when_due(self, store: FullStore) -> None:
        """``None`` is never due; a changed row is due at its new time only."""
        rows: dict[ShopperKey, Row | None] = {
            key(n): Row(b"", b"", due) for n, due in enumerate((30, 10, None, 20, 99))
        }
        store.commit(Changes(rows=rows))
        assert store.due(30, 10) == [key(1), key(3), key(0)]
        assert store.due(30, 2) == [key(1), key(3)]
        store.commit(Changes(rows={key(1): Row(b"", b"", 98), key(3): Row(b"", b"", None)}))
        assert store.due(98, 10) == [key(0), key(1)]

    def test_a_due_time_is_set_without_the_row(self, store: FullStore) -> None:
        """A sweep moves the time alone, after the rows of the same commit; where there is no row, nothing is made."""
        store.commit(Changes(rows={key(1): Row(b"state", b"seen", 5), key(2): Row(b"", b"", 6)}))
        store.commit(Changes(dues={key(1): 50, key(2): None, key(3): 1}))
        assert store.load([key(1), key(2), key(3)]) == {
            key(1): Row(b"state", b"seen", 50),
            key(2): Row(b"", b"", None),
        }
        assert store.due(100, 10) == [key(1)]
        store.commit(Changes(rows={key(4): Row(b"", b"", 1)}, dues={key(4): 2}))
        assert store.load([key(4)])[key(4)].due == 2

    # --- segments ---

    def test_membership_follows_the_transitions_in_their_order(self, store: FullStore) -> None:
        """Also within one commit; entering twice or leaving from outside counts once."""
        store.commit(Changes(transitions=[move(n, "vip", entered=True) for n in (3, 1, 2, 2)]))
        store.commit(
            Changes(
                transitions=[
                    move(1, "vip", entered=False),
                    move(2, "vip", entered=False),
                    move(2, "vip", entered=True),
                    move(4, "new", entered=True),
                    move(4, "new", entered=False),
                    move(5, "new", entered=False),
                ]
            )
        )
        assert store.members(LIVE, "vip") == [shopper(2), shopper(3)]
        assert store.sizes(LIVE) == {"vip": 2}

    def test_a_segment_is_entered_once(self, store: FullStore) -> None:
        """The first time counts, until it is left."""
        store.commit(Changes(transitions=[move(1, name, entered=True) for name in ("vip", "old")]))
        first = store.entered(key(1))["vip"]
        store.commit(Changes(transitions=[move(1, "vip", entered=True), move(1, "old", entered=False)]))
        assert (store.entered(key(1)), store.entered(key(1, TEST)), store.entered(key(2))) == ({"vip": first}, {}, {})

    def test_a_shopper_is_inside_what_was_entered_and_not_left(self, store: FullStore) -> None:
        """By tenant; a removed row leaves every segment, as a merge does."""
        entered = [move(1, "vip", entered=True), move(1, "new", entered=True), move(2, "new", entered=True)]
        store.commit(Changes(transitions=[*entered, move(1, "other", entered=True, tenant=TEST)]))
        asked = [key(1), key(2), key(3), key(1, TEST), key(2, TEST)]
        assert store.inside(asked) == {
            key(1): frozenset({"vip", "new"}),
            key(2): frozenset({"new"}),
            key(1, TEST): frozenset({"other"}),
        }
        store.commit(Changes(rows={key(1): None}, transitions=[move(2, "new", entered=False)]))
        assert store.inside(asked) == {key(1, TEST): frozenset({"other"})}
        assert store.inside([]) == {}

    def test_members_are_paged_by_id(self, store: FullStore) -> None:
        """Every member is seen once, whatever the page's size."""
        store.commit(Changes(transitions=[move(n, "vip", entered=True) for n in range(1, 24)]))
        seen: list[bytes] = []
        while page := store.members(LIVE, "vip", after=seen[-1] if seen else b"", limit=5):
            assert len(page) <= 5
            seen += page
        assert seen == [shopper(n) for n in range(1, 24)]

    def test_the_outbox_holds_transitions_until_they_are_settled(self, store: FullStore) -> None:
        """In order of commit; a number once settled never names another."""
        moves = [move(1, "vip", entered=True), move(1, "vip", entered=False), move(2, "new", entered=True)]
        store.commit(Changes(transitions=moves))
        waiting = store.pending(10)
        assert [transition for _, transition in waiting] == moves
        assert store.pending(1) == waiting[:1]
        store.settle(number for number, _ in waiting)
        store.settle([number for number, _ in waiting])
        assert store.pending(10) == []
        store.commit(Changes(transitions=moves[:1]))
        assert store.pending(10)[0][0] > waiting[-1][0]

    def test_the_outbox_holds_exposures_too(self, store: FullStore) -> None:
        """Whole, beside transitions, and no longer than their shopper is there."""
        told = [Exposed(LIVE, shopper(1), b'{"a":1}', 7), Exposed(TEST, shopper(2), b"{}", 8)]
        store.commit(Changes(transitions=[move(3, "vip", entered=True)], exposed=told))
        waiting = store.pending(10)
        assert [notice for _, notice in waiting if isinstance(notice, Exposed)] == told
        assert len({number for number, _ in waiting}) == 3
        store.forget(ShopperKey(LIVE, shopper(1)))
        assert [notice for _, notice in store.pending(10) if isinstance(notice, Exposed)] == told[1:]
        store.settle(number for number, _ in waiting)
        assert store.pending(10) == []

    # --- kept decisions ---

    def test_a_kept_decision_is_found_by_its_id_in_its_tenant(self, store: FullStore) -> None:
        """Every field survives; the same id again changes nothing."""
        store.commit(Changes(decisions=[kept(1), kept(2, tenant=TEST)]))
        store.commit(Changes(decisions=[KeptDecision(LIVE, kept(1).id, shopper(9), 0, 0, b"another")]))
        assert store.decision(LIVE, kept(1).id) == kept(1)
        assert store.decision(TEST, kept(2).id) == kept(2, tenant=TEST)
        assert store.decision(TEST, kept(1).id) is None
        assert store.decision(LIVE, kept(2).id) is None

    def test_tenants_are_those_that_have_anything(self, store: FullStore) -> None:
        """Live and test are two, and one nobody ever wrote to is none."""
        store.commit(Changes(rows={key(1): Row(b"", b""), key(2, tenant=TEST): Row(b"", b"")}))
        assert store.tenants() == sorted([LIVE, TEST])

    def test_kept_decisions_are_paged_by_time(self, store: FullStore) -> None:
        """Whatever the order of commit, each is seen once, ascending by time and then by id."""
        made = [kept(number, time=1_000 + number % 7) for number in range(40)]
        for at in range(0, 40, 9):
            store.commit(Changes(decisions=made[at : at + 9]))
        store.commit(Changes(decisions=[kept(99, time=5, tenant=TEST)]))
        expected = sorted(made, key=lambda each: (each.time, each.id))
        assert store.decisions(LIVE) == expected
        assert store.decisions(LIVE, 1_004) == [each for each in expected if each.time >= 1_004]
        seen: list[KeptDecision] = []
        since, after = 0, b""
        while page := store.decisions(LIVE, since, after, 6):
            seen += page
            since, after = page[-1].time, page[-1].id
        assert seen == expected
        assert store.decisions_of(key(1), 1_004, 9) == [each for each in expected[::-1] if each.time < 1_004][:9]
        assert store.decisions_of(key(2), 10**15, 9) == store.decisions_of(key(1, TEST), 5, 9) == []

    def test_a_cleared_shopper_has_no_kept_decisions(self, store: FullStore) -> None:
        """What the same commit brings stays; so does what others have, in other tenants too."""
        store.commit(Changes(decisions=[kept(1), kept(2, who=2), kept(3, tenant=TEST)]))
        store.commit(Changes(cleared=[key(1), key(7)], decisions=[kept(4)]))
        assert store.decisions(LIVE) == [kept(2, who=2), kept(4)]
        assert store.decisions(TEST) == [kept(3, tenant=TEST)]

    def test_pruning_goes_in_small_steps_from_the_first_kept(self, store: FullStore) -> None:
        """By age and by number, over all tenants; what is looked at bounds what is removed."""
        store.commit(Changes(decisions=[kept(n, tenant=TEST if n % 2 else LIVE) for n in range(10)]))
        assert store.prune(1_003, 100, 2) == 2
        assert store.prune(1_003, 100, 100) == 1
        assert store.prune(1_003, 100, 100) == 0
        assert store.prune(0, 4, 100) == 3
        assert store.decisions(LIVE) == [kept(6), kept(8)]
        assert [each.time for each in store.decisions(TEST)] == [1_007, 1_009]

    # --- forgetting ---

    def test_forgetting_removes_one_shopper_and_nobody_else(self, store: FullStore) -> None:
        """Row, names, memberships, kept decisions and due time go; the log stays. All of it may be asked again."""
        for number in (1, 2):
            store.commit(
                Changes(
                    records=[record(number)],
                    rows={key(number): Row(b"s", b"", 5)},
                    identities={bytes([number]) * 16: key(number), bytes([10 + number]) * 16: key(number)},
                    transitions=[move(number, name, entered=True) for name in ("vip", "new")],
                    decisions=[kept(number, who=number)],
                )
            )
        store.forget(key(1))
        store.forget(key(1))
        store.forget(key(7))
        assert list(store.load([key(1), key(2)])) == [key(2)]
        assert set(store.resolve([bytes([n]) * 16 for n in (1, 2, 11, 12)]).values()) == {key(2)}
        assert store.sizes(LIVE) == {"vip": 1, "new": 1}
        assert store.due(9, 9) == [key(2)]
        assert store.decisions(LIVE) == [kept(2, who=2)]
        assert len(list(store.log())) == 2

    # --- what failed, documents, products ---

    def test_failed_events_wait_for_an_operator(self, store: FullStore) -> None:
        """Ascending, paged by sequence, gone once discarded."""
        kept = [
            Failure(LIVE, n, "invalid_event", "why", "properties.price", 12, b"{}" if n else None) for n in range(5)
        ]
        store.commit(Changes(failures=kept))
        found = store.failures()
        assert [(f.received, f.code, f.path, f.size, f.payload, f.tenant) for f in found] == [
            (f.received, f.code, f.path, f.size, f.payload, f.tenant) for f in kept
        ]
        assert store.failures(after=found[1].sequence, limit=2) == found[2:4]
        store.discard([found[0].sequence, found[4].sequence])
        assert store.failures() == found[1:4]

    def test_documents_are_written_one_at_a_time(self, store: FullStore) -> None:
        """By kind and name; ``None`` removes, also what is not there."""
        store.put("key", "a", b"1")
        store.put("key", "b", b"2")
        store.put("hook", "a", b"3")
        store.put("key", "a", b"4")
        store.put("key", "b", None)
        store.put("key", "zzz", None)
        assert store.documents("key") == {"a": b"4"}
        assert store.documents("hook") == {"a": b"3"}

    def test_products_are_merged_or_replaced_and_move_the_version(self, store: FullStore) -> None:
        """Every field survives; another tenant's catalogue is untouched."""
        shoe = Product("shoe", "Shoe", 4_999, 2_000, 3, "shoes", attributes={"size": "42"}, complements=("sock",))
        sock = Product("sock", sensitive=True, titles={"de": "Socke"})
        assert store.upsert(LIVE, [shoe]) == 1
        first = store.version(LIVE)
        assert store.upsert(LIVE, iter([sock])) == 1
        assert dict(store.products(LIVE)) == {"shoe": shoe, "sock": sock}
        assert store.version(LIVE) > first > 0
        assert store.upsert(TEST, [shoe]) == 1
        assert store.upsert(LIVE, [], replace=True) == 0
        assert dict(store.products(LIVE)) == {}
        assert dict(store.products(TEST)) == {"shoe": shoe}

    # --- together ---

    def test_readers_see_whole_commits_only(self, store: FullStore) -> None:
        """While one thread commits pairs of rows, no reader ever sees half of a pair older than the other."""
        rounds, torn = 60, []
        store.commit(Changes(rows={key(1): Row(b"0", b""), key(2): Row(b"0", b"")}))
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                # the second is read later, so it may only be the newer one
                first = store.load([key(1)])[key(1)].state
                second = store.load([key(2)])[key(2)].state
                if int(second) < int(first):
                    torn.append((first, second))

        def write() -> None:
            for number in range(1, rounds + 1):
                row = Row(b"%d" % number, b"")
                store.commit(Changes(records=[record(number)], rows={key(1): row, key(2): row}))
            done.set()

        together(write, read, read)
        assert torn == []
        assert len(list(store.log())) == rounds

    def test_many_threads_may_write_documents_and_changes(self, store: FullStore) -> None:
        """Writers take turns; none of their work is lost."""

        def writer(number: int) -> Callable[[], None]:
            def write() -> None:
                for turn in range(8):
                    store.commit(Changes(records=[record(number)], failures=[Failure(LIVE, 1, "c", "m", "p", 1)]))
                    store.put("kind", f"{number}.{turn}", b"")

            return write

        together(*(writer(number) for number in range(4)))
        assert len(list(store.log())) == len(store.failures()) == len(store.documents("kind")) == 32


class VaultContract:
    """The promises of ``Vault``."""

    def test_what_was_sealed_opens_for_the_same_shopper_only(self, vault: Vault) -> None:
        """Another shopper's key does not open it, whether that shopper is known or not."""
        sealed = vault.seal(shopper(1), b"a private word")
        vault.seal(shopper(2), b"")
        assert b"private" not in sealed
        assert vault.open(shopper(1), sealed) == b"a private word"
        assert vault.open(shopper(1), vault.seal(shopper(1), b"")) == b""
        assert _raised(vault.open, shopper(2), sealed) is StoreError
        assert _raised(vault.open, shopper(3), sealed) is Forgotten

    def test_sealing_twice_never_repeats_itself(self, vault: Vault) -> None:
        """Equal contents cannot be recognised by their bytes."""
        assert len({vault.seal(shopper(1), b"same") for _ in range(500)}) == 500

    def test_any_changed_byte_is_noticed(self, vault: Vault) -> None:
        """Every flipped bit and every cut raises, and never yields other contents."""
        sealed = vault.seal(shopper(1), b"12.50 EUR")
        for at in range(len(sealed)):
            flipped = bytes([*sealed[:at], sealed[at] ^ (1 << at % 8), *sealed[at + 1 :]])
            assert _raised(vault.open, shopper(1), flipped) is StoreError
            assert _raised(vault.open, shopper(1), sealed[:at]) is StoreError
        assert _raised(vault.open, shopper(1), sealed + b"\0") is StoreError

    def test_a_destroyed_key_is_gone_and_never_made_again(self, vault: Vault) -> None:
        """Before and after ``persist``, and for a shopper who never had one."""
        for number in (1, 2):
            sealed = vault.seal(shopper(number), b"word")
            if number == 2:
                vault.persist()
            assert vault.destroy(shopper(number)) is True
            assert vault.destroy(shopper(number)) is False
            assert _raised(vault.open, shopper(number), sealed) is Forgotten
            assert _raised(vault.seal, shopper(number), b"") is Forgotten
            vault.persist()
            assert _raised(vault.seal, shopper(number), b"") is Forgotten
        assert vault.destroy(shopper(3)) is False
        assert _raised(vault.seal, shopper(3), b"") is Forgotten
        assert vault.open(shopper(4), vault.seal(shopper(4), b"mine")) == b"mine"

    def test_a_buried_name_keeps_the_later_time(self, vault: Vault) -> None:
        """When its owner was last forgotten; names of nobody are left out."""
        names = [bytes([n]) * 16 for n in range(3)]
        vault.bury(names[:2], 50)
        vault.bury(names[1:2], 70)
        vault.bury(names[:1], 10)
        assert vault.buried(names) == {names[0]: 50, names[1]: 70}

    def test_digests_are_stable_and_parts_do_not_runtogether(self, vault: Vault) -> None:
        """Sixteen bytes that tell every list of parts from every other."""
        lists = [
            ("ab", "c"),
            ("a", "bc"),
            ("abc",),
            ("abc", ""),
            ("", "abc"),
            ("c", "ab"),
            (),
            ("",),
            ("é",),
            ("\ud800",),
        ]
        digests = [vault.digest(*parts) for parts in lists]
        assert len(set(digests)) == len(lists)
        assert {len(digest) for digest in digests} == {16}
        assert digests == [vault.digest(*parts) for parts in lists]

    def test_threads_agree_on_a_new_key(self, vault: Vault) -> None:
        """Whoever seals first for a shopper, everybody can open it."""
        sealed: list[tuple[bytes, bytes]] = []

        def seal() -> None:
            sealed.extend((shopper(n), vault.seal(shopper(n), b"word")) for n in range(200))
            vault.persist()

        together(seal, seal, seal)
        assert {vault.open(who, bytes_) for who, bytes_ in sealed} == {b"word"}


def _bare(record: Record) -> tuple[object, ...]:
    return (record.tenant, record.shopper, record.received, record.kind, record.payload, record.mask)


def _raised(call: Callable[..., object], *arguments: bytes) -> type[Exception] | None:
    try:
        call(*arguments)
    except Exception as error:  # the caller looks at its type
        return type(error)
    return None
