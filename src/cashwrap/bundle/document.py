"""A playbook for browsers: what a decision at data level ``request`` needs, as JSON, and nothing else. Pure.

No feature, trait or segment is in it, and no name but those of placements: experiences, arms and experiments are
numbers, and a salt is the state that hashing it leaves behind. ``sdk/lib/evaluate.js`` answers from it what the server
answers at that level; what only the server can say is marked. ``docs/decisions/0024-the-browser-bundle.md`` says why.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cashwrap import collector
from cashwrap.bundle.content import SERVER, Show, show
from cashwrap.bundle.narrow import inlined, is_known, may_hold, narrowed
from cashwrap.bundle.salts import Prefix, prefix
from cashwrap.condition.ast import Literal
from cashwrap.condition.wire import to_wire
from cashwrap.decide import NOTHING_KILLED, Kills
from cashwrap.declarations import CapsDecl
from cashwrap.experiences import Experience
from cashwrap.experiments import Trial
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook

FORMAT = 1
LIFE: Millis = 7 * 86_400_000
"""How long a bundle may be used: what a shop takes back is gone from every copy by then."""
MAX_NODES = 2_000
"""Nodes of one condition with its segments put in; a larger one is left to the server."""
_UNITS = frozenset({"anonymous", "user", "cart"})


class BundleTrial(Struct, frozen=True, omit_defaults=True):
    """An experiment. ``arms`` are what arms seen are kept as, ``bounds`` quotients of the hash."""

    experiment: int
    hash: Prefix
    units: list[str]
    arms: list[int]
    shares: list[int]
    bounds: tuple[int, ...]
    owners: tuple[int, ...]
    traffic: tuple[tuple[Millis, int], ...]
    holdout: tuple[int, Prefix] | None = None
    slot: tuple[int, Prefix] | None = None
    sees: str = "default"
    sticky: bool = True


class BundleExperience(Struct, frozen=True, omit_defaults=True):
    """An experience whose condition may hold."""

    number: int
    show: list[Show]
    arms: int
    priority: int = 0
    weight: int = 0
    draw: Prefix | None = None
    when: Any = None
    server: bool = False
    trial: BundleTrial | None = None
    caps: list[tuple[str, dict[str, int]]] = []


class BundlePlacement(Struct, frozen=True, omit_defaults=True):
    """A placement with its experiences, the one to try first first."""

    name: str
    number: int
    experiences: list[BundleExperience]
    purpose: int = 0


class Alone(Struct, frozen=True):
    """One of the experiments of which a shopper is in one only."""

    experiment: int
    units: list[str]
    hash: Prefix


class Bundle(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The whole document. ``version`` names what it says, whenever it was made."""

    format: int
    playbook: str
    version: str
    made: Millis
    expires: Millis
    store: str
    environment: str
    level: str
    locale: str
    currency: str
    digits: int
    time_zone: str
    off: dict[str, Any]
    placements: list[BundlePlacement]
    holdout: tuple[int, list[str], Prefix] | None = None
    alone: list[Alone] = []


def bundle_of(
    playbook: Playbook, tenant: Tenant, made: Millis, kills: Kills = NOTHING_KILLED, life: Millis = LIFE
) -> Bundle:
    """The bundle of a playbook for one store. ``made`` is now; after ``life`` nobody takes it any more."""
    with collector.paused():
        bare = _bare(playbook, tenant, kills, (made, made + life))
        version = hashlib.blake2b(encode(bare), digest_size=8).hexdigest()
    return msgspec.structs.replace(bare, version=version, made=made, expires=made + life)


def _bare(playbook: Playbook, tenant: Tenant, kills: Kills, good: tuple[Millis, Millis]) -> Bundle:
    """The bundle without the times at which it is good, whatever they let be left out."""
    settings = playbook.settings
    experiences = playbook.experiences
    return Bundle(
        format=FORMAT,
        playbook=playbook.hash,
        version="",
        made=0,
        expires=0,
        store=tenant.store,
        environment=tenant.environment,
        level="request" if settings.request_level else "default",
        locale=settings.locale,
        currency=settings.currency,
        digits=playbook.digits,
        time_zone=settings.time_zone,
        off=_off(playbook, kills),
        placements=_Writer(playbook, *good).placements(),
        holdout=_holdout(playbook),
        alone=_alone(playbook, experiments_of(experiences.ordered)),
    )


encode = msgspec.json.Encoder().encode


def _off(playbook: Playbook, kills: Kills) -> dict[str, Any]:
    """What is switched off, of what there is."""
    experiences = playbook.experiences
    numbers = sorted(each.number for each in experiences.ordered if each.name in kills.experiences)
    names = sorted(kills.placements & experiences.placements.keys())
    found = {"everything": kills.everything, "placements": names, "experiences": numbers}
    return {name: value for name, value in found.items() if value}


def _holdout(playbook: Playbook) -> tuple[int, list[str], Prefix] | None:
    holdout = playbook.experiences.holdout
    return (holdout.share, known_units(holdout.unit), prefix(f"{holdout.salt}:")) if holdout.share else None


