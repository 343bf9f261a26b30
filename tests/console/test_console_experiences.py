"""Experiences: in the order they are tried, with who wins, what is strange, and kill switches."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
from msgspec.structs import replace
from tests.console.conftest import Site

from cashwrap.console.console import Options, open_console
from cashwrap.console.shop.looks import looks, week
from cashwrap.console.shop.winning import Wins, counted
from cashwrap.decide import NOTHING_KILLED
from cashwrap.declarations import Button, Field, Message, ScheduleDecl
from cashwrap.declarations import Options as Methods
from cashwrap.library import Engine, open_world
from cashwrap.model import Answer, Decision, Tenant
from cashwrap.playbook import load_playbook
from cashwrap.playbook.schedule import schedule_text
from cashwrap.publishing import draft_of
from cashwrap.records import Kept
from cashwrap.switches import Switches
from cashwrap.versions import Versions

HERE = Tenant()
HOSTILE = "<script>alert(1)</script>"


def go_live(site: Site) -> None:
    draft = draft_of(site.playbook)
    site.console.versions.keep(draft.playbook, draft.files)
    site.console.versions.go_live(draft.playbook.hash, "folder")


# --- the list ---


def test_the_list_is_in_the_order_in_which_experiences_are_tried(site: Site) -> None:
    page = site.browser("viewer").get("/experiences", placement="payment_methods").text
    names = ("invoice_first_for_regulars", "wallets_first_on_phones", "instant_methods_first_for_newcomers")
    places = [page.index(f">{name}<") for name in names]
    assert places == sorted(places)
    assert "thank_regulars" not in page
    assert "three_instalments" in site.browser("viewer").get("/experiences", q="instalments").text
    assert "off in the playbook" in site.browser("viewer").get("/experiences", q="instalments").text


def test_what_can_never_win_is_said(site: Site) -> None:
    file = site.playbook / "experiences.yaml"
    always = "experiences:\n  everyone_first:\n    in: home_hero\n    priority: 99\n    show: {text: {en: Hello}}\n"
    file.write_text(file.read_text().replace("experiences:\n", always, 1))
    shutil.rmtree(site.playbook / "expect")
    go_live(site)
    page = site.browser("viewer").get("/experiences", placement="home_hero").text
    assert "welcome_newcomers" in page
    assert "can never win" in page
    assert "can never win" in site.browser("viewer").get("/experiences/of/welcome_newcomers").text


def test_one_experience_in_every_language_with_its_condition_opened(site: Site) -> None:
    page = site.browser("viewer").get("/experiences/of/wallets_first_on_phones").text
    assert "Nothing to type" in page
    assert "Ohne Tippen" in page
    assert "What mobile means" in page
    assert "device.type" in page
    tested = site.browser("viewer").get("/experiences/of/code_field_for_discount_seekers").text
    assert "/console/default/live/experiments/code_field_for_discount_seekers" in tested
    assert site.browser("viewer").get("/experiences/of/none").status_code == 404


# --- switches ---


def test_switching_off_and_on_again_is_seen_at_once_and_noted(site: Site) -> None:
    browser = site.browser("marketer")
    person = site.console.people.get("marketer")
    site.console.people.put(replace(person, id="wl4iycww", display="Marek Lind"))  # as those who were invited
    fields = {"scope": "experience", "name": "thank_regulars", "off": "1", "reason": f"wrong price {HOSTILE}"}
    answer = browser.post("/experiences/switch", fields | {"back": "thank_regulars"})
    assert answer.headers["location"] == "/console/default/live/experiences/of/thank_regulars?done=off"
    kills = Switches(site.console.world.registry).kills(HERE)
    assert kills.experiences == {"thank_regulars"}
    for path in ("/experiences", "/experiences/of/thank_regulars"):
        page = browser.get(path).text
        assert "The experience thank_regulars is switched off." in page
        assert "by Marek Lind" in page
        assert "wrong price &lt;script&gt;" in page
        assert HOSTILE not in page
    assert site.console.world.audit is not None
    entry = site.console.world.audit.entries()[-1][1]
    assert (entry.actor, entry.action, entry.subject) == ("person:wl4iycww", "switch.off", "experience thank_regulars")
    browser.post("/experiences/switch", {"scope": "experience", "name": "thank_regulars", "off": "0"})
    assert Switches(site.console.world.registry).kills(HERE) == NOTHING_KILLED
    assert "is switched off" not in browser.get("/experiences").text


def test_everything_and_a_placement(site: Site) -> None:
    browser = site.browser("marketer")
    browser.post("/experiences/switch", {"scope": "placement", "name": "home_hero", "off": "1"})
    assert "The placement home_hero is switched off." in browser.get("/experiences/of/welcome_back").text
    browser.post("/experiences/switch", {"scope": "all", "name": "", "off": "1"})
    page = browser.get("/experiences/of/thank_regulars").text
    assert "Everything is switched off." in page
    assert "switched off" in browser.get("/experiences").text
    with open_world(site.folder) as world:
        engine = Engine(load_playbook(site.playbook), world=world)
        phone = {"device": {"type": "mobile"}}
        assert engine.decide("checkout_layout", context=phone)["checkout_layout"] is None
        browser.post("/experiences/switch", {"scope": "all", "name": "", "off": "0"})
        engine.core.refresh()
        assert engine.decide("checkout_layout", context=phone)["checkout_layout"] is not None
        engine.close()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": "experience", "name": "none", "off": "1"}, 404),
        ({"scope": "placement", "name": "none", "off": "1"}, 404),
        ({"scope": "all", "name": "x", "off": "1"}, 400),
        ({"scope": "world", "name": "x", "off": "1"}, 400),
    ],
)
def test_what_cannot_be_switched_says_so(site: Site, fields: dict[str, str], status: int) -> None:
    assert site.browser("marketer").post("/experiences/switch", fields).status_code == status
    assert Switches(site.console.world.registry).of(HERE) == []


def test_stopping_needs_its_permission_here(site: Site) -> None:
    fields = {"scope": "all", "name": "", "off": "1"}
    assert site.browser("analyst").post("/experiences/switch", fields).status_code == 403
    assert site.browser("marketer", name="m2", store="other").post("/experiences/switch", fields).status_code == 403
    assert "Switch everything off" not in site.browser("viewer").get("/experiences").text
    site.browser("marketer", name="m3", store="other").post("/console/other/live/experiences/switch", fields)
    assert "Everything is switched off" not in site.browser("viewer").get("/experiences").text


# --- who wins ---


def test_wins_are_counted_from_kept_decisions(site: Site) -> None:
    file = site.playbook / "shop.yaml"
    file.write_text(re.sub("decision_records:.*", "decision_records: 100%", file.read_text()))
    go_live(site)
    with open_world(site.folder) as world:
        engine = Engine(load_playbook(site.playbook), world=world)
        for number in range(60):
            who = f"shopper {number}"
            engine.consent({"personalization": True}, anonymous_id=who)
            kind = "mobile" if number < 40 else "desktop"
            engine.decide("checkout_layout", anonymous_id=who, context={"device": {"type": kind}})
        engine.consent({"personalization": True}, anonymous_id="last")  # the writer keeps what was handed over
        engine.close()
    page = site.browser("viewer").get("/experiences", placement="checkout_layout").text
    assert "From 60 kept decisions" in page
    assert "67%" in page


def test_outcomes_are_read_by_the_names_of_their_playbook(site: Site) -> None:
    playbook = load_playbook(site.playbook)
    names = playbook.experiences.names
    number = [each.name for each in names.experiences].index("code_field_for_discount_seekers")
    place = names.placements.index("checkout_help")
    answers = {"checkout_help": Answer(None, None, None, "control")}
    decision = Decision(playbook.hash, answers, "profile", exposures=((place, number, 2, 5_000, 1),))
    kept = [Kept("", None, NOTHING_KILLED, 0, 0, decision)] * 3  # type: ignore[arg-type]
    found = counted(kept, {playbook.hash: names})
    assert found.kept_back("code_field_for_discount_seekers") == {"control": 3}
    assert found.reasons("checkout_help") == {"control": 3}
    assert counted(kept, {}).back == {}
    assert counted([], {}) == Wins()


# --- looks and weeks ---


def test_looks_of_every_component() -> None:
    message = Message({"en": "Hello", "de": "Hallo"}, None, {"formal": {"de": "Guten Tag"}})
    assert [(each.language, each.tone, each.content["text"]) for each in looks(message)] == [
        *(("de", "", "Hallo"), ("de", "formal", "Guten Tag"), ("en", "", "Hello")),
    ]
    methods = Methods(
        first=("paypal",), last=("bank",), highlight=("card",), hide=("cash",), rename={"card": {"en": "Card"}}
    )
    shown = looks(methods)[0].content
    assert [each["name"] for each in shown["options"]] == ["paypal", "Card", "…", "bank"]
    assert shown["hidden"] == ["cash"]
    assert looks(Field("collapse"))[0].content == {"type": "field", "state": "collapse", "prefill": None}
    assert looks(Button({"fr": "Payer"}))[0].language == "fr"


def test_a_week_agrees_with_the_condition_that_a_schedule_is() -> None:
    night = week(ScheduleDecl(days=(5,), hours=(22, 2)))
    assert [each.hours for each in night] == [(), (), (), (), ((22, 24),), ((0, 2),), ()]
    assert "shop_time.hour >= 22" in schedule_text(ScheduleDecl(days=(5,), hours=(22, 2)), "UTC")
    assert [each.hours for each in week(ScheduleDecl(hours=(9, 18)))] == [((9, 18),)] * 7
    assert week(ScheduleDecl(days=(7,)))[6].hours == ((0, 24),)
    assert [each.hours for each in week(ScheduleDecl(hours=(22, 0)))] == [((22, 24),)] * 7


# --- a large shop ---


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A thousand experiences in two placements, one with hostile texts."""
    folder = tmp_path_factory.mktemp("large")
    playbook = folder / "playbook"
    playbook.mkdir()
    text = "".join(
        f"  e{number:04}:\n    in: {'hero' if number % 2 else 'foot'}\n    when: cart.total > {number}\n"
        f"    priority: {number}\n    show:\n      text: {{en: Hello}}\n"
        for number in range(1_000)
    )
    hostile = msgspec.json.encode(HOSTILE + chr(0x202E) + "x" * 150).decode()
    (playbook / "shop.yaml").write_text(
        f"placements:\n  hero: {{component: message}}\n  foot: {{component: message}}\nexperiences:\n{text}"
        "  zz:\n    in: hero\n    schedule: {days: [mon, fri], hours: 22-2}\n"
        f"    show:\n      text:\n        en: {hostile}\n"
    )
    with open_world(folder / "data", make=True) as world:
        versions, draft = Versions(world.registry, world.clock), draft_of(playbook)
        versions.keep(draft.playbook, draft.files)
        versions.go_live(draft.playbook.hash, "folder")
    with ExitStack() as opened:
        console = opened.enter_context(open_console(Options(folder / "data", playbook)))
        yield Site(console, folder / "data", playbook, opened)


def test_a_long_list_is_paged_highest_priority_first(large: Site) -> None:
    browser = large.browser("viewer")
    page = browser.get("/experiences", placement="hero").text
    assert page.index(">e0999<") < page.index(">e0997<")
    assert page.count("/experiences/of/") == 50
    assert "placement=hero&amp;after=50" in page
    assert "1 to 50 of 501" in page


def test_hostile_texts_stay_texts_and_a_schedule_is_drawn(large: Site) -> None:
    page = large.browser("viewer").get("/experiences/of/zz").text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert page.count('class="runs"') == 4
    assert page.count('class="now"') == 1
