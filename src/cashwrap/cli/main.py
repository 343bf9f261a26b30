"""The commands, one function each. Every error ends with one line that says what to do next, and exit code 1."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from typer.core import TyperGroup

from cashwrap.cli import (
    audit,
    backtest,
    bundle,
    console,
    data,
    explain,
    failed,
    imports,
    keeping,
    keys,
    learning,
    models,
    offers,
    operate,
    people,
    playbooks,
    preview,
    report,
    scoring,
    selftest,
    server,
    versions,
)
from cashwrap.cli.options import complain
from cashwrap.errors import CashwrapError


class Group(TyperGroup):
    """Turns our errors into one line on stderr; anything else is a bug and shows its traceback."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command."""
        try:
            return super().invoke(ctx)
        except CashwrapError as error:
            complain(error)
        except BrokenPipeError:
            sys.stderr.close()
        raise typer.Exit(1)


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
    help="A self-hosted checkout personalization engine: collect, profile, decide, prove, learn.",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"cashwrap {version('cashwrap')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """A self-hosted checkout personalization engine: collect, profile, decide, prove, learn."""


for module in (
    playbooks,
    versions,
    bundle,
    server,
    console,
    keys,
    people,
    imports,
    keeping,
    explain,
    preview,
    backtest,
    data,
    operate,
    offers,
    failed,
    audit,
    report,
    models,
    learning,
    scoring,
    selftest,
):
    module.register(app)


def main() -> None:
    """The entry point of the command ``cashwrap``."""
    app()
