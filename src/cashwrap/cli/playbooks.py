"""``init`` and ``check``: a playbook's first day and its every day."""

from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.system import SystemClock
from cashwrap.cli.options import Json, print_json
from cashwrap.errors import InvalidInput
from cashwrap.playbook import Fault
from cashwrap.playbook.lint import lint
from cashwrap.playbook.starter import starter_files
from cashwrap.publishing import examine_folder


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(init)
    app.command()(check)


def init(folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("playbook")) -> None:
    """Write the starter playbook.

    Example: `cashwrap init playbook`
    """
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} is not empty; choose another folder", code="folder_not_empty")
    for name, text in starter_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    typer.echo(f"The starter playbook is in {folder}. Next: cashwrap check {folder}")


def check(folder: Annotated[Path, typer.Argument(help="The playbook's folder.")], *, json: Json = False) -> None:
    """Report every mistake of a playbook at once, and warn of what cannot be meant; exit code 1 with a mistake.

    Example: `cashwrap check playbook`
    """
    playbook, faults = examine_folder(folder)
    if playbook is not None:
        faults = tuple(sorted({*faults, *lint(playbook, SystemClock().now())}))
    mistakes = sum(fault.severity == "error" for fault in faults)
    if json:
        print_json(
            {
                "valid": playbook is not None,
                "hash": playbook.hash if playbook is not None else None,
                "faults": [_plain(fault) for fault in faults],
            }
        )
    else:
        for fault in faults:
            typer.echo(str(fault))
        _summary(mistakes, playbook.hash if playbook is not None else "")
    if playbook is None:
        raise typer.Exit(1)


def _plain(fault: Fault) -> dict[str, object]:
    return {name: getattr(fault, name) for name in fault.__struct_fields__}


def _summary(mistakes: int, digest: str) -> None:
    if mistakes:
        typer.secho(f"{mistakes} mistake{'s' if mistakes != 1 else ''}; this playbook cannot go live.", fg="red")
    else:
        typer.secho(f"The playbook is valid: {digest}", fg="green")
