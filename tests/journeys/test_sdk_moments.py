"""The moments the browser SDK reports and respects: seen, sent away, typing a card number, previewed."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from recorder import Recorder, Reply, decision

from conftest import Complaints, watched

pytestmark = pytest.mark.browser

TAG = """<script type="module" src="/sdk/0.1.0/cashwrap.min.js" data-cashwrap-key="cwp_test_1_x"
  data-cashwrap-timeout="5000" {}></script>"""
BANNER = """<div data-cashwrap-placement="banner"><span data-cashwrap-slot="text">Free returns.</span>
<button data-cashwrap-dismiss>x</button></div>"""
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
LATER = "() => new Promise((done) => setTimeout(done, 600))"
"""More than two looks of the SDK at where the focus is."""


@pytest.fixture
def server() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def complaints(browser_page: Page) -> Iterator[Complaints]:
    """Every test of this file also proves that nothing was complained about."""
    complaints = watched(browser_page)
    yield complaints
    assert complaints.errors == complaints.messages == []


def banner(text: str) -> dict[str, Any]:
    return {"type": "message", "text": text, "locale": "en"}


def visit(page: Page, server: Recorder, body: str = BANNER, *, query: str = "", attributes: str = "") -> None:
    """Open a page of the shop, under the strictest policy that has a frame in it."""
    host = server.url
    headers = {
        "Content-Security-Policy": f"default-src 'none'; script-src {host}; connect-src {host}; "
        f"frame-src {host}; img-src data:; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    }
    head = f'<title>Shop</title><link rel="icon" href="data:,">{TAG.format(attributes)}'
    html = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    server.pages["/shop"] = (html, headers)
    page.goto(f"{host}/shop{query}")


def consent(page: Page, server: Recorder, **choices: bool) -> None:
    """Grant, and wait until what follows from it is decided."""
    asked = len(server.to("/v1/decide"))
    page.evaluate("(choices) => cashwrap.consent.set(choices)", choices or {"personalization": True})
    server.wait(lambda: len(server.to("/v1/decide")) > asked)
    page.evaluate("() => cashwrap.decide()")


def says(page: Page, text: str) -> None:
    page.wait_for_function("(t) => document.querySelector('[data-cashwrap-slot=text]').textContent === t", arg=text)


def moments(page: Page, server: Recorder, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The exposures and dismissals of a page, when it has been left: ``count`` are waited for, all are told.

    How long the page waited is in every one, and taken out here: no two runs say the same.
    """

    def told() -> list[tuple[str, dict[str, Any]]]:
        of = [event for event in server.events() if str(event.get("event")).startswith("Experience")]
        return [(event["event"], event["properties"]) for event in of]

    page.evaluate(SETTLED)
    page.goto("about:blank")
    server.wait(lambda: len(told()) >= count)
    found = told()
    for _, properties in found:
        waited = properties.pop("latency")
        assert type(waited) is int
        assert 0 <= waited < 60_000
    return found


# --- exposures ---


def test_control_and_treatment_send_the_same(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"shown": banner("Hi."), "none": None}, kept_back=("held",))
    body = "".join(f'<p data-cashwrap-placement="{name}">x</p>' for name in ("shown", "held", "none"))
    visit(browser_page, server, body)
    consent(browser_page, server)
    told = moments(browser_page, server, 2)
    assert sorted(told, key=lambda each: each[1]["placement"]) == [
        ("Experience Viewed", {"placement": "held", "token": "signed-token"}),
        ("Experience Viewed", {"placement": "shown", "token": "signed-token"}),
    ]


