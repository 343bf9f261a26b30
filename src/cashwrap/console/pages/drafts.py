"""Drafts of the playbook: the list, and one draft's texts with the checker's messages beside them.

What it changes, and how it goes live, is in ``publishing.py``.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.drafts.comparing import side_by_side
from cashwrap.console.drafts.drafting import Examined, drafts_of, examine_now, live_of
from cashwrap.console.drafts.drafts import Draft, check_files, waiting_for
from cashwrap.console.pages import publishing
from cashwrap.console.routing import Route
from cashwrap.console.words import later
from cashwrap.console.work.jobs import Job
from cashwrap.errors import Conflict, InvalidInput
from cashwrap.playbook import Fault
from cashwrap.publishing import read_folder
from cashwrap.versions import EXPECT

MESSAGES = 50
"""Of the checker, on a page."""
CASES = 200
"""Cases that are listed; of more, those that fail come first."""
DONE = {
    "begun": later("The draft is made. Nothing is live until you publish it."),
    "saved": later("Saved."),
    "discarded": later("The draft is discarded."),
    "named": later("The draft has a new title."),
}
_EMPTY_CASE = "# What must come of this playbook, for one shopper after the other.\n[]\n"


class View(Struct, frozen=True):
    """One draft's texts, open at one of them."""

    draft: Draft
    names: tuple[str, ...]
    file: str
    text: str
    checks: "Checks"
    people: Mapping[str, str]


class Checks(Struct, frozen=True):
    """What the checker says: of one file first, so many on a page."""

    found: Examined | None
    """``None`` while a large draft is looked at."""
    file: str
    here: tuple[Fault, ...] = ()
    shown: tuple[Fault, ...] = ()
    elsewhere: int = 0
    """Messages about other files, by far not all of them shown."""
    page: int = 0
    pages: int = 1
    trouble: str = ""


# --- the list ---


async def every(ask: Ask) -> Response:
    """All drafts: those that wait for this person first."""
    return ask.page("drafts.html", **await ask.run(_every, ask), done=_done(ask))


def _every(ask: Ask) -> dict[str, object]:
    drafts = drafts_of(ask).all()
    opened = [each for each in drafts if each.is_open]
    mine = waiting_for(opened, ask.who.actor) if ask.allows_playbook("approve") else []
    return {
        "opened": opened,
        "closed": [each for each in drafts if not each.is_open][:20],
        "waiting": mine,
        "names": ask.console.people.names(),
        "live": live_of(ask.console.versions),
        "strayed": _strayed(ask),
    }


def _strayed(ask: Ask) -> bool:
    """Whether the served folder holds something that is not live."""
    live = ask.console.versions.live()
    try:
        there = read_folder(ask.console.options.playbook)
    except InvalidInput:
        return False
    return live is not None and ask.console.versions.holding(there) != live.hash


async def begin(ask: Ask) -> Response:
    """Make a draft of what is live, of an older version, or of what the served folder holds."""
    form = await ask.form()
    title, source = form.get("title", ""), form.get("from", "live")
    files, base = await ask.run(_texts, ask, source)
    who = ask.who.actor
    made = await ask.change(
        ask.note("draft.begin", source if source in ("live", "folder") else "version"),
        lambda: drafts_of(ask).begin(who, title, base, files),
    )
    return ask.go(f"/drafts/{made.id}", done="begun")


def _texts(ask: Ask, source: str) -> tuple[dict[str, str], str]:
    versions = ask.console.versions
    live = live_of(versions)
    if source == "folder":
        files = read_folder(ask.console.options.playbook)
    elif source == "live" and not live:
        raise InvalidInput("Nothing is live yet: publish the folder first.", code="no_playbook")
    else:
        files = versions.files(live if source == "live" else versions.find(source))
    check_files(files)
    return files, live


# --- one draft's texts ---


async def edit(ask: Ask) -> Response:
    """One file of a draft in an editor."""
    view = await ask.run(_view, ask, ask.query("file"), _number(ask.query("page")))
    return ask.page("draft.html", view=view, draft=view.draft, here_tab="texts", done=_done(ask))


def _view(ask: Ask, file: str, page: int) -> View:
    drafts = drafts_of(ask)
    draft = drafts.find(ask.param("draft"))
    files = drafts.files(draft) if draft.is_open else {}
    names = tuple(sorted(files, key=lambda each: ("/" in each, each)))
    if file and file not in files:
        raise InvalidInput("The draft has no such file; somebody may have removed it.", code="no_such_file")
    shown = file or (names[0] if names else "")
    checks = _checks(ask, files, shown, page) if draft.is_open else Checks(None, "")
    return View(draft, names, shown, files.get(shown, ""), checks, ask.console.people.names())


