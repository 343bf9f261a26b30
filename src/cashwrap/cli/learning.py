"""``train``, ``evaluate`` and ``drift``: models from what happened, how good they are, and whether they still fit."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.json import encode
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cashwrap.adapters.system import SystemClock
from cashwrap.cli.options import Data, Environment, Json, Store, complain, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.errors import InvalidInput
from cashwrap.extras import part_of
from cashwrap.history import write_facts
from cashwrap.library import FACTS, open_world
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook
from cashwrap.world import World

Draft = Annotated[
    Path | None,
    typer.Option("--playbook", help="The folder that declares it; left out, the live version.", show_default=False),
]
Mapped = Annotated[
    Path | None,
    typer.Option(
        "--mapping", help="How --file becomes data: a YAML file, or the name of one of ours.", show_default=False
    ),
]
File = Annotated[Path | None, typer.Option("--file", help="A CSV (also .gz) or Parquet file.", show_default=False)]
Html = Annotated[
    Path | None, typer.Option(help="Write a page for a browser to this file.", show_default=False, dir_okay=False)
]
Png = Annotated[Path | None, typer.Option(help="Write every plot to this folder.", show_default=False)]
Experiment = Annotated[
    str,
    typer.Option(help="The experience whose randomised offer `discount_sensitivity` is learned from."),
]
_learning = partial(part_of, "learning")
HOUR = 3_600
_NOTHING_YET = frozenset(
    {"no_interactions", "no_examples", "no_categories", "one_class", "too_few_examples", "too_few_items"}
)
"""What a young shop has too little of: told, and no failure where every model was asked for."""


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(train)
    app.command()(evaluate)
    app.command()(drift)


class _Asked(Struct, frozen=True):
    """Which of a shop's models are wanted; an empty ``name`` is all of them."""

    name: str
    experiment: str
    due: bool


class _Said(Struct, frozen=True):
    """What to do with a finished training."""

    html: Path | None
    png: Path | None
    json: bool


