"""Consent against a small reference model written from the design's text: every source, scope, order and signal."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import consent
from cashwrap.declarations import Settings
from cashwrap.model import Choice, ConsentState, Event, Purpose, Where

NOW = 1_763_798_400_000
EXEMPT = Settings(gpc_allows_personalization={"DE": "no sale of data under local law, reviewed 2026-01"})
PURPOSES = ("analytics", "personalization", "advertising")


# --- the reference model: a set of statements, no state, no order ---


class Said(NamedTuple):
    """One statement of a shopper about one purpose. ``granted`` is ``None`` for "unknown"."""

    scope: str
    granted: bool | None
    time: int
    gpc: bool


def verdict(said: Iterable[Said], scope: str) -> tuple[bool | None, bool]:
    """What one scope says: its newest explicit statement, a denial if two of one moment differ."""
    explicit = [one for one in said if one.scope == scope and one.granted is not None]
    if not explicit:
        return None, False
    last = [one for one in explicit if one.time == max(other.time for other in explicit)]
    return all(one.granted for one in last), all(one.gpc for one in last if one.granted)


def reference(purpose: str, said: Sequence[Said], *, request_gpc: bool, exempt: bool) -> bool:
    """Whether a purpose is allowed, after everything said in whatever order."""
    (device, device_gpc), (person, person_gpc) = verdict(said, "device"), verdict(said, "person")
    if False in {device, person} or {device, person} == {None}:
        return False
    if not request_gpc or purpose == "analytics":
        return True
    if purpose == "advertising":
        return False
    return exempt or (device is True and device_gpc) or (person is True and person_gpc)


# --- the real thing, driven the same way ---


def event(choices: dict[str, str], **more: object) -> Event:
    fields: dict[str, object] = {"id": "m", "name": "Consent Updated", "time": NOW, "received": NOW}
    fields |= {"mask": 0, "source": "k", "choices": choices}
    return Event(**(fields | more))  # type: ignore[arg-type]


def saying(purpose: str, said: Said) -> Event:
    word = {True: "granted", False: "denied", None: "unknown"}[said.granted]
    return event({purpose: word}, time=NOW + said.time, scope=said.scope, gpc=said.gpc)


def state_of(purpose: str, said: Iterable[Said]) -> ConsentState:
    state = ConsentState()
    for one in said:
        consent.apply_choice(state, saying(purpose, one))
    return state


STATEMENTS = [
    Said(*parts) for parts in itertools.product(("device", "person"), (True, False, None), (0, 1), (True, False))
]


def check_truth_table(longest: int = 2) -> None:
    """Every ordered sequence of statements, with and without the signal and the exemption; each answer compared."""
    orders = itertools.chain.from_iterable(
        itertools.product(STATEMENTS, repeat=length) for length in range(longest + 1)
    )
    for said, purpose in itertools.product(orders, PURPOSES):
        state = state_of(purpose, said)
        for gpc, market in itertools.product((False, True), (None, "DE")):
            mask = consent.mask_of(state, gpc=gpc, market=market, settings=EXEMPT)
            expected = reference(purpose, said, request_gpc=gpc, exempt=market == "DE")
            assert bool(mask & consent.BY_NAME[purpose]) == expected, (said, purpose, gpc, market)
            assert mask & Purpose.NECESSARY
            assert not mask & ~(consent.BY_NAME[purpose] | Purpose.NECESSARY)


def check_gate() -> None:
    """One stored statement, then one that comes with the event: what may be kept of that event."""
    for stored, own, purpose in itertools.product([None, *STATEMENTS], STATEMENTS, PURPOSES):
        before = [] if stored is None else [stored]
        state = state_of(purpose, before)
        mask = consent.gate(state, saying(purpose, own), EXEMPT)
        expected = own.granted is not False and reference(purpose, [*before, own], request_gpc=own.gpc, exempt=False)
        assert bool(mask & consent.BY_NAME[purpose]) == expected, (stored, own, purpose)
        assert mask & Purpose.NECESSARY
        assert state == state_of(purpose, before), "the gate changes nothing"


def check_withdrawal() -> None:
    """A denial names what it takes away, once; a grant takes nothing."""
    for said, own in itertools.product(itertools.product(STATEMENTS, repeat=1), STATEMENTS):
        state = state_of("analytics", said)
        was = [verdict(said, scope)[0] for scope in ("device", "person")]
        newly = consent.apply_choice(state, saying("analytics", own))
        now = [verdict([*said, own], scope)[0] for scope in ("device", "person")]
        assert newly == (Purpose.ANALYTICS if False in now and False not in was else Purpose(0)), (said, own)


CHECKS: tuple[Callable[[], None], ...] = (check_truth_table, check_gate, check_withdrawal)


def check_all() -> None:
    for check in CHECKS:
        check()


@pytest.mark.parametrize("check", CHECKS)
def test_agrees_with_the_reference_model(check: Callable[[], None]) -> None:
    check()


def test_orders_of_three_statements_agree() -> None:
    few = [Said("device", True, 0, gpc=True), Said("device", False, 1, gpc=False), Said("person", True, 1, gpc=False)]
    few += [Said("device", True, 1, gpc=True), Said("person", False, 0, gpc=True), Said("person", None, 1, gpc=False)]
    for said in itertools.product(few, repeat=3):
        answers = {
            consent.mask_of(state_of("personalization", order), gpc=True) for order in itertools.permutations(said)
        }
        assert len(answers) == 1
        allowed = reference("personalization", said, request_gpc=True, exempt=False)
        assert bool(answers.pop() & Purpose.PERSONALIZATION) == allowed


# --- planted bugs: each must turn a check red ---


def older(one: Choice, other: Choice) -> Choice:
    return min(one, other, key=lambda choice: choice.time)


def tie_grants(one: Choice, other: Choice) -> Choice:
    return max(one, other, key=lambda choice: (choice.time, choice.granted))


def last_heard(one: Choice, other: Choice) -> Choice:
    return other


def tie_keeps_gpc(one: Choice, other: Choice) -> Choice:
    return max(one, other, key=lambda choice: (choice.time, not choice.granted, choice.gpc))


def person_wins(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    winner = person or device
    return winner is not None and winner.granted and (not heeded or winner.gpc)


def unknown_revokes(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    both = [choice for choice in (device, person) if choice is not None and choice.granted]
    return len(both) == 2 and (not heeded or any(choice.gpc for choice in both))


def any_grant_is_enough(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    return any(choice is not None and choice.granted for choice in (device, person))


def unknown_allows(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    return all(choice is None or choice.granted for choice in (device, person)) and not heeded


def grants_despite_signal(device: Choice | None, person: Choice | None, *, heeded: bool) -> bool:
    known = [choice for choice in (device, person) if choice is not None]
    return bool(known) and all(choice.granted for choice in known)


def everywhere_exempt(market: str | None, settings: Settings | None) -> str | None:
    return "planted"


def nowhere_exempt(market: str | None, settings: Settings | None) -> str | None:
    return None


def never_denied(state: ConsentState, name: str) -> bool:
    return False


PLANTED = [
    ("newer", older),
    ("newer", tie_grants),
    ("newer", last_heard),
    ("newer", tie_keeps_gpc),
    ("_granted", person_wins),
    ("_granted", unknown_revokes),
    ("_granted", any_grant_is_enough),
    ("_granted", unknown_allows),
    ("_granted", grants_despite_signal),
    ("gpc_exemption", everywhere_exempt),
    ("gpc_exemption", nowhere_exempt),
    ("_denied", never_denied),
]


@pytest.mark.parametrize(("name", "bug"), PLANTED, ids=[bug.__name__ for _, bug in PLANTED])
def test_a_planted_bug_is_caught(name: str, bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, name, bug)
    with pytest.raises(AssertionError):
        check_all()


def test_a_gate_that_forgets_the_events_own_denial_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = consent.gate

    def forgetful(state: ConsentState | None, one: Event, settings: Settings) -> int:
        return honest(state, one, settings) | consent.mask_of(state or ConsentState())

    monkeypatch.setattr(consent, "gate", forgetful)
    with pytest.raises(AssertionError):
        check_gate()


# --- merges ---

choices = st.builds(
    Choice,
    granted=st.booleans(),
    time=st.integers(0, 3),
    source=st.sampled_from(["", "banner", "account"]),
    gpc=st.booleans(),
)
scopes = st.dictionaries(st.sampled_from(PURPOSES), choices)
states = st.builds(ConsentState, device=scopes, person=scopes)


@settings(deadline=None)
@given(states, states, states)
def test_merge_does_not_care_about_order(a: ConsentState, b: ConsentState, c: ConsentState) -> None:
    assert consent.merge(a, b) == consent.merge(b, a)
    assert consent.merge(consent.merge(a, b), c) == consent.merge(a, consent.merge(b, c))
    assert consent.merge(a, a) == a


@settings(deadline=None)
@given(states, states)
def test_a_merge_never_loses_an_explicit_denial_that_is_newest(a: ConsentState, b: ConsentState) -> None:
    merged = consent.merge(a, b)
    for name in PURPOSES:
        known = [state.person[name] for state in (a, b) if name in state.person]
        if known:
            newest = [choice for choice in known if choice.time == max(one.time for one in known)]
            assert merged.person[name].granted == all(choice.granted for choice in newest)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.booleans()), max_size=6), st.randoms())
def test_choices_split_over_two_devices_merge_to_the_same_state(parts: list[tuple[Said, bool]], random) -> None:  # type: ignore[no-untyped-def]
    whole = state_of("analytics", [said for said, _ in parts])
    random.shuffle(parts)
    left = state_of("analytics", [said for said, here in parts if here])
    right = state_of("analytics", [said for said, here in parts if not here])
    assert consent.merge(left, right) == whole


def test_unknown_never_revokes_at_a_merge() -> None:
    person = state_of("personalization", [Said("person", True, 0, gpc=False)])
    assert consent.merge(ConsentState(), person) == person
    assert consent.mask_of(consent.merge(ConsentState(), person)) & Purpose.PERSONALIZATION


# --- servers, imports, categories ---


def test_a_server_event_without_consent_uses_what_is_stored() -> None:
    stored = state_of("analytics", [Said("person", True, 0, gpc=False)])
    plain = event({}, name="Order Completed", trusted=True)
    assert consent.gate(stored, plain, Settings()) == Purpose.ANALYTICS | Purpose.NECESSARY
    assert consent.gate(ConsentState(), plain, Settings()) == Purpose.NECESSARY
    assert consent.gate(None, plain, Settings()) == Purpose.NECESSARY


def test_an_import_counts_with_its_basis_except_where_someone_refused() -> None:
    basis = consent.basis(["analytics", "personalization"])
    row = event({}, name="Order Completed", mask=basis)
    assert consent.gate(None, row, Settings()) == basis
    refused = state_of("analytics", [Said("device", False, 0, gpc=False)])
    assert consent.gate(refused, row, Settings()) == Purpose.PERSONALIZATION | Purpose.NECESSARY
    assert consent.basis([]) == Purpose.NECESSARY
    with pytest.raises(KeyError):
        consent.basis(["world domination"])


def test_the_market_of_the_event_decides_about_the_exemption() -> None:
    stored = state_of("personalization", [Said("device", True, 0, gpc=False)])
    for country, allowed in (("DE", True), ("US", False), (None, False)):
        signalled = event({}, name="Page Viewed", gpc=True, where=Where(country=country))
        assert bool(consent.gate(stored, signalled, EXEMPT) & Purpose.PERSONALIZATION) is allowed
    assert consent.gpc_exemption("DE", EXEMPT) == "no sale of data under local law, reviewed 2026-01"


@pytest.mark.parametrize(
    ("preferences", "mapped", "expected"),
    [
        ({"C0002": True}, {}, {"analytics": "granted"}),
        ({"C0001": True}, {}, {}),
        ({"C0003": False, "C0004": True}, {}, {"personalization": "denied", "advertising": "granted"}),
        ({"Analytics": True, "Marketing": False}, {}, {"analytics": "granted", "advertising": "denied"}),
        ({"personalization_storage": True}, {}, {"personalization": "granted"}),
        ({"C0004": True, "C0005": False}, {}, {"advertising": "denied"}),
        ({"C0005": False, "C0004": True}, {}, {"advertising": "denied"}),
        (
            {"C0002": True},
            {"C0002": ("analytics", "personalization")},
            {"analytics": "granted", "personalization": "granted"},
        ),
        ({"C0002": True}, {"C0002": ()}, {}),
        ({"banana": True}, {}, {}),
        ({"necessary": False}, {}, {}),
    ],
)
def test_categories_become_choices(
    preferences: dict[str, bool], mapped: dict[str, tuple[str, ...]], expected: dict[str, str]
) -> None:
    assert consent.from_categories(preferences, mapped) == expected


def test_a_choice_keeps_its_source_time_and_signal() -> None:
    state = ConsentState()
    consent.apply_choice(state, event({"analytics": "granted"}, gpc=True, properties={"source": "banner"}))
    assert state.device == {"analytics": Choice(granted=True, time=NOW, source="banner", gpc=True)}
    assert state.person == {}


def test_necessary_and_nonsense_cannot_be_chosen() -> None:
    state = ConsentState()
    assert not consent.apply_choice(state, event({"necessary": "denied", "analytics": "maybe"}))
    assert state == ConsentState()
    assert consent.mask_of(state) == Purpose.NECESSARY


def test_allowed_asks_for_any_of_the_purposes() -> None:
    assert consent.allowed(Purpose.ANALYTICS | Purpose.PERSONALIZATION, Purpose.ANALYTICS | Purpose.NECESSARY)
    assert not consent.allowed(Purpose.ADVERTISING, Purpose.ANALYTICS | Purpose.NECESSARY)
