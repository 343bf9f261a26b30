"""Drafts by forms: everything can be entered, what was typed is not lost, and the rest of the text stays as it was."""

import html
import re
from typing import Any

import pytest
from httpx2 import Response
from tests.console.conftest import Browser, Site

from cashwrap.console.drafts.drafts import Draft, Drafts
from cashwrap.editing import splice
from cashwrap.model import Tenant
from cashwrap.playbook import examine
from cashwrap.versions import playbook_files

HOSTILE = "<script>alert(1)</script>\"'\u202e" + "x" * 200


def drafts_of(site: Site) -> Drafts:
    world = site.console.world
    return Drafts(world.registry, world.clock, world.random)


def draft_of(site: Site) -> tuple[Draft, dict[str, str]]:
    """The one draft, with its texts."""
    drafts = drafts_of(site)
    (draft,) = drafts.open()
    return draft, drafts.files(draft)


def said(site: Site, section: str, name: str) -> Any:
    found = splice.entry(draft_of(site)[1], section, name)
    return found.value if found is not None else None


def inputs(page: Response) -> dict[str, list[str]]:
    """What a browser would send of the form as it stands, without its buttons."""
    form = page.text[page.text.index('<form id="form"') :].partition("</form>")[0]
    found: dict[str, list[str]] = {}
    for tag in re.finditer(
        r"<input ([^>]*)>|<textarea ([^>]*)>(.*?)</textarea>|<select ([^>]*)>(.*?)</select>", form, re.DOTALL
    ):
        marks = tag[1] or tag[2] or tag[4]
        name = re.search(r' ?name="([^"]*)"', marks)
        if name is None or (re.search(r'type="checkbox"', marks) and "checked" not in marks):
            continue
        if tag[4] is not None:
            chosen = re.search(
                r'<option(?: value="([^"]*)")? selected>([^<]*)|<option value="([^"]*)" selected', tag[5]
            )
            first = re.search(r'<option value="([^"]*)"', tag[5])
            value = (
                next((each for each in (chosen.groups() if chosen else ()) if each), "")
                if chosen
                else (first[1] if first else "")
            )
        else:
            value = tag[3] if tag[2] is not None else (re.search(r' value="([^"]*)"', marks) or ["", ""])[1]
        found.setdefault(html.unescape(name[1]), []).append(html.unescape(value))
    return found


def send(browser: Browser, path: str, page: Response, do: str = "save", **changes: str) -> Response:
    """Send a page's form with some inputs changed (``.`` is written ``__``)."""
    fields = inputs(page) | {name.replace("__", "."): [value] for name, value in changes.items()}
    return browser.post(path, {**fields, "do": do})