def _alone(playbook: Playbook, numbers: Mapping[str, int]) -> list[Alone]:
    trials = {trial.salt: trial for trial in playbook.experiences.alone}
    return [Alone(numbers[salt], known_units(trial.units), prefix(f"alone:{salt}:")) for salt, trial in trials.items()]


def experiments_of(ordered: Iterable[Experience]) -> dict[str, int]:
    """Each experiment's number, by its salt: in the order of the salts, which decides a draw that ends equal."""
    salts = {each.trial.salt for each in ordered if each.trial is not None}
    return {salt: number for number, salt in enumerate(sorted(salts))}


def arms_of(ordered: Iterable[Experience]) -> dict[str, dict[str, int]]:
    """What each arm is called where arms seen are kept, by salt: experiences that share one share their arms."""
    found: dict[str, set[str]] = {}
    for each in ordered:
        if each.trial is not None:
            found.setdefault(each.trial.salt, set()).update(each.trial.arms)
    return {salt: {arm: number for number, arm in enumerate(sorted(arms))} for salt, arms in found.items()}


def known_units(chain: Iterable[str]) -> list[str]:
    """What of a chain of units can be known without a profile."""
    return [name for name in chain if name in _UNITS or is_known(name)]


class _Writer:
    """What all experiences of a playbook are written against."""

    def __init__(self, playbook: Playbook, since: Millis, until: Millis) -> None:
        self._playbook = playbook
        self._since = since
        self._until = until
        ordered = playbook.experiences.ordered
        self._experiments = experiments_of(ordered)
        self._arms = arms_of(ordered)
        self._segments = {
            each.flat: each.checked.node if each.checked is not None else None for each in playbook.segments.ordered
        }
        self._formats: dict[str, int] = {}

    def placements(self) -> list[BundlePlacement]:
        """All of them; those without any experience too, as a page may ask for them."""
        experiences = self._playbook.experiences
        found = []
        for placement in experiences.placements.values():
            held = [self._experience(each) for each in experiences.ordered[placement.first : placement.stop]]
            written = [each for each in held if each is not None] if self._playbook.settings.request_level else []
            found.append(BundlePlacement(placement.name, placement.number, written, placement.purpose))
        return found

    def _experience(self, each: Experience) -> BundleExperience | None:
        """An experience, or ``None`` where its condition cannot hold without a profile, or while the bundle is good."""
        node = each.condition.node if each.condition is not None else Literal(value=True)
        put_in = inlined(node, self._segments, MAX_NODES)
        left = narrowed(put_in) if put_in is not None else node
        if left is None or not may_hold(left, self._since, self._until):
            return None
        everyone = isinstance(left, Literal)
        declared = self._playbook.declarations
        placement = declared.placements[declared.experiences[each.name].placement]
        contents = declared.experiences[each.name].variations
        shown = [
            show(contents[variation.name], placement, variation.content, self._playbook.settings)
            for variation in each.variations
            if each.choice is None
        ]
        return BundleExperience(
            number=each.number,
            show=shown or [SERVER] * len(each.variations),  # only the server can grant an offer
            arms=len(each.arms),
            priority=each.priority,
            weight=each.weight,
            draw=prefix(f"{placement.name}:{each.name}:") if each.weight else None,
            when=None if everyone or put_in is None else to_wire(left),
            server=put_in is None,
            trial=self._trial(each.trial) if each.trial is not None else None,
            caps=[(self._cap_key(cap.key, each.number), _limits(cap.limits)) for cap in each.caps],
        )

    def _trial(self, trial: Trial) -> BundleTrial:
        return bundle_trial(trial, self._experiments[trial.salt], self._arms[trial.salt])

    def _cap_key(self, key: str, number: int) -> str:
        """The key of a cap without the name of an experience or a format."""
        kind, _, name = key.partition(":")
        if kind == "experience":
            return f"experience:{number}"
        return f"format:{self._formats.setdefault(name, len(self._formats))}" if kind == "format" else key


def bundle_trial(trial: Trial, experiment: int, arms: Mapping[str, int]) -> BundleTrial:
    """A trial without its names."""
    slot = trial.slot
    return BundleTrial(
        experiment=experiment,
        hash=prefix(f"{trial.salt}:"),
        units=known_units(trial.units),
        arms=[arms[arm] for arm in trial.arms],
        shares=[chance.propensity for chance in trial.chances],
        bounds=trial.quick[1],
        owners=trial.layout.owners,
        traffic=trial.traffic,
        holdout=(trial.holdout, prefix(f"{trial.salt}:holdout:")) if trial.holdout else None,
        slot=(slot.start, prefix(f"{slot.salt}:")) if slot is not None else None,
        sees=trial.sees,
        sticky=trial.sticky,
    )


def _limits(limits: CapsDecl) -> dict[str, int]:
    found: dict[str, int | None] = msgspec.structs.asdict(limits)
    return {name: limit for name, limit in found.items() if limit is not None}