@pytest.mark.parametrize("kept_back", [(), ("banner",)], ids=["treatment", "control"])
def test_an_exposure_says_how_long_the_page_waited(
    browser_page: Page, server: Recorder, kept_back: tuple[str, ...]
) -> None:
    """In both arms: an engine that is slow in one of them is to be seen."""

    def slowly(_: object) -> Reply:
        threading.Event().wait(0.06)
        return decision({"banner": banner("Hi.")}, kept_back=kept_back)

    server.answers["/v1/decide"] = slowly
    visit(browser_page, server)
    consent(browser_page, server)
    browser_page.evaluate(SETTLED)
    browser_page.evaluate("() => cashwrap.flush()")
    server.wait(lambda: "Experience Viewed" in server.names())
    (waited,) = {
        event["properties"]["latency"] >= 60 for event in server.events() if event.get("event") == "Experience Viewed"
    }
    assert waited


@pytest.mark.parametrize("kept_back", [(), ("banner",)], ids=["treatment", "control"])
def test_an_exposure_waits_for_the_placement(browser_page: Page, server: Recorder, kept_back: tuple[str, ...]) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Hi.")}, kept_back=kept_back)
    visit(browser_page, server, "<br>" * 300 + BANNER)
    consent(browser_page, server)
    browser_page.evaluate("() => cashwrap.decide()")
    browser_page.evaluate(SETTLED)
    browser_page.evaluate("() => cashwrap.flush()")
    assert "Experience Viewed" not in server.names()
    browser_page.evaluate("() => document.querySelector('[data-cashwrap-placement]').scrollIntoView()")
    assert [name for name, _ in moments(browser_page, server, 1)] == ["Experience Viewed"]


def test_asking_again_is_no_new_exposure_another_variation_is(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Hi.")})
    visit(browser_page, server)
    consent(browser_page, server)
    says(browser_page, "Hi.")
    for _ in range(3):
        browser_page.evaluate("() => cashwrap.decide()")
        browser_page.evaluate(SETTLED)
    server.answers["/v1/decide"] = lambda _: decision({}, kept_back=("banner",))
    browser_page.evaluate("() => cashwrap.decide()")
    assert [name for name, _ in moments(browser_page, server, 2)] == ["Experience Viewed"] * 2


@pytest.mark.parametrize("analytics", [True, None], ids=["analytics alone", "no choice"])
def test_what_the_server_would_refuse_is_not_sent(browser_page: Page, server: Recorder, analytics: bool | None) -> None:
    """Without personalization nobody is named in the question: its token is nobody's."""
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Hi.")})
    visit(browser_page, server)
    says(browser_page, "Hi.")
    if analytics:
        consent(browser_page, server, analytics=True)
        browser_page.evaluate("() => cashwrap.flush()")
        assert "page" in server.names()
    assert moments(browser_page, server, 0) == []


def test_a_cart_proves_an_exposure_where_analytics_is_allowed(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Hi.")})
    visit(browser_page, server, attributes="""data-cashwrap-context='{"cart": {"token": "cart-1"}}'""")
    consent(browser_page, server, analytics=True)
    assert moments(browser_page, server, 1) == [
        ("Experience Viewed", {"placement": "banner", "token": "signed-token", "cart_token": "cart-1"})
    ]


def test_what_this_page_was_capped_by_stays_on_it(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Once.")})
    visit(browser_page, server)
    consent(browser_page, server)
    says(browser_page, "Once.")
    capped = '{"experience": "banner_experience", "variation": "on", "content": null, "reason": "capped"}'
    server.answers["/v1/decide"] = lambda _: Reply('{"placements": {"banner": ' + capped + '}, "token": "t2"}')
    browser_page.evaluate("() => cashwrap.decide()")
    says(browser_page, "Once.")
    visit(browser_page, server)
    browser_page.evaluate("() => cashwrap.decide()")
    says(browser_page, "Free returns.")


# --- dismissals ---


def test_a_dismissal_is_told_and_brings_the_default_back(
    browser_page: Page, server: Recorder, complaints: Complaints
) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Only today!")})
    visit(browser_page, server)
    consent(browser_page, server)
    says(browser_page, "Only today!")
    browser_page.evaluate(SETTLED)
    browser_page.click("button")
    says(browser_page, "Free returns.")
    browser_page.click("button")
    browser_page.evaluate("() => cashwrap.decide()")  # the server may not know yet
    says(browser_page, "Free returns.")
    properties = {"placement": "banner", "token": "signed-token"}
    assert moments(browser_page, server, 2) == [
        ("Experience Viewed", properties),
        ("Experience Dismissed", properties),
    ]


def test_a_dismissal_by_call_leaves_other_placements_alone(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("One"), "other": banner("Two")})
    visit(browser_page, server, f'{BANNER}<p data-cashwrap-placement="other">Default</p>')
    consent(browser_page, server)
    says(browser_page, "One")
    browser_page.evaluate("() => { for (const name of ['banner', 'nowhere', '__proto__']) cashwrap.dismiss(name) }")
    says(browser_page, "Free returns.")
    expect(browser_page.locator("p")).to_have_text("Two")
    assert [name for name, _ in moments(browser_page, server, 3)].count("Experience Dismissed") == 1


def test_the_page_does_not_jump_by_a_dismissal(browser_page: Page, server: Recorder) -> None:
    """The browser's own measure of what moved without the shopper's doing stays at nothing."""
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Only today!")})
    visit(browser_page, server, f"{BANNER}<p>Below</p>")
    says(browser_page, "Only today!")
    browser_page.evaluate(SETTLED)
    browser_page.evaluate(
        """() => { window.moved = 0; new PerformanceObserver((list) => {
        for (const {value, hadRecentInput} of list.getEntries()) if (!hadRecentInput) window.moved += value;
        }).observe({type: "layout-shift", buffered: false}) }"""
    )
    browser_page.click("button")
    says(browser_page, "Free returns.")
    browser_page.evaluate(SETTLED)
    assert browser_page.evaluate("() => window.moved") == 0


# --- the quiet zone ---

FORM = f"""{BANNER}<form><input id="name" autocomplete="name"><input id="card" autocomplete="billing cc-number">
<input id="expiry" autocomplete="cc-exp"></form>
<div data-cashwrap-quiet><iframe src="/fields"></iframe></div><button id="elsewhere">Elsewhere</button>"""


def with_form(page: Page, server: Recorder) -> None:
    server.pages["/fields"] = ("<!doctype html><input id=number>", {})
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Before")})
    visit(page, server, FORM)
    says(page, "Before")
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("After")})


