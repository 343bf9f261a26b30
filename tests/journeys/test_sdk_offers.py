"""An offer and what has to be said beside it: both or neither, in a real browser under a strict policy."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from recorder import SDK, Recorder, Reply, decision
from test_sdk_render import TAG, VIOLATIONS

from conftest import Complaints, watched

pytestmark = pytest.mark.browser

SAYS = "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA."
OFFER: dict[str, Any] = {
    "name": "welcome_back",
    "benefit": {"type": "percentage", "percent": "10"},
    "amount": "4.90",
    "currency": "EUR",
    "expires": 1_790_000_000_000,
    "personal": True,
    "disclosure": {"id": "us-ny-gbl-349-a", "text": SAYS},
    "token": "header.claims.signature",
}
PUBLIC = {name: value for name, value in OFFER.items() if name != "disclosure"} | {"personal": False}
MESSAGE = {"type": "message", "text": "10 % off for you", "locale": "en"}
HEARS = """window.heard = []; document.addEventListener("cashwrap:offer",
  ({detail, target}) => heard.push([target.dataset.cashwrapPlacement, detail?.token ?? null]));"""


@pytest.fixture
def server() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def page(browser_page: Page) -> Iterator[Page]:
    """Every test of this file also proves that nothing was complained about."""
    browser_page.add_init_script(VIOLATIONS)
    browser_page.add_init_script(HEARS)
    complaints: Complaints = watched(browser_page)
    yield browser_page
    assert complaints.errors == complaints.messages == complaints.dialogs == []
    assert browser_page.evaluate("() => window.violations") == []


def grant(server: Recorder, content: dict[str, Any] | None, offer: dict[str, Any] | None = OFFER) -> None:
    def answer(_: object) -> Reply:
        body = json.loads(decision({"x": content}).body)
        if offer is not None:
            body["placements"]["x"]["offer"] = offer
        return Reply(json.dumps(body))

    server.answers["/v1/decide"] = answer


def open_page(page: Page, server: Recorder, body: str, css: str = "") -> None:
    host = server.url
    policy = f"default-src 'none'; script-src {host}; connect-src {host}; style-src {host}; "
    policy += "require-trusted-types-for 'script'; trusted-types 'none'"
    server.files["/shop.css"] = css.encode()
    head = f'<title>Shop</title><link rel="stylesheet" href="/shop.css">{TAG}'
    html = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    server.pages["/shop"] = (html, {"Content-Security-Policy": policy})
    page.goto(f"{host}/shop")


def settled(page: Page) -> None:
    """Ask once more, and wait until the parts that are loaded on demand did what they do."""
    page.evaluate("() => cashwrap.decide()")
    page.evaluate("() => import('/sdk/0.1.0/offer.js').catch(() => {})")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def heard(page: Page) -> list[list[str | None]]:
    found: list[list[str | None]] = page.evaluate("() => window.heard")
    return found


PLACE = '<p id="x" data-cashwrap-placement="x">Standard delivery is free.</p>'
EVERY_COMPONENT = [
    pytest.param(PLACE, MESSAGE, id="message"),
    pytest.param(PLACE, {"type": "installments", "text": "3 x 66.00 EUR"}, id="installments"),
    pytest.param(
        '<ul id="x" data-cashwrap-placement="x"><li data-cashwrap-option="card">Card</li>'
        '<li data-cashwrap-option="paynow">PayNow</li></ul>',
        {"type": "options", "options": [{"id": "paynow", "highlight": True}, {"id": "card"}], "hidden": []},
        id="options",
    ),
    pytest.param(
        '<button id="x" data-cashwrap-placement="x">Buy</button>',
        {"type": "button", "text": "Buy for less"},
        id="button",
    ),
    pytest.param(
        '<details id="x" data-cashwrap-placement="x" open><summary>Code</summary>'
        '<input data-cashwrap-slot="field"></details>',
        {"type": "field", "state": "expand", "prefill": "WELCOME"},
        id="field",
    ),
    pytest.param(
        '<div id="x" data-cashwrap-placement="x"><input></div>',
        {"type": "help", "style": "inline", "text": "Yours for less"},
        id="help",
    ),
    pytest.param(
        '<div id="x" data-cashwrap-placement="x">a</div>', {"type": "layout", "tokens": {"accent": "red"}}, id="layout"
    ),
    pytest.param(
        '<div id="x" data-cashwrap-placement="x"></div>',
        {"type": "products", "items": [{"id": "KC-C01", "name": "Hand mill", "price": "€80.10"}]},
        id="products",
    ),
]


@pytest.mark.parametrize(("body", "content"), EVERY_COMPONENT)
def test_every_component_says_it_too(page: Page, server: Recorder, body: str, content: dict[str, Any]) -> None:
    grant(server, content)
    open_page(page, server, f"<main>{body}</main>")
    note = page.locator(".cw-disclosure")
    expect(note).to_have_text(SAYS)
    expect(note).to_be_visible()
    expect(note).to_have_attribute("role", "note")
    assert page.locator("#x").evaluate("(x, note) => x.contains(note) || x.nextSibling === note", note.element_handle())
    assert heard(page) == [["x", OFFER["token"]]]

    grant(server, None, None)
    page.evaluate("() => cashwrap.decide()")
    expect(note).to_have_count(0)
    left = page.evaluate("() => document.querySelector('main').innerHTML")
    assert re.sub(r' (class|style|open)=""', "", left) == body.replace(" open>", ">")
    assert heard(page) == [["x", OFFER["token"]], ["x", None]]


def test_a_slot_of_the_shop_takes_the_sentence(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE)
    inner = '<b data-cashwrap-slot="text">Default</b><i data-cashwrap-slot="disclosure" class="small" hidden></i>'
    open_page(page, server, f'<p id="x" data-cashwrap-placement="x">{inner}</p>')
    expect(page.locator("i.small.cw-disclosure")).to_have_text(SAYS)
    expect(page.locator("i.small")).to_be_visible()
    assert page.locator(".cw-disclosure").count() == 1


def test_a_new_token_reaches_the_page(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE)
    open_page(page, server, PLACE)
    expect(page.locator(".cw-disclosure")).to_be_visible()
    grant(server, MESSAGE, {**OFFER, "token": "a.newer.one"})
    settled(page)
    page.wait_for_function("() => heard.at(-1)[1] === 'a.newer.one'")
    assert page.locator(".cw-disclosure").count() == 1


def test_a_public_offer_needs_no_sentence(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE, PUBLIC)
    open_page(page, server, PLACE)
    expect(page.locator("#x")).to_have_text("10 % off for you")
    page.wait_for_function("() => heard.length === 1")
    assert page.locator(".cw-disclosure").count() == 0
    assert heard(page) == [["x", OFFER["token"]]]


def test_where_there_is_no_offer_its_part_is_not_loaded(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE, None)
    open_page(page, server, PLACE)
    expect(page.locator("#x")).to_have_text("10 % off for you")
    assert server.to("/sdk/0.1.0/offer.js") == []


# --- nothing of the offer without its sentence ---


@pytest.mark.parametrize(
    ("body", "css"),
    [
        pytest.param(PLACE.replace("<p ", '<p data-cashwrap-disclosure="none" '), "", id="a place that has no room"),
        pytest.param(PLACE, ".cw-disclosure { display: none }", id="not displayed"),
        pytest.param(PLACE, ".cw-disclosure { visibility: hidden }", id="hidden"),
        pytest.param(PLACE, ".cw-disclosure { opacity: 0 }", id="transparent"),
        pytest.param(PLACE, ".cw-disclosure { font-size: 4px }", id="too small to read"),
        pytest.param(PLACE, "#x { height: 20px; overflow: hidden }", id="cut off"),
        pytest.param(PLACE, ".cw-disclosure { position: absolute; width: 1px; overflow: hidden }", id="one pixel wide"),
        pytest.param(
            PLACE,
            ".cw-disclosure { color: #eee !important; background: #fff !important }",
            id="the colour of its paper",
        ),
    ],
)
def test_where_the_sentence_cannot_be_read_the_default_stands(
    page: Page, server: Recorder, body: str, css: str
) -> None:
    grant(server, MESSAGE)
    open_page(page, server, body, css)
    settled(page)
    expect(page.locator("#x")).to_have_text("Standard delivery is free.")
    assert page.locator(".cw-disclosure").count() == 0
    assert heard(page) in ([], [["x", OFFER["token"]], ["x", None]])


@pytest.mark.parametrize("disclosure", [None, {"id": "x"}, {"id": "x", "text": ""}, "text", {"text": 7}])
def test_a_personal_offer_that_says_nothing_is_not_shown(page: Page, server: Recorder, disclosure: object) -> None:
    grant(server, MESSAGE, {**OFFER, "disclosure": disclosure})
    open_page(page, server, PLACE)
    settled(page)
    expect(page.locator("#x")).to_have_text("Standard delivery is free.")
    assert heard(page) == []


def test_where_its_part_does_not_load_the_default_stands(page: Page, server: Recorder) -> None:
    page.route("**/offer.js", lambda route: route.abort())
    grant(server, MESSAGE)
    open_page(page, server, PLACE)
    settled(page)
    expect(page.locator("#x")).to_have_text("Standard delivery is free.")


@pytest.mark.parametrize(
    "deed",
    [
        "note.remove()",
        "note.textContent = 'A price just for you!'",
        "note.hidden = true",
        "note.style.display = 'none'",
        "note.style.fontSize = '3px'",
        "note.style.color = 'rgba(0, 0, 0, 0)'",
        "note.className = 'invisible'",
        "note.firstChild.data = ''",
        "Object.assign(note.parentElement.style, {height: '12px', overflow: 'hidden'})",
    ],
)
def test_who_takes_the_sentence_away_takes_the_offer_away(page: Page, server: Recorder, deed: str) -> None:
    grant(server, MESSAGE)
    open_page(page, server, PLACE, ".invisible { opacity: 0 }")
    expect(page.locator(".cw-disclosure")).to_be_visible()
    page.evaluate(f"() => {{ const note = document.querySelector('.cw-disclosure'); {deed} }}")
    expect(page.locator("#x")).to_have_text("Standard delivery is free.")
    assert heard(page)[-1] == ["x", None]


@pytest.mark.parametrize(
    ("line", "bug"),
    [
        ("contrast(note) >= CONTRAST", "true"),
        ("if (personal || disclosure)", "if (disclosure && !personal)"),
    ],
)
def test_a_planted_bug_shows_the_offer_without_its_sentence(page: Page, server: Recorder, line: str, bug: str) -> None:
    """What the tests above look for is there to be found."""
    source = (SDK / "offer.js").read_text()
    assert line in source
    server.files["/sdk/0.1.0/offer.js"] = source.replace(line, bug).encode()
    grant(server, MESSAGE)
    open_page(page, server, PLACE, ".cw-disclosure { color: #eee !important; background: #fff !important }")
    page.wait_for_function("() => heard.length > 0")
    expect(page.locator("#x")).to_contain_text("10 % off for you")
    assert page.locator(".cw-disclosure").count() == 0 or contrast(page) < 4.5


def test_light_words_on_a_light_ground_get_the_reader_s_own_colours(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE)
    open_page(page, server, PLACE, "body { background: #fff } #x { color: #ddd }")
    note = page.locator(".cw-disclosure")
    expect(note).to_be_visible()
    assert contrast(page) >= 4.5


def test_words_that_can_be_read_stay_as_the_shop_has_them(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE)
    open_page(page, server, PLACE, "#x { color: #f3e9d8; background: #2f4a3c }")
    expect(page.locator(".cw-disclosure")).to_be_visible()
    assert page.locator(".cw-disclosure").evaluate("(note) => note.getAttribute('style')") is None
    assert contrast(page) >= 4.5


def test_a_folded_place_says_it_when_it_is_opened(page: Page, server: Recorder) -> None:
    grant(server, MESSAGE)
    open_page(page, server, f"<details><summary>More</summary>{PLACE}</details>")
    expect(page.locator(".cw-disclosure")).to_have_text(SAYS)
    expect(page.locator(".cw-disclosure")).not_to_be_visible()
    page.locator("summary").click()
    expect(page.locator(".cw-disclosure")).to_be_visible()
    expect(page.locator("#x")).to_contain_text("10 % off for you")


def contrast(page: Page) -> float:
    """By another road than the SDK's: what the pixels of the sentence are, darkest against lightest."""
    shot = page.locator(".cw-disclosure").screenshot()
    return float(
        page.evaluate(
            """async (data) => {
      const bitmap = await createImageBitmap(new Blob([new Uint8Array(data)], {type: "image/png"}));
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      canvas.drawImage(bitmap, 0, 0);
      const {data: pixels} = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
      const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      const lights = [];
      for (let i = 0; i < pixels.length; i += 4)
        lights.push(0.2126 * linear(pixels[i]) + 0.7152 * linear(pixels[i + 1]) + 0.0722 * linear(pixels[i + 2]));
      lights.sort((a, b) => a - b);
      return (lights.at(-1) + 0.05) / (lights[0] + 0.05);
    }""",
            list(shot),
        )
    )
