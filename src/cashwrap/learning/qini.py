"""How well a ranking finds those whom an offer moves: Qini, the effect among the first ones, and how sure both are.

Everything is asked of a randomised table. Rows count by the inverse of the chance with which they came into their arm
(Hájek's ratio, so that chances which changed on the way do no harm). The Qini curve is Radcliffe's (2007, *Using
control groups to target on predicted lift*): by the share of shoppers, the likeliest to be moved first, the extra
labels of those of them who were treated, per head of the experiment; with one chance for all that is
(Y_t - Y_c N_t / N_c) / N. Qini is the area between it and the straight line of a ranking by chance. Rows of equal
score stand side by side: they share the line between their ends, so that a score that is the same for all has a Qini
of 0.

Intervals draw units (a row, or all rows of one group) again within their arms, the model as it is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Figure
from cashwrap.learning.data import Table
from cashwrap.learning.results import Bin, Curve, Evaluation, Versus

Floats = NDArray[np.float64]
MAIN = "qini"
SHARES = (0.1, 0.2, 0.3)
"""Of shoppers, the likeliest to be moved first, among whom the effect is told."""
BINS = 1000
"""Places along the curve at most; among fewer rows every row is one."""
DRAWS = 1000
BARS = 5
"""Of the plot that holds predicted effects against those that came."""
FEW = 100
"""Labels of either kind in an arm below which a note says that nothing can be told yet."""
NOTHING = "ranking adds nothing that these data can show"
"""What the verdict says where the Qini's interval does not clear 0: whoever may treat should treat anybody."""
_ENDS = (0.025, 0.975)


class Ranking(NamedTuple):
    """A table along a score, the highest first, as entries that are alike within: one bin, arm, label and chance.

    ``unit`` is what is drawn again, ``times`` how many rows each unit stands for.
    """

    bin: NDArray[np.int64]
    treated: NDArray[np.bool_]
    label: Floats
    weight: Floats
    """One over the chance of the arm that it is in."""
    unit: NDArray[np.int64]
    times: NDArray[np.int64]
    arm: NDArray[np.bool_]
    """By unit: whether it was treated."""
    bins: int


class Sums(NamedTuple):
    """Running totals along the ranking, from nothing to all of it."""

    rows: Floats
    treated: Floats
    weight: tuple[Floats, Floats]
    """Of control, and of the treated."""
    labels: tuple[Floats, Floats]


def ranking(table: Table, scores: Floats) -> Ranking:
    """A randomised table in the order of its scores, put together as far as rows are alike."""
    treated, chance = arms(table)
    place = _places(scores)
    weight = 1.0 / np.where(treated, chance, 1.0 - chance)
    if len(np.unique(table.group)) == len(table.group):
        keys = np.stack([place.astype(np.float64), treated.astype(np.float64), table.label, weight])
        cells, times = np.unique(keys, axis=1, return_counts=True)
        unit = np.arange(cells.shape[1])
        one, mine = cells[0].astype(np.int64), cells[1] > 0
        return Ranking(one, mine, cells[2], cells[3], unit, times, mine, int(place.max()) + 1)
    _, first, unit = np.unique(table.group, return_index=True, return_inverse=True)
    ones = np.ones(len(first), np.int64)
    return Ranking(place, treated, table.label, weight, unit, ones, treated[first], int(place.max()) + 1)


def arms(table: Table) -> tuple[NDArray[np.bool_], Floats]:
    """Who was treated, and by what chance. Raises ``ValueError`` for a table that does not say."""
    if table.treated is None or table.propensity is None:
        raise ValueError("a table without treatment has no uplift")
    return table.treated > 0, table.propensity


