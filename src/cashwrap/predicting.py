"""What models tell of a shopper, as attributes: asked only as far as consent goes, and unknown wherever anything fails.

A prediction is told from the profile's own attributes and from nothing of the request: the log can be rebuilt into the
same attributes, so what a model learned from is what it is asked with. Chances are exact decimals of four places:
conditions compare them as they are written.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from cashwrap import consent, orders, profiles, sessions, touches
from cashwrap.content.catalogue import NoModels, Recommending
from cashwrap.declarations import DISCOUNT_SENSITIVITY, NEXT_CATEGORY, PREDICTIONS, PredictionDecl
from cashwrap.hot import BOUGHT
from cashwrap.model import (
    PERSONALIZATION,
    Inputs,
    Millis,
    Number,
    Profile,
    Purpose,
    Tenant,
    Touch,
    Value,
)
from cashwrap.playbook import Playbook

log = logging.getLogger(__name__)

PLACES = 4
"""Decimal places of a chance."""
Missing = Literal["no_model", "no_consent", "unknown_shopper", "no_answer"]
"""Why a prediction has no value: nothing is live, the shopper does not allow it, nobody is known, or it failed."""


class Learned(Recommending, Protocol):
    """All models of one store. Pure in its arguments and in the models' versions; any thread may ask."""

    def predict(self, name: str, version: str, values: Mapping[str, Value]) -> float | None:
        """The chance, or the change of one, by a shopper's own attributes; ``None`` where there is no such model."""

    def next_category(self, version: str, inputs: Inputs) -> str | None:
        """The category that a shopper is likeliest to look at next; nothing of a request is in ``inputs``."""

    def stamp(self) -> object:
        """Equal as long as every question has the same answer."""


class NothingLearned(NoModels):
    """Nothing was learned."""

    def predict(self, name: str, version: str, values: Mapping[str, Value]) -> float | None:  # noqa: ARG002
        """None."""
        return None

    def next_category(self, version: str, inputs: Inputs) -> str | None:  # noqa: ARG002
        """None."""
        return None

    def stamp(self) -> object:
        """Nothing changes."""
        return None


NOTHING_LEARNED = NothingLearned()


class Given(NothingLearned):
    """What is said beforehand that models tell, by name."""

    def __init__(self, told: Mapping[str, float | str]) -> None:
        self._told = told

    def version(self, model: str, version: str) -> str | None:
        """``given`` for what is said."""
        return "given" if version == "live" and model in self._told else None

    def predict(self, name: str, version: str, values: Mapping[str, Value]) -> float | None:  # noqa: ARG002
        """As said, where that is a number."""
        told = self._told.get(name)
        return told if isinstance(told, float) else None

    def next_category(self, version: str, inputs: Inputs) -> str | None:  # noqa: ARG002
        """As said, where that is a category."""
        told = self._told.get(NEXT_CATEGORY)
        return told if isinstance(told, str) else None


class Told(NamedTuple):
    """What models told of a shopper: the values, the versions of the models that told them, and why others are not."""

    values: Mapping[str, Value]
    versions: Mapping[str, str]
    missing: Mapping[str, Missing] = {}


def purpose_of(name: str, declared: Mapping[str, PredictionDecl]) -> Purpose:
    """What a shopper must allow to be asked about. Raises ``KeyError`` for what is no prediction."""
    if name in {NEXT_CATEGORY, DISCOUNT_SENSITIVITY}:
        return Purpose.PERSONALIZATION
    return (PREDICTIONS.get(name) or declared[name]).purpose


def tell(names: Iterable[str], playbook: Playbook, models: Learned, inputs: Inputs) -> Told:
    """Ask models for these predictions; ``inputs`` are ``profile_inputs``. Never raises."""
    values: dict[str, Value] = {}
    versions: dict[str, str] = {}
    missing: dict[str, Missing] = {}
    declared = playbook.declarations.predictions
    for name in names:
        try:
            if not purpose_of(name, declared) & inputs.mask:
                missing[name] = "no_consent"
                continue
            version, value = models.version(name, "live"), _asked(name, models, inputs)  # a shadow hears it anyway
            if version is None or value is None:
                missing[name] = "no_model" if version is None else "no_answer"
            else:
                values[name], versions[name] = value, version
        except Exception:  # a broken model costs its own attribute, and nothing else
            log.exception("the model %s could not be asked: its attribute is unknown", name)
            missing[name] = "no_answer"
    return Told(values, versions, missing)


def _asked(name: str, models: Learned, inputs: Inputs) -> Value:
    if name == NEXT_CATEGORY:
        return models.next_category("live", inputs)
    chance = models.predict(name, "live", inputs.values)
    if chance is None or not math.isfinite(chance):
        return None
    return Number(Decimal(round(chance * 10**PLACES)).scaleb(-PLACES))


def profile_inputs(
    profile: Profile,
    values: Mapping[str, Value],
    now: Millis,
    mask: int,
    bought: tuple[tuple[str, Millis, int], ...],
    tenant: Tenant,
) -> Inputs:
    """What models may see of a shopper when no request is there: the profile's attributes and what they did."""
    personal = bool(mask & PERSONALIZATION)
    visit, earlier = lately(profile, now) if personal else ((), ())
    return Inputs(
        now=now,
        tenant=tenant,
        values=values,
        level="profile" if personal else "request",
        mask=mask,
        placements=None,
        touched=visit,
        earlier=earlier,
        bought=bought if personal else (),
    )


def lately(profile: Profile, now: Millis) -> tuple[tuple[Touch, ...], tuple[Touch, ...]]:
    """What the shopper did in the visit that goes on, where that is nothing yet in the last 24 hours; and before it."""
    session = sessions.current(profile, now)
    visit = touches.since(profile.touched, session.start if session is not None else now, now)
    return visit, tuple(profile.touched[: len(profile.touched) - len(visit)])


def score_profile(
    playbook: Playbook, models: Learned, profile: Profile, now: Millis, tenant: Tenant, names: Iterable[str]
) -> tuple[Told, Inputs]:
    """One shopper's predictions, without a request, and what a recommender may be asked with about them.

    Consent is the shopper's own, as kept. For scoring everybody: what it costs is one profile's attributes and the
    models' own time.
    """
    mask = int(consent.mask_of(profile.consent, settings=playbook.settings))
    values = profiles.attributes(profile, playbook.features, now, mask)
    inputs = profile_inputs(profile, values, now, mask, orders.bought(profile, BOUGHT), tenant)
    return tell(names, playbook, models, inputs), inputs


def nobody(names: Iterable[str]) -> Told:
    """Nobody is known."""
    return Told({}, {}, dict.fromkeys(names, "unknown_shopper"))