def written(page: Response) -> str:
    found = re.search(r'<pre class="yaml">(.*?)</pre>', page.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


# --- the journey without YAML ---


def test_a_segment_and_an_experiment_without_a_line_of_yaml(site: Site) -> None:
    mia = site.browser("marketer")
    begun = mia.get("/drafts/new", segment="new")
    assert begun.headers["location"] == "/console/default/live/drafts/new/segments/new"
    assert drafts_of(site).open() == []  # looking makes no draft
    page = mia.get("/drafts/new/segments/new")
    page = send(mia, "/drafts/new/segments/new", page, "row:c", name="Große Körbe")
    page = send(mia, "/drafts/new/segments/new", page, "check", c__0__attribute="cart.total")
    assert "is at least" in page.text
    assert "EUR" in page.text
    saved = send(mia, "/drafts/new/segments/new", page, c__0__value="100", e__description="Large carts")
    draft, files = draft_of(site)
    assert saved.headers["location"].endswith(f"/drafts/{draft.id}/segments/grosse_koerbe?done=begun")
    assert said(site, "segments", "grosse_koerbe") == {"description": "Large carts", "when": "cart.total >= 100"}

    here = f"/drafts/{draft.id}/experiences/new"
    assert mia.get("/drafts/new", experience="new").headers["location"].endswith(here)
    page = send(mia, here, mia.get(here), "check", e__in="basket_message", name="Gift wrap")
    page = send(mia, here, page, "row:c", v__0__show__text__en="Free wrapping.", v__0__show__text__de="Geschenkt.")
    page = send(mia, here, page, "check", c__0__attribute="segments")
    page = send(mia, here, page, "experiment", c__0__value="grosse_koerbe")
    assert "Usual values" in page.text
    assert "control: 50%" in written(page)
    saved = send(mia, here, page)
    assert saved.status_code == 303, saved.text
    entry = said(site, "experiences", "gift_wrap")
    assert entry["when"] == '"grosse_koerbe" in segments'
    assert entry["priority"] == 70  # before all others there
    assert entry["experiment"]["design"] == {"days": 28, "looks": 4, "window": "7d", "detect": "5%"}
    playbook, faults = examine(playbook_files(draft_of(site)[1]))
    assert playbook is not None, faults
    assert playbook.declarations.experiences["gift_wrap"].experiment is not None
    actions = [entry.action for _, entry in site.console.world.audit.entries()]
    assert [action for action in actions if action.startswith("draft.")] == ["draft.begin", "draft.save"]
    live = site.console.versions.files(site.console.versions.find("live"))
    assert {name: text for name, text in files.items() if live[name] != text}.keys() == {"shoppers.yaml"}


# --- every form, sent as it is, changes nothing ---


@pytest.mark.parametrize("section", ["segments", "experiences", "offers", "features"])
def test_a_form_sent_as_it_was_shown_changes_no_byte(site: Site, section: str) -> None:
    mia, live = site.browser("marketer"), site.console.versions.find("live")
    files = site.console.versions.files(live)
    drafts_of(site).begin("person:x", "x", live, files)
    draft, _ = draft_of(site)
    for name in splice.names(files, section)[::4]:
        path = f"/drafts/{draft.id}/{section}/{name}"
        page = mia.get(path)
        assert page.status_code == 200
        answer = send(mia, path, page)
        assert answer.status_code == 303, (name, answer.text)
    assert draft_of(site) == (draft, files)


def test_what_the_form_does_not_know_stays(site: Site) -> None:
    live = site.console.versions.find("live")
    files = site.console.versions.files(live) | {"own.yaml": OWN}
    drafts_of(site).begin("person:x", "x", live, files)
    draft, _ = draft_of(site)
    path = f"/drafts/{draft.id}/experiences/by_hand"
    mia = site.browser("marketer")
    answer = send(mia, path, mia.get(path), v__0__show__tone="calm")
    assert answer.status_code == 303
    assert draft_of(site)[1]["own.yaml"] == OWN.replace("    enabled", "      tone: calm\n    enabled")


OWN = """# ours
experiences:
  by_hand:     # with a word
    in: basket_message
    when: 200 < cart.total   # as we write it
    show:
      text: "Two {cart.count, plural, one {a} other {b}}"   # kept
    enabled: true
"""


# --- mistakes ---


def test_messages_stand_at_their_fields_and_nothing_typed_is_lost(site: Site) -> None:
    mia = site.browser("marketer")
    path = "/drafts/new/experiences/new"
    page = send(mia, path, mia.get(path), "check", e__in="accessories", name="Some products")
    answer = send(mia, path, page, v__0__show__from="category", v__0__show__limit="many", e__schedule__hours="always")
    assert answer.status_code == 422
    assert drafts_of(site).open() == []
    kept = inputs(answer)
    assert kept["v.0.show.limit"] == ["many"]
    assert kept["e.schedule.hours"] == ["always"]
    assert kept["name"] == ["Some products"]
    for name in ("v.0.show.limit", "e.schedule.hours"):
        assert re.search(rf'id="h-{re.escape(name)}"><strong>', answer.text), name
    again = send(mia, path, answer, v__0__show__limit="3", e__schedule__hours="9-18", v__0__show__category="coffee")
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "Give it a name."),
        ({"name": "new"}, "This word stands for one that is not there yet"),
        ({"name": "high_value"}, "There is already one of this name"),
        ({"text": "orders >"}, "the condition ends here"),
        ({"text": ""}, "A segment needs a condition"),
        ({"text": "cart.totl > 5"}, "did you mean cart.total?"),
        ({"text": "cart.total > 1.234"}, "2 digits after the point"),
    ],
)
def test_a_segment_that_is_not_whole_is_not_saved(site: Site, changes: dict[str, str], message: str) -> None:
    mia, path = site.browser("marketer"), "/drafts/new/segments/new"
    page = send(mia, path, mia.get(path), "check", name="fine", text="orders > 1")
    answer = send(mia, path, page, **changes)
    assert answer.status_code == 422
    assert message in html.unescape(answer.text)
    assert drafts_of(site).open() == []
    for name, value in changes.items():
        assert inputs(answer)[name] == [value]


