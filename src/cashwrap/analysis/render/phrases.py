"""What things are called in a report, and what to say of them: verdicts, designs, checks, and what to do next."""

from collections.abc import Callable, Iterator, Sequence

from cashwrap.analysis.question import Role
from cashwrap.analysis.render.words import (
    Scale,
    critical,
    day,
    duration,
    moment,
    number,
    p_value,
    parts,
    plural,
    scale,
    share,
)
from cashwrap.analysis.results import Code, Effect, Point, RatioCheck, Report, Result
from cashwrap.analysis.statistics.ratio import BLOCKS, WARNS
from cashwrap.declarations import HOLDOUT, DesignDecl

ROLES: dict[Role, str] = {
    "primary": "primary",
    "secondary": "secondary",
    "guardrail": "guardrail",
    "description": "description only",
}
HEADINGS: dict[Code, str] = {
    "ship": "Ship it",
    "roll_back": "Roll it back",
    "keep_running": "Keep running",
    "cannot_tell": "Cannot tell",
}
HOLDOUT_HEADINGS: dict[Code, str] = {
    "ship": "It pays",
    "roll_back": "It costs",
    "keep_running": "Too early to say",
    "cannot_tell": "Cannot tell",
}
METHODS = {
    "group_sequential": "group-sequential (alpha spending)",
    "always_valid": "always-valid confidence sequence",
    "fixed": "fixed sample, one look at the end",
}

When = Callable[[int], str]
"""What a point in time, or an age, is called."""
LOOKS = {
    "group_sequential": "The error is spent over the planned looks. Between looks nothing changes here, so that nobody "
    "can peek.",
    "always_valid": "The interval holds at every moment at once: looking often costs nothing but its width.",
    "fixed": "There is one look, at the planned end. Before it nothing is told.",
}


def is_holdout(report: Report) -> bool:
    """Whether this is the headline of all personalization, and no single experiment."""
    return report.experiment in {"", HOLDOUT}


def title(report: Report) -> str:
    """What the report is about."""
    return "What personalization earned" if is_holdout(report) else report.experiment


def heading(report: Report) -> str:
    """The verdict in two or three words."""
    return (HOLDOUT_HEADINGS if is_holdout(report) else HEADINGS)[report.verdict.code]


def control_of(report: Report) -> str:
    """The arm that the others are compared with: the first one."""
    return report.arms[0].arm if report.arms else "control"


def label(result: Result) -> str:
    """What a metric is called at the beginning of a line."""
    return result.label[:1].upper() + result.label[1:]


def direction(effect: Effect, result: Result) -> str:
    """What an interval says: ``better``, ``worse``, or ``unclear`` where it holds zero."""
    if effect.interval.low <= 0 <= effect.interval.high:
        return "unclear"
    gain = effect.absolute if result.better == "higher" else -effect.absolute
    return "better" if gain > 0 else "worse"


def primary_of(report: Report) -> Result | None:
    """The metric that the verdict is about."""
    return next((result for result in report.results if result.role == "primary"), None)


def design_said(design: DesignDecl) -> str:
    """A design in one line."""
    looks = "" if design.method != "group_sequential" else f", {plural(design.looks, 'look')}"
    return (
        f"{METHODS[design.method]}{looks} over {plural(design.days, 'day')}; error {parts(design.alpha)}, "
        f"power {parts(design.power)} for a relative change of {parts(design.detect)}"
    )


def ratio_said(check: RatioCheck) -> str:
    """What the ratio check found, plainly; its two thresholds are those that block and warn."""
    p = f"p {written(check.p)}, however often one looks; for one look alone, p {written(check.classic)} by chi-square"
    if check.p < BLOCKS:
        return f"Units did not come in the declared shares ({p}). Trust no number until that is explained."
    if min(check.p, check.classic) < WARNS:
        return f"Units came in unlikely shares ({p}). See what is suspected before you believe the figures."
    return f"Units came in the declared shares, as far as chance lets them ({p})."


def written(p: float) -> str:
    """A p value within a sentence: ``= 0.041``, ``< 0.0001``."""
    said = p_value(p)
    return said.replace("<", "< ") if said.startswith("<") else f"= {said}"


