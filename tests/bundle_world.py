"""Between a playbook's names and its bundle's numbers, and between JSON inputs and ``Inputs``."""

import json
from collections.abc import Mapping
from typing import Any

from cashwrap.bundle import bundle_of, encode
from cashwrap.bundle.document import arms_of as kept_arms
from cashwrap.bundle.document import experiments_of
from cashwrap.decide import Kills
from cashwrap.experiences import arms_of
from cashwrap.model import Answer, Exposure, Impressions, Inputs, Tenant
from cashwrap.playbook import Playbook, examine
from condition_vectors import decode
from decision_oracle import Asked

MADE = 1_763_000_000_000
"""Before any time that is asked about."""
LONG = 100 * 86_400_000
TENANT = Tenant()
Document = dict[str, Any]


def compiled(source: Document) -> Playbook:
    """A playbook from its sections as plain JSON."""
    playbook, faults = examine({"shop.yaml": yaml(source)})
    assert playbook is not None, "\n".join(map(str, faults))
    return playbook


def yaml(value: object, indent: int = 0) -> str:
    """Plain values as block YAML, every text in quotes."""
    if not isinstance(value, dict) or not value:
        return f" {json.dumps(value, ensure_ascii=False)}\n"
    lines = [f"{' ' * indent}{json.dumps(key)}:{yaml(each, indent + 2)}" for key, each in value.items()]
    return ("\n" if indent else "") + "".join(lines)


class Names:
    """One playbook's names and what its bundle calls them."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        declared = playbook.declarations.experiences
        self.experiences = list(declared)
        self.arms = {name: list(arms_of(each)) for name, each in declared.items()}
        self.placements = list(playbook.declarations.placements)
        ordered = playbook.experiences.ordered
        self.experiments = experiments_of(ordered)
        self.kept = kept_arms(ordered)
        self.bundle: Document = json.loads(encode(bundle_of(playbook, TENANT, MADE, life=LONG)))
        by_number = {each.number: each for each in ordered}
        self.keys = {
            cap.key: key
            for placement in self.bundle["placements"]
            for each in placement["experiences"]
            for cap, (key, _) in zip(by_number[each["number"]].caps, each.get("caps", ()), strict=True)
        }

    def inputs(self, asked: Asked, encoded: Mapping[str, object]) -> Document:
        """What a browser is asked, by numbers; ``encoded`` are the values as JSON."""
        plain: Document = {
            "now": asked.now,
            "values": dict(encoded),
            "mask": asked.mask,
            "placements": None if asked.placements is None else list(asked.placements),
            "locale": asked.locale,
            "paymentMethods": list(asked.payment_methods),
            "deliveryMethods": list(asked.delivery_methods),
            "savedMethod": asked.saved_method,
            "units": dict(asked.units),
            "arms": {str(self.experiments[salt]): self.kept[salt][arm] for salt, arm in asked.arms.items()},
            "impressions": {
                self.keys[key]: {"times": seen.times, "count": seen.count, "dismissed": seen.dismissed}
                for key, seen in asked.impressions.items()
                if key in self.keys
            },
            "sessionStart": asked.session_start,
            "forced": {str(self.experiences.index(name)): self.arm(name, arm) for name, arm in asked.forced.items()},
            "quiet": asked.quiet,
        }
        return {
            name: value for name, value in plain.items() if value not in ({}, [], None, "", 0, False) or name == "now"
        }

    def arm(self, experience: str, arm: str) -> int:
        """An arm's number; one that is none has the number after the last."""
        arms = self.arms[experience]
        return arms.index(arm) if arm in arms else len(arms)

    def off(self, off: Mapping[str, Any]) -> Document:
        found = dict(off)
        if "experiences" in off:
            held = {each["number"] for placement in self.bundle["placements"] for each in placement["experiences"]}
            found["experiences"] = [each for each in map(self.experiences.index, off["experiences"]) if each in held]
        return found

    def answer(self, answer: tuple[str | None, str | None, object, str]) -> Document:
        experience, arm, content, reason = answer
        return {
            "experience": None if experience is None else self.experiences.index(experience),
            "variation": None if experience is None or arm is None else self.arm(experience, arm),
            "content": content,
            "reason": reason,
        }

    def exposure(self, placement: str, experience: str, arm: str, propensity: int, outcome: str) -> list[int]:
        outcomes = ("shown", "control", "holdout", "capped")
        numbers = [self.placements.index(placement), self.experiences.index(experience)]
        details = [self.arm(experience, arm), propensity, outcomes.index(outcome)]
        return numbers if details == [0, 10_000, 0] else [*numbers, *details]

    # --- the server's side ---

    def real_inputs(self, plain: Document) -> Inputs:
        """What Python decides on, from what a browser was asked."""
        values = {name: decode(value) for name, value in plain.get("values", {}).items()}
        self.playbook.deciding.evaluate(values, None)  # type: ignore[arg-type]
        salts = {number: salt for salt, number in self.experiments.items()}
        keys = {key: name for name, key in self.keys.items()}
        return Inputs(
            now=plain["now"],
            tenant=TENANT,
            values=values,  # type: ignore[arg-type]
            level="request" if self.playbook.settings.request_level else "default",
            mask=plain.get("mask", 1),
            placements=tuple(plain["placements"]) if plain.get("placements") is not None else None,
            locale=plain.get("locale", ""),
            payment_methods=tuple(plain.get("paymentMethods", ())),
            delivery_methods=tuple(plain.get("deliveryMethods", ())),
            saved_method=plain.get("savedMethod"),
            units=plain.get("units", {}),
            arms={
                salts[int(number)]: {kept: arm for arm, kept in self.kept[salts[int(number)]].items()}[arm]
                for number, arm in plain.get("arms", {}).items()
            },
            impressions={keys[key]: Impressions(**seen) for key, seen in plain.get("impressions", {}).items()},
            session_start=plain.get("sessionStart", 0),
            forced={
                self.experiences[int(number)]: self.named(int(number), arm)
                for number, arm in plain.get("forced", {}).items()
            },
            quiet=plain.get("quiet", False),
        )

    def named(self, experience: int, arm: int) -> str:
        arms = self.arms[self.experiences[experience]]
        return arms[arm] if arm < len(arms) else "nothing"

    def kills(self, off: Mapping[str, Any]) -> Kills:
        names = frozenset(self.experiences[number] for number in off.get("experiences", ()))
        return Kills(off.get("everything", False), frozenset(off.get("placements", ())), names)

    def said(self, answer: Answer) -> Document:
        """The server's answer, by numbers."""
        content = None if answer.content is None else json.loads(bytes(answer.content))
        return self.answer((answer.experience, answer.variation, content, answer.reason))

    def exposed(self, exposures: tuple[tuple[int, ...], ...], server: set[str]) -> list[list[int]]:
        """The exposures, those of placements that only the server answers left out."""
        found = [Exposure(*each) for each in exposures]
        told = [each for each in found if self.placements[each.placement] not in server]
        return [list(each[:2]) if each == Exposure(*each[:2]) else list(each) for each in told]
