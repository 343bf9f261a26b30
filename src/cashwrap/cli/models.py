"""``models``: what was learned, which version answers, and what is tried beside it."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from cashwrap.cli.options import Data, Environment, Json, Store, complain, moment, print_json, tenant_of
from cashwrap.cli.world import operated
from cashwrap.errors import InvalidInput, StoreError
from cashwrap.learned import registry
from cashwrap.learned.artefact import Manifest
from cashwrap.learned.files import checked, manifest_of, verify
from cashwrap.learned.registry import Listed
from cashwrap.learned.roles import ROLES, Model
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.promoting import Act, give, go_back, main_figure
from cashwrap.world import World

app = typer.Typer(
    no_args_is_help=True, help="What was learned, and which version answers.", rich_markup_mode="markdown"
)
Asked = Annotated[str, typer.Argument(help="A model, or NAME@VERSION: the version's end, or its role.")]
Force = Annotated[
    str, typer.Option("--force", help="Do it although a rule speaks against it; say why, it is kept.", metavar="REASON")
]


_WIDTH = 200
"""Characters of the list: a narrow terminal wraps its lines, and a pipe has them whole."""


class Told(Struct, frozen=True):
    """A version as ``--json`` tells it."""

    version: Listed
    agreement: float | None
    p99: int | None
    """Microseconds."""
    doubt: str | None
    """Why it may not be a candidate yet; ``None`` where it was never a shadow."""


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="models")


@app.command("list")
def list_models(
    name: Annotated[str, typer.Argument(help="One model; left out, all of them.")] = "",
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """List the versions of every model: role, when it was trained, whether it passed its gate, its main figure.

    `due` says that a shopper whose data was in it is forgotten. Works also while serving.

    Example: `cashwrap models list --data data`
    """
    tenant = tenant_of(store, env)
    with open_world(data, serving=False) as world:
        found = [each for each in registry.listed(world, tenant) if name in ("", each.name)]
        mains = {each.version: main_figure(world, tenant, each) for each in found}
    if json:
        print_json([_told(each) for each in found])
        return
    table = Table(box=None, pad_edge=False, header_style="")
    for head in ("model", "version", "role", "trained", "gate", "figure", "due"):
        table.add_column(head, no_wrap=True)
    for each in found:
        table.add_row(each.name, each.version, each.role or "", *_row(each, mains.get(each.version, "")))
    Console(width=_WIDTH).print(table)
    typer.echo(f"{len(found)} version{'s' if len(found) != 1 else ''}")


@app.command()
def show(
    model: Asked,
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Show a version's card, what it said as a shadow, and how its model's roles changed.

    Without a version the live one, else the newest. Works also while serving.

    Example: `cashwrap models show basket@shadow --data data`
    """
    tenant, (name, _, version) = tenant_of(store, env), model.partition("@")
    with open_world(data, serving=False) as world:
        kept = registry.model_of(world.registry, tenant, name)
        version = registry.find(world, kept, version or kept.live)
        manifest = manifest_of(registry.files_of(world), world.vault, tenant, name, version)
        listed = next(each for each in registry.listed(world, tenant) if (each.name, each.version) == (name, version))
        text = _file(world, tenant, manifest, "card.md")
    if json:
        print_json({"told": _told(listed), "history": kept.history, "card": text})
        return
    typer.echo(text or f"{name}@{version} has no card.")
    _print(listed, kept)


