"""What experiments earn as the product is used: the share of an oracle's extra profit that they recover, and what they
cost where nothing helps.

A shop with six experiences, some of which help, some harm, one does nothing and one does both; each in an experiment
by the default design that begins with a ramp. Eight weeks are played day by day, and nobody is asked: the guard
switches off what surely harms, at each planned look a verdict is carried out on the day it can be told (ship: everybody
sees it; roll back: nobody), and what cannot be told at the planned end is taken out. The oracle has known from the
first day which experience is worth showing, to everybody or (the harder one) to each kind of shopper.

What is real: the compiled playbook of each day, ``decide`` for every shopper (assignment, control, ramp, the shop's
holdout), and what report and guard do with sufficient statistics: looks, bounds, effects, guardrails, verdict. What is
simulated: shoppers by ``cashwrap.testing.shoppers``, whose orders with and without each effect are known, so that
profit under the playbook is compared with profit under the holdout on the very same people, without any noise of
sampling. Left out for speed: HTTP, log, folding and the fact table (``tests/test_simulated_shop.py`` goes that way),
whose sums are made in memory here, and doubts, such as that of unequal shares.

    python -m bench.oracle_share --seeds 20

``--hostile`` is a shop in which nothing helps and most things harm: what testing costs at worst, as there is nothing to
recover. In an ``--idle`` one nothing changes anything, so that every verdict to ship or to roll back is a false find.
"""

import argparse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import fmean, stdev
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy.stats import binomtest, t

from cashwrap.analysis.asking import ask
from cashwrap.analysis.looks import Plan, lag, laid_out
from cashwrap.analysis.making import _quick
from cashwrap.analysis.question import Question
from cashwrap.analysis.report import _bounds, _results
from cashwrap.analysis.results import Result
from cashwrap.analysis.statistics.guardrails import harms
from cashwrap.analysis.statistics.moments import Moments, measured
from cashwrap.analysis.verdict import verdict
from cashwrap.decide import decide
from cashwrap.declarations import HOLDOUT
from cashwrap.experiments import SHARES, hash_unit
from cashwrap.model import Exposure, Inputs, Millis, Purpose, Tenant
from cashwrap.playbook import Playbook
from cashwrap.playbook.compile import examine
from cashwrap.testing.shoppers import DESKTOP, IPHONE, Effect, Outcome, Persona, Shopper, World, shopper, told

DAY: Millis = 86_400_000
DAYS = 56
LOOKS = (14, 21, 28, 35)
"""Days after which a look of the default design can be told: a week of exposures, and a week for what comes of them."""
RAMP = ((0, 5), (2, 25), (7, 100))
"""The percent of shoppers in each experiment, since which day."""
PERSONAS = (
    Persona("phone", 550, 40, IPHONE, "mobile", elasticity=1000),
    Persona("desk", 350, 60, DESKTOP, "desktop", elasticity=500),
    Persona("regular", 100, 120, DESKTOP, "desktop"),
)
EFFECTS = (
    Effect("wallets", "payment_methods", experience="wallets", lift=10),
    Effect("button", "checkout_button", experience="button", lift=5),
    Effect("field", "coupon_field", experience="field"),
    Effect("urgency", "basket_message", experience="urgency", lift=-8),
    Effect("off", "accessories", experience="off", amount=500),
    Effect("express_desk", "delivery_methods", experience="express", lift=16, only=("desk", "regular")),
    Effect("express_phone", "delivery_methods", experience="express", lift=-10, only=("phone",)),
)
"""Chances to buy are 4 to 12 %, and an order leaves some 40 EUR of profit: 2.15 EUR a shopper. ``wallets`` adds 0.39 to
that, ``button`` 0.21 and ``express`` 0.10; ``urgency`` costs 0.31 and ``off`` 0.23."""
HOSTILE = tuple(msgspec.structs.replace(each, lift=min(0, each.lift)) for each in EFFECTS)
"""The same without anything that helps."""
IDLE = tuple(msgspec.structs.replace(each, lift=0, amount=0) for each in EFFECTS)
"""The same without anything that changes anything."""
WORLD = World(personas=PERSONAS, effects=EFFECTS, refunds=60)
EXPERIENCES = {each.experience: each.placement for each in EFFECTS}
NAMES = {name: frozenset(each.name for each in EFFECTS if each.experience == name) for name in EXPERIENCES}
MARGIN = 0.03
"""How far below the holdout the playbook may fall over all days, as a share of the holdout's profit: half a percent of
a year's, for eight weeks that test six ideas of which none may be any good."""