def train(  # noqa: PLR0913 - each one is an option of the command
    name: Annotated[
        str, typer.Argument(help="basket, next_item, next_category, or a prediction; left out, all of them.")
    ] = "",
    *,
    data: Data = Path("data"),
    playbook: Draft = None,
    mapping: Mapped = None,
    file: File = None,
    experiment: Experiment = "",
    due: Annotated[bool, typer.Option("--due", help="Only the old, and those that hold the forgotten.")] = False,
    every: Annotated[int, typer.Option(min=0, help="Train what is due, again after so many hours; 0 once.")] = 0,
    html: Html = None,
    png: Png = None,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Learn a model, say how good it is, and register it.

    From the shop's own log, facts and catalogue, or from any file with --mapping and --file. Works beside a running
    server. What passes the gate is a shadow: nobody sees it until `cashwrap models` says so. Needs the extra
    `learning`.

    Example: `cashwrap train basket --data data`
    """
    tenant, said = tenant_of(store, env), _said(html, png, json=json)
    if mapping is not None or file is not None:
        if name:
            raise InvalidInput("a mapping names its model itself: leave the name out", code="unknown_model")
        _tell([_of_file(data, tenant, mapping, file, json=json)], said)
        return
    asked = _Asked(name, experiment, due or bool(every))
    while True:
        refused: list[str] = []
        _tell(_of_shop(data, tenant, playbook, asked, refused, quiet=json), said, alone=bool(name))
        if not every:
            break
        time.sleep(every * HOUR)
    if not _NOTHING_YET.issuperset(refused):
        raise typer.Exit(1)


def evaluate(  # noqa: PLR0913 - each one is an option of the command
    name: Annotated[str, typer.Argument(help="A model, or one version of it: basket, basket@1a2b3c4d.")],
    *,
    data: Data = Path("data"),
    playbook: Draft = None,
    mapping: Mapped = None,
    file: File = None,
    experiment: Experiment = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Test on every row: the model has seen none of them.")
    ] = False,
    html: Html = None,
    png: Png = None,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Say how good a registered model is on data, against the baselines. Nothing is learned and nothing changes.

    On the test part of a file with --mapping and --file, else on the newest part of the shop's own data: a model that
    was made since has seen that, and the answer says so.

    Example: `cashwrap evaluate basket --data data --mapping online_retail --file september.csv --all`
    """
    tenant, said = tenant_of(store, env), _said(html, png, json=json)
    making, judging = _learning("making"), _learning("judging")
    with open_world(data, serving=False) as world, _progress(name, quiet=json) as told:
        plan, found = (
            making.mapped(_mapping(mapping), _file(file))
            if mapping is not None or file is not None
            else making.own(_shop(world, data, tenant, playbook, quiet=json), name.partition("@")[0], experiment)
        )
        model = judging.found(world, tenant, name)
        training = judging.judged(model, plan, found, world.clock, everything=everything, told=told)
    _tell([training], said)


def drift(  # noqa: PLR0913 - each one is an option of the command
    name: Annotated[str, typer.Argument(help="A model, or one version of it: basket, basket@1a2b3c4d.")],
    *,
    data: Data = Path("data"),
    playbook: Draft = None,
    mapping: Mapped = None,
    file: File = None,
    experiment: Experiment = "",
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Say whether a registered model still fits what happens now: attributes, items, chances that come true, age.

    What happened after it was made is held against what is kept of the data that it learned from. Exit code 1 where it
    ought to be learned again.

    Example: `cashwrap drift basket --data data || cashwrap train basket --data data`
    """
    tenant = tenant_of(store, env)
    making = _learning("making")
    with open_world(data, serving=False) as world:
        _, found = (
            making.mapped(_mapping(mapping), _file(file))
            if mapping is not None or file is not None
            else making.own(_shop(world, data, tenant, playbook, quiet=json), name.partition("@")[0], experiment)
        )
        result = _learning("drifting").drifted(world, tenant, name, found)
    typer.echo(encode(result).decode() if json else _learning("drift").render_drift(result), nl=json)
    if result.verdict == "retrain":
        raise typer.Exit(1)


# --- where the data comes from ---


def _of_file(data: Path, tenant: Tenant, mapping: Path | None, file: Path | None, *, json: bool) -> Any:
    """A model of a mapped file; registered where there is a data folder."""
    making, training = _learning("making"), _learning("training")
    plan, found = making.mapped(_mapping(mapping), _file(file))
    with _progress(plan.name, quiet=json) as told:
        made = training.make(plan, found, SystemClock(), told=told)
    if not data.is_dir():
        typer.secho(f"there is no data folder {data}: the model was not registered", dim=True, err=True)
        return made.training
    with open_world(data, serving=False) as world:
        return _kept(world, tenant, made)


def _of_shop(
    data: Path, tenant: Tenant, playbook: Path | None, asked: _Asked, refused: list[str], *, quiet: bool
) -> Iterator[Any]:
    """The models of a shop's own data, each told as it is made; what cannot be made goes to ``refused`` by its code."""
    making, training = _learning("making"), _learning("training")
    with open_world(data, serving=False) as world:
        shop = _shop(world, data, tenant, playbook, quiet=quiet)
        known = dict(making.due(shop)) if asked.due else making.names_of(shop.playbook)
        wanted = [asked.name] if asked.name and not asked.due else [one for one in known if asked.name in ("", one)]
        for each in wanted:
            try:
                plan, found = making.own(shop, each, asked.experiment)
                with _progress(each, quiet=quiet) as told:
                    made = training.make(plan, found, world.clock, live=making.live_of(shop, each), told=told)
            except InvalidInput as error:
                if asked.name:
                    raise
                typer.secho(f"{each}: ", nl=False, bold=True, err=True)
                complain(error)
                refused.append(error.code)
                continue
            yield _kept(world, tenant, made)


def _kept(world: World, tenant: Tenant, made: Any) -> Any:
    note = noted("model.train", made.training.name, {"passed": made.training.gate.passed}, tenant)
    return trail_of(world).around(note, partial(_learning("making").registered, world, tenant, made))


def _shop(world: World, data: Path, tenant: Tenant, playbook: Path | None, *, quiet: bool) -> Any:
    """Whose data it is, with the fact table brought up to what is in the log."""
    draft = load_playbook(playbook) if playbook is not None else None
    shop = _learning("making").shop_of(world, data / FACTS, tenant, draft)
    count = write_facts(world, data / FACTS)
    if count and not quiet:
        typer.secho(f"{count} new facts", dim=True, err=True)
    return shop


def _mapping(path: Path | None) -> Any:
    if path is None:
        raise InvalidInput("say how the file is to be read: --mapping", code="missing_mapping")
    return _learning("mapping").load_mapping(path)


def _file(path: Path | None) -> Path:
    if path is None:
        raise InvalidInput("say which file the mapping is for: --file", code="unreadable_file")
    return path


# --- what is said of it ---


def _said(html: Path | None, png: Path | None, *, json: bool) -> _Said:
    """Refuse a page that could not be written before minutes have gone into what it would say."""
    if html is not None and not html.parent.is_dir():
        raise InvalidInput(f"there is no folder {html.parent} for --html: make it first", code="unwritable_file")
    return _Said(html, png, json)


def _tell(found: Iterable[Any], said: _Said, *, alone: bool = True) -> None:
    """Say what came of each training as it ends; where there may be several, files carry the model's name."""
    exports, terminal = _learning("render.exports"), _learning("render.terminal")
    told = []
    for training in found:
        told.append(training)
        if not said.json:
            Console().print(terminal.terminal(training))
        try:
            _write(training, said, alone=alone)
        except OSError as error:
            message = f"{error.filename} cannot be written: {error.strerror}"
            raise InvalidInput(message, code="unwritable_file") from None
    if said.json:
        typer.echo(exports.to_json(told).decode())


def _write(training: Any, said: _Said, *, alone: bool) -> None:
    if said.html is not None:
        path = said.html if alone else said.html.with_stem(f"{said.html.stem}-{training.name}")
        path.write_text(_learning("render.page").page(training), encoding="utf-8")
    if said.png is not None:
        _learning("render.exports").plots_to(training, said.png if alone else said.png / training.name)


@contextmanager
def _progress(name: str, *, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar over one training, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("reading", total=1.0, name=name)

        def told(done: float, words: str) -> None:
            progress.update(task, completed=done, description=words or progress.tasks[0].description)

        yield told
