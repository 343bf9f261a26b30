"""A report's tables: what the page and the terminal both show, already in words."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cashwrap.analysis.render import phrases, words
from cashwrap.analysis.render.words import NONE
from cashwrap.analysis.results import Curve, Effect, Interval, Point, Problem, Report, Result

LONGEST_CURVE = 12
"""Rows of a curve's table; the JSON export has all points."""
MARKS = {"better": "▲ better", "worse": "▼ worse", "unclear": "• unclear"}
STANDINGS = {"holds": "✓ holds", "broken": "✕ broken", "open": "○ open"}


class Table(NamedTuple):
    """A caption, the head and rows of words. Columns in ``left`` hold text, all others figures."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})


def lean(table: Table) -> Table:
    """The table without its arms where it knows one only."""
    if "Arm" not in table.head[1:] or len({row[table.head.index("Arm")] for row in table.rows} - {NONE}) > 1:
        return table
    at = table.head.index("Arm")
    rows = tuple(row[:at] + row[at + 1 :] for row in table.rows)
    left = frozenset(column - (column > at) for column in table.left if column != at)
    return Table(table.caption, table.head[:at] + table.head[at + 1 :], rows, left)


def metrics(report: Report) -> Table:
    """Each metric and arm with interval, p and q, and the posterior's view."""
    rows = []
    for result in report.results:
        scale = words.scale_of(result, report.currency)
        rows += [_metric(report, result, effect, scale) for effect in result.effects]
    head = (
        "Metric",
        "Arm",
        "Control",
        "Treatment",
        "Change",
        "Which is",
        "Interval",
        "Relative",
        "p",
        "q",
        "Chance better",
    )
    return Table("Every metric, each arm against control", head, tuple(rows), frozenset({0, 1, 5}))


def _metric(report: Report, result: Result, effect: Effect, scale: words.Scale) -> tuple[str, ...]:
    control = phrases.control_of(report)
    return (
        _labelled(result),
        effect.arm,
        _level(scale, result, control),
        _level(scale, result, effect.arm),
        scale.change(effect.absolute),
        MARKS[phrases.direction(effect, result)],
        scale.between(effect.interval),
        words.relative(effect.relative),
        words.p_value(effect.p),
        words.p_value(effect.q),
        words.brief(words.chance(effect.chance_better)),
    )


def _level(scale: words.Scale, result: Result, arm: str) -> str:
    return scale.level(result.values[arm]) if arm in result.values else NONE


def _labelled(result: Result) -> str:
    return (
        phrases.label(result)
        if result.role == "secondary"
        else f"{phrases.label(result)} ({phrases.ROLES[result.role]})"
    )


def untold(report: Report) -> tuple[Problem, ...]:
    """Why metrics have no number, each reason once, with the names of its metrics."""
    reasons: dict[Problem, list[str]] = {}
    for result in report.results:
        if result.problem is not None:
            reasons.setdefault(result.problem, []).append(phrases.label(result))
    return tuple(Problem(why.code, f"{', '.join(named)}: {why.message}") for why, named in reasons.items())


def guardrails(report: Report) -> Table:
    """Each guardrail with the harm that is allowed, and whether it holds."""
    rows = [
        (
            phrases.label(result),
            effect.arm,
            words.relative(effect.relative),
            words.relative_range(effect.relative_interval),
            NONE if result.margin is None else words.share(result.margin),
            NONE if effect.standing is None else STANDINGS[effect.standing],
        )
        for result in report.results
        if result.role == "guardrail"
        for effect in result.effects
    ]
    head = ("Guardrail", "Arm", "Change", "Interval", "Allowed", "So far")
    return Table("Guardrails: what must not become worse", head, tuple(rows), frozenset({0, 1, 5}))


def arms(report: Report) -> Table:
    """Who was in each arm."""
    rows = tuple(
        (
            tally.arm,
            words.parts(tally.share),
            words.number(tally.units),
            words.number(tally.mature),
            _part(tally.tainted, tally.units),
        )
        for tally in report.arms
    )
    return Table("Units by arm", ("Arm", "Declared", "Units", "Counted", "Saw another arm"), rows)


def losses(report: Report) -> Table:
    """What became of each arm's decisions, and who was kept back at the first one; no rows where nothing is known."""
    ghosts = list(dict.fromkeys(why for tally in report.arms for why in tally.ghosts))
    told = any(tally.decided is not None for tally in report.arms)
    head = ("Arm", *(("Decisions", "Came back") if told else ()), *(f"Kept back: {why}" for why in ghosts))
    rows = tuple(
        (
            tally.arm,
            *((_number(tally.decided), _returned(tally.seen, tally.decided)) if told else ()),
            *(_part(tally.ghosts.get(why, 0), tally.units) for why in ghosts),
        )
        for tally in report.arms
    )
    return Table("On the way to being counted", head, rows if len(head) > 1 else ())


def _number(count: int | None) -> str:
    return NONE if count is None else words.number(count)


def _returned(seen: int | None, decided: int | None) -> str:
    """The share of decisions that came back; tallies are written a moment after exposures are."""
    return NONE if seen is None or not decided else words.share(min(1.0, seen / decided))


def _part(count: int, whole: int) -> str:
    return f"{words.number(count)} ({words.share(count / whole)})" if whole and count else words.number(count)


def ratio(report: Report) -> Table:
    """Expected and found shares of the arms."""
    check = report.ratio
    if check is None:
        return Table("Shares of the arms", (), ())
    expected, whole = sum(check.expected.values()), sum(check.found.values())
    rows = [
        (
            arm,
            words.share(part / expected, 2) if expected else NONE,
            words.share(check.found.get(arm, 0) / whole, 2) if whole else NONE,
            words.number(check.found.get(arm, 0)),
        )
        for arm, part in check.expected.items()
    ]
    return Table("Shares of the arms", ("Arm", "Expected", "Found", "Units"), tuple(rows))