class Setting(NamedTuple):
    """A shop, how it tests, and what oracles show in it: to everybody, and by the kind of shopper."""

    world: World
    daily: int
    """Shoppers a day."""
    traffic: int
    """The percent of shoppers in each experiment that no step of the ramp exceeds."""
    guarded: bool
    best: frozenset[str]
    by_kind: Mapping[str, frozenset[str]]


class Earned(NamedTuple):
    """Profit in minor units, of the same shoppers, under each policy. Nobody of the holdout is among them."""

    holdout: int
    playbook: int
    oracle: int
    sharper: int
    """The oracle that knows each kind of shopper."""


class Run(NamedTuple):
    """One seed's figures: what each day earned, and how each experiment ended, and after which day."""

    days: Sequence[Earned]
    ended: Mapping[str, tuple[str, int]]

    def earned(self, since: int = 0) -> Earned:
        """The sum of the days after so many."""
        return Earned(*(sum(column) for column in zip(*self.days[since:], strict=True)))


def recovered(earned: Earned, oracle: int) -> float:
    """The share of an oracle's extra profit over the holdout that the playbook made."""
    return (earned.playbook - earned.holdout) / (oracle - earned.holdout)


def above(earned: Earned) -> float:
    """How far above the holdout the playbook was, as a share of the holdout's profit."""
    return earned.playbook / earned.holdout - 1


def written(tested: Collection[str], shipped: Collection[str], traffic: int) -> Playbook:
    """A playbook that shows these experiences: each in an experiment by the default design, or to everybody."""
    steps = {min(share, traffic): WORLD.start + day * DAY for day, share in reversed(RAMP)}
    ramp = ", ".join(f"{_since(at)}: {share}%" for share, at in sorted(steps.items()))
    experiment = f"    experiment: {{control: 50%, traffic: {{{ramp}}}, guardrails: {{conversion: 10%}}}}"
    lines = ["shop: {currency: EUR}", "holdout: {share: 5%}", "placements:"]
    lines += [f"  {placement}: {{component: message}}" for placement in EXPERIENCES.values()]
    lines.append("experiences:" if tested or shipped else "")
    for name in (*tested, *shipped):
        lines.append(f'  {name}:\n    in: {EXPERIENCES[name]}\n    show: {{text: {{en: "x"}}}}')
        lines.append(experiment if name in tested else "")
    playbook, faults = examine({"playbook.yaml": "\n".join(lines) + "\n"})
    if playbook is None:
        raise SystemExit(f"the playbook is not valid: {faults}")
    return playbook


def _since(moment: Millis) -> str:
    return "start" if moment == WORLD.start else f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d}"


