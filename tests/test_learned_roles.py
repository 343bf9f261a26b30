"""Roles of models: the rules against a naive shop's, what is kept, and what the registry writes."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.learned import registry
from cashwrap.learned.roles import (
    KEPT,
    ROLES,
    Model,
    Wish,
    kept,
    promoted,
    proposed,
    registered,
    retired,
    rolled_back,
    shadowed,
    taken_back,
)
from cashwrap.learned.shadow import ENOUGH, KIND, SLOWEST, Shadow, overlap, shadow_of
from cashwrap.learned.shadowing import PART, SHARE, Shadows
from cashwrap.world import World
from engines import LIVE, TestClock
from learned_world import FAILED, PASSED, draft, world_with
from learned_world import kept as made

SOUND = Shadow(asked=ENOUGH)
PROVEN = ("1", "2", "3")
"""Versions that passed their gate; the others did not."""
VERSIONS = ("1", "2", "3", "4", "5")


class Naive:
    """What a careful person with a sheet of paper would keep: who has which role, and who was live before."""

    def __init__(self) -> None:
        self.role: dict[str, str] = {}
        self.before: list[str] = []

    def holder(self, role: str) -> str:
        return next((version for version, held in self.role.items() if held == role), "")

    def give(self, role: str, version: str) -> None:
        if self.holder(role):
            del self.role[self.holder(role)]
        self.role[version] = role

    def act(self, action: str, version: str, forced: bool, sound: bool) -> str:
        """The code of why not, or empty."""
        if action in {"rollback", "take_back", "retire"}:
            return self.take(action, version)
        if self.role.get(version) == "live":
            return "already_live"
        if version not in PROVEN and not forced:
            return "gate_failed"
        if action == "candidate" and not sound and not forced:
            return "shadow_unproven"
        if action == "promote":
            if self.role.get(version) != "candidate" and not forced:
                return "not_candidate"
            self.before = [each for each in (*self.before, self.holder("live")) if each not in {"", version}]
        self.give({"promote": "live"}.get(action, action), version)
        return ""

    def take(self, action: str, version: str) -> str:
        if action == "rollback" and not self.holder("live"):
            return "nothing_before"
        if action == "take_back" and not self.holder("candidate"):
            return "no_role"
        if action == "retire" and version not in self.role and version not in self.before:
            return "no_role"
        if action == "retire":
            self.before = [each for each in self.before if each != version]
            self.role.pop(version, None)
            return ""
        del self.role[self.holder("live" if action == "rollback" else "candidate")]
        while action == "rollback" and self.before:
            back = self.before.pop()
            if back in PROVEN:  # the others are damaged, here
                self.give("live", back)
                break
        return ""


def act(model: Model, action: str, version: str, forced: bool, sound: bool) -> Model:
    wish = Wish(version, PASSED if version in PROVEN else FAILED, 1, "because" if forced else "")
    if action == "shadow":
        return shadowed(model, wish)
    if action == "candidate":
        return proposed(model, wish, SOUND if sound else Shadow(asked=ENOUGH - 1))
    if action == "promote":
        return promoted(model, wish)
    if action == "rollback":
        return rolled_back(model, frozenset(PROVEN), 1)
    if action == "retire":
        return retired(model, version, 1)
    return taken_back(model, 1, "harm")


ACTIONS = ("shadow", "candidate", "promote", "rollback", "retire", "take_back")
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(VERSIONS), st.booleans(), st.booleans()), max_size=30
)


def agrees(drawn: list[tuple[str, str, bool, bool]], naive: Naive) -> bool:
    model = Model(LIVE, "next_item")
    for action, version, forced, sound in drawn:
        before, code = model, ""
        try:
            model = act(model, action, version, forced, sound)
        except InvalidInput as error:
            code = error.code
        if code != naive.act(action, version, forced, sound) or (code and model is not before):
            return False
        if any(getattr(model, role) != naive.holder(role) for role in ROLES) or list(model.former) != naive.before:
            return False
        if not code and model.history[-1].action != action:
            return False
    return True


@settings(max_examples=80, deadline=None)
@given(steps)
def test_roles_are_those_of_the_naive_keeper(drawn: list[tuple[str, str, bool, bool]]) -> None:
    assert agrees(drawn, Naive())


class Careless(Naive):
    """Lets a version that failed its gate go on."""

    def act(self, action: str, version: str, forced: bool, sound: bool) -> str:
        return super().act(action, version, forced or action == "shadow", sound)


def test_a_keeper_that_forgets_the_gate_is_seen() -> None:
    assert not agrees([("shadow", "4", False, False)], Careless())
    assert agrees([("shadow", "1", False, False)], Careless())


def test_a_new_version_is_a_shadow_if_it_passed() -> None:
    model = registered(Model(LIVE, "basket"), Wish("1", PASSED, 5))
    assert (model.shadow, [change.action for change in model.history]) == ("1", ["register", "shadow"])
    model = registered(model, Wish("2", FAILED, 6))
    assert model.shadow == "1"


def test_what_is_kept() -> None:
    versions = [f"{number}" for number in range(1, 10)]
    model = Model(LIVE, "basket", live="1", candidate="3", former=("4", "2"))
    assert kept(model, versions) == {"1", "2", "3", *versions[-KEPT:]}


# --- shadows ---


def test_a_shadow_is_doubted_until_it_is_sound() -> None:
    assert f"of {ENOUGH}" in Shadow(asked=3).doubt()
    assert "1 of its 500 answers failed" in Shadow(asked=500, failed=1).doubt()
    slow = Shadow(asked=ENOUGH)
    for number in range(ENOUGH):
        slow.told(0.010 if number % 50 == 0 else 0.0001)
    assert slow.p99 == 12_288
    assert f"may take {SLOWEST}" in slow.doubt()
    assert SOUND.doubt() == ""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 20), max_size=300))
def test_the_99th_of_100_is_the_naive_one(seconds: list[float]) -> None:
    shadow = Shadow()
    for each in seconds:
        shadow.told(each)
    if seconds:
        true = sorted(seconds)[len(seconds) - len(seconds) // 100 - 1] * 1e6
        assert min(true, 8_388_608) <= shadow.p99 <= max(true * 1.51 + 1, 1)
    else:
        assert shadow.p99 == 0


def test_lists_overlap_by_their_first_places() -> None:
    assert overlap([], []) == 1.0
    assert overlap(["a", "b"], ["b", "c", "d", "e"]) == 0.25
    assert overlap([f"{n}" for n in range(20)], [f"{n}" for n in range(10)]) == 1.0


class Counting(TestClock):
    """Each look at it takes a while."""

    def __init__(self, takes: float) -> None:
        super().__init__()
        self.takes = takes
        self.elapsed = 0.0

    def monotonic(self) -> float:
        self.elapsed += self.takes
        return self.elapsed


class Told:
    """A shadow that counts."""

    def __init__(self, says: Callable[[int], float] = lambda _: 0.5) -> None:
        self.says = says
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.says(self.asked)


def itself(said: float) -> float:
    return said


def test_a_shadow_is_asked_for_a_share_of_answers_and_of_the_time() -> None:
    shadows, told = Shadows(world_with(clock=Counting(0))), Told()
    for _ in range(SHARE * 100):
        shadows.ask("default/live/m/1", told, itself)
    assert told.asked == 100
    clock = Counting(0.010)
    shadows, told = Shadows(world_with(clock=clock)), Told()
    for _ in range(SHARE * 100):
        shadows.ask("default/live/m/1", told, itself)
    assert 0 < told.asked * 0.010 <= clock.elapsed / PART + 0.010


def test_what_shadows_say_adds_up_over_processes() -> None:
    world = world_with(clock=Counting(0))
    for _ in range(2):
        shadows, told = Shadows(world), Told(lambda asked: 1 / (asked % 2) / 4)
        for _ in range(SHARE * 10):
            shadows.ask("default/live/m/1", told, itself)
        shadows.flush(ending=True)
        shadows.flush(ending=True)
    assert len(world.registry.documents(KIND)) == 2
    summed = shadow_of(world.registry, LIVE, "m", "1")
    assert (summed.asked, summed.failed, summed.compared) == (20, 10, 10)
    assert summed.agreement == pytest.approx(1 / 4)


# --- the registry ---


@pytest.fixture
def world() -> World:
    return world_with()


def code_of(act: Any) -> str:
    with pytest.raises(CashwrapError) as error:
        act()
    return error.value.code


def sound(world: World, version: str, name: str = "next_item") -> None:
    shadows = Shadows(world)
    for _ in range(SHARE * ENOUGH):
        shadows.ask(f"{LIVE.name}/{name}/{version}", lambda: 1.0, lambda said: said)
    shadows.flush(ending=True)


def test_the_whole_way_to_live_and_back(world: World) -> None:
    first, second = made(world), made(world)
    model = registry.model_of(world.registry, LIVE, "next_item")
    assert (model.shadow, model.role(first)) == (second, None)
    assert code_of(lambda: registry.candidate(world, LIVE, "next_item")) == "shadow_unproven"
    assert code_of(lambda: registry.promote(world, LIVE, "next_item")) == "not_candidate"
    assert code_of(lambda: registry.rollback(world, LIVE, "next_item")) == "nothing_before"
    sound(world, second)
    assert registry.candidate(world, LIVE, "next_item").candidate == second
    assert registry.promote(world, LIVE, "next_item").live == second
    assert registry.promote(world, LIVE, "next_item", first, "trusted").live == first
    assert registry.rollback(world, LIVE, "next_item").live == second
    assert registry.rollback(world, LIVE, "next_item").live == ""
    reasons = [change.reason for change in registry.model_of(world.registry, LIVE, "next_item").history]
    assert "trusted" in reasons


def test_going_back_passes_over_what_is_damaged(world: World) -> None:
    first, second, third = (made(world) for _ in range(3))
    for version in (first, second, third):
        registry.promote(world, LIVE, "next_item", version, "trusted")
    assert world.models is not None
    world.models.rewrite(LIVE, "next_item", second, {"scores.npy": b"damaged"})
    assert registry.rollback(world, LIVE, "next_item").live == first


def test_what_is_damaged_gets_no_role_for_any_reason(world: World) -> None:
    version = made(world)
    assert world.models is not None
    world.models.rewrite(LIVE, "next_item", version, {"scores.npy": b"damaged"})
    for change in (registry.shadow, registry.candidate, registry.promote):
        assert code_of(lambda change=change: change(world, LIVE, "next_item", version, "trusted")) == "model_corrupt"


def test_one_that_failed_its_gate_needs_a_reason(world: World) -> None:
    version = made(world, gate=FAILED)
    for change in (registry.shadow, registry.candidate, registry.promote):
        assert code_of(lambda change=change: change(world, LIVE, "next_item", version)) == "gate_failed"
    assert registry.shadow(world, LIVE, "next_item", version, "to see").shadow == version


def test_versions_are_found_by_role_and_by_either_end(world: World) -> None:
    first, second = made(world), made(world)
    model = registry.model_of(world.registry, LIVE, "next_item")
    for text, version in [("", second), ("shadow", second), (first, first), (first[-6:], first), (first[:15], first)]:
        assert registry.find(world, model, text) == version
    assert code_of(lambda: registry.find(world, model, "2026")) == "ambiguous_version"
    for text in ("live", "candidate", "nothing"):
        assert code_of(lambda text=text: registry.find(world, model, text)) == "no_such_model"
    assert code_of(lambda: registry.shadow(world, LIVE, "unknown")) == "no_such_model"


def test_old_versions_go_with_what_was_said_of_them(world: World) -> None:
    versions = [made(world)]
    registry.promote(world, LIVE, "next_item", versions[0], "first")
    versions += [made(world)]
    sound(world, versions[1])
    versions += [made(world) for _ in range(KEPT + 1)]
    assert registry.versions_of(world, LIVE, "next_item") == [versions[0], *versions[-KEPT:]]
    assert world.registry.documents(KIND) == {}
    assert len(registry.listed(world, LIVE)) == KEPT + 1
    assert made(world, name="basket") in registry.versions_of(world, LIVE, "basket")


def test_what_is_listed(world: World) -> None:
    version = made(world)
    other = made(world, gate=FAILED)
    assert world.models is not None
    world.models.rewrite(LIVE, "next_item", other, {"manifest.json": b"damaged"})
    newest, first = registry.listed(world, LIVE)
    assert (first.version, first.role, first.fault) == (version, "shadow", "")
    assert newest.manifest is None
    assert newest.fault.startswith("model_corrupt")


@pytest.mark.parametrize("name", ["", "Next", "../up", "a" * 70, "next item"])
def test_a_model_has_a_plain_name(world: World, name: str) -> None:
    assert code_of(lambda: registry.register(world, LIVE, draft(name=name))) == "invalid_name"


def test_without_a_place_for_models_it_is_said(world: World) -> None:
    bare = World(*(getattr(world, name) for name in World.__struct_fields__[:8]))
    assert code_of(lambda: registry.register(bare, LIVE, draft())) == "no_models"
