"""Reports as a real shop would have them: a clear win, a harmful arm, nothing to say yet, and the headline.

Effects come from rates, spreads and numbers of shoppers, so that intervals, p values and sums fit each other.
"""

from collections.abc import Mapping
from statistics import NormalDist

from cashwrap.analysis.question import Role, Worth
from cashwrap.analysis.results import (
    ArmTally,
    Curve,
    Effect,
    Heterogeneity,
    Interval,
    Look,
    Plan,
    Point,
    Problem,
    RatioCheck,
    Report,
    Result,
    Slice,
    Step,
    Verdict,
)
from cashwrap.declarations import Better, DesignDecl, MetricKind
from cashwrap.model import Tenant

DAY = 86_400_000
MINUTE = 60_000
STARTED = 1_788_220_800_000
"""1 September 2026, midnight UTC."""
DESIGN = DesignDecl(days=28, looks=4, window=7 * DAY, maturity=14 * DAY)
CRITICAL = 2.014
"""At the last of four looks of an O'Brien-Fleming-like spending of 5 %."""
NORMAL = NormalDist()
HOSTILE = '<script>alert("1")</script>'
SQL = """\
SELECT arm, COUNT(*) AS units, AVG(profit) AS mean, VAR_SAMP(profit) AS variance
FROM units
WHERE exposed_at + INTERVAL 21 DAY <= TIMESTAMP '2026-10-20 00:00:00' AND profit > -1e9
GROUP BY arm
ORDER BY arm"""

Measured = tuple[float, float]
"""An arm's value, and the standard deviation of one unit's."""


def effect(
    arm: str, control: Measured, treated: Measured, units: tuple[int, int], *, critical: float = CRITICAL
) -> Effect:
    """The difference of two means, with the interval that a normal approximation gives it."""
    absolute = treated[0] - control[0]
    error = (control[1] ** 2 / units[0] + treated[1] ** 2 / units[1]) ** 0.5
    z = absolute / error
    half = critical * error
    ends = Interval(absolute - half, absolute + half)
    return Effect(
        arm=arm,
        absolute=absolute,
        interval=ends,
        error=error,
        relative=absolute / control[0],
        relative_interval=Interval(ends.low / control[0], ends.high / control[0]),
        p=2 * (1 - NORMAL.cdf(abs(z))),
        significant=abs(z) > critical,
        chance_better=NORMAL.cdf(z),
        expected_loss=error * (NORMAL.pdf(z) - z * (1 - NORMAL.cdf(z))),
        removed=0.18,
    )


def metric(
    name: str,
    label: str,
    measured: Mapping[str, Measured],
    units: Mapping[str, int],
    *,
    kind: MetricKind = "mean",
    role: Role = "secondary",
    worth: Worth = "money",
    better: Better = "higher",
    margin: float | None = None,
    critical: float = CRITICAL,
) -> Result:
    """A metric over all arms, the control first; a guardrail is judged by its margin, of the control's value."""
    control, *treated = measured
    effects = [
        effect(arm, measured[control], measured[arm], (units[control], units[arm]), critical=critical)
        for arm in treated
    ]
    if better == "lower":
        effects = [_with(each, chance_better=1 - (each.chance_better or 0)) for each in effects]
    if role == "secondary":
        effects = [
            _with(each, q=min(1.0, (each.p or 0) * 1.6), significant=(each.p or 0) * 1.6 < 0.05) for each in effects
        ]
    if margin is not None:
        effects = [_with(each, standing=_standing(each, better, margin * measured[control][0])) for each in effects]
    values = {arm: value for arm, (value, _) in measured.items()}
    caps = Interval(-9_000, 48_000) if name in {"profit", "revenue"} else None
    return Result(name, label, kind, role, worth, better, values, dict(units), tuple(effects), margin, caps)