def notes(report: Report) -> tuple[str, ...]:
    """What to know about single metrics: what their values were capped at, and how much covariates helped."""
    capped = []
    for result in report.results:
        if result.caps is not None:
            written = scale(result.worth, report.currency, result.caps, [])
            low, high = (written.level(end) for end in result.caps)
            capped.append(f"{label(result)} at {low} and {high}")
    said = [f"Values of a single unit are capped: {'; '.join(capped)}."] if capped else []
    removed = max((effect.removed for result in report.results for effect in result.effects), default=0.0)
    if removed > 0:
        said.append(f"What was known before the exposure takes away up to {share(removed, 0)} of the variance.")
    return tuple(said)


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """The design and where it stands, each with its name."""
    yield "Design", METHODS[report.design.method] if is_holdout(report) else design_said(report.design)
    window, maturity = duration(report.design.window), duration(report.design.maturity)
    more = f"; refunds and returns for {maturity} more" if report.design.maturity else ""
    yield "Outcomes count", f"for {window} after the first exposure{more}"
    if report.started is not None:
        yield "Counted from", moment(report.started)
    yield "Counted through", moment(report.through)
    if report.look is not None:
        if not is_holdout(report):  # which is there for good
            yield "Ends", moment(report.look.ends)
        yield "Error spent so far", share(report.look.spent)
        yield "z that counts now", critical(report.look.critical)
    if report.playbooks:
        yield "Playbook releases", ", ".join(report.playbooks)
    yield "Made", moment(report.made)


def outlook(report: Report) -> Iterator[tuple[str, str]]:
    """How far it still is, each with its name."""
    plan = report.plan
    if plan is None:
        return
    yield "Wanted", f"a relative change of {share(plan.wanted)}"
    if plan.detectable is not None:
        yield (
            "Could be found as planned" if report.started is None else "Could be found now",
            f"a relative change of {share(plan.detectable)} or more",
        )
    if plan.units_needed is not None:
        yield "Units needed", number(plan.units_needed)
    yield "Units a day", number(plan.units_a_day)
    if plan.days_left is not None:
        yield "Days left", plural(max(0, round(plan.days_left)), "day") if plan.days_left > 0 else "none"


def next_steps(report: Report) -> tuple[str, ...]:
    """What to do now, in the order to do it."""
    if report.started is None:
        return _UNSEEN
    steps = []
    if report.doubts:
        steps.append("Read the reasons for doubt first: each says what to mend.")
    if is_holdout(report):
        steps += _HOLDOUT_STEPS[report.verdict.code]
    elif report.verdict.code == "cannot_tell" and report.verdict.arm is not None:
        steps += _UNDECIDED
    else:
        steps += _STEPS[report.verdict.code]
    if report.look is not None and report.look.next is not None and report.verdict.code == "keep_running":
        steps.append(f"Look again on {day(report.look.next)}. Until then this report does not change.")
    return tuple(step.format(arm=report.verdict.arm or "the arm") for step in steps)


_STEPS: dict[Code, tuple[str, ...]] = {
    "ship": (
        "Give “{arm}” to everyone: make it the experience's content, and take the experiment out of the playbook.",
        "Keep some shoppers in the shop's holdout, so that what it earns can still be seen next quarter.",
    ),
    "roll_back": (
        "Take “{arm}” back: remove its variation from the playbook. Shoppers then see what control sees.",
        "Write down what was learned before the next idea: segments and guardrails below say where it hurt.",
    ),
    "keep_running": ("Change nothing: no arm, no share, no metric. What is changed on the way cannot be compared.",),
    "cannot_tell": ("Do not ship on this. Mend what stands in the way, and start afresh with a new salt.",),
}
_UNDECIDED = (
    "Keep what is simpler: the planned time is over, and by the rules made before it began nothing is decided.",
    "To try again, plan for more shoppers or a larger change, with a new salt.",
)
"""Where the figures can be trusted, and are not enough."""
_UNSEEN = ("Mend that, and ask again. Nothing is lost: the planned time begins with the first exposure.",)
"""Before anything was seen."""
_HOLDOUT_STEPS: dict[Code, tuple[str, ...]] = {
    "ship": (
        "Leave personalization on, and leave the holdout as it is: it is the only proof that it goes on earning.",
        "Put the next effort where single experiments earn most.",
    ),
    "roll_back": (
        "All of it together costs more than it brings. Read the experiments' own reports, and pause what harms.",
        "Keep the holdout until this headline has turned.",
    ),
    "keep_running": ("Leave the holdout as it is. A share of a few percent takes weeks to tell.",),
    "cannot_tell": ("Mend what stands in the way. Until then, trust single experiments and not this headline.",),
}


def scale_of_points(report: Report, points: Sequence[Point]) -> Scale:
    """The scale of the primary metric's effects at several moments."""
    primary = primary_of(report)
    ends = [(point.interval.high - point.interval.low) / 4 for point in points]
    return scale(primary.worth if primary else "count", report.currency, [point.effect for point in points], ends)
