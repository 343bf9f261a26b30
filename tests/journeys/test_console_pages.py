"""Every page of the console as different people meet it: by ear, by keyboard, on a phone, in German, among hostile
names, beside somebody else, and when the connection goes.

One server for all of them, whose data are as hostile as they may be. Pages are found by their links (`console_walk`).
"""

from collections.abc import Iterator

import httpx
import pytest
from console_room import CONSENT, HERE, OWNER, Room, order, room
from console_walk import AXE, LOOKS, Found, barriers, listen_for_violations, shown_in, too_wide, violations, walk
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from conftest import DESKTOP, watched

pytestmark = pytest.mark.browser
EVIL = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'{{7*7}}\u202e" + "w" * 120


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(tmp_path_factory.mktemp("pages")) as opened:
        hostile(opened)
        yield opened


def hostile(shop: Room) -> None:
    """What anybody may write into an event, kept and failed."""
    viewed = {"product_id": EVIL[:60], "name": EVIL, "category": EVIL, EVIL[:40]: EVIL}
    shop.send(
        {"userId": EVIL},
        CONSENT,
        {"type": "identify", "traits": {"first_name": EVIL, "email": EVIL}},
        {"type": "track", "event": "Product Viewed", "properties": viewed},
        order(EVIL[:50], 249),
        {"type": "track", "event": EVIL, "properties": viewed},
        {"type": "track", "event": "Order Completed", "properties": {"order_id": "x", "subtotal": EVIL}},
        {"type": EVIL},
    )
    basket = {"cart": {"total": 94, "count": 1}, "locale": "en"}
    shop.post("/v1/decide", {"shopper": {"userId": EVIL}, "placements": ["basket_message"], "context": basket})


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """The owner's browser."""
    opened = chromium.new_context(
        user_agent=DESKTOP, locale="en", viewport={"width": 1280, "height": 860}, reduced_motion="reduce"
    )
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def owner(context: BrowserContext, shop: Room) -> Page:
    page = context.new_page()
    listen_for_violations(page)
    shop.become_owner(page)
    return page


def draft(page: Page, shop: Room, title: str) -> str:
    """A new one's address."""
    page.goto(f"{shop.url}{HERE}/drafts")
    page.fill("#f-title", title)
    page.click("button:has-text('Make the draft')")
    expect(page.locator("h1")).to_have_text(title)
    return page.url.partition("?")[0]


def shopper(page: Page, shop: Room) -> str:
    """The address of the hostile one, who has to be searched."""
    page.goto(f"{shop.url}{HERE}/shopper")
    page.fill("[name=who]", EVIL)
    page.select_option("[name=by]", "user")
    page.click("button:has-text('Find')")
    page.wait_for_url("**/shopper/*")
    return page.url


def test_every_page_is_for_everybody(owner: Page, shop: Room) -> None:
    """axe, in both themes and sizes; nothing runs that a name brought, and nothing is asked of another host."""
    assert AXE.exists(), "run npm ci in tests/clients"
    asked, complaints, wrong = set[str](), watched(owner), list[str]()
    owner.on("request", lambda request: asked.add(_host(request)))
    first = (draft(owner, shop, EVIL[:100]), shopper(owner, shop))
    found = list[Found]()
    for each in walk(owner, shop.url, first=first):
        found.append(each)
        wrong += [f"{each.name}: {barrier}" for barrier in barriers(owner)]
        shown_in(owner, dark=True, phone=True)
        wrong += [f"{each.name}, dark, on a phone: {barrier}" for barrier in barriers(owner, LOOKS)]
        if too_wide(owner):
            wrong.append(f"{each.name}: wider than a phone")
        shown_in(owner, dark=False, phone=False)
        wrong += [f"{each.name}: {stopped}" for stopped in violations(owner)]
    assert not wrong, "\n".join(wrong)
    assert len(found) > 30, [each.name for each in found]
    assert (complaints.dialogs, complaints.errors) == ([], [])
    assert asked == {httpx.URL(shop.url).netloc.decode()}
    assert not german(owner, found)


def _host(request: Request) -> str:
    return httpx.URL(request.url).netloc.decode() or "data"


def german(page: Page, found: list[Found]) -> list[str]:
    """Pages that long words make too wide for a phone."""
    base = found[0].address.partition("/console")[0]
    speak(page, base, "de")
    page.set_viewport_size({"width": 390, "height": 844})
    wide = list[str]()
    for each in found:
        page.goto(each.address)
        if too_wide(page):
            wide.append(each.name)
    page.set_viewport_size({"width": 1280, "height": 860})
    speak(page, base, "en")
    return wide


