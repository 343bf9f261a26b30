"""Take the pictures of the documentation from the running demo: `python -m tests.journeys.pictures [NAME ...]`.

Writes `docs/images/{before-consent,new-mobile,high-value,why}.png`, the payment page as four shoppers see it,
`recommendations.png` and `offer-basket.png`. Look at each before you commit it.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "shop"), str(ROOT / "tests/journeys"), str(ROOT / "tests")]

from demo import Demo  # noqa: E402 - the demo's own modules live beside the shop
from programs import Child  # noqa: E402
from test_shop_journey import put_in_basket, to_delivery  # noqa: E402

from conftest import CHROMIUM_ARGS, DESKTOP, PHONE  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 250_000
COFFEE = ("KC-C02", "KC-C03", "KC-C04", "KC-C05")


def opened(browser: Browser, demo: Demo, user_agent: str, size: tuple[int, int]) -> Page:
    """A shopper who has never been here, on the first page; wider pages are drawn smaller, so that they fit 1280."""
    context = browser.new_context(
        user_agent=user_agent,
        locale="en",
        timezone_id="Europe/Berlin",
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=min(1.0, 1280 / size[0]),
        has_touch=user_agent == PHONE,
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto(demo.shop)
    return page


def take(page: Page, name: str) -> None:
    """Keep one picture. Fails when it is too heavy for a page."""
    page.evaluate("document.fonts.ready")
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size // 1000} KB")  # noqa: T201 - a command speaks
    if size > LARGEST:
        sys.exit(f"{name} is larger than {LARGEST // 1000} KB")
    page.context.close()


def guest_to_payment(page: Page) -> None:
    to_delivery(page)
    page.click(".step button.primary")
    expect(page.locator("[data-placement=payment_methods]")).to_be_visible()


def before_consent(browser: Browser, demo: Demo) -> None:
    page = opened(browser, demo, DESKTOP, (1280, 940))
    put_in_basket(page, demo.shop, "KC-C07")
    guest_to_payment(page)
    take(page, "before-consent")


def new_mobile(browser: Browser, demo: Demo) -> None:
    page = opened(browser, demo, PHONE, (390, 844))
    page.click("[data-consent-accept]")
    for product_id in COFFEE:
        with page.expect_response("**/cw/v1/batch"):
            page.goto(f"{demo.shop}/p/{product_id}/")
    put_in_basket(page, demo.shop, "KC-C01")
    guest_to_payment(page)
    take(page, "new-mobile")


def regular_to_payment(browser: Browser, demo: Demo, size: tuple[int, int]) -> Page:
    page = opened(browser, demo, DESKTOP, size)
    page.click("[data-consent-accept]")
    page.click("text=Log in as Jonas")
    page.goto(f"{demo.shop}/basket/")
    if not page.locator(".summary a.button.primary").count():  # the shop keeps his basket from picture to picture
        put_in_basket(page, demo.shop, "KC-K05")
    page.click(".summary a.button.primary")
    page.click(".known button")
    page.click(".step button.primary")
    expect(page.locator("[data-option]").first).to_have_attribute("data-option", "invoice")
    return page


def high_value(browser: Browser, demo: Demo) -> None:
    take(regular_to_payment(browser, demo, (1280, 900)), "high-value")


def why(browser: Browser, demo: Demo) -> None:
    page = regular_to_payment(browser, demo, (1480, 1040))
    page.click("[data-why-toggle]")
    card = page.frame_locator(".why-drawer iframe").locator(".card", has_text="payment_methods").first
    card.locator("summary").click()
    expect(card.locator(".considered.shown b")).to_have_text("invoice_first_for_regulars")
    take(page, "why")


def recommendations(browser: Browser, demo: Demo) -> None:
    """What goes with a newcomer's basket, as it was learned from the invented past, each product with who chose it."""
    page = opened(browser, demo, DESKTOP, (1280, 1060))
    page.click("[data-consent-reject]")
    for product_id in ("KC-C01", "KC-C03"):
        put_in_basket(page, demo.shop, product_id)
    chosen = page.locator("[data-cashwrap-source] .chosen-by")
    expect(chosen.first).to_be_visible()
    chosen.first.scroll_into_view_if_needed()
    take(page, "recommendations")


def offer_basket(browser: Browser, demo: Demo) -> None:
    """The basket of a regular with the offer taken; last, since the basket stays his."""
    page = opened(browser, demo, DESKTOP, (1280, 1010))
    page.click("[data-consent-accept]")
    page.click("text=Log in as Jonas")
    page.goto(f"{demo.shop}/basket/")
    page.click(".offer-take button")
    expect(page.locator(".totals .cw-disclosure")).to_be_visible()
    expect(page.locator(".basket-message .cw-disclosure")).to_be_visible()
    take(page, "offer-basket")


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("pictures need Debian's chromium: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = Demo(Path(folder), 0, 0, patient=True, past=True)
        try:
            demo.start()
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS, env={**os.environ})
            for picture in (before_consent, new_mobile, high_value, why, recommendations, offer_basket):
                if not sys.argv[1:] or picture.__name__ in sys.argv[1:]:
                    picture(browser, demo)
            browser.close()
        finally:
            Child.stop_all()


if __name__ == "__main__":
    main()
