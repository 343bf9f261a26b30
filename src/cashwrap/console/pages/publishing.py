"""What a draft changes, what it would have done, how it goes live with the word of a second person where money moves,
and the way back."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.drafts.backtesting import SPANS, USUAL, backtest_draft
from cashwrap.console.drafts.comparing import Sides, side_by_side
from cashwrap.console.drafts.drafting import (
    Examined,
    approvals,
    compiled,
    drafts_of,
    examine_now,
    live_of,
)
from cashwrap.console.drafts.drafts import Approval, Draft
from cashwrap.console.people.people import Person
from cashwrap.console.routing import Route
from cashwrap.console.words import later
from cashwrap.console.work.jobs import Job, named
from cashwrap.differences import Change, difference
from cashwrap.editing.merge import Merged, Side, merged
from cashwrap.editing.money import Why, by_reason
from cashwrap.errors import Conflict, InvalidInput, Unavailable
from cashwrap.history.tally import differing
from cashwrap.playbook.compile import refusal
from cashwrap.publishing import Draft as Ready
from cashwrap.publishing import Published, publish_with_folder
from cashwrap.versions import Listed, Release, Versions, roll_back, strayed

PAGE = 50
FRESH = 24 * 3_600_000
"""How long a backtest of the same texts is good for."""
DONE = {
    "submitted": later("The draft waits for a second person."),
    "approved": later("You agreed to this draft."),
    "published": later("It is live. A running server has it within a second."),
    "written": later("It is live, and the served folder holds it: commit it there with git."),
    "updated": later("The draft is up to date with what is live."),
    "rolled": later("It is live again. A running server has it within a second."),
}


class Standing(Struct, frozen=True):
    """How far a draft is from going live."""

    draft: Draft
    found: Examined | None
    """``None`` while a large draft is looked at."""
    live: str
    approved: tuple[tuple[Person, Approval], ...]
    money: Mapping[Why, list[Change]]
    names: Mapping[str, str]

    @property
    def moved(self) -> bool:
        """Whether something else went live since it began."""
        return self.draft.base != self.live

    @property
    def needs_a_second(self) -> bool:
        """Whether money moves and nobody else agreed yet."""
        return bool(self.money) and not self.approved

    @property
    def ready(self) -> bool:
        """Whether it may be published now."""
        found = self.found
        return self.draft.is_open and found is not None and found.sound and not self.moved and not self.needs_a_second


def standing(ask: Ask, files: Mapping[str, str] | None = None) -> Standing:
    """For a thread. Raises ``InvalidInput`` (``no_such_draft``)."""
    drafts, people = drafts_of(ask), ask.console.people.all()
    draft = drafts.find(ask.param("draft"))
    found = examine_now(ask, files if files is not None else drafts.files(draft)) if draft.is_open else None
    examined = None if isinstance(found, Job) else found
    money = by_reason(examined.money) if examined is not None else {}
    live = live_of(ask.console.versions)
    return Standing(draft, examined, live, tuple(approvals(people, draft)), money, ask.console.people.names())


# --- what it changes ---


async def changes(ask: Ask) -> Response:
    """What a draft changes, in the playbook's words and side by side."""
    at, after = await ask.run(standing, ask), _number(ask.query("after"))
    found = at.found.changes if at.found is not None else ()
    file = ask.query("file")
    texts = await ask.run(_texts, ask, at.draft, file)
    return ask.page(
        "draft_changes.html",
        at=at,
        draft=at.draft,
        here_tab="changes",
        changes=found[after : after + PAGE],
        after=str(after + PAGE) if len(found) > after + PAGE else "",
        first=not after,
        file=file,
        texts=texts,
        done=_done(ask),
    )


class Texts(Struct, frozen=True):
    """The files that a draft changes, and one of them side by side."""

    changed: tuple[str, ...]
    file: str
    sides: Sides | None


def _texts(ask: Ask, draft: Draft, file: str) -> Texts:
    if not draft.is_open:
        return Texts((), "", None)
    files, live = drafts_of(ask).files(draft), _live_files(ask.console.versions)
    changed = tuple(name for name in sorted({*files, *live}) if files.get(name) != live.get(name))
    shown = file if file in changed else (changed[0] if changed else "")
    sides = side_by_side(live.get(shown, ""), files.get(shown, "")) if shown else None
    return Texts(changed, shown, sides)


def _live_files(versions: Versions) -> dict[str, str]:
    live = live_of(versions)
    return versions.files(live) if live else {}


# --- what it would have done ---


