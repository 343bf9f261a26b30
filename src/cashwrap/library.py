"""The engine as a library: decide and collect inside any Python program, without a server.

Plain values in, plain values out. Nothing that a checkout calls ever raises: what is wrong is logged, and the shop's
default stands. ``cashwrap.engine`` is what this stands on, and what ``serve`` puts HTTP in front of.
"""

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from cashwrap.adapters.announcing import AnnouncingStore
from cashwrap.adapters.audit import FileAudit, MemoryAudit
from cashwrap.adapters.ballast import SIZE
from cashwrap.adapters.folder import pair
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.model_folder import FolderModels
from cashwrap.adapters.parquet import ParquetFacts
from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.shared import VersionArray
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import FILE as LEDGER_FILE
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.engine import Engine as Core
from cashwrap.engine import World
from cashwrap.errors import CashwrapError, InvalidInput, StoreError, Unavailable
from cashwrap.events import Accounting, Refused, RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Level, Reason, Tenant
from cashwrap.offering.facade import Offers
from cashwrap.playbook import Playbook
from cashwrap.ports import Ledger
from cashwrap.request import DecideRequest
from cashwrap.suggesting import Prediction, PredictRequest, Recommended, RecommendRequest

log = logging.getLogger("cashwrap")
T = TypeVar("T")

FACTS, MODELS = "facts", "models"
"""The fact table's place in a data folder, and that of what was learned."""
BEGUN = "begun"
"""The kind of the documents that name files which, once begun, must be there."""
LEDGER = "CASHWRAP_LEDGER"
"""The environment variable with the ledger's address: it may hold a password, which the list of processes must not."""


class Answer(Struct, frozen=True):
    """What one placement shows. Without ``content`` the shop's own default stands, for the ``reason``."""

    experience: str | None
    variation: str | None
    content: dict[str, Any] | None
    reason: Reason
    offer: dict[str, Any] | None = None
    """What was granted with it, as ``POST /v1/decide`` has it: its ``token`` is what ``engine.offers`` reserves."""


class Decision(Struct, frozen=True, rename={"id": "decisionId"}):
    """What each placement shows; ``decision["basket_message"]`` is its content, or ``None`` for the shop's default.

    ``token`` is what an exposure brings back, from a page or by ``track``; ``level`` is the data that was used.
    """

    id: str
    playbook: str
    placements: dict[str, Answer]
    level: Level
    degraded: bool = False
    token: str | None = None

    def __getitem__(self, placement: str) -> dict[str, Any] | None:
        """The content of a placement. Raises ``KeyError`` for one that was not asked for."""
        return self.placements[placement].content


_decision = msgspec.json.Decoder(Decision)