def test_nothing_changes_while_a_card_number_is_typed(
    browser_page: Page, server: Recorder, complaints: Complaints
) -> None:
    with_form(browser_page, server)
    browser_page.focus("#card")
    asked = len(server.to("/v1/decide"))
    browser_page.evaluate("() => { for (let n = 0; n < 3; n += 1) cashwrap.decide().then((d) => { window.last = d }) }")
    browser_page.keyboard.type("4111")
    browser_page.focus("#expiry")  # still payment data
    browser_page.evaluate(LATER)
    assert len(server.to("/v1/decide")) == asked
    says(browser_page, "Before")
    browser_page.focus("#name")
    says(browser_page, "After")
    assert len(server.to("/v1/decide")) == asked + 1  # the newest question alone
    assert browser_page.evaluate("() => [document.activeElement.id, card.value]") == ["name", "4111"]


def test_nothing_changes_while_the_focus_is_in_a_payment_frame(
    browser_page: Page, server: Recorder, complaints: Complaints
) -> None:
    with_form(browser_page, server)
    browser_page.frame_locator("iframe").locator("#number").click()
    assert browser_page.evaluate("() => document.activeElement.tagName") == "IFRAME"
    browser_page.evaluate("() => { cashwrap.decide(); cashwrap.dismiss('banner'); }")
    browser_page.evaluate(LATER)
    says(browser_page, "Before")
    browser_page.click("#elsewhere")
    says(browser_page, "Free returns.")


def test_a_frame_that_is_gone_quietens_nothing(browser_page: Page, server: Recorder) -> None:
    with_form(browser_page, server)
    browser_page.frame_locator("iframe").locator("#number").click()
    browser_page.evaluate("() => { cashwrap.decide(); document.querySelector('iframe').remove(); }")
    says(browser_page, "After")


