"""The browser SDK in a real browser, against a real server on loopback that records and misbehaves."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from recorder import SDK, Recorder, Reply, decision

from conftest import watched

pytestmark = pytest.mark.browser

SCRIPT = "/sdk/0.1.0/cashwrap.min.js"
INTEGRITY = json.loads((SDK / "integrity.json").read_text())["cashwrap.min.js"]
HEX_ID = re.compile(r"[0-9a-f]{32}")

STORAGE = """async () => JSON.stringify({
  cookies: document.cookie, local: {...localStorage}, session: {...sessionStorage},
  databases: await indexedDB.databases(), caches: await caches.keys(), name: window.name})"""

MESSAGE = '<p data-cashwrap-placement="basket_message">Free returns.</p>'


@pytest.fixture
def server() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


PATIENT = 'data-cashwrap-timeout="5000"'
"""Longer than a browser on a busy machine ever takes: only a test of lateness itself is impatient."""


def tag(attributes: str = "", src: str = SCRIPT, patience: str = PATIENT) -> str:
    return f'<script type="module" src="{src}" data-cashwrap-key="cwp_test_1_x" {patience} {attributes}></script>'


def html(body: str, script: str | None = None, head: str = "", root: str = "") -> str:
    return (
        f'<!doctype html><html lang="en" {root}><head><meta charset="utf-8"><title>Shop</title>'
        f'<link rel="icon" href="data:,">{head}{tag() if script is None else script}</head><body>{body}</body></html>'
    )


def visit(page: Page, server: Recorder, content: str, headers: dict[str, str] | None = None) -> None:
    """Open a page of the shop and wait until it is at rest."""
    server.pages["/shop"] = (content, headers or {})
    page.goto(f"{server.url}/shop")


def shown(text: str) -> dict[str, Any]:
    return {"type": "message", "text": text, "locale": "en"}


def by_identity(body: Any) -> Reply:
    """Greets a known browser, informs an unknown one."""
    known = "anonymousId" in body["shopper"]
    return decision(
        {"basket_message": shown("Welcome back." if known else "Fast delivery.")},
        "profile" if known else "request",
    )


def expect_text(page: Page, text: str, selector: str = "[data-cashwrap-placement]") -> None:
    page.wait_for_function("([s, t]) => document.querySelector(s)?.textContent === t", arg=[selector, text])


def grant(page: Page, **choices: bool) -> None:
    page.evaluate("choices => cashwrap.consent.set(choices)", choices or {"analytics": True, "personalization": True})


def cookies(page: Page) -> set[str]:
    return {cookie["name"] for cookie in page.context.cookies()}


# --- consent ---


def test_before_a_choice_nothing_is_stored_and_nothing_identifies(browser_page: Page, server: Recorder) -> None:
    visit(browser_page, server, html(MESSAGE, script=""))
    before = browser_page.evaluate(STORAGE)
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    expect_text(browser_page, "Fast delivery.")
    browser_page.evaluate(
        """() => { cashwrap.track("Product Viewed", {product_id: "1"}); cashwrap.identify("u1", {token: "t"}); }"""
    )
    browser_page.evaluate("() => cashwrap.flush()")
    assert browser_page.evaluate("() => cashwrap.privacyStatus()") == {
        "active": True,
        "gpc": False,
        "choices": {"necessary": "granted"}
        | dict.fromkeys(("analytics", "personalization", "enrichment", "advertising", "credit"), "unknown"),
        "stored": [],
        "held": 3,
    }
    assert browser_page.evaluate(STORAGE) == before
    assert browser_page.context.cookies() == []
    browser_page.goto("about:blank")
    asked = server.to("/v1/decide")
    assert asked
    assert server.to("/v1/batch") == []
    for request in asked:
        assert request.json["shopper"] == {}
        assert not HEX_ID.search(request.body)
        assert not {"cookie", "authorization"} & set(request.headers)


def test_a_grant_sends_what_was_held_and_asks_again(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    expect_text(browser_page, "Fast delivery.")
    browser_page.evaluate("""() => cashwrap.track("Product Viewed", {product_id: "1"})""")
    grant(browser_page)
    expect_text(browser_page, "Welcome back.")
    assert cookies(browser_page) == {"cw_id", "cw_consent"}
    server.wait(lambda: len(server.events()) >= 3)
    assert server.names()[:3] == ["consent", "page", "Product Viewed"]
    consent, _, viewed = server.events()[:3]
    assert consent["choices"] == {"analytics": "granted", "personalization": "granted"}
    assert (consent["scope"], consent["source"]) == ("device", "api")
    assert HEX_ID.fullmatch(viewed["anonymousId"])
    assert viewed["properties"] == {"product_id": "1"}
    assert viewed["context"]["consent"] == {"categoryPreferences": {"analytics": True, "personalization": True}}
    assert server.to("/v1/batch")[0].json["writeKey"] == "cwp_test_1_x"


def test_a_denial_forgets(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    browser_page.evaluate("""() => cashwrap.track("Product Viewed")""")
    grant(browser_page, analytics=False, personalization=False)
    browser_page.evaluate("""() => cashwrap.track("Product Added")""")
    assert browser_page.evaluate("() => cashwrap.privacyStatus().held") == 0
    browser_page.goto("about:blank")
    assert browser_page.context.cookies() == []
    assert server.to("/v1/batch") == []


def test_a_withdrawal_acts_on_the_next_request(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    grant(browser_page)
    expect_text(browser_page, "Welcome back.")
    known = server.to("/v1/decide")[-1].json["shopper"]["anonymousId"]
    seen = len(server.requests)
    grant(browser_page, analytics=False, personalization=False)
    assert browser_page.context.cookies() == []
    expect_text(browser_page, "Fast delivery.")
    server.wait(lambda: server.names().count("consent") == 2)  # a decision waits for the news a second at most
    after = server.requests[seen:]
    told = [event for request in after if request.path == "/v1/batch" for event in request.json["batch"]]
    assert [(event["type"], event["anonymousId"]) for event in told if event["type"] == "consent"] == [
        ("consent", known)
    ]
    assert [request.json["shopper"] for request in after if request.path == "/v1/decide"] == [{}]


def test_a_choice_is_remembered_on_the_next_page(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    grant(browser_page)
    expect_text(browser_page, "Welcome back.")
    visit(browser_page, server, html(MESSAGE))
    expect_text(browser_page, "Welcome back.")
    assert len({request.json["shopper"].get("anonymousId") for request in server.to("/v1/decide")[-2:]}) == 1
    server.wait(lambda: "consent" in server.names())
    assert server.names().count("consent") == 1


GPC = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"


def test_gpc_denies_personalization_until_the_shopper_grants_it(browser_page: Page, server: Recorder) -> None:
    browser_page.add_init_script(GPC)
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE, tag('data-cashwrap-consent="gcm"')))
    browser_page.evaluate(
        """() => { function gtag() { dataLayer.push(arguments) }
        gtag("consent", "update", {analytics_storage: "granted", personalization_storage: "granted",
          ad_storage: "granted", ad_user_data: "granted", ad_personalization: "granted"}) }"""
    )
    server.wait(lambda: "consent" in server.names())
    status = browser_page.evaluate("() => cashwrap.privacyStatus()")
    assert status["gpc"] is True
    assert (status["choices"]["personalization"], status["choices"]["advertising"]) == ("denied", "denied")
    assert all(
        event["choices"].get("personalization") != "granted" for event in server.events() if event["type"] == "consent"
    )
    expect_text(browser_page, "Fast delivery.")
    grant(browser_page, personalization=True, advertising=True)
    expect_text(browser_page, "Welcome back.")
    assert browser_page.evaluate("() => cashwrap.consent.get().advertising") == "denied"


def test_consent_mode_may_come_late(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    server.files["/google.js"] = b"""
      window.dataLayer = []; function gtag() { dataLayer.push(arguments) }
      gtag("consent", "default", {analytics_storage: "denied", personalization_storage: "denied",
        wait_for_update: 500});
      window.choose = (choice) => gtag("consent", "update", choice);"""
    visit(
        browser_page,
        server,
        html(MESSAGE, tag('data-cashwrap-consent="gcm"'), '<script src="/google.js"></script>'),
    )
    expect_text(browser_page, "Fast delivery.")
    browser_page.evaluate("""() => cashwrap.track("Product Viewed")""")
    assert browser_page.context.cookies() == []
    browser_page.evaluate("""() => choose({personalization_storage: "granted"})""")
    expect_text(browser_page, "Welcome back.")
    server.wait(lambda: "Product Viewed" in server.names())
    assert server.events()[0]["source"] == "gcm"
    assert browser_page.evaluate("() => dataLayer.length") == 2


def test_tcf_is_heard(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    server.files["/cmp.js"] = b"""
      const listeners = [];
      window.__tcfapi = (command, version, callback) => { listeners.push(callback);
        callback({gdprApplies: true, eventStatus: "cmpuishown", purpose: {consents: {}}}, true) };
      window.choose = (...ids) => listeners.forEach((tell) => tell({gdprApplies: true,
        eventStatus: "useractioncomplete",
        purpose: {consents: Object.fromEntries(ids.map((id) => [id, true]))}}, true));"""
    visit(
        browser_page,
        server,
        html(MESSAGE, tag('data-cashwrap-consent="tcf"'), '<script src="/cmp.js"></script>'),
    )
    expect_text(browser_page, "Fast delivery.")
    assert browser_page.context.cookies() == []
    browser_page.evaluate("() => choose(1, 5, 6)")
    expect_text(browser_page, "Welcome back.")
    server.wait(lambda: "consent" in server.names())
    assert server.events()[0]["choices"] == {
        "analytics": "denied",
        "personalization": "granted",
        "advertising": "denied",
    }


# --- a page that keeps us out ---


@pytest.mark.parametrize(
    ("root", "head"),
    [('data-cashwrap-page="payment"', ""), ("", '<meta name="cashwrap-page" content="payment">')],
    ids=["attribute", "meta"],
)
def test_nothing_runs_on_a_payment_page(browser_page: Page, server: Recorder, root: str, head: str) -> None:
    complaints = watched(browser_page)
    body = MESSAGE + '<button data-cashwrap-event="Pay">Pay</button>'
    server.files["/shop.js"] = f"""
      import {{ cashwrap }} from "{SCRIPT}";
      cashwrap.start({{ key: "cwp_test_1_x" }});
      cashwrap.consent.set({{ analytics: true, personalization: true }});
      cashwrap.track("Order Completed"); cashwrap.identify("u1"); cashwrap.page(); cashwrap.reset();
      cashwrap.setContext({{ cart: {{ total: 1 }} }});
      Promise.all([cashwrap.decide(), cashwrap.flush()]).then(([answer]) => {{ window.done = [answer,
        cashwrap.privacyStatus(), cashwrap.consent.get()] }});""".encode()
    visit(
        browser_page,
        server,
        html(body, tag() + '<script type="module" src="/shop.js"></script>', head, root),
    )
    browser_page.wait_for_function("() => window.done")
    assert browser_page.evaluate("() => window.done") == [None, {"active": False}, {}]
    browser_page.click("button")
    browser_page.goto("about:blank")
    assert {request.path for request in server.requests} == {"/shop", SCRIPT, "/shop.js"}
    assert browser_page.context.cookies() == []
    assert complaints.messages == complaints.errors == []


# --- failure ---

DEFAULT = (
    MESSAGE
    + """
