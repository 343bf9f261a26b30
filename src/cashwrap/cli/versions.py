"""``publish``, ``rollback``, ``versions``, ``diff``, ``checkout``: which playbook is live, and what changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.audit import Trail
from cashwrap.cli.options import Data, Json, moment, print_json
from cashwrap.cli.world import noted, trail_of
from cashwrap.differences import Change, difference, words
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.publishing import Draft, draft_of, read_folder, write_folder
from cashwrap.versions import LIVE, Release, Versions, listing, roll_back, strayed

Who = Annotated[str, typer.Option("--who", help="Who does it, for whoever reads the list later.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why.")]
_SIDE = "A hash or its beginning, a playbook's folder, or live."
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(publish)
    app.command()(rollback)
    app.command()(versions)
    app.command()(diff)
    app.command()(checkout)


@contextmanager
def _versions(data: Path) -> Iterator[Versions]:
    with _traced(data) as (versions, _):
        yield versions


@contextmanager
def _traced(data: Path) -> Iterator[tuple[Versions, Trail]]:
    """The versions, and where is told what becomes of them."""
    with open_world(data, serving=False) as world:
        yield Versions(world.registry, world.clock), trail_of(world)


def publish(
    folder: Annotated[Path, typer.Argument(help="The draft's folder.")],
    *,
    data: Data = Path("data"),
    message: Message = "",
    who: Who = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Check a draft, show what it changes, and make it live once you agree; a running server has it within a second.

    It stays live until something else is published, rolled back, or the served folder changes.

    Example: `cashwrap publish drafts/summer --data data -m "summer banner"`
    """
    draft = draft_of(folder)
    digest = draft.playbook.hash
    with _traced(data) as (kept, trail):
        live = kept.live()
        changes = _since(kept, live, draft.playbook)
        if live is not None and live.hash == digest:
            kept.keep(draft.playbook, draft.files)
            _published(live, changes, json=json, told=f"Version {digest} is live already; nothing was changed.")
            return
        if not json:
            _show(changes, live)
        if not yes and (json or not typer.confirm(f"Make {digest} live?")):
            raise InvalidInput("nothing was published; agree to it, or write --yes", code="not_confirmed")
        note = noted("playbook.publish", digest, {"before": live.hash if live is not None else ""})
        release = trail.around(note, lambda: _go_live(kept, draft, live, who=who, message=message))
    _published(release, changes, json=json, told=f"Version {digest} is live; a running server has it within a second.")


def _go_live(kept: Versions, draft: Draft, live: Release | None, *, who: str, message: str) -> Release:
    kept.keep(draft.playbook, draft.files)
    seen = live.hash if live is not None else None
    return kept.go_live(draft.playbook.hash, "publish", who=who, message=message, instead_of=seen)


def _published(release: Release, changes: Sequence[Change], *, json: bool, told: str) -> None:
    if json:
        print_json({"live": release, "changes": changes})
    else:
        typer.secho(told, fg="green")


def rollback(
    version: Annotated[str, typer.Argument(help="A hash or its beginning; left out, what was live before.")] = "",
    *,
    data: Data = Path("data"),
    message: Message = "",
    who: Who = "",
    json: Json = False,
) -> None:
    """Make an older version live again, also while serving; said twice, it takes itself back.

    It stays live until something else is published or the served folder changes; a restart does not undo it.

    Example: `cashwrap rollback --data data -m "wrong price"`
    """
    with _traced(data) as (kept, trail):
        before = kept.live()
        note = noted("playbook.rollback", version or "before", {"before": before.hash if before is not None else ""})
        release = trail.around(note, lambda: roll_back(kept, version, who, message))
        changes = _since(kept, before, kept.load(release.hash))
        told = strayed(kept)
    if json:
        print_json({"live": release, "changes": changes})
        return
    _show(changes, before)
    typer.secho(f"Version {release.hash} is live; a running server has it within a second.", fg="green")
    if told is not None:
        typer.echo(_stray(told, release))


def _since(kept: Versions, before: Release | None, after: Playbook) -> list[Change]:
    """What changes from the version that is or was live; nothing to tell where this cashwrap cannot read that one."""
    try:
        old = kept.load(before.hash) if before is not None else None
    except InvalidInput as error:
        typer.secho(f"What was live cannot be compared: {error.message}", fg="yellow", err=True)
        old = None
    return difference(old.declarations, after.declarations) if old is not None else []


