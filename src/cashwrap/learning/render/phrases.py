"""What a model and its figures are called, and what to say of them to somebody who has to decide about it."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from cashwrap.analysis.render.words import MINUS, NONE, day, number, plural, share
from cashwrap.learned.artefact import Figure
from cashwrap.learning.results import Evaluation, Training, Versus

Worth = Literal["share", "plain", "fine", "bits"]
Standing = Literal["better", "worse", "unclear"]


class Metric(Struct, frozen=True):
    """How a metric is called and written; ``means`` ends the sentence "the metric is ..."."""

    label: str
    means: str
    worth: Worth = "plain"
    lower: bool = False
    """Less is better."""


METRICS: dict[str, Metric] = {
    "recall@20": Metric("Recall@20", "how often the right product is among the first 20", "share"),
    "recall@5": Metric("Recall@5", "how often the right product is among the first 5", "share"),
    "recall@3": Metric("Recall@3", "how often the right one is among the first 3", "share"),
    "mrr@20": Metric("MRR@20", "one over the place of the right one, 0 beyond the 20th, on average"),
    "ndcg@20": Metric("NDCG@20", "how high the right one stands among the first 20: 1 is always on top"),
    "coverage@20": Metric("Coverage@20", "the share of all products that anybody was shown", "share"),
    "novelty@20": Metric("Novelty@20", "how unusual what it shows is; every bit more is half as often sold", "bits"),
    "auc": Metric("AUC", "how often it ranks one where it happens above one where it does not"),
    "average_precision": Metric("Average precision", "how right the highest chances are, over all depths of a list"),
    "log_loss": Metric("Log loss", "how surprised it is by what comes; less is better", lower=True),
    "brier": Metric("Brier score", "the mean squared distance of chance and outcome; less is better", lower=True),
    "calibration_error": Metric("Calibration error", "how far what it says is from what comes", "fine", lower=True),
    "precision": Metric("Precision", "of those above the threshold, the share where it happens", "share"),
    "recall": Metric("Recall", "of those where it happens, the share above the threshold", "share"),
    "f1": Metric("F1", "the harmonic mean of precision and recall"),
    "accuracy": Metric("Accuracy", "how often the first category is right", "share"),
    "qini": Metric("Qini", "what ranking shoppers gains over treating them by chance, a head", "fine"),
    "ate": Metric("Effect on all", "what the offer changes when everybody gets it", "fine"),
    "uplift@10": Metric("Uplift@10", "what the offer changes among the 10% ranked first", "fine"),
    "uplift@20": Metric("Uplift@20", "what the offer changes among the 20% ranked first", "fine"),
    "uplift@30": Metric("Uplift@30", "what the offer changes among the 30% ranked first", "fine"),
}
_DECIMALS: dict[Worth, int] = {"share": 1, "plain": 3, "fine": 4, "bits": 2}
TITLES = {
    "basket": "what else goes into such a basket",
    "next_item": "what a shopper wants to see next",
    "next_category": "the category that a shopper looks at next",
    "purchase_propensity": "the chance that a shopper orders",
    "abandon_propensity": "the chance that a shopper leaves the checkout without an order",
    "coupon_propensity": "the chance that a shopper uses a coupon",
    "discount_sensitivity": "by how much an offer raises the chance of an order",
}
BASELINES = {
    "popular": "showing what sells best",
    "item_knn": "products bought together (item neighbours)",
    "vsknn": "sessions like this one (V-SKNN)",
    "last_category": "staying in the last category",
    "most_popular": "the category that most look at",
    "base_rate": "telling everybody the average",
    "best_column": "the one column that tells most alone",
    "logistic": "a plain logistic regression",
    "chance": "choosing by chance",
    "live": "the model that is live",
}
"""What a baseline does, in words; others are called by their names."""
SOURCES = {
    "facts": "the shop's own fact table: shoppers who allow analytics, and nobody else",
    "log": "the shop's own log, rebuilt as it was at each moment: shoppers who allow the prediction's purpose",
}
PASSED = "Good enough to go on"
REFUSED = "Not good enough to go on"
CURES = {
    "too_few_tests": "Wait until there is more to test on, then train again.",
    "not_better": "Keep the baseline: it is as good and simpler. Train again when there is more or other data.",
    "worse_than_plain": "A plain model is better on these data: use one source or one attribute in its place.",
    "worse_than_live": "Keep the live model.",
    "miscalibrated": "Do not build conditions on its chances. Train again on more or on newer data.",
    "nothing_to_gain": "Give the offer to everybody or to nobody, as the experiment says: choosing adds nothing.",
    "suspected_leak": "Look where that column comes from; leave it out where it knows the outcome.",
    "too_slow": "Train again when the machine is quiet; if it stays slow, learn from fewer products or features.",
}
"""What to do about a gate's reason."""


