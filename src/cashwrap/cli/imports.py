"""``import`` and ``catalog import``: a shop's past and its products, from files."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cashwrap.adapters.http import FetchLimits, Internet
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import MemoryVault
from cashwrap.cli.options import Data, Environment, Json, PlaybookFolder, Store, moment, print_json, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.feed import Format, RowFault, read_feed, sniff
from cashwrap.history import Options, Report, import_file, load_mapping
from cashwrap.library import open_world
from cashwrap.model import Product
from cashwrap.playbook import load_playbook

FAULTS = 1000
"""Bad rows that are listed; all are counted."""
EXAMPLES = 10
"""Failed rows of an import that are shown; --json has more."""
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xml": "xml",
    ".rss": "xml",
}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command(name="import")(import_)
    catalog = typer.Typer(no_args_is_help=True, help="The shop's products.", rich_markup_mode="markdown")
    catalog.command(name="import")(catalog_import)
    app.add_typer(catalog, name="catalog")


def import_(  # noqa: PLR0913 - each one is an option of the command
    file: Annotated[Path, typer.Argument(help="A .csv, .tsv or .jsonl file (also .gz), or .parquet.")],
    *,
    mapping: Annotated[
        Path, typer.Option("--mapping", help="How columns become events: a YAML file, or the name of one of ours.")
    ],
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Read only so many rows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do all of it in memory and keep nothing.")] = False,
    json: Json = False,
) -> None:
    """Import past events from a file, and say what became of each row.

    The server must be stopped: an import takes the data folder. The same file imported again changes nothing.

    Example: `cashwrap import events.csv.gz --mapping mappings/retailrocket.yaml --playbook playbook --data data`
    """
    compiled = load_playbook(playbook)
    read = load_mapping(mapping, compiled.vocabulary)
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}", code="unreadable_file")
    with _world(data, dry_run=dry_run) as world, _progress(file, quiet=json) as told:
        options = Options(tenant_of(store, env), limit, told)
        note = noted("events.import", mapping.name, tenant=options.tenant)
        report = trail_of(world).around(note, lambda: import_file(world, compiled, read, file, options))
    if json:
        print_json(report)
    else:
        _print_report(report, dry_run=dry_run)
    if report.interrupted:
        raise InvalidInput(report.interrupted, code="truncated_file")


class Catalogued(Struct):
    """What a catalogue import did."""

    read: int = 0
    written: int = 0
    failed: dict[str, int] = {}
    faults: list[RowFault] = []
    """The first thousand."""


def catalog_import(  # noqa: PLR0913 - each one is an option of the command
    source: Annotated[str, typer.Argument(help="A file or an http(s) address: CSV, TSV, JSON, or a Merchant feed.")],
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    currency: Annotated[str, typer.Option("--currency", help="The shop's currency; a row in another fails.")] = "EUR",
    replace: Annotated[bool, typer.Option("--replace", help="Drop every product the feed does not name.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let an address be on a private network.")
    ] = False,
    json: Json = False,
) -> None:
    """Import the shop's products; good rows are kept and every bad one is told with its line.

    A running server sees the change by itself.

    Example: `cashwrap catalog import shop/seed/feed.json --data data`
    """
    tenant = tenant_of(store, env)
    report = Catalogued()
    with tempfile.TemporaryFile() as fetched:
        stream, format_ = _open(source, fetched, private=allow_private)
        with stream, open_world(data, serving=False, make=True) as world:
            products = list(_sound(read_feed(stream, format_, currency.upper()), report))
            if replace and not products:
                raise InvalidInput("no product could be read, so nothing was replaced", code="empty_feed")
            note = noted("catalogue.import", str(len(products)), {"replace": replace}, tenant)
            if products:
                report.written = trail_of(world).around(
                    note, lambda: world.catalogue.upsert(tenant, products, replace=replace)
                )
    if json:
        print_json(report)
    else:
        _print_catalogue(report)
    if report.failed:
        raise typer.Exit(1)


def _sound(rows: Iterator[Product | RowFault], report: Catalogued) -> Iterator[Product]:
    for row in rows:
        report.read += 1
        if isinstance(row, Product):
            yield row
            continue
        report.failed[row.code] = report.failed.get(row.code, 0) + 1
        if len(report.faults) < FAULTS:
            report.faults.append(row)


def _open(source: str, fetched: BinaryIO, *, private: bool) -> tuple[BinaryIO, Format]:
    """The feed's bytes and format: by its name, else by its first bytes."""
    if "://" in source:
        Internet(SystemClock(), FetchLimits(private=private)).fetch(source, fetched)
        fetched.seek(0)
        stream: BinaryIO = fetched
    else:
        try:
            stream = Path(source).open("rb")  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise InvalidInput(f"{source} cannot be read: {error.strerror}", code="unreadable_file") from error
    head = stream.read(4096)
    stream.seek(0)
    known = _ENDINGS.get(Path(source.partition("?")[0]).suffix.lower())
    guessed = sniff(head)
    return stream, guessed if known is None or guessed in {"xml", "json"} else known


