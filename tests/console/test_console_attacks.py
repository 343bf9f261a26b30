"""Attacks on the console as a whole: hostile texts on every page, addresses that ask for too much."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace
from tests.console.conftest import Browser, Site
from tests.console.shopper_data import fill

from cashwrap.console.app import ROUTES
from cashwrap.console.pages.login import local
from cashwrap.console.remembered import Remembered
from cashwrap.console.roles import Grant
from cashwrap.console.shopper.links import ShopperLinks
from cashwrap.console.trails import Wanted, found
from cashwrap.model import Tenant
from cashwrap.playbook import examine
from cashwrap.ports import AuditEntry
from cashwrap.versions import playbook_files
from engines import TestClock

EVIL = """<script src=//evil.example></script>"'><img src=x onerror=alert(1)>{{ 7*7 }}%(name)s\u202e"""
_ADDRESSES = frozenset({"href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data"})
_MARKS = re.compile(r"onerror|evil\.example")


class Dangers(HTMLParser):
    """What a page would run or fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.told = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("iframe", "object", "embed", "base") or (tag == "script" and "src" not in given):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in given if name.startswith(("on", "hx-on")) or name == "style"]
        self.found += [f"{tag} {name}={given[name]}" for name in _ADDRESSES & given.keys() if _leaves(given[name])]
        self.told = self.told or any(_MARKS.search(value) for value in given.values())

    def handle_data(self, data: str) -> None:
        self.told = self.told or bool(_MARKS.search(data))


def _leaves(address: str) -> bool:
    return address.startswith("//") or re.match(r"[a-z+.-]+:", address.strip().lower()) is not None


def dangers(text: str) -> Dangers:
    page = Dangers()
    page.feed(text)
    return page


def evil_files(site: Site) -> dict[str, str]:
    """The starter with hostile words wherever a playbook has words."""
    files = site.console.versions.files(site.console.versions.find("live"))
    said = EVIL.replace("'", "''")
    extra = (
        f"segments:\n  evil:\n    description: '{said}'\n    when: 'page.type == \"{EVIL[:20]}\"'\n"
        f"offers:\n  evil: {{benefit: {{percent: 5}}, text: {{en: 'x', de: 'y'}}}}\n"
        "experiences:\n  evil:\n    in: home_hero\n    when: segments.evil\n    offer: evil\n    show:\n      text:\n"
        "        en: '<img src=x onerror=alert(1)>'\n        de: '<img src=x onerror=alert(1)>'\n"
    )
    return files | {"evil.yaml": extra}


@pytest.fixture
def evil(site: Site) -> tuple[Site, Browser, dict[str, str]]:
    """A shop where everybody who may name something is hostile; its administrator, and what routes are filled with."""
    fill(site.folder)
    console, files = site.console, evil_files(site)
    playbook, faults = examine(playbook_files(files))
    assert playbook is not None, faults
    console.versions.keep(playbook, files)
    console.versions.go_live(playbook.hash, "publish", who=EVIL[:200], message=EVIL)
    admin = site.browser("admin", name="admin")
    console.people.put(replace(console.people.get("admin"), display=EVIL[:100]))
    begun = admin.post("/drafts", {"title": EVIL})
    (key,) = console.world.store.shoppers(None, 10)
    link = ShopperLinks(console.world.vault, console.world.clock, console.world.random)
    fields = {"draft": begun.headers["location"].rpartition("/")[2].partition("?")[0], "version": playbook.hash}
    return site, admin, {**fields, "link": link.make(Tenant(), "admin", key.shopper), "name": "evil"}


def test_nothing_hostile_runs_on_any_page(evil: tuple[Site, Browser, dict[str, str]]) -> None:
    _, admin, fields = evil
    seen, told = 0, 0
    for route in ROUTES:
        path = re.sub(r"{(\w+)}", lambda found: fields.get(found[1], "evil"), route.address)
        path = path.replace("/evil/evil/", "/default/live/", 1) if "{store}" in route.address else path
        if route.method != "GET" or path.endswith(("/stream", "/sso/start", "/sso/return")):
            continue
        path = path.replace("/people/evil", "/people/admin")
        answer = admin.client.get(path, params={"q": EVIL, "after": "", "to": EVIL, "reason": EVIL})
        assert answer.status_code < 500, path
        if answer.headers.get("content-type", "").startswith("text/html"):
            page = dangers(answer.text)
            assert page.found == [], path
            assert "default-src 'none'" in answer.headers["content-security-policy"], path
            seen, told = seen + 1, told + page.told
    assert seen > 40
    assert told > 10  # what is hostile is there to be read


@pytest.mark.parametrize("planted", [EVIL, "<a href='javascript:alert(1)'>x</a>", "<p style=x>", "<p hx-on:click=x>"])
def test_a_planted_bug_is_seen(planted: str) -> None:
    """A page that says a text as it is."""
    assert dangers(f"<p>{planted}</p>").found


@pytest.mark.parametrize(
    "to",
    ["/console/../v1", "/console/%2e%2e/x", "/console/..%2f", "//evil", "/\\evil", "/console//evil", "https://evil",
     "/console\n", "/console/\t", "javascript:alert(1)", "/consoleevil", "/console@evil", "/console/login"],
)  # fmt: skip
def test_nobody_is_led_out_of_the_console(to: str) -> None:
    assert local(to) == "/console"
    assert (
        local("/console/default/live/segments/of/caf%C3%A9?q=..") == "/console/default/live/segments/of/caf%C3%A9?q=.."
    )


class Log:
    """An audit log of three entries that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[int, AuditEntry]]:
        self.asked += 1
        assert self.asked < 100, "it is asked for ever"
        return [(number, AuditEntry(number, "person:x", "x", "", {})) for number in (1, 2, 3) if number > after][:limit]


