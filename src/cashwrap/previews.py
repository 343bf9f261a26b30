"""Preview links: whoever opens one sees an experience on the real page, whatever its condition, schedule and arms say.

The link is signed and carries its end with it, so that nothing has to be kept to make or to open one.
"""

from difflib import get_close_matches
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from cashwrap.declarations import HOLDOUT
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.experiences import arms_of
from cashwrap.keys import ApiKey
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.request import DecideRequest
from cashwrap.tokens import Preview, Tokens

PARAMETER = "cw_preview"
"""The part of a page's address that the browser SDK reads."""
LONGEST: Millis = 30 * 86_400_000
"""How long a link may be good."""


class Wanted(Struct, frozen=True):
    """What a link shows, where, and for how long; without a ``variation`` the first one."""

    experience: str
    url: str
    variation: str = ""
    life: Millis = 86_400_000


class Link(Struct, frozen=True):
    """A link, and what was asked for with every blank filled in."""

    url: str
    experience: str
    variation: str
    placement: str
    expires: Millis
    token: str


def make_link(playbook: Playbook, tokens: Tokens, tenant: Tenant, wanted: Wanted, now: Millis) -> Link:
    """The signed link that shows a variation of this playbook.

    Raises ``InvalidInput``: ``no_such_experience``, ``no_such_variation``, ``invalid_url``, ``invalid_duration``.
    """
    declared = playbook.declarations.experiences.get(wanted.experience)
    if declared is None:
        near = get_close_matches(wanted.experience, playbook.declarations.experiences, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidInput(f"no experience is called {wanted.experience!r}{hint}", code="no_such_experience")
    arms = [arm for arm in arms_of(declared) if arm != HOLDOUT]
    variation = wanted.variation or arms[0]
    if variation not in arms:
        message = f"{wanted.experience} has no variation {variation!r}, but {', '.join(arms)}"
        raise InvalidInput(message, code="no_such_variation")
    if not 0 < wanted.life <= LONGEST:
        raise InvalidInput("a preview is good for at least a moment and at most 30 days", code="invalid_duration")
    expires = now + wanted.life
    token = tokens.sign_preview(Preview(tenant, expires, {wanted.experience: variation}))
    return Link(_with(wanted.url, token), wanted.experience, variation, declared.placement, expires, token)


def _with(url: str, token: str) -> str:
    """The address with the token in place of an older one."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput("the page's address is https://host/path", code="invalid_url")
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != PARAMETER]
    return parts._replace(query=urlencode([*kept, (PARAMETER, token)])).geturl()


def forced(request: DecideRequest, key: ApiKey, tokens: Tokens, now: Millis) -> dict[str, str]:
    """What a preview shows. Raises ``NotAllowed`` where its token is not good, or a browser forces an arm."""
    if request.force and not key.trusted:
        raise NotAllowed("only a secret key may force an arm; a browser needs a preview", code="not_allowed")
    return request.force if request.preview is None else tokens.open_preview(request.preview, key.tenant, now).forced
