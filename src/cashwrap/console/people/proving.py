"""Asks somebody signed in to prove anew who they are: an open browser alone makes no keys and no administrators.

What they had entered is sent again by the very form that asks, so that nothing is lost.
"""

from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.people.accounts import DEVICE, Visitor
from cashwrap.errors import NotAllowed

FIELD = "proof"
"""The field with the password or code."""


async def proof_asked(ask: Ask) -> Response | None:
    """The page that asks; ``None`` where they proved it a moment ago, or just now."""
    accounts, person, session = ask.console.accounts, ask.who, ask.session
    if session is None or accounts.sessions.is_proven(session):
        return None
    fields = await ask.fields() if ask.request.method == "POST" else {}
    given, problem = fields.get(FIELD, [""])[-1], ""
    if given:
        try:
            ask.session = await accounts.passwords.run(accounts.confirm, person, session, given, visitor_of(ask))
        except NotAllowed as error:
            problem = ask.say(error.message)
        else:
            return None
    target = ask.request.url.path + (f"?{ask.request.url.query}" if ask.request.url.query else "")
    kept = [(name, value) for name, values in fields.items() for value in values if name not in (FIELD, "csrf")]
    able = bool(person.password or person.totp)
    shown = {
        "target": target,
        "kept": kept,
        "problem": problem,
        "able": able,
        "sso": ask.console.sso,
        "field": FIELD,
    }
    if ask.is_part:
        response = ask.part("account_confirm_form.html", 200, **shown)
        response.headers.update({"hx-retarget": "#content", "hx-reswap": "innerHTML"})
        return response
    return ask.page("account_confirm.html", 403, **shown)


def visitor_of(ask: Ask) -> Visitor:
    """Where a request comes from."""
    request = ask.request
    return Visitor(ask.address, request.headers.get("user-agent", ""), request.cookies.get(DEVICE, ""))
