"""``failed``: events that could not be kept, until somebody settles them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cashwrap import failed
from cashwrap.audit import Note, pseudonym
from cashwrap.cli.options import Data, Json, PlaybookFolder, moment, print_json
from cashwrap.cli.world import noted, open_engine, trail_of
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.events import Normaliser
from cashwrap.failed import Chosen, Replayed
from cashwrap.library import open_world
from cashwrap.playbook import load_playbook
from cashwrap.ports import Failure, ShopperKey
from cashwrap.repair import SHOPPER

app = typer.Typer(no_args_is_help=True, help="Events that could not be kept.", rich_markup_mode="markdown")
Numbers = Annotated[list[int] | None, typer.Argument(help="Their numbers, as listed.")]
Code = Annotated[str, typer.Option("--code", help="All that failed for this reason.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="failed")


@app.command("list")
def list_failed(
    *,
    data: Data = Path("data"),
    code: Code = "",
    after: Annotated[int, typer.Option("--after", min=0, help="Only those with a greater number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 1000,
    json: Json = False,
) -> None:
    """List the events that could not be kept, with their reasons; `*` marks those that can be tried again.

    Works also while serving.

    Example: `cashwrap failed list --data data --code conflicting_message_id`
    """
    with open_world(data, serving=False) as world:
        found = failed.listed(world, Chosen(code=code), after, limit)
    if json:
        print_json([failed.reason(each) for each in found])
        return
    for each in found:
        mark = "*" if each.payload is not None else " "
        typer.echo(f"{mark} {each.sequence}  {moment(each.received)}  {each.code}  {each.path}  {each.message}")
    typer.echo(_counted(len(found)))


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="Its number, as listed.")],
    *,
    data: Data = Path("data"),
    json: Json = False,
) -> None:
    """Show one with all that is kept of it: the event as far as it could be read, and what is wrong in it.

    Amounts are in minor units. The look is in the audit log. Works also while serving.

    Example: `cashwrap failed show 17 --data data`
    """
    with open_world(data, serving=False) as world:
        failure = failed.find(world, number)
        told = trail_of(world).around(_read(world, failure), lambda: failed.described(world, failure))
    if json:
        print_json(told)
        return
    for name, value in told.items():
        for inner, each in value.items() if isinstance(value, dict) else [("", value)]:
            if each not in (None, "", {}):
                dated = (inner or name) in {"received", "time"} and isinstance(each, int)
                shown = moment(each) if isinstance(each, int) and dated else each
                typer.echo(f"{name}{'.' if inner else ''}{inner}: {shown}")


@app.command()
def repair(
    number: Annotated[int, typer.Argument(help="Its number, as listed.")],
    *,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path=value, such as properties.price=12.50; repeat it.")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="Leave this field out; repeat it.")] = None,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    json: Json = False,
) -> None:
    """Set right what is wrong in one, and keep it so; `failed replay` then tries it again. Works also while serving.

    Example: `cashwrap failed repair 17 --set properties.price=12.50 --playbook playbook --data data`
    """
    sets = dict(_assigned(each) for each in set_ or ())
    if not sets and not unset:
        raise InvalidInput("say what to change: --set path=value or --unset path", code="invalid_request")
    compiled = load_playbook(playbook)
    with open_world(data, serving=False) as world:
        failure = failed.find(world, number)
        house = Normaliser(compiled.vocabulary, compiled.settings, world.vault.digest)
        fields = ", ".join([*sets, *(unset or ())])
        unkept = failed.mended(world, house, failure, sets, unset or ())  # first: then its fields are declared ones
        note = noted("failed.repair", str(number), {"code": failure.code, "fields": fields}, failure.tenant)
        kept = trail_of(world).around(note, lambda: failed.mend(world, failure, unkept))
        told = failed.described(world, kept)
    if json:
        print_json(told)
    else:
        typer.echo(f"{number} is mended; try it again with: cashwrap failed replay {number}")


@app.command()
def replay(
    numbers: Numbers = None,
    *,
    code: Code = "",
    every: All = False,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    json: Json = False,
) -> None:
    """Try events again, by the playbook and the consent of now; what is stored is counted once, however often you do.

    What cannot be stored stays and is told; exit code 1 then. The server must be stopped; a running one takes
    `POST /v1/failed/replay`.

    Example: `cashwrap failed replay --code fold_failed --playbook playbook --data data`
    """
    chosen = _chosen(numbers, code, every=every)
    with open_engine(data, playbook) as engine:
        failed.check(engine.world, chosen)
        note = noted("failed.replay", chosen.named())
        told = trail_of(engine.world).around(note, lambda: failed.replay(engine, chosen))
    if json:
        print_json(told)
    else:
        _print(told)
    if told.left:
        raise typer.Exit(1)


@app.command()
def discard(
    numbers: Numbers = None, *, code: Code = "", every: All = False, data: Data = Path("data"), json: Json = False
) -> None:
    """Remove the ones you have settled, for good. Works also while serving; nothing discards them but you.

    Example: `cashwrap failed discard 17 18 --data data`
    """
    chosen = _chosen(numbers, code, every=every)
    with open_world(data, serving=False) as world:
        failed.check(world, chosen)
        note = noted("failed.discard", chosen.named())
        count = trail_of(world).around(note, lambda: failed.discard(world, chosen))
    print_json({"discarded": count}) if json else typer.echo(f"{count} discarded")


def _read(world: World, failure: Failure) -> Note:
    """Whose event was looked at, by pseudonym."""
    details = {"code": failure.code}
    if failure.payload is not None:
        details["shopper"] = pseudonym(world.vault, ShopperKey(failure.tenant, failure.payload[:SHOPPER]))
    return noted("failed.read", str(failure.sequence), details, failure.tenant)


def _chosen(numbers: Sequence[int] | None, code: str, *, every: bool) -> Chosen:
    if bool(numbers) + bool(code) + every != 1:
        raise InvalidInput("say which: their numbers, --code, or --all", code="invalid_request")
    return Chosen(tuple(numbers or ()), code)


def _assigned(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text[:50]!r} is no path=value", code="invalid_request")
    return path, value


def _print(told: Replayed) -> None:
    done = [
        ("stored", told.stored),
        ("known already", told.duplicate),
        ("no longer allowed by their shopper's consent", told.dropped_by_consent),
    ]
    typer.echo("; ".join(f"{count} {name}" for name, count in done if count) or "nothing could be stored")
    for number, why in told.left.items():
        typer.secho(f"{number} stays: {why}", fg="yellow", err=True)


def _counted(count: int) -> str:
    return f"{count} failed event{'s' if count != 1 else ''}"
