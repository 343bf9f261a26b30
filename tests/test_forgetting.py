"""Whoever is forgotten is gone from every file, and does not come back by a retry, an import or an old backup (I6)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from cashwrap import forgetting
from cashwrap.adapters import sqlite
from cashwrap.adapters.audit import FileAudit
from cashwrap.adapters.backup import backup, restore
from cashwrap.adapters.parquet import ParquetFacts
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.vault import FileVault
from cashwrap.history import import_file, read_mapping, rebuild, write_facts
from cashwrap.ports import ShopperKey
from cashwrap.world import World
from engines import LIVE, SeededRandom, Shop, TestClock, shop_over, starter

MAPPING = """
source: crm
basis: [analytics, personalization]
currency: EUR
time: {column: at, unit: s}
shopper: {user: user}
events:
  - name: Product Viewed
    properties: {product_id: item}
"""
CANARIES = [f"canary{number:02}tweet" for number in range(50)]
USER, DEVICE, CART, NAME = CANARIES[0], f"anon-{CANARIES[1]}", f"cart-{CANARIES[2]}-unguessable", CANARIES[3]
WHO = {"anonymousId": DEVICE, "userId": USER}
OTHER = {"anonymousId": "anon-somebody-else"}


@contextmanager
def data_folder(folder: Path, clock: TestClock, seed: int = 1) -> Iterator[World]:
    """Everything a data folder may hold."""
    rng = SeededRandom(seed)
    store, vault, ledger = SqliteStore(folder), FileVault(folder, rng), SqliteLedger(folder)
    audit, facts = FileAudit(folder, vault, vault), ParquetFacts(folder / "facts")
    try:
        yield World(store, store, store, store, store, vault, clock, rng, facts=facts, ledger=ledger, audit=audit)
    finally:
        for each in (ledger, vault, store):
            each.close()


def lives(shop: Shop, who: dict[str, str], words: list[str]) -> list[dict[str, Any]]:
    """A shopper with something in every table and file; ``words`` are in every field. What their browser sent."""
    device = {"anonymousId": who["anonymousId"]}
    shop.consents(device)
    sent = []
    context = {"cart": {"token": CART}, "page": {"path": f"/{words[4]}", "referrer": f"https://{words[5]}.example/"}}
    for word in words[6:]:
        properties = {
            "product_id": word,
            "category": word,
            "name": word,
            "brand": word,
            "variant": word,
            "coupon": word,
        }
        sent.append({**shop.event(event="Product Viewed", properties=properties, **device), "context": context})
    assert shop.keeps(*sent).stored == len(sent)
    shop.keeps({**sent[0], "properties": {"product_id": words[6] + "x"}})  # another body: kept as a failed event
    user = {"userId": who.get("userId", "somebody-else")}
    shop.consents(user, trusted=True)
    traits = {"firstName": words[3], "email": f"{words[7]}@example.com"}
    shop.keeps(shop.event("identify", **device, **user, traits=traits), trusted=True)
    shop.keeps(shop.orders(user, words[8], 50.0, products=[{"product_id": words[9], "price": 5}]), trusted=True)
    shop.engine.sweeper.run()
    return sent


def secrets_of(folder: Path, world: World, key: ShopperKey, shoppers: list[bytes]) -> dict[str, bytes]:
    """The bytes by which something of a shopper could be read, found or told apart."""
    keys = apsw.Connection(str(folder / "keys.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store = world.store
    found = {
        f"key {n}": keys.execute("SELECT key FROM keys WHERE shopper = ?", (s,)).get for n, s in enumerate(shoppers)
    }
    keys.close()
    found |= {f"name {number}": digest for number, digest in enumerate(store.names(key))}
    row, snapshot = store.load([key])[key], store.snapshots([key])
    found |= {"row": row.state, "seen": row.seen, "snapshot": snapshot[key].state}
    failed = [each.payload for each in world.failed.failures() if each.payload and each.payload[:16] in shoppers]
    found |= {f"failed {number}": payload[16:] for number, payload in enumerate(failed)}
    found |= {f"decision {each.id.hex()}": each.payload for each in store.decisions(LIVE) if each.shopper in shoppers}
    return {name: bytes(value) for name, value in found.items()}


def traces(folder: Path, marks: dict[str, bytes]) -> set[str]:
    """Which of the marks any file of the folder holds, write-ahead logs included."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {name for name, mark in marks.items() if any(mark in content for content in contents)}