def _places(scores: Floats) -> NDArray[np.int64]:
    """Each row's bin, the highest scores in the first; equal scores share theirs."""
    _, group, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    _, bins = np.unique(starts * min(BINS, len(scores)) // len(scores), return_inverse=True)
    return np.asarray(bins[group], np.int64)


def sums(ranked: Ranking, times: NDArray[np.int64]) -> Sums:
    """Running totals where unit ``i`` is there ``times[i]`` times."""
    count = times[ranked.unit].astype(np.float64)
    weight = count * ranked.weight
    labels = weight * ranked.label

    def along(values: Floats, side: NDArray[np.bool_]) -> Floats:
        return np.append(0.0, np.cumsum(np.bincount(ranked.bin[side], values[side], minlength=ranked.bins)))

    control, treated = ~ranked.treated, ranked.treated
    there = along(count, treated)
    return Sums(
        rows=there + along(count, control),
        treated=there,
        weight=(along(weight, control), along(weight, treated)),
        labels=(along(labels, control), along(labels, treated)),
    )


def curve(found: Sums) -> tuple[Floats, Floats]:
    """The Qini curve: shares of the shoppers, and extra labels per head; 0 as long as one arm has nobody."""
    return found.rows / found.rows[-1], _effect(found.weight, found.labels) * found.treated / found.rows[-1]


def qini(found: Sums) -> float:
    """The area between the Qini curve and the line of a ranking by chance."""
    share, gain = curve(found)
    return float(np.trapezoid(gain, share) - gain[-1] / 2)


def uplift(found: Sums, share: float) -> float:
    """The effect among the first ``share`` of the shoppers; among rows of equal score a fitting part of each arm."""
    at = share * found.rows[-1]
    weight, labels = (
        tuple(np.interp([at], found.rows, each) for each in pair) for pair in (found.weight, found.labels)
    )
    return float(_effect((weight[0], weight[1]), (labels[0], labels[1]))[0])


def _effect(weight: tuple[Floats, Floats], labels: tuple[Floats, Floats]) -> Floats:
    control, treated = weight
    both = (control > 0) & (treated > 0)
    control, treated = np.where(both, control, 1.0), np.where(both, treated, 1.0)
    return np.where(both, labels[1] / treated - labels[0] / control, 0.0)


# --- all of it ---


def evaluate(table: Table, scores: Floats, seed: int) -> Evaluation:
    """A ranking by ``scores`` judged on a randomised table that no part of it was learned from.

    ``qini`` and ``uplift@k`` (effect on the label in the first k %) beside ``ate``, the effect on everybody, which is
    what a ranking by chance has at any k; each with its bootstrap 95 % interval.
    """
    ranked = ranking(table, scores)
    found = sums(ranked, ranked.times)
    names = [MAIN, *(f"uplift@{share * 100:.0f}" for share in SHARES), "ate"]
    values, drawn = _figures(found), _draws(ranked, seed)
    low, high = np.quantile(drawn, _ENDS, axis=0)
    figures = {
        name: Figure(value, float(low[at]), float(high[at]))
        for at, (name, value) in enumerate(zip(names, values, strict=True))
    }
    everybody = figures["ate"].value
    more = np.quantile(drawn[:, 1:-1] - drawn[:, -1:], _ENDS, axis=0)
    versus = [Versus(MAIN, "chance", values[0], 0.0, values[0], float(low[0]), float(high[0]))]
    versus += [
        Versus(name, "chance", value, everybody, value - everybody, float(more[0, at]), float(more[1, at]))
        for at, (name, value) in enumerate(zip(names[1:-1], values[1:-1], strict=True))
    ]
    return Evaluation(
        task="uplift",
        main=MAIN,
        count=len(scores),
        figures=figures,
        baselines={"chance": {name: Figure(0.0 if name == MAIN else everybody) for name in names}},
        versus=tuple(versus),
        reliability=_bars(table, scores),
        curves=_curves(found),
        notes=tuple(_notes(table, figures)),
    )


def _figures(found: Sums) -> list[float]:
    return [qini(found), *(uplift(found, share) for share in SHARES), uplift(found, 1.0)]


def _draws(ranked: Ranking, seed: int) -> Floats:
    """The figures of each draw: as many units of each arm as there were, drawn with putting back."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(ranked.arm == side) for side in (False, True)]
    drawn = []
    for _ in range(DRAWS):
        times = np.zeros(len(ranked.times), np.int64)
        for side in sides:
            whole = ranked.times[side]
            times[side] = rng.multinomial(int(whole.sum()), whole / whole.sum())
        drawn.append(_figures(sums(ranked, times)))
    return np.array(drawn)


def _curves(found: Sums) -> tuple[Curve, ...]:
    share, gain = curve(found)
    at = np.linspace(0.0, 1.0, 101)
    points = np.interp(at, share, gain)
    return (
        Curve("qini", tuple(at.tolist()), tuple(points.tolist()), "by the model"),
        Curve("qini", (0.0, 1.0), (0.0, float(gain[-1])), "by chance"),
    )


def _bars(table: Table, scores: Floats) -> tuple[Bin, ...]:
    """Predicted effects against those that came, in parts of about equal size."""
    treated, chance = arms(table)
    edges = np.unique(np.quantile(scores, np.arange(1, BARS) / BARS))
    place = np.searchsorted(edges, scores, side="right")
    bars = []
    for number in np.unique(place):
        mine = place == number
        weight = 1.0 / np.where(treated, chance, 1.0 - chance)[mine]
        side, label = treated[mine], table.label[mine]
        if side.any() and not side.all():
            came = np.average(label[side], weights=weight[side]) - np.average(label[~side], weights=weight[~side])
            bars.append(Bin(float(scores[mine].mean()), float(came), int(mine.sum())))
    return tuple(bars)


def _notes(table: Table, figures: dict[str, Figure]) -> list[str]:
    """What a reader has to know, the verdict first."""
    found, everybody = figures[MAIN], figures["ate"]
    low, high = found.low or 0.0, found.high or 0.0
    told = f"Qini {found.value:+.4f} per head, in truth between {low:+.4f} and {high:+.4f}"
    if low > 0:
        first = figures["uplift@30"]
        among = f"{first.value:+.4f} ({first.low:+.4f} to {first.high:+.4f}), among all by {everybody.value:+.4f}"
        notes = [f"Ranking pays: {told}. Among the 30 % ranked first the offer changes the label's share by {among}."]
    elif high < 0:
        notes = [f"This ranking is worse than chance: {told}. Do not use it."]
    else:
        notes = [f"For these shoppers {NOTHING}: {told}. Give the offer to all of them or to none, by what it costs."]
    if (everybody.low or 0.0) <= 0 <= (everybody.high or 0.0):
        notes.append("Nor do these data show that the offer changes anything at all: its effect may be 0.")
    treated, _ = arms(table)
    fewest = min(float(count) for side in (treated, ~treated) for count in _both(table.label[side]))
    if fewest < FEW:
        notes.append(f"One arm has {fewest:.0f} rows of one label: below {FEW} little can be told of effects.")
    return [*notes, "Intervals: 95 %, rows drawn again within their arms, the model as it is."]


def _both(label: Floats) -> tuple[float, float]:
    return float(label.sum()), float(len(label) - label.sum())
