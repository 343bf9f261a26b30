"""Offers and what grants them: checked against each other, and compiled with whether personal data has a part."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from cashwrap.attributes import is_requested
from cashwrap.condition import Checked
from cashwrap.content import OFFER_AMOUNT, OFFER_EXPIRES, OFFER_NAME, parse_message, placeholders
from cashwrap.declarations import CONTROL, UNIT, Content, Declarations, ExperienceDecl, OfferDecl, Texts
from cashwrap.errors import ContentError
from cashwrap.offers.grant import PROMISED
from cashwrap.offers.terms import NO_SHARES, Choice, Group, Offer, compile_offer, parts
from cashwrap.playbook.places import Places
from cashwrap.playbook.read import Reading
from cashwrap.segments import PREFIX, Segments


def granted_by(experience: ExperienceDecl, declared: Declarations) -> list[OfferDecl]:
    """The offers of which an experience grants one, those that are switched on, in the order written."""
    if experience.offer is not None:
        found = declared.offers.get(experience.offer)
        return [found] if found is not None and found.enabled else []
    if experience.best_of is None:
        return []
    return [each for each in declared.offers.values() if each.group == experience.best_of and each.enabled]


def granting_text(offers: Sequence[OfferDecl]) -> str:
    """For whom any of these offers is, as a condition; empty where one is for everyone.

    One that ``lasts`` was promised: it stays with whoever has it until it is over, whatever becomes of its condition.
    """
    texts = [_granting(each, each.when.text) for each in offers if each.when is not None]
    if len(texts) < len(offers):
        return ""
    return f"({' || '.join(texts)})" if len(texts) > 1 else "".join(texts)


def _granting(offer: OfferDecl, text: str) -> str:
    return wrapped(text) if offer.lasts is None else f'({wrapped(text)} || "{offer.name}" in {PROMISED})'


def wrapped(text: str) -> str:
    """A condition as a part of another one; a comment at its end must not swallow what follows."""
    return f"({text}\n)" if "//" in text else f"({text})"


# --- what is wrong with them ---


def check_granting(reading: Reading, places: Places) -> None:
    """Complain of every offer and group that is named and not declared, and of texts that hold values."""
    declared = reading.declarations
    unread = {name for section, name in reading.unread if section == "offers"}
    for name, offer in declared.offers.items():
        if offer.group is not None and offer.group not in declared.offer_groups:
            path: tuple[str, ...] = "offers", name, "group"
            _unknown(places, "a group of offers", "offer_groups", offer.group, declared.offer_groups, path)
        _text(offer.text, places, name)
        if offer.limits.by_arm:
            _check_parts(offer, declared, places)
    for name, experience in declared.experiences.items():
        if experience.offer is not None and experience.offer not in {*declared.offers, *unread}:
            path = "experiences", name, "offer"
            _unknown(places, "an offer", "offers", experience.offer, declared.offers, path)
        if experience.best_of is not None and experience.best_of not in declared.offer_groups:
            path = "experiences", name, "offer", "best_of"
            _unknown(places, "a group of offers", "offer_groups", experience.best_of, declared.offer_groups, path)
    used = {offer.group for offer in declared.offers.values()}
    for name, group in declared.offer_groups.items():
        if name not in used:
            places.faults.warn(group.spot, "unused_offer_group", f"no offer is in the group {name!r}")


def _check_parts(offer: OfferDecl, declared: Declarations, places: Places) -> None:
    """Complain of limits that cannot be split by arm."""
    limits, shares, why = offer.limits, arms_of(offer, declared), ""
    whole = {"total": limits.total, "day": limits.day}
    small = [key for key, most in whole.items() if most is not None and shares and 0 in parts(most, shares).values()]
    if not shares:
        why = "exactly one experience grants the offer, and in an experiment: its arms share the limits"
    elif offer.codes != "none":
        why = "the offer has no 'codes': whoever comes with a code is in no arm"
    elif limits.total is None and limits.day is None and limits.budget is None:
        why = "there is a total, day or budget to split"
    elif small:
        why = f"each arm gets something of it: {small[0]!r} is too little for {len(shares)} arms"
    if why:
        spot = places.value_spot("offers", offer.name, "limits", "by_arm")
        places.faults.error(spot, "bad_value", f"limits are split by arm only where {why}")


def _unknown(places: Places, what: str, section: str, name: str, known: Collection[str], path: tuple[str, ...]) -> None:
    code = "unknown_offer" if section == "offers" else "unknown_offer_group"
    hint = places.faults.did_you_mean(name, known) or f"; declare it under {section!r}"
    places.faults.error(places.value_spot(*path), code, f"{name!r} is not {what}{hint}")


def _text(texts: Texts, places: Places, name: str) -> None:
    """The words for an offer are the same for everyone."""
    for locale, source in texts.items():
        try:
            wrong = ContentError("the words for an offer hold no values", code="unknown_attribute")
            mistake = wrong if parse_message(source).fixed is None else None
        except ContentError as error:
            mistake = error
        if mistake is not None:
            at = ContentError(mistake.message, code=mistake.code, offset=mistake.offset, where=f"text.{locale}")
            places.content(at, "offers", name)


def is_granted(name: str) -> bool:
    """Whether a text's placeholder stands for something of the offer that is granted with it."""
    return name in (OFFER_AMOUNT, OFFER_EXPIRES, OFFER_NAME)


