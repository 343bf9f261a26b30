"""What experiments earn: the share of an oracle's extra profit that they recover, and how far they ever fall below it.

A shop with six experiences, some of which help, some harm, one does nothing and one does both. In the first four weeks
each is in an experiment by the default design; then every verdict is carried out without asking anybody: ship what is
to be shipped, and take out everything else. The next four weeks are other shoppers. The oracle has known from the first
day which experience is worth showing, to everybody or (the harder one) to each kind of shopper.

What is real: the compiled playbook, ``decide`` for every shopper (assignment, control, the shop's holdout), the
fact table's columns, and the report with its looks and its verdict. What is simulated: shoppers by
``cashwrap.testing.shoppers``, whose orders with and without each effect are known, so that profit under the playbook is
compared with profit under the holdout on the very same people, without any noise of sampling. Left out for speed:
HTTP, log and folding; ``tests/test_simulated_shop.py`` goes that way.

    python -m bench.oracle_share --seeds 20 --shoppers 60000

``--hostile`` is a shop in which nothing helps and most things harm: what testing costs at worst. There is nothing to
recover then, and ``--traffic`` bounds how many take part.
"""

import argparse
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
from scipy.stats import t

from cashwrap.analysis.asking import ask
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.report import report
from cashwrap.decide import decide
from cashwrap.model import Exposure, Inputs, Millis, Purpose, Tenant
from cashwrap.playbook import Playbook
from cashwrap.playbook.compile import examine
from cashwrap.testing.facts import write_columns
from cashwrap.testing.shoppers import DESKTOP, IPHONE, Effect, Outcome, Persona, Shopper, World, shopper, told

DAY: Millis = 86_400_000
WEEKS = 28 * DAY
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
WORLD = World(personas=PERSONAS, effects=EFFECTS, refunds=60)
EXPERIENCES = {each.experience: each.placement for each in EFFECTS}
NAMES = {name: frozenset(each.name for each in EFFECTS if each.experience == name) for name in EXPERIENCES}
MARGIN = 0.01
"""How far below the holdout the playbook may fall, as a share of the holdout's profit, over both phases: half of the
shoppers see an arm that may harm for four weeks, and a shop that tests at all has to be able to bear that."""


class Run(NamedTuple):
    """One seed's figures: profit per shopper in minor units, by phase, and what became of each experience."""

    holdout: tuple[float, float]
    playbook: tuple[float, float]
    oracle: tuple[float, float]
    sharper: tuple[float, float]
    """The oracle that knows each kind of shopper."""
    verdicts: dict[str, str]

    def recovered(self, oracle: Collection[float], phases: slice) -> float:
        """The share of the oracle's extra profit over the holdout that the playbook made."""
        base = sum(self.holdout[phases])
        return (sum(self.playbook[phases]) - base) / (sum(tuple(oracle)[phases]) - base)

    @property
    def above(self) -> float:
        """How far above the holdout the playbook was over both phases, as a share of the holdout's profit."""
        return sum(self.playbook) / sum(self.holdout) - 1


def written(shown: Collection[str], traffic: int | None = None) -> Playbook:
    """A playbook that shows these experiences: each in an experiment by the default design, in which ``traffic``
    percent of all shoppers take part, or to everybody."""
    tested = f"    experiment: {{control: 50%, traffic: {traffic}%, guardrails: {{conversion: 10%}}}}\n"
    experiment = tested if traffic is not None else ""
    lines = ["shop: {currency: EUR}", "holdout: {share: 5%}", "placements:"]
    lines += [f"  {placement}: {{component: message}}" for placement in EXPERIENCES.values()]
    lines.append("experiences:" if shown else "")
    lines += [
        f'  {name}:\n    in: {EXPERIENCES[name]}\n    show: {{text: {{en: "x"}}}}\n{experiment}' for name in shown
    ]
    playbook, faults = examine({"playbook.yaml": "\n".join(lines) + "\n"})
    if playbook is None:
        raise SystemExit(f"the playbook is not valid: {faults}")
    return playbook


