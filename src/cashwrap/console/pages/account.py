"""One's own account: password, second factor, language, look."""

from typing import get_args

from msgspec.structs import replace
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.pages.login import arrived, problem_of
from cashwrap.console.people.passwords import SHORTEST
from cashwrap.console.people.people import Language, Theme, display_name
from cashwrap.console.people.proving import visitor_of
from cashwrap.console.people.sessions import Session
from cashwrap.console.routing import ROOT, Route
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.serve.wire import status_of

HOME = f"{ROOT}/account"
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
"""Marks in a user agent, the first that fits: browsers claim to be each other, the honest mark comes first here."""


async def show(ask: Ask) -> Response:
    """All of it."""
    return _page(ask)


async def look(ask: Ask) -> Response:
    """Language, look, and the name that is shown."""
    form = await ask.form()
    language = next((each for each in get_args(Language) if each == form.get("language")), None)
    theme = next((each for each in get_args(Theme) if each == form.get("theme")), None)
    if language is None or theme is None:
        raise InvalidInput("There is no such language or appearance.", code="invalid_form")
    display, people = display_name(form.get("display", "")), ask.console.people
    await ask.run(
        people.change, ask.who.name, lambda found: replace(found, display=display, language=language, theme=theme)
    )
    return ask.go_to(HOME)


async def password(ask: Ask) -> Response:
    """Change the password."""
    form, accounts = await ask.form(), ask.console.accounts
    current, new = form.get("current", ""), form.get("password", "")
    try:
        if new != form.get("again", ""):
            raise InvalidInput("The two passwords are not the same.", code="passwords_differ")
        found = await accounts.passwords.run(accounts.new_password, ask.who, current, new, visitor_of(ask))
    except CashwrapError as error:
        return _page(ask, error)
    return arrived(ask, found, HOME)


async def begin_second(ask: Ask) -> Response:
    """A secret for the phone, which counts for nothing yet."""
    return _second(ask, ask.console.accounts.begin_factor(ask.who, _session(ask)))


async def second(ask: Ask) -> Response:
    """Turn the second factor on, with the first code."""
    form, accounts, session = await ask.form(), ask.console.accounts, _session(ask)
    begun, code = form.get("begun", ""), form.get("code", "")
    try:
        codes = await ask.run(accounts.factor_on, ask.who, session, begun, code)
    except CashwrapError as error:
        if error.code != "wrong_code":
            raise
        return _second(ask, begun, error)
    return ask.page("account_codes.html", codes=codes)


async def second_off(ask: Ask) -> Response:
    """Turn it off."""
    await ask.run(ask.console.accounts.factor_off, ask.who)
    return ask.go_to(HOME)


async def recovery(ask: Ask) -> Response:
    """New codes for paper."""
    if not ask.who.totp:
        raise InvalidInput("Set up the second factor first.", code="no_second_factor")
    return ask.page("account_codes.html", codes=await ask.run(ask.console.accounts.new_codes, ask.who))


async def end_sessions(ask: Ask) -> Response:
    """Sign out another browser, or all others."""
    mark, sessions, own = (await ask.form()).get("mark", ""), ask.console.sessions, _session(ask)
    others = [each for each in sessions.of(ask.who.name) if each.id != own.id]
    ended = [each for each in others if mark in ("others", each.mark)]
    await ask.change(ask.note("person.sessions_end", ask.who.actor), lambda: sessions.end(*ended))
    return ask.go_to(HOME)


def _session(ask: Ask) -> Session:
    if ask.session is None:
        raise InvalidInput("nobody is signed in", code="session_ended")
    return ask.session


def _page(ask: Ask, error: CashwrapError | None = None) -> Response:
    sessions = ask.console.sessions
    shown = [(each, sessions.seen(each)) for each in sessions.of(ask.who.name)]
    status, problem = (status_of(error), problem_of(ask, error)) if error is not None else (200, "")
    return ask.page("account.html", status, sessions=shown, problem=problem, shortest=SHORTEST, browser=_browser)


def _browser(agent: str) -> str:
    """Browser and system of a user agent, for somebody to know their own by; what is not known stands as it is."""
    family = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{family}, {system}" if family and system else agent[:80]


def _second(ask: Ask, begun: str, error: CashwrapError | None = None) -> Response:
    accounts, name = ask.console.accounts, ask.who.name
    sealed = accounts.begun(_session(ask), begun)
    secret = accounts.factor.secret(name, sealed)
    spaced = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    status, problem = (status_of(error), problem_of(ask, error)) if error is not None else (200, "")
    shown = {"begun": begun, "secret": spaced, "picture": accounts.factor.picture(name, sealed), "problem": problem}
    return ask.page("account_second.html", status, **shown)


ROUTES: list[Route] = [
    Route("GET", "/account", show, where="person"),
    Route("POST", "/account/look", look, where="person"),
    Route("POST", "/account/password", password, where="person"),
    Route("POST", "/account/second/begin", begin_second, where="person", fresh=True),
    Route("POST", "/account/second", second, where="person", fresh=True),
    Route("POST", "/account/second/off", second_off, where="person", fresh=True),
    Route("POST", "/account/recovery", recovery, where="person", fresh=True),
    Route("POST", "/account/sessions/end", end_sessions, where="person"),
]
