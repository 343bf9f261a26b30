"""A file of somebody's past into the data folder, by the very path live events take: normalise, fold, commit.

Only the window is larger. What is imported twice is found by the same ids as a repeat of a live event; each event
carries the purposes the mapping declares as its basis.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from cashwrap import collector
from cashwrap.backfill import declare
from cashwrap.backlog import Backlog
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.events import Batch, Envelope, Normaliser, Refused, RequestFacts
from cashwrap.events.scrub import suspicious
from cashwrap.history.convert import Converter
from cashwrap.history.mapping import Map
from cashwrap.history.report import Census, FailedRow, Report, Sessions
from cashwrap.history.rows import BadRow, format_of, read_rows, texts
from cashwrap.hot import Hot
from cashwrap.model import Event, Millis, Product, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.repair import failures_of
from cashwrap.window import Context, Submission, Window

WINDOW = 2000
"""Events in one commit."""
EXAMPLES = 100
"""Failed rows that the report shows."""
COLLECT = 200
"""Windows between two runs of the garbage collector, which would otherwise walk the hot profiles all the time."""
LATEST: Millis = 86_400_000
"""How far in the future a row's time may lie: a file may say the day and no hour."""


class Options(Struct, frozen=True):
    """How one import is done. ``limit`` counts rows; ``progress`` is told how many bytes of the file were read."""

    tenant: Tenant = Tenant()
    limit: int | None = None
    progress: Callable[[int], None] = lambda _: None


PLAIN = Options()


def import_file(world: World, playbook: Playbook, mapping: Map, file: Path, options: Options = PLAIN) -> Report:
    """Import one file. Whoever calls holds the data folder alone.

    Raises ``InvalidInput`` where the file as a whole cannot be used; one that breaks off keeps what came before and
    says so in ``Report.interrupted``. Raises ``Unavailable`` where the store cannot keep it.
    """
    return _Import(world, playbook, mapping, file, options).run()