<ul data-cashwrap-placement="payment_methods"><li data-cashwrap-option="card">Card</li>
<li data-cashwrap-option="invoice">Invoice</li></ul>
<div data-cashwrap-placement="accessories"><a href="/all">All accessories</a></div>"""
)


def raw(body: str, **more: Any) -> Any:
    return lambda _: Reply(body, **more)


FAILURES: dict[str, Any] = {
    "hang": raw("", hang=True),
    "500": raw('{"code":"internal"}', status=500),
    "503": raw("", status=503, headers={"Retry-After": "1"}),
    "401": raw('{"code":"unknown_key"}', status=401),
    "garbage": raw("\x00\x01 not json {"),
    "html": raw("<html><script>alert(1)</script></html>", headers={"Content-Type": "text/html"}),
    "empty": raw(""),
    "truncated": raw('{"decisionId": "d1", "placements": {"basket', cut=True),
    "late": raw(decision({"basket_message": shown("Too late.")}).body, after=0.6),
    "null": raw("null"),
    "number": raw("7"),
    "list": raw("[]"),
    "no placements": raw("{}"),
    "placements of the wrong shape": raw('{"placements": []}'),
    "placements of null": raw('{"placements": {"basket_message": null}}'),
    "answers of the wrong shape": raw(
        '{"placements": {"basket_message": 7, "payment_methods": "x", "accessories": []}}'
    ),
    "content of the wrong shape": raw(
        json.dumps(
            {
                "token": 7,
                "placements": {
                    "basket_message": {"content": {"type": "message", "text": {"a": 1}}},
                    "payment_methods": {"content": {"type": "options", "options": 7}},
                    "accessories": {"content": {"type": "products", "items": [{"id": "1"}]}},
                },
            }
        )
    ),
    "unknown component": raw(decision({"basket_message": {"type": "carousel", "text": "x"}}).body),
    "inherited component": raw(decision({"basket_message": {"type": "constructor", "text": "x"}}).body),
    "redirect loop": raw("", status=307, headers={"Location": "/v1/decide"}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_broken_server_leaves_the_default(browser_page: Page, server: Recorder, failure: str) -> None:
    complaints = watched(browser_page)
    server.answers["/v1/decide"] = server.answers["/v1/batch"] = FAILURES[failure]
    browser_page.add_init_script(
        "addEventListener('DOMContentLoaded', () => { window.before = document.body.outerHTML })"
    )
    visit(browser_page, server, html(DEFAULT, tag(patience="")))
    grant(browser_page)
    browser_page.evaluate("() => cashwrap.decide()")
    browser_page.evaluate("""() => { cashwrap.track("Product Viewed"); cashwrap.page(); }""")
    server.wait(lambda: len(server.to("/v1/batch")) > 0)
    assert browser_page.evaluate("() => document.body.outerHTML === window.before")
    if failure == "late":
        browser_page.wait_for_timeout(700)
        assert browser_page.evaluate("() => document.body.outerHTML === window.before")
    assert complaints.errors == complaints.messages == []


def test_an_unreachable_server_leaves_the_default(browser_page: Page, server: Recorder) -> None:
    complaints = watched(browser_page)
    gone = Recorder()
    gone.close()
    visit(browser_page, server, html(DEFAULT, tag(f'data-cashwrap-host="{gone.url}"')))
    before = browser_page.evaluate("() => document.body.outerHTML")
    grant(browser_page)
    assert browser_page.evaluate("() => cashwrap.decide()") is None
    assert browser_page.evaluate("() => document.body.outerHTML") == before
    assert complaints.errors == complaints.messages == []


def test_the_check_of_the_default_notices_a_change(browser_page: Page, server: Recorder) -> None:
    complaints = watched(browser_page)
    server.answers["/v1/decide"] = raw(decision({"basket_message": shown("Changed.")}).body)
    visit(browser_page, server, html(DEFAULT))
    expect_text(browser_page, "Changed.")
    browser_page.evaluate("""() => { console.error("ours"); Promise.reject(Error("rejected")) }""")
    browser_page.wait_for_function("() => true")
    assert "ours" in complaints.errors
    assert any("rejected" in error for error in complaints.errors)


def test_a_failing_answer_takes_back_what_stands(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    expect_text(browser_page, "Fast delivery.")
    server.answers["/v1/decide"] = FAILURES["500"]
    assert browser_page.evaluate("() => cashwrap.decide()") is None
    expect_text(browser_page, "Free returns.")


def test_an_older_answer_never_overwrites_a_newer_one(browser_page: Page, server: Recorder) -> None:
    def answer(body: Any) -> Reply:
        step = body["context"].get("checkout", {}).get("step", "")
        reply = decision({"basket_message": shown(f"Step {step}.")})
        return Reply(reply.body, after=0.4 if step == "one" else 0.0)

    server.answers["/v1/decide"] = answer
    visit(browser_page, server, html(MESSAGE))
    browser_page.evaluate(
        """() => Promise.all(["one", "two"].map((step) => cashwrap.decide(undefined, {checkout: {step}})))"""
    )
    expect_text(browser_page, "Step two.")


# --- the network ---


def test_another_origin_needs_no_preflight(browser_page: Page, server: Recorder) -> None:
    api = Recorder()
    api.answers["/v1/decide"] = by_identity
    server.pages["/shop"] = (
        html(MESSAGE, tag(f'data-cashwrap-host="{api.url}"')),
        {},
    )
    browser_page.goto(f"http://localhost:{server.port}/shop?email=private")
    grant(browser_page)
    expect_text(browser_page, "Welcome back.")
    api.wait(lambda: len(api.events()) > 0)
    api.close()
    assert {request.method for request in api.requests} == {"POST"}
    assert {request.headers["content-type"] for request in api.requests} == {"text/plain;charset=UTF-8"}
    assert not any("private" in request.body + str(request.headers) for request in api.requests)


def test_a_first_party_path(browser_page: Page, server: Recorder) -> None:
    server.answers["/cw/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE, tag('data-cashwrap-host="/cw"')))
    expect_text(browser_page, "Fast delivery.")


@pytest.mark.parametrize("leave", ["navigate", "close", "hide"])
def test_a_leaving_page_sends_what_waits(chromium: Browser, server: Recorder, leave: str) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        visit(page, server, html(MESSAGE))
        grant(page)
        page.evaluate("() => cashwrap.flush()")
        page.evaluate("""() => cashwrap.track("Product Added", {product_id: "9"})""")
        assert "Product Added" not in server.names()
        if leave == "navigate":
            page.goto("about:blank")
        elif leave == "close":
            page.close()
        else:
            page.evaluate(
                """() => { Object.defineProperty(document, "visibilityState", {get: () => "hidden"});
                document.dispatchEvent(new Event("visibilitychange", {bubbles: true})) }"""
            )
        server.wait(lambda: "Product Added" in server.names())


# --- what elements declare ---


def test_clicks_and_views_are_tracked_as_declared(browser_page: Page, server: Recorder) -> None:
    visit(
        browser_page,
        server,
        html(
            """<button data-cashwrap-event="Product Added" data-cashwrap-prop-product_id="0042"
              data-cashwrap-prop-price="12.50"><b>Add</b></button>
            <button data-cashwrap-event="Never Clicked">Other</button>
            <input id="typed" value="4111111111111111">
            <div data-cashwrap-event="Promotion Viewed" data-cashwrap-on="view"
              data-cashwrap-prop-promotion_id="p1">x</div>
            <div style="height: 4000px"></div>
            <div id="below" data-cashwrap-event="Footer Viewed" data-cashwrap-on="view">y</div>"""
        ),
    )
    grant(browser_page)
    browser_page.evaluate(
        """() => document.querySelector("button").addEventListener("click", (click) => click.stopPropagation())"""
    )
    browser_page.click("b")
    browser_page.evaluate("() => cashwrap.flush()")
    server.wait(lambda: {"Product Added", "Promotion Viewed"} <= set(server.names()))
    assert not {"Footer Viewed", "Never Clicked"} & set(server.names())
    browser_page.evaluate("() => document.querySelector('#below').scrollIntoView()")
    browser_page.wait_for_function("() => scrollY > 0")
    browser_page.evaluate("() => new Promise(requestAnimationFrame)")
    browser_page.goto("about:blank")
    server.wait(lambda: "Footer Viewed" in server.names())
    added = next(event for event in server.events() if event.get("event") == "Product Added")
    assert added["properties"] == {"product_id": "0042", "price": "12.50"}
    assert server.names().count("Promotion Viewed") == 1
    assert "4111111111111111" not in "".join(request.body for request in server.requests)


def test_identity_travels_only_with_personalization(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    attributes = (
        'data-cashwrap-user-id="u1" data-cashwrap-token="jwt" data-cashwrap-context=\'{"cart":{"total":12.5}}\''
    )
    visit(browser_page, server, html(MESSAGE, tag(attributes)))
    expect_text(browser_page, "Fast delivery.")
    grant(browser_page, analytics=True)
    server.wait(lambda: len(server.to("/v1/decide")) == 2)
    assert [request.json["shopper"] for request in server.to("/v1/decide")] == [{}, {}]
    grant(browser_page, personalization=True)
    expect_text(browser_page, "Welcome back.")
    asked = server.to("/v1/decide")[-1].json
    assert {name: asked["shopper"][name] for name in ("userId", "token")} == {"userId": "u1", "token": "jwt"}
    assert asked["context"]["cart"] == {"total": 12.5}
    server.wait(lambda: "identify" in server.names())
    identified = next(event for event in server.events() if event["type"] == "identify")
    assert (identified["userId"], identified["token"]) == ("u1", "jwt")
    old = asked["shopper"]["anonymousId"]
    browser_page.evaluate("() => cashwrap.reset()")
    server.wait(lambda: server.to("/v1/decide")[-1].json["shopper"].get("anonymousId") not in {old, None})
    assert "userId" not in server.to("/v1/decide")[-1].json["shopper"]


def test_decisions_are_announced(browser_page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = by_identity
    visit(browser_page, server, html(MESSAGE))
    expect_text(browser_page, "Fast delivery.")
    told = browser_page.evaluate(
        """async () => { const told = [];
        const stop = cashwrap.onDecision((decision) => told.push(decision.decisionId));
        document.addEventListener("cashwrap:decision", ({detail}) => told.push(detail.level), {once: true});
        const answer = await cashwrap.decide(["basket_message"]);
        stop(); await cashwrap.decide();
        return [...told, answer.placements.basket_message.reason]; }"""
    )
    assert told == ["d1", "request", "match"]
