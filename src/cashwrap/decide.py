"""Decide what each placement shows: pure in ``Inputs``, so that a recorded decision can be computed again.

Per placement the experience with the highest priority whose condition is true, whose content fits and that nothing
holds back wins; equal priorities go by weight, then in the order written. Whatever is unknown, switched off or broken
leaves the placement to the shop's own default, with the reason, and never touches another placement.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap import attention
from cashwrap.content import Catalogue, Ineligible
from cashwrap.declarations import HOLDOUT, UNIT
from cashwrap.experiences import Experience, Experiences, Placement
from cashwrap.experiments import SHARES, Assigned, Trial, assign, draw, hash_unit, in_holdout, share_at, unit_of
from cashwrap.model import (
    CAPPED,
    HELD_OUT,
    IN_CONTROL,
    SHOWN,
    UNFUNDED,
    Answer,
    Decision,
    Disclosure,
    Exposure,
    Grant,
    Inputs,
    Level,
    Millis,
    Reason,
)
from cashwrap.offers.benefits import major
from cashwrap.offers.grant import Granted, Granting
from cashwrap.offers.terms import Choice
from cashwrap.overload import Shed


class Kills(Struct, frozen=True):
    """What an operator has switched off."""

    everything: bool = False
    placements: frozenset[str] = frozenset()
    experiences: frozenset[str] = frozenset()


class Noted(NamedTuple):
    """What became of one experience whose condition held, for who asks why."""

    experience: str
    outcome: str
    why: str


GHOSTS = 50
"""Experiences kept back by caps and budgets that one decision tells of: a token could not carry thousands."""
NOTHING_KILLED = Kills()
NO_CATALOGUE = Catalogue()


_DEFAULTS: dict[Reason, Answer] = {reason: Answer(None, None, None, reason) for reason in get_args(Reason)}


def decide(
    experiences: Experiences,
    inputs: Inputs,
    catalogue: Catalogue = NO_CATALOGUE,
    kills: Kills = NOTHING_KILLED,
    *,
    narrowed: int | None = None,
    notes: dict[str, list[Noted]] | None = None,
) -> Decision:
    """What each placement asked for shows. Never raises: at worst every answer is the shop's default.

    ``narrowed`` is what the profile's attributes leave standing of the index, where that is known already. ``notes``,
    where given, is filled by placement with what became of every experience that was tried.
    """
    if reason := _nowhere(inputs, kills):
        return defaults(experiences, inputs.placements, reason, inputs.level)
    try:
        mask = experiences.index.matches(inputs.values, narrowed)
        case = _Case(experiences, inputs, catalogue, kills, notes)
    except Exception:  # a default everywhere is an answer, an exception at a checkout is not
        return defaults(experiences, inputs.placements, "error", inputs.level, degraded=True)
    # Mostly the first bit of a placement stands and its answer is at hand: a call saved at every placement.
    usual = not (case.held or inputs.forced or kills.experiences or kills.placements)
    quick = usual and notes is None and inputs.shed < Shed.RECOMMENDATIONS
    recent, locale, exposures, hidden = experiences.recent, inputs.locale, case.exposures, ~inputs.mask
    answers, no_match = {}, _DEFAULTS["no_match"]
    for name, purpose, offset, ones in experiences.rows(inputs.placements):
        left = mask >> offset & ones
        if not quick or purpose & hidden:
            answers[name] = case.answer(name, left)
        elif not left:
            answers[name] = no_match
        elif known := recent[offset + (left & -left).bit_length() - 1].get(locale):
            answers[name], shown = known
            exposures.append(shown)
        else:
            answers[name] = case.answer(name, left)
    return Decision(experiences.playbook, answers, inputs.level, case.broken, tuple(exposures), case.grants)


def _nowhere(inputs: Inputs, kills: Kills) -> Reason | None:
    """Why no placement may show anything, where that is so."""
    if kills.everything:
        return "killed"
    if inputs.level == "default":
        return "no_consent"
    return "quiet" if inputs.quiet else "shed" if inputs.shed >= Shed.DEFAULTS else None


def defaults(
    experiences: Experiences,
    asked: tuple[str, ...] | None,
    reason: Reason,
    level: Level = "default",
    *,
    degraded: bool = False,
) -> Decision:
    """The shop's default everywhere, for one reason."""
    known = experiences.placements
    answers = {
        name: _DEFAULTS[reason if name in known else "no_such_placement"]
        for name in (known if asked is None else asked)
    }
    return Decision(experiences.playbook, answers, level, degraded)