def test_an_address_beyond_the_end_of_the_audit_log_is_its_end() -> None:
    page = found(Log(), Wanted(Tenant()), 999_999_999_999_999)  # type: ignore[arg-type]
    assert [number for number, _ in page.entries] == [3, 2, 1]


def test_what_was_worked_out_does_not_stay_for_ever() -> None:
    """A large draft's every revision is read: those of an hour ago are no longer held, nor what could not be read."""
    clock = TestClock()
    remembered = Remembered(clock)
    for number in range(50):
        clock.wait(minutes=1)
        remembered.get(("read", number), 600_000, lambda: "a playbook")
        with pytest.raises(ZeroDivisionError):
            remembered.get(("nonsense", number), 600_000, lambda: 1 // 0)
    assert len(remembered._known) <= 21
    assert len(remembered._making) <= 21


def test_what_is_typed_stands_in_no_entry_of_the_audit_log(site: Site) -> None:
    admin, log = site.browser("admin"), site.console.world.audit
    assert log is not None
    typed = "somebody@example.com"
    for name in ("", typed):
        admin.post("/experiences/switch", {"scope": "experience", "name": name, "off": "0", "reason": typed})
    admin.post("/experiences/switch", {"scope": "all", "name": "", "off": "1", "reason": typed})
    admin.post("/now/alerts/" + typed)
    admin.post("/experiments/code_field_for_discount_seekers/stop", {"reason": typed})
    entries = log.entries()
    assert [entry.action for _, entry in entries][-2:] == ["switch.off", "switch.off"]
    assert typed not in str(entries)


def test_whose_word_counts(site: Site) -> None:
    """Nobody approves by a second session, an old page, a lost role, or before an edit."""
    ann, bob = site.browser("marketer", name="ann"), site.browser("marketer", name="bob")
    console = site.console
    offers = console.versions.files(console.versions.find("live"))["offers.yaml"]
    draft = ann.post("/drafts", {"title": "x"}).headers["location"].rpartition("/")[2].partition("?")[0]
    at = f"/drafts/{draft}"

    def edit(said: str, revision: int) -> None:
        fields = {"file": "offers.yaml", "text": said, "revision": str(revision)}
        assert ann.post(at, fields).status_code == 303

    def publish(revision: int) -> int:
        return ann.post(f"{at}/publish", {"revision": str(revision), "message": ""}).status_code

    edit(re.sub(r"percent: (\d+)", lambda found: f"percent: {int(found[1]) + 1}", offers, count=1), 1)
    assert publish(2) == 409
    again = site.browser("marketer", name="ann")
    assert again.post(f"{at}/approve", {"revision": "2"}).status_code == 409
    assert bob.post(f"{at}/approve", {"revision": "1"}).status_code == 409
    assert bob.post(f"{at}/approve", {"revision": "2"}).status_code == 303
    edit(re.sub(r"percent: (\d+)", lambda found: f"percent: {int(found[1]) + 2}", offers, count=1), 2)
    assert publish(3) == 409
    assert bob.post(f"{at}/approve", {"revision": "3"}).status_code == 303
    person = console.people.get("bob")
    for lost in (replace(person, disabled=True), replace(person, grants=(Grant("marketer", "a", "live"),))):
        console.people.put(lost)
        assert publish(3) == 409
    console.people.put(person)
    assert publish(3) == 303
