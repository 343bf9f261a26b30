"""``offers``: how far they are, codes for them, and whether their books add up."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cashwrap.cli.options import Data, Environment, Json, PlaybookFolder, Store, moment, print_json, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.errors import CashwrapError
from cashwrap.ledger import Entry
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.offering.codes import MOST, WantedCodes, code_like, ledger_of, make_codes, offer_with_codes
from cashwrap.offers.benefits import major
from cashwrap.offers.guard import total_key
from cashwrap.offers.terms import Offer
from cashwrap.playbook import load_playbook
from cashwrap.ports import Ledger

app = typer.Typer(no_args_is_help=True, help="Offers: limits, codes, books.", rich_markup_mode="markdown")
AT_ONCE = 1_000
"""Lines that are read at once."""


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="offers")


@app.command("list")
def list_offers(
    *,
    data: Data = Path("data"),
    playbook: PlaybookFolder = Path("playbook"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """List the playbook's offers with how often they were used, and what they hold and spent. Works also while serving.

    Example: `cashwrap offers list --playbook playbook --data data`
    """
    offers, tenant = load_playbook(playbook).offers, tenant_of(store, env)
    with open_world(data, serving=False) as world:
        told = [_told(ledger_of(world), tenant, offer) for _, offer in sorted(offers.items())]
    if json:
        print_json(told)
        return
    for each in told:
        money = ", ".join(
            f"{amount['held']} held and {amount['spent']} spent {of}" for of, amount in each.money.items()
        )
        most = f" of {each.total}" if each.total is not None else ""
        typer.echo(f"{each.name}  {each.kind}  {each.used}{most} used  {money}".rstrip())


class _Told(msgspec.Struct, frozen=True):
    name: str
    kind: str
    used: int
    total: int | None
    money: dict[str, dict[str, str]]


def _told(ledger: Ledger, tenant: Tenant, offer: Offer) -> _Told:
    key = total_key(offer.name)
    balance = ledger.balance(tenant, offer.name)
    money = {of: {"held": major(held, of), "spent": major(spent, of)} for of, (held, spent) in balance.items()}
    return _Told(offer.name, offer.kind, ledger.used(tenant, [key]).get(key, 0), offer.limits.total, money)


@app.command()
def codes(  # noqa: PLR0913 - each one is an option of the command
    offer: Annotated[str, typer.Argument(help="The offer that they open.")],
    *,
    count: Annotated[int, typer.Option("--count", min=1, max=MOST, help="How many.")] = 1,
    uses: Annotated[
        int | None, typer.Option("--uses", min=0, help="How often each may be used; 0 for as the offer's limits say.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="The last day they are good, such as 2026-12-31.")] = "",
    data: Data = Path("data"),
    playbook: PlaybookFolder = Path("playbook"),
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Make codes for an offer and print them, one a line. They are kept as digests only: nobody can list them again.

    A code is good as soon as it is printed. Without `--uses`, each may be used once where the offer's `codes` is
    `single`, and as often as its limits say where it is `shared`. Works also while serving.

    Example: `cashwrap offers codes welcome_back --count 1000 --expires 2026-12-31 --playbook playbook --data data`
    """
    compiled, tenant = load_playbook(playbook), tenant_of(store, env)
    like = code_like(
        offer_with_codes(compiled.offers, offer), WantedCodes(count, uses, expires), compiled.settings.time_zone
    )
    with open_world(data, serving=False) as world:
        details = {"count": count, "uses": like.uses, "expires": expires}
        trail_of(world).leave(noted("offer.codes", offer, details, tenant))
        for text in make_codes(world, tenant, like, count):
            typer.echo(text)


@app.command()
def check(*, data: Data = Path("data")) -> None:
    """Check that the books add up: counters against what counts, balances against lines and states.

    Prints what does not and exits with 1; works also while serving.

    Example: `cashwrap offers check --data data`
    """
    with open_world(data, serving=False) as world:
        wrong = ledger_of(world).check()
    for each in wrong:
        typer.echo(each, err=True)
    if wrong:
        raise CashwrapError(f"{len(wrong)} of the ledger's sums are wrong", code="ledger_wrong")
    typer.echo("All of the ledger adds up.")


@app.command()
def entries(
    *,
    data: Data = Path("data"),
    after: Annotated[int, typer.Option("--after", min=0, help="Only lines with a greater number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 1000,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Print the lines of the ledger, oldest first: what was held and spent, in minor units. Works also while serving.

    Example: `cashwrap offers entries --data data --after 1200 --json`
    """
    tenant = tenant_of(store, env)
    with open_world(data, serving=False) as world:
        found = list(islice(_entries(ledger_of(world), tenant, after), limit))
    if json:
        print_json([{**msgspec.structs.asdict(each), "reservation": each.reservation.hex()} for each in found])
        return
    for each in found:
        money = f"{each.held:+} held {each.spent:+} spent {each.currency}"
        when = moment(each.time, "seconds")
        typer.echo(f"{each.sequence}  {when}  {each.kind}  {each.offer}  {each.reservation.hex()}  {money}")


def _entries(ledger: Ledger, tenant: Tenant, after: int) -> Iterator[Entry]:
    while page := ledger.entries(tenant, after, AT_ONCE):
        yield from page
        after = page[-1].sequence