class _Case:
    """One decision, placement by placement: what it depends on, and the exposures it comes to."""

    __slots__ = (
        "_alone",
        "_catalogue",
        "_experiences",
        "_ghosts",
        "_granting",
        "_inputs",
        "_kills",
        "_noted",
        "_notes",
        "broken",
        "exposures",
        "held",
    )

    def __init__(
        self,
        experiences: Experiences,
        inputs: Inputs,
        catalogue: Catalogue,
        kills: Kills,
        notes: dict[str, list[Noted]] | None,
    ) -> None:
        self._experiences = experiences
        self._inputs = inputs
        self._catalogue = catalogue
        self._kills = kills
        self._notes = notes
        self._noted: list[Noted] | None = None
        self._alone: str | None = None
        self._ghosts = 0
        self._granting: Granting | None = None
        self.exposures: list[tuple[int, ...]] = []
        self.broken = False
        """Whether some experience failed."""
        self.held = in_holdout(experiences.holdout, inputs.units, inputs.values)
        """Whether the shopper is in the shop's holdout."""

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What was granted, each offer once."""
        return tuple(self._granting.granted.values()) if self._granting is not None else ()

    def answer(self, name: str, left: int) -> Answer:
        """The answer of one placement, whose bits ``left`` stand."""
        placement = self._experiences.placements.get(name)
        if placement is None:
            return _DEFAULTS["no_such_placement"]
        if placement.purpose & ~self._inputs.mask:
            return _DEFAULTS["no_consent"]
        if name in self._kills.placements:
            return _DEFAULTS["killed"]
        if placement.recommends and self._inputs.shed >= Shed.RECOMMENDATIONS:
            return _DEFAULTS["shed"]
        if not left and not self._inputs.forced:
            return _DEFAULTS["no_match"]
        if self._notes is not None:
            self._noted = self._notes.setdefault(name, [])
        known = len(self.exposures)
        try:
            preview = self._preview(placement) if self._inputs.forced else None
            return preview or self._choose(placement, left)
        except Exception:  # a broken experience costs its own placement the default, and nothing else
            del self.exposures[known:]
            self.broken = True
            return _DEFAULTS["error"]

    def _note(self, experience: Experience, outcome: str, why: str, *details: object) -> None:
        """Tell who asked why; ``details`` are put into the text only then."""
        if self._noted is not None:
            self._noted.append(Noted(experience.name, outcome, why.format(*details)))

    def _preview(self, placement: Placement) -> Answer | None:
        """What a preview asks for here. Nobody is assigned, nothing is an exposure, and nothing is granted."""
        for experience in self._experiences.ordered[placement.first : placement.stop]:
            wanted = self._inputs.forced.get(experience.name)
            if wanted is None:
                continue
            names = [variation.name for variation in experience.variations]
            self._note(experience, "preview", "previewed as {}", wanted)
            if wanted not in names:  # such as control: it sees the shop's default
                return Answer(experience.name, wanted, None, "preview")
            grant = self._grant(experience.choice) if experience.choice is not None else None
            inputs = grant.inputs if isinstance(grant, Granted) else self._inputs
            found = experience.answer(names.index(wanted), inputs, self._catalogue)
            if isinstance(found, Answer):
                return Answer(experience.name, wanted, found.content, "preview")
        return None

    def _choose(self, placement: Placement, left: int) -> Answer:
        """Try the experiences in turn. One that was kept back answers only where no other one does."""
        ghost: Answer | None = None
        lost: Reason = "no_match"
        for experience, chance in self._candidates(placement, left):
            found = self._try(experience, chance)
            if isinstance(found, Answer):
                if found.content is not None or _ends_here(experience, found):
                    return found
                ghost = ghost or found
            elif lost == "no_match":
                lost = found
        return ghost or _DEFAULTS[lost]

    # --- which to try, in order ---

    def _candidates(self, placement: Placement, left: int) -> Iterator[tuple[Experience, int]]:
        """The experiences whose conditions hold, and each one's chance, of 10,000, to be tried where it was."""
        waiting: list[Experience] = []
        for experience in self._matching(placement, left):
            if waiting and (not experience.weight or experience.priority != waiting[0].priority):
                yield from self._drawn(placement, waiting)
                waiting = []
            if experience.weight:
                waiting.append(experience)
            else:
                yield experience, SHARES
        yield from self._drawn(placement, waiting)

    def _matching(self, placement: Placement, left: int) -> Iterator[Experience]:
        """The experiences of the bits that are ``left``, each once, the one to try first first."""
        index, values, last = self._experiences.index, self._inputs.values, -1
        while left:
            low = left & -left
            left ^= low
            bit = placement.offset + low.bit_length() - 1
            owner = index.owners[bit]
            if owner != last and (bit not in index.residuals or index.holds(bit, values)):
                last = owner
                yield self._experiences.ordered[owner]

    def _drawn(self, placement: Placement, waiting: list[Experience]) -> Iterator[tuple[Experience, int]]:
        """Experiences of one priority, in the order that the shopper's unit draws them."""
        unit = unit_of(UNIT, self._inputs.units, self._inputs.values) if len(waiting) > 1 else ""
        fitting = {each.name: each for each in waiting if unit and isinstance(self._contents(each), list)}
        total = sum(each.weight for each in fitting.values())
        for name in draw(placement.name, unit, {name: each.weight for name, each in fitting.items()}):
            yield fitting[name], fitting[name].weight * SHARES // total
            total -= fitting[name].weight
        yield from ((each, SHARES) for each in waiting if each.name not in fitting)

    # --- one experience ---

    def _try(self, experience: Experience, chance: int) -> Answer | Reason:
        """What an experience whose condition holds comes to, for this shopper."""
        if experience.trial is not None and self._inputs.shed >= Shed.EXPERIMENTS:
            return _DEFAULTS["shed"]  # whatever the arm: what is left out for all does not tell arms apart
        contents = self._contents(experience)
        if not isinstance(contents, list):
            self._note(experience, contents.reason, "{}", contents.why)
            return contents.reason
        assigned = self._assign(experience, experience.trial) if experience.trial is not None else _EVERYBODY
        if assigned is None:
            return "no_match"  # in the holdout too: it has to be reached by whom it is compared with
        if self.held:
            self._note(experience, "holdout", "the shopper is in the shop's holdout, which sees the default everywhere")
            held = Assigned(len(experience.arms) - 1, self._experiences.holdout.share)
            self._expose(experience, held, HELD_OUT)
            return Answer(experience.name, HOLDOUT, None, "holdout")
        assigned = Assigned(assigned.arm, assigned.propensity * chance // SHARES)
        arm = experience.arms[assigned.arm]
        if assigned.arm >= len(contents):
            self._note(experience, "control", "the shopper is in the arm {}", arm)
            self._expose(experience, assigned, IN_CONTROL)
            return Answer(experience.name, arm, None, "control")
        if self._is_capped(experience):
            return self._ghost(experience, assigned, CAPPED)
        answer = contents[assigned.arm]
        if answer.offer is not None and self._granting is not None and experience.choice is not None:
            granted = self._granting.funded(experience.choice, answer.offer, arm)
            if granted is None:
                why = "the part of offer {}'s limits that the arm {} has is used up"
                self._note(experience, "unfunded", why, answer.offer.offer, arm)
                return self._ghost(experience, assigned, UNFUNDED)
            self._granting.keep(experience.choice, granted)
            answer = answer if granted is answer.offer else replace(answer, offer=granted)
        self._note(experience, "shown", "its condition holds and nothing above it fits")
        self._expose(experience, assigned, SHOWN)
        return answer

    def _ghost(self, experience: Experience, assigned: Assigned, outcome: int) -> Answer:
        """Kept back after the arm was drawn: exposed all the same, as the other arms are."""
        self._ghosts += 1
        if self._ghosts <= GHOSTS:
            self._expose(experience, assigned, outcome)
        return Answer(experience.name, experience.arms[assigned.arm], None, _KEPT_BACK[outcome])

    def _contents(self, experience: Experience) -> list[Answer] | Ineligible:
        """Each variation's answer; where one has none the experience fits nobody, or its arms would differ in whom
        they reach."""
        if experience.name in self._kills.experiences:
            return _KILLED
        grant = self._grant(experience.choice) if experience.choice is not None else None
        if isinstance(grant, Ineligible):
            return grant
        inputs = self._inputs if grant is None else grant.inputs
        contents = []
        for number in range(len(experience.variations)):
            found = experience.answer(number, inputs, self._catalogue)
            if isinstance(found, Ineligible):
                return found
            contents.append(found if grant is None else replace(found, offer=grant.grant))
        return contents

    def _grant(self, choice: Choice) -> Granted | Ineligible:
        """The offer that would be granted now. Nobody is assigned to an arm yet: all arms reach the same shoppers."""
        if self._granting is None:
            self._granting = Granting(self._inputs, self._experiences.settings)
        found = self._granting.choose(choice)
        return Ineligible(found, "no_offer") if isinstance(found, str) else found

    def _assign(self, experience: Experience, trial: Trial) -> Assigned | None:
        """The shopper's arm, or ``None`` where the experience is not for them at all."""
        inputs = self._inputs
        unit = unit_of(trial.units, inputs.units, inputs.values)
        if not unit and trial.salt not in inputs.arms:
            self._note(experience, "not_enrolled", "nobody to assign: none of {} is known", ", ".join(trial.units))
            return None
        if self._experiences.alone and (only := self._only_experiment()) != trial.salt:
            self._note(experience, "not_enrolled", "one experiment a shopper, and for this one that is {}", only)
            return None
        assigned = assign(trial, unit, inputs.now, inputs.arms)
        if assigned is None:
            share = share_at(trial.traffic, inputs.now) / 100
            self._note(experience, "not_enrolled", "not among the {:g} % who take part in its experiment", share)
        return assigned

    def _only_experiment(self) -> str:
        """The one experiment this shopper takes part in: one already seen, else drawn with equal chances."""
        if self._alone is None:
            inputs, trials = self._inputs, self._experiences.alone
            seen = [trial.salt for trial in trials if trial.salt in inputs.arms]
            numbers = {
                trial.salt: hash_unit(f"alone:{trial.salt}", unit_of(trial.units, inputs.units, inputs.values))
                for trial in trials
            }
            self._alone = seen[0] if seen else max(numbers, key=lambda salt: (numbers[salt], salt))
        return self._alone

    def _is_capped(self, experience: Experience) -> bool:
        inputs = self._inputs
        if not experience.caps or not inputs.impressions:
            return False
        limit = attention.reached(experience.caps, inputs.impressions, inputs.now, inputs.session_start)
        if limit is not None:
            key, name = limit
            most = next(getattr(cap.limits, name) for cap in experience.caps if cap.key == key)
            self._note(experience, "capped", _ENOUGH[name], key.replace(":", " "), most)
        return limit is not None

    def _expose(self, experience: Experience, assigned: Assigned, outcome: int) -> None:
        """Note the exposure, in the fewest numbers that say it."""
        plain = assigned == _EVERYBODY and outcome == SHOWN
        exposure = experience.shown if plain else Exposure(*experience.shown, *assigned, outcome)
        self.exposures.append(exposure)


_EVERYBODY = Assigned(0, SHARES)
_KILLED = Ineligible("switched off by an operator", "killed")
_KEPT_BACK: dict[int, Reason] = {CAPPED: "capped", UNFUNDED: "no_offer"}
_ENOUGH: dict[attention.Limit, str] = {
    "session": "{} was shown as often as it may be in one visit (session: {})",
    "day": "{} was shown as often as it may be in 24 hours (day: {})",
    "shopper": "{} was shown as often as it may ever be (shopper: {})",
    "cool_down": "{} was sent away, and its quiet is not over (cool_down)",
}


def _ends_here(experience: Experience, kept_back: Answer) -> bool:
    """Whether who is kept back sees the shop's default, and not the next experience that fits."""
    if kept_back.reason in {"holdout", "shed"}:
        return True
    return experience.trial is not None and experience.trial.sees == "default"


# --- answer ---


class _Wire(Struct, frozen=True, rename="camel"):
    decision_id: str
    playbook: str
    placements: Mapping[str, "Answer | GrantingAnswer"]
    token: str | None
    level: Level
    degraded: bool


class GrantingAnswer(Struct, frozen=True):
    """An answer that grants an offer."""

    experience: str | None
    variation: str | None
    content: msgspec.Raw | None
    reason: Reason
    offer: "GrantedOffer"


class GrantedOffer(Struct, frozen=True, omit_defaults=True):
    """An offer as a decision grants it: ``amount``, in major units, is what it takes off the cart that was sent.

    ``expires`` is when it ends for this shopper, in milliseconds, left out where the offer ends no sooner than for all.
    ``personal`` says that personal data had a part in it; its ``disclosure`` then goes beside the price. ``token`` is
    what a shop verifies and reserves by.
    """

    name: str
    benefit: Mapping[str, Any]
    amount: str
    currency: str
    personal: bool
    expires: Millis | None = None
    disclosure: Disclosure | None = None
    token: str | None = None


_encode = msgspec.json.Encoder().encode
_NO_TOKENS: Mapping[str, str] = {}


def encode_answer(
    decision: Decision,
    decision_id: str,
    token: str | None,
    *,
    degraded: bool = False,
    offers: Mapping[str, str] = _NO_TOKENS,
) -> bytes:
    """The body of ``POST /v1/decide``. Content that was encoded when the playbook was compiled is copied.

    ``degraded`` adds what happened around the decision, such as a profile that came too late. ``offers`` are the tokens
    of what was granted, by offer.
    """
    placements: Mapping[str, Answer | GrantingAnswer] = decision.placements
    if decision.grants:
        placements = {name: told(each, offers) for name, each in decision.placements.items()}
    answer = _Wire(
        decision_id,
        decision.playbook,
        placements,
        token,
        decision.level,
        decision.degraded or degraded,
    )
    return _encode(answer)


def told(answer: Answer, tokens: Mapping[str, str] = _NO_TOKENS) -> Answer | GrantingAnswer:
    """An answer as shops get it."""
    grant = answer.offer
    if grant is None:
        return answer
    offer = GrantedOffer(
        grant.offer,
        grant.benefit,
        major(grant.amount, grant.currency),
        grant.currency,
        grant.personal,
        grant.expires or None,
        grant.disclosure,
        tokens.get(grant.offer),
    )
    return GrantingAnswer(answer.experience, answer.variation, answer.content, answer.reason, offer)
