"""I13 over random playbooks, shoppers and carts: an offer never raises a price, a personal one never goes without what
the market wants said, and who opted out keeps every offer that is for everyone.

Ten thousand decisions here; ``python tests/test_offer_laws.py 1000000`` makes as many as asked.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from cashwrap.decide import decide
from cashwrap.model import Decision, Grant, Inputs, Line, Promise, Tenant, Value
from cashwrap.offers import terms as terms_module
from cashwrap.offers.grant import PROMISED, Granting, running
from cashwrap.offers.markets import MarketRules
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.granting import Personal

NOW = 1_780_000_000_000
PUBLIC = ("", "", "", "cart.total >= 30", "device.type == 'mobile'", "'small' in segments", "cart.count < 4")
PERSONAL = ("orders >= 2", "traits.vip == true", "'regular' in segments", "'pushed' in segments", "sessions > 1")
PLACES = ((None, None), ("DE", None), ("FR", "IDF"), ("US", "NY"), ("US", "CA"), ("US", None))
BENEFITS = (
    "{percent: 10}", "{percent: 33.33, most: 7}", "{percent: 100}", "{amount: 5}", "{amount: 900}",
    "{free_delivery: [standard]}", "{free_item: A}", "{tiers: [{from: 20, percent: 5}, {from: 60, amount: 12}]}",
)  # fmt: skip
HEAD = """
shop: {currency: EUR, markets: [DE], no_personal_prices: [FR]}
features: {orders: {count: Order Completed}}
traits: {vip: boolean}
segments:
  small: cart.total < 50
  regular: 'orders >= 1 && "small" in segments'
  pushed: {members: pushed, description: personal}
placements:
  a: {component: message}
  b: {component: message}
  c: {component: message}
