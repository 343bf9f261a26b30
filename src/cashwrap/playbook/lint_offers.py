"""What of an offer works and is probably not meant: money without a limit, and prices by who somebody is. Pure.

The second kind follows laws: EU Regulation 2018/302 on nationality and residence, and those that keep protected classes
and their proxies out of prices. It looks at everything that granting an offer goes by, through segments and features.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from cashwrap.attributes import ATTRIBUTES
from cashwrap.declarations import OfferDecl, Spot
from cashwrap.experiences import Experience
from cashwrap.offers.terms import Offer
from cashwrap.playbook.compile import Playbook
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.granting import Personal, is_remembered
from cashwrap.segments import PREFIX

RESIDENCE = frozenset({"country", "nationality", "citizenship", "residence", "region"})
"""Words in the names of what tells where somebody lives or comes from."""
PROTECTED = frozenset(
    {
        "age", "birth", "birthdate", "birthday", "gender", "sex", "race", "ethnic", "ethnicity", "religion",
        "religious", "nationality", "citizenship", "marital", "pregnancy", "pregnant", "disability", "disabled",
        "orientation", "veteran", "politics", "political", "postcode", "postal", "zip", "zipcode",
    }
)  # fmt: skip
"""Words in the names of protected classes, and of what stands for them, such as where somebody lives to the street."""
_HARMLESS = frozenset(each.path for each in ATTRIBUTES if not each.path.startswith("location."))
"""Attributes that tell nothing of the kind, whatever they are called: ``session.age_minutes``."""
_WORDS = re.compile(r"[a-z]+")


def lint_offers(playbook: Playbook, faults: Faults) -> None:
    """Warn of offers that nobody can get, that have no limit, or that go by what no price may go by."""
    linter = _Linter(playbook, faults)
    for name, offer in playbook.offers.items():
        if offer.enabled:
            linter.offer(playbook.declarations.offers[name], offer)
    for placement in playbook.experiences.placements.values():
        standing = playbook.experiences.ordered[placement.first : placement.stop]
        for at, experience in enumerate(standing):
            if experience.choice is not None:
                linter.experience(experience)
                linter.withheld(experience, standing[:at])


class _Linter:
    def __init__(self, playbook: Playbook, faults: Faults) -> None:
        self.playbook = playbook
        self.faults = faults
        self.personal = Personal(playbook.segments)
        self.segments = {each.flat: each for each in playbook.segments.ordered}
        self.granting: dict[str, list[Experience]] = {name: [] for name in playbook.offers}
        for experience in playbook.experiences.ordered:
            for offer in experience.choice.offers if experience.choice is not None else ():
                self.granting[offer.name].append(experience)

    def offer(self, declared: OfferDecl, offer: Offer) -> None:
        name, limits, granting = offer.name, offer.limits, self.granting[offer.name]
        if not granting and offer.codes == "none":
            message = f"nobody can get offer {name!r}: no experience grants it, and no code opens it"
            self.faults.warn(declared.spot, "unreachable_offer", message)
        if limits.total is None and limits.day is None and limits.budget is None:
            message = f"offer {name!r} may cost any amount: give it 'limits' with total, day or budget"
            self.faults.warn(declared.spot, "unlimited_offer", message)
        public = [each.name for each in granting if each.choice is not None and not each.choice.personal]
        if public and not self.personal.judge(offer.condition):
            self._without_profile(declared, offer, public[0])
        if offer.condition is not None:
            spot = declared.when.spot if declared.when is not None else declared.spot
            self.judge(spot, f"offer {name!r}", offer.condition.attributes)

    def _without_profile(self, declared: OfferDecl, offer: Offer, granting: str) -> None:
        """What an offer goes by that nobody keeps of a shopper without a profile."""
        shown = f"{granting!r} shows offer {offer.name!r} to shoppers without a profile too:"
        if is_remembered(declared):
            message = f"{shown} when they first saw it is not kept, so it is never granted to them"
        elif offer.limits.shopper is not None:
            message = f"{shown} it may be shown to one who used it up, and is refused when it is reserved"
        else:
            return
        self.faults.warn(declared.spot, "offer_needs_profile", message)

    def experience(self, experience: Experience) -> None:
        """What it asks for beyond what its offers do."""
        declared = self.playbook.declarations.experiences[experience.name]
        offers = experience.choice.offers if experience.choice is not None else ()
        read = {name for offer in offers if offer.condition is not None for name in offer.condition.attributes}
        own = experience.condition.attributes if experience.condition is not None else ()
        spot = declared.when.spot if declared.when is not None else declared.spot
        self.judge(spot, f"{experience.name!r} grants an offer and", [name for name in own if name not in read])

    def withheld(self, experience: Experience, above: Sequence[Experience]) -> None:
        """Who is kept from an offer that everybody else gets pays more by what is known of them.

        Another offer of the same group in its place is the shop's own weighing.
        """
        if experience.choice is None or experience.choice.personal:
            return
        groups = {offer.group for offer in experience.choice.offers if offer.group}
        for other in above:
            instead = {offer.group for offer in other.choice.offers} if other.choice is not None else {None}
            if self.personal.judge(other.condition) and not instead <= groups:
                spot = self.playbook.declarations.experiences[experience.name].spot
                message = f"{other.name!r} stands above and goes by personal data: whoever it is for is kept from what"
                message += f" {experience.name!r} gives everybody else, and no price may rise so; put it below"
                self.faults.warn(spot, "offer_withheld", message)
                return

    def judge(self, spot: Spot, who: str, names: Iterable[str]) -> None:
        read = {source: set(_WORDS.findall(source.lower())) for source in self.sources(names)}
        home = sorted(source for source, words in read.items() if words & RESIDENCE)
        if home:
            message = f"{who} goes by {home[0]}: in the EU no price may go by nationality or residence"
            self.faults.warn(spot, "offer_by_residence", f"{message} (Regulation 2018/302)")
        protected = sorted(source for source, words in read.items() if words & PROTECTED)
        if protected:
            message = f"{who} goes by {protected[0]}: a protected class, or what stands for one, may set no price"
            self.faults.warn(spot, "offer_by_protected_class", message)

    def sources(self, names: Iterable[str]) -> Iterator[str]:
        """What is read, through segments, and what the features among it are made of."""
        seen: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            segment = self.segments.get(name)
            if segment is not None:
                stack += segment.checked.attributes if segment.checked is not None else ()
                yield name.removeprefix(PREFIX)
                continue
            if name not in _HARMLESS:
                yield name
            feature = self.playbook.declarations.features.get(re.split(r"[.\[]", name)[0])
            if feature is not None:
                yield from (part for part in (feature.of, feature.by) if part)
