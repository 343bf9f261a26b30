"""Microseconds to assign one unit in 20 experiments: ``python -m bench.assign``.

Five each of: half and half; three arms with unequal shares; a ramp that has come to 25 %, with a holdout; a layer
whose experiments exclude each other. Compiled from a playbook, timed beside GrowthBook's SDK, which hashes with FNV-1a
and so puts units elsewhere: what is compared is what an arm's share should be, and an arm that is off by more than six
standard deviations ends the benchmark with an error.
"""

import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

from growthbook import Experiment, GrowthBook

from bench.decide import against, best_of
from bench.shop import START
from cashwrap.experiments import Trial, assign
from cashwrap.playbook import examine

EXPERIMENTS = 20
BUDGET = 5.0
TIMED, COUNTED = 1_000, 20_000
"""Units whose assignment is timed, and units that are counted by arm."""
SIGMAS = 6.0


class Kind(NamedTuple):
    """How an experiment is written, and the shares of all units that its arms should have, the others left out."""

    written: str
    shares: dict[str, float]


KINDS = (
    Kind("show: {{text: {{en: A}}}}\n    experiment: {{control: 50%}}", {"main": 0.5, "control": 0.5}),
    Kind(
        "variations: {{a: {{text: {{en: A}}}}, b: {{text: {{en: B}}}}}}\n"
        "    experiment: {{arms: {{control: 50%, a: 30%, b: 20%}}}}",
        {"control": 0.5, "a": 0.3, "b": 0.2},
    ),
    Kind(
        "show: {{text: {{en: A}}}}\n"
        "    experiment: {{control: 50%, holdout: 10%, traffic: {{start: 5%, 2026-02-01: 10%, 2026-03-01: 25%}}}}",
        {"main": 0.9 * 0.125, "control": 0.9 * 0.125, "holdout": 0.1},
    ),
    Kind(
        "show: {{text: {{en: A}}}}\n    experiment: {{control: 50%, layer: shared, traffic: 20%}}",
        {"main": 0.1, "control": 0.1},
    ),
)


def playbook_text() -> str:
    """Twenty experiments, one a placement."""
    numbers = range(EXPERIMENTS)
    text = "layers: {shared: {}}\nplacements:\n"
    text += "".join(f"  p{number}: {{component: message}}\n" for number in numbers) + "experiences:\n"
    for number in numbers:
        text += f"  e{number}:\n    in: p{number}\n    {KINDS[number % len(KINDS)].written.format()}\n"
    return text


def trials() -> list[Trial]:
    """The experiments, compiled."""
    playbook, faults = examine({"shop.yaml": playbook_text()})
    if playbook is None:
        raise SystemExit("\n".join(str(fault) for fault in faults))
    found = {each.name: each.trial for each in playbook.experiences.ordered}
    compiled = [found[f"e{number}"] for number in range(EXPERIMENTS)]
    return [each for each in compiled if each is not None]


def growthbook(unit: str) -> GrowthBook:
    return GrowthBook(attributes={"id": unit})


def peer() -> Callable[[GrowthBook], object]:
    """As many experiments of two arms."""
    listed = [Experiment(key=f"e{number}", variations=[0, 1], weights=[0.5, 0.5]) for number in range(EXPERIMENTS)]
    return lambda client: [client.run(each) for each in listed]


def check(compiled: list[Trial]) -> int:
    """How many assignments were counted; ends the benchmark where an arm's share is off."""
    for number, each in enumerate(compiled):
        counts: dict[str, int] = {}
        for unit in range(COUNTED):
            assigned = assign(each, f"unit {unit}", START, {})
            if assigned is not None:
                arm = each.arms[assigned.arm]
                counts[arm] = counts.get(arm, 0) + 1
        for arm, share in KINDS[number % len(KINDS)].shares.items():
            expected, sigma = COUNTED * share, (COUNTED * share * (1 - share)) ** 0.5
            if abs(counts.get(arm, 0) - expected) > SIGMAS * sigma:
                sys.exit(f"e{number}: {counts.get(arm, 0)} units in arm {arm}, {expected:.0f} expected")
    return COUNTED * len(compiled)


def main() -> None:
    compiled = trials()
    assert len(compiled) == EXPERIMENTS
    counted = check(compiled)
    units = [f"0f8fad5b-d9cb-469f-a165-{number:012}" for number in range(TIMED)]

    def timed(experiments: list[Trial]) -> float:
        def all_of(unit: str) -> object:
            return [assign(each, unit, START, {}) for each in experiments]

        return statistics.median(best_of(all_of, units, 12, lambda: None))

    ours, halves = timed(compiled), timed(compiled[:: len(KINDS)] * len(KINDS))
    clients = [growthbook(unit) for unit in units[:100]]
    theirs = statistics.median(best_of(peer(), clients, 5, lambda: None))
    print(
        f"{EXPERIMENTS} experiments for one unit, medians over units; {counted:,} assignments have the declared shares"
    )
    print(f"  cashwrap {ours:6.2f} us   growthbook {theirs:8.1f} us   {theirs / ours:.0f} times faster")
    against("20 experiments, us", ours, BUDGET)
    against("20 experiments, all half and half, us", halves, BUDGET)


if __name__ == "__main__":
    main()