def test_an_answer_under_way_waits_too(browser_page: Page, server: Recorder) -> None:
    with_form(browser_page, server)
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("After")})
    with browser_page.expect_response("**/v1/decide"):
        browser_page.evaluate("() => { cashwrap.decide(); setTimeout(() => card.focus()) }")
    browser_page.focus("#card")
    browser_page.evaluate(LATER)
    assert browser_page.inner_text("[data-cashwrap-slot=text]") in {"Before", "After"}
    before = browser_page.inner_text("[data-cashwrap-slot=text]")
    browser_page.evaluate(LATER)
    says(browser_page, before)
    browser_page.focus("#name")
    says(browser_page, "After")


def test_a_page_that_became_one_for_payment_in_the_meantime_is_left_alone(browser_page: Page, server: Recorder) -> None:
    with_form(browser_page, server)
    asked = len(server.to("/v1/decide"))
    browser_page.focus("#card")
    browser_page.evaluate("() => { cashwrap.decide().then(() => { window.over = true }) }")
    browser_page.evaluate("() => { document.documentElement.dataset.cashwrapPage = 'payment'; name.focus?.() }")
    browser_page.focus("#name")
    browser_page.wait_for_function("() => window.over")
    assert len(server.to("/v1/decide")) == asked
    says(browser_page, "Before")


# --- previews ---


def test_a_preview_is_marked_and_reported_to_nobody(
    browser_page: Page, server: Recorder, complaints: Complaints
) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Draft")})
    visit(browser_page, server)
    consent(browser_page, server)
    says(browser_page, "Draft")
    before = browser_page.context.cookies()
    assert all("preview" not in request.json for request in server.to("/v1/decide"))
    browser_page.evaluate(SETTLED)
    browser_page.evaluate("() => cashwrap.flush()")
    told = len(server.events())
    visit(browser_page, server, query="?size=m&cw_preview=pre-view_1")
    says(browser_page, "Draft")
    expect(browser_page.locator(".cw-preview")).to_have_text("Preview")
    assert browser_page.evaluate("() => getComputedStyle(document.querySelector('.cw-preview')).position") == "fixed"
    assert server.to("/v1/decide")[-1].json["preview"] == "pre-view_1"
    assert browser_page.context.cookies() == before
    assert browser_page.evaluate("() => localStorage.length + sessionStorage.length") == 0
    browser_page.click("button")
    browser_page.evaluate(SETTLED)
    browser_page.goto("about:blank")
    server.wait(lambda: len(server.events()) > told)
    assert {event["type"] for event in server.events()[told:]} == {"page"}
    assert "pre-view_1" not in "".join(request.body for request in server.to("/v1/batch"))
    visit(browser_page, server)
    says(browser_page, "Draft")
    assert "preview" not in server.to("/v1/decide")[-1].json
    assert browser_page.locator(".cw-preview").count() == 0


def test_a_preview_that_is_not_good_says_so(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: Reply('{"code": "token_expired", "message": "x"}', status=403)
    visit(browser_page, server, query="?cw_preview=old")
    browser_page.wait_for_function(
        "() => document.querySelector('.cw-preview')?.textContent === 'Preview: this link is not valid any more'"
    )
    says(browser_page, "Free returns.")


def test_rare_parts_are_loaded_where_they_are_needed_only(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"banner": banner("Hi.")})

    def loaded() -> set[str]:
        return {request.path.rpartition("/")[2] for request in server.requests if request.path.startswith("/sdk/")}

    visit(browser_page, server)
    says(browser_page, "Hi.")
    assert loaded() == {"cashwrap.min.js"}
    visit(browser_page, server, query="?cw_preview=x", attributes='data-cashwrap-consent="tcf"')
    browser_page.wait_for_selector(".cw-preview")
    assert loaded() == {"cashwrap.min.js", "preview.js", "signals.js"}