@app.command()
def shadow(
    model: Asked,
    *,
    force: Force = "",
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Ask a version beside the live one: its answers are counted and shown to nobody. The newest, or the one named.

    What passes its gate is a shadow at once; this is for another one. A running server does so within a second.

    Example: `cashwrap models shadow basket@1a2b3c4d --data data`
    """
    _give("shadow", model, force, data, tenant_of(store, env), json=json)


@app.command()
def candidate(
    model: Asked,
    *,
    force: Force = "",
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Let an experiment's arm show a version: `show: {from: recommended, version: candidate}`. The shadow, or the one
    named.

    Its answers as a shadow must be enough, without failures and quick. A running server does so within a second.

    Example: `cashwrap models candidate basket --data data`
    """
    _give("candidate", model, force, data, tenant_of(store, env), json=json)


@app.command()
def promote(
    model: Asked,
    *,
    force: Force = "",
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Make a version live: the candidate, or the one named. A running server asks it within a second.

    Example: `cashwrap models promote basket --data data`
    """
    _give("promote", model, force, data, tenant_of(store, env), json=json)


@app.command()
def retire(
    model: Asked,
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Take the role from a version that is named with it: `basket@candidate`, or by the version's end.

    Without a live one the catalogue answers. A running server does so within a second.

    Example: `cashwrap models retire basket@shadow --data data`
    """
    if "@" not in model:
        raise InvalidInput("say which version: NAME@VERSION, or NAME@ROLE", code="invalid_request")
    _give("retire", model, "", data, tenant_of(store, env), json=json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="A model.")],
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Go back to the version that was live before; to none, where there was none: then the catalogue answers.

    A version that is damaged is passed over. A running server asks the other one within a second.

    Example: `cashwrap models rollback basket --data data`
    """
    tenant = tenant_of(store, env)
    with open_world(data, serving=False) as world:
        changed = go_back(world, operated(), tenant, name)
    _changed(changed, json=json)


@app.command("verify")
def verify_(
    model: Annotated[str, typer.Argument(help="A model, or NAME@VERSION; left out, all of them.")] = "",
    *,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Read every file of models, and say what is not as it was written. Exit code 1 where anything is not.

    Example: `cashwrap models verify --data data`
    """
    tenant, (name, _, version) = tenant_of(store, env), model.partition("@")
    wrong: dict[str, list[str]] = {}
    with open_world(data, serving=False) as world:
        for each, versions in registry.files_of(world).versions(tenant).items():
            for one in versions:
                if name in ("", each) and (one.startswith(version) or one.endswith(version)):
                    wrong[f"{each}@{one}"] = verify(registry.files_of(world), world.vault, tenant, each, one)
    if model and not wrong:
        raise StoreError(f"there is no {model} here: see 'cashwrap models list'", code="no_such_model")
    broken = {each: lines for each, lines in wrong.items() if lines}
    if json:
        print_json({"checked": list(wrong), "broken": broken})
    else:
        for lines in broken.values():
            for line in lines:
                typer.secho(line, fg="red")
        typer.echo(f"{len(wrong) - len(broken)} of {len(wrong)} versions are as they were written.")
    if broken:
        raise typer.Exit(1)


def _give(act: Act, asked: str, force: str, data: Path, tenant: Tenant, *, json: bool) -> None:
    with open_world(data, serving=False) as world:
        changed = give(world, operated(), tenant, act, asked, force.strip())
    _changed(changed, json=json)


def _changed(model: Model, *, json: bool) -> None:
    if json:
        print_json(model)
        return
    for role in ROLES:
        version = getattr(model, role)
        typer.echo(f"{role:<9}  {model.name}@{version}" if version else f"{role:<9}  none")


# --- what is told ---


def _told(each: Listed) -> Told:
    kept = each.shadow
    if kept is None:
        return Told(each, None, None, None)
    return Told(each, kept.agreement, kept.p99, kept.doubt())


def _row(each: Listed, main: str) -> tuple[str, str, str, str]:
    """When it was trained, whether it passed, its main figure, and whether it is due."""
    if each.manifest is None:
        return "", each.fault.partition(":")[0], "", ""
    figure = each.manifest.figures.get(main)
    gate = "passed" if each.manifest.gate.passed else ", ".join(code for code, _ in each.manifest.gate.reasons)
    said = "" if figure is None else f"{main} {figure.value:.3f}"
    if figure is not None and figure.low is not None and figure.high is not None:
        said += f" ({figure.low:.3f} to {figure.high:.3f})"
    return moment(each.manifest.created), gate, said, _due(each)


def _due(each: Listed) -> str:
    if each.due is None:
        return ""
    return f"retrain: {each.due.shoppers} shopper{'s' if each.due.shoppers != 1 else ''} forgotten"


def _file(world: World, tenant: Tenant, manifest: Manifest, file: str) -> str:
    """One of a version's texts, as it was written; empty where there is none, or it was changed."""
    if file not in manifest.files:
        return ""
    try:
        return checked(registry.files_of(world), tenant, manifest, file).decode()
    except StoreError as error:
        complain(error)
        return ""


def _print(listed: Listed, model: Model) -> None:
    typer.echo(f"\nrole: {listed.role or 'none'}")
    if due := _due(listed):
        typer.secho(due, fg="yellow")
    kept = listed.shadow
    if kept is not None:
        alike = "nothing was live beside it" if kept.agreement is None else f"{kept.agreement:.0%} like the live one"
        doubt = kept.doubt() or "nothing speaks against it"
        typer.echo(f"as a shadow: {kept.asked} answers, {kept.failed} failed, {alike}, p99 {kept.p99} µs: {doubt}")
    for change in model.history[-20:]:
        why = f": {change.reason}" if change.reason else ""
        typer.echo(f"{moment(change.at)}  {change.action:<9}  {change.version or 'none'}{why}")
