"""``explain``: why one shopper sees what they see, answered offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

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
from cashwrap.cli.world import open_engine, operator
from cashwrap.condition.evaluate import Explanation
from cashwrap.condition.evaluate import explain as explain_condition
from cashwrap.errors import InvalidInput
from cashwrap.explain import Explained
from cashwrap.model import Value
from cashwrap.playbook import Playbook
from cashwrap.request import DecideRequest, PageContext, unread_keys
from cashwrap.segments import PREFIX

_WORDS = {True: "true", False: "false", None: "unknown"}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(explain)


def explain(  # noqa: PLR0913 - each one is an option of the command
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
    """Say why a shopper sees what they see: every experience of every placement, with each condition's values.

    The server must be stopped; a running one answers the same to `POST /v1/decide` with `"explain": true`.

    Example: `cashwrap explain --user jonas --context '{"cart": {"total": 250}}' --playbook playbook --data data`
    """
    request = DecideRequest(shopper=shopper_of(user, anonymous), context=_context(context), explain=True)
    tenant = tenant_of(store, env)
    with open_engine(data, playbook) as engine:
        caller = operator(tenant, engine.world.clock)
        hot = engine.find(request.shopper, caller)
        explained = engine.explain(request, caller, hot)
        compiled = engine.live.playbook
        values = dict(engine.inputs(compiled, request, caller, hot).inputs.values)
    if json:
        print_json(explained)
        return
    if hot is None:
        typer.secho(f"Nobody is known by this id in {store}/{env}: a stranger sees this.", fg="yellow", err=True)
    teller = _Teller(compiled, values)
    for name, placement in explained.items():
        typer.secho(
            f"{name}: {placement.answer.experience or 'the shop default'} ({placement.answer.reason})", bold=True
        )
        for line in teller.placement(placement):
            typer.echo(line)


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


class _Teller:
    """Writes explanations as indented lines, with the values as a person writes them."""

    def __init__(self, playbook: Playbook, values: dict[str, Value]) -> None:
        self.playbook = playbook
        self.values = values
        self.segments = {segment.flat: segment.checked for segment in playbook.segments.ordered}

    def placement(self, explained: Explained) -> Iterator[str]:
        """Every experience considered, each with its condition below."""
        for considered in explained.considered:
            yield f"  {considered.experience}: {considered.outcome} - {considered.why}"
            if considered.condition is not None:
                yield from self.condition(considered.condition, 4)

    def condition(self, part: Explanation, indent: int, *, inside: bool = True) -> Iterator[str]:
        """A condition and its parts; with ``inside`` also what the segments it names are made of, one level deep."""
        named = [name for name in part.values if name in self.segments]
        read = {name: value for name, value in part.values.items() if not inside or name not in named}
        told = ", ".join(f"{name} = {self.playbook.written(name, value)}" for name, value in read.items())
        yield f"{' ' * indent}{_WORDS[part.result]:<8}{part.text}{f'  ({told})' if told else ''}"
        for each in part.parts:
            yield from self.condition(each, indent + 2, inside=inside)
        for name in named if inside else ():
            yield from self.segment(name, indent + 2)

    def segment(self, flat: str, indent: int) -> Iterator[str]:
        """What a segment is made of."""
        checked = self.segments[flat]
        if checked is None:
            word = "unknown without consent" if self.values.get(flat) is None else "pushed in from outside"
            yield f"{' ' * indent}{flat.removeprefix(PREFIX)}: {word}"
            return
        yield from self.condition(explain_condition(checked, self.values), indent, inside=False)