offer_groups: {g: {pick: best}, h: {pick: first}}
"""


class Shop(NamedTuple):
    """A playbook, and by hand what of it is personal."""

    playbook: Playbook
    personal: frozenset[str]
    """Offers that go by personal data whoever grants them."""
    experiences: frozenset[str]
    """Experiences that do."""
    groups: Mapping[str, str]


def some_shop(chance: random.Random) -> Shop:
    """Offers and what grants them, drawn; conditions are either about the request or about the person."""
    text, personal, groups = HEAD + "offers:\n", set(), {}
    names = [f"offer{at}" for at in range(chance.randint(1, 4))]
    for name in names:
        when, lasts, group = chance.choice((*PUBLIC, *PERSONAL)), chance.random() < 0.15, chance.choice(("", "g", "h"))
        text += f"  {name}:\n    benefit: {chance.choice(BENEFITS)}\n"
        text += f'    when: "{when}"\n' if when else ""
        text += "    lasts: 48h\n" if lasts else ""
        text += f"    group: {group}\n" if group else ""
        text += "    bundle: [A, B]\n" if chance.random() < 0.15 else ""
        if when in PERSONAL or lasts:
            personal.add(name)
        groups[name] = group
    text, experiences = text + "experiences:\n", set()
    for at in range(chance.randint(1, 6)):
        when, grants = chance.choice((*PUBLIC, *PERSONAL)), chance.choice([*names, *filter(None, groups.values()), ""])
        text += f"  e{at}:\n    in: {chance.choice('abc')}\n    priority: {chance.randint(0, 2)}\n"
        text += f'    when: "{when}"\n' if when else ""
        if grants:
            text += f"    offer: {grants if grants in names else '{best_of: ' + grants + '}'}\n"
            text += '    show: {text: "{offer.amount}"}\n'
        else:
            text += "    show: {text: hello}\n"
        text += "    experiment: {control: 50%}\n" if chance.random() < 0.2 else ""
        if when in PERSONAL:
            experiences.add(f"e{at}")
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is not None, (text, faults)
    return Shop(playbook, frozenset(personal), frozenset(experiences), groups)


def some_inputs(chance: random.Random, shop: Shop) -> tuple[Inputs, Inputs]:
    """One shopper with one cart, opted in and opted out: the request is the same, and all personal data is gone."""
    lines = tuple(
        Line(chance.choice("AABC"), chance.randint(0, 3), chance.choice((None, 0, 199, 2_050, 9_999)))
        for _ in range(chance.randint(0, 7))
    )
    country, region = chance.choice(PLACES)
    total = sum(line.quantity * (line.price or 0) for line in lines)
    asked: dict[str, Value] = {"cart.total": total, "cart.count": sum(line.quantity for line in lines)}
    asked |= {"device.type": chance.choice(("mobile", "desktop")), "location.country": country}
    asked |= {"location.region": region} if region else {}
    known: dict[str, Value] = {"orders": chance.randint(0, 3), "traits.vip": chance.random() < 0.5, "sessions": 2}
    offers = shop.playbook.offers
    lasting = [name for name, offer in offers.items() if offer.lasts is not None and chance.random() < 0.5]
    promised = {name: Promise(NOW + chance.randint(-2, 2) * 3_600_000) for name in lasting}
    closed = {name: chance.choice(("exhausted", "used")) for name in offers if chance.random() < 0.1}
    base = Inputs(
        now=NOW, tenant=Tenant(), values=asked, level="request", mask=1, placements=None, currency="EUR",
        locale=chance.choice(("de", "en")), units={"anonymous": str(chance.random())}, lines=lines, closed=closed,
        shipping=chance.choice((None, 0, 490)), delivery=chance.choice((None, "standard", "express")),
    )  # fmt: skip
    shop.playbook.segments.evaluate(out := dict(asked), None)
    lists = {"pushed": chance.random() < 0.5}
    shop.playbook.segments.evaluate(both := {**asked, **known, PROMISED: running(promised, NOW)}, lists)
    level = chance.choice(("profile", "session"))
    opted_in = msgspec.structs.replace(base, values=both, level=level, mask=63, promised=promised)
    return opted_in, msgspec.structs.replace(base, values=out)


# --- the laws, each with what breaks it ---


def price(inputs: Inputs) -> int:
    return sum(line.quantity * line.price for line in inputs.lines if line.price is not None) + (inputs.shipping or 0)


def broken(shop: Shop, opted_in: Inputs, opted_out: Inputs) -> Iterator[str]:
    """What one decision, and the same without personal data, break."""
    mine, theirs = (decide(shop.playbook.experiences, each) for each in (opted_in, opted_out))
    for decision, inputs in ((mine, opted_in), (theirs, opted_out)):
        if decision.degraded:
            yield "a decision failed"
        for grant in decision.grants:
            if not 0 <= price(inputs) - grant.amount < price(inputs):
                yield "a price was raised, or fell below nothing"
        yield from _grouped(shop, decision)
        yield from _told(shop, decision, inputs)
    yield from _kept(shop, mine, theirs)


def _grouped(shop: Shop, decision: Decision) -> Iterator[str]:
    groups = [shop.groups[grant.offer] for grant in decision.grants if shop.groups[grant.offer]]
    if len(set(groups)) < len(groups):
        yield "two offers of one group"
    shown = {answer.offer.offer for answer in decision.placements.values() if answer.offer is not None}
    if shown != {grant.offer for grant in decision.grants}:
        yield "what is granted is not what is shown"


def _told(shop: Shop, decision: Decision, inputs: Inputs) -> Iterator[str]:
    """Personal by our own book; where it is, what the market wants."""
    by_person = inputs.level in ("profile", "session")
    for answer in decision.placements.values():
        grant = answer.offer
        if grant is None:
            continue
        personal = by_person and (grant.offer in shop.personal or answer.experience in shop.experiences)
        if personal and not grant.personal and not _granted_publicly(shop, decision, grant):
            yield "a personal offer that does not say so"
        if grant.personal and not by_person:
            yield "an offer is called personal where nothing personal is known"
        if grant.personal and inputs.values.get("location.country") == "FR":
            yield "a personal offer where the shop allows none"
        if grant.personal and (grant.disclosure is None or not grant.disclosure.text):
            yield "a personal offer without a word"
        ny = inputs.values.get("location.country") == "US" and inputs.values.get("location.region") != "CA"
        if grant.disclosure is not None and ("ALGORITHM USING YOUR PERSONAL DATA" in grant.disclosure.text) is not ny:
            yield "other words than the market's"


def _granted_publicly(shop: Shop, decision: Decision, grant: Grant) -> bool:
    """Whether another placement grants the same to everyone."""
    others = [each.experience for each in decision.placements.values() if each.offer == grant]
    return grant.offer not in shop.personal and any(name not in shop.experiences for name in others)


def _kept(shop: Shop, mine: Decision, theirs: Decision) -> Iterator[str]:
    """What is granted to everyone is granted to who opted out, or another one in its place or of its group."""
    kept = {grant.offer: grant for grant in theirs.grants}
    groups = {shop.groups[name] for name in kept} - {""}
    for name, answer in mine.placements.items():
        grant = answer.offer
        if grant is None or grant.personal:
            continue
        instead = theirs.placements[name].offer is not None or shop.groups[grant.offer] in groups
        if grant.offer not in kept and not instead:
            yield "who opted out lost an offer that is for everyone"
        elif grant.offer in kept and kept[grant.offer] != grant:
            yield "who opted out was granted less"


def survey(shops: int, each: int, seed: int = 13) -> tuple[dict[str, int], int, int]:
    """What broke how often, and how many grants there were, personal ones among them."""
    chance, found, grants, personal = random.Random(seed), dict[str, int](), 0, 0
    for _ in range(shops):
        shop = some_shop(chance)
        for _ in range(each):
            pair = some_inputs(chance, shop)
            for what in broken(shop, *pair):
                found[what] = found.get(what, 0) + 1
            made = decide(shop.playbook.experiences, pair[0]).grants
            grants, personal = grants + len(made), personal + sum(grant.personal for grant in made)
    return found, grants, personal


def test_no_law_is_broken() -> None:
    found, grants, personal = survey(200, 25)  # each is decided opted in and opted out
    assert found == {}
    assert grants > 1_200
    assert personal > 500


PLANTED: dict[str, tuple[Any, str, Any, str]] = {
    "a benefit that raises": (
        terms_module, "amount_off", lambda *_: 10_000_000, "a price was raised, or fell below nothing",
    ),
    "a disclosure left out": (MarketRules, "said", lambda *_: None, "a personal offer without a word"),
    "personal data overlooked": (Personal, "reads", lambda *_: False, "a personal offer that does not say so"),
    "only the market forgotten": (
        Granting, "_market", lambda _: MarketRules(False, {"en": "x"}, "x", ""),
        "a personal offer where the shop allows none",
    ),
    "groups forgotten": (
        Granting, "keep", lambda self, _, grant: self.granted.update({grant.offer: grant}), "two offers of one group",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_breaks_its_law(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, bug, law = PLANTED[planted]
    monkeypatch.setattr(where, name, bug)
    found, _, _ = survey(25, 20)
    assert law in found


def test_planted_punishing_who_opted_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Granting.judge

    def harsh(self: Granting, offer: terms_module.Offer, *, personal: bool) -> Grant | str:
        return "no" if self._inputs.level == "request" else true(self, offer, personal=personal)

    monkeypatch.setattr(Granting, "judge", harsh)
    found, _, _ = survey(25, 20)
    assert "who opted out lost an offer that is for everyone" in found


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sys.stdout.write(f"{survey(max(wanted // 100, 1), 50, seed=random.randrange(1 << 30))}\n")
