"""A training as one HTML file, in the look of reports: the verdict at its top, figures below; it fetches nothing."""

from collections.abc import Iterator

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from cashwrap.analysis.render import words
from cashwrap.analysis.render.page import POLICY, Picture, Tile, coded
from cashwrap.analysis.render.style import inline, svg
from cashwrap.learning.render import phrases, plots, tables
from cashwrap.learning.render.card import limits
from cashwrap.learning.results import Training


def page(training: Training) -> str:
    """The whole page. The same training gives the same bytes."""
    return _template().render(
        training=training,
        evaluation=training.evaluation,
        words=words,
        phrases=phrases,
        tables=tables,
        limits=limits(training),
        policy=POLICY,
        tiles=tuple(_tiles(training)),
        facts=tuple(phrases.learned_from(training)),
        pictures={picture.name: picture for picture in _pictures(training)},
    )


def _template() -> Template:
    loader = ChoiceLoader(
        [PackageLoader("cashwrap.learning.render", "templates"), PackageLoader("cashwrap.analysis.render", "templates")]
    )
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["coded"] = coded
    return found.get_template("model.html.j2")


def _pictures(training: Training) -> Iterator[Picture]:
    for name in plots.drawn(training):
        # Escaped by matplotlib, which writes XML, and shown by a test with hostile names.
        drawn = Markup(inline(svg(plots.plot(name, training)), name))  # noqa: S704
        yield Picture(name, plots.TITLES[name], plots.NOTES[name], "", drawn, None)


def _tiles(training: Training) -> Iterator[Tile]:
    evaluation = training.evaluation
    told = evaluation.figures.get(evaluation.main)
    if told is not None:
        called = phrases.metric(evaluation.main)
        note = f"{phrases.interval(evaluation.main, told)}: {called.means}" if told.low is not None else called.means
        yield Tile(called.label, phrases.value(evaluation.main, told.value), note)
    rival = phrases.strongest(evaluation)
    if rival is not None:
        note = f"{phrases.between(rival)}, against {phrases.against(rival.baseline)}"
        yield Tile("Difference to the best baseline", phrases.change(rival.metric, rival.difference), note)
    learned = training.lineage.parts.get("train", training.lineage.rows)
    note = f"{phrases.units(training)}; tested on {words.number(evaluation.count)} questions it had not seen"
    yield Tile("Learned from", words.number(learned), note)
    yield Tile("Made in", phrases.took(training), f"{training.peak_bytes / 2**20:,.0f} MB at most")