def test_two_people_on_one_draft_the_second_is_told(site: Site) -> None:
    mia, tom = site.browser("marketer", name="mia"), site.browser("marketer", name="tom")
    path = "/drafts/new/segments/mobile"
    saved = send(mia, path, mia.get(path), e__description="Phones.")
    path = saved.headers["location"].partition("?")[0]
    of_tom = tom.get(path)
    assert send(mia, path, mia.get(path), e__description="Phones, by Mia.").status_code == 303
    answer = send(tom, path, of_tom, e__description="Phones, by Tom.")
    assert answer.status_code == 409
    assert "draft_moved" in answer.text
    assert said(site, "segments", "mobile")["description"] == "Phones, by Mia."


# --- both ways between rows and text ---


def test_the_text_changes_the_rows_and_the_rows_the_text(site: Site) -> None:
    mia, path = site.browser("marketer"), "/drafts/new/segments/new"
    page = send(mia, path, mia.get(path), "check", text='orders > 1 || (subscribed || "vip" in segments) && now > 5')
    page = send(mia, path, page, "check", text='orders > 1 && !("mobile" in segments)')
    fields = inputs(page)
    assert fields["c.0.attribute"] == ["orders"]
    assert fields["c.1.operator"] == ["has_not"]
    page = send(mia, path, page, "up:c.1")
    assert inputs(page)["text"] == ['!("mobile" in segments) && orders > 1']
    page = send(mia, path, page, "remove:c.0")
    assert inputs(page)["text"] == ["orders > 1"]
    page = send(mia, path, page, "group:c")
    assert inputs(page)["c.1.kind"] == ["any"]
    page = send(mia, path, page, "check", c__1__0__attribute="device.type", c__kind="none")
    page = send(mia, path, page, "check", c__1__0__value="mobile")
    assert inputs(page)["text"] == ['!(orders > 1 || device.type == "mobile")']
    assert re.search(r"<select[^>]*autofocus", send(mia, path, page, "row:c").text)


# --- variations, renaming, removing ---


def test_a_second_variation_makes_arms_for_both(site: Site) -> None:
    mia, path = site.browser("marketer"), "/drafts/new/experiences/welcome_newcomers"
    page = send(mia, path, mia.get(path), "variation")
    page = send(mia, path, page, "experiment", v__0__name="warm", v__1__name="cool")
    assert "arms: {control: 33.34%, warm: 33.33%, cool: 33.33%}" in written(page)
    page = send(mia, path, page, "check", v__1__name="calm", x__share__control="50", x__share__0="25", x__share__1="25")
    assert send(mia, path, page).status_code == 303
    entry = said(site, "experiences", "welcome_newcomers")
    assert list(entry["variations"]) == ["warm", "calm"]
    assert entry["experiment"]["arms"] == {"control": "50%", "warm": "25%", "calm": "25%"}


def test_renaming_and_removing_tell_who_names_it(site: Site) -> None:
    mia, path = site.browser("marketer"), "/drafts/new/segments/high_value"
    saved = send(mia, path, mia.get(path), e__description="Regulars.")
    path = saved.headers["location"].partition("?")[0]
    page = mia.get(path)
    assert "thank_regulars_by_name" in page.text
    draft, _ = draft_of(site)
    done = mia.post(path, {"do": "rename", "new_name": "Our regulars", "revision": str(draft.revision)})
    assert done.headers["location"].endswith("/segments/our_regulars?done=renamed")
    assert said(site, "segments", "high_value") is None
    draft, _ = draft_of(site)
    mia.post(done.headers["location"].partition("?")[0], {"do": "remove", "revision": str(draft.revision)})
    assert said(site, "segments", "our_regulars") is None


