"""Walks one order through the running demo as a phone's browser would, and says what held at each step.

Plain HTTP: what the SDK does in a browser (ask, remember, send) is done here by the same requests, on the shop's own
origin. The walk in a real browser is `tests/journeys/test_demo.py`. Standard library only.
"""

import base64
import hashlib
import html
import http.client
import http.cookies
import json
import re
import secrets
import urllib.parse
import uuid
from decimal import Decimal

from cashwrap_client import now
from programs import until

JONAS = "customer-2"  # the second customer the seed makes
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
OWN_COOKIES = {"csrftoken", "sessionid", "messages", "oscar_open_basket"}  # the shop's, none of them ours
SHOP_ORDER = ["card", "paynow", "invoice", "bank_transfer", "apple_pay", "google_pay"]
OURS = re.compile(r"/cw/|data-cashwrap|cashwrap(\.min)?\.js|cw[ps]_(live|test)_")
CATALOGUE = {"complements", "category", "popular"}  # what fills a place where no model does
COFFEE = ["KC-C01", "KC-C02", "KC-C03", "KC-C04", "KC-C05"]


class Failed(Exception):
    """A step did not hold."""


def check(true, why):
    if not true:
        raise Failed(why)


class Browser:
    """Cookies, redirects and forms; no scripts. `Browser(address)` has nothing in its pockets."""

    def __init__(self, address):
        self.host = address.removeprefix("http://")
        self.cookies = {}

    def request(self, method, path, body=None, headers=()):
        """Return (status, headers, text) of one exchange."""
        sent = {"User-Agent": PHONE, "Accept-Language": "en", **dict(headers)}
        if self.cookies and not path.startswith("/cw/"):
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie") or ():
            for name, cookie in http.cookies.SimpleCookie(line).items():
                self.cookies[name] = cookie.value
                if cookie["max-age"] == "0" or not cookie.value:
                    del self.cookies[name]
        return response.status, response.headers, text

    def get(self, path):
        return self._follow("GET", path, None, {})

    def post(self, path, **fields):
        fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://{self.host}/"}
        return self._follow("POST", path, urllib.parse.urlencode(fields), headers)

    def _follow(self, method, path, body, headers):
        for _ in range(8):
            status, answered, text = self.request(method, path, body, headers)
            if status not in (301, 302, 303):
                check(status == 200, f"{method} {path} answered {status}: {text[:200]}")
                return text
            target = urllib.parse.urlsplit(answered["Location"])
            path = target.path + (f"?{target.query}" if target.query else "")
            method, body, headers = "GET", None, {}
        raise Failed(f"{path} redirects for ever")

    def send(self, path, value, key):
        """Post JSON as the SDK does: no cookie of the shop travels with it."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        status, _, text = self.request("POST", f"/cw{path}", json.dumps(value), headers)
        check(status == 200 and '"errors"' not in text, f"{path} answered {status}: {text[:300]}")
        return json.loads(text)


def walk(demo, say):
    """Walk from the first visit to an order number and beyond. Raises `Failed` at the first thing that is not so."""
    visit = Visit(demo)
    for step in (
        visit.first_page,
        visit.basket_before_consent,
        *([visit.what_was_learned_goes_with_it] if demo.past else []),
        visit.nothing_is_stored,
        visit.consent,
        visit.an_event_changes_the_next_decision,
        visit.payment_page,
        visit.order,
        visit.the_order_is_in_the_profile,
        visit.the_why_view_tells,
        visit.withdrawal,
        visit.the_regular_is_known,
        visit.the_offer_lowers_the_real_total,
        visit.the_offer_is_redeemed_once,
    ):
        try:
            said = step()
        except Failed:
            say(f"  ✗ {step.__name__.replace('_', ' ')}")
            raise
        say(f"  ✓ {said}")


class Visit:
    """One shopper, step by step; each step returns the sentence that held."""

    def __init__(self, demo):
        self.demo = demo
        self.browser = Browser(demo.shop)
        self.stored_before = stored(demo.engine)
        self.device, self.number, self.before = "", "", None
        self.offered, self.total = {}, None

    def first_page(self):
        page = self.browser.get("/")
        self.key = attribute(page, "data-cashwrap-key")
        check(self.key == self.demo.publishable, "the page does not carry the publishable key")
        check(self.demo.secret not in page, "the secret key is in a page")
        source = re.search(r'src="(/cw/sdk/[^"]+)" integrity="sha384-([^"]+)"', page)
        check(source, "the page does not load the script with its integrity hash")
        _, _, script = self.browser.request("GET", source[1])
        digest = base64.b64encode(hashlib.sha384(script.encode()).digest()).decode()
        check(digest == source[2], "the script served is not the one the page pins")
        return "the first page loads our script from the shop's own origin, pinned by its hash"

    def basket_before_consent(self):
        self.add("KC-C07")
        self.before = self.decide({})
        check(self.before["level"] == "request", f"the level is {self.before['level']}, not request")
        message = self.before["placements"]["basket_message"]
        check(message["experience"] == "free_delivery_progress", f"the basket shows {message['experience']}")
        return f"before consent the basket knows this page only: “{message['content']['text']}”"

    def what_was_learned_goes_with_it(self):
        shown = self.before["placements"]["accessories"]["content"]["items"]
        learned = [f"{each['name']} ({each['from']})" for each in shown if each["from"] not in CATALOGUE]
        check(learned, f"the catalogue alone filled the basket's accessories: {shown}")
        return f"what goes with it was learned from the past: {', '.join(learned)}"

    def nothing_is_stored(self):
        payment = self.to_payment()
        check(methods(payment)[:2] == ["apple_pay", "google_pay"], "a phone's payment page does not lead with wallets")
        check(stored(self.demo.engine) == self.stored_before, "an event was stored before consent")
        check(set(self.browser.cookies) <= OWN_COOKIES, f"cookies before consent: {sorted(self.browser.cookies)}")
        return "before consent nothing is stored: no event, no cookie of ours, all the way to the payment page"

    def consent(self):
        """What the SDK does when the banner is accepted."""
        self.device = secrets.token_hex(16)
        choices = {"personalization": "granted", "analytics": "granted"}
        self.send({"type": "consent", "choices": choices, "scope": "device", "source": "banner"})
        self.browser.cookies |= {"cw_id": self.device, "cw_consent": "personalization.1-analytics.1"}
        held = self.profile()
        check(held.get("consent", {}).get("personalization") == "granted", "the choice is not in the profile")
        return "the shopper accepts, and the choice is kept"

    def an_event_changes_the_next_decision(self):
        first = self.decide({"anonymousId": self.device})
        events = [
            {"type": "track", "event": "Product Viewed", "properties": {"product_id": each, "category": "coffee"}}
            for each in COFFEE
        ]
        self.send(*events)
        second = self.decide({"anonymousId": self.device})
        was, now_shown = (each["placements"]["accessories"]["experience"] for each in (first, second))
        check(second["level"] in ("session", "profile"), f"the level is {second['level']}")
        check(was == "goes_with_the_basket", f"the accessories were {was}")
        check(now_shown == "favourites_for_enthusiasts", f"the accessories are {now_shown}")
        shown = second["placements"]["accessories"]["content"]["items"]
        return f"five views change the very next decision: {was} → {now_shown} ({shown[0]['name']})"

    def payment_page(self):
        page = self.to_payment()
        shown = methods(page)
        check(sorted(shown) == sorted(SHOP_ORDER), f"the payment page shows {shown}")
        check(shown[:2] == ["apple_pay", "google_pay"] and shown[-1] == "bank_transfer", f"the order is {shown}")
        check("cw-highlight" in page, "nothing is highlighted")
        check('<meta name="cashwrap-page" content="payment">' in page, "the page is not marked as a payment page")
        check(not OURS.search(page), "something of ours is on the payment page")
        return "the payment page is reordered by the shop's backend (wallets first) and carries no script of ours"

    def order(self):
        self.browser.post("/checkout/preview/", method="apple_pay", card_token="")
        page = self.browser.post("/checkout/preview/", action="place_order")
        found = re.search(r'id="order-number">(\d+)<', page)
        check(found, "no order number is shown")
        self.number = found[1]
        return f"the order is placed: number {self.number}"

    def the_order_is_in_the_profile(self):
        until(f"order {self.number} to arrive", lambda: self.number in self.orders(), 20)
        check(self.orders().count(self.number) == 1, "the order counts twice")
        return "the order arrived in the profile, once, by the shop's secret key"

    def the_why_view_tells(self):
        page = html.unescape(self.browser.get("/why/?page=payment&path=/checkout/payment-details/"))
        for word in ("wallets_first_on_phones", 'chip in">category_enthusiast', self.number):
            check(word in page, f"the why view does not show {word}")
        check(re.search("level-(session|profile)", page), "the why view does not say which data was used")
        return "the why view shows the order, the segments and why the wallets come first"

    def withdrawal(self):
        self.send({"type": "consent", "choices": {"personalization": "denied"}, "scope": "device", "source": "drawer"})
        level = self.decide({"anonymousId": self.device})["level"]
        check(level == "request", f"after a withdrawal the level is {level}")
        return "a withdrawal holds from the next request on"

    def the_regular_is_known(self):
        self.browser = Browser(self.demo.shop)
        self.browser.get("/")
        self.browser.post("/persona/jonas/", next="/")
        page = self.add("KC-C01")
        who = {"userId": attribute(page, "data-cashwrap-user-id"), "token": attribute(page, "data-cashwrap-token")}
        bare = self.decide({"userId": who["userId"]})
        check(bare["level"] == "request", "a bare user id from a browser opened a profile")
        self.offered = self.decide(who)["placements"]["basket_message"]
        check(self.offered["experience"] == "best_offer_on_the_basket", f"Jonas sees {self.offered['experience']}")
        return f"a signed token opens Jonas's profile, a bare id does not: “{self.offered['content']['text']}”"

    def the_offer_lowers_the_real_total(self):
        offer, before = self.offered["offer"], total(self.browser.get("/basket/"))
        said = offer.get("disclosure", {}).get("text")
        check(offer["personal"] and said, "the offer does not say that the price is personal")
        page = self.browser.post("/offer/", token=offer["token"], next="/basket/")
        after = total(page)
        check(before - after == Decimal(offer["amount"]), f"{before} became {after} by an offer of {offer['amount']}")
        check(said in html.unescape(page), "the basket does not say what has to be said")
        again = total(self.browser.post("/offer/", token=offer["token"], next="/basket/"))
        check(again == after, "a second click took it off twice")
        self.total = after
        return f"the offer is verified, held, and a voucher of the shop: {before} € → {after} €, “{said}”"

    def the_offer_is_redeemed_once(self):
        self.browser.get("/checkout/shipping-address/")
        address = re.search(r'name="address_id" value="(\d+)"', self.browser.get("/checkout/shipping-address/"))
        check(address, "Jonas's address is not offered")
        self.browser.post("/checkout/shipping-address/", action="ship_to", address_id=address[1])
        self.browser.post("/checkout/shipping-method/", method_code="standard")
        page = self.browser.post("/checkout/preview/", method="paynow", card_token="")
        check(total(page) == self.total, f"the last page before the order says {total(page)}")
        page = self.browser.post("/checkout/preview/", action="place_order")
        found = re.search(r'id="order-number">(\d+)<', page)
        check(found, "no order number is shown")
        name = self.offered["offer"]["name"]
        until(
            "the offer to be redeemed",
            lambda: Decimal(self.spent(name)) == Decimal(self.offered["offer"]["amount"]),
            20,
        )
        check(Decimal(self.books(name)["held"].get("EUR", "0")) == 0, "something is held still")
        return f"order {found[1]} redeemed it once: {self.spent(name)} € spent, nothing held"

    # --- parts of a step ---

    def add(self, product_id):
        page = self.browser.get(f"/p/{product_id}/")
        action = re.search(r'action="(/basket/add/\d+/)"', page)
        check(action, f"{product_id} cannot be put into the basket")
        return self.browser.post(action[1], quantity="1", next="/basket/")

    def to_payment(self):
        """Walk a guest's checkout up to the choice of payment."""
        self.browser.get("/checkout/")
        self.browser.post("/checkout/", username="ada@kestrel.example", options="anonymous", password="")
        address = {"first_name": "Ada", "last_name": "Brook", "line1": "Mill Lane 4", "line4": "Freiburg"}
        address |= {"postcode": "79098", "country": "DE", "line2": "", "line3": "", "state": ""}
        self.browser.post("/checkout/shipping-address/", **address)
        return self.browser.post("/checkout/shipping-method/", method_code="standard")

    def decide(self, shopper):
        """Ask as the SDK does on the basket page, with the page's own facts."""
        facts = json.loads(attribute(self.browser.get("/basket/"), "data-cashwrap-context"))
        context = {**facts, "page": {"path": "/basket/", "type": "cart"}, "locale": "en"}
        return self.browser.send("/v1/decide", {"shopper": shopper, "context": context, "deadlineMs": 2000}, self.key)

    def send(self, *events):
        stamped = [
            {"messageId": str(uuid.uuid4()), "timestamp": now(), "anonymousId": self.device, **event}
            for event in events
        ]
        self.browser.send("/v1/batch", {"batch": stamped, "sentAt": now()}, self.key)

    def books(self, offer):
        """How far an offer is, by the engine's own ledger."""
        headers = {"Authorization": f"Bearer {self.demo.secret}"}
        _, _, text = Browser(self.demo.engine).request("GET", "/v1/offers", None, headers)
        return next(each for each in json.loads(text)["offers"] if each["name"] == offer)

    def spent(self, offer):
        return self.books(offer)["spent"].get("EUR", "0")

    def profile(self):
        return self.demo.client().shopper(anonymousId=self.device)

    def orders(self):
        return [order["id"] for order in self.profile().get("orders", ())]


def attribute(page, name):
    found = re.search(rf'{name}="([^"]+)"', page)
    check(found, f"the page has no {name}")
    return html.unescape(found[1])


def total(page):
    """The amount to pay that a page shows, in euros."""
    found = re.search(r'class="sum".*?<dd>[^\d]*([\d.,]+)', page, re.DOTALL)
    check(found, "the page shows no total")
    return Decimal(found[1].replace(",", ""))


def methods(page):
    start = page.index('data-placement="payment_methods"')
    return re.findall(r'data-option="(\w+)"', page[start : page.index("</fieldset>", start)])


def stored(engine):
    """Return how many events the engine has stored since it started."""
    _, _, text = Browser(engine).request("GET", "/metrics")
    found = re.search(r'^cashwrap_events_total\{fate="stored"\} ([\d.e+]+)$', text, re.MULTILINE)
    check(found, "the engine's metrics do not count stored events")
    return int(float(found[1]))
