"""Several serving processes and one that writes, for tests: the true parts, in one process or in many."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from cashwrap.adapters.announcing import AnnouncingStore
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.vault import FileVault
from cashwrap.engine import Engine, World
from cashwrap.hot import Hot
from cashwrap.playbook import Playbook
from cashwrap.remote import Common
from cashwrap.serve.workers.client import Quota, WriterClient
from cashwrap.serve.workers.common import SharedCarts, SharedRateWatch
from cashwrap.serve.workers.desk import Desk
from cashwrap.serve.workers.processes import Shared
from engines import SeededRandom, Shop, TestClock, starter
from processes import Process, client

QUOTA = Quota(1000, 10_000)


class Crew:
    """A writing engine with its desk and some that hand their events over, all on one folder and one clock."""

    def __init__(self, folder: Path, workers: int, opened: ExitStack, playbook: Playbook) -> None:
        self._playbook = playbook
        self.clock = TestClock()
        self.shared = Shared(workers, SeededRandom(7))
        self._folder = folder
        self._opened = opened
        store = AnnouncingStore(folder, self.shared.versions)
        self.writer = Engine(playbook, self._world(store, serving=True))
        self.desk = Desk(self.writer)
        store.on_forget = self.desk.tell_gone
        self.shops: list[Shop] = []
        self.clients: list[WriterClient] = []
        for _ in range(workers):
            self._join()
        first = self.shops[0]
        for shop in self.shops:
            shop.public_text, shop.secret_text = first.public_text, first.secret_text
            shop.engine.keys.refresh()
        opened.callback(self.close)

    def _join(self) -> None:
        hot = Hot(stamps=self.shared.versions)
        link = WriterClient(hot, QUOTA)
        self.clients.append(link)
        self.introduce(link)
        common = Common(hot, SharedRateWatch(self.shared.senders), SharedCarts(self.shared.carts), link)
        world = self._world(SqliteStore(self._folder, serving=False), serving=False)
        engine = Engine(self._playbook, world, common=common)
        link.carry(engine.recorder)
        shop = Shop(engine, self.clock)
        shop.sent = 1_000_000 * len(self.shops)  # message ids of its own
        self.shops.append(shop)

    def introduce(self, link: WriterClient) -> None:
        ours, theirs = socket.socketpair()
        self.desk.admit(theirs)
        link.attach(ours)

    def _world(self, store: SqliteStore, *, serving: bool) -> World:
        random = SeededRandom(len(getattr(self, "shops", [])) + 1)
        vault = FileVault(self._folder, random, serving=serving)
        self._opened.callback(store.close)
        self._opened.callback(vault.close)
        ledger = SqliteLedger(self._folder)
        self._opened.callback(ledger.close)
        return World(store, store, store, store, store, vault, self.clock, random, ledger=ledger)

    def close(self) -> None:
        for shop in self.shops:
            shop.engine.close()
        self.writer.close()
        self.desk.close()


@contextmanager
def crew(folder: Path, workers: int = 2, playbook: Playbook | None = None) -> Iterator[Crew]:
    with ExitStack() as opened:
        yield Crew(folder, workers, opened, playbook or starter())


# --- real processes ---


def children(process: Process) -> tuple[int, list[int]]:
    """The process that writes, and those that serve: only they take connections."""
    listed = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()
    port = int(process.url.rpartition(":")[2])
    listening = _inodes(f":{port:04X} 00000000:0000 0A")
    serving = [int(pid) for pid in listed if listening & _sockets(int(pid))]
    others = [int(pid) for pid in listed if int(pid) not in serving]
    return (others[0] if others else 0), serving


def clients_of_each(process: Process, key: str) -> dict[int, httpx.Client]:
    """One client for each serving process, with a single connection kept open."""
    found: dict[int, httpx.Client] = {}
    _, serving = children(process)
    for _ in range(200):
        if len(found) == len(serving):
            return found
        http = client(process.url, key, limits=httpx.Limits(max_connections=1))
        pid = _server_of(http, process, serving)
        if pid in found:
            http.close()
        else:
            found[pid] = http
    raise AssertionError(f"{len(found)} of {len(serving)} processes take connections")


def _server_of(http: httpx.Client, process: Process, serving: list[int]) -> int:
    """Which process has the other end of this client's connection."""
    with http.stream("GET", "/healthz") as answer:
        stream = answer.extensions["network_stream"]
        port = stream.get_extra_info("client_addr")[1]
        answer.read()
        ends = {line.split()[9] for line in _connections() if line.split()[2].endswith(f":{port:04X}")}
        for pid in serving:
            if ends & _sockets(pid):
                return pid
    raise AssertionError("nobody serves this connection")


def _connections() -> list[str]:
    return Path("/proc/net/tcp").read_text().splitlines()[1:]


def _inodes(pattern: str) -> set[str]:
    return {line.split()[9] for line in _connections() if pattern in line}


def _sockets(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it is gone, or has just closed one
        for file in Path(f"/proc/{pid}/fd").iterdir():
            target = str(file.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found
