"""Finds the console's pages as a person does, by its links, and looks at each: one example of every kind of page."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Page

from cashwrap.console.app import ROUTES
from cashwrap.console.routing import ROOT, Route

AXE = Path(__file__).parents[1] / "clients/node_modules/axe-core/axe.min.js"
MENU = ["/now", "/shopper", "/segments", "/experiences", "/experiments", "/offers", "/models", "/drafts", "/data"]
MENU += ["/settings", "/people", "/versions"]
_PARAMETER = re.compile(r"\{\w+(:path)?\}")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable"]
"""What another theme or size of the same page can change."""
_RUN = """async rules => {
  const {violations} = await axe.run(document, {resultTypes: ["violations"], runOnly: rules});
  return violations.filter(({impact}) => ["serious", "critical"].includes(impact)).flatMap(({id, nodes}) =>
    nodes.slice(0, 3).map(({target, failureSummary}) => `${id}: ${target.join(" ")} - ${failureSummary}`));
}"""


@dataclass(frozen=True)
class Found:
    """A page, by the route that answers it, and an address of it."""

    route: str
    address: str

    @property
    def name(self) -> str:
        """As a file may be called."""
        return re.sub(r"[^a-z]+", "-", self.route.replace("/console", "").lower()).strip("-") or "home"


def _pattern(route: Route) -> re.Pattern[str]:
    parts = [re.escape(part) for part in _PARAMETER.split(route.path)[::2]]
    prefix = ROOT if route.where in ("person", "public") else rf"{ROOT}/[^/]+/[^/]+"
    return re.compile(prefix + "[^/]+".join(parts))


PATTERNS = [(route, _pattern(route)) for route in ROUTES if route.method == "GET"]


def route_of(address: str) -> str:
    """The first route that answers this address, as the application looks for it."""
    path = urlsplit(address).path
    return next((route.address for route, pattern in PATTERNS if pattern.fullmatch(path)), "")


def walk(page: Page, base: str, tenant: str = "default/live", *, first: tuple[str, ...] = ()) -> Iterator[Found]:
    """Open page after page, one of each kind; yields while it is open.

    ``first`` are addresses that no link leads to, such as a shopper's, who has to be searched.
    """
    waiting = [*first, *(f"{base}{ROOT}/{tenant}{path}" for path in MENU), f"{base}{ROOT}/account"]
    kinds = set[str]()
    while waiting:
        address = waiting.pop(0)
        route = route_of(address)
        if not route or route in kinds:
            continue
        if not _is_page(page, address):
            continue
        page.goto(address)
        kinds.add(route)
        waiting += links(page, base, tenant)
        yield Found(route, address)


def _is_page(page: Page, address: str) -> bool:
    """Not a stream and not a file to keep."""
    return not re.search(r"/(stream|export|zip|file|fit)\b|\.(csv|json|zip|yaml)$", urlsplit(address).path)


def links(page: Page, base: str, tenant: str) -> list[str]:
    """Where one can go from here inside the console, in the same store."""
    found: list[str] = page.evaluate(
        "() => Array.from(document.querySelectorAll('main a[href]:not([download])'), a => a.getAttribute('href'))"
    )
    here = f"{ROOT}/{tenant}/"
    whole = (urljoin(page.url, link).partition("#")[0] for link in found)
    return [link for link in whole if link.startswith(base) and urlsplit(link).path.startswith(here)]


def barriers(page: Page, rules: list[str] = RULES) -> list[str]:
    """What axe finds that is serious or critical, in the page as it stands; of all its rules, or of these."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(_RUN, rules)
    return found


def too_wide(page: Page) -> bool:
    """Whether the page has to be moved sideways: boxes inside it may, it may not."""
    return bool(page.evaluate("() => document.documentElement.scrollWidth > innerWidth + 1"))


def shown_in(page: Page, *, dark: bool, phone: bool) -> None:
    """The same page in another theme and size, without loading it again."""
    page.evaluate("theme => document.documentElement.dataset.theme = theme", "dark" if dark else "light")
    page.set_viewport_size({"width": 390, "height": 844} if phone else {"width": 1280, "height": 860})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def listen_for_violations(page: Page) -> None:
    """Collect what the content security policy stops, from the next page on; ``violations`` tells it."""
    page.add_init_script(
        "window.stopped = []; addEventListener('securitypolicyviolation', e => "
        "window.stopped.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`));"
    )


def violations(page: Page) -> list[Any]:
    """What was stopped in this page."""
    return list(json.loads(page.evaluate("() => JSON.stringify(window.stopped ?? [])")))
