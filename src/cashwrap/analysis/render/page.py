"""A report as one HTML file: for a marketer at its top, a statistician below; it fetches and runs nothing."""

from collections.abc import Iterator
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from cashwrap.analysis.render import phrases, plots, tables, words
from cashwrap.analysis.render.style import inline
from cashwrap.analysis.render.tables import Table
from cashwrap.analysis.results import Report

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may do with the page: use the styles in it, and nothing else."""
SYMBOLS = {"ship": "▲", "roll_back": "▼", "keep_running": "…", "cannot_tell": "?"}
JOINER = "\u2060"


class Picture(NamedTuple):
    """A plot in the page: its title, how to read it, what it says in words, and its figures."""

    name: str
    title: str
    note: str
    said: str
    svg: Markup
    table: Table | None


class Tile(NamedTuple):
    """One number that a marketer reads first."""

    label: str
    value: str
    note: str


def render_page(report: Report) -> str:
    """The whole page. The same report gives the same bytes."""
    pictures = {picture.name: picture for picture in _pictures(report)}
    return _template().render(
        report=report,
        words=words,
        phrases=phrases,
        tables=tables,
        policy=POLICY,
        symbol=SYMBOLS[report.verdict.code],
        tiles=tuple(_tiles(report)),
        facts=tuple(phrases.facts(report)),
        outlook=tuple(phrases.outlook(report)),
        pictures=pictures,
    )


def _template() -> Template:
    loader = PackageLoader("cashwrap.analysis.render", "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["coded"] = coded
    return found.get_template("report.html.j2")


def coded(text: str) -> Markup:
    """A message with what stands between backticks as code, and no line broken after a sign; all of it escaped."""
    kept = text.replace(words.MINUS, f"{words.MINUS}{JOINER}").replace("+", f"+{JOINER}")
    parts = kept.split("`")
    if len(parts) % 2 == 0:
        return escape(kept)
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _pictures(report: Report) -> Iterator[Picture]:
    shown = {"segments": tables.segments, "timeline": tables.timeline, "novelty": tables.novelty}
    shown |= {"funnel": tables.funnel, "completion": tables.completion}
    for name in plots.drawn(report):
        picture = inline(plots.svg(plots.plot(name, report)), name)
        table = shown[name](report) if name in shown else None
        # Escaped by matplotlib, which writes XML, and shown by a test with hostile names.
        svg = Markup(picture)  # noqa: S704
        yield Picture(name, plots.TITLES[name], plots.NOTES[name], tables.said(name, report), svg, table)


def _tiles(report: Report) -> Iterator[Tile]:
    verdict, look = report.verdict, report.look
    if verdict.stake is None:
        yield Tile("At stake in a year", "not known yet", "No look has told an effect on money.")
    else:
        said = words.stake(verdict.stake, verdict.stake_interval, report.currency)
        between = verdict.stake_interval
        note = words.stake_range(verdict.stake, between, report.currency) if between is not None else "no interval"
        yield Tile("At stake in a year", said, f"{note}, at this traffic")
    if verdict.harm is None:
        yield Tile("Chance of harm", "not known yet", "No look has told an effect.")
    else:
        yield Tile("Chance of harm", words.chance(verdict.harm), words.NOT_A_RULE)
    counted, whole = sum(tally.mature for tally in report.arms), sum(tally.units for tally in report.arms)
    said = f"in {words.plural(len(report.arms), 'arm')}, all who were seen"
    if counted < whole:
        said = f"of {words.number(whole)} in {words.plural(len(report.arms), 'arm')}; the others' time is not over"
    yield Tile("Counted", words.number(counted), said)
    if look is not None:
        number = f"{look.number} of {look.of}" if look.of else words.number(look.number)
        note = f"the next is on {words.day(look.next)}" if look.next is not None else "that was the last one"
        yield Tile("Planned look" if look.of else "Look", number, note)
