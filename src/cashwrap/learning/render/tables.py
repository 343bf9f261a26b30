"""A model's tables: what card, terminal and page all show, already in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from cashwrap.analysis.render.tables import MARKS, Table
from cashwrap.analysis.render.words import NONE, number, share
from cashwrap.learned.artefact import Figure
from cashwrap.learning.render import phrases
from cashwrap.learning.results import Evaluation, Training

MOST = 12
"""Trials in a table: the best ones."""


def versus(evaluation: Evaluation, *, main: bool = False) -> Table:
    """Each metric against each baseline; with ``main`` the one that decides only."""
    rows = tuple(
        (
            phrases.metric(each.metric).label,
            each.baseline,
            phrases.value(each.metric, each.ours),
            phrases.value(each.metric, each.theirs),
            phrases.change(each.metric, each.difference),
            phrases.between(each),
            MARKS[phrases.standing(each)],
        )
        for each in sorted(evaluation.versus, key=lambda each: each.metric != evaluation.main)
        if not main or each.metric == evaluation.main
    )
    head = ("Metric", "Against", "Model", "Baseline", "Difference", "Interval", "Which is")
    return Table("The model against each baseline on the same tests", head, rows, frozenset({0, 1, 6}))


def figures(evaluation: Evaluation) -> Table:
    """The model's own figures and what each means."""
    rows = tuple(
        (
            phrases.metric(name).label,
            phrases.value(name, figure.value),
            phrases.interval(name, figure),
            phrases.metric(name).means,
        )
        for name, figure in evaluation.figures.items()
    )
    return Table("The model's figures", ("Metric", "Value", "Interval", "Which is"), rows, frozenset({0, 3}))


def slices(evaluation: Evaluation) -> Table:
    """The metric that decides, and the second one, part by part."""
    names = [name for name in evaluation.figures if any(name in part.figures for part in evaluation.slices)][:2]
    head = ["Part", "Tests"]
    for name in names:
        head += [phrases.metric(name).label, "Interval"]
    rows = []
    for part in evaluation.slices:
        row = [part.name, number(part.count)]
        for name in names:
            row += _told(name, part.figures.get(name))
        rows.append(tuple(row))
    return Table("The same figures part by part", tuple(head), tuple(rows))


def _told(name: str, figure: Figure | None) -> list[str]:
    if figure is None:
        return [NONE, NONE]
    return [phrases.value(name, figure.value), phrases.interval(name, figure)]


def reliability(evaluation: Evaluation) -> Table:
    """What it says beside what comes, bin by bin."""
    rows = tuple((share(bar.predicted), share(bar.observed), number(bar.count)) for bar in evaluation.reliability)
    return Table("What it says and what comes", ("It says", "It comes", "Rows"), rows, frozenset())


def sources(evaluation: Evaluation) -> Table:
    """Which source filled how many places."""
    rows = tuple((name, share(part)) for name, part in evaluation.sources.items())
    return Table("Who filled the places", ("Source", "Share of places"), rows)


def trials(training: Training) -> Table:
    """The best configurations that were tried."""
    judged = phrases.searched(training)
    best = sorted(training.trials, key=lambda each: each.value, reverse=not judged.lower)[:MOST]
    rows = tuple((settings(each.settings), f"{each.value:.4f}", f"{each.seconds:.1f} s") for each in best)
    return Table("The best configurations of the search", ("Settings", judged.label, "Took"), rows)


def settings(chosen: Mapping[str, Any]) -> str:
    """Settings in a line; those of a part have its name before them."""
    return ", ".join(_written(chosen, "")) or NONE


def _written(chosen: Mapping[str, Any], inside: str) -> Iterator[str]:
    for name, value in chosen.items():
        if isinstance(value, Mapping):
            yield from _written(value, f"{inside}{name}.")
        else:
            yield f"{inside}{name} {value:.4g}" if isinstance(value, float) else f"{inside}{name} {value}"
