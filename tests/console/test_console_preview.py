"""A draft beside what is live: to whoever one makes up, or as a shopper. Nothing is stored by looking."""

import re

import pytest
from tests.console.conftest import Browser, Site

from cashwrap.console.drafts.drafts import Drafts
from cashwrap.editing import splice
from cashwrap.model import Tenant

HOSTILE = "<script>alert(1)</script>\"'\u202e"


def begun(site: Site, **changed: object) -> str:
    """A draft with one experience on top of the starter's."""
    live = site.console.versions.find("live")
    files = site.console.versions.files(live)
    entry = {"in": "basket_message", "when": 'cart.total >= 100 && "high_value" in segments', "priority": 900,
             "variations": {"warm": {"text": {"en": "Warm words."}}, "cool": {"text": {"en": "Cool words."}}},
             "experiment": {"arms": {"control": "50%", "warm": "25%", "cool": "25%"}}} | changed  # fmt: skip
    entry = {key: value for key, value in entry.items() if value is not None}
    world = site.console.world
    drafts = Drafts(world.registry, world.clock, world.random)
    return drafts.begin("person:x", "x", live, splice.put(files, "experiences", "words", entry)).id


def pair(browser: Browser, draft: str, placement: str = "Basket message", **query: str) -> tuple[str, str]:
    """What a placement shows in the draft and live."""
    page = browser.get(f"/drafts/{draft}/preview", **query)
    assert page.status_code == 200, page.text
    found = re.search(rf"<h2><bdi>{placement}</bdi>(.*?)</section>", page.text, re.DOTALL)
    assert found is not None
    sides = [each.partition("<details")[0] for each in found[1].split("<h3>")[1:]]
    return sides[0], sides[1]


def test_segments_by_decree_and_the_cart_decide_what_is_seen(site: Site) -> None:
    mia, draft = site.browser("marketer"), begun(site, experiment=None, variations=None, show={"text": "Our words."})
    new, old = pair(mia, draft, total="120")
    assert "Our words." not in new
    assert "free_delivery_reached" in new and "free_delivery_reached" in old  # noqa: PT018 - both sides are alike
    new, old = pair(mia, draft, total="120", inside="high_value")
    assert "Our words." in new
    assert "Our words." not in old
    new, _ = pair(mia, draft, total="99", inside="high_value")
    assert "Our words." not in new
    new, _ = pair(mia, draft, total="120", inside="high_value", outside="high_value")
    assert "Our words." not in new


def test_an_arm_can_be_chosen_and_else_is_drawn(site: Site) -> None:
    mia, draft = site.browser("marketer"), begun(site)
    seen = {arm: pair(mia, draft, experience="words", arm=arm)[0] for arm in ("warm", "cool", "control")}
    assert "Warm words." in seen["warm"]
    assert "Cool words." in seen["cool"]
    assert "words." not in seen["control"]
    drawn = {
        next((word for word in ("Warm", "Cool") if word in pair(mia, draft, **query)[0]), "none")
        for number in range(8)
        for query in [{"total": "120", "inside": "high_value", "number": str(number)}]
    }
    assert drawn == {"Warm", "Cool", "none"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"who": "new"}, "welcome_newcomers"),
        ({"who": "returning"}, "welcome_back"),
        ({"who": "nobody"}, "no experience fits"),
    ],
)
def test_who_comes_decides_what_the_first_page_says(site: Site, query: dict[str, str], expected: str) -> None:
    assert expected in pair(site.browser("viewer"), "new", "Home hero", **query)[0]


def test_device_country_time_and_language_are_taken(site: Site) -> None:
    mia = site.browser("marketer")
    assert "wallets_first_on_phones" in pair(mia, "new", "Payment methods", device="mobile", who="nobody")[0]
    assert "wallets_first" not in pair(mia, "new", "Payment methods", device="desktop", who="nobody")[0]
    evening = {"country": "de", "at": "2026-06-01T19:30"}
    assert "bike_courier_in_the_evening" in pair(mia, "new", "Delivery methods", **evening)[0]
    assert "bike_courier" not in pair(mia, "new", "Delivery methods", country="de", at="2026-06-01T09:30")[0]
    assert "Ab 50" in pair(mia, "new", "Home hero", locale="de")[0]
    assert "free_delivery_reached" in pair(mia, "new", cart="KC-1, 2, 30\nKC-2")[0]


def test_looking_leaves_nothing_behind(site: Site) -> None:
    mia, draft = site.browser("marketer"), begun(site)
    pair(mia, draft, experience="words", arm="warm", total="120")
    store = site.console.world.store
    assert store.population(Tenant()) == 0
    assert list(store.log()) == []
    assert store.decisions(Tenant()) == []


def test_a_shopper_needs_their_address_and_the_permission_to_look(site: Site) -> None:
    draft = begun(site)
    assert site.browser("marketer").get(f"/drafts/{draft}/preview", shopper="forged").status_code == 404
    assert site.browser("viewer").get(f"/drafts/{draft}/preview", shopper="forged").status_code == 403


def test_bad_input_is_told_and_harmless(site: Site) -> None:
    mia, draft = site.browser("marketer"), begun(site)
    odd = dict.fromkeys(("who", "device", "country", "locale", "page", "step", "number", "experience", "arm"), HOSTILE)
    page = mia.get(f"/drafts/{draft}/preview", **odd, at="2026-99-99T99:99", total="1e99", cart=HOSTILE, inside=HOSTILE)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert page.text.count('class="failure"') == 2
    assert "A line of the cart" in mia.get(f"/drafts/{draft}/preview", cart="a, many, 3").text
    huge = "\n".join(f"p{number}, 999999, 999999999999" for number in range(900))
    assert mia.get(f"/drafts/{draft}/preview", cart=huge).status_code == 200
    assert mia.get("/drafts/nope/preview").status_code == 404


def test_a_draft_with_a_mistake_says_so(site: Site) -> None:
    page = site.browser("marketer").get(f"/drafts/{begun(site, when='orders >')}/preview")
    assert page.status_code == 200
    assert "has a mistake" in page.text
