"""What the browser SDK does with each component's content, in a real browser under the strictest policy."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page
from recorder import SDK, Recorder, decision

from conftest import Complaints, watched

pytestmark = pytest.mark.browser

SCRIPT = "/sdk/0.1.0/cashwrap.min.js"
INTEGRITY = json.loads((SDK / "integrity.json").read_text())["cashwrap.min.js"]
TAG = (
    f'<script type="module" src="{SCRIPT}" integrity="{INTEGRITY}" data-cashwrap-key="cwp_test_1_x" '
    'data-cashwrap-timeout="9000"></script>'
)
VIOLATIONS = """window.violations = []; addEventListener("securitypolicyviolation",
  (violation) => violations.push(`${violation.violatedDirective} ${violation.sample}`));"""


@pytest.fixture
def server() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def complaints(browser_page: Page) -> Iterator[Complaints]:
    """Every test of this file also proves that nothing was complained about."""
    browser_page.add_init_script(VIOLATIONS)
    complaints = watched(browser_page)
    yield complaints
    assert complaints.errors == complaints.messages == complaints.dialogs == []
    assert browser_page.evaluate("() => window.violations") == []


def policy(server: Recorder) -> dict[str, str]:
    """Nothing but our script and our API; no string may become markup, style or script."""
    host = server.url
    return {
        "Content-Security-Policy": f"default-src 'none'; script-src {host}; connect-src {host}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    }


def show(page: Page, server: Recorder, body: str, content: dict[str, Any] | None) -> None:
    """Open a page whose only placement ``x`` gets this content, and wait for the decision."""
    server.answers["/v1/decide"] = lambda _: decision({"x": content})
    html = f'<!doctype html><html lang="en"><head><title>Shop</title>{TAG}</head><body>{body}</body></html>'
    server.pages["/shop"] = (html, policy(server))
    page.goto(f"{server.url}/shop")
    page.evaluate("() => cashwrap.decide()")
    if content is not None and content["type"] == "products":  # their part of the SDK is a file of its own
        page.wait_for_function("() => document.querySelector('#x li, #x article')")


def now(page: Page, selector: str) -> str:
    """The markup of an element, spaces between tags aside."""
    markup: str = page.evaluate("(s) => document.querySelector(s).outerHTML.replace(/>\\s+</g, '><')", selector)
    return markup


def back_to_default(page: Page, server: Recorder) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"x": None})
    page.evaluate("() => cashwrap.decide()")


X = '<div id="x" data-cashwrap-placement="x">{}</div>'


def place(inner: str) -> str:
    return X.format(inner)


@pytest.mark.parametrize(
    ("body", "content", "expected"),
    [
        pytest.param(
            place("Free <b>returns</b>."),
            {"type": "message", "text": "12 € to go", "locale": "fr", "tone": "formal"},
            '<div id="x" data-cashwrap-placement="x" lang="fr" class="cw-tone--formal">12 € to go</div>',
            id="message in its own text",
        ),
        pytest.param(
            place('<i></i><span data-cashwrap-slot="text">Default</span>'),
            {"type": "message", "text": "Hello", "locale": "en", "tone": "x y"},
            '<div id="x" data-cashwrap-placement="x"><i></i>'
            '<span data-cashwrap-slot="text" lang="en">Hello</span></div>',
            id="message in a slot, a tone that is no word",
        ),
        pytest.param(
            '<div id="x" data-cashwrap-placement="x" hidden></div>',
            {"type": "message", "text": "Go", "locale": "en", "progress": {"value": 1200, "target": 5000}},
            '<div id="x" data-cashwrap-placement="x" lang="en">Go<progress class="cw-progress" '
            'data-cashwrap-slot="progress" max="5000" value="1200" aria-label="Go"></progress></div>',
            id="message with progress, in a place hidden by default",
        ),
        pytest.param(
            place("pay now"),
            {"type": "installments", "text": "3 x 66.00 EUR", "count": 3, "amount": 6600, "currency": "EUR"},
            '<div id="x" data-cashwrap-placement="x">3 x 66.00 EUR</div>',
            id="installments",
        ),
        pytest.param(
            place("<button>Order</button>"),
            {"type": "button", "text": "Order and pay", "style": "primary"},
            '<div id="x" data-cashwrap-placement="x"><button class="cw-button--primary">Order and pay</button></div>',
            id="button inside",
        ),
        pytest.param(
            '<input id="x" data-cashwrap-placement="x" type="submit" value="Order">',
            {"type": "button", "text": "Pay", "style": "url(javascript:1)"},
            '<input id="x" data-cashwrap-placement="x" type="submit" value="Pay">',
            id="button as input, a style that is no token",
        ),
        pytest.param(
            place('<label>Code <input aria-describedby="old"></label>'),
            {"type": "help", "style": "inline", "text": "On the back"},
            '<div id="x" data-cashwrap-placement="x"><label>Code <input aria-describedby="old cw-help-1"></label>'
            '<span class="cw-help" data-cashwrap-slot="help" id="cw-help-1">On the back</span></div>',
            id="help inline",
        ),
        pytest.param(
            place("<select></select>"),
            {"type": "help", "style": "tooltip", "text": "Three days"},
            '<div id="x" data-cashwrap-placement="x"><select title="Three days"></select></div>',
            id="help as tooltip",
        ),
        pytest.param(
            place("a"),
            {"type": "layout", "tokens": {"accent": "#0a7", "gap": "1.5rem", "flow": "row"}},
            '<div id="x" data-cashwrap-placement="x" style="--cw-accent: #0a7; --cw-gap: 1.5rem; --cw-flow: row;">'
            "a</div>",
            id="layout tokens",
        ),
        pytest.param(
            place("a"),
            {
                "type": "layout",
                "tokens": {
                    "a": "url(https://evil.example/x)",
                    "b": "red;background:red",
                    "c": "var(--x)",
                    "d": "expression(1)",
                    "e e": "1px",
                    "f": "</style>",
                    "g": "a b",
                },
            },
            '<div id="x" data-cashwrap-placement="x">a</div>',
            id="layout values that are no token",
        ),
        pytest.param(
            '<details id="x" data-cashwrap-placement="x" open><input></details>',
            {"type": "field", "state": "collapse"},
            '<details id="x" data-cashwrap-placement="x"><input></details>',
            id="field collapsed",
        ),
        pytest.param(
            place("<input required>"),
            {"type": "field", "state": "collapse"},
            '<div id="x" data-cashwrap-placement="x"><input required=""></div>',
            id="a required field is never collapsed",
        ),
        pytest.param(
            '<div id="x" data-cashwrap-placement="x" hidden><input></div>',
            {"type": "field", "state": "show"},
            '<div id="x" data-cashwrap-placement="x"><input></div>',
            id="field shown",
        ),
    ],
)
def test_content_is_shown_and_taken_back(
    browser_page: Page,
    server: Recorder,
    complaints: Complaints,
    body: str,
    content: dict[str, Any],
    expected: str,
) -> None:
    show(browser_page, server, body, None)
    default = now(browser_page, "#x")
    show(browser_page, server, body, content)
    assert now(browser_page, "#x") == expected
    back_to_default(browser_page, server)
    assert now(browser_page, "#x").replace(' class=""', "").replace(' style=""', "") == default


PRODUCT = {"id": "p1", "name": "Nut oil", "price": "9,90 €", "currency": "EUR", "url": "/p/1", "image": None}


def test_products_as_a_plain_list(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    second = {**PRODUCT, "id": "p2", "name": "Soap", "url": "javascript:window.pwned=1", "image": None}
    content = {"type": "products", "title": "Goes well with it", "items": [PRODUCT, second]}
    show(browser_page, server, place("Default"), content)
    read = """() => [...document.querySelectorAll("#x > p, #x > ul > li")].map((node) =>
      [node.innerText.replaceAll("\\n", "|"), node.querySelector("a")?.getAttribute("href") ?? null,
       node.querySelector("img") !== null])"""
    assert browser_page.evaluate(read) == [
        ["Goes well with it", None, False],
        ["Nut oil9,90 €", "/p/1", False],
        ["Soap9,90 €", None, False],
    ]
    back_to_default(browser_page, server)
    assert browser_page.inner_text("#x") == "Default"


def test_a_list_that_comes_too_late_is_not_shown(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    """The part that renders lists may take its time: what the placement shows by then is newer."""
    path = "/sdk/0.1.0/products.js"
    held: list[Any] = []
    browser_page.route(f"**{path}", lambda route: held.append(route))  # noqa: PLW0108 - it takes no built-in
    server.answers["/v1/decide"] = lambda _: decision({"x": {"type": "products", "items": [PRODUCT]}})
    page = f"<!doctype html><title>Shop</title>{TAG}{place('Default')}"
    server.pages["/shop"] = (page, policy(server))
    browser_page.goto(f"{server.url}/shop")
    browser_page.evaluate("() => cashwrap.decide()")
    server.answers["/v1/decide"] = lambda _: decision({"x": {"type": "message", "text": "Newer"}})
    browser_page.evaluate("() => cashwrap.decide()")
    assert len(held) == 1
    with browser_page.expect_response(f"**{path}"):
        held[0].continue_()
    browser_page.evaluate("(path) => import(path)", path)  # the same module: it has run when this is over
    assert browser_page.inner_text("#x") == "Newer"


def test_product_pictures_are_pictures(browser_page: Page, server: Recorder) -> None:
    images = ("/sdk/0.1.0/integrity.json", "javascript:1", "data:text/html,x")
    items = [{**PRODUCT, "image": image} for image in images]
    show(browser_page, server, place("Default"), {"type": "products", "items": items})
    read = """() => [...document.querySelectorAll("#x li")].map((node) =>
      node.querySelector("img")?.getAttribute("src"))"""
    assert browser_page.evaluate(read) == ["/sdk/0.1.0/integrity.json", None, None]


TEMPLATE = """<h3 data-cashwrap-slot="title">Default</h3><div data-cashwrap-slot="items">
<template><article><a data-cashwrap-slot="link"><b data-cashwrap-slot="name"></b></a><i data-cashwrap-slot="price"></i>
<form><input type="hidden" data-cashwrap-slot="id"><button data-cashwrap-event="Product Added">Add</button></form>
</article></template>Nothing yet</div>"""


def test_products_in_the_shops_own_markup(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    show(browser_page, server, place(TEMPLATE), None)
    default = now(browser_page, "#x")
    show(browser_page, server, place(TEMPLATE), {"type": "products", "title": "For you", "items": [PRODUCT]})
    assert browser_page.inner_text("#x h3") == "For you"
    assert now(browser_page, "#x article") == (
        '<article><a data-cashwrap-slot="link" href="/p/1"><b data-cashwrap-slot="name">Nut oil</b></a>'
        '<i data-cashwrap-slot="price">9,90 €</i><form><input type="hidden" data-cashwrap-slot="id" value="p1">'
        '<button data-cashwrap-event="Product Added" data-cashwrap-prop-product_id="p1">Add</button></form></article>'
    )
    again = {"type": "products", "title": "For you", "items": [PRODUCT, {**PRODUCT, "from": "together"}]}
    server.answers["/v1/decide"] = lambda _: decision({"x": again})
    browser_page.evaluate("() => cashwrap.decide()")
    browser_page.wait_for_function("() => document.querySelectorAll('#x article').length === 2")
    read = "() => [...document.querySelectorAll('#x article')].map((each) => each.dataset.cashwrapSource ?? null)"
    assert browser_page.evaluate(read) == [None, "together"]
    back_to_default(browser_page, server)
    assert now(browser_page, "#x") == default


METHODS = """<ul><li data-cashwrap-option="card"><input type="radio" name="m" value="card" checked>
<b data-cashwrap-slot="label">Card</b></li><hr>
<li data-cashwrap-option="invoice" data-cashwrap-saved><input type="radio" name="m" value="invoice">Invoice</li>
<li data-cashwrap-option="wallet"><input type="radio" name="m" value="wallet">
<b data-cashwrap-slot="label">Wallet</b></li>
<li data-cashwrap-option="transfer"><input type="radio" name="m" value="transfer">Transfer</li></ul>"""
OPTIONS = """() => [...document.querySelectorAll("#x [data-cashwrap-option]")].map((node) =>
  node.dataset.cashwrapOption + (node.hidden ? "-" : "") + (node.classList.contains("cw-highlight") ? "+" : ""))"""


def options(*ids: str, hidden: tuple[str, ...] = (), **change: Any) -> dict[str, Any]:
    return {
        "type": "options",
        "options": [{"id": name, **change.get(name, {})} for name in ids],
        "hidden": list(hidden),
    }


def test_options_are_ordered_named_and_marked(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    content = options(
        "wallet", "card", "invoice", "transfer", wallet={"highlight": True, "badge": "New", "name": "Fast pay"}
    )
    show(browser_page, server, place(METHODS), None)
    default = now(browser_page, "#x")
    show(browser_page, server, place(METHODS), content)
    assert browser_page.evaluate(OPTIONS) == ["wallet+", "card", "invoice", "transfer"]
    assert browser_page.inner_text("[data-cashwrap-option=wallet]").strip() == "Fast payNew"
    assert now(browser_page, "#x ul").startswith('<ul><li data-cashwrap-option="wallet"')
    assert (
        browser_page.evaluate("() => document.querySelector('hr').previousElementSibling.innerText.trim()")
        == "Fast payNew"
    )
    assert browser_page.evaluate("() => document.querySelector('input:checked').value") == "card"
    browser_page.check("input[value=wallet]")
    back_to_default(browser_page, server)
    assert now(browser_page, "#x").replace(' class=""', "") == default
    assert browser_page.evaluate("() => document.querySelector('input:checked').value") == "wallet"


def test_the_chosen_the_saved_and_the_last_option_stay(
    browser_page: Page, server: Recorder, complaints: Complaints
) -> None:
    everything = ("card", "invoice", "wallet", "transfer")
    show(browser_page, server, place(METHODS), options(*everything, hidden=everything))
    assert browser_page.evaluate(OPTIONS) == ["card", "invoice", "wallet-", "transfer-"]
    plain = '<ul><li data-cashwrap-option="a">A</li><li data-cashwrap-option="b">B</li></ul>'
    show(browser_page, server, place(plain), options("a", "b", hidden=("a", "b")))
    assert browser_page.evaluate(OPTIONS) == ["a-", "b"]


def test_options_of_a_select(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    body = """<select><option data-cashwrap-option="std">Standard</option>
      <option data-cashwrap-option="exp" selected>Express</option>
      <option data-cashwrap-option="pick">Pick up</option></select>"""
    content = options("pick", "exp", "std", hidden=("exp", "std"), pick={"name": "Collect", "badge": "Free"})
    show(browser_page, server, place(body), content)
    assert browser_page.evaluate(OPTIONS) == ["pick", "exp", "std-"]
    assert browser_page.input_value("select") == "Express"
    assert browser_page.inner_text("option >> nth=0") == "Collect"


def test_focus_stays_and_frames_do_not_move(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    show(browser_page, server, place(METHODS), None)
    browser_page.focus("input[value=transfer]")
    server.answers["/v1/decide"] = lambda _: decision({"x": options("transfer", "card", "invoice", "wallet")})
    browser_page.evaluate("() => cashwrap.decide()")
    assert browser_page.evaluate(OPTIONS) == ["transfer", "card", "invoice", "wallet"]
    assert browser_page.evaluate("() => document.activeElement.value") == "transfer"
    browser_page.evaluate(
        """() => document.querySelector("[data-cashwrap-option=card]").append(document.createElement("iframe"))"""
    )
    server.answers["/v1/decide"] = lambda _: decision({"x": options("wallet", "card", "invoice", "transfer")})
    browser_page.evaluate("() => cashwrap.decide()")
    assert "card" in browser_page.evaluate(OPTIONS)[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('<input data-cashwrap-slot="field">', "Ada"),
        ('<textarea data-cashwrap-slot="field"></textarea>', "Ada"),
        ('<input data-cashwrap-slot="field" value="Bob">', "Bob"),
        ("<input>", ""),
        ('<input data-cashwrap-slot="field" type="password">', ""),
        ('<input data-cashwrap-slot="field" autocomplete="cc-number">', ""),
        ('<input data-cashwrap-slot="field" autocomplete="one-time-code">', ""),
    ],
)
def test_only_an_empty_field_the_shop_marked_is_filled_in(
    browser_page: Page, server: Recorder, complaints: Complaints, field: str, value: str
) -> None:
    show(browser_page, server, place(field), {"type": "field", "state": "show", "prefill": "Ada"})
    assert browser_page.input_value("#x input, #x textarea") == value
    browser_page.evaluate("() => document.querySelector('#x').firstElementChild.value += '!'")
    back_to_default(browser_page, server)
    assert browser_page.input_value("#x input, #x textarea") == f"{value}!"


def test_a_reserved_placement_shifts_nothing(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    browser_page.add_init_script(
        """window.shifts = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())
          shifts += entry.value }).observe({type: "layout-shift", buffered: true});"""
    )
    fixed = "<div style='height: 3em'>{}</div><p>Below</p>"
    reserved = '<body style="margin: 0">' + fixed.format(place("Default"))
    server.answers["/v1/decide"] = lambda _: decision({"x": {"type": "message", "text": "Hello", "locale": "en"}})
    for body, shifted in ((reserved, False), (place("").replace("div", "p") + "<p>Below</p>", True)):
        server.pages["/shop"] = (f"<!doctype html><title>Shop</title>{TAG}{body}", {})
        browser_page.goto(f"{server.url}/shop")
        browser_page.wait_for_function("() => document.querySelector('#x').textContent === 'Hello'")
        if shifted:  # the check sees a page that reserved no room
            browser_page.evaluate("() => document.querySelector('#x').style.setProperty('height', '9em')")
        browser_page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 60)))")
        assert (browser_page.evaluate("() => shifts") > 0) is shifted


# --- hostile content ---

SCRIPTS = ["window.pwned=1", "alert(1)", "parent.pwned=1", "top['pwned']=1"]
SHAPES = [
    "<script>{}</script>",
    "</script><script>{}</script>",
    "<img src=x onerror={}>",
    "<img src=x onerror='{}'//",
    '"><img src=x onerror="{}">',
    "'><svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin={} attributeName=x dur=1s>",
    "<iframe srcdoc='<script>{}</script>'></iframe>",
    "<iframe src=javascript:{}>",
    "<math><mtext></mtext><a xlink:href='javascript:{}'>x</a></math>",
    "<a href='javascript:{}'>x</a>",
    "javascript:{}",
    " javascript:{}",
    "JaVaScRiPt:{}",
    "java\tscript:{}",
    "java\nscript:{}",
    "\x01javascript:{}",
    "data:text/html,<script>{}</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==#{}",
    "vbscript:{}",
    "blob:{}",
    "//evil.example/%22onmouseover=%22{}",
    "{{{{constructor.constructor('{}')()}}}}",
    "${{{}}}",
    "<style>@import 'javascript:{}';</style>",
    "<link rel=stylesheet href='javascript:{}'>",
    "<object data='javascript:{}'></object>",
    "<embed src='javascript:{}'>",
    "<form action='javascript:{}'><button>x",
    "<base href='javascript:{}//'>",
    "<meta http-equiv=refresh content='0;javascript:{}'>",
    "<template><script>{}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={}>'>",
    "<details open ontoggle={}>",
    "<input autofocus onfocus={}>",
    "<video><source onerror={}></video>",
    "<body onload={}>",
    "<x onclick={} style=position:fixed;inset:0>x",
    "<!--><img src=x onerror={}>-->",
    "<![CDATA[<script>{}</script>]]>",
    "\u2028<script>{}</script>",
    "\ufeff<script>{}</script>",
    "&lt;script&gt;{}&lt;/script&gt;",
    "expression({})",
    "1px;background:url(javascript:{})",
    "' onmouseover='{}",
    '" autofocus onfocus="{}',
    "__proto__ {}",
    "\x00<script>{}</script>",
    "<scr<script>ipt>{}</script>",
    "`-{}-`",
]
PAYLOADS = [shape.format(script) for shape, script in itertools.product(SHAPES, SCRIPTS)]

HOSTILE_PAGE = (
    '<p data-cashwrap-placement="message"><i data-cashwrap-slot="text">x</i></p>'
    '<p data-cashwrap-placement="installments">x</p>'
    '<ul data-cashwrap-placement="options"><li data-cashwrap-option="a">A</li><li data-cashwrap-option="b">B</li></ul>'
    '<div data-cashwrap-placement="products">x</div>'
    '<div data-cashwrap-placement="templated"><template><a data-cashwrap-slot="link"><b data-cashwrap-slot="name"></b>'
    '</a><i data-cashwrap-slot="price"></i><input data-cashwrap-slot="id"></template></div>'
    '<div data-cashwrap-placement="button"><button>x</button></div>'
    '<div data-cashwrap-placement="field"><input data-cashwrap-slot="field"></div>'
    '<div data-cashwrap-placement="help"><input></div><div data-cashwrap-placement="tooltip"><input></div>'
    '<div data-cashwrap-placement="layout">x</div>'
    '<div data-cashwrap-placement="scripted"><script type="text/plain" data-cashwrap-slot="text">x</script></div>'
)


def hostile(bad: str) -> dict[str, Any]:
    """The same bad text wherever a text may stand, in every component."""
    item = {"id": bad, "name": bad, "price": bad, "currency": bad, "url": bad, "image": None}
    message = {"type": "message", "text": bad, "tone": bad, "locale": bad, "progress": {"value": bad, "target": 1}}
    return {
        "message": message,
        "installments": {**message, "type": "installments"},
        "options": {
            "type": "options",
            "options": [{"id": "b", "name": bad, "badge": bad, "highlight": bad}, {"id": bad}],
            "hidden": [bad],
        },
        "products": {"type": "products", "title": bad, "items": [item]},
        "templated": {"type": "products", "title": bad, "items": [item]},
        "button": {"type": "button", "text": bad, "style": bad},
        "field": {"type": "field", "state": bad, "prefill": bad},
        "help": {"type": "help", "style": "inline", "text": bad},
        "tooltip": {"type": "help", "style": "tooltip", "text": bad},
        "layout": {"type": "layout", "tokens": {bad: "1px", "a": bad, "b": f"1px {bad}"}},
        "scripted": message,
        bad: {"type": bad},
    }


INSPECT = """() => { const found = [];
  const tags = new Set("P I UL LI DIV A B INPUT BUTTON SPAN PROGRESS TEMPLATE SCRIPT STYLE".split(" "));
  for (const node of document.body.querySelectorAll("*")) {
    if (!tags.has(node.tagName)) found.push("element " + node.tagName);
    for (const {name} of node.attributes) if (name.startsWith("on")) found.push("handler " + name);
    if (node.tagName === "A" && node.hasAttribute("href") && !/^https?:$/.test(node.protocol)) found.push("link");
    if (/^(SCRIPT|STYLE)$/.test(node.tagName) && !/^x?$/.test(node.textContent)) found.push("text in script");
    if (/url|expression|import/.test(node.getAttribute("style") ?? "")) found.push("a style that loads");
  }
  if (window.pwned !== undefined) found.push("ran");
  return found; }"""


def test_hostile_content_is_only_ever_text(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    turn = itertools.count()
    server.answers["/v1/decide"] = lambda _: decision(hostile(PAYLOADS[next(turn) % len(PAYLOADS)]))
    page = f"<!doctype html><title>Shop</title>{TAG}{HOSTILE_PAGE}"
    server.pages["/shop"] = (page, policy(server))
    browser_page.goto(f"{server.url}/shop")
    browser_page.wait_for_function("() => document.querySelector('i').textContent !== 'x'")
    browser_page.wait_for_function("() => document.querySelector('.cw-product')")
    turn = itertools.count()
    rounds = browser_page.evaluate(
        f"""async (count) => {{ const inspect = {INSPECT}; const rounds = [];
          for (let turn = 0; turn < count; turn += 1) {{ await cashwrap.decide();
            await new Promise((rendered) => setTimeout(rendered));
            rounds.push([document.querySelector("i").textContent,
              document.querySelector("[data-cashwrap-placement=help] span")?.textContent,
              document.querySelector(".cw-product .cw-name")?.textContent, inspect()]); }}
          return rounds; }}""",
        len(PAYLOADS),
    )
    assert len(rounds) == len(PAYLOADS) >= 200
    for payload, (message, hint, product, found) in zip(PAYLOADS, rounds, strict=True):
        assert (message, hint, product, found) == (payload, payload, payload, [])


@pytest.mark.parametrize("wound", ["<iframe></iframe>", "<b onclick=''></b>", "<a href='javascript:1'>x</a>"])
def test_the_inspection_finds_what_it_looks_for(browser_page: Page, server: Recorder, wound: str) -> None:
    server.pages["/shop"] = (f"<!doctype html><title>Shop</title><body>{wound}", {})
    browser_page.goto(f"{server.url}/shop")
    assert len(browser_page.evaluate(INSPECT)) == 1


def test_the_policy_forbids_what_we_do_without(browser_page: Page, server: Recorder) -> None:
    browser_page.add_init_script(VIOLATIONS)
    show(browser_page, server, place("x"), None)
    assert browser_page.evaluate("() => window.violations") == []
    with pytest.raises(Exception, match="TrustedHTML"):
        browser_page.evaluate("() => { document.body.innerHTML = 'x' }")
    browser_page.wait_for_function("() => window.violations.length === 1")


def test_one_flipped_byte_and_the_script_does_not_load(browser_page: Page, server: Recorder) -> None:
    server.files[SCRIPT] = (SDK / "cashwrap.min.js").read_bytes().replace(b"0.1.0", b"0.1.1", 1)
    server.answers["/v1/decide"] = lambda _: decision({"x": {"type": "message", "text": "Changed"}})
    server.pages["/shop"] = (f"<!doctype html><title>Shop</title>{TAG}{place('Default')}", policy(server))
    browser_page.goto(f"{server.url}/shop")
    assert browser_page.evaluate("() => window.cashwrap === undefined")
    assert browser_page.inner_text("#x") == "Default"


def test_the_modules_work_without_a_build_step(browser_page: Page, server: Recorder, complaints: Complaints) -> None:
    server.answers["/v1/decide"] = lambda _: decision({"x": {"type": "message", "text": "Built by nobody"}})
    server.files["/shop.js"] = b"""import { cashwrap } from "/sdk/0.1.0/cashwrap.js"; window.shop = cashwrap;
      cashwrap.start({ key: "cwp_test_1_x", context: { currency: "EUR" } });"""
    page = f'<!doctype html><title>Shop</title><script type="module" src="/shop.js"></script>{place("Default")}'
    server.pages["/shop"] = (page, policy(server))
    browser_page.goto(f"{server.url}/shop")
    browser_page.wait_for_function("() => document.querySelector('#x').textContent === 'Built by nobody'")
    assert server.to("/v1/decide")[0].json["context"]["currency"] == "EUR"