def _checks(ask: Ask, files: Mapping[str, str], file: str, page: int = 0) -> Checks:
    found = examine_now(ask, files)
    if isinstance(found, Job):
        return Checks(None, file, trouble=found.message if found.state == "failed" else "")
    here = tuple(each for each in found.faults if each.file == file)
    others = tuple(each for each in found.faults if each.file != file)
    ordered = (*here, *others)
    pages = max(1, -(-len(ordered) // MESSAGES))
    page = min(page, pages - 1)
    return Checks(found, file, here, ordered[page * MESSAGES : (page + 1) * MESSAGES], len(others), page, pages)


async def check(ask: Ask) -> Response:
    """What the checker says of a text that is being written: nothing is kept."""
    form = await ask.form()
    checks, draft = await ask.run(_checked, ask, form.get("file", ""), form.get("text", ""))
    return ask.part("draft_checks.html", checks=checks, draft=draft)


def _checked(ask: Ask, file: str, text: str) -> tuple[Checks, Draft]:
    drafts = drafts_of(ask)
    draft = drafts.find(ask.param("draft"))
    files = drafts.files(draft)
    changed = dict(files) | {file: _as_before(files.get(file, ""), text)} if file in files else files
    check_files(changed)
    return _checks(ask, changed, file), draft


async def save(ask: Ask) -> Response:
    """Keep a text. Of two who edit the same draft the second sees both."""
    form = await ask.form()
    file, text, revision = form.get("file", ""), form.get("text", ""), _number(form.get("revision", ""))
    drafts, name = drafts_of(ask), ask.param("draft")
    who = ask.who.actor

    def change() -> Draft:
        files = drafts.files(drafts.find(name))
        if file not in files:
            raise InvalidInput("The draft has no such file; somebody may have removed it.", code="no_such_file")
        return drafts.save(name, revision, files | {file: _as_before(files[file], text)}, who)

    try:
        await ask.change(ask.note("draft.save", name, revision=revision), change)
    except Conflict as error:
        if error.code != "draft_moved":
            raise
        return await _moved(ask, file, text)
    return ask.go(f"/drafts/{name}", file=file, done="saved")


async def _moved(ask: Ask, file: str, mine: str) -> Response:
    """Both texts, and what to do with them. Nothing of either is lost."""
    drafts = drafts_of(ask)
    draft = await ask.run(drafts.find, ask.param("draft"))
    theirs = (await ask.run(drafts.files, draft)).get(file, "")
    values = {
        "draft": draft,
        "file": file,
        "mine": mine,
        "theirs": theirs,
        "sides": await ask.run(side_by_side, theirs, mine),
        "names": await ask.run(ask.console.people.names),
        "here_tab": "texts",
    }
    return ask.page("draft_moved.html", 409, **values)


async def change_files(ask: Ask) -> Response:
    """Add, rename or remove a file."""
    form = await ask.form()
    what, file, to = form.get("what", ""), form.get("file", ""), form.get("to", "").strip()
    revision, name, drafts = _number(form.get("revision", "")), ask.param("draft"), drafts_of(ask)
    who = ask.who.actor

    def change() -> Draft:
        files = drafts.files(drafts.find(name))
        return drafts.save(name, revision, _with_files(files, what, file, to), who)

    await ask.change(ask.note("draft.save", name, revision=revision), change)
    return ask.go(f"/drafts/{name}", file=to if what != "remove" else "", done="saved")


def _with_files(files: dict[str, str], what: str, file: str, to: str) -> dict[str, str]:
    if what in ("rename", "remove") and file not in files:
        raise InvalidInput("The draft has no such file; somebody may have removed it.", code="no_such_file")
    if what in ("add", "rename") and to in files:
        raise InvalidInput("The draft has a file of this name already.", code="name_taken")
    if what == "add":
        begins = _EMPTY_CASE if PurePosixPath(to).parts[:1] == (EXPECT,) else ""
        changed = files | {to: begins}
    elif what == "rename":
        changed = {to if name == file else name: text for name, text in files.items()}
    else:
        changed = {name: text for name, text in files.items() if name != file}
    check_files(changed)
    return changed


async def retitle(ask: Ask) -> Response:
    """Another title."""
    title, name = (await ask.form()).get("title", ""), ask.param("draft")
    await ask.change(ask.note("draft.title", name), lambda: drafts_of(ask).retitle(name, title))
    return ask.go(f"/drafts/{name}", done="named")


async def discard(ask: Ask) -> Response:
    """Drop a draft."""
    name = ask.param("draft")
    await ask.change(ask.note("draft.discard", name), lambda: drafts_of(ask).discard(name))
    return ask.go("/drafts", done="discarded")


async def download(ask: Ask) -> Response:
    """A draft's files as they would lie in a folder."""
    drafts = drafts_of(ask)
    draft = await ask.run(drafts.find, ask.param("draft"))
    files = await ask.run(drafts.files, draft)
    body = await ask.run(_zip, files)
    name = f"draft-{draft.id}-{draft.revision}.zip"
    return Response(body, headers={
        "content-type": "application/zip",
        "content-disposition": f'attachment; filename="{name}"',
    })  # fmt: skip


def _zip(files: Mapping[str, str]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text.encode())
    return body.getvalue()


def _as_before(old: str, text: str) -> str:
    """A text as it came from a form, with the line ends and the mark at the start that the file had."""
    if "\r\n" in old:
        text = text.replace("\n", "\r\n")
    return "\ufeff" + text if old.startswith("\ufeff") and not text.startswith("\ufeff") else text


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _done(ask: Ask) -> str:
    code = ask.query("done")
    return ask.say(DONE[code]) if code in DONE else ""


ROUTES: list[Route] = [
    Route("GET", "/drafts", every, "see"),
    Route("POST", "/drafts", begin, "draft.write", "playbook"),
    Route("GET", "/drafts/{draft}", edit, "see"),
    Route("POST", "/drafts/{draft}", save, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/check", check, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/files", change_files, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/title", retitle, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/discard", discard, "draft.write", "playbook"),
    Route("GET", "/drafts/{draft}/zip", download, "see"),
    *publishing.ROUTES,
]
