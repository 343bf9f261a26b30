"""The report's page in a real browser: on a desk, on a phone, without a script, and for who uses a keyboard."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request

import reports
from cashwrap.analysis.render.page import render_page
from conftest import watched

pytestmark = pytest.mark.browser
SIZES = {"desk": (1280, 900), "phone": (390, 844)}

WIDER = """() => [...document.querySelectorAll('main *')]
  .filter(node => !node.closest('.wide, pre, svg, .unseen'))
  .filter(node => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(node => node.tagName + ' ' + node.textContent.trim().slice(0, 40))"""
CUT = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  }).map(text => text.textContent.trim());
})"""
FAINT = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = colour => channels(colour).map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const paper = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)' && colour !== 'transparent') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('body *:not(svg *)')]
    .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
    .filter(node => {
      const [low, high] = [light(getComputedStyle(node).color), light(paper(node))].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05) < 4.5;
    })
    .map(node => node.tagName + ' ' + node.textContent.trim().slice(0, 40));
}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    addresses = {}
    for which, make in reports.ALL.items():
        path = folder / f"{which}.html"
        path.write_text(render_page(make()))
        addresses[which] = path.as_uri()
    return addresses


def opened(chromium: Browser, address: str, size: tuple[int, int], **traits: bool) -> Page:
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **traits)
    page = context.new_page()
    page.goto(address)
    return page


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("which", reports.ALL)
def test_it_fits_and_nothing_is_cut_or_faint(
    chromium: Browser, files: dict[str, str], which: str, size: tuple[int, int]
) -> None:
    page = opened(chromium, files[which], size, java_script_enabled=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(WIDER) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(FAINT) == []
    page.context.close()


def test_nothing_is_asked_of_any_network_and_nobody_complains(chromium: Browser, files: dict[str, str]) -> None:
    context = chromium.new_context()
    page = context.new_page()
    complaints, asked = watched(page), []

    def on_request(request: Request) -> None:
        if not request.url.startswith("data:"):
            asked.append(request.url)

    page.on("request", on_request)
    page.goto(files["hostile"])
    assert asked == [files["hostile"]]
    assert (complaints.messages, complaints.dialogs, complaints.network) == ([], [], [])
    context.close()


def test_what_a_screen_reader_finds(chromium: Browser, files: dict[str, str]) -> None:
    page = opened(chromium, files["win"], SIZES["desk"])
    assert page.get_by_role("heading", level=1).inner_text() == "wallets_first_on_mobile"
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    assert page.get_by_role("contentinfo").count() == 1
    pictures = page.get_by_role("img").all()
    assert len(pictures) == 6
    assert "Profit per shopper, wallets_first: +7.3%" in (pictures[0].get_attribute("aria-label") or "")
    table = page.get_by_role("table", name="Every metric, each arm against control")
    assert table.get_by_role("columnheader").count() == 10
    assert table.get_by_role("rowheader").count() == len(reports.win().results)
    page.context.close()


def test_details_open_by_keyboard_and_without_a_script(chromium: Browser, files: dict[str, str]) -> None:
    page = opened(chromium, files["win"], SIZES["phone"], java_script_enabled=False)
    summary = page.locator("summary", has_text="units by arm")
    assert not page.get_by_text("GROUP BY arm").first.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("GROUP BY arm").first.is_visible()
    page.context.close()


def test_it_prints_on_paper(chromium: Browser, files: dict[str, str], tmp_path: Path) -> None:
    page = opened(chromium, files["harm"], SIZES["desk"])
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    assert printed.startswith(b"%PDF")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    assert page.evaluate(CUT) == []
    page.context.close()


class TestTheCheckersThemselves:
    """Planted bugs: each must be seen."""

    @pytest.mark.parametrize(
        ("planted", "checker"),
        [
            ('<p style="width: 500px">wide</p>', WIDER),
            ('<svg width="50" height="20"><text x="40" y="10">beyond the frame</text></svg>', CUT),
            ('<p style="color: #aaa">faint</p>', FAINT),
        ],
    )
    def test_sees(self, chromium: Browser, planted: str, checker: str) -> None:
        context = chromium.new_context(viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.set_content(f"<main>{planted}</main>")
        assert len(page.evaluate(checker)) == 1
        context.close()
