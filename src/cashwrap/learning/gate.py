"""Whether a model may go on: better than what needs no model beyond doubt, and no worse than any other, on enough it
has not seen.

A gate only says no. What it lets through is shown to nobody until a shadow run and an experiment have said yes.
"""

from collections.abc import Iterable
from math import isfinite

from cashwrap.learned.artefact import Gate
from cashwrap.learning.results import Evaluation, Versus

FEWEST = 200
"""Queries or rows of a test below which nothing is said of a model."""
LIVE = "live"
"""The name of the live model among the baselines."""
NAIVE = frozenset({"popular", "base_rate", "chance", "most_popular", "last_category"})
"""What a shop has without any model: one has to be better than these beyond doubt. Of others, which are models too, it
has to be as good: it may not be worse beyond doubt."""
MISCALIBRATED = 0.05
"""Mean distance of what is predicted from what comes, from which on a chance is none to build conditions on."""
SLOWEST = {"recommender": 900.0, "predictor": 600.0, "uplift": 1200.0}
"""Microseconds that one answer may take, at the median: three times the budget, as the machine that trains is busy with
just that. ``bench`` measures the budgets themselves."""
_CODES = {LIVE: "worse_than_live", "chance": "nothing_to_gain"}
Reason = tuple[str, str]


def gate(evaluation: Evaluation, *, kind: str, micros: float | None = None, told: Iterable[Reason] = ()) -> Gate:
    """The verdict on an evaluation. ``micros`` is the median time of one answer; ``told`` are reasons found before,
    such as a leak."""
    reasons = [*told]
    if evaluation.count < FEWEST:
        reasons.append(
            ("too_few_tests", f"tested on {evaluation.count}, at least {FEWEST} are needed: wait for more data")
        )
    elif not _tells(evaluation):
        words = f"the test cannot tell {evaluation.main}, say because all that came in it is one and the same"
        reasons.append(("too_few_tests", f"{words}: wait for more data"))
    reasons += [_not_better(each) for each in evaluation.versus if each.metric == evaluation.main and _falls(each)]
    error = evaluation.figures.get("calibration_error")
    if error is not None and not error.value <= MISCALIBRATED:  # nor what is no number
        reasons.append(
            ("miscalibrated", f"what it predicts is off by {error.value:.3f} on average; {MISCALIBRATED} is the most")
        )
    if micros is not None and micros > SLOWEST[kind]:
        reasons.append(("too_slow", f"an answer takes {micros:.0f} microseconds, {SLOWEST[kind]:.0f} are the most"))
    return Gate(passed=not reasons, reasons=tuple(reasons))


def _tells(evaluation: Evaluation) -> bool:
    """Whether the figure that decides is there, and a number."""
    figure = evaluation.figures.get(evaluation.main)
    return figure is not None and isfinite(figure.value)


def _falls(versus: Versus) -> bool:
    """Whether a model has not shown what it must against one baseline. What is no number shows nothing."""
    return not versus.low > 0 if versus.baseline in NAIVE else not versus.high >= 0


def _not_better(versus: Versus) -> Reason:
    than = "the live model" if versus.baseline == LIVE else versus.baseline
    told = f"{versus.metric} is {versus.ours:.4f}, that of {than} {versus.theirs:.4f}"
    told += f": a difference of {versus.difference:+.4f}, in truth between {versus.low:+.4f} and {versus.high:+.4f}"
    return _CODES.get(versus.baseline, "not_better" if versus.baseline in NAIVE else "worse_than_plain"), told