def speak(page: Page, base: str, language: str) -> None:
    """Change the person's language, on their own page."""
    page.goto(f"{base}/console/account")
    page.select_option("[name=language]", language)
    page.click("form[action='/console/account/look'] button")
    expect(page.locator("html")).to_have_attribute("lang", language)


def test_axe_finds_what_is_wrong(owner: Page, shop: Room) -> None:
    """A checker that cannot fail proves nothing."""
    owner.goto(f"{shop.url}{HERE}/shopper")
    owner.evaluate("() => { for (const label of document.querySelectorAll('main label')) label.remove(); }")
    assert any("label" in each or "select-name" in each for each in barriers(owner))
    owner.evaluate("() => { document.querySelector('main').style.width = '3000px'; }")
    assert too_wide(owner)


def test_without_a_mouse(owner: Page, shop: Room) -> None:
    """From signing in to a draft that is saved, by keys alone."""
    owner.goto(f"{shop.url}{HERE}/now")
    owner.keyboard.press("Tab")
    expect(owner.locator(".skip")).to_be_focused()
    owner.keyboard.press("Enter")
    expect(owner.locator("#content")).to_be_focused()
    owner.goto(f"{shop.url}{HERE}/now")
    tab_to(owner, ".menu a:has-text('Drafts')")
    owner.keyboard.press("Enter")
    expect(owner.locator("h1")).to_have_text("Drafts")
    tab_to(owner, "#f-title")
    owner.keyboard.type("By keys alone")
    owner.keyboard.press("Enter")
    expect(owner.locator("h1")).to_have_text("By keys alone")
    tab_to(owner, "button:has-text('Discard the draft')")
    owner.keyboard.press("Enter")
    expect(owner.locator("dialog[open] button").first).to_be_focused()  # what changes nothing is first
    owner.keyboard.press("Escape")
    expect(owner.locator("dialog")).to_have_count(0)
    tab_to(owner, ".drop.right summary")
    owner.keyboard.press("Enter")
    expect(owner.locator("a:has-text('Your account')")).to_be_visible()
    owner.keyboard.press("Escape")
    expect(owner.locator("a:has-text('Your account')")).not_to_be_visible()
    expect(owner.locator(".drop.right summary")).to_be_focused()


def tab_to(page: Page, selector: str) -> None:
    """By the tab key, and seen when it is there."""
    wanted = page.locator(selector).first
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("each => each === document.activeElement"):
            assert wanted.evaluate("each => getComputedStyle(each).outlineStyle !== 'none'")
            return
    raise AssertionError(f"no tab leads to {selector}")


def test_two_people_on_one_draft(owner: Page, context: BrowserContext, shop: Room) -> None:
    """Who saves second is told, and both texts are still there."""
    address = draft(owner, shop, "Two at once")
    other = context.new_page()
    other.goto(address)
    for page, text in ((owner, "# the first\n"), (other, "# the second\n")):
        area = page.locator("#f-text")
        area.fill(text + area.input_value())
        with page.expect_response(lambda answer: answer.request.method == "POST" and "/check" not in answer.url):
            page.locator("#text button.primary").click()
    expect(other.locator("main")).to_contain_text("the second")
    owner.goto(address)
    assert owner.locator("#f-text").input_value().startswith("# the first\n")
    other.close()


def test_a_lost_connection_loses_nothing(owner: Page, context: BrowserContext, shop: Room) -> None:
    draft(owner, shop, "On a train")
    owner.fill("#f-title", "On a slow train")
    rename = owner.locator("form:has(#f-title) button")
    context.set_offline(True)
    rename.click()
    expect(owner.locator("#notices .bad")).to_contain_text("Connection lost. What you entered is still here")
    assert owner.locator("#f-title").input_value() == "On a slow train"
    context.set_offline(False)
    rename.click()
    expect(owner.locator("h1")).to_have_text("On a slow train")
    expect(owner.locator("#notices .bad")).to_have_count(0)


def test_a_session_that_ended_loses_nothing(owner: Page, context: BrowserContext, shop: Room) -> None:
    """One signs in again elsewhere, and goes on here: last, for it ends the owner's session."""
    draft(owner, shop, "Before lunch")
    owner.fill("#f-title", "After lunch")
    kept = context.cookies()
    context.clear_cookies()
    rename = owner.locator("form:has(#f-title) button")
    rename.click()
    expect(owner.locator("#notices .bad")).to_contain_text("Your session has ended. What you entered is still here.")
    expect(owner.locator("#notices a")).to_have_attribute("href", "/console/login")
    assert owner.locator("#f-title").input_value() == "After lunch"
    context.add_cookies(kept)  # type: ignore[arg-type]
    rename.click()
    expect(owner.locator("h1")).to_have_text("After lunch")
    assert OWNER in owner.locator(".drop.right summary").inner_text()
