"""Options that several commands share, and how reports are printed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cashwrap.errors import CashwrapError, InvalidInput, PlaybookError
from cashwrap.model import Millis, Tenant
from cashwrap.request import ShopperRef

Data = Annotated[Path, typer.Option("--data", help="The data folder.", show_default=False)]
PlaybookFolder = Annotated[Path, typer.Option("--playbook", help="The folder with the playbook.", show_default=False)]
Store = Annotated[str, typer.Option("--store", help="The store.")]
Environment = Annotated[str, typer.Option("--env", help="The environment: live or test.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
User = Annotated[str, typer.Option("--user", help="The shop's own user id.")]
Anonymous = Annotated[str, typer.Option("--anonymous", help="The anonymous id.")]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tenant_of(store: str, environment: str) -> Tenant:
    """A store in an environment. Raises ``InvalidInput`` for an environment that is none."""
    if environment not in {"live", "test"}:
        raise InvalidInput("an environment is live or test", code="unknown_environment")
    return Tenant(store, environment)


def shopper_of(user: str, anonymous: str) -> ShopperRef:
    """The shopper that ``--user`` or ``--anonymous`` names."""
    if not user and not anonymous:
        raise InvalidInput("say who: --user ID or --anonymous ID", code="missing_identity")
    return ShopperRef(anonymous_id=anonymous or None, user_id=user or None)


def complain(error: CashwrapError) -> None:
    """Tell an operator of an error: in one line, and of a playbook every mistake."""
    if isinstance(error, PlaybookError):
        for fault in error.faults:
            typer.echo(fault, err=True)
        typer.secho(error.message, fg="red", err=True)
    else:
        typer.secho(f"{error.message} ({error.code})", fg="red", err=True)


def moment(at: Millis, timespec: str = "minutes") -> str:
    """A time as every command writes it: ``2026-12-31 23:59Z``."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(" ", timespec).replace("+00:00", "Z")


def print_json(value: object) -> None:
    """A report for a program."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over the log, on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("reading the log")
        yield lambda done, total: progress.update(task, completed=done, total=total)