# --- names ---


def metric(name: str) -> Metric:
    """How a metric is written; one that is not known here is called by its name."""
    return METRICS.get(name, Metric(name.replace("_", " "), f"{name.replace('_', ' ')}, as its trainer defines it"))


def title(training: Training) -> str:
    """What the model answers, in words."""
    return TITLES.get(training.name, "a chance that this shop defined")


def against(baseline: str) -> str:
    """A baseline in words, for a sentence."""
    return BASELINES.get(baseline, baseline.replace("_", " "))


# --- numbers ---


def value(name: str, said: float) -> str:
    """One figure as people read it."""
    return _number(said, metric(name).worth, "")


def change(name: str, said: float) -> str:
    """A difference with its sign; of shares in percentage points."""
    worth = metric(name).worth
    rounded = round(said * (100 if worth == "share" else 1), _DECIMALS[worth])
    text = _number(abs(said), worth, "+" if rounded > 0 else MINUS if rounded < 0 else "±")
    return f"{text.removesuffix('%')} pp" if worth == "share" else text


def interval(name: str, figure: Figure) -> str:
    """The interval of a figure, or that there is none."""
    if figure.low is None or figure.high is None:
        return NONE
    return f"{value(name, figure.low).removesuffix('%').removesuffix(' bits')} to {value(name, figure.high)}"


def between(versus: Versus) -> str:
    """The interval of a difference."""
    return f"{change(versus.metric, versus.low).removesuffix(' pp')} to {change(versus.metric, versus.high)}"


def _number(said: float, worth: Worth, sign: str) -> str:
    decimals = _DECIMALS[worth]
    if worth == "share":
        return f"{sign}{share(said, decimals)}"
    text = f"{sign}{said:.{decimals}f}".replace("-", MINUS)
    return f"{text} bits" if worth == "bits" else text


def standing(versus: Versus) -> Standing:
    """What the interval of a difference says, in the metric's own sense."""
    sign = -1 if metric(versus.metric).lower else 1
    low, high = sorted((sign * versus.low, sign * versus.high))
    return "better" if low > 0 else "worse" if high < 0 else "unclear"


# --- sentences ---


def heading(training: Training) -> str:
    """The verdict in a few words."""
    if training.judged == "seen":
        return "Tested on data that it partly knows"
    return PASSED if training.gate.passed else REFUSED


def sentence(training: Training) -> str:
    """The verdict in one sentence, with the number that matters most."""
    evaluation = training.evaluation
    shown = evaluation.figures.get(evaluation.main)
    if shown is None:
        return "Nothing could be tested, so nothing is known of it."
    said = f"{metric(evaluation.main).label} is {value(evaluation.main, shown.value)}"
    if shown.low is not None:
        said += f" ({interval(evaluation.main, shown)})"
    rival = strongest(evaluation)
    if rival is None:
        return f"{said}; there was nothing to compare it with."
    return f"{said}: {_verdict(rival, passed=training.gate.passed)}{_but(training, rival)}."


def _verdict(rival: Versus, *, passed: bool) -> str:
    amount = f"{change(rival.metric, rival.difference)} ({between(rival)}) against {against(rival.baseline)}"
    if passed and standing(rival) != "better":
        return f"better beyond doubt than what needs no model, and as good as any other, {amount}"
    return {
        "better": f"better beyond doubt than every baseline, {amount}",
        "worse": f"worse than a baseline, {amount}",
        "unclear": f"not better beyond doubt, {amount}",
    }[standing(rival)]


def _but(training: Training, rival: Versus) -> str:
    """Why it is refused although it is better."""
    if training.gate.passed or standing(rival) != "better":
        return ""
    return f", but {training.gate.reasons[0][1]}"


def strongest(evaluation: Evaluation) -> Versus | None:
    """The baseline that leaves the model the least: what it is to be judged by."""
    rivals = [each for each in evaluation.versus if each.metric == evaluation.main]
    sign = -1 if metric(evaluation.main).lower else 1
    return min(rivals, key=lambda each: (min(sign * each.low, sign * each.high), sign * each.difference), default=None)


def claims(evaluation: Evaluation) -> Iterator[str]:
    """A sentence on each baseline, in the metric that decides."""
    called = metric(evaluation.main)
    for each in evaluation.versus:
        if each.metric != evaluation.main:
            continue
        told = f"{value(each.metric, each.ours)} against {value(each.metric, each.theirs)}"
        by = f"{change(each.metric, each.difference)} ({between(each)})"
        said = {
            "better": f"Better than {against(each.baseline)}",
            "worse": f"Worse than {against(each.baseline)}",
            "unclear": f"Not told apart from {against(each.baseline)}",
        }[standing(each)]
        yield f"{said}: {called.label} {told}, a difference of {by}."