def analytic_ids(folder: Path) -> set[bytes]:
    parquet = pytest.importorskip("pyarrow.parquet")
    files = folder.rglob("*.parquet")
    return {each for path in files for each in parquet.ParquetFile(path).read()["analytic_id"].to_pylist()}


def named_in_facts(folder: Path, column: str) -> set[bytes]:
    """What stands for orders or carts there."""
    parquet = pytest.importorskip("pyarrow.parquet")
    files = folder.rglob("*.parquet")
    found = {each for path in files for each in parquet.ParquetFile(path).read()[column].to_pylist()}
    return found - {None}


class Scene:
    """A shop with two shoppers, of whom one will be forgotten."""

    def __init__(self, folder: Path, world: World, shop: Shop, clock: TestClock) -> None:
        self.folder, self.world, self.shop, self.clock = folder, world, shop, clock
        self.sent = lives(shop, WHO, CANARIES)
        lives(shop, OTHER, [f"other{number}" for number in range(12)])
        engine = shop.engine
        write_facts(world, folder / "facts")
        clock.wait(days=100)
        engine.writer.call(engine.retention.all)  # everything so far is in snapshots
        assert list(world.store.log()) == []
        shop.keeps(shop.event(event="Product Viewed", properties={"product_id": CANARIES[10]}, **WHO), trusted=True)
        shop.keeps(shop.event(event="Product Viewed", properties={"product_id": "other"}, **OTHER), trusted=True)
        for _ in range(30):
            shop.decide(shopper={"anonymousId": DEVICE})
        engine.writer.call(lambda: None)
        write_facts(world, folder / "facts")
        found = shop.key(user=USER)
        profile = shop.profile(user=USER)
        assert found is not None
        assert profile is not None
        self.key = found
        self.shoppers = [*profile.absorbed, found.shopper]
        self.ids = {profile.analytic_id, *profile.former_analytic_ids}
        self.marks = secrets_of(folder, world, found, self.shoppers)

    def forget(self) -> None:
        assert self.shop.engine.forget(self.key)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with data_folder(tmp_path / "data", clock) as world, shop_over(world) as shop:
        yield Scene(tmp_path / "data", world, shop, clock)


def test_no_byte_of_the_forgotten_is_in_any_file(scene: Scene) -> None:
    """Fifty canaries in every field; their keys, names, row, snapshot, failed events and decisions; their facts."""
    folder, before = scene.folder, scene.marks
    kinds = {name.split()[0] for name in before}
    assert kinds == {"key", "name", "row", "seen", "snapshot", "failed", "decision"}
    assert len(scene.shoppers) > 1
    assert {name.split()[0] for name in traces(folder, before)} == kinds  # else the scan would prove nothing
    assert scene.ids & analytic_ids(folder)
    others = len(analytic_ids(folder) - scene.ids)
    scene.forget()
    marks = before | {word: word.encode() for word in CANARIES}
    assert traces(folder, marks) == set()
    assert not scene.ids & analytic_ids(folder)
    assert len(analytic_ids(folder)) == others > 0
    rebuilt = rebuild(scene.world, starter())
    assert (rebuilt.differing, rebuilt.shoppers > 0) == ((), True)
    assert scene.shop.profile(anonymous=OTHER["anonymousId"]) is not None


