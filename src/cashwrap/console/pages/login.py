"""Signing in, the first owner and the way out."""

from urllib.parse import unquote, urlsplit

from starlette.responses import RedirectResponse, Response

from cashwrap.console.ask import Ask, query
from cashwrap.console.people import sso
from cashwrap.console.people.accounts import DEVICE, SignedIn
from cashwrap.console.people.links import OWNER
from cashwrap.console.people.passwords import LONGEST, SHORTEST
from cashwrap.console.people.proving import visitor_of
from cashwrap.console.people.sessions import COOKIE
from cashwrap.console.routing import ROOT, Route
from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.serve.wire import status_of

_DEVICE_LIFE = 180 * 24 * 3600
_PRINTABLE = 500


async def show(ask: Ask) -> Response:
    """The form; and, after a sign-in, whether the browser kept its cookie."""
    to = local(ask.query("to"))
    if ask.session is not None:
        return RedirectResponse(to, 303)
    lost = ask.query("began") == "1"
    nobody = not await ask.run(ask.console.people.all)
    return _form(ask, to=to, lost=lost, nobody=nobody)


async def enter(ask: Ask) -> Response:
    """Name and password."""
    form, accounts = await ask.form(), ask.console.accounts
    to, name = local(form.get("to", "")), form.get("name", "")
    try:
        found = await accounts.passwords.run(accounts.sign_in, name, form.get("password", ""), visitor_of(ask))
    except CashwrapError as error:
        return _form(ask, error, to=to, name=name)
    if isinstance(found, SignedIn):
        return arrived(ask, found, to)
    return ask.page("login_code.html", step=found, to=to, problem="")


async def code(ask: Ask) -> Response:
    """The code after the password."""
    form, accounts = await ask.form(), ask.console.accounts
    to, step = local(form.get("to", "")), form.get("step", "")
    try:
        found = await accounts.passwords.run(accounts.finish, step, form.get("code", ""), visitor_of(ask))
    except CashwrapError as error:
        if error.code == "sign_in_again":
            return _form(ask, error, to=to)
        page = ask.page("login_code.html", status_of(error), step=step, to=to, problem=problem_of(ask, error))
        return _told(error, page)
    return arrived(ask, found, to)


async def leave(ask: Ask) -> Response:
    """Sign out."""
    if ask.session is not None:
        await ask.run(ask.console.accounts.sign_out, ask.who, ask.session)
    response = ask.go_to(f"{ROOT}/login")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def welcome(ask: Ask) -> Response:
    """What a one-time link leads to. Looking at it does not use it up: mail programs look at links too."""
    text = ask.query("link")
    link = await ask.run(ask.console.accounts.links.find, text)
    return _welcome(ask, text, link.person)


async def begin(ask: Ask) -> Response:
    """The password chosen there."""
    form, accounts = await ask.form(), ask.console.accounts
    text, name, display = form.get("link", ""), form.get("name", ""), form.get("display", "")
    link = await ask.run(accounts.links.find, text)
    try:
        _same(form.get("password", ""), form.get("again", ""))
        found = await accounts.passwords.run(
            accounts.welcome, text, name, display, form.get("password", ""), visitor_of(ask)
        )
    except (InvalidInput, TooMuch) as error:
        if error.code == "invalid_link":
            raise
        return _welcome(ask, text, link.person, error, name=name, display=display)
    return arrived(ask, found, ROOT)