def versions(*, data: Data = Path("data"), json: Json = False) -> None:
    """List the versions that are kept, the newest first, and say which is live; `*` marks it.

    Example: `cashwrap versions --data data`
    """
    with _versions(data) as kept:
        told, listed, live, stray = listing(kept), kept.all(), kept.live(), strayed(kept)
    if json:
        print_json(told)
        return
    for each in listed:
        newest = each.releases[0] if each.releases else None
        mark = "*" if live is not None and each.version.hash == live.hash else " "
        when = moment(newest.at if newest is not None else each.version.kept)
        by = newest.by if newest is not None else "never live"
        note = "  ".join(part for part in (newest.who, newest.message) if part) if newest is not None else ""
        typer.echo(f"{mark} {each.version.hash}  {when}  {by:<10}  {note}".rstrip())
    if live is None:
        typer.echo("Nothing is live yet: serve or publish a playbook.")
    elif stray is not None:
        typer.echo(_stray(stray, live))


def _stray(folder: str, live: Release) -> str:
    return (
        f"The served folder holds {folder}, which is not live until the folder changes. "
        f"To have in the folder what is live: cashwrap checkout {live.hash} FOLDER"
    )


def diff(
    old: Annotated[str, typer.Argument(help=_SIDE)],
    new: Annotated[str, typer.Argument(help=_SIDE)],
    *,
    data: Data = Path("data"),
    json: Json = False,
) -> None:
    """Say what changes from one playbook to another, by section and key; exit code 1 where there is a difference.

    Example: `cashwrap diff live playbook --data data`
    """
    if Path(old).is_dir() and Path(new).is_dir():
        before, after = load_playbook(Path(old)), load_playbook(Path(new))
    else:
        with _versions(data) as kept:
            before, after = _side(kept, old), _side(kept, new)
    changes = difference(before.declarations, after.declarations)
    if json:
        print_json({"from": before.hash, "to": after.hash, "changes": changes})
    else:
        _lines(changes)
        if not changes:
            typer.echo("No difference.")
    if changes:
        raise typer.Exit(1)


def _side(kept: Versions, name: str) -> Playbook:
    return load_playbook(Path(name)) if name != LIVE and Path(name).is_dir() else kept.load(kept.find(name))


def checkout(
    version: Annotated[str, typer.Argument(help="A hash or its beginning, or live.")],
    folder: Annotated[Path, typer.Argument(help="The playbook's folder.")],
    *,
    data: Data = Path("data"),
    force: Annotated[bool, typer.Option("--force", help="Write over texts that are no version.")] = False,
    json: Json = False,
) -> None:
    """Write a version's files into a folder, so that git and the served folder can have what is live.

    Texts in the folder that are kept as no version would be lost: then nothing is written, unless with `--force`.
    Playbook files that the version does not have are removed, and named; other files stay.

    Example: `cashwrap checkout live playbook --data data`
    """
    with _traced(data) as (kept, trail):
        digest = kept.find(version)
        files = kept.files(digest)
        there = read_folder(folder) if folder.is_dir() else {}
        if there and not force and not kept.holds(there):
            message = f"{folder} holds changes that were never published; publish them, or write --force to lose them"
            raise InvalidInput(message, code="unpublished_changes")
        removed = trail.around(noted("playbook.checkout", digest), lambda: write_folder(folder, files))
    if json:
        print_json({"hash": digest, "written": sorted(files), "removed": removed})
        return
    for name in removed:
        typer.secho(f"removed {name}: version {digest} does not have it", fg="yellow")
    typer.echo(f"{folder} holds version {digest}: {len(files)} files")


def _show(changes: Sequence[Change], live: Release | None) -> None:
    if live is None:
        typer.echo("Nothing is live yet: all of it is new.")
    else:
        typer.echo(f"What changes from {live.hash}, which is live since {moment(live.at)}:")
        _lines(changes)


def _lines(changes: Sequence[Change]) -> None:
    for line in words(changes):
        typer.secho(line, fg=_COLOURS.get(line[0]))