@pytest.mark.parametrize("forgets", ["names", "remove_snapshots", "remove_failures", "clear_decisions"])
def test_the_scan_is_red_where_something_is_left(scene: Scene, forgets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from_store = {"names": "remove_identities"}.get(forgets, forgets)
    statements = dict(_statements())
    monkeypatch.setitem(_statements(), from_store, statements[from_store].replace("WHERE", "WHERE FALSE AND"))
    scene.forget()
    assert traces(scene.folder, scene.marks) != set()


def test_nothing_of_their_orders_and_carts_stays_in_facts(scene: Scene) -> None:
    """The facts are older than the log by now; some are from before the devices became one person."""
    folder, vault = scene.folder, scene.world.vault
    order = vault.digest("facts", "order", "default", "live", CANARIES[8])[:8]
    before = named_in_facts(folder, "order")
    assert order in before
    assert len(scene.ids) > 1
    scene.forget()
    assert named_in_facts(folder, "order") == before - {order} != set()
    unread = [path for path in (folder / "facts").rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert not [each for each in scene.ids | {order} for path in unread if each in path.read_bytes()]
    assert write_facts(scene.world, folder / "facts", again=True) > 0
    assert not scene.ids & analytic_ids(folder)


def test_a_forgetting_cut_off_after_the_facts_is_asked_for_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts that are written in between bring nobody back."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scene.world.vault, "destroy", die)
        with pytest.raises(KeyboardInterrupt):
            scene.forget()
    write_facts(scene.world, scene.folder / "facts")
    assert not scene.ids & analytic_ids(scene.folder)
    scene.forget()
    assert traces(scene.folder, scene.marks) == set()


def _statements() -> dict[str, str]:
    from_module: dict[str, str] = sqlite._SQL
    return from_module


def test_what_happened_before_does_not_come_back(scene: Scene, tmp_path: Path) -> None:
    """Neither by a client that sends it again, nor by an import; who comes anew is welcome, without a past."""
    moment = datetime.fromtimestamp(scene.clock.now() // 1000 - 1800, UTC)
    old = {**scene.sent[0], "timestamp": moment.isoformat()}
    rows = tmp_path / "crm.csv"
    rows.write_text(f"at,user,item\n1772000000,{USER},mug\n1772000000,somebody-else,mug\n")
    scene.forget()
    scene.clock.wait(minutes=1)
    granted = {"consent": {"categoryPreferences": {"personalization": True, "analytics": True}}}
    assert scene.shop.keeps({**old, "context": granted}).refused == 1
    mapping = read_mapping("crm.yaml", MAPPING, starter().vocabulary)
    for _ in range(2):  # as nobody knows them, and when somebody has the name again
        report = import_file(scene.world, starter(), mapping, rows)
        assert (report.events.refused, report.events.failed) == (1, 0)
        assert scene.shop.consents({"userId": USER}, trusted=True).stored == 1
        scene.clock.wait(minutes=20)
    profile = scene.shop.profile(user=USER)
    assert profile is not None
    assert profile.orders == {} == profile.features
    assert scene.shop.keeps(scene.shop.event(event="Product Viewed", userId=USER, properties={}), trusted=True).stored


def test_an_old_backup_brings_nobody_back(scene: Scene, tmp_path: Path) -> None:
    """Restored with the current keys, or with its own and the current ones beside."""
    backup(scene.folder, tmp_path / "copy", keys=scene.folder, keys_destination=tmp_path / "kept")
    with apsw.Connection(str(tmp_path / "kept" / "keys.db")) as kept:
        assert kept.execute("SELECT count(*) FROM keys WHERE key IS NULL").get == 0
    scene.forget()
    for number, (keys, forgotten) in enumerate([(scene.folder, None), (tmp_path / "kept", scene.folder)]):
        target = tmp_path / f"new{number}"
        restore(tmp_path / "copy", target, keys=keys, forgotten=forgotten)
        marks = scene.marks | {word: word.encode() for word in CANARIES}
        assert traces(target, marks) == set()
        with data_folder(target, scene.clock, seed=9) as world:
            rebuilt = rebuild(world, starter())
            assert rebuilt.differing == ()
            assert rebuilt.digest == rebuild(scene.world, starter()).digest
    restore(tmp_path / "copy", tmp_path / "careless", keys=tmp_path / "kept")
    assert traces(tmp_path / "careless", scene.marks)  # with the old keys alone they are back: the manual says so


def test_a_forgetting_cut_off_half_way_is_finished_by_retention(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are gone and the process died: what is left of the rows goes with the next walk."""

    destroyed: list[str] = []

    def die(name: str) -> None:
        destroyed.append(name)
        if len(destroyed) == len(scene.shoppers):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "crash_point", die)
        with pytest.raises(KeyboardInterrupt):
            scene.shop.engine.forget(scene.key)
    assert traces(scene.folder, {name: mark for name, mark in scene.marks.items() if name.startswith("name")})
    scene.shop.engine.writer.call(scene.shop.engine.retention.all)
    assert traces(scene.folder, scene.marks) == set()
