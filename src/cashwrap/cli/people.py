"""``people``: who may use the console. What nobody in the console can mend any more is mended here."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from cashwrap.audit import Note
from cashwrap.cli.options import Data, Json, moment, print_json
from cashwrap.cli.world import noted, trail_of
from cashwrap.console.people.links import link_address
from cashwrap.console.people.people import People, Person
from cashwrap.console.people.staff import Staff
from cashwrap.console.roles import Grant, Role, told
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.world import World

app = typer.Typer(no_args_is_help=True, help="Invite, list, change and remove the people of the console.")
Name = Annotated[str, typer.Argument(help="What they sign in with: a short name or an e-mail address.")]
Roles = Annotated[list[str], typer.Option("--role", help="viewer, marketer, analyst, privacy or admin; repeat it.")]
Where = Annotated[str, typer.Option("--store", help="The store; * is every one.")]
Part = Annotated[str, typer.Option("--env", help="The environment: live, test, or * for both.")]
Address = Annotated[str, typer.Option("--address", help="Where they reach the server.")]
HERE = "http://127.0.0.1:8080"


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="people")


@app.command("list")
def list_people(*, data: Data = Path("data"), json: Json = False) -> None:
    """List them: roles, second factor, when they last signed in.

    Example: `cashwrap people list --data data`
    """
    with open_world(data, serving=False) as world:
        everybody = People(world.registry).all()
    if json:
        print_json([_public(person) for person in everybody])
        return
    for person in everybody:
        factor = "second factor" if person.totp else "-"
        seen = moment(person.signed_in) if person.signed_in else "never"
        typer.echo(f"{person.name:<30}  {_state(person):<8}  {factor:<13}  {seen}  {told(person.grants)}")


@app.command()
def invite(
    name: Name,
    *,
    role: Roles,
    data: Data = Path("data"),
    store: Where = "*",
    env: Part = "*",
    address: Address = HERE,
) -> None:
    """Make an account. Prints a link, good once and for a day, by which they choose their password.

    Example: `cashwrap people invite anna --role marketer --data data`
    """
    with open_world(data, serving=False, make=True) as world:
        staff = Staff(world)
        person = staff.newcomer(name, _grants(role, store, env))
        note = noted("person.invite", person.actor, {"roles": told(person.grants)})
        text = trail_of(world).around(note, lambda: staff.invite(person))
    _print_link(person.name, address, text)


@app.command()
def roles(name: Name, *, role: Roles, data: Data = Path("data"), store: Where = "*", env: Part = "*") -> None:
    """Give these roles and no others. They have to sign in again.

    Example: `cashwrap people roles anna --role marketer --role analyst --data data`
    """
    grants = _grants(role, store, env)
    with open_world(data, serving=False) as world:
        person = _named(world, name)
        note = noted("person.roles", person.actor, {"roles": told(grants)})
        trail_of(world).around(note, lambda: Staff(world).give(person.name, grants))
    typer.echo(f"{person.name}: {told(grants)}")


@app.command()
def disable(name: Name, *, data: Data = Path("data")) -> None:
    """Let somebody in no more: they are signed out at once.

    Example: `cashwrap people disable anna --data data`
    """
    with open_world(data, serving=False) as world:
        person = _named(world, name)
        trail_of(world).around(_note("disable", person), lambda: Staff(world).disable(person.name))
    typer.echo(f"{person.name} is disabled.")


@app.command()
def enable(name: Name, *, data: Data = Path("data")) -> None:
    """Let somebody in again.

    Example: `cashwrap people enable anna --data data`
    """
    with open_world(data, serving=False) as world:
        person = _named(world, name)
        trail_of(world).around(_note("enable", person), lambda: Staff(world).enable(person.name))
    typer.echo(f"{person.name} is enabled.")


@app.command()
def reset(name: Name, *, data: Data = Path("data"), address: Address = HERE) -> None:
    """For a forgotten password or a lost phone: prints a link that sets a new password and turns the second factor off.

    They are signed out at once. Example: `cashwrap people reset anna --data data`
    """
    with open_world(data, serving=False) as world:
        person = _named(world, name)
        text = trail_of(world).around(_note("reset", person), lambda: Staff(world).reset(person.name))
    _print_link(person.name, address, text)


@app.command()
def remove(name: Name, *, data: Data = Path("data")) -> None:
    """Remove an account; what they did stays in the audit log.

    Example: `cashwrap people remove anna --data data`
    """
    with open_world(data, serving=False) as world:
        person = _named(world, name)
        trail_of(world).around(_note("remove", person), lambda: Staff(world).remove(person.name))
    typer.echo(f"{person.name} is removed.")


def _grants(roles: list[str], store: str, environment: str) -> tuple[Grant, ...]:
    unknown = [role for role in roles if role not in get_args(Role)]
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is no role: {', '.join(get_args(Role))}", code="unknown_role")
    return tuple(Grant(cast("Role", role), store, environment) for role in roles)


def _note(what: str, person: Person) -> Note:
    return noted(f"person.{what}", person.actor)


def _named(world: World, name: str) -> Person:
    person = People(world.registry).find(name.strip().lower())
    if person is None:
        raise InvalidInput(f"there is nobody called {name!r}: see 'cashwrap people list'", code="no_such_person")
    return person


def _print_link(name: str, address: str, text: str) -> None:
    typer.echo(f"A link for {name}, good once and for a day. Send it by a way you trust.", err=True)
    typer.echo(link_address(address, text))


def _state(person: Person) -> str:
    if person.disabled:
        return "disabled"
    return "active" if person.password or person.subject else "invited"


def _public(person: Person) -> dict[str, object]:
    return {
        "name": person.name,
        "id": person.id,
        "display": person.display,
        "state": _state(person),
        "secondFactor": bool(person.totp),
        "signedIn": person.signed_in,
        "roles": [{"role": each.role, "store": each.store, "environment": each.environment} for each in person.grants],
    }
