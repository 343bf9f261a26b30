"""``kill -9`` of a real server under load: at random instants, and at every marked crash point.

A server is forked, several clients send batches and ask for decisions, and the process is killed. Then the data folder
is opened and compared with what the clients had read; the next server begins where it was left, and the clients send
again what had no answer.
"""

import shutil
from pathlib import Path

from cashwrap.adapters.system import SystemRandom
from cashwrap.keys import Keys
from cashwrap.testing.chaos.checks import look
from cashwrap.testing.chaos.clients import Asker, Client, Crowd, Sender, Spender
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import write_files
from cashwrap.testing.chaos.nursery import Job, Nursery
from cashwrap.testing.chaos.stage import compiled_playbook, fresh_files, stage
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import PLAYBOOK, TENANT, Book

LIVES = 12
"""Kills of one data folder: what one crash leaves, the next server works on."""
LONGEST_MS = 60
PATIENCE = 10.0
"""Seconds until a crash point counts as one that this load does not reach."""
MAYBE = 1.0
"""Seconds for one that it may not reach: where all of an offer is spent, nobody holds any."""
SERVED = (
    "writer.folded",
    "vault.persisted",
    "store.committed",
    "writer.published",
    "ledger.counted",
    "ledger.committed",
)
"""Crash points that this load passes."""


class Kills:
    """Goes on for as long as it is asked to: ``run`` may be called again with the next seed."""

    def __init__(self, folder: Path, nursery: Nursery, *, late: bool = False) -> None:
        """With ``late`` the servers have the planted bug of answering before the commit."""
        self._late = late
        self._folder = folder
        self._nursery = nursery
        self._playbook = folder / "playbook"
        self._playbook.mkdir(exist_ok=True)
        (self._playbook / "chaos.yaml").write_text(PLAYBOOK)

    def run(self, seed: int, kills: int) -> Tally:
        """So many kills; each folder has a seed of its own."""
        tally = Tally("kill -9 under load")
        while tally.runs < kills:
            self._folder_of_lives(seed + tally.runs, min(LIVES, kills - tally.runs), tally)
        return tally

    def _folder_of_lives(self, seed: int, lives: int, tally: Tally) -> None:
        data, book, dice = self._folder / f"kill-{seed}", Book(), Dice("kills", seed)
        write_files(data, fresh_files())
        with stage(data, seed) as world:
            key = Keys(world.registry).create("secret", TENANT, (), SystemRandom())
        senders = [Sender(seed, book, name) for name in ("a", "b", "c")]
        clients: list[Client] = [*senders, Asker(seed), Spender(seed, book.money)]
        for life in range(lives):
            point = dice.pick(SERVED) if dice.chance(50) else ""
            crash = f"{point}:{1 + dice.below(2 if _maybe(point) else 6)}" if point else ""
            wrong = self._live(data, key, clients, crash, dice)
            tally.runs += 1
            tally.complain(seed + life, *wrong)
            with stage(data, f"look {seed}") as world:
                found = look(world, compiled_playbook(), book)
            found.wrong = [f"{crash or 'a random instant'}: {line}" for line in found.wrong]
            tally.add(found, seed + life, faults=1)
            tally.acknowledged -= found.acknowledged  # counted once, when all lives are over
        tally.acknowledged += len(book.acknowledged) + book.money.acknowledged
        shutil.rmtree(data)

    def _live(self, data: Path, key: str, clients: list[Client], crash: str, dice: Dice) -> list[str]:
        """One life of a server, up to its kill; what clients saw that they must not."""
        wrong: list[str] = []
        self._nursery.start(Job(str(data), str(self._playbook), crash, late=self._late))
        word = self._nursery.listen()
        if word.kind != "ready":
            return [] if word.text == "-9" and crash else [f"the server did not start ({word.text})"]
        crowd = Crowd(word.text, key, clients, wrong)
        left = crowd.wait(_patience(crash, dice))
        died = self._nursery.kill()
        crowd.stop()
        if crash and not _maybe(crash) and (left or died.text != "-9"):
            wrong.append(f"the crash point {crash} was not reached")
        return wrong


def _maybe(point: str) -> bool:
    return point.startswith("ledger")


def _patience(crash: str, dice: Dice) -> float:
    """Seconds that a life lasts at most."""
    if not crash:
        return dice.below(LONGEST_MS) / 1000
    return MAYBE if _maybe(crash) else PATIENCE
