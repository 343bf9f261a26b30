"""``report`` and ``guard``: what experiments found, and what they must not break."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cashwrap.cli.options import Data, Environment, Json, Store, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.extras import part_of
from cashwrap.history import write_facts
from cashwrap.learned import registry
from cashwrap.library import FACTS, open_world
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.switches import Switch, Switches
from cashwrap.world import World

Draft = Annotated[
    Path | None,
    typer.Option("--playbook", help="The folder that declares it; left out, the live version.", show_default=False),
]
Stale = Annotated[bool, typer.Option("--no-update", help="Do not add new facts first.")]
_analysis = partial(part_of, "analysis")
_FILE = {"show_default": False, "dir_okay": False}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command(name="report")(report_)
    app.command()(guard)


def report_(  # noqa: PLR0913 - each one is an option of the command
    experiment: Annotated[str, typer.Argument(help="The experience with the experiment; left out, the holdout.")] = "",
    *,
    data: Data = Path("data"),
    playbook: Draft = None,
    html: Annotated[Path | None, typer.Option(help="Write a page for a browser to this file.", **_FILE)] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every effect as a row to this file.", **_FILE)] = None,
    png: Annotated[Path | None, typer.Option(help="Write every plot to this folder.", show_default=False)] = None,
    exposures: Annotated[
        Path | None, typer.Option(help="Write the exposure table to this file, .csv or .parquet.", **_FILE)
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL that gives the same figures.")] = False,
    no_update: Stale = False,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Say whether to ship an experiment, with interval, risk, money at stake, and every reason for doubt.

    Without a name: what all of personalization earned, against the shop's holdout. Works also while serving. What is
    new in the log is added to the fact table first; needs the extra `analysis`.

    Example: `cashwrap report thank_regulars --data data --html report.html`
    """
    making, tenant = _analysis("making"), tenant_of(store, env)
    draft = load_playbook(playbook) if playbook is not None else None
    with open_world(data, serving=False) as world:
        question = making.question_of(world, experiment, tenant, draft)
        if not no_update:
            _update(world, data, quiet=json)
        report = making.made(world, data / FACTS, question)
        if exposures is not None:
            count = making.exported(data / FACTS, question, world.clock.now(), exposures)
            note = noted("exposures.export", experiment or "holdout", {"units": count}, tenant)
            trail_of(world).around(note, lambda: None)
    exports, page, terminal = _analysis("render.exports"), _analysis("render.page"), _analysis("render.terminal")
    if html is not None:
        html.write_text(page.render_page(report))
    if csv is not None:
        csv.write_text(exports.to_csv(report))
    if png is not None:
        exports.plots_to(report, png)
    if json:
        typer.echo(exports.to_json(report).decode())
    elif sql:
        for name, text in report.sql.items():
            typer.echo(f"-- {name}\n{text};\n")
    else:
        console = Console()
        console.print(terminal.render_terminal(report, console.width))


def guard(  # noqa: PLR0913 - each one is an option of the command
    *,
    data: Data = Path("data"),
    playbook: Draft = None,
    every: Annotated[int, typer.Option(min=0, help="Look again after so many minutes; 0 looks once.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be rolled back, and do nothing.")] = False,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Roll back every experiment that breaks a guardrail or loses: its experience is switched off, effective at once.

    Asked with always-valid bounds, so as often as wanted, of what arms did within a day of the exposure. A model whose
    candidate such an arm shows has none any more. Works beside a running server; `cashwrap kill experience NAME --on`
    takes it back.

    Example: `cashwrap guard --data data --every 60`
    """
    tenant = tenant_of(store, env)
    draft = load_playbook(playbook) if playbook is not None else None
    while True:
        found = _guard(data, tenant, draft, dry_run=dry_run)
        if json:
            typer.echo(_analysis("render.exports").lines(found).decode())
        else:
            for each in found:
                typer.secho(f"{'Would roll' if dry_run else 'Rolled'} back {each.experience}: {each.reason}.", fg="red")
            if not found:
                typer.echo("No experiment that runs does harm.")
        if not every:
            return
        time.sleep(every * 60)


def _guard(data: Path, tenant: Tenant, draft: Playbook | None, *, dry_run: bool) -> list[Any]:
    making = _analysis("making")
    with open_world(data, serving=False) as world:
        _update(world, data, quiet=True)
        switches = Switches(world.registry)
        off = switches.kills(tenant).experiences
        found = [each for each in making.harmed(world, data / FACTS, tenant, draft) if each.experience not in off]
        for each in [] if dry_run else found:
            switch = Switch("experience", each.experience, world.clock.now(), f"guard: {each.reason}", tenant, "guard")
            note = noted("switch.off", f"experience {each.experience}", {"reason": each.reason}, tenant)
            trail_of(world).around(note, partial(switches.set, switch, off=True))
            for name in each.candidates:
                _take_back(world, tenant, name, each)
    return found


def _take_back(world: World, tenant: Tenant, name: str, harmed: Any) -> None:
    """A model's candidate is none any more where its arm did harm."""
    if registry.model_of(world.registry, tenant, name).candidate:
        note = noted("model.take_back", name, {"reason": harmed.reason}, tenant)
        why = f"guard: {harmed.experience}: {harmed.reason}"
        trail_of(world).around(note, partial(registry.take_back, world, tenant, name, why))


def _update(world: World, data: Path, *, quiet: bool) -> None:
    """Bring the fact table up to what is in the log."""
    count = write_facts(world, data / FACTS)
    if count and not quiet:
        typer.secho(f"{count} new facts", dim=True, err=True)
