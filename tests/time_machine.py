"""A world whose days pass when a test says so: traffic, retention, changed playbooks, withdrawals, merges, forgetting.

What the log ever held is kept aside, so that a fold of all of it says what snapshots, tail and backfill must say.
"""

import random
from pathlib import Path

from cashwrap import profiles
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.backfill import Backfill
from cashwrap.declarations import RetentionDecl
from cashwrap.folding import Folding
from cashwrap.forgetting import Forgetting
from cashwrap.history import Rebuilt, rebuild
from cashwrap.hot import Hot
from cashwrap.keys import Keys
from cashwrap.lookup import Lookup
from cashwrap.model import Millis
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Changes, Record, ShopperKey
from cashwrap.retention import Retention
from cashwrap.world import World
from test_history_log import NOW, PLAYBOOK, Desk, Dice, traffic

DAY = 86_400_000
LIMITS = RetentionDecl(events=20 * DAY, idle_profiles=200 * DAY)

CHANGED = PLAYBOOK.replace(
    "  views: {count: Product Viewed, by: category, window: 30d}\n",
    "  weekly: {count: Product Viewed, by: category, window: 7d}\n"
    "  seen_products: {distinct: Product Viewed, of: product_id}\n"
    "  last_view: {last: Product Viewed, of: category}\n"
    "  kinds_bought: {distinct: Order Completed, of: product_id}\n",
)
NARROW = PLAYBOOK.replace("  heat: {decayed: Product Viewed, half_life: 7d}\n", "").replace(
    "  tags: {top: Quiz Answered, of: tags}\n", "  quizzes: {count: Quiz Answered, purpose: analytics}\n"
)


def compiled(text: str) -> Playbook:
    found, faults = examine({"p.yaml": text})
    assert found is not None, faults
    return found


class Calendar:
    """Wall clock and time go together."""

    def __init__(self) -> None:
        self.time: Millis = NOW

    def now(self) -> Millis:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1000


class Keeping(MemoryStore):
    """Remembers every record that ever was in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.everything: list[Record] = []

    def commit(self, changes: Changes) -> int:
        newest = super().commit(changes)
        self.everything += [record for record in self._log[len(self.everything) :] if record is not None]
        return newest


class TimeMachine:
    """One world. ``playbooks`` are those that may go live, the first one first."""

    def __init__(
        self, seed: int, playbooks: list[Playbook], limits: RetentionDecl = LIMITS, folder: Path | None = None
    ) -> None:
        self.dice = random.Random(seed)
        self.playbooks = playbooks
        self.clock, dice = Calendar(), Dice(seed)
        self.store: Keeping | SqliteStore = Keeping() if folder is None else SqliteStore(folder)
        self.vault = MemoryVault(dice) if folder is None else FileVault(folder, dice)
        self.world = World(self.store, self.store, self.store, self.store, self.store, self.vault, self.clock, dice)
        self.desk = Desk(self.world, playbooks[0])
        self.hot = self.desk.hot or Hot()
        self.backfill = Backfill(self.world, self.hot, lambda: None)
        lookup = Lookup(self.store, self.world.vault, self.hot, Keys(self.store), lambda: self.desk.normaliser)
        self.forgetting = Forgetting(self.world, self.hot, lookup)
        self.retention = Retention(self.world, self.forgetting, lambda: limits, self.backfill.union)
        self.coming = traffic(random.Random(seed), 10_000)
        self.publish(playbooks[0])

    @property
    def playbook(self) -> Playbook:
        """What is live, with all its features."""
        assert self.backfill.declared is not None
        return self.backfill.declared

    def publish(self, playbook: Playbook) -> None:
        self.desk.playbook = self.backfill.follow(playbook)

    def send(self, requests: int = 3) -> None:
        """The next events, in requests of some size; now and then some of it twice."""
        self.desk.received = max(self.desk.received, self.clock.time)
        sent = [[self.coming.pop(0) for _ in range(self.dice.randrange(1, 9))] for _ in range(requests)]
        self.desk.send(*sent)
        if self.dice.random() < 0.2:
            self.desk.send(*sent)
        self.vault.persist()

    def wait(self, days: float) -> None:
        self.clock.time += int(days * DAY)

    def retire(self) -> None:
        """One step, unless a backfill needs the log."""
        if not self.backfill.run():
            self.retention.run()

    def forget(self) -> None:
        keys = self.store.shoppers(None, 1000)
        if keys:
            self.forgetting.erase(self.dice.choice(keys))

    def settle(self) -> None:
        """Until nothing is to be done any more."""
        while self.backfill.run() or self.retention.run():
            pass

    def anything(self) -> None:
        """One random thing that happens to a shop."""
        match self.dice.randrange(20):
            case 0 | 1:
                self.wait(self.dice.random() * 8)
            case 2:
                self.publish(self.dice.choice(self.playbooks))
            case 3:
                self.forget()
            case 4 | 5 | 6 | 7 | 8 | 9 | 10:
                self.retire()
            case 11:
                self.restart()
            case _:
                self.send(self.dice.randrange(1, 4))

    def restart(self) -> None:
        """What was in memory only is gone."""
        declared, done = self.playbook, self.backfill
        self.hot.profiles.clear()
        self.hot.identities.clear()
        self.backfill = Backfill(self.world, self.hot, lambda: None)
        self.retention._features = self.backfill.union
        assert done is not self.backfill
        self.publish(declared)

    def rebuilt(self) -> Rebuilt:
        return rebuild(self.world, self.playbook)

    def of_everything(self) -> dict[ShopperKey, bytes]:
        """What a fold of all that was ever in the log says, as their rows would have it."""
        assert isinstance(self.store, Keeping)
        folding = Folding(self.world.vault, self.playbook.features)
        for record in self.store.everything:
            folding.take(record)
        rows, told = self.rows(), {}
        for key, past in folding.pasts.items():
            if past is not None and key in rows:
                live = profiles.decode(rows[key])
                past.profile.analytic_id, past.profile.former_analytic_ids = live.analytic_id, live.former_analytic_ids
                told[key] = profiles.encode(past.profile)
        return told

    def rows(self) -> dict[ShopperKey, bytes]:
        """Live state, opened."""
        rows = self.store.load(self.store.shoppers(None, 100_000))
        return {key: self.world.vault.open(key.shopper, row.state) for key, row in rows.items()}
