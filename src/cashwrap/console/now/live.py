"""What happens now: hears the pulses of the processes that serve, follows the log's orders, and keeps both as curves.

Three things go on beside requests: datagrams are taken as they come, the log is read on a thread of the lowest
priority, and every few seconds somebody looks whether there is something to look at (``alerts``). Figures of the
process as a whole are everybody's; of what shoppers do each store sees its own.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.backlog import MOST as ROOM
from cashwrap.console.now.alerts import LATEST, Situation, Told, Usual, Watch, alerts, hours_between
from cashwrap.console.now.confirmed import BACKEND, BROWSER, Follower, Loss, Orders
from cashwrap.console.now.figures import ALL, DAY, HOUR, KEPT, MINUTE, SECOND, STORES, Curves, Heard, Point
from cashwrap.console.shop.goods import KIND as GOODS
from cashwrap.console.shop.goods import Goods
from cashwrap.console.streams import Streams
from cashwrap.declarations import Declarations
from cashwrap.errors import CashwrapError
from cashwrap.events import compile_vocabulary
from cashwrap.metrics import ORDER
from cashwrap.model import Millis, Tenant
from cashwrap.pulse import decode
from cashwrap.serve.companion import PULSE
from cashwrap.switches import Switches
from cashwrap.versions import Release, Versions
from cashwrap.world import World

log = logging.getLogger("cashwrap")
T = TypeVar("T")
LOOK = 5.0
"""Seconds between two looks at whether there is something to look at."""
KEEP: Millis = MINUTE
"""How often curves are written to disk."""
FRESH: Millis = 2 * SECOND
"""How long what was read from disk is good."""
SLOW: Millis = 15 * SECOND
"""How long it is good where reading it takes longer."""
SLICES = 10
"""Slices of the log read in one go ..."""
REST = 0.05
"""... and the seconds between two of them: a log of two days must not take a core."""
NEWS = 2.0
"""Seconds between two looks at a log that was read to its end."""
DATAGRAM = 262_144
HEARD = 64
"""Datagrams taken before others have their turn."""
OLDEST = 100
"""Notices to webhooks that are looked at: the oldest."""
DAYS, WEEKS, KNOWN = 14, 2, 3
"""Earlier days whose same hour is compared, and weeks whose same day; and the days that are enough to do so."""


class CurveStore(Protocol):
    """Where curves and alerts outlive a restart."""

    def points(self) -> list[tuple[Millis, str, Millis, bytes]]:
        """Every point: its length, its store, when it began, and what it holds."""

    def counted(self) -> int:
        """The log's sequence up to which orders are in the points."""

    def keep_points(
        self, points: Iterable[tuple[Millis, str, Millis, bytes]], counted: int, oldest: Mapping[Millis, Millis]
    ) -> None:
        """Write points, and remove those of each length that began before its oldest."""

    def alerts(self) -> list[tuple[str, str, bytes]]:
        """Every alert: its store, its code, and what is known of it."""

    def keep_alerts(self, alerts: Iterable[tuple[str, str, bytes]]) -> None:
        """Write these in place of all others."""


class Around(Struct, frozen=True):
    """What the data folder says, of all stores."""

    read: Millis = -FRESH
    failed: Mapping[Tenant, int] = {}
    """Failed events that wait."""
    switches: Switches | None = None
    undelivered: Mapping[Tenant, Millis] = {}
    """Since when the oldest notice to a webhook waits."""
    stocked: Mapping[Tenant, Millis] = {}
    """When catalogues that change now and then last did, see ``goods``."""
    release: Release | None = None
    """What is live."""


class State(Struct, frozen=True):
    """What a page shows of a store at one moment."""

    situation: Situation
    minute: Point
    """The last minute of the store ..."""
    seconds: float
    """... or as much of it as somebody listened: what its counts are divided by."""
    latency: Point
    """The last minutes of the installation."""
    told: list[Told]
    release: Release | None
    orders: int
    """Orders of the last hour."""
    reading: bool
    """Whether orders of the past are still being read."""


_point = msgspec.msgpack.Decoder(Point)
_told = msgspec.msgpack.Decoder(Told)
_goods = msgspec.msgpack.Decoder(Goods)