class Phase:
    """Shoppers who were decided for: what each saw, and, for those of them who are not held out, the facts of it."""

    def __init__(self, playbook: Playbook, world: World, seed: int, people: range) -> None:
        self.playbook, self.people = playbook, [shopper(seed, index, world) for index in people]
        self.gap = WEEKS // len(people)
        self.seen: list[frozenset[str]] = []
        self.held: list[bool] = []
        self.reached: list[list[tuple[str, str, str, int]]] = []
        for number, who in enumerate(self.people):
            self._decide(who, WORLD.start + number * self.gap)

    def _decide(self, who: Shopper, now: Millis) -> None:
        mask = int(Purpose.NECESSARY | Purpose.ANALYTICS | Purpose.PERSONALIZATION)
        inputs = Inputs(now, Tenant(), {}, "profile", mask, None, locale="en", units={"anonymous": who.name})
        decision = decide(self.playbook.experiences, inputs)
        shown = {each.experience for each in decision.placements.values() if each.content is not None}
        names = self.playbook.experiences.names
        reached = []
        for numbers in decision.exposures:
            exposure = Exposure(*numbers)
            experience = names.experiences[exposure.experience]
            outcome = ("shown", "control", "holdout", "capped")[exposure.outcome]
            reached.append((experience.name, experience.arms[exposure.arm], outcome, exposure.propensity))
        self.reached.append(reached)
        self.held.append(any(outcome == "holdout" for _, _, outcome, _ in reached))
        self.seen.append(frozenset(each.name for each in who.effects if each.experience in shown))

    def profit(self, policy: Callable[[Shopper, frozenset[str]], Collection[str]]) -> float:
        """Per shopper who is not held out, under a policy that is told what the playbook had them see."""
        everybody = zip(self.people, self.seen, self.held, strict=True)
        return fmean(told(who, policy(who, seen)).profit for who, seen, held in everybody if not held)

    def write(self, folder: Path) -> None:
        """The fact table of it."""
        rows: dict[str, list[Any]] = {name: [] for name in ("analytic_id", "time", "device", *_EXPOSURE)}
        orders: dict[str, list[Any]] = {name: [] for name in ("analytic_id", "time", *_ORDER)}
        refunds: dict[str, list[Any]] = {name: [] for name in ("analytic_id", "time", "order", "amount")}
        for number, (who, seen) in enumerate(zip(self.people, self.seen, strict=True)):
            at = WORLD.start + number * self.gap
            for reached in self.reached[number]:
                _append(rows, number, at, who.persona.device, *reached)
            outcome = who.outcome(seen)
            if outcome.orders:
                _append(orders, number, at + 60_000, number, outcome.revenue, outcome.revenue, outcome.cost)
            if outcome.refunded:
                _append(refunds, number, at + DAY, number, outcome.refunded)
        experiments = {"experiment": rows["experience"], "placement": "x", "playbook": "first", "decision": "x"}
        write_columns(folder, "exposures", {"event": "Experience Viewed", **rows, **experiments})
        write_columns(folder, "orders", {"event": "Order Completed", "currency": "EUR", **orders})
        write_columns(folder, "refunds", {"event": "Order Refunded", "currency": "EUR", **refunds})


_EXPOSURE = ("experience", "variation", "outcome", "propensity")
_ORDER = ("order", "amount", "subtotal", "cost")