def _with(effect: Effect, **changes: object) -> Effect:
    fields = {name: getattr(effect, name) for name in effect.__struct_fields__}
    return Effect(**{**fields, **changes})  # type: ignore[arg-type]


def _standing(effect: Effect, better: Better, margin: float) -> str:
    worst = -effect.interval.low if better == "higher" else effect.interval.high
    best = -effect.interval.high if better == "higher" else effect.interval.low
    return "holds" if worst < margin else "broken" if best > margin else "open"


def share(rate: float) -> Measured:
    """A share and its spread: Bernoulli's."""
    return rate, (rate * (1 - rate)) ** 0.5


def checkout(
    arms: Mapping[str, int], lift: Mapping[str, float], *, pain: Mapping[str, float] | None = None
) -> list[Result]:
    """What every experiment is measured by. ``lift`` multiplies conversion, ``pain`` latency and failures, by arm."""
    hurt = {arm: (pain or {}).get(arm, 1.0) for arm in arms}
    up = {arm: lift.get(arm, 1.0) for arm in arms}
    return [
        metric("profit", "Profit per shopper", {arm: (312.4 * up[arm], 1_640.0) for arm in arms}, arms, role="primary"),
        metric(
            "conversion",
            "Conversion",
            {arm: share(0.0412 * up[arm]) for arm in arms},
            arms,
            kind="proportion",
            worth="share",
        ),
        metric("revenue", "Revenue per shopper", {arm: (841.0 * up[arm], 4_310.0) for arm in arms}, arms),
        metric(
            "abandonment",
            "Checkouts abandoned",
            {arm: share(1 - 0.318 * up[arm]) for arm in arms},
            {arm: units // 7 for arm, units in arms.items()},
            kind="ratio",
            worth="share",
            better="lower",
        ),
        metric(
            "time_to_completion",
            "Time lost to completing",
            {arm: (31.6 * MINUTE / up[arm] ** 0.5, 21 * MINUTE) for arm in arms},
            {arm: units // 7 for arm, units in arms.items()},
            worth="milliseconds",
            better="lower",
        ),
        metric(
            "offer_cost",
            "Offers' cost per shopper",
            {arm: (20.8 * hurt[arm], 122.0) for arm in arms},
            arms,
            better="lower",
        ),
        metric(
            "payment_failures",
            "Payment failures",
            {arm: share(0.021 * hurt[arm]) for arm in arms},
            {arm: units // 6 for arm, units in arms.items()},
            kind="ratio",
            role="guardrail",
            worth="share",
            better="lower",
            margin=0.25,
        ),
        metric(
            "decision_latency",
            "Decision latency, 90th percentile",
            {arm: (38.0 * hurt[arm] ** 0.5, 64.0) for arm in arms},
            arms,
            kind="quantile",
            role="guardrail",
            worth="milliseconds",
            better="lower",
            margin=0.10,
        ),
        metric(
            "order_value",
            "Average order value",
            {arm: (20_412.0 - 2_600 * (up[arm] - 1), 11_900.0) for arm in arms},
            {arm: int(units * 0.041) for arm, units in arms.items()},
            kind="ratio",
            role="description",
        ),
    ]


def timeline(arm: str, final: float, error: float, looks: int) -> list[Point]:
    """The primary effect at each look so far; its bound narrows as units come in and the error is spent."""
    drift = (0.62, 1.31, 0.92, 1.0)
    bounds = (4.333, 2.963, 2.359, 2.014)
    points = []
    for look in range(looks):
        now = error * (looks / (look + 1)) ** 0.5
        found, half = final * drift[look + 4 - looks], bounds[look] * now
        at = STARTED + (look + 1) * 7 * DAY + 21 * DAY
        points.append(Point(arm, at, found, Interval(found - half, found + half), half))
    return points


def novelty(arm: str, final: float, error: float, fade: float = 0.0) -> list[Point]:
    """The primary effect by days since the first exposure."""
    wobble = (0.2, -0.5, 0.6, -0.1, 0.3, -0.4, 0.1)
    points = []
    for age in range(7):
        wide = error * 2.2
        found = final / 7 * (1 + fade * (3 - age)) + wobble[age] * wide / 2
        points.append(Point(arm, age, found, Interval(found - 1.96 * wide / 2, found + 1.96 * wide / 2)))
    return points


STEPS = (("Cart", 1.0), ("Address", 0.71), ("Delivery", 0.60), ("Payment", 0.52), ("Order", 0.318))


def funnel(arms: Mapping[str, int], lift: Mapping[str, float]) -> tuple[Step, ...]:
    """Those who began to check out, and how far they came."""
    return tuple(
        Step(arm, step, int(units // 7 * rate * (1 + (lift.get(arm, 1.0) - 1) * place / 4)), units // 7)
        for arm, units in arms.items()
        for place, (step, rate) in enumerate(STEPS)
    )


def curves(arms: Mapping[str, int], lift: Mapping[str, float]) -> tuple[Curve, ...]:
    """Cumulative incidence over an hour: completing and abandoning compete."""
    times = tuple(minute * MINUTE for minute in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60))
    found = []
    for arm, units in arms.items():
        up = lift.get(arm, 1.0)
        done = tuple(0.318 * up * (1 - 2.0 ** (-time / MINUTE / (5.2 / up))) for time in times)
        left = tuple((1 - 0.318 * up) * (1 - 2.0 ** (-time / MINUTE / 11)) for time in times)
        half = [1.96 * (share * (1 - share) / (units / 7)) ** 0.5 for share in done]
        found.append(
            Curve(
                arm,
                times,
                done,
                left,
                tuple(max(0.0, share - width) for share, width in zip(done, half, strict=True)),
                tuple(share + width for share, width in zip(done, half, strict=True)),
                lost=60 * MINUTE * (1 - 0.29 * up),
            )
        )
    return tuple(found)


PARTS = {
    "device": (("mobile", 0.61, 1.7), ("desktop", 0.33, 0.05), ("tablet", 0.06, 0.4)),
    "country": (("DE", 0.52, 1.1), ("AT", 0.19, 0.7), ("CH", 0.17, 1.2), ("NL", 0.12, 0.6)),
    "segment": (("high_value", 0.08, 0.5), ("new_visitor", 0.44, 1.5), ("enthusiast", 0.15, 0.8)),
}


def slices(arm: str, arms: Mapping[str, int], gain: float) -> list[Slice]:
    """The primary effect by device, country and segment, raw and drawn towards that of all."""
    found = []
    for dimension, values in PARTS.items():
        for value, part, times in values:
            units = (int(arms["control"] * part), int(arms[arm] * part))
            raw = effect(arm, (312.4, 1_640.0), (312.4 + gain * times, 1_640.0), units, critical=1.96)
            trust = 1 / (1 + raw.error**2 / 9.0**2)
            middle, half = gain + (raw.absolute - gain) * trust, 1.96 * raw.error * trust**0.5
            found.append(Slice(dimension, value, arm, sum(units), raw, middle, Interval(middle - half, middle + half)))
    return found


def tallies(arms: Mapping[str, int], **more: object) -> tuple[ArmTally, ...]:
    """What servers and pages say of each arm."""
    whole = sum(arms.values())
    return tuple(
        ArmTally(
            arm,
            round(100 * units / whole) * 100,
            int(units * 1.21),
            units,
            tainted=units // 240,
            ghosts={"capped": units // 31, "budget": units // 310},
            decided=int(units * 2.9),
            seen=int(units * 2.84),
        )
        for arm, units in arms.items()
    )


def win() -> Report:
    """Wallets first on mobile phones: more profit at the last of four looks."""
    arms = {"control": 96_412, "wallets_first": 96_803}
    lift = {"wallets_first": 1.073}
    results = checkout(arms, lift, pain={"wallets_first": 1.016})
    gain = results[0].effects[0]
    day = 8_630
    stake = gain.absolute * day * 365
    return Report(
        experiment="wallets_first_on_mobile",
        tenant=Tenant("kontor", "live"),
        currency="EUR",
        made=STARTED + 50 * DAY + 9 * 3_600_000,
        through=STARTED + 49 * DAY,
        started=STARTED,
        design=DESIGN,
        verdict=Verdict(
            "ship",
            "Ship wallets_first: profit per shopper changes by +€0.23 (+€0.08 to +€0.38).",
            "wallets_first",
            harm=1 - (gain.chance_better or 0),
            stake=stake,
            stake_interval=Interval(gain.interval.low * day * 365, gain.interval.high * day * 365),
        ),
        doubts=(Problem("duplicate_orders", "212 orders were reported more than once, and counted once."),),
        look=Look(4, 4, STARTED + 49 * DAY, STARTED + 49 * DAY, None, 1.0, CRITICAL),
        arms=tallies(arms),
        ratio=RatioCheck(0.41, 0.37, {"control": 96_607.5, "wallets_first": 96_607.5}, arms),
        results=tuple(results),
        slices=tuple(slices("wallets_first", arms, gain.absolute)),
        heterogeneity=(
            Heterogeneity("device", "wallets_first", 0.031),
            Heterogeneity("country", "wallets_first", 0.87),
            Heterogeneity("segment", "wallets_first", 0.44),
        ),
        timeline=tuple(timeline("wallets_first", gain.absolute, gain.error, 4)),
        novelty=tuple(novelty("wallets_first", gain.absolute, gain.error / 2)),
        funnel=funnel(arms, lift),
        curves=curves(arms, lift),
        plan=Plan(0.047, 0.05, 214_000, 8_630.0, 0.0),
        playbooks=("7c41d09be2", "a90f4e11c3"),
        sql={"units by arm": SQL, "the primary metric": SQL.replace("profit >", "net <")},
    )


def harm() -> Report:
    """Three arms; one of them loses profit and breaks a guardrail, and units are missing in it."""
    arms = {"control": 41_208, "free_delivery_over_40": 20_655, "ten_percent_now": 18_930}
    lift = {"free_delivery_over_40": 1.021, "ten_percent_now": 0.882}
    results = checkout(arms, lift, pain={"ten_percent_now": 1.74, "free_delivery_over_40": 1.06})
    loss = results[0].effects[1]
    stake = loss.absolute * 3_950 * 365
    gains = {each.arm: each for each in results[0].effects}
    treated = ("free_delivery_over_40", "ten_percent_now")
    return Report(
        experiment="basket_offer",
        tenant=Tenant("kontor", "live"),
        currency="EUR",
        made=STARTED + 36 * DAY,
        through=STARTED + 35 * DAY,
        started=STARTED,
        design=DESIGN,
        verdict=Verdict(
            "roll_back",
            "Roll back ten_percent_now: it makes payment failures worse by more than the 25% allowed.",
            "ten_percent_now",
            harm=1 - (loss.chance_better or 0),
            stake=stake,
            stake_interval=Interval(loss.interval.low * 3_950 * 365, loss.interval.high * 3_950 * 365),
        ),
        doubts=(
            Problem(
                "sample_ratio_warning",
                "The arms may not be the sizes they were given: ten_percent_now has 18,930 units where 20,198 were due "
                "(p 0.0042). By chance this happens to one experiment in a hundred; look at it before you believe the "
                "figures.",
            ),
            Problem(
                "uneven_ghosts",
                "A cap or a budget kept back the first moment of control 2.9%, ten_percent_now 22.3%. They count in "
                "their arms, so the effect is that of trying to show it; `limits: {by_arm: true}` keeps one arm from "
                "using up another's budget.",
            ),
            Problem(
                "mixed_currencies",
                "214 orders were left out of all money: `shop: rates:` has no rate for their currency on their day.",
            ),
        ),
        look=Look(2, 4, STARTED + 35 * DAY, STARTED + 49 * DAY, STARTED + 42 * DAY, 0.11, 2.963),
        arms=(
            *tallies(arms)[:2],
            ArmTally("ten_percent_now", 2_500, 22_900, 18_930, 71, {"budget": 5_103}, 54_000, 49_140),
        ),
        ratio=RatioCheck(
            0.0042,
            0.00003,
            {"control": 40_396.5, "free_delivery_over_40": 20_198.25, "ten_percent_now": 20_198.25},
            arms,
            (
                Problem(
                    "suspect",
                    "browser Safari: control 9,120, ten_percent_now 3,012 where control 8,088, ten_percent_now 4,044 "
                    "were due, which explains 81% of it",
                ),
            ),
        ),
        results=(
            *results,
            Result(
                "refund_days",
                "Days until a refund, median",
                "quantile",
                "secondary",
                "count",
                "lower",
                units=arms,
                problem=Problem("too_few_events", "Only 31 shoppers had a refund; 100 are needed. Give it more time."),
            ),
        ),
        slices=tuple(each for arm in treated for each in slices(arm, arms, gains[arm].absolute)),
        heterogeneity=tuple(Heterogeneity(part, arm, 0.2) for arm in treated for part in PARTS),
        timeline=tuple(each for arm in treated for each in timeline(arm, gains[arm].absolute, gains[arm].error, 2)),
        novelty=tuple(each for arm in treated for each in novelty(arm, gains[arm].absolute, gains[arm].error / 2, 0.3)),
        funnel=funnel(arms, lift),
        curves=curves(arms, lift),
        plan=Plan(
            0.081,
            0.05,
            168_000,
            3_950.0,
            22.1,
            (
                Problem(
                    "underpowered",
                    "At this traffic it takes 22 days more to find +5.0%, and 28 are planned: plan longer, give it "
                    "more traffic, or look for a larger effect.",
                ),
            ),
        ),
        playbooks=("7c41d09be2", "b7722e01aa"),
        sql={"units by arm": SQL},
    )


def nothing() -> Report:
    """A few hours old: no look has passed, no number may be told, and some come from two arms."""
    early = Problem("too_early", "No planned look has passed yet. The first one is on Sep 29, 2026.")
    arms = {"control": 212, "brief": 198}
    return Report(
        experiment="shorter_address_form",
        tenant=Tenant("kontor", "test"),
        currency="JPY",
        made=STARTED + 9 * 3_600_000,
        through=STARTED + 9 * 3_600_000,
        started=STARTED,
        design=DESIGN,
        verdict=Verdict(
            "keep_running", "Keep running: no planned look has passed yet. The first one is on Sep 29, 2026."
        ),
        doubts=(
            Problem(
                "tainted", "12% of the shoppers saw both arms. They stay in the first; see that logins keep their arm."
            ),
        ),
        look=Look(0, 4, STARTED, STARTED + 49 * DAY, STARTED + 28 * DAY, 0.0, float("inf")),
        arms=tuple(ArmTally(arm, 5_000, units, 0, tainted=25) for arm, units in arms.items()),
        ratio=RatioCheck(0.62, 0.49, {"control": 0.5, "brief": 0.5}, arms),
        results=(
            Result("profit", "Profit per shopper", "mean", "primary", "money", "higher", problem=early),
            Result("conversion", "Conversion", "proportion", "secondary", "share", "higher", problem=early),
        ),
        plan=Plan(None, 0.05, 214_000, 1_090.0, None),
        playbooks=("0d51aa",),
        sql={"units by arm": SQL},
    )


def headline() -> Report:
    """All of personalization against the shop's holdout of five percent."""
    arms = {"holdout": 21_904, "personalized": 416_022}
    lift = {"personalized": 1.116}
    results = [
        result for result in checkout(arms, lift, pain={"personalized": 1.04}) if result.metric != "decision_latency"
    ]
    gain = results[0].effects[0]
    stake = gain.absolute * 12_600 * 365
    return Report(
        experiment="holdout",
        tenant=Tenant("kontor", "live"),
        currency="EUR",
        made=STARTED + 80 * DAY,
        through=STARTED + 79 * DAY,
        started=STARTED,
        design=DesignDecl(method="always_valid", days=90, window=7 * DAY, maturity=14 * DAY),
        verdict=Verdict(
            "ship",
            "Personalization earns: profit per shopper changes by +€0.36 (+€0.13 to +€0.59).",
            "personalized",
            harm=1 - (gain.chance_better or 0),
            stake=stake,
            stake_interval=Interval(gain.interval.low * 12_600 * 365, gain.interval.high * 12_600 * 365),
        ),
        look=Look(58, 0, STARTED + 79 * DAY, STARTED + 111 * DAY, STARTED + 81 * DAY, 1.0, 2.9),
        arms=(ArmTally("holdout", 500, 26_011, 21_904), ArmTally("personalized", 9_500, 494_102, 416_022)),
        ratio=RatioCheck(0.83, 0.95, {"holdout": 0.05, "personalized": 0.95}, arms),
        results=tuple(results),
        funnel=funnel(arms, lift),
        plan=Plan(0.07, 0.05, 610_000, 12_600.0, 13.0),
        playbooks=("7c41d09be2",),
        sql={"units by arm": SQL},
    )


def blocked() -> Report:
    """Numbers that nobody may believe, since the arms are not the sizes they were given."""
    found = win()
    said = "the arms are not the sizes they were given: 90,212 where 96,607 were due (p 3e-09, valid at any moment)."
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return Report(
        **{
            **fields,
            "verdict": Verdict("cannot_tell", f"Cannot tell: {said}"),
            "doubts": (Problem("sample_ratio", said),),
            "ratio": RatioCheck(
                3e-9, 1e-12, {"control": 1.0, "wallets_first": 1.0}, {"control": 2, "wallets_first": 1}
            ),
        }
    )


def hostile() -> Report:
    """A playbook whose names are an attack on whoever reads the report."""
    found = win()
    arms = {"control": 9_000, HOSTILE: 9_000}
    results = checkout(arms, {HOSTILE: 1.1})
    first = results[0]
    named = Result(
        first.metric,
        HOSTILE,
        first.kind,
        first.role,
        first.worth,
        first.better,
        first.values,
        first.units,
        first.effects,
    )
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    problem = Problem("x", HOSTILE)
    return Report(
        **{
            **fields,
            "experiment": HOSTILE,
            "tenant": Tenant(HOSTILE, HOSTILE),
            "verdict": Verdict("ship", HOSTILE, HOSTILE, 0.01, 1.0, Interval(0.5, 1.5)),
            "doubts": (problem,),
            "arms": tallies(arms),
            "ratio": RatioCheck(0.5, 0.5, {"control": 0.5, HOSTILE: 0.5}, arms, (problem,)),
            "results": (named, *results[1:]),
            "slices": (Slice(HOSTILE, HOSTILE, HOSTILE, 100, first.effects[0], 1.0, Interval(0.0, 2.0)),),
            "heterogeneity": (Heterogeneity(HOSTILE, HOSTILE, 0.5),),
            "timeline": tuple(timeline(HOSTILE, 10.0, 2.0, 3)),
            "novelty": tuple(novelty(HOSTILE, 10.0, 2.0)),
            "funnel": (Step(HOSTILE, HOSTILE, 5, 10),),
            "curves": tuple(curves(arms, {})),
            "playbooks": (HOSTILE,),
            "sql": {HOSTILE: f"select 1 -- </pre>{HOSTILE}"},
        }
    )


ALL = {"win": win, "harm": harm, "nothing": nothing, "headline": headline, "hostile": hostile}