def calibration(evaluation: Evaluation) -> str:
    """Whether what it says is what comes, in one sentence; empty where it does not say chances."""
    error = evaluation.figures.get("calibration_error")
    if error is None or not evaluation.reliability:
        return ""
    worst = max(evaluation.reliability, key=lambda each: abs(each.predicted - each.observed))
    return (
        f"On average what it says is {error.value * 100:.1f} percentage points from what comes. Where it is furthest "
        f"off it says {share(worst.predicted)} and {share(worst.observed)} come (of {number(worst.count)} rows)."
    )


def next_steps(training: Training, *, kept: bool = False) -> tuple[str, ...]:
    """What to do, in order; ``kept`` where it is said inside the registry, before there is a version."""
    name = training.name
    if training.judged:
        known = "These figures flatter: wait for data from after it was made, or look at `cashwrap models show`."
        return (*([known] if training.judged == "seen" else []), "Nothing was learned, and no role changed.")
    if not training.gate.passed:
        return (
            "Nothing changes in the shop: what is live stays live.",
            *(_cures(code) for code, _ in training.gate.reasons),
        )
    if not training.version and not kept:
        return ("Nothing was registered. `cashwrap train --data` with the shop's data folder registers a model.",)
    return (
        f"It begins as a shadow, asked beside what is live, shown to nobody: `cashwrap models show {name}@shadow`.",
        f"When its answers look sound, make it the candidate: `cashwrap models candidate {name}`.",
        _prove(training),
        f"When the experiment says so, `cashwrap models promote {name}`.",
        f"The way back, at any time: `cashwrap models rollback {name}`.",
    )


def _prove(training: Training) -> str:
    if training.evaluation.task in {"basket", "next_item"}:
        asked = "" if training.name == "basket" else f", model: {training.name}"
        return f"Prove it: one arm of an experiment shows `{{from: recommended{asked}, version: candidate}}`."
    return f"Prove it: an experiment whose treatment has `{training.name}` in its condition."


def _cures(code: str) -> str:
    return CURES.get(code, "Mend what the reason names, then train again.")


def learned_from(training: Training) -> Iterator[tuple[str, str]]:
    """What it comes from, as pairs of a name and words."""
    lineage = training.lineage
    yield (
        "Source",
        SOURCES.get(
            lineage.source, f"the file that the mapping {lineage.source} reads; who gave it answers for consent"
        ),
    )
    told = units(training)
    yield "Rows", number(lineage.rows) + ("" if told != "rows" else _split(training))
    if told != "rows":
        yield told.capitalize(), number(sum(lineage.parts.values())) + _split(training)
    if lineage.since and lineage.until:
        yield "Time", f"{day(lineage.since)} to {day(lineage.until)}"
    if lineage.subjects:
        yield "Shoppers", number(lineage.subjects)
    if lineage.explored:
        yield "Holdout", f"{share(lineage.explored)} of it from shoppers who saw nothing personal"
    if lineage.features:
        yield "Features", ", ".join(lineage.features)
    if lineage.playbook:
        yield "Playbook", lineage.playbook
    yield "Digest of the rows", lineage.digest or NONE
    if lineage.cashwrap:
        yield "Made by", f"cashwrap {lineage.cashwrap}"


def units(training: Training) -> str:
    """What the parts of the data count."""
    return {"basket": "orders", "next_item": "sessions", "next_category": "sessions"}.get(
        training.evaluation.task, "rows"
    )


def _split(training: Training) -> str:
    parts = training.lineage.parts
    said = ", ".join(f"{number(count)} {_PARTS.get(name, name)}" for name, count in parts.items() if count)
    return f" ({said})" if said else ""


_PARTS = {"train": "to learn from", "valid": "to choose settings by", "test": "to test on"}


def searched(training: Training) -> Metric:
    """What a search judged its trials by."""
    task, main = training.evaluation.task, training.evaluation.main
    if task == "prediction":
        return METRICS["log_loss"]
    if task in {"basket", "next_item"}:
        return Metric("Recall@20 + MRR@20", "how often the right product is named, and how high it stands")
    return Metric("Standard errors", "how far the effect is from chance") if task == "uplift" else metric(main)


def took(training: Training) -> str:
    """How long making it took."""
    minutes, seconds = divmod(round(training.seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{training.seconds:.1f} s"


def cost(training: Training) -> str:
    """What making it took."""
    trials = f", {plural(len(training.trials), 'configuration')} tried" if training.trials else ""
    return f"{took(training)}, {training.peak_bytes / 2**20:,.0f} MB at most{trials}"