class Shop:
    """A shop that is open: its playbook of today, who was counted so far, and what is still in an experiment."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.seed = setting, seed
        self.units = {name: Counted() for name in EXPERIENCES}
        self.tested, self.shipped = list(EXPERIENCES), list[str]()
        self.ended: dict[str, tuple[str, int]] = {}
        self._publish()

    def _publish(self) -> None:
        self.playbook = written(self.tested, self.shipped, self.setting.traffic)

    def _end(self, name: str, how: str, day: int) -> None:
        """Take an experience out of its experiment, and ship it if that is what was said."""
        self.ended[name] = how, day
        self.tested.remove(name)
        if how == "ship":
            self.shipped.append(name)
        self._publish()

    # --- a day ---

    def open(self, day: int) -> Earned:
        """Decide for the day's shoppers, and tell what it earned."""
        sums = [0, 0, 0, 0]
        for index in range(day * self.setting.daily, (day + 1) * self.setting.daily):
            who = shopper(self.seed, index, self.setting.world)
            at = WORLD.start + index * DAY // self.setting.daily
            arms, seen = self._decide(who, at)
            outcome = who.outcome(seen)
            for name, arm in arms.items():
                row = float(outcome.profit), float(outcome.orders), float(who.persona.device == "mobile")
                self.units[name].add(arm, at, row)
            if not self._held(who):
                best, sharper = self.setting.best, self.setting.by_kind[who.persona.name]
                profits = who.outcome(()), outcome, who.outcome(best), who.outcome(sharper)
                sums = [total + each.profit for total, each in zip(sums, profits, strict=True)]
        return Earned(*sums)

    def _decide(self, who: Shopper, now: Millis) -> tuple[dict[str, str], frozenset[str]]:
        """The arms that a shopper is exposed to, by experience, and the effects that work on them."""
        mask = int(Purpose.NECESSARY | Purpose.ANALYTICS | Purpose.PERSONALIZATION)
        inputs = Inputs(now, Tenant(), {}, "profile", mask, None, locale="en", units={"anonymous": who.name})
        decision = decide(self.playbook.experiences, inputs)
        names = self.playbook.experiences.names
        arms = {}
        for numbers in decision.exposures:
            exposure = Exposure(*numbers)
            experience = names.experiences[exposure.experience]
            arm = experience.arms[exposure.arm]
            if experience.name in self.tested and arm != HOLDOUT:
                arms[experience.name] = arm
        shown = {each.experience for each in decision.placements.values() if each.content is not None}
        return arms, frozenset(each.name for each in who.effects if each.experience in shown)

    def _held(self, who: Shopper) -> bool:
        """Whether the shop's holdout keeps a shopper out, also where no experiment says so any more."""
        holdout = self.playbook.experiences.holdout
        return hash_unit(holdout.salt, who.name) % SHARES < holdout.share

    # --- its nights ---

    def guard(self, day: int) -> None:
        """Switch off what ``cashwrap guard`` would at midnight."""
        for name in tuple(self.tested):
            question = _quick(ask(self.playbook, name, Tenant()))
            plan = laid_out(question.design, WORLD.start, WORLD.start + day * DAY)
            newest = msgspec.structs.replace(plan, moments=plan.moments[-1:])  # the nights before heeded the others
            if harms(self.units[name].results(question, newest)):
                self._end(name, "guard", day)

    def look(self, day: int) -> None:
        """Carry out what the report says of each experiment; at the planned end take out what cannot be told."""
        for name in tuple(self.tested):
            question = only_primary(ask(self.playbook, name, Tenant()))
            plan = laid_out(question.design, WORLD.start, WORLD.start + day * DAY)
            primary, *guardrails = self.units[name].results(question, plan)
            code = verdict(primary, guardrails, plan, (), question.currency).code
            if plan.over or code in {"ship", "roll_back"}:
                self._end(name, code, day)


class Counted:
    """An experiment's units in memory, which answer a report as ``analysis.units.Units`` does.

    What a unit does, it does within a day, so that every window has the same sums.
    """

    def __init__(self) -> None:
        self._arms: list[str] = []
        self._exposed: list[Millis] = []
        self._rows: list[tuple[float, float, float]] = []
        self._arrayed: tuple[Any, Any, Any] = ((), (), ())
        self._question: Question

    def add(self, arm: str, at: Millis, row: tuple[float, float, float]) -> None:
        """A unit: profit, orders, and whether it came on a telephone."""
        self._arms.append(arm)
        self._exposed.append(at)
        self._rows.append(row)

    def results(self, question: Question, plan: Plan) -> list[Result]:
        """The metrics at the newest look of a plan, the primary one first."""
        self._question = question
        units: Any = self
        primary = next(metric for metric in question.metrics if metric.role == "primary")
        return _results(units, question, plan, _bounds(units, question, primary, plan))

    def moments(self, metric: str, *, by: str, through: Millis) -> dict[tuple[str, str], Moments]:
        """By arm and epoch, as ``Units.moments``."""
        if by != "epoch":
            raise ValueError(by)
        exposed, arms, rows = self._arrays()
        column = {"profit": 0, "conversion": 1}[metric]
        values = np.column_stack((rows[:, column], np.ones(len(rows)), rows[:, 2]))
        epochs = sum((exposed >= at).astype(int) for at in (WORLD.start, *self._question.epochs))
        over = exposed <= through - lag(self._question.design)
        found = {}
        for arm in self._question.arms:
            for epoch in range(1, len(self._question.epochs) + 2):
                chosen = values[over & (arms == arm) & (epochs == epoch)]
                if len(chosen):
                    found[arm, str(epoch)] = measured(chosen)
        return found

    def _arrays(self) -> tuple[Any, Any, Any]:
        if len(self._arrayed[0]) < len(self._arms):
            self._arrayed = np.array(self._exposed), np.array(self._arms), np.array(self._rows)
        return self._arrayed

    def caps(self, _metric: str, through: Millis) -> None:
        """Neither metric has any."""


def only_primary(question: Question) -> Question:
    """The question without metrics that decide nothing: they take most of the time."""
    kept = tuple(metric for metric in question.metrics if metric.role in {"primary", "guardrail"})
    return msgspec.structs.replace(question, metrics=kept)


