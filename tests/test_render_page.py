"""The page: complete, escaped, and made for readers of every kind."""

import re
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import reports
from cashwrap.analysis.render import phrases, words
from cashwrap.analysis.render.page import JOINER, POLICY, render_page
from cashwrap.analysis.render.tables import STANDINGS, lean, metrics
from cashwrap.analysis.results import Problem

ROOT = Path(__file__).parents[1]
VOID = {"meta", "link", "br", "img", "hr", "input"}


@cache
def page(which: str) -> str:
    return render_page(reports.ALL[which]())


class Read(HTMLParser):
    """What a page is made of, and what a careful reader finds wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._heading = 0
        self._table: set[str] = set()
        self.feed(text)
        self.close()
        self.wrong += [f"{tag} is left open" for tag in self._open]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words)).replace(JOINER, "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag in {"script", "iframe", "object", "embed", "form", "base"}:
            self.wrong.append(f"there is a {tag}")
        self.wrong += [
            f"{tag} {name}" for name in named if name.startswith("on") or name in {"src", "srcset", "action"}
        ]
        link = named.get("href", named.get("xlink:href", "#"))
        if not link.startswith(("#", "data:")):
            self.wrong.append(f"links to {link}")
        if "id" in named:
            self.wrong += [f"id {named['id']} is there twice"] if named["id"] in self._ids else []
            self._ids.add(named["id"])
        self._structure(tag, named)
        if tag not in VOID:
            self._open.append(tag)

    def _structure(self, tag: str, named: dict[str, str]) -> None:
        if re.fullmatch("h[1-6]", tag):
            level = int(tag[1])
            if level > self._heading + 1:
                self.wrong.append(f"{tag} after h{self._heading}")
            self._heading = level
        if tag == "table":
            self._table = set()
        if tag == "th":
            self._table.add(named.get("scope", "nothing"))
        if tag == "caption":
            self._table.add("caption")
        if tag == "div" and named.get("role") == "img" and not named.get("aria-label", "").strip():
            self.wrong.append("a picture without words")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"{tag} closes what is not open")
        if tag == "table" and self._table != {"row", "col", "caption"}:
            self.wrong.append(f"a table has {sorted(self._table)}")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)


@pytest.mark.parametrize("which", reports.ALL)
def test_nothing_is_wrong_with_the_markup(which: str) -> None:
    read = Read(page(which))
    assert read.wrong == []
    assert [page(which).count(f"<{tag}") for tag in ("h1", "main", "header>", "footer")] == [1, 1, 1, 1]


@pytest.mark.parametrize("which", reports.ALL)
def test_nothing_is_fetched(which: str) -> None:
    text = page(which)
    assert POLICY in unescape(text)
    assert re.findall(r"https?:|@import|url\((?!#)", text) == []


@pytest.mark.parametrize("which", reports.ALL)
def test_every_reason_for_doubt_is_there_with_its_code(which: str) -> None:
    report = reports.ALL[which]()
    problems: list[Problem] = [*report.doubts]
    problems += [result.problem for result in report.results if result.problem is not None]
    problems += report.ratio.suspects if report.ratio is not None else ()
    problems += report.plan.notes if report.plan is not None else ()
    text = Read(page(which)).text
    for problem in problems:
        assert problem.message.replace("`", "") in text
        assert problem.code in text
    assert ("None. Shares of the arms" in text) == (not report.doubts)


@pytest.mark.parametrize("which", reports.ALL)
def test_the_marketers_part_comes_first(which: str) -> None:
    report = reports.ALL[which]()
    text = Read(page(which)).text
    verdict, stake = report.verdict, report.verdict.stake
    assert text.index(verdict.sentence) < text.index("What to do next") < text.index("Can it be trusted?")
    if stake is None or verdict.stake_interval is None:
        assert "not known yet" in text
    else:
        assert words.stake(stake, verdict.stake_interval, report.currency) in text
        assert words.stake_range(stake, verdict.stake_interval, report.currency) in text
    if verdict.harm is not None:
        assert words.chance(verdict.harm) in text
    for step in phrases.next_steps(report):
        assert step in text


@pytest.mark.parametrize("which", reports.ALL)
def test_the_statisticians_part_has_every_number(which: str) -> None:
    report = reports.ALL[which]()
    text = Read(page(which)).text
    assert words.NOT_A_RULE in text
    for row in lean(metrics(report)).rows:
        assert all(cell in text for cell in row)
    for result in report.results:
        assert result.label in text
        for effect in result.effects:
            assert effect.standing is None or STANDINGS[effect.standing] in text
    for tally in report.arms:
        assert tally.arm in text
        assert words.number(tally.mature) in text
    for statement in report.sql.values():
        assert re.sub(r"\s+", " ", statement) in text
    for release in report.playbooks:
        assert release in text
    for part in report.slices:
        assert f"{part.dimension}: {part.value}" in text


def test_hostile_names_are_words_and_nothing_else() -> None:
    text = page("hostile")
    assert "<script" not in text
    assert "alert(&#34;1&#34;)" in text
    assert unescape(text).count(reports.HOSTILE) > 20


def test_the_headline_is_not_called_an_experiment() -> None:
    text = Read(page("headline")).text
    assert "What personalization earned" in text
    assert "Experiment in store" not in text
    assert "It pays" in text


def test_a_report_without_numbers_has_no_empty_tables_and_no_pictures() -> None:
    text = page("nothing")
    assert "<svg" not in text
    assert "<tbody>\n</tbody>" not in text
    assert "too_early" in text


def test_a_stakeless_verdict_says_so_and_code_is_code() -> None:
    assert Read(page("nothing")).text.count("not known yet") == 2
    assert "<code>shop: rates:</code>" in page("harm")


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_page(reports.headline()) == page("headline")


def missing(text: str) -> list[str]:
    """Parts of the manual that a page names and that are not there."""
    found = []
    for name, anchor in re.findall(r"<code>(docs/reference/[\w.]+)#([\w-]+)</code>", text):
        heads = re.findall(r"^#+ (.+)$", (ROOT / name).read_text(), re.MULTILINE)
        if anchor not in {re.sub(r"[^\w-]", "", head.lower().replace(" ", "-")) for head in heads}:
            found.append(f"{name}#{anchor}")
    return found


def test_the_parts_of_the_manual_are_there() -> None:
    assert missing(page("win")) == []
    planted = "<code>docs/reference/errors.md#nowhere</code><code>docs/reference/errors.md#errors</code>"
    assert missing(planted) == ["docs/reference/errors.md#nowhere"]


class TestTheCheckerItself:
    """Planted bugs: each must be seen."""

    @pytest.mark.parametrize(
        ("planted", "seen"),
        [
            ("<script>1</script>", "there is a script"),
            ('<a href="https://x.example">x</a>', "links to https://x.example"),
            ('<p onclick="x()">x</p>', "p onclick"),
            ("<h1>a</h1><h3>b</h3>", "h3 after h1"),
            ('<p id="a">x</p><p id="a">y</p>', "id a is there twice"),
            ("<table><tr><th>x</th></tr></table>", "a table has ['nothing']"),
            ('<div role="img"></div>', "a picture without words"),
            ("<p><b>x</p></b>", "p closes what is not open"),
            ("<p>x", "p is left open"),
        ],
    )
    def test_sees(self, planted: str, seen: str) -> None:
        assert seen in Read(planted).wrong
