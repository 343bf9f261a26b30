"""Every reason to doubt an experiment's figures, as sentences with stable codes: the gravest first.

``sample_ratio`` and ``exposure_loss`` are such that no figure may decide, and nothing is shipped on a
``design_changed`` (see ``verdict``); the others only warn.
"""

from collections.abc import Iterator, Mapping, Sequence

from cashwrap.analysis.question import Question
from cashwrap.analysis.render.words import number, plural, share
from cashwrap.analysis.results import ArmTally, Problem, RatioCheck, Result
from cashwrap.analysis.statistics.ratio import Ratio, check, drill_down, loss
from cashwrap.analysis.units import Units

TAINTED = 0.01
"""The share of units seen in two arms from which on it is told: the effect is then a little larger than it looks."""
GHOSTS = 0.05
"""The difference in the share of ghosts between two arms from which on it is told."""
SUSPECTS = 5
"""Suspects that are told of, those who explain most."""
_TROUBLE: Mapping[str, tuple[str, str, str]] = {
    "orders_before_exposure": (
        "orders_before_exposure",
        "order",
        "{} came before the exposure and were left out: see that pages report exposures before an order is placed.",
    ),
    "duplicate_orders": ("duplicate_orders", "order", "{} were reported more than once, and counted once."),
    "orders_without_rate": (
        "mixed_currencies",
        "order",
        "{} were left out of all money: `shop: rates:` has no rate for their currency on their day.",
    ),
    "skewed_exposures": ("clock_skew", "exposure", "{} came from a device whose clock is far off."),
    "exposures_without_unit": ("no_unit", "exposure", "{} name no cart, and carts are what this experiment assigns."),
    "refunds_without_order": ("refund_without_order", "refund", "{} name an order that nobody reported."),
    "negative_units": ("negative_revenue", "unit", "{} gave back more than they bought; they count as they are."),
}
"""What may be wrong with facts, by the name it is counted under: its code, what is counted, and the sentence."""


def ratio_check(units: Units, question: Question) -> RatioCheck:
    """Whether units came to the arms in the declared shares, and where not."""
    found = check(units.days())
    total = max(1, sum(found.found.values()))
    suspects: tuple[Problem, ...] = ()
    if found.alarm != "none":
        suspects = tuple(
            Problem(
                "suspect",
                f"{each.dimension} {each.value or 'unknown'}: "
                f"{_counted(each.found)} where {_counted(each.expected)} were due, which explains "
                f"{share(each.explains, 0)} of it",
            )
            for each in drill_down(units.breakdown(), question.arms)[:SUSPECTS]
        )
    expected = {arm: due / total for arm, due in found.expected.items()}
    return RatioCheck(found.p, found.classic, expected, found.found, suspects)


def doubts(units: Units, arms: Sequence[ArmTally], ratio: RatioCheck) -> list[Problem]:
    """What is to be doubted, as far as facts and tallies tell."""
    return [*_ratio(ratio), *_loss(arms), *_mixing(arms), *_ghosts(arms), *_troubles(units.trouble())]


def untold(guardrails: Sequence[Result]) -> Iterator[Problem]:
    """Guardrails that nothing can be said of, once a look has passed: a verdict goes without them, and must say so."""
    for result in guardrails:
        if result.problem is not None and result.problem.code != "too_early":
            said = f"The guardrail {result.label} could not be judged: {result.problem.message}"
            yield Problem("guardrail_untold", said)


def _ratio(ratio: RatioCheck) -> Iterator[Problem]:
    total = sum(ratio.found.values())
    due = {arm: share * total for arm, share in ratio.expected.items()}
    found = Ratio(ratio.p, ratio.classic, due, dict(ratio.found))
    said = f"units came as {_counted(found.found)} where {_counted(found.expected)} were due"
    if found.alarm == "blocks":
        yield Problem(
            "sample_ratio",
            f"The arms are not the sizes they were given: {said} (p {found.p:.2g}, valid at any moment). Something "
            "loses units of one arm, so that the arms are other people; mend that, and begin afresh with another salt.",
        )
    elif found.alarm == "warns":
        yield Problem(
            "sample_ratio_warning",
            f"The arms may not be the sizes they were given: {said} (p {min(found.p, found.classic):.2g}). Looked "
            "at once, chance does this to one experiment in a hundred; see to it before you believe the figures.",
        )


def _loss(arms: Sequence[ArmTally]) -> Iterator[Problem]:
    decided = {each.arm: each.decided for each in arms if each.decided is not None}
    seen = {each.arm: each.seen for each in arms if each.seen is not None}
    if not arms or arms[0].arm not in decided:
        return
    for arm, each in loss(decided, seen, arms[0].arm).items():
        if each.alarm == "blocks":
            yield Problem(
                "exposure_loss",
                f"Exposures are lost unevenly: {share(each.lost)} of {arm}'s decisions never came back, and "
                f"{share(each.control)} of {arms[0].arm}'s. What one arm shows keeps exposures from being reported.",
            )


def _mixing(arms: Sequence[ArmTally]) -> Iterator[Problem]:
    units, tainted = sum(each.units for each in arms), sum(each.tainted for each in arms)
    if units and tainted / units > TAINTED:
        yield Problem(
            "tainted",
            f"{share(tainted / units)} of the units saw two arms, on several devices or after a change of the playbook."
            " They count in the arm they saw first, which makes effects look smaller than they are.",
        )
    if sum(each.units > 0 for each in arms) == 1:
        only = next(each.arm for each in arms if each.units)
        yield Problem("one_arm", f"Only {only} has been seen, so that there is nothing to compare it with.")


def _ghosts(arms: Sequence[ArmTally]) -> Iterator[Problem]:
    shares = {each.arm: sum(each.ghosts.values()) / each.units for each in arms if each.units}
    if len(shares) > 1 and max(shares.values()) - min(shares.values()) > GHOSTS:
        told = ", ".join(f"{arm} {share(each)}" for arm, each in shares.items())
        yield Problem(
            "uneven_ghosts",
            f"A cap or a budget kept back the first moment of {told}. They count in their arms, so the effect is that "
            "of trying to show it; `limits: {by_arm: true}` keeps one arm from using up another's budget.",
        )


def _troubles(trouble: Mapping[str, int]) -> Iterator[Problem]:
    for name, (code, noun, sentence) in _TROUBLE.items():
        if count := trouble.get(name, 0):
            yield Problem(code, sentence.format(plural(count, noun)))


def _counted(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} {number(count)}" for arm, count in counts.items())
