"""What every journey through a real browser needs.

``browser_page`` is a fresh page in a context of its own (no cookies, no storage), in Debian's chromium::

    @pytest.mark.browser
    def test_something(browser_page: Page) -> None:
        browser_page.goto(url)

``chromium`` is the browser itself, for a test that needs several contexts or traits of its own
(``chromium.new_context(locale="de-DE", user_agent=user_agent(chromium))``; close what you open).
``desktop`` and ``phone`` are contexts of a person at either one.
``watched(page)`` collects whatever a page complains about: call it before ``goto``.

Without chromium these tests skip with a line that says so; in CI (``CI`` set) they fail instead. Servers run in
threads or processes of their own: Playwright's event loop owns the main thread while a module's tests run, so
there is no ``asyncio.run`` in here.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

expect.set_options(timeout=20_000)  # milliseconds: a busy machine is slow, and what never comes still fails

CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
PHONE = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's chromium, one for the tests of a module."""
    path = shutil.which("chromium")
    if path is None:
        reason = "browser tests need Debian's chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


def user_agent(chromium: Browser, system: str = "X11; Linux x86_64", mobile: str = "") -> str:
    """What a person's browser says: a headless one would be taken for a bot, and kept out of every profile."""
    version = chromium.version.partition(".")[0]
    return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 {mobile}Safari/537.36"


@pytest.fixture
def browser_page(chromium: Browser) -> Iterator[Page]:
    """A page nobody has used before."""
    context = chromium.new_context(user_agent=user_agent(chromium))
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def by_day() -> str:
    """A time zone where it is not evening now: the starter has something of its own for the evening."""
    return "Asia/Tokyo" if 16 <= datetime.now(UTC).hour <= 22 else "UTC"


@pytest.fixture
def desktop(chromium: Browser) -> Iterator[BrowserContext]:
    """A person at a desk."""
    context = chromium.new_context(
        user_agent=DESKTOP, locale="en", timezone_id=by_day(), viewport={"width": 1280, "height": 860}
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def phone(chromium: Browser) -> Iterator[BrowserContext]:
    """A person on a phone."""
    context = chromium.new_context(
        user_agent=PHONE,
        locale="en",
        timezone_id=by_day(),
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@dataclass
class Complaints:
    """What went wrong in a page, as its developer tools would show it."""

    errors: list[str] = field(default_factory=list)
    """Uncaught exceptions and rejections, and console errors by scripts."""
    messages: list[str] = field(default_factory=list)
    """Everything any script wrote to the console."""
    network: list[str] = field(default_factory=list)
    """Lines the browser itself writes about failed requests: no script can prevent those."""
    dialogs: list[str] = field(default_factory=list)


def watched(page: Page) -> Complaints:
    """Collect a page's complaints from now on."""
    complaints = Complaints()

    def on_console(message: ConsoleMessage) -> None:
        if message.text.startswith("[DOM]"):
            return  # advice by the browser about the markup
        if message.text.startswith("Failed to load resource"):
            complaints.network.append(message.text)
            return
        complaints.messages.append(message.text)
        if message.type in {"error", "assert"}:
            complaints.errors.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.errors.append(str(error)))

    def on_dialog(dialog: object) -> None:
        complaints.dialogs.append(str(dialog))

    page.on("dialog", on_dialog)
    return complaints