def run(seed: int, setting: Setting) -> Run:
    """Eight weeks of one shop."""
    shop = Shop(setting, seed)
    return Run(tuple(_days(shop)), shop.ended)


def _days(shop: Shop) -> Iterator[Earned]:
    for day in range(DAYS):
        if shop.setting.guarded:
            shop.guard(day)
        if day in LOOKS:
            shop.look(day)
        yield shop.open(day)


def oracle(crowd: Iterable[Shopper]) -> frozenset[str]:
    """The effects of the experiences that are worth showing to a crowd whose every outcome is known.

    An experience that changes nothing is not shown.
    """
    crowd = list(crowd)
    base = sum((told(who, ()) for who in crowd), Outcome()).profit
    worth = {name: sum((told(who, NAMES[name]) for who in crowd), Outcome()).profit for name in EXPERIENCES}
    return frozenset[str]().union(*(NAMES[name] for name, profit in worth.items() if profit > base))


def interval(values: list[float]) -> str:
    """The mean over seeds, its 95 % interval by Student's t, and the lowest."""
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    mean = fmean(values)
    return f"{mean:8.1%}  [{mean - half:.1%}, {mean + half:.1%}]  lowest {min(values):.1%}"


def tell(runs: Sequence[Run], setting: Setting) -> None:
    """Print what came of all seeds."""
    for name in EXPERIENCES:
        ends = [each.ended[name] for each in runs]
        for how in sorted({how for how, _ in ends}):
            days = [day for code, day in ends if code == how]
            print(
                f"{name:10} {how:12} {len(days):3}, after day {min(days)} to {max(days)}, {fmean(days):.0f} on average"
            )
    for label, since in (("after the verdicts", LOOKS[-1]), ("over all days", 0)):
        found = [each.earned(since) for each in runs]
        if setting.best:
            print(
                f"recovered {label}, of the oracle's      ", interval([recovered(each, each.oracle) for each in found])
            )
            print(
                f"recovered {label}, of the sharper one's ", interval([recovered(each, each.sharper) for each in found])
            )
        print(f"profit above the holdout {label}   ", interval([above(each) for each in found]))
    lowest = min(above(each.earned()) for each in runs)
    print(f"never below the holdout by more than {MARGIN:.0%}: {'holds' if lowest >= -MARGIN else 'BROKEN'}")


def false_finds(runs: Sequence[Run]) -> None:
    """Print how many of an idle shop's experiments were found to do something, beside what chance allows."""
    ends = [how for each in runs for how, _ in each.ended.values()]
    found = sum(how in {"ship", "roll_back"} for how in ends)
    low, high = binomtest(found, len(ends)).proportion_ci(0.99)
    print(
        f"false finds by looks: {found} of {len(ends)}, {found / len(ends):.1%}, 99% interval {low:.1%} to {high:.1%}"
    )
    print(f"false alarms of the guard: {ends.count('guard')}")


SHOPS: Mapping[str, tuple[Effect, ...]] = {"hostile": HOSTILE, "idle": IDLE}


def main() -> None:
    """Play all seeds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--since", type=int, default=1, help="the first seed")
    parser.add_argument("--daily", type=int, default=2_000, help="shoppers a day")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--traffic", type=int, default=100, help="the most percent of shoppers in each experiment")
    parser.add_argument("--no-guard", action="store_true", help="nobody runs the guard")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--hostile", dest="shop", action="store_const", const="hostile", help="nothing helps")
    kind.add_argument("--idle", dest="shop", action="store_const", const="idle", help="nothing changes anything")
    asked = parser.parse_args()
    world = msgspec.structs.replace(WORLD, effects=SHOPS.get(asked.shop, EFFECTS))
    crowd = [shopper(0, index, world) for index in range(100_000)]
    best = oracle(crowd)
    by_kind = {kind.name: oracle(who for who in crowd if who.persona.name == kind.name) for kind in PERSONAS}
    print("the oracle shows", sorted(best), "or", {kind: sorted(shown) for kind, shown in by_kind.items()})
    setting = Setting(world, asked.daily, asked.traffic, not asked.no_guard, best, by_kind)
    with ProcessPoolExecutor(asked.processes) as pool:
        runs = list(pool.map(partial(run, setting=setting), range(asked.since, asked.since + asked.seeds)))
    tell(runs, setting)
    if asked.shop == "idle":
        false_finds(runs)


if __name__ == "__main__":
    main()