async def backtests(ask: Ask) -> Response:
    """The backtest of a draft, or how far it is; a part of the page while it runs."""
    at = await ask.run(standing, ask)
    span = ask.query("since", USUAL) if ask.query("since", USUAL) in SPANS else USUAL
    job = ask.console.jobs.find(_backtest(ask, at, span))
    result: Any = job.result if job is not None and job.state == "done" else None
    values = {
        "at": at,
        "draft": at.draft,
        "job": job,
        "report": result,
        "audiences": differing(result.audiences)[:PAGE] if result is not None else [],
        "span": span,
        "spans": list(SPANS),
        "here_tab": "backtest",
    }
    return ask.part("draft_backtest_part.html", **values) if ask.is_part else ask.page("draft_backtest.html", **values)


async def start_backtest(ask: Ask) -> Response:
    """Ask for one."""
    at, form = await ask.run(standing, ask), await ask.form()
    span = form.get("since", USUAL)
    if span not in SPANS or at.found is None or not at.found.hash:
        raise InvalidInput("Only a draft without mistakes can be backtested.", code="draft_not_sound")
    files = await ask.run(drafts_of(ask).files, at.draft)
    ask.console.jobs.ask(_backtest(ask, at, span), backtest_draft, files, ask.tenant, span, fresh=FRESH)
    return ask.go(f"/drafts/{at.draft.id}/backtest", since=span)


def _backtest(ask: Ask, at: Standing, span: str) -> str:
    """The job's name: the same texts are not replayed twice."""
    return named(ask.tenant, "backtest", at.draft.digest, span)


# --- going live ---


async def publish_page(ask: Ask) -> Response:
    """What stands between a draft and going live."""
    at = await ask.run(standing, ask)
    job = ask.console.jobs.find(_backtest(ask, at, USUAL))
    report = job.result if job is not None and job.state == "done" else None
    folder = ask.console.options.playbook
    return ask.page(
        "draft_publish.html", at=at, draft=at.draft, here_tab="publish", report=report, folder=folder, done=_done(ask)
    )


async def submit(ask: Ask) -> Response:
    """Ask for a second person."""
    name, revision = ask.param("draft"), _number((await ask.form()).get("revision", ""))
    await ask.change(ask.note("draft.submit", name), lambda: drafts_of(ask).submit(name, revision))
    return ask.go(f"/drafts/{name}/publish", done="submitted")


async def approve(ask: Ask) -> Response:
    """The second person's word."""
    name, revision, who = ask.param("draft"), _number((await ask.form()).get("revision", "")), ask.who.actor
    drafts = drafts_of(ask)
    draft = await ask.run(drafts.find, name)
    note = ask.note("draft.approve", name, texts=draft.digest, revision=revision)
    await ask.change(note, lambda: drafts.approve(name, revision, who))
    return ask.go(f"/drafts/{name}/publish", done="approved")


async def publish(ask: Ask) -> Response:
    """Make a draft live: as it was looked at, over what it was compared with."""
    form = await ask.form()
    revision, message = _number(form.get("revision", "")), " ".join(form.get("message", "").split())
    drafts, versions = drafts_of(ask), ask.console.versions
    at, ready = await ask.run(_ready, ask, revision)
    who = ask.who.shown[:200]
    note = ask.note(
        "playbook.publish",
        ready.playbook.hash,
        before=at.draft.base,
        draft=at.draft.id,
        approved_by=" ".join(approval.who for _, approval in at.approved),
    )

    def change() -> Published:
        folder, seen = ask.console.options.playbook, at.draft.base or None
        done = publish_with_folder(versions, folder, ready, seen=seen, who=who, message=message)
        drafts.publish(at.draft.id, revision, ready.playbook.hash)
        return done

    done = await ask.change(note, change)
    return ask.go("/versions", done="written" if done.written else "published")


def _ready(ask: Ask, revision: int) -> tuple[Standing, Ready]:
    """The draft compiled, if it may go live now."""
    drafts = drafts_of(ask)
    draft = drafts.find(ask.param("draft"))
    if draft.revision != revision or not draft.is_open:
        raise Conflict("Somebody else saved this draft meanwhile.", code="draft_moved")
    files = drafts.files(draft)
    playbook, faults, _ = compiled(files)
    if playbook is None or any(fault.severity == "error" for fault in faults):
        raise refusal(faults)
    at = standing(ask, files)
    if at.draft.revision != revision:
        raise Conflict("Somebody else saved this draft meanwhile.", code="draft_moved")
    if at.moved:
        raise Conflict("Something else went live meanwhile: bring the draft up to date first.", code="version_moved")
    if at.found is None:
        raise Unavailable("The draft is still being looked at; try again in a moment.", code="draft_not_examined")
    if at.needs_a_second:
        raise Conflict("This moves money: somebody else has to approve it first.", code="needs_second_person")
    return at, Ready(playbook, files)


# --- what went live meanwhile ---


async def update_page(ask: Ask) -> Response:
    """What went live meanwhile, and what both changed."""
    at, found = await ask.run(_merged, ask, {})
    return ask.page("draft_update.html", at=at, draft=at.draft, merged=found, here_tab="publish")


