"""A naive second opinion on hashing, assignment and decisions at data level ``request``.

Written from the decision records and the language page, not from the code under test: it walks what was declared,
keeps the line of 10,000 places as a list of 10,000 names, and draws with logarithms.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from cashwrap.attributes import ATTRIBUTES, environment
from cashwrap.condition import Type, parse
from cashwrap.declarations import (
    Button,
    CapsDecl,
    Declarations,
    ExperienceDecl,
    ExperimentDecl,
    Installments,
    Layout,
    Message,
    Options,
    PlacementDecl,
)
from cashwrap.model import Impressions
from condition_language import oracle

PLACES = 10_000
DAY = 86_400_000


def murmur(data: bytes, seed: int = 0) -> int:
    """MurmurHash3 x86_32, word by word as its author describes it."""
    mask, state = 2**32 - 1, seed
    padded = data + b"\0" * (-len(data) % 4)
    for at in range(0, len(padded), 4):
        word = int.from_bytes(padded[at : at + 4], "little") * 0xCC9E2D51 & mask
        word = ((word << 15 & mask) + (word >> 17)) * 0x1B873593 & mask
        state ^= word
        if at + 4 <= len(data):
            state = ((state << 13 & mask) + (state >> 19)) * 5 + 0xE6546B64 & mask
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & mask
    state = (state ^ state >> 13) * 0xC2B2AE35 & mask
    return state ^ state >> 16


def number(salt: str, unit: str) -> int:
    return murmur(f"{salt}:{unit}".encode())


def line(shares: Mapping[str, int], rest: str | None) -> list[str | None]:
    """Which arm has each place: a home for each but the rest, the overflow in what is free, from the end."""
    arms = [arm for arm, share in shares.items() if arm != rest and share]
    places: list[str | None] = [rest] * PLACES
    overflow = []
    for order, arm in enumerate(arms):
        home = list(range(PLACES * order // len(arms), PLACES * (order + 1) // len(arms)))
        for place in home[: shares[arm]]:
            places[place] = arm
        overflow += [arm] * (shares[arm] - len(home))
    taken = iter(overflow)
    for place in range(PLACES - 1, -1, -1):
        if places[place] == rest:
            places[place] = next(taken, rest)
    return places


class Slot(NamedTuple):
    salt: str
    start: int


def unit_of(chain: tuple[str, ...], units: Mapping[str, str], values: Mapping[str, object]) -> str:
    for name in chain:
        value = units.get(name) or values.get(name)
        if isinstance(value, str) or type(value) is int:
            return str(value)
    return ""


def share_now(traffic: tuple[tuple[int, int], ...], now: int) -> int:
    return [share for at, (since, share) in enumerate(traffic) if at == 0 or since <= now][-1]


def assigned(
    experiment: ExperimentDecl, salt: str, slot: Slot | None, unit: str, now: int, seen: Mapping[str, str]
) -> tuple[str, int] | None:
    """The unit's arm and its share, or ``None`` where it does not take part."""
    share = share_now(experiment.traffic, now)
    if not share:
        return None
    if experiment.sticky and seen.get(salt) in {*experiment.arms, "holdout"}:
        return seen[salt], experiment.arms.get(seen[salt], 0)
    if not unit:
        return None
    if number(f"{salt}:holdout", unit) % PLACES < experiment.holdout:
        return "holdout", 0
    hashed = number(salt, unit)
    place = (number(slot.salt, unit) - slot.start) % PLACES if slot is not None else hashed % PLACES
    if place >= share:
        return None
    turns = 2**32 // PLACES + 1
    arm = line(experiment.arms, "control" if "control" in experiment.arms else None)[hashed // PLACES * PLACES // turns]
    assert arm is not None
    return arm, experiment.arms[arm]


def drawn(salt: str, unit: str, weights: Mapping[str, int]) -> list[str]:
    """The first to ring: exponential clocks, each as fast as its weight."""
    rings = {name: -math.log((number(f"{salt}:{name}", unit) + 1) / 2**32) / weights[name] for name in weights}
    return sorted(weights, key=lambda name: rings[name])


# --- whole decisions ---


class Server(Exception):
    """Only the server can say."""


class Asked(NamedTuple):
    """One decision at level ``request``, by names."""

    now: int
    values: Mapping[str, object]
    mask: int = 1
    placements: tuple[str, ...] | None = None
    locale: str = ""
    payment_methods: tuple[str, ...] = ()
    delivery_methods: tuple[str, ...] = ()
    saved_method: str | None = None
    units: Mapping[str, str] = {}
    arms: Mapping[str, str] = {}
    impressions: Mapping[str, Impressions] = {}
    session_start: int = 0
    forced: Mapping[str, str] = {}
    quiet: bool = False
    off: Mapping[str, Any] = {}


class Oracle:
    """What each placement shows, and the exposures, all by names."""

    def __init__(self, declared: Declarations, asked: Asked, features: Mapping[str, Type], digits: int = 2) -> None:
        self.declared = declared
        self.asked = asked
        self.environment = environment(declared.settings, digits, features, declared.traits, list(declared.segments))
        self.exposures: list[tuple[str, str, str, int, str]] = []
        holdout = declared.settings.holdout
        unit = unit_of(holdout.unit, asked.units, asked.values)
        self.held = bool(unit) and number(holdout.salt, unit) % PLACES < holdout.share

    def decide(self) -> dict[str, tuple[str | None, str | None, object, str]]:
        asked, found = self.asked, {}
        for name in self.declared.placements if asked.placements is None else asked.placements:
            known = len(self.exposures)
            try:
                found[name] = self.answer(name)
            except Server:
                del self.exposures[known:]
                found[name] = (None, None, None, "server")
        return found

    def answer(self, name: str) -> tuple[str | None, str | None, object, str]:
        asked, placement = self.asked, self.declared.placements.get(name)
        if placement is None:
            return None, None, None, "no_such_placement"
        if asked.off.get("everything"):
            return None, None, None, "killed"
        if not self.declared.settings.request_level:
            return None, None, None, "no_consent"
        if asked.quiet:
            return None, None, None, "quiet"
        if int(placement.purpose or 0) & ~asked.mask:
            return None, None, None, "no_consent"
        if name in asked.off.get("placements", ()):
            return None, None, None, "killed"
        return self.preview(placement) or self.choose(placement)

    def candidates(self, placement: PlacementDecl) -> list[ExperienceDecl]:
        here = [each for each in self.declared.experiences.values() if each.placement == placement.name]
        return sorted([each for each in here if each.enabled], key=lambda each: -each.priority)

    def preview(self, placement: PlacementDecl) -> tuple[str | None, str | None, object, str] | None:
        for each in self.candidates(placement):
            wanted = self.asked.forced.get(each.name)
            if wanted is None:
                continue
            if wanted not in each.variations:
                return each.name, wanted, None, "preview"
            content = self.content(each.variations[wanted], placement)
            if not isinstance(content, str):
                return each.name, wanted, content, "preview"
        return None

    def choose(self, placement: PlacementDecl) -> tuple[str | None, str | None, object, str]:
        ghost, lost = None, "no_match"
        for each, chance in self.tries(placement):
            found = self.attempt(each, placement, chance)
            if isinstance(found, str):
                lost = found if lost == "no_match" else lost
                continue
            ends = found[3] == "holdout" or (each.experiment is not None and each.experiment.control_sees == "default")
            if found[2] is not None or ends:
                return found
            ghost = ghost or found
        return ghost or (None, None, None, lost)

    def tries(self, placement: PlacementDecl) -> Iterator[tuple[ExperienceDecl, int]]:
        """Runs of equal priority with a weight are drawn; all else comes as written."""
        run: list[ExperienceDecl] = []
        for each in [each for each in self.candidates(placement) if self.holds(each)]:
            if run and (not each.weight or each.priority != run[0].priority):
                yield from self.run(run, placement)
                run = []
            if each.weight:
                run.append(each)
            else:
                yield each, PLACES
        yield from self.run(run, placement)

    def run(self, run: list[ExperienceDecl], placement: PlacementDecl) -> Iterator[tuple[ExperienceDecl, int]]:
        unit = unit_of(("anonymous", "user", "cart"), self.asked.units, self.asked.values)
        able = {}
        if unit and len(run) > 1:
            able = {each.name: each for each in run if not isinstance(self.contents(each, placement), str)}
        total = sum(each.weight for each in able.values())
        for name in drawn(placement.name, unit, {name: each.weight for name, each in able.items()}):
            yield able[name], able[name].weight * PLACES // total
            total -= able[name].weight
        yield from ((each, PLACES) for each in run if each.name not in able)

    def attempt(
        self, each: ExperienceDecl, placement: PlacementDecl, chance: int
    ) -> tuple[str | None, str | None, object, str] | str:
        contents = self.contents(each, placement)
        if isinstance(contents, str):
            return contents
        arm, propensity = "main", PLACES
        if each.experiment is not None:
            found = self.arm(each)
            if found is None:
                return "no_match"
            arm, propensity = found
        if self.held:
            share = self.declared.settings.holdout.share
            self.exposures.append((placement.name, each.name, "holdout", share, "holdout"))
            return each.name, "holdout", None, "holdout"
        propensity = propensity * chance // PLACES
        if arm not in contents:
            self.exposures.append((placement.name, each.name, arm, propensity, "control"))
            return each.name, arm, None, "control"
        if self.capped(each, placement):
            self.exposures.append((placement.name, each.name, arm, propensity, "capped"))
            return each.name, arm, None, "capped"
        self.exposures.append((placement.name, each.name, arm, propensity, "shown"))
        return each.name, arm, contents[arm], "match"

    # --- arms ---

    def salts(self) -> dict[str, ExperienceDecl]:
        """The experiments of all enabled experiences, placement by placement, the one to try first first."""
        tested = [each for placement in self.declared.placements.values() for each in self.candidates(placement)]
        return {each.experiment.salt or each.name: each for each in tested if each.experiment is not None}

    def units(self, each: ExperienceDecl) -> str:
        assert each.experiment is not None
        layer = each.experiment.layer
        chain = self.declared.layers[layer].unit if layer else each.experiment.unit
        return unit_of(chain, self.asked.units, self.asked.values)

    def arm(self, each: ExperienceDecl) -> tuple[str, int] | None:
        experiment = each.experiment
        assert experiment is not None
        salt, unit = experiment.salt or each.name, self.units(each)
        if (unit or salt in self.asked.arms) and self.declared.settings.one_experiment_per_shopper:
            salts = self.salts()
            seen = [one for one in salts if one in self.asked.arms]
            only = max(salts, key=lambda one: (number(f"alone:{one}", self.units(salts[one])), one))
            if salt != (seen[0] if seen else only):
                return None
        return assigned(experiment, salt, self.slot(each), unit, self.asked.now, self.asked.arms)

    def slot(self, each: ExperienceDecl) -> Slot | None:
        assert each.experiment is not None
        layer, start = each.experiment.layer, 0
        for other in self.declared.experiences.values():
            if other.name == each.name:
                break
            if other.experiment is not None and layer and other.experiment.layer == layer:
                start += max(share for _, share in other.experiment.traffic)
        return Slot(f"layer:{layer}", start) if layer else None

    def capped(self, each: ExperienceDecl, placement: PlacementDecl) -> bool:
        form, settings = placement.format or placement.component, self.declared.settings
        caps = {
            f"experience:{each.name}": each.caps,
            f"placement:{placement.name}": placement.caps,
            f"format:{form}": settings.attention.get(form, CapsDecl()),
            "all": settings.attention.get("all", CapsDecl()),
        }
        return any(self.reached(caps[key], seen) for key, seen in self.asked.impressions.items() if key in caps)

    def reached(self, cap: CapsDecl, seen: Impressions) -> bool:
        now, times = self.asked.now, seen.times
        recent = [time for time in times if time > now - DAY]
        session = [time for time in times if time >= self.asked.session_start]
        return (
            (cap.session is not None and len(session) >= cap.session)
            or (cap.day is not None and len(recent) >= cap.day)
            or (cap.shopper is not None and seen.count >= cap.shopper)
            or (cap.cool_down is not None and seen.dismissed > 0 and now < seen.dismissed + cap.cool_down)
        )

    # --- conditions ---

    def holds(self, each: ExperienceDecl) -> bool:
        return each.when is None or self.truth(each.when.text) is True

    def truth(self, text: str) -> bool | None:
        known = {attribute.path for attribute in ATTRIBUTES if attribute.source == "request"}
        values = {name: value for name, value in self.asked.values.items() if name in known or "consent" in name}
        for name, segment in self.declared.segments.items():
            if segment.when is not None and name in text:
                values[f"segments.{name}"] = self.truth(segment.when.text)
        return oracle(parse(text), values, self.environment)

    # --- content ---

    def contents(self, each: ExperienceDecl, placement: PlacementDecl) -> dict[str, object] | str:
        if each.name in self.asked.off.get("experiences", ()):
            return "killed"
        found: dict[str, object] = {}
        for name, content in each.variations.items():
            shown = self.content(content, placement)
            if isinstance(shown, str):
                return shown
            found[name] = shown
        return found

    def content(self, content: object, placement: PlacementDecl) -> object:
        """As a page receives it, or why there is none."""
        match content:
            case Message(text=texts, tone=tone, progress=None):
                tag = self.tag(texts)
                said = {"type": "message", "text": texts[tag], "locale": tag} if tag else None
                return "no_content" if said is None else said | ({"tone": tone} if tone else {})
            case Button(text=texts, style=style):
                tag = self.tag(texts)
                return {"type": "button", "text": texts[tag], "style": style} if tag else "no_content"
            case Layout(tokens):
                return {"type": "layout", "tokens": tokens}
            case Installments():
                if not self.asked.mask & 32:
                    return "no_consent"
            case Options():
                return self.options(content, placement)
        raise Server

    def tag(self, texts: Mapping[str, str]) -> str | None:
        if any("{" in text for text in texts.values()):
            raise Server
        for wanted in (self.asked.locale, self.declared.settings.locale):
            parts = wanted.lower().replace("_", "-").split("-")
            for length in range(len(parts), 0, -1):
                for tag in texts:
                    if tag.lower() == "-".join(parts[:length]):
                        return tag
        return None

    def options(self, content: Options, placement: PlacementDecl) -> object:
        asked = self.asked
        offered = list(asked.delivery_methods if placement.of == "delivery_methods" else asked.payment_methods)
        place = {method: offered.index(method) for method in offered}
        place |= {method: at - 1000 for at, method in reversed(list(enumerate(content.first))) if method in place}
        place |= {
            method: at + 1000
            for at, method in enumerate(content.last)
            if method in place and method not in content.first
        }
        order = sorted(place, key=lambda method: place[method])
        if not order:
            return "no_content"
        hidden = [each for each in content.hide if each in order and each != asked.saved_method][: len(order) - 1]
        shown = []
        for method in order:
            option: dict[str, object] = {"id": method}
            for key, texts in (("name", content.rename.get(method)), ("badge", content.badge.get(method))):
                if texts is not None and method not in hidden:
                    tag = self.tag(texts)
                    if tag is None:
                        return "no_content"
                    option[key] = texts[tag]
            shown.append(option | ({"highlight": True} if method in content.highlight else {}))
        return {"type": "options", "options": [one for one in shown if one["id"] not in hidden], "hidden": hidden}


def exact(value: object) -> object:
    """A number as vectors hold it."""
    return {"n": str(value)} if isinstance(value, Decimal) else value
