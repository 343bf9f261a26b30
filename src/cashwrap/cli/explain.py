"""``explain``: why one shopper sees what they see, and why a past decision was what it was. Answered offline."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cashwrap.archive import Archive, Review, decision_name
from cashwrap.audit import pseudonym
from cashwrap.catalogues import Catalogues
from cashwrap.cli.options import (
    Anonymous,
    Data,
    Environment,
    Json,
    PlaybookFolder,
    Store,
    User,
    moment,
    print_json,
    shopper_of,
    tenant_of,
)
from cashwrap.cli.world import noted, open_engine, operator, trail_of
from cashwrap.decide import GrantedOffer
from cashwrap.errors import InvalidInput, Unavailable
from cashwrap.experiments import SHARES
from cashwrap.learned.serving import Models
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.ports import ShopperKey
from cashwrap.request import DecideRequest, PageContext, unread_keys
from cashwrap.tell import Opened, Part, Placed
from cashwrap.versions import Versions

_WORDS = {True: "true", False: "false", None: "unknown"}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(explain)


def explain(  # noqa: PLR0913 - each one is an option of the command
    decision: Annotated[str, typer.Argument(help="A past decision: the decisionId of its answer.")] = "",
    *,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    user: User = "",
    anonymous: Anonymous = "",
    context: Annotated[str, typer.Option(help="The page's context: JSON, or @FILE.")] = "{}",
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Say why a shopper sees what they see, or why a past decision was so: every experience, each condition's values.

    With a decision's id: what was kept of it (`shop.decision_records`) is judged again by the playbook of its day,
    also while serving. With a shopper: the server must be stopped; a running one answers the same to
    `POST /v1/decide` with `"explain": true`, and to `GET /v1/decisions/{id}`.

    Example: `cashwrap explain --user jonas --context '{"cart": {"total": 250}}' --playbook playbook --data data`
    """
    tenant = tenant_of(store, env)
    if decision:
        if user or anonymous:
            raise InvalidInput("name a decision or a shopper, not both", code="invalid_request")
        _explain_past(decision, tenant, data, playbook, json=json)
        return
    request = DecideRequest(shopper=shopper_of(user, anonymous), context=_context(context), explain=True)
    with open_engine(data, playbook) as engine:
        world, caller = engine.world, operator(tenant, engine.world.clock)
        with suppress(Unavailable):  # offers then are explained as ones that nobody can say anything of
            engine.offering.availability.watch([tenant])
            engine.offering.availability.refresh()
        hot = engine.find(request.shopper, caller)
        name = pseudonym(world.vault, ShopperKey(tenant, hot.profile.id)) if hot is not None else "nobody"
        note = noted("shopper.explain", name, tenant=tenant)
        explained = trail_of(world).around(note, lambda: engine.explain(request, caller, hot))
    if json:
        print_json(explained)
        return
    if hot is None:
        typer.secho(f"Nobody is known by this id in {store}/{env}: a stranger sees this.", fg="yellow", err=True)
    _print_placements(explained)


def _context(text: str) -> PageContext:
    try:
        source = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        context = msgspec.json.decode(source, type=PageContext)
        unread = ", ".join(unread_keys(msgspec.json.decode(source)))
    except OSError as error:
        raise InvalidInput(f"{text[1:]} cannot be read: {error.strerror}", code="unreadable_file") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"--context does not fit: {error}", code="invalid_request") from None
    if unread:
        raise InvalidInput(f"--context has keys that nothing reads: {unread}", code="invalid_request")
    return context


# --- a past decision ---


def _explain_past(decision: str, tenant: Tenant, data: Path, playbook: Path, *, json: bool) -> None:
    with open_world(data, serving=False) as world:
        versions = Versions(world.registry, world.clock)
        release = versions.live()
        if release is not None:
            live: Playbook | None = versions.load(release.hash)
        else:  # nothing was ever served or published here
            live = load_playbook(playbook) if playbook.is_dir() else None
        archive = Archive(world, Catalogues(world.catalogue, world.registry, models=Models(world).of), versions, live)
        note = noted("decision.read", decision_name(decision), tenant=tenant)
        review = trail_of(world).around(note, lambda: archive.review(tenant, decision))
    if json:
        print_json(review)
        return
    for line in _head(review, tenant):
        typer.echo(line)
    if review.same:
        typer.secho("Made again from its record it is the same, byte for byte.", fg="green")
    else:
        typer.secho("Made again from its record it is NOT the same.", fg="red")
    for difference in review.differences:
        typer.secho(f"But {difference.message}.", fg="yellow")
    _print_placements(review.placements)


def _head(review: Review, tenant: Tenant) -> Iterator[str]:
    when = moment(review.time, "seconds")
    yield (
        f"Decision {review.decision_id} of {when} in {tenant.name}, "
        f"by playbook {review.playbook}, with what was known of the {review.level}."
    )
    if review.arms:
        yield f"Arms seen before: {', '.join(f'{name} {arm}' for name, arm in sorted(review.arms.items()))}"
    for key, seen in sorted(review.seen.items()):
        dismissed = f", dismissed {moment(seen.dismissed)}" if seen.dismissed else ""
        yield f"Shown before: {key} {seen.count} times{dismissed}"


# --- lines ---


def _print_placements(placements: Mapping[str, Placed]) -> None:
    for name, placed in placements.items():
        typer.secho(f"{name}: {placed.answer.experience or 'the shop default'} ({placed.answer.reason})", bold=True)
        for line in _placement(placed):
            typer.echo(line)


def _placement(placed: Placed) -> Iterator[str]:
    """What is granted, every experience considered, each with its condition below, and the arms that were come to."""
    offer = placed.answer.offer
    if isinstance(offer, GrantedOffer):
        part = "personal data had a part in it" if offer.personal else "the same for everyone"
        yield f"  grants {offer.name}: {offer.amount} {offer.currency} off this cart, {part}"
    for told in placed.considered:
        yield f"  {told.experience}: {told.outcome} - {told.why}"
        for reached in placed.reached:
            if reached.experience == told.experience and (reached.propensity < SHARES or reached.outcome != "shown"):
                yield f"    arm {reached.arm}, with a chance of {reached.propensity / 100:g} %: {reached.outcome}"
        if told.condition is not None:
            yield from _condition(told.condition, 4)


def _condition(part: Part, indent: int) -> Iterator[str]:
    """A condition, its parts, and what the segments it names are made of."""
    told = ", ".join(f"{name} = {value}" for name, value in part.written.items())
    yield f"{' ' * indent}{_WORDS[part.result]:<8}{part.text}{f'  ({told})' if told else ''}"
    for each in part.parts:
        yield from _condition(each, indent + 2)
    for segment in part.segments:
        yield from _segment(segment, indent + 2)


def _segment(segment: Opened, indent: int) -> Iterator[str]:
    if segment.condition is None:
        yield f"{' ' * indent}{segment.name}: {segment.why}"
    else:
        yield from _condition(segment.condition, indent)
