"""What is remembered of a hot profile says the same as asking it anew, whatever request it is asked for."""

import random
from decimal import Decimal

import pytest

from cashwrap import inputs as inputs_module
from cashwrap.decide import decide
from cashwrap.events import RequestFacts
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Gathered, Known, gather
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.request import Cart, Checkout, DecideRequest, Device, PageContext
from walks import Shopper

TESTS = [
    "seen > 1", "spent > 40", "sessions >= 2", 'device.type == "mobile"', "cart.total > 50", '"regular" in segments',
    '"here" in segments', '"both" in segments', '!("both" in segments)', "time.hour >= 12", 'top == "coffee"',
    '"pushed" in segments', "consent.personalization", 'seen_by["coffee"] > 0', "seen > cart.count",
]  # fmt: skip
HEAD = """
features:
  seen: {count: Product Viewed, purpose: personalization}
  seen_by: {count: Product Viewed, by: category, window: 30d}
  top: {top: Product Viewed, of: category}
  spent: {sum: Order Completed, of: subtotal}
segments:
  regular: seen > 2 || spent > 40
  here: 'device.type == "mobile" && cart.total > 20'
  both: '"regular" in segments && "here" in segments'
  pushed: {members: pushed}
placements:
  top_line: {component: message}
  side_line: {component: message}
experiences:
"""


def random_playbook(rng: random.Random) -> Playbook:
    lines = [HEAD]
    for number in range(rng.randint(1, 12)):
        tests = rng.sample(TESTS, rng.randint(1, 3))
        where, joint = rng.choice(["top_line", "side_line"]), rng.choice([" && ", " || "])
        lines.append(
            f"  e{number}:\n    in: {where}\n    when: '{joint.join(tests)}'\n    show: {{text: {{en: Text}}}}\n"
        )
    playbook, faults = examine({"a.yaml": "".join(lines)})
    assert playbook is not None, faults
    return playbook


def random_context(rng: random.Random) -> PageContext:
    return PageContext(
        device=Device(type=rng.choice([None, "mobile", "desktop"])),
        cart=Cart(total=rng.choice([None, Decimal(10), Decimal(90)]), count=rng.choice([None, 1, 5])),
        checkout=Checkout(step=rng.choice([None, "payment"])),
    )


def random_shopper(rng: random.Random, playbook: Playbook) -> Shopper:
    shopper = Shopper(playbook, granted=rng.choice([("personalization",), ("analytics",)]))
    for _ in range(rng.randint(0, 6)):
        shopper.does("Product Viewed", product_id="p", category=rng.choice(["coffee", "mugs"]))
        shopper.wait(minutes=rng.choice([0, 45]))
    if rng.random() < 0.5:
        shopper.does("Order Completed", order_id="o1", subtotal=rng.choice([20, 60]), currency="EUR")
    return shopper


def hot_of(shopper: Shopper) -> HotProfile | None:
    return HotProfile(shopper.profile, b"", None) if shopper.profile is not None else None


def ask(playbook: Playbook, hot: HotProfile | None, context: PageContext, now: int) -> Gathered:
    caller = Caller(ApiKey("k", "secret", Tenant(), b""), RequestFacts(now, "k", trusted=True))
    return gather(playbook, DecideRequest(context=context), caller, Known({}, hot), now)


def what_is_remembered_says_the_same(playbooks: int = 60) -> int:
    """How many decisions began from what was remembered."""
    rng, remembered = random.Random(5), 0
    for _ in range(playbooks):
        playbook = random_playbook(rng)
        shopper = random_shopper(rng, playbook)
        hot = hot_of(shopper)
        for _ in range(6):
            context, now = random_context(rng), shopper.now + rng.choice([0, 300, 2_000, 90_000_000])
            found, fresh = ask(playbook, hot, context, now), ask(playbook, hot_of(shopper), context, now)
            assert found.inputs == fresh.inputs
            whole = decide(playbook.experiences, found.inputs)
            assert decide(playbook.experiences, found.inputs, narrowed=found.narrowed) == whole
            remembered += found.narrowed is not None
    return remembered


def test_what_is_remembered_says_the_same() -> None:
    assert what_is_remembered_says_the_same() > 100


def _asks_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standing half is asked of attributes that come with the request."""
    monkeypatch.setattr("cashwrap.playbook.compile.is_requested", lambda _: False)


def _keeps_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = inputs_module._standing
    monkeypatch.setattr(
        inputs_module, "_standing", lambda hot, *rest: hot.standing if hot.standing.values else standing(hot, *rest)
    )


@pytest.mark.parametrize("plant", [_asks_of_the_request, _keeps_it_for_ever])
def test_the_comparison_notices_a_planted_bug(plant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(plant)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        what_is_remembered_says_the_same()