class _Import:
    """One import under way."""

    def __init__(self, world: World, playbook: Playbook, mapping: Map, file: Path, options: Options) -> None:
        self.world = world
        self.playbook = playbook
        self.mapping = mapping
        self.file = file
        self.options = options
        now = world.clock.now()
        self.report = Report(source=mapping.source)
        self.converter = Converter(mapping, playbook.vocabulary, file.name, now + LATEST)
        self.normaliser = Normaliser(playbook.vocabulary, playbook.settings, world.vault.digest)
        self.facts = RequestFacts(
            received=now,
            source=f"import:{mapping.source}",
            tenant=options.tenant,
            trusted=True,
            historic=True,
            basis=mapping.basis,
        )
        products: Mapping[str, Product] = dict(world.catalogue.products(options.tenant))
        backlog = Backlog(world.failed, world.clock)
        self.context = Context(
            playbook, lambda _: products, world.store, world.vault, world.random, Hot(), backlog=backlog
        )
        self.failed: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.changed: dict[ShopperKey, None] = {}
        self.windows = 0
        self.secrets = False
        """Whether the rows at hand may hold a card number or an e-mail address."""

    def run(self) -> Report:
        world = self.world
        declare(world.registry, world.store, self.playbook.features, world.clock.now())
        begun = self.world.clock.monotonic()
        with collector.paused():
            self.read()
        report, visits = self.report, self.converter.visits
        report.skipped = dict(sorted(self.converter.skipped.items()))
        report.joined, report.unmatched_returns = self.converter.joined, self.converter.unmatched
        report.failed, report.names = dict(sorted(self.failed.items())), dict(sorted(self.names.items()))
        report.carts = visits.carts
        report.compared = Sessions(
            visits.count, len(visits.given), visits.resumed, visits.split, visits.joined, visits.unordered
        )
        report.seconds = round(self.world.clock.monotonic() - begun, 3)
        seconds = max(report.seconds, 0.001)
        report.rows_per_second = int(report.rows / seconds)
        report.events_per_second = int(report.events.received / seconds)
        report.notes = self.notes()
        census = Census(self.world, self.playbook, self.options.tenant, self.mapping.basis)
        census.count(self.changed, report.last or self.facts.received, report)
        return report

    def read(self) -> None:
        """Row by row, a window at a time."""
        out: list[Envelope | Refused] = []
        rows: list[str] = []
        take, limit = self.converter.take, self.options.limit
        format_ = self.mapping.format or format_of(self.file)
        try:
            for item in read_rows(self.file, format_, self.converter.columns, self.options.progress):
                if limit is not None and self.report.rows >= limit:
                    break
                self.report.rows += 1
                if isinstance(item, BadRow):
                    name = f"{self.file.name}, line {item.place}"
                    out.append(Refused(len(out), item.code, item.message, "", name, item.size))
                else:
                    rows.append(texts(item.row))
                    take(self.report.rows, item.row, out)
                if len(out) >= WINDOW:
                    self.commit(out, rows)
                    out, rows = [], []
        except InvalidInput as error:
            if not self.report.rows:
                raise
            self.report.interrupted = error.message
        self.converter.finish(out)
        for start in range(0, len(out), WINDOW):
            self.commit(out[start : start + WINDOW], rows)

    def commit(self, items: list[Envelope | Refused], rows: Iterable[str]) -> None:
        """Fold and keep one window."""
        self.secrets = _may_hide(rows) or (self.secrets and self._gathers())
        taken = self.normaliser.batch(Batch(items, suspicious=self.secrets), self.facts)
        events = [item for item in taken if isinstance(item, Event)]
        refused = [item for item in taken if isinstance(item, Refused)]
        self.tell(refused)
        self.names.update([event.name for event in events])
        if events:
            times = [event.time for event in events]
            self.report.first = min(times) if self.report.first is None else min(self.report.first, *times)
            self.report.last = max(times) if self.report.last is None else max(self.report.last, *times)
        submission = Submission(
            self.options.tenant, events, failures_of(self.options.tenant, map(_placed, refused), self.facts.received)
        )
        window = Window(self.context)
        window.prefetch([submission])
        window.take(submission)
        if submission.error is not None:  # no room for what failed: nothing of this window is kept
            window.abandon()
            raise submission.error
        changes = window.changes()
        if changes:
            self.world.vault.persist()
            self.world.store.commit(changes)
        window.publish()
        self.windows += 1
        if not self.windows % COLLECT:
            gc.collect()
        self.report.events.add(submission.accounting)
        counted = submission.accounting
        later = changes.failures[: counted.failed + counted.conflict - len(refused)]
        self.failed.update([each.code for each in refused])
        self.failed.update([each.code for each in later])
        for key, row in changes.rows.items():
            if row is None:
                self.changed.pop(key, None)
            else:
                self.changed[key] = None

    def notes(self) -> list[str]:
        """What is probably not meant, in a sentence each."""
        found = []
        shop, data, late = self.playbook.settings.currency, self.mapping.currency, self.converter.visits.unordered
        if data and data != shop:
            found.append(f"the data are in {data} and the shop in {shop}: features over money do not see them")
        if late:
            found.append(f"{late} rows are older than the one before of their shopper; sort the file by time")
        return found

    def tell(self, refused: Iterable[Refused]) -> None:
        """Keep the first failed rows for the report."""
        examples = self.report.examples
        for each in islice(refused, EXAMPLES - len(examples)):
            examples.append(FailedRow(each.message_id or "", each.path, each.code, each.message))

    def _gathers(self) -> bool:
        """Whether rows of an earlier window may be part of an event of this one."""
        return any(event.lines for event in self.mapping.events)


def _placed(refused: Refused) -> Refused:
    """With its place in the file before the path, so that an operator finds the row again."""
    return replace(refused, path=f"{refused.message_id or ''} {refused.path}".strip())


def _may_hide(rows: Iterable[str]) -> bool:
    try:
        return suspicious("\n".join(rows).encode())
    except UnicodeEncodeError:
        return True
