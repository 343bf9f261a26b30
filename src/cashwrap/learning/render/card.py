"""A model card: one Markdown page that says what a model is, what it was made of, how good it is and what it cannot do.

It is kept beside the model's arrays, so that whoever finds a version finds what to think of it.
"""

from collections.abc import Iterator

from cashwrap.analysis.render.tables import Table
from cashwrap.learning.render import phrases, tables
from cashwrap.learning.results import Training

LIMITS = {
    "ranking": """
It knows products that enough shoppers of its data dealt with. Newer ones come by the catalogue's own rules, and such \
places say so: `fallback`.
What may be shown (stock, cart, margins, sensitive categories) is decided when it is asked, from the catalogue of that \
moment; it is no part of the model.
It was tested on what shoppers chose from what they were shown then. Whether it sells more is for an experiment to say.
""",
    "prediction": """
It tells of a shopper what was so for others alike; it does not tell why, nor what an offer would change.
It is told from the shopper's own features alone, and asked of no shopper who does not allow its purpose.
Its chances hold for shoppers like those it learned from. After a change of prices, season or checkout they drift; \
`cashwrap drift` says when.
""",
    "uplift": """
It was learned from one randomised offer. Of another offer it says nothing.
It ranks shoppers by what the offer changes, which is not the same as by who buys.
It may only lower a price or add a benefit, never raise a price.
""",
}
"""What no model of a kind can do, a sentence or two a line."""


def card(training: Training) -> str:
    """The whole card. The same training gives the same text."""
    return "\n".join(_lines(training)).rstrip() + "\n"


def limits(training: Training) -> tuple[str, ...]:
    """What a model of this kind cannot do."""
    task = training.evaluation.task
    kind = "uplift" if task == "uplift" else "ranking" if task in {"basket", "next_item"} else "prediction"
    return tuple(LIMITS[kind].strip().splitlines())


def _lines(training: Training) -> Iterator[str]:
    version = f", version {training.version}" if training.version else ""
    yield f"# Model card: {training.name}{version}"
    yield ""
    yield f"It answers: {phrases.title(training)}."
    yield ""
    yield f"**{phrases.heading(training)}.** {phrases.sentence(training)}"
    if training.gate.reasons:
        yield ""
    yield from (f"- Why not: {why} (`{code}`)" for code, why in training.gate.reasons)
    yield from _section("What to do next", _numbered(phrases.next_steps(training, kept=True)))
    yield from _section("What it learned from", _pairs(phrases.learned_from(training)))
    yield from _section("How good it is", _quality(training))
    yield from _section("Does it happen as often as it says?", _calibration(training))
    yield from _section("Where it is better and worse", _grid(tables.slices(training.evaluation)))
    yield from _section("Who fills the places", _grid(tables.sources(training.evaluation)))
    yield from _section("What it cannot do", (f"- {limit}" for limit in limits(training)))
    yield from _section("When to train it again", _again(training))
    yield from _section("How to take it back", _back(training))
    yield from _section("How it was found", _found(training))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    told = list(lines)
    if told:
        yield from ("", f"## {title}", "", *told)


def _quality(training: Training) -> Iterator[str]:
    evaluation = training.evaluation
    yield from (f"- {claim}" for claim in phrases.claims(evaluation))
    if evaluation.figures:
        yield ""
        yield from _grid(tables.figures(evaluation))
    if evaluation.versus:
        yield ""
        yield from _grid(tables.versus(evaluation))
    if evaluation.notes:
        yield ""
        yield from (f"- {note}" for note in evaluation.notes)


def _calibration(training: Training) -> Iterator[str]:
    said = phrases.calibration(training.evaluation)
    if said:
        yield said
        yield ""
    yield from _grid(tables.reliability(training.evaluation))


def _again(training: Training) -> Iterator[str]:
    yield (
        "Train it again on a schedule (`cashwrap train --due` trains what is older than a week or holds somebody who "
        "was forgotten), and at once where `cashwrap drift` says that what happens now is no longer what it learned "
        "from. A new version goes through the same gate, and has to be as good as this one."
    )
    if training.lineage.subjects:
        yield (
            f"It was made of {training.lineage.subjects:,} shoppers' data. When one of them is forgotten, this model "
            "is named in the answer and marked to be trained again."
        )


def _back(training: Training) -> Iterator[str]:
    yield (
        f"`cashwrap models rollback {training.name}` makes the version live that was live before, in every process, at "
        "the next decision. An experiment's guardrail does the same for a candidate that harms (`cashwrap guard`). "
        "Without any version the shop's own catalogue rules answer, and say so."
    )


def _found(training: Training) -> Iterator[str]:
    yield f"- Chosen: {tables.settings(training.settings)}"
    yield f"- Cost: {phrases.cost(training)}"
    if training.trials:
        yield ""
        yield from _grid(tables.trials(training))


def _numbered(lines: tuple[str, ...]) -> Iterator[str]:
    for place, line in enumerate(lines, 1):
        yield f"{place}. {line}"


def _pairs(pairs: Iterator[tuple[str, str]]) -> Iterator[str]:
    for name, said in pairs:
        yield f"- {name}: {said}"


def _grid(table: Table) -> Iterator[str]:
    if not table.rows:
        return
    yield _row(table.head)
    yield _row([("---" if at in table.left else "---:") for at in range(len(table.head))])
    for row in table.rows:
        yield _row(row)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