def _merged(ask: Ask, chosen: Mapping[str, Side]) -> tuple[Standing, Merged]:
    at, drafts, versions = standing(ask), drafts_of(ask), ask.console.versions
    try:
        base = versions.files(at.draft.base) if at.draft.base else {}
    except InvalidInput:  # no longer kept: whatever differs has to be decided
        base = {}
    return at, merged(base, drafts.files(at.draft), _live_files(versions), chosen)


async def update(ask: Ask) -> Response:
    """Bring the draft up to date, as decided."""
    form, name, who = await ask.form(), ask.param("draft"), ask.who.actor
    chosen: dict[str, Side] = {
        key.removeprefix("side:"): "theirs" if side == "theirs" else "mine"
        for key, side in form.items()
        if key.startswith("side:")
    }
    at, found = await ask.run(_merged, ask, chosen)
    if form.get("live", "") != at.live:
        raise Conflict("Something else went live meanwhile: look at it again.", code="version_moved")
    if any(clash.key not in chosen for clash in found.clashes):
        raise InvalidInput("Decide first whose each change is to be.", code="undecided")
    revision, drafts = _number(form.get("revision", "")), drafts_of(ask)
    note = ask.note("draft.update", name, live=at.live)
    await ask.change(note, lambda: drafts.bring_up(name, revision, found.files, who, at.live))
    return ask.go(f"/drafts/{name}/changes", done="updated")


# --- versions, and the way back ---


async def versions_page(ask: Ask) -> Response:
    """Every version that is kept, the one that went live last first."""
    after = _number(ask.query("after"))
    listed, live, stray = await ask.run(_versions, ask)
    return ask.page(
        "versions.html",
        listed=listed[after : after + PAGE],
        known=len(listed),
        after=str(after + PAGE) if len(listed) > after + PAGE else "",
        first=not after,
        live=live,
        strayed=stray,
        folder=ask.console.options.playbook,
        done=_done(ask),
    )


def _versions(ask: Ask) -> tuple[list[Listed], Release | None, str | None]:
    versions = ask.console.versions
    return versions.all(), versions.live(), strayed(versions)


async def version_page(ask: Ask) -> Response:
    """One version: its times live, and what changes where it goes live again."""
    found, live, changed, trouble = await ask.run(_version, ask, ask.param("version"))
    after = _number(ask.query("after"))
    return ask.page(
        "version.html",
        found=found,
        live=live,
        changes=changed[after : after + PAGE],
        after=str(after + PAGE) if len(changed) > after + PAGE else "",
        first=not after,
        trouble=trouble,
    )


def _version(ask: Ask, name: str) -> tuple[Listed, Release | None, list[Change], str]:
    versions = ask.console.versions
    found, live = versions.version(versions.find(name)), versions.live()
    if live is None or live.hash == found.version.hash:
        return found, live, [], ""
    try:
        before, new = versions.load(live.hash), versions.load(found.version.hash)
    except InvalidInput as error:
        return found, live, [], error.message
    return found, live, difference(before.declarations, new.declarations), ""


async def rollback(ask: Ask) -> Response:
    """Make a version live again that was live before. Nobody has to agree to that."""
    form, name = await ask.form(), ask.param("version")
    message, who = " ".join(form.get("message", "").split()), ask.who.shown[:200]
    versions = ask.console.versions
    found = await ask.run(lambda: versions.version(versions.find(name)))
    if not found.releases:
        raise Conflict("This version was never live: begin a draft from it instead.", code="never_live")
    before = await ask.run(live_of, versions)
    note = ask.note("playbook.rollback", found.version.hash, before=before)
    await ask.change(note, lambda: roll_back(versions, found.version.hash, who, message))
    return ask.go("/versions", done="rolled")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _done(ask: Ask) -> str:
    code = ask.query("done")
    return ask.say(DONE[code]) if code in DONE else ""


ROUTES: list[Route] = [
    Route("GET", "/drafts/{draft}/changes", changes, "see"),
    Route("GET", "/drafts/{draft}/backtest", backtests, "see"),
    Route("POST", "/drafts/{draft}/backtest", start_backtest, "draft.write", "playbook"),
    Route("GET", "/drafts/{draft}/publish", publish_page, "see"),
    Route("POST", "/drafts/{draft}/publish", publish, "publish", "playbook"),
    Route("POST", "/drafts/{draft}/submit", submit, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/approve", approve, "approve", "playbook"),
    Route("GET", "/drafts/{draft}/update", update_page, "draft.write", "playbook"),
    Route("POST", "/drafts/{draft}/update", update, "draft.write", "playbook"),
    Route("GET", "/versions", versions_page, "see"),
    Route("GET", "/versions/{version}", version_page, "see"),
    Route("POST", "/versions/{version}/rollback", rollback, "stop", "playbook"),
]