class Live:
    """Everything that is live in one console. Any thread may ask it; ``run`` goes on beside requests."""

    def __init__(self, world: World, versions: Versions, store: CurveStore, runtime: Path | None = None) -> None:
        """``runtime`` is the folder of the sockets shared with a server; ``None`` without one."""
        self._world = world
        self._versions = versions
        self._store = store
        self._path = runtime / PULSE if runtime is not None else None
        self._lock = threading.RLock()
        self._began = world.clock.now()
        self.heard = Heard(self._began)
        self._curves: dict[str, Curves] = {}
        known = ((name, code, _kept(_told, told)) for name, code, told in store.alerts())
        # As if seen just now: a console that was away does not know that they have cleared.
        self._watch = Watch({(name, code): replace(told, seen=self._began) for name, code, told in known if told})
        self._orders = Orders(world.vault.digest, compile_vocabulary(Declarations()).events[ORDER].purposes)
        self._counted = store.counted()
        """Up to this sequence an earlier console has put orders into the points."""
        self.follower = Follower(world.store, world.vault, self._orders, self._count)
        self._around = Around()
        self._losses: dict[Tenant, tuple[Millis, Loss]] = {}
        self._stocked: tuple[Millis, dict[Tenant, Millis]] = (-SLOW, {})
        self._kept = self._began
        self.streams = Streams()
        for length, name, at, packed in store.points():
            point = _kept(_point, packed)
            if length in KEPT and point is not None:
                self._of(name).series[length].points[at] = point

    # --- what comes in ---

    def hear(self, sent: bytes) -> None:
        """Take a datagram."""
        pulse = decode(sent)
        if pulse is None:
            return
        now = self._world.clock.now()
        with self._lock:
            for name, point in self.heard.take(pulse, now).items():
                if name in self._curves or len(self._curves) < STORES:
                    self._of(name).add(now, point, now)

    def follow(self) -> bool:
        """Read on in the log; whether there may be more already."""
        more = True
        for _ in range(SLICES):
            more = more and self.follower.step(self._world.clock.now())
        return more

    def _count(self, bit: int, tenant: Tenant, at: Millis, sequence: int) -> None:
        """An order was told of for the first time by who ``bit`` says."""
        if sequence <= self._counted:
            return
        point = Point(orders=bit == BACKEND, hints=bit == BROWSER)
        with self._lock:
            self._of(tenant.name).add(at, point, self._world.clock.now())

    # --- what is asked ---

    def state(self, tenant: Tenant) -> State:
        """What a page shows of a store now. Reads the data folder where that was too long ago."""
        now, around = self._world.clock.now(), self.around()
        situation = self._situation(tenant, now, around)
        with self._lock:
            own = self._of(tenant.name, keep=False)
            return State(
                situation=situation,
                minute=own.last(now, MINUTE),
                seconds=min(MINUTE, max(SECOND, now - self._began)) / SECOND,
                latency=situation.whole,
                told=self._watch.see(tenant.name, alerts(situation), now),
                release=around.release,
                orders=own.series[MINUTE].between(now - HOUR, now + 1).orders,
                reading=not self.follower.caught_up,
            )

    def curve(self, tenant: Tenant | None, span: Millis, step: Millis) -> list[tuple[Millis, Point]]:
        """The last ``span`` of a store, or of all (``None``), in steps of seconds, minutes or hours that have ended."""
        length = max(length for length in KEPT if step % length == 0)
        now = self._world.clock.now()
        with self._lock:
            curves = self._of(tenant.name if tenant is not None else ALL, keep=False)
            return list(curves.series[length].steps(now, span, step))

    def heard_since(self, step: Millis) -> Millis:
        """Since when pulses are in curves of these steps: what was before is not nothing, but not known."""
        length = max(length for length in KEPT if step % length == 0)
        with self._lock:
            points = self._of(ALL, keep=False).series[length].points
            return min(points, default=self._world.clock.now())

    def acknowledge(self, tenant: Tenant, code: str, who: str) -> bool:
        """Somebody takes an alert on. ``False`` where it has cleared."""
        with self._lock:
            known = self._watch.acknowledge(tenant.name, code, who, self._world.clock.now())
            self._keep_alerts()
        return known

    def around(self) -> Around:
        """What the data folder says, as of a moment ago."""
        now = self._world.clock.now()
        if now - self._around.read >= FRESH:
            self._around = self._read(now)
        return self._around

    # --- what goes on beside requests ---

    async def run(self) -> None:
        """Until cancelled."""
        executor = ThreadPoolExecutor(1, "cashwrap-follow", _step_back)
        receiver = self._listen()
        following = asyncio.create_task(self._follow(executor))
        try:
            while True:
                await asyncio.sleep(LOOK)
                await asyncio.to_thread(self._quietly, self.look)
        finally:
            following.cancel()
            self.streams.close()
            if receiver is not None and self._path is not None:
                asyncio.get_running_loop().remove_reader(receiver.fileno())
                receiver.close()
                self._path.unlink(missing_ok=True)
            executor.shutdown(wait=True, cancel_futures=True)

    def look(self) -> None:
        """See what there is to look at in every store, and keep curves now and then."""
        now, around = self._world.clock.now(), self.around()
        with self._lock:
            self.heard.prune(now)
            heard = {Tenant(*name.split("/", 1)) for name in self._curves if name != ALL}
        for tenant in sorted(heard | set(self._world.store.tenants()))[:STORES]:
            situation = self._situation(tenant, now, around)
            with self._lock:
                self._watch.see(tenant.name, alerts(situation), now)
        if now - self._kept >= KEEP:
            self.keep()

    def keep(self) -> None:
        """Write what changed to disk."""
        now = self._world.clock.now()
        with self._lock:
            rows, oldest = self._rows(now), {length: now - KEPT[length] * length for length in (MINUTE, HOUR)}
            self._store.keep_points(rows, max(self._counted, self.follower.position), oldest)
            self._keep_alerts()
            self._kept = now

    def close(self) -> None:
        """Write what changed, if that can be."""
        self.streams.close()
        self._quietly(self.keep)

    def _rows(self, now: Millis) -> list[tuple[Millis, str, Millis, bytes]]:
        rows = []
        for name, curves in self._curves.items():
            for length, series in curves.series.items():
                series.prune(now)
                if length != SECOND:
                    told = [(at, msgspec.msgpack.encode(series.points[at])) for at in series.changed]
                    rows += [(length, name, at, point) for at, point in told]
                series.changed.clear()
        return rows

    def _keep_alerts(self) -> None:
        told = self._watch.told.items()
        self._store.keep_alerts([(name, code, msgspec.msgpack.encode(each)) for (name, code), each in told])

    def _listen(self) -> socket.socket | None:
        if self._path is None:
            return None
        self._path.unlink(missing_ok=True)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.settimeout(0)
        receiver.bind(str(self._path))

        def hear() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(HEARD):
                    self.hear(receiver.recv(DATAGRAM))

        asyncio.get_running_loop().add_reader(receiver.fileno(), hear)
        return receiver

    async def _follow(self, executor: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            more = await loop.run_in_executor(executor, self._quietly, self.follow)
            await asyncio.sleep(REST if more else NEWS)

    def _quietly(self, action: "Action") -> bool:
        """Whatever fails is told and tried again: it must not be the last time that somebody looks."""
        try:
            return bool(action())
        except CashwrapError as error:
            log.warning("live figures wait: %s", error.message)
        except Exception:
            log.exception("live figures wait")
        return False

    # --- parts ---

    def _of(self, name: str, *, keep: bool = True) -> Curves:
        known = self._curves.get(name)
        if known is None:
            known = Curves()
            if keep:
                self._curves[name] = known
        return known

    def _loss(self, tenant: Tenant, now: Millis) -> Loss:
        """As of a moment ago: there may be hundreds of thousands of orders to go through."""
        at, loss = self._losses.get(tenant, (-SLOW, Loss()))
        if now - at >= SLOW and self.follower.caught_up:
            loss = self._orders.loss(tenant, now)
            self._losses[tenant] = now, loss
        return loss

    def _situation(self, tenant: Tenant, now: Millis, around: Around) -> Situation:
        loss = self._loss(tenant, now)
        with self._lock:
            own, whole = self._of(tenant.name, keep=False), self._of(ALL, keep=False)
            processes = list(self.heard.processes.values())
            pulses = [each.pulse for each in processes]
            last = self._orders.newest.get(tenant) if self.follower.caught_up else None
            return Situation(
                now=now,
                waited=now - self._began if self._path is not None else None,
                processes={each.pulse.role: each.heard for each in processes},
                shed=max((pulse.shed for pulse in pulses), default=0),
                disk_full=any(pulse.disk_full for pulse in pulses),
                playbook_error=next((pulse.playbook_error for pulse in pulses if pulse.playbook_error), ""),
                whole=whole.last(now, LATEST),
                backlog_share=sum(around.failed.values()) / ROOM,
                recent=own.last(now, LATEST),
                day=own.day(now, LATEST),
                last_order=last,
                usual=_usual(own, last, now) if last is not None else (),
                loss=loss,
                failed=around.failed.get(tenant, 0),
                switched_off=tuple(each.name or "*" for each in around.switches.of(tenant)) if around.switches else (),
                undelivered=around.undelivered.get(tenant),
                stocked=around.stocked.get(tenant),
            )

    def _read(self, now: Millis) -> Around:
        world, failed, waiting = self._world, dict[Tenant, int](), dict[Tenant, Millis]()
        for tenant, _, _, count in world.failed.tally():
            failed[tenant] = failed.get(tenant, 0) + count
        for _, notice in world.outbox.pending(OLDEST):
            waiting.setdefault(notice.tenant, notice.at)
        if now - self._stocked[0] >= SLOW:
            self._stocked = now, _stocked(world)
        return Around(now, failed, Switches(world.registry), waiting, self._stocked[1], self._versions.live())


class Action(Protocol):
    """Something to do; whether there is more of it."""

    def __call__(self) -> bool | None:
        """Do it."""


def _kept(decoder: "msgspec.msgpack.Decoder[T]", packed: bytes) -> T | None:
    """What is on disk; nothing of what an older or newer console wrote otherwise: it may be lost."""
    try:
        return decoder.decode(packed)
    except msgspec.DecodeError:
        return None


def _usual(own: Curves, last: Millis, now: Millis) -> tuple[tuple[float, tuple[Usual, ...]], ...]:
    """The time since the last order in pieces of hours, and what earlier times like each had.

    That is the same hour of earlier days, and of the same day of earlier weeks; where hardly any day is known yet, the
    hour before the last order.
    """
    hours, minutes = own.series[HOUR], own.series[MINUTE]
    first = min(hours.points, default=now)
    before = Usual(minutes.between(last - HOUR, last).orders, HOUR / MINUTE)
    pieces = []
    for began, length in hours_between(last, now):
        days = [began - each * DAY for each in range(1, DAYS + 1) if began - each * DAY > first]
        weeks = [began - each * 7 * DAY for each in range(1, WEEKS + 1) if began - each * 7 * DAY > first]
        ways = [_in(own, days), _in(own, weeks)] if len(days) >= KNOWN else [before]
        pieces.append((length, tuple(ways)))
    return tuple(pieces)


def _in(own: Curves, hours: list[Millis]) -> Usual:
    series = own.series[HOUR]
    return Usual(sum(series.between(at, at + HOUR).orders for at in hours), len(hours) * HOUR / MINUTE)


def _stocked(world: World) -> dict[Tenant, Millis]:
    """When each catalogue last changed, of those that were seen to change."""
    noted: dict[Tenant, list[Goods]] = {}
    for document in world.registry.documents(GOODS).values():
        goods = _goods.decode(document)
        noted.setdefault(goods.tenant, []).append(goods)
    changing = {tenant: each for tenant, each in noted.items() if len({one.version for one in each}) > 1}
    return {tenant: max(each, key=lambda one: one.version).at for tenant, each in changing.items()}


def _step_back() -> None:
    """On the thread that reads the log: everybody else goes first. Linux counts niceness by thread."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