def check_words(
    declared: Declarations, experience: ExperienceDecl, show: Content, places: Places, path: tuple[str, ...]
) -> None:
    """Complain of each placeholder of a text that the offer granted with it has no value for."""
    for where, placeholder in placeholders(show):
        if not is_granted(placeholder.name):
            continue
        offers, why = granted_by(experience, declared), ""
        if experience.offer is None and experience.best_of is None:
            why = "has a value only where the experience has an 'offer'"
        elif placeholder.name == OFFER_EXPIRES and any(each.lasts is None for each in offers):
            why = "has no value for an offer that does not say how long it 'lasts'"
        elif placeholder.name == OFFER_NAME and not all(each.text for each in offers):
            why = "has no value for an offer without a 'text'"
        if why:
            message = f"{{{placeholder.name}}} {why}"
            error = ContentError(message, code="unknown_attribute", offset=placeholder.offset, where=where)
            places.content(error, *path)


# --- compiled ---


class Personal:
    """Tells which conditions read personal data: whatever a request does not carry itself, through segments too."""

    def __init__(self, segments: Segments) -> None:
        self._segments: set[str] = set()
        for segment in segments.ordered:  # each after those it needs
            if segment.checked is None or self.reads(segment.checked.attributes):
                self._segments.add(segment.flat)

    def reads(self, names: Iterable[str]) -> bool:
        """Whether any of these attributes is personal."""
        return any(name in self._segments if name.startswith(PREFIX) else not is_requested(name) for name in names)

    def judge(self, condition: Checked | None) -> bool:
        """Whether a condition reads any."""
        return condition is not None and self.reads(condition.attributes)


def compile_offers(
    declared: Declarations, conditions: Mapping[str, Checked | None], personal: Personal
) -> dict[str, Offer]:
    """All offers by name, switched off ones too: what was promised while they were on is still looked up."""
    found = {}
    for name, each in declared.offers.items():
        condition = conditions.get(name)
        by_person = personal.judge(condition) or is_remembered(each)
        shares = arms_of(each, declared) if each.limits.by_arm else NO_SHARES
        found[name] = compile_offer(each, condition, declared.settings.currency, personal=by_person, shares=shares)
    return found


def arms_of(offer: OfferDecl, declared: Declarations) -> Mapping[str, int]:
    """The arms that grant an offer, by their shares, where exactly one experience does and it has an experiment.

    Control grants nothing, so it has no part in what there is.
    """
    granting = [
        each
        for each in declared.experiences.values()
        if offer.name == each.offer or (offer.group is not None and offer.group == each.best_of)
    ]
    experiment = granting[0].experiment if len(granting) == 1 else None
    if experiment is None:
        return NO_SHARES
    return {arm: share for arm, share in experiment.arms.items() if arm != CONTROL and share}


def is_remembered(offer: OfferDecl) -> bool:
    """Whether granting an offer goes by what is remembered of the shopper: when they first saw it."""
    return offer.lasts is not None or offer.again_after is not None or offer.freeze is not None


def compile_groups(declared: Declarations, offers: Mapping[str, Offer]) -> dict[str, Group]:
    """The groups with their offers that are switched on."""
    return {
        name: Group(name, each.pick, tuple([one for one in offers.values() if one.group == name and one.enabled]))
        for name, each in declared.offer_groups.items()
    }


def compile_choices(
    declared: Declarations, offers: Mapping[str, Offer], conditions: Mapping[str, Checked | None], personal: Personal
) -> dict[str, Choice]:
    """What each experience grants one of; those that have an offer and are not here have none that is switched on.

    ``conditions`` are the experiences' own, without what their offers ask for.
    """
    found = {}
    for name, experience in declared.experiences.items():
        granted = tuple([offers[each.name] for each in granted_by(experience, declared)])
        if granted:
            group = declared.offer_groups.get(experience.best_of or "")
            by_person = personal.judge(conditions.get(name)) or personal.reads(_assigned(experience, declared))
            found[name] = Choice(granted, group.pick if group is not None else "best", by_person)
    return found


def _assigned(experience: ExperienceDecl, declared: Declarations) -> list[str]:
    """The attributes by which an experience's arms are assigned."""
    experiment = experience.experiment
    if experiment is None:
        return []
    layer = declared.layers.get(experiment.layer or "")
    units = layer.unit if layer is not None else experiment.unit
    return [unit for unit in units if unit not in UNIT]