@contextmanager
def _world(data: Path, *, dry_run: bool) -> Iterator[World]:
    """The data folder, or for a dry run one in memory that ends with it."""
    if not dry_run:
        with open_world(data, make=True) as world:
            yield world
        return
    store, random = MemoryStore(), SystemRandom()
    yield World(store, store, store, store, store, MemoryVault(random), SystemClock(), random)


@contextmanager
def _progress(file: Path, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of the file, on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(file.name, total=max(1, file.stat().st_size))
        yield lambda done: progress.update(task, completed=done)


def _print_catalogue(report: Catalogued) -> None:
    for fault in report.faults:
        typer.echo(f"line {fault.line}: {fault.code}: {fault.message}", err=True)
    hidden = sum(report.failed.values()) - len(report.faults)
    if hidden:
        typer.echo(f"... and {hidden} more", err=True)
    typer.echo(f"{report.written} products written, {sum(report.failed.values())} rows failed.")


def _print_report(report: Report, *, dry_run: bool) -> None:
    events = report.events
    typer.secho(f"{report.source}: {report.rows:,} rows{' (dry run: nothing was kept)' if dry_run else ''}", bold=True)
    lines = [
        ("rows left out", sum(report.skipped.values()), report.skipped),
        ("further lines of an order", report.joined, {}),
        ("returns of goods never bought", report.unmatched_returns, {}),
        ("events", events.received, report.names),
        ("stored", events.stored, {}),
        ("duplicate", events.duplicate, {}),
        ("conflicting", events.conflict, {}),
        ("failed", events.failed, report.failed),
        ("dropped by consent", events.dropped_by_consent, {}),
        ("refused (sensitive)", events.refused, {}),
        ("shoppers", report.shoppers, {}),
        ("sessions", report.sessions, _compared(report)),
        ("carts", report.carts, {"still open": report.open_carts}),
        ("orders", report.orders, {"undone": report.orders_undone}),
    ]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for name, count, parts in lines:
        if count or name in {"events", "stored", "shoppers"}:
            table.add_row(
                name, f"{count:,}", ", ".join(f"{part} {number:,}" for part, number in parts.items() if number)
            )
    for name, amounts in (("revenue, net", report.revenue), ("refunded", report.refunded)):
        for currency, amount in amounts.items():
            table.add_row(name, f"{amount} {currency}", "")
    for name, counted in (("segment", report.segments), ("experience", report.experiences)):
        for each, count in counted.items():
            table.add_row(f"{name} {each}", f"{count:,}", "")
    Console(width=110, highlight=False).print(table)
    if report.first is not None and report.last is not None:
        typer.echo(f"from {moment(report.first)} to {moment(report.last)}, segments and experiences as of the end")
    for note in report.notes:
        typer.secho(f"note: {note}", fg="yellow", err=True)
    for failed in report.examples[:EXAMPLES]:
        typer.echo(f"{failed.place} {failed.field} {failed.code}: {failed.message}", err=True)
    typer.echo(f"{report.seconds:.1f} s, {report.rows_per_second:,} rows/s, {report.events_per_second:,} events/s")


def _compared(report: Report) -> dict[str, int]:
    """The data's own sessions beside ours, and why they differ."""
    own = report.compared
    if not own.given:
        return {}
    return {"given": own.given, "resumed": own.resumed, "split by a gap": own.split, "joined": own.joined}
