"""``explain`` and ``forget``: questions about one shopper, answered offline."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cashwrap import shoppers
from cashwrap.cli.options import (
    Anonymous,
    Data,
    Environment,
    Json,
    PlaybookFolder,
    Store,
    User,
    print_json,
    shopper_of,
    tenant_of,
)
from cashwrap.cli.world import open_world
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook
from cashwrap.ports import Clock
from cashwrap.request import DecideRequest, PageContext


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(explain)
    app.command()(forget)


def explain(
    *,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    user: User = "",
    anonymous: Anonymous = "",
    context: Annotated[str, typer.Option(help="The page's context: JSON, or @FILE.")] = "{}",
    json: Json = False,
) -> None:
    """Say why a shopper sees what they see: every experience of every placement, with each condition's values.

    Example: `cashwrap explain --user jonas --context '{"cart": {"total": 250}}' --playbook playbook --data data`
    """
    request = DecideRequest(shopper=shopper_of(user, anonymous), context=_context(context), explain=True)
    with open_world(data) as world:
        engine = Engine(load_playbook(playbook), world)
        try:
            caller = operator(Tenant(), world.clock)
            explained = engine.explain(request, caller, engine.find(request.shopper, caller))
        finally:
            engine.close()
    if json:
        print_json(explained)
        return
    for name, placement in explained.items():
        _print_placement(name, placement)


def forget(
    *,
    data: Data = Path("data"),
    playbook: PlaybookFolder = Path("playbook"),
    user: User = "",
    anonymous: Anonymous = "",
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Forget a shopper for good: the keys are destroyed, so nothing kept about them can be read by anyone.

    Example: `cashwrap forget --user jonas --playbook playbook --data data`
    """
    with open_world(data) as world:
        engine = Engine(load_playbook(playbook), world)
        try:
            caller = operator(tenant_of(store, env), world.clock)
            shoppers.forget(engine, shopper_of(user, anonymous), caller)
        finally:
            engine.close()
    typer.echo("Forgotten.")


def operator(tenant: Tenant, clock: Clock) -> Caller:
    """Who sits at the command line may do what a secret key may."""
    key = ApiKey("operator", "secret", tenant, b"")
    return Caller(key, RequestFacts(received=clock.now(), source="operator", tenant=tenant, trusted=True))


def _context(text: str) -> PageContext:
    try:
        source = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(source, type=PageContext)
    except OSError as error:
        raise InvalidInput(f"{text[1:]} cannot be read: {error.strerror}", code="unreadable_file") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"--context does not fit: {error}", code="invalid_request") from None


def _print_placement(name: str, placement: object) -> None:
    plain = msgspec.json.decode(msgspec.json.encode(placement))
    answer = plain["answer"]
    typer.secho(f"{name}: {answer['experience'] or 'the shop default'} ({answer['reason']})", bold=True)
    for considered in plain["considered"]:
        typer.echo(f"  {considered['experience']}: {considered['outcome']} - {considered['why']}")
        if considered["condition"] is not None:
            _print_condition(considered["condition"], 4)


def _print_condition(part: dict[str, object], indent: int) -> None:
    word = {True: "true", False: "false", None: "unknown"}[part["result"]]  # type: ignore[index]
    values = part.get("values") or {}
    shown = f"  ({', '.join(f'{path} = {value}' for path, value in values.items())})" if values else ""  # type: ignore[attr-defined]
    typer.echo(f"{' ' * indent}{word:<8}{part['text']}{shown}")
    for inner in part.get("parts") or ():  # type: ignore[attr-defined]
        _print_condition(inner, indent + 2)