async def start_single(ask: Ask) -> Response:
    """To the provider of the single sign-on. Nothing is kept here: the browser takes it along, sealed."""
    again = ask.query("again") == "1"
    address, cookie = await ask.run(_single(ask).start, local(ask.query("to")), again=again)
    response = RedirectResponse(address, 303)
    response.set_cookie(
        sso.COOKIE, cookie, max_age=sso.LIFE // 1000, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


async def end_single(ask: Ask) -> Response:
    """Back from there."""
    cookie, given = ask.request.cookies.get(sso.COOKIE, ""), dict(ask.request.query_params)
    try:
        found, to = await ask.run(_single(ask).finish, cookie, given, visitor_of(ask))
    except CashwrapError as error:
        response = _form(ask, error, to=ROOT)
    else:
        response = arrived(ask, found, to)
    response.delete_cookie(sso.COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def arrived(ask: Ask, found: SignedIn, to: str) -> Response:
    """Give the browser its cookies and send it on, by way of the page that says where it kept none."""
    if ask.session is not None and ask.session.id != found.session.id:
        ask.console.sessions.end(ask.session)
    response = ask.go_to(f"{ROOT}/login{query(to=to, began=1)}")
    response.set_cookie(COOKIE, found.text, path="/", secure=True, httponly=True, samesite="lax")
    response.set_cookie(
        DEVICE, found.device, max_age=_DEVICE_LIFE, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


def local(to: str) -> str:
    """A path of the console, or its start: nobody is sent to another site from here."""
    try:
        parts = urlsplit(to)
    except ValueError:
        return ROOT
    plain = to.isascii() and to.isprintable() and "\\" not in to and len(to) <= _PRINTABLE
    inside = parts.path == ROOT or parts.path.startswith(f"{ROOT}/")
    entry = parts.path.startswith((f"{ROOT}/login", f"{ROOT}/welcome", f"{ROOT}/sso/"))
    upwards = ".." in unquote(parts.path)
    there = plain and inside and not upwards and not entry and not parts.scheme and not parts.netloc
    return to if there and "//" not in to else ROOT


def _single(ask: Ask) -> sso.SingleSignOn:
    if ask.console.sso is None:
        raise InvalidInput("There is no single sign-on here.", code="no_such_path")
    return ask.console.sso


def _same(password: str, again: str) -> None:
    if password != again:
        raise InvalidInput("The two passwords are not the same.", code="passwords_differ")


def _form(
    ask: Ask, error: CashwrapError | None = None, *, to: str, name: str = "", lost: bool = False, nobody: bool = False
) -> Response:
    status = status_of(error) if error is not None else 200
    problem = problem_of(ask, error) if error is not None else ""
    shown = {"to": to, "name": name[:100], "problem": problem, "lost": lost, "nobody": nobody, "sso": ask.console.sso}
    return _told(error, ask.page("login.html", status, **shown))


def _welcome(
    ask: Ask, text: str, person: str, error: CashwrapError | None = None, *, name: str = "", display: str = ""
) -> Response:
    status = status_of(error) if error is not None else 200
    shown = {"link": text, "owner": person == OWNER, "named": person, "name": name[:100], "display": display[:100]}
    shown |= {"problem": problem_of(ask, error) if error is not None else "", "shortest": SHORTEST, "longest": LONGEST}
    return _told(error, ask.page("welcome.html", status, **shown))


def problem_of(ask: Ask, error: CashwrapError) -> str:
    """What went wrong, in the person's language, and how long to wait."""
    if isinstance(error, TooMuch) and error.retry_after:
        wait = ask.look.lasted(error.retry_after * 1000)
        return ask.say("%(message)s Next try in %(wait)s.", message=ask.say(error.message), wait=wait)
    return ask.say(error.message)


def _told(error: CashwrapError | None, response: Response) -> Response:
    if isinstance(error, TooMuch) and error.retry_after:
        response.headers["retry-after"] = str(error.retry_after)
    return response


ROUTES: list[Route] = [
    Route("GET", "/login", show, where="public"),
    Route("POST", "/login", enter, where="public"),
    Route("POST", "/login/code", code, where="public"),
    Route("GET", "/welcome", welcome, where="public"),
    Route("POST", "/welcome", begin, where="public"),
    Route("GET", "/sso/start", start_single, where="public"),
    Route("GET", "/sso/return", end_single, where="public"),
    Route("POST", "/logout", leave, where="person"),
]