def _append(columns: dict[str, list[Any]], *values: Any) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def verdicts(playbook: Playbook, phase: Phase) -> dict[str, str]:
    """What the report says of each experience when its planned end and window have passed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        phase.write(folder)
        with FactTable(folder, threads=1) as facts:
            asked = {each: ask(playbook, each, Tenant()) for each in EXPERIENCES}
            return {
                each: report(facts, only_primary(question), WORLD.start + 2 * WEEKS).verdict.code
                for each, question in asked.items()
            }


def only_primary(question: Any) -> Any:
    """The question without metrics that decide nothing: they take most of the time."""
    kept = tuple(metric for metric in question.metrics if metric.role in {"primary", "guardrail"})
    return msgspec.structs.replace(question, metrics=kept)


def nothing(_who: Shopper, _seen: frozenset[str]) -> Collection[str]:
    """What the holdout sees."""
    return ()


class Setting(NamedTuple):
    """A shop, and what oracles show in it: to everybody, and by the kind of shopper."""

    world: World
    shoppers: int
    traffic: int
    best: frozenset[str]
    by_kind: Mapping[str, frozenset[str]]


def run(seed: int, setting: Setting) -> Run:
    """Both phases of one shop."""
    world, shoppers, best, by_kind = setting.world, setting.shoppers, setting.best, setting.by_kind
    playbook = written(EXPERIENCES, setting.traffic)
    first = Phase(playbook, world, seed, range(shoppers))
    said = verdicts(playbook, first)
    shipped = written([name for name in EXPERIENCES if said[name] == "ship"])
    second = Phase(shipped, world, seed, range(shoppers, 2 * shoppers))
    phases = first, second
    return Run(
        holdout=_both(phases, nothing),
        playbook=_both(phases, lambda _, seen: seen),
        oracle=_both(phases, lambda _who, _seen: best),
        sharper=_both(phases, lambda who, _: by_kind[who.persona.name]),
        verdicts=said,
    )


def _both(phases: tuple[Phase, Phase], policy: Callable[[Shopper, frozenset[str]], Collection[str]]) -> Any:
    return tuple(phase.profit(policy) for phase in phases)


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


def _oracles(runs: list[Run]) -> tuple[list[tuple[Run, tuple[float, float]]], list[tuple[Run, tuple[float, float]]]]:
    """Each run beside its oracle, and beside the sharper one."""
    return [(each, each.oracle) for each in runs], [(each, each.sharper) for each in runs]


def main() -> None:
    """Play all seeds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--shoppers", type=int, default=60_000, help="in each phase")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--traffic", type=int, default=100, help="percent of shoppers in each experiment")
    parser.add_argument("--hostile", action="store_true", help="nothing helps")
    asked = parser.parse_args()
    world = msgspec.structs.replace(WORLD, effects=HOSTILE) if asked.hostile else WORLD
    crowd = [shopper(0, index, world) for index in range(100_000)]
    best = oracle(crowd)
    by_kind = {kind.name: oracle(who for who in crowd if who.persona.name == kind.name) for kind in PERSONAS}
    print("the oracle shows", sorted(best), "or", {kind: sorted(shown) for kind, shown in by_kind.items()})
    play = partial(run, setting=Setting(world, asked.shoppers, asked.traffic, best, by_kind))
    with ProcessPoolExecutor(asked.processes) as pool:
        runs = list(pool.map(play, range(1, asked.seeds + 1)))
    for name in EXPERIENCES:
        codes = [each.verdicts[name] for each in runs]
        print(f"{name:10}", {code: codes.count(code) for code in sorted(set(codes))})
    for label, phases in (("after the verdicts", slice(1, 2)), ("over both phases", slice(0, 2))) if best else ():
        easy, hard = ([each.recovered(oracle, phases) for each, oracle in pairs] for pairs in _oracles(runs))
        print(f"recovered {label}, of the oracle's      ", interval(easy))
        print(f"recovered {label}, of the sharper one's ", interval(hard))
    above = [each.above for each in runs]
    print("profit above the holdout, both phases   ", interval(above))
    print(f"never worse than the holdout by more than {MARGIN:.0%}: {'holds' if min(above) >= -MARGIN else 'BROKEN'}")


if __name__ == "__main__":
    main()