class Engine:
    """Decides and collects for one store, on any number of threads of one process.

    ``data`` is a folder that keeps everything, for this process alone; without it everything is in memory and gone
    with the process. ``world`` brings other adapters instead. Raises ``Locked`` where another process has the folder.
    """

    def __init__(
        self,
        playbook: Playbook,
        data: str | Path | None = None,
        *,
        world: World | None = None,
        store: str = "default",
        environment: str = "live",
    ) -> None:
        self._opened = ExitStack()
        if world is None:
            world = memory_world() if data is None else self._opened.enter_context(open_world(Path(data), make=True))
        with ExitStack() as on_failure:
            on_failure.callback(self._opened.close)
            self.core = Core(playbook, world)
            on_failure.pop_all()
        self._opened.callback(self.core.close)
        self._key = ApiKey("library", "secret", Tenant(store, environment), b"")
        self.offers = Offers(self.core.offering, self._key.tenant)
        """Holds, spends and gives back offers; raises what is wrong."""
        self._opened.callback(self.offers.close)
        if playbook.offers:
            self.offers.keep()
        self._process = os.getpid()

    # --- what a checkout calls: never raises ---

    def decide(
        self,
        *placements: str,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> Decision:
        """What these placements show, or all of them. ``context`` is that of ``POST /v1/decide``; money in major units.

        Reads a profile from disk where memory has none, and has no deadline of its own.
        """
        shopper = {"userId": user_id, "anonymousId": anonymous_id}
        asked = list(placements) or None
        try:
            answer = self.core.decide(_request(shopper, context or {}, asked), self._caller())
        except Exception:
            log.exception("a decision failed: the shop's default stands")
            answer = self.core.default_answer(DecideRequest(placements=asked), self._key.tenant)
        return _decision.decode(answer)

    def recommend(
        self,
        *,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        context: Mapping[str, object] | None = None,
        **asked: object,
    ) -> Recommended:
        """Products for a page, each with its source. ``asked`` is what else ``POST /v1/recommend`` takes: ``model``,
        ``version``, ``source``, ``category``, ``limit`` and ``rules``.

        Where anything is wrong there are no products, and the log says why.
        """
        shopper = {"userId": user_id, "anonymousId": anonymous_id}
        try:
            request = _converted({**asked, "shopper": shopper, "context": context or {}}, RecommendRequest)
            caller, core = self._caller(), self.core
            hot = core.find(request.shopper, caller)
            return core.suggesting.recommend(request, caller, hot, core.world.clock.now())
        except Exception:
            log.exception("products could not be recommended")
            return self.core.suggesting.nothing(RecommendRequest())

    def track(
        self,
        event: str,
        properties: Mapping[str, object] | None = None,
        *,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> bool:
        """Take one event; returns when it is durable. ``False`` where it was not kept, and the log says why.

        What the shopper does not allow is not kept either; an order is, whatever they chose.
        """
        fields = {"event": event, "properties": properties or {}, "context": context or {}}
        return self._take("track", user_id, anonymous_id, fields)

    def identify(
        self, user_id: str, traits: Mapping[str, object] | None = None, *, anonymous_id: str | None = None
    ) -> bool:
        """Say who somebody is: what was done under the anonymous id becomes theirs. Returns as ``track`` does."""
        return self._take("identify", user_id, anonymous_id, {"traits": traits or {}})

    def consent(
        self, choices: Mapping[str, bool], *, user_id: str | None = None, anonymous_id: str | None = None
    ) -> bool:
        """Record what a shopper chose, by purpose: true grants, false denies. Returns as ``track`` does."""
        named = {purpose: "granted" if granted else "denied" for purpose, granted in choices.items()}
        return self._take("consent", user_id, anonymous_id, {"choices": named})

    def _take(self, kind: str, user_id: str | None, anonymous_id: str | None, fields: Mapping[str, object]) -> bool:
        try:
            taken, refused = self.collect([{"type": kind, "userId": user_id, "anonymousId": anonymous_id, **fields}])
        except CashwrapError as error:
            log.error("an event was not kept: %s (%s)", error.message, error.code)  # noqa: TRY400 - expected, no bug
            return False
        except Exception:
            log.exception("an event was not kept")
            return False
        for each in refused:
            log.warning("an event was refused: %s (%s)", each.message, each.code)
        return taken.stored == 1

    # --- everything else: raises what is wrong ---

    def collect(self, events: Iterable[Mapping[str, object]]) -> tuple[Accounting, list[Refused]]:
        """Take events as ``POST /v1/batch`` has them; returns when they are durable: what became of them, and why not.

        Raises ``InvalidInput`` or ``TooMuch`` where they cannot be read as a batch, and ``Unavailable`` where nothing
        can be kept now.
        """
        if os.getpid() != self._process:  # the thread that commits did not come along: waiting for it would never end
            message = "this engine was made before the process forked; make one in each worker, after the fork"
            raise Unavailable(message, code="forked")
        durable = threading.Event()
        batch = self.core.parse(_encoded({"batch": list(events)}), None)
        submission, refused = self.core.collect(batch, self._caller(), lambda _: durable.set())
        durable.wait()
        if submission.error is not None:
            raise submission.error
        return submission.accounting, refused

    def predict(
        self, *names: str, user_id: str | None = None, anonymous_id: str | None = None
    ) -> dict[str, Prediction]:
        """What models tell of one shopper, by these names or all there are: a value, or why it is missing.

        Raises ``InvalidInput`` for a name that is no prediction.
        """
        shopper = {"userId": user_id, "anonymousId": anonymous_id}
        request = _converted({"shopper": shopper, "predictions": list(names) or None}, PredictRequest)
        caller, core = self._caller(), self.core
        hot = core.find(request.shopper, caller)
        return core.suggesting.predict(request, caller, hot, core.world.clock.now()).predictions

    def publish(self, playbook: Playbook) -> None:
        """Change the playbook: decisions that began see the old one, all others the new one."""
        self.core.publish(playbook)
        if playbook.offers:
            self.offers.keep()

    def close(self) -> None:
        """Commit what waits and let go of the folder. May be called again."""
        self._opened.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _caller(self) -> Caller:
        key = self._key
        now = self.core.world.clock.now()
        return Caller(key, RequestFacts(received=now, source=key.id, tenant=key.tenant, trusted=True))


def memory_world() -> World:
    """Adapters that keep everything in memory, for as long as the process lives."""
    store, random = MemoryStore(), SystemRandom()
    kept: dict[str, Any] = {"ledger": SqliteLedger(None), "audit": MemoryAudit()}
    return World(store, store, store, store, store, MemoryVault(random), SystemClock(), random, **kept)


@contextmanager
def open_world(
    data: Path,
    *,
    serving: bool = True,
    make: bool = False,
    reserve: int = SIZE,
    ledger: str = "",
    versions: VersionArray | None = None,
) -> Iterator[World]:
    """The embedded store in a folder; with ``make`` it is made where it is not there.

    ``serving`` takes the folder's lock (one process that folds and commits); without it only small documents, products
    and models may be written, also while a server runs. ``reserve`` bytes of the disk are kept back for what must go on
    when it is full. ``ledger`` is the address of a PostgreSQL database that machines share, or else what
    ``CASHWRAP_LEDGER`` says, else a file in the folder. ``versions`` are advanced for processes that read beside this.

    Raises ``InvalidInput`` (``no_data_folder``), ``Locked``, ``Unavailable`` (``ledger_unreachable``), and
    ``StoreError`` where the keys belong to another folder.
    """
    if not make and not data.is_dir():
        message = f"there is no data folder {data}: say where it is with --data, or make it with 'cashwrap keys create'"
        raise InvalidInput(message, code="no_data_folder")
    random = SystemRandom()
    with ExitStack() as opened:
        store = (
            SqliteStore(data, serving=serving, reserve=reserve)
            if versions is None
            else AnnouncingStore(data, versions, reserve=reserve)
        )
        opened.callback(store.close)
        vault = FileVault(data, random, ballast=store.ballast, serving=serving)
        opened.callback(vault.close)
        pair(store, vault)
        book = _open_ledger(data, ledger or os.environ.get(LEDGER, ""), store)
        opened.callback(book.close)
        kept: dict[str, Any] = {"ledger": book, "audit": FileAudit(data, vault, vault), "reserve": store.ballast}
        kept |= {"facts": ParquetFacts(data / FACTS), "models": FolderModels(data / MODELS)}
        yield World(store, store, store, store, store, vault, SystemClock(), random, **kept)


def _open_ledger(data: Path, address: str, store: SqliteStore) -> Ledger:
    """The ledger of a folder. Raises ``StoreError`` (``ledger_missing``) where its file was there and is gone."""
    if address:
        return PostgresLedger(address)
    if LEDGER_FILE in store.documents(BEGUN) and not (data / LEDGER_FILE).exists():
        message = f"{data / LEDGER_FILE} is gone, and every limit would begin at nothing: put it back from a backup,"
        raise StoreError(f"{message} or accept empty books by making it an empty file", code="ledger_missing")
    ledger = SqliteLedger(data, ballast=store.ballast)
    if LEDGER_FILE not in store.documents(BEGUN):
        store.put(BEGUN, LEDGER_FILE, b"")
    return ledger


def _request(
    shopper: Mapping[str, object], context: Mapping[str, object], placements: list[str] | None
) -> DecideRequest:
    return _converted({"shopper": shopper, "context": context, "placements": placements}, DecideRequest)


def _converted(value: Mapping[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the question does not fit: {error}", code="invalid_request") from None


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"events hold plain values only: {error}", code="invalid_json") from None
