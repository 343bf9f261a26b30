"""Who was treated by chance: only such a table says what an offer changes, and every other one is refused.

Shoppers who were given a discount because they looked likely to buy do buy more often, and no model can tell that from
what the discount did. So the word of whoever ran it is checked against the data: shares of the arms against the chances
that were declared, and whether anything known beforehand predicts who was treated.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.stats import chi2, norm, rankdata

from cashwrap.analysis.asking import ask
from cashwrap.analysis.exposed import epochs_of, exposed, exposures, shares
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.orders import horizon, orders, reports
from cashwrap.analysis.question import Question
from cashwrap.analysis.statistics.ratio import Day, classic_p
from cashwrap.declarations import CONTROL
from cashwrap.errors import InvalidInput
from cashwrap.learning.data import Column, Table
from cashwrap.learning.examples import at_moments
from cashwrap.learning.interactions import digest_of
from cashwrap.learning.splits import chosen
from cashwrap.model import Millis, Purpose, Tenant
from cashwrap.playbook import Playbook
from cashwrap.world import World

Floats = NDArray[np.float64]
REFUSES = 0.001
"""The p below which a table is refused: of a thousand sound ones, about one is, by either check."""
FEWEST = 50
"""Examples of an arm below which nothing is learned."""
MOST_ROWS = 100_000
"""Rows that are looked at for what predicts the treatment, drawn at random from more."""
LEVELS = 20
"""Of a category, or members of a set, that are looked at: the most frequent ones."""
MOST_FACTS = 300
"""Numbers of a row that the joint test takes, the first ones."""
ROWS_A_FACT = 5
"""Rows for each number of them in the joint test, and that have to differ in it."""
CUTS = 4
"""Parts that a number is cut into, so that what it does in the middle is seen as well."""
_CHANCES = 20
"""Different chances that are told apart; more are put together in so many groups."""
_TREES = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.1, "verbose": -1, "num_threads": 1}
_ROUNDS = 50


class Randomisation(Struct, frozen=True):
    """A table that passed: how many were treated and not, by what chances, and what the checks came to."""

    treated: int
    control: int
    chances: tuple[float, float]
    """The lowest and the highest chance to be treated that anybody had."""
    ratio_p: float
    """Of shares as far off as these, were the declared chances true."""
    joint_p: float
    """Of attributes that differ as much between the arms, were the treatment drawn by chance."""
    learned_p: float
    """Of a classifier doing as well at telling who was treated, on rows that it has not seen."""


class _Units(NamedTuple):
    """What was assigned: the first row of each group."""

    columns: tuple[Column, ...]
    treated: Floats
    chance: Floats


def check_randomised(table: Table) -> Randomisation:
    """Whether chance alone decided who was treated, as far as data can tell.

    A group of rows is one unit, by its first row. Raises ``InvalidInput``: ``not_randomised`` where the table does not
    say who was treated by what chance, where an arm is empty or nearly, where somebody's chance was 0 or 1, or where
    arms have not the sizes that the chances make; ``treatment_predictable`` where attributes tell who was treated.
    """
    units = _units(table)
    sizes = int(units.treated.sum()), int(len(units.treated) - units.treated.sum())
    if min(sizes) == 0:
        missing = "treated" if not sizes[0] else "left untreated"
        raise _unsound(f"nobody was {missing}, so that there is nothing to compare with")
    if min(sizes) < FEWEST:
        raise _unsound(f"{sizes[0]} were treated and {sizes[1]} were not; each arm needs {FEWEST} at least")
    ratio = _ratio_p(units)
    if ratio < REFUSES:
        share, due = units.treated.mean(), units.chance.mean()
        raise _unsound(
            f"{share:.1%} were treated where {due:.1%} were due, which chance does to hardly one of a thousand "
            f"(p {ratio:.1g}): something loses shoppers of one arm, or others than chance decided"
        )
    rng = np.random.default_rng(len(units.treated))
    some = np.sort(rng.permutation(len(units.treated))[:MOST_ROWS])
    facts, names = _facts(units.columns, some)
    apart = units.treated[some] - units.chance[some]
    spread = units.chance[some] * (1 - units.chance[some])
    joint = _joint_p(facts, apart, spread)
    learned = _learned_p(units, some, rng)
    if min(joint, learned) < REFUSES:
        raise _predictable(facts, names, apart, spread, min(joint, learned))
    chances = float(units.chance.min()), float(units.chance.max())
    return Randomisation(sizes[0], sizes[1], chances, ratio, joint, learned)


def _units(table: Table) -> _Units:
    if table.treated is None:
        raise _unsound("the table does not say who was treated")
    if table.propensity is None:
        raise _unsound(
            "the table does not say by which chance each was treated. Where a coin was thrown, say so in the mapping: "
            "'treatment: {randomised: true, propensity: 0.5}'"
        )
    if not np.isfinite(table.propensity).all():
        raise _unsound("the chance to be treated is missing in some rows")
    if table.propensity.min() <= 0 or table.propensity.max() >= 1:
        raise _unsound("some had no chance to be treated, or none not to be: nothing compares with them")
    _, first = np.unique(table.group, return_index=True)
    columns = tuple(column._replace(values=column.values[first]) for column in table.columns)
    return _Units(columns, (table.treated[first] > 0).astype(np.float64), table.propensity[first])


def _unsound(why: str) -> InvalidInput:
    told = f"Whom an offer moves can only be learned where chance decided who got it: {why}"
    return InvalidInput(told, code="not_randomised")


# --- sizes ---


def _ratio_p(units: _Units) -> float:
    """The chi-square p of the arms' sizes, chance by chance."""
    chances, which = np.unique(units.chance, return_inverse=True)
    if len(chances) > _CHANCES:
        which = np.minimum(rankdata(units.chance, "dense") * _CHANCES // (len(chances) + 1), _CHANCES - 1).astype(int)
    count = np.bincount(which)
    treated, due = np.bincount(which, units.treated), np.bincount(which, units.chance)
    days = [
        Day({"treated": int(t), "control": int(n - t)}, {"treated": d, "control": n - d})
        for n, t, d in zip(count, treated, due, strict=True)
        if n
    ]
    return classic_p(days)


# --- what predicts the treatment ---


def _joint_p(facts: Floats, apart: Floats, spread: Floats) -> float:
    """Rao's score test (1948) of a logistic line that explains the treatment beyond its known chance, all numbers of a
    row together: chi-square with as many degrees of freedom as they have rank."""
    score = facts.T @ apart
    matrix = (facts * spread[:, None]).T @ facts
    values, vectors = np.linalg.eigh(matrix)
    kept = values > max(values.max(initial=0.0), 1e-12) * 1e-9
    if not kept.any():
        return 1.0
    statistic = float(((vectors[:, kept].T @ score) ** 2 / values[kept]).sum())
    return float(chi2.sf(statistic, int(kept.sum())))


def _learned_p(units: _Units, some: NDArray[np.int64], rng: np.random.Generator) -> float:
    """The same by trees, which see what no line does: they learn from one half who was treated, and are tested on the
    other, where what they say must be worth nothing. One-sided normal p."""
    plain = _plain(units.columns, some)
    half = rng.random(len(some)) < 0.5
    treated, chance = units.treated[some], units.chance[some]
    learning = lgb.Dataset(plain[half], treated[half], init_score=np.log(chance[half] / (1 - chance[half])))
    trees = lgb.train({**_TREES, "seed": 1}, learning, _ROUNDS)
    told = np.asarray(trees.predict(plain[~half], raw_score=True), np.float64)  # beyond the known chance
    spread = float(np.sqrt((told**2 * chance[~half] * (1 - chance[~half])).sum()))
    return float(norm.sf((told * (treated - chance)[~half]).sum() / spread)) if spread > 0 else 1.0


def _predictable(facts: Floats, names: list[str], apart: Floats, spread: Floats, p: float) -> InvalidInput:
    """The refusal, with the attribute that tells most."""
    score = np.abs(facts.T @ apart) / np.sqrt(np.maximum((facts**2 * spread[:, None]).sum(axis=0), 1e-12))
    most = f", {names[int(score.argmax())]!r} first of all" if len(score) else ""
    return InvalidInput(
        f"Whom an offer moves can only be learned where chance decided who got it: here what is known of shoppers "
        f"tells who did (p {p:.1g}){most}. Whoever was chosen differs from the others also without the offer. "
        "Run the offer as an experiment with a control arm, and learn from that",
        code="treatment_predictable",
    )


def _facts(columns: tuple[Column, ...], some: NDArray[np.int64]) -> tuple[Floats, list[str]]:
    """Numbers in ranks and in parts, missing, levels and members: whatever a line could read, each about its mean."""
    facts: list[Floats] = []
    names: list[str] = []
    for column in columns:
        values = column.values[some]
        made = _of_number(values.astype(np.float64)) if column.kind == "number" else _of_texts(values, column.kind)
        found = [each - each.mean() for each in made if _differs(each)]
        facts += found
        names += [column.name] * len(found)
    most = min(MOST_FACTS, len(some) // ROWS_A_FACT)
    return np.stack(facts[:most], axis=1) if facts else np.zeros((len(some), 0)), names[:most]


def _differs(fact: Floats) -> bool:
    """Whether enough rows differ from most of the others for a normal approximation (Cochran's five)."""
    _, counts = np.unique(fact, return_counts=True)
    return bool(len(fact) - counts.max() >= ROWS_A_FACT)


def _of_number(values: Floats) -> list[Floats]:
    missing = ~np.isfinite(values)
    if missing.all():
        return []
    ranks = np.full(len(values), 0.5)
    ranks[~missing] = rankdata(values[~missing]) / (~missing).sum()
    parts = np.minimum((ranks * CUTS).astype(int), CUTS - 1)
    found = [ranks, *((parts == part) & ~missing for part in range(1, CUTS)), missing]
    return [each.astype(np.float64) for each in found]


def _of_texts(values: NDArray[Any], kind: str) -> list[Floats]:
    texts = [{each} if kind == "category" else set(str(each).split(",")) for each in values]
    count: dict[str, int] = {}
    for members in texts:
        for member in members:
            count[member] = count.get(member, 0) + 1
    most = sorted(count, key=lambda member: (-count[member], member))[:LEVELS]
    return [np.array([member in members for members in texts], np.float64) for member in most]


def _plain(columns: tuple[Column, ...], some: NDArray[np.int64]) -> Floats:
    """A row of numbers for trees: texts by how often they are there, which has nothing to do with the treatment."""
    found = []
    for column in columns:
        values = column.values[some]
        if column.kind == "number":
            found.append(values.astype(np.float64))
        else:
            _, level, count = np.unique(values.astype(str), return_inverse=True, return_counts=True)
            found += [rankdata(-count, "ordinal")[level].astype(np.float64)]
    return np.stack(found, axis=1) if found else np.zeros((len(some), 1))


# --- the shop's own experiment ---


class _Unit(NamedTuple):
    """A shopper at the first exposure, and what came of it."""

    treated: bool
    chance: float
    ordered: bool


def of_facts(
    world: World,
    facts: Path,
    playbook: Playbook,
    experience: str,
    tenant: Tenant,
    *,
    purpose: Purpose = Purpose.PERSONALIZATION,
) -> Table:
    """The shoppers whom an experience's experiment gave its offer, or nothing, by chance: one row each, as they were
    known just before their first exposure, with whether they ordered within the experiment's window.

    Who was assigned the offer and did not get it, because a budget was empty, counts as treated: to leave these out
    would compare others. Only shoppers whose time is over, and who allow ``purpose``, are in it.

    Raises ``InvalidInput``: ``no_such_experience``, ``no_experiment``, ``one_arm``, ``no_offer``, ``not_randomised``
    where there is no control arm or carts are assigned, ``no_examples``.
    """
    question = _question(playbook, experience, tenant)
    with FactTable(facts) as table:
        units = {
            (analytic_id, time): unit
            for analytic_id, time, unit in _exposed(table, question, world.clock.now(), int(purpose.value))
        }
    known = at_moments(world, playbook, tenant, {who: [time] for who, time in units}, purpose=purpose)
    keys = list(zip((known.subjects[each] for each in known.group.tolist()), known.time.tolist(), strict=True))
    known = chosen(known, np.array([key in units for key in keys], np.bool_))
    found = [units[key] for key in keys if key in units]
    if not found:
        raise InvalidInput(
            f"nobody can be learned from in the experiment of {experience!r} yet: nobody's window is over who still "
            "allows it. Wait, and see that exposures are reported",
            code="no_examples",
        )
    label = np.array([each.ordered for each in found], np.float64)
    treated = np.array([each.treated for each in found], np.int8)
    return known._replace(
        label=label,
        treated=treated,
        propensity=np.array([each.chance for each in found], np.float64),
        digest=digest_of(known.digest.encode(), label, treated),
    )


def _question(playbook: Playbook, experience: str, tenant: Tenant) -> Question:
    """What the experiment asks, without its metrics."""
    question = ask(playbook, experience, tenant)
    declared = playbook.declarations.experiences[experience]
    if declared.offer is None and declared.best_of is None:
        raise InvalidInput(
            f"Experience {experience!r} grants no offer, so it says nothing of who needs a discount", code="no_offer"
        )
    if not question.arms.get(CONTROL):
        raise _unsound(f"the experiment of {experience!r} has no control arm, so that everybody had the offer")
    if question.unit != "shopper":
        raise _unsound(f"the experiment of {experience!r} assigns carts, and what is learned is of shoppers")
    return replace(question, metrics=(), segments=(), measures={})


def _exposed(table: FactTable, question: Question, now: Millis, purpose: int) -> Iterator[tuple[bytes, Millis, _Unit]]:
    """Who was first exposed when, in which arm and by which chance, and whether an order that stands followed."""
    window = question.design.window
    first, _ = table.keep("exposed", exposed(exposures(table.facts, question, now)))
    releases, chances = epochs_of(table.rows(shares(first)))
    book = orders(reports(table.facts, question, now, ()), first, question, ())
    within = book.stands & (book.age >= 0) & (book.age <= window) & (book.horizon == horizon(window, question))
    ordered = book.filter(within).group_by("unit").agg(orders=book.filter(within).count())
    rows = first.filter(first.exposed <= now - window - question.design.maturity)
    rows = rows.filter((rows.mask & purpose) != 0)
    joined = rows.left_join(ordered, "unit")
    joined = joined.select("unit", "exposed", "arm", "playbook", orders=joined.orders.fill_null(0))
    for who, time, arm, release, count in table.rows(joined):
        chance = _chance(chances[releases.get(release or "", 0)], question.arms)
        yield who, time, _Unit(arm != CONTROL, chance, count > 0)


def _chance(found: Mapping[str, int], declared: Mapping[str, int]) -> float:
    """Of being treated among the arms, as the release had them, or as they are declared where it does not say."""
    arms = found if CONTROL in found and len(found) > 1 else declared
    return 1 - arms[CONTROL] / sum(arms.values())