# --- bad input ---


def test_hostile_names_and_texts_are_harmless(site: Site) -> None:
    mia, path = site.browser("marketer"), "/drafts/new/experiences/new"
    page = send(mia, path, mia.get(path), "check", e__in="basket_message", name=HOSTILE[:90])
    page = send(mia, path, page, "written:c", v__0__show__text__en=HOSTILE, e__offer=HOSTILE)
    page = send(mia, path, page, "check", c__0__text=HOSTILE)
    assert "<script>alert" not in page.text
    assert inputs(page)["v.0.show.text.en"] == [HOSTILE]
    assert inputs(page)["c.0.text"] == [HOSTILE]
    for address in ("/drafts/new/segments/%3Cscript%3E", "/drafts/nope/segments/new", "/drafts/new/offers/..%2F"):
        answer = mia.get(address)
        assert answer.status_code == 404, address
        assert "<script>" not in answer.text
    deep = {f"c{'.0' * depth}.kind": "all" for depth in range(30)}
    assert mia.post(path, {**deep, "do": "check", "name": "x"}).status_code == 200
    odd = {
        "do": "remove:c.99.99.99",
        "c.kind": "sideways",
        "c.0.attribute": "x[*]",
        "c.0.operator": "~",
        "e.tiers.999": "1",
    }
    assert mia.post(path, odd).status_code == 200


def test_a_broken_draft_can_still_be_edited(site: Site) -> None:
    live = site.console.versions.find("live")
    files = site.console.versions.files(live) | {"broken.yaml": "segments:\n  bad: orders >\n  - odd"}
    drafts_of(site).begin("person:x", "x", live, files)
    draft, _ = draft_of(site)
    mia, path = site.browser("marketer"), f"/drafts/{draft.id}/segments/mobile"
    assert send(mia, path, mia.get(path), e__description="Phones.").status_code == 303
    assert "mistake elsewhere" in mia.get(f"/drafts/{draft.id}/fit", when="orders > 1").text


def test_only_who_may_write_drafts_sees_forms(site: Site) -> None:
    assert site.browser("viewer").get("/drafts/new/segments/new").status_code == 403
    assert site.browser("viewer").get("/drafts/new/preview").status_code == 200


# --- for how many ---


def test_how_many_it_holds_for_is_told_and_few_are_hidden(site: Site) -> None:
    mia = site.browser("marketer")
    few = mia.part("/drafts/new/fit", when="orders == 0")
    assert "fewer than 20" in few.text
    assert "<html" not in few.text
    assert "<html" in mia.get("/drafts/new/fit", when="orders == 0").text
    assert "for everyone" in mia.part("/drafts/new/fit", when="").text
    assert "Once the condition is whole" in mia.part("/drafts/new/fit", when="orders >").text
    assert "too long" in mia.part("/drafts/new/fit", when="o" * 5_000).text
    assert site.console.world.store.population(Tenant()) == 0


def test_very_many_segments_are_offered_and_not_listed(site: Site) -> None:
    live = site.console.versions.find("live")
    many = "segments:\n" + "".join(f"  s{number}: orders > {number}\n" for number in range(2_000))
    drafts_of(site).begin("person:x", "x", live, site.console.versions.files(live) | {"many.yaml": many})
    draft, _ = draft_of(site)
    mia, path = site.browser("marketer"), f"/drafts/{draft.id}/segments/new"
    page = send(mia, path, mia.get(path), "check", name="x", text='"s1999" in segments && "s1" in segments')
    assert inputs(page)["c.0.value"] == ["s1999"]
    assert len(re.findall(r'<option value="s[0-9]', page.text)) <= 2 * 300
    assert len(mia.get(f"/drafts/{draft.id}/preview").text) < 200_000