def segments(report: Report) -> Table:
    """The primary effect in parts of the shoppers."""
    primary = phrases.primary_of(report)
    if primary is None:
        return Table("The effect by kind of shopper", (), ())
    scale = words.scale_of(primary, report.currency)
    rows = [
        (
            f"{part.dimension}: {part.value}",
            part.arm,
            words.number(part.units),
            scale.change(part.effect.absolute),
            scale.between(part.effect.interval),
            scale.change(part.shrunk),
            scale.between(part.shrunk_interval),
        )
        for part in report.slices
    ]
    head = ("Part", "Arm", "Units", "As measured", "Interval", "Shrunk", "Interval, shrunk")
    return Table("The effect by kind of shopper", head, tuple(rows), frozenset({0, 1}))


def heterogeneity(report: Report) -> Table:
    """Whether parts differ more than chance has them differ."""
    rows = [
        (each.dimension, each.arm, words.p_value(each.p), "they differ" if each.p < 0.05 else "may all be alike")
        for each in report.heterogeneity
    ]
    return Table("Do the parts differ?", ("By", "Arm", "p", "Said plainly"), tuple(rows), frozenset({0, 1, 3}))


def timeline(report: Report) -> Table:
    """The primary effect at each look."""
    rows = _points(report, report.timeline, words.day)
    return Table("The effect look by look", ("Look", "Arm", "Change", "Interval", "Bound"), rows, frozenset({0, 1}))


def novelty(report: Report) -> Table:
    """The primary effect by age of the exposure."""
    rows = tuple(row[:4] for row in _points(report, report.novelty, lambda age: f"day {age}"))
    return Table(
        "The effect by days since the first exposure", ("Age", "Arm", "Change", "Interval"), rows, frozenset({0, 1})
    )


def _points(report: Report, points: Sequence[Point], when: phrases.When) -> tuple[tuple[str, ...], ...]:
    scale = phrases.scale_of_points(report, points)
    return tuple(
        (
            when(point.at),
            point.arm,
            scale.change(point.effect),
            scale.between(point.interval),
            NONE if point.boundary is None else f"±{scale.level(abs(point.boundary))}",
        )
        for point in points
    )


def funnel(report: Report) -> Table:
    """How far each arm's units came."""
    rows = tuple(
        (step.step, step.arm, words.number(step.units), words.share(step.units / step.of) if step.of else NONE)
        for step in report.funnel
    )
    return Table("How far shoppers come", ("Step", "Arm", "Units", "Share"), rows, frozenset({0, 1}))


def completion(report: Report) -> Table:
    """Cumulative incidence at some moments, and the time lost."""
    scale = words.scale("milliseconds", report.currency, [max(map(_horizon, report.curves), default=0)], [])
    rows = []
    for curve in report.curves:
        step = max(1, -(-len(curve.times) // LONGEST_CURVE))
        chosen = sorted({*range(0, len(curve.times), step), len(curve.times) - 1} - {-1})
        rows += [
            (
                scale.level(curve.times[at]),
                curve.arm,
                words.share(curve.completed[at]),
                f"{words.share(curve.low[at])} to {words.share(curve.high[at])}",
                words.share(curve.abandoned[at]),
            )
            for at in chosen
        ]
    head = ("Within", "Arm", "Completed", "Interval", "Abandoned")
    return Table("When shoppers complete or abandon", head, tuple(rows), frozenset({1}))


def _horizon(curve: Curve) -> int:
    return curve.times[-1] if curve.times else 0


# --- what a picture says, for who does not see it ---


def said(name: str, report: Report) -> str:
    """A plot in a sentence or two: its newest or its main figures. All of them are in the table of the same name."""
    return f"{_SAID[name](report)}."


def _said_metrics(report: Report) -> str:
    return "; ".join(
        f"{phrases.label(result)}, {effect.arm}: {words.relative(effect.relative)} "
        f"({words.relative_range(effect.relative_interval)}), {phrases.direction(effect, result)}"
        for result in report.results
        for effect in result.effects
    )


def _said_rows(table: Table) -> str:
    return "; ".join(f"{row[0]}, {row[1]}: {row[-2]} ({row[-1]})" for row in table.rows)


def _said_last(report: Report, points: Sequence[Point], when: phrases.When) -> str:
    scale = phrases.scale_of_points(report, points)
    last = {point.arm: point for point in points}
    return "; ".join(
        f"{arm}, {when(point.at)}: {scale.change(point.effect)} ({scale.between(Interval(*point.interval))})"
        for arm, point in last.items()
    )


def _said_funnel(report: Report) -> str:
    last = {step.arm: step for step in report.funnel}
    return "; ".join(
        f"{arm}: {words.share(step.units / step.of)} reached {step.step}" for arm, step in last.items() if step.of
    )


def _said_completion(report: Report) -> str:
    return "; ".join(
        f"{curve.arm}: {words.share(curve.completed[-1])} completed and {words.share(curve.abandoned[-1])} abandoned"
        for curve in report.curves
        if curve.times
    )


_SAID: dict[str, Callable[[Report], str]] = {
    "metrics": _said_metrics,
    "segments": lambda report: _said_rows(segments(report)),
    "timeline": lambda report: _said_last(report, report.timeline, words.day),
    "novelty": lambda report: _said_last(report, report.novelty, lambda age: f"day {age}"),
    "funnel": _said_funnel,
    "completion": _said_completion,
}
