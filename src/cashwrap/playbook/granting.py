"""Offers and what grants them, compiled: whom each is for, and whether personal data has a part in it."""

from collections.abc import Iterable, Mapping

from cashwrap.attributes import is_requested
from cashwrap.condition import Checked
from cashwrap.declarations import Declarations
from cashwrap.offers.terms import Group, Offer, compile_offer
from cashwrap.segments import PREFIX, Segments


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
    currency = declared.settings.currency
    return {
        name: compile_offer(each, conditions.get(name), currency, personal=personal.judge(conditions.get(name)))
        for name, each in declared.offers.items()
    }


def compile_groups(declared: Declarations, offers: Mapping[str, Offer]) -> dict[str, Group]:
    """The groups with their offers that are switched on."""
    return {
        name: Group(name, each.pick, tuple([one for one in offers.values() if one.group == name and one.enabled]))
        for name, each in declared.offer_groups.items()
    }
