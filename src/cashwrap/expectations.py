"""What a playbook's author expects of it: shoppers in ``expect/*.yaml``, walked through the true fold and decision.

A case gives what happened (events as the tracking API takes them, consent, the moment) and what a page asks, and names
the segments and experiences that must come of it. A case that fails keeps the change from being published.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import msgspec
from msgspec import Struct

from cashwrap import consent, profiles
from cashwrap.condition.evaluate import Explanation
from cashwrap.condition.evaluate import explain as explain_condition
from cashwrap.declarations import ExperienceDecl, Spot
from cashwrap.errors import InvalidInput
from cashwrap.events import Limits, Normaliser, Refused, RequestFacts, decode_batch
from cashwrap.experiences import arms_of, salt_of
from cashwrap.explain import Explained, explain
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Known, Past, gather
from cashwrap.keys import ApiKey
from cashwrap.model import (
    PERSONALIZATION,
    ConsentState,
    Event,
    Grant,
    Inputs,
    Millis,
    Profile,
    Promise,
    Reason,
    Tenant,
    Value,
)
from cashwrap.offers.benefits import major
from cashwrap.offers.guard import needs_memory
from cashwrap.playbook import Playbook
from cashwrap.playbook.document import Node, read_document
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.schema import CLOSED, DEFINITIONS, PURPOSES
from cashwrap.playbook.shape import Shape
from cashwrap.predicting import Given
from cashwrap.request import DecideRequest, PageContext, unread_keys

MAX_CASES = 1_000
NOON: Millis = 1_768_478_400_000
"""Thursday, 15 January 2026, 12:00 UTC: when a case happens that names no moment."""
LONGEST_AGO: Millis = 5_000 * 86_400_000
"""How far back an event of a case may lie."""
WHO = "expected"
"""The anonymous id of a case that gives none."""


class Happened(Struct, frozen=True):
    """One event of a case: its body as the tracking API takes it, and who sends it."""

    body: dict[str, object]
    time: Millis
    browser: bool
    spot: Spot


class Wanted(Struct, frozen=True):
    """What must come of one placement: each where it was written, or ``None`` where nothing is said of it."""

    spot: Spot
    shows: str | None = None
    """The experience, or ``default``."""
    variation: str | None = None
    reason: str | None = None
    offer: str | None = None
    """The offer granted with it, or ``none``."""
    amount: str | None = None
    """What it takes off, in major units."""


class Case(Struct, frozen=True):
    """One shopper at one moment, and what must come of it."""

    name: str
    spot: Spot
    now: Millis = NOON
    consent: tuple[str, ...] = ()
    country: str | None = None
    user: str | None = None
    events: tuple[Happened, ...] = ()
    context: PageContext = PageContext()
    inside: dict[str, Spot] = {}
    """Segments the shopper must be in."""
    outside: dict[str, Spot] = {}
    placements: dict[str, "Wanted"] = {}
    who: str = WHO
    """The anonymous id, which assigns."""
    arms: dict[str, tuple[str, Spot]] = {}
    """The arm of an experience that the shopper saw before, and so stays in."""
    closed: dict[str, tuple[str, Spot]] = {}
    """Offers that cannot be granted, and why."""
    promised: dict[str, tuple[Millis, Spot]] = {}
    """Offers that run for the shopper, and for how much longer."""
    predicted: dict[str, tuple[float | str, Spot]] = {}
    """What models tell of the shopper."""


# --- reading ---


def read_cases(files: Mapping[str, str], faults: Faults) -> list[Case]:
    """The cases of some files, by name. Mistakes go to ``faults``; sound cases are returned all the same."""
    cases: list[Case] = []
    for name, text in sorted(files.items()):
        document = read_document(name, text, faults)
        shape = Shape(document, faults)
        if document.root is None or document.root.value is None:
            continue
        if not isinstance(document.root.value, list):
            shape.fail(document.root, "wrong_type", "cases are a list: write each as '- name: ...'")
            continue
        cases += [case for node in document.root.value if (case := _case(shape, node)) is not None]
    if len(cases) > MAX_CASES:
        faults.error(cases[MAX_CASES].spot, "too_many", f"a playbook may have {MAX_CASES} cases")
    return cases[:MAX_CASES]


def _case(shape: Shape, node: Node) -> Case | None:
    before = len(shape.faults)
    fields = shape.fields(node, DEFINITIONS["case"], "a case")
    if "name" not in fields or "expect" not in fields:
        return None
    given_node, expect_node = fields.get("given"), fields["expect"]
    given = shape.fields(given_node, DEFINITIONS["given"], "'given'") if given_node is not None else {}
    expect = shape.fields(expect_node, DEFINITIONS["expect"], "'expect'")
    now = _moment(shape, given["now"]) if "now" in given else NOON
    segments = (
        shape.fields(expect["segments"], DEFINITIONS["expect_segments"], "'segments'") if "segments" in expect else {}
    )
    country, who, user = given.get("country"), given.get("as"), given.get("user")
    case = Case(
        name=shape.text(fields["name"], "a name"),
        spot=shape.spot(node),
        now=now,
        consent=tuple(_purposes(shape, given.get("consent"))),
        country=shape.text(country, "a country") if country is not None else None,
        user=shape.text(user, "a user id") if user is not None else None,
        events=tuple(_events(shape, given, now)),
        context=_context(shape, given.get("context")),
        inside=_named(shape, segments.get("in")),
        outside=_named(shape, segments.get("out")),
        placements=shape.mapped(expect.get("placements"), "placements", lambda value: _wanted(shape, value)),
        who=shape.text(who, "an anonymous id") if who is not None else WHO,
        arms=shape.mapped(
            given.get("in_arms"), "in_arms", lambda value: (shape.text(value, "an arm"), shape.spot(value))
        ),
        closed=shape.mapped(
            given.get("closed"),
            "closed",
            lambda value: (shape.choice(value, CLOSED, "a reason") or "", shape.spot(value)),
        ),
        promised=shape.mapped(
            given.get("promised"), "promised", lambda value: (shape.duration(value, "how long") or 0, shape.spot(value))
        ),
        predicted=shape.mapped(
            given.get("predicted"), "predicted", lambda value: (_told(shape, value), shape.spot(value))
        ),
    )
    return case if len(shape.faults) == before else None


def _told(shape: Shape, node: Node) -> float | str:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        shape.fail(node, "wrong_type", "a model tells a number such as 0.7, or a category")
        return ""
    return value if isinstance(value, str) else float(value)


def _purposes(shape: Shape, node: Node | None) -> Iterator[str]:
    for member in shape.items(node, "consent"):
        purpose = shape.choice(member, PURPOSES, "a purpose")
        if purpose and purpose != "necessary":
            yield purpose


def _named(shape: Shape, node: Node | None) -> dict[str, Spot]:
    return {shape.text(member, "a segment"): shape.spot(member) for member in shape.items(node, "segments")}


def _wanted(shape: Shape, node: Node) -> Wanted:
    """An experience alone, or with the arm and the reason."""
    spot = shape.spot(node)
    if not isinstance(node.value, dict):
        return Wanted(spot, shape.text(node, "an experience"))
    fields = shape.fields(node, DEFINITIONS["expect_placement"], "a placement")
    if not fields:
        shape.fail(node, "empty", "say what it 'shows', which 'variation', for what 'reason', or which 'offer'")
    texts = {key: shape.text(value, f"{key!r}") for key, value in fields.items() if key not in {"reason", "amount"}}
    amount = shape.amount(fields["amount"], "an amount") if "amount" in fields else None
    reason = shape.choice(fields["reason"], get_args(Reason), "a reason") if "reason" in fields else None
    return Wanted(spot, texts.get("shows"), texts.get("variation"), reason, texts.get("offer"), amount)


def _moment(shape: Shape, node: Node) -> Millis:
    text = shape.text(node, "a moment")
    try:
        moment: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not 2000 <= moment.year < 2100:
        if text:
            shape.fail(node, "bad_value", "write a moment of this century as 2026-03-02T20:30:00+01:00")
        return NOON
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _events(shape: Shape, given: Mapping[str, Node], now: Millis) -> Iterator[Happened]:
    """Who it is as a call of ``identify``, then the events."""
    user, traits = given.get("user"), given.get("traits")
    who = {"userId": shape.text(user, "a user id")} if user is not None else {}
    told = traits if traits is not None else user
    if told is not None:
        body = {"type": "identify", **who, "traits": plain(traits) if traits is not None else {}}
        yield Happened(body, now, browser=False, spot=shape.spot(told))
    for node in shape.items(given.get("events"), "events"):
        fields = shape.fields(node, DEFINITIONS["happened"], "an event")
        ago = shape.duration(fields.get("ago"), "'ago'") or 0
        if ago > LONGEST_AGO:
            shape.fail(fields["ago"], "bad_value", "'ago' is at most 5000d")
            ago = 0
        body = {"type": "track", **who, "event": plain(fields["event"]) if "event" in fields else ""}
        body |= {key: plain(fields[key]) for key in ("properties", "context") if key in fields}
        browser = shape.flag(fields.get("browser"), "browser", default=False)
        times = shape.integer(fields.get("times"), "'times'", (1, 1000), 1)
        for count in range(times):
            yield Happened(body, now - ago + count, browser, shape.spot(node))


def _context(shape: Shape, node: Node | None) -> PageContext:
    if node is None:
        return PageContext()
    given = plain(node)
    for key in unread_keys(given):
        shape.fail(node, "unknown_key", f"a context has no {key!r}; it is what POST /v1/decide takes")
    try:
        return msgspec.convert(given, PageContext)
    except msgspec.ValidationError as error:
        shape.fail(node, "bad_value", f"the context is what POST /v1/decide takes: {error}")
        return PageContext()


def plain(node: Node) -> object:
    """A node's value without its places."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    return [plain(value) for value in node.value] if isinstance(node.value, list) else node.value


# --- running ---


def run_cases(playbook: Playbook, cases: list[Case], faults: Faults) -> None:
    """Walk every case through fold and decision, and complain of each that ends otherwise than expected."""
    for case in cases:
        _Run(playbook, case, faults).judge()


class _Run:
    """One case against one playbook."""

    def __init__(self, playbook: Playbook, case: Case, faults: Faults) -> None:
        self.playbook = playbook
        self.case = case
        self.faults = faults
        self.values: dict[str, Value] = {}

    def judge(self) -> None:
        before = len(self.faults)
        arms = self.arms()
        if len(self.faults) > before:
            return  # what follows would be about another shopper
        for name, (_, spot) in (*self.case.closed.items(), *self.case.promised.items()):
            self.is_offer(name, spot)
        for name, (_, spot) in self.case.predicted.items():
            if name not in (known := self.playbook.predictions):
                hint = self.faults.did_you_mean(name, known) or f"; there are {', '.join(known)}"
                self.faults.error(spot, "unknown_attribute", f"{name!r} is not a prediction{hint}")
        profile = self.walk()
        inputs = self.inputs(profile, arms)
        self.values = self.evaluate(inputs, profile)
        self.judge_segments()
        if self.case.placements:
            answers = explain(self.playbook.experiences, inputs)
            for name, wanted in self.case.placements.items():
                self.judge_placement(name, wanted, answers.get(name))

    def fail(self, spot: Spot, message: str) -> None:
        self.faults.error(spot, "expectation_failed", f"{self.case.name}: {message}")

    # --- what happened ---

    def walk(self) -> Profile | None:
        """The shopper's profile after everything that happened, as far as consent let it be kept."""
        profile: Profile | None = None
        settings, vocabulary = self.playbook.settings, self.playbook.vocabulary
        for event in self.events():
            state = profile.consent if profile is not None else ConsentState()
            mask = consent.gate(state, event, settings)
            if not vocabulary.purpose(event) & mask and not (profile is not None and event.choices):
                continue
            if profile is None:
                profile = Profile(id=bytes(16), analytic_id=bytes(16), created=event.received)
            profiles.fold(profile, msgspec.structs.replace(event, mask=mask), self.playbook.features)
        return profile

    def events(self) -> list[Event]:
        """The events through the true front door, in the order they happened; consent came before them all."""
        case = self.case
        normaliser = Normaliser(self.playbook.vocabulary, self.playbook.settings, _digest)
        first = min((happened.time for happened in case.events), default=case.now)
        told = list(case.events)
        if case.consent:
            body: dict[str, object] = {"type": "consent", "choices": dict.fromkeys(case.consent, "granted")}
            told.insert(0, Happened(body, first - 1, browser=False, spot=case.spot))
        events: list[Event] = []
        for number, happened in enumerate(sorted(told, key=lambda each: each.time)):
            agent = _AGENTS.get(case.context.device.type or "", _DESKTOP) if happened.browser else None
            facts = RequestFacts(
                case.now, "expect", trusted=not happened.browser, user_agent=agent, country=case.country, historic=True
            )
            body = {**happened.body, "messageId": f"case-{number}", "anonymousId": case.who}
            body["timestamp"] = datetime.fromtimestamp(happened.time / 1000, UTC).isoformat()
            try:
                batch = decode_batch(_encode({"batch": [body]}), Limits())
                found = normaliser.batch(batch, facts)
            except InvalidInput as error:
                self.fail(happened.spot, f"this event cannot be read: {error.message}")
                continue
            for each in found:
                if isinstance(each, Refused):
                    self.fail(happened.spot, f"this event is refused ({each.code} {each.path}): {each.message}")
                else:
                    events.append(each)
        return events

    def inputs(self, profile: Profile | None, arms: Mapping[str, str]) -> Inputs:
        case, tenant = self.case, Tenant()
        key = ApiKey("expect", "secret", tenant, b"")
        facts = RequestFacts(case.now, key.id, trusted=True, country=case.country)
        request = DecideRequest(context=case.context)
        hot = HotProfile(profile, b"", None) if profile is not None else None
        ids = {"anonymous": case.who, "user": case.user or "", "cart": case.context.cart.token or ""}
        units = {unit: name for unit, name in ids.items() if name}
        models = Given({name: told for name, (told, _) in case.predicted.items()})
        known = Known(units, hot, past=self.past, models=models)
        inputs = gather(self.playbook, request, Caller(key, facts), known, case.now).inputs
        return msgspec.structs.replace(inputs, arms={**inputs.arms, **arms})

    def past(self, mask: int) -> Past:
        """What the case says of the shopper's offers; without consent nothing that has a clock is granted."""
        offers, case = self.playbook.offers, self.case
        nobody = [name for name, each in offers.items() if needs_memory(each) and not mask & PERSONALIZATION]
        promised = {name: Promise(case.now + left) for name, (left, _) in case.promised.items()}
        return Past(
            {**dict.fromkeys(nobody, "nobody"), **{name: why for name, (why, _) in case.closed.items()}}, promised
        )

    def arms(self) -> dict[str, str]:
        """The arms seen before, by their experiments' salts, as the shopper's memory has them."""
        found: dict[str, str] = {}
        for name, (arm, spot) in self.case.arms.items():
            declared = self.declared_experience(name, spot)
            experiment = declared.experiment if declared is not None else None
            if declared is None:
                continue
            if experiment is None or not experiment.sticky:
                why = "has no experiment" if experiment is None else "has an experiment that is not sticky; use 'as'"
                self.faults.error(spot, "not_judged", f"{name!r} {why}")
            elif arm not in arms_of(declared):
                hint = self.faults.did_you_mean(arm, arms_of(declared)) or f"; it has {', '.join(arms_of(declared))}"
                self.faults.error(spot, "unknown_arm", f"{arm!r} is not an arm of {name!r}{hint}")
            else:
                found[salt_of(declared, experiment)] = arm
        return found

    def declared_experience(self, name: str, spot: Spot) -> ExperienceDecl | None:
        """An experience, or a complaint that there is none."""
        declared = self.playbook.declarations.experiences
        if name not in declared:
            hint = self.faults.did_you_mean(name, declared)
            self.faults.error(spot, "unknown_experience", f"{name!r} is not an experience{hint}")
        return declared.get(name)

    def is_offer(self, name: str, spot: Spot) -> bool:
        """Whether there is such an offer, or a complaint."""
        known = self.playbook.offers
        if name not in known:
            self.faults.error(spot, "unknown_offer", f"{name!r} is not an offer{self.faults.did_you_mean(name, known)}")
        return name in known

    # --- what must come of it ---

    def evaluate(self, inputs: Inputs, profile: Profile | None) -> dict[str, Value]:
        """Everything the decision could know, with all segments and not only those it asks for."""
        values: dict[str, Value] = dict(inputs.values)
        allowed = profile is not None and values["consent.personalization"] is True
        self.playbook.segments.evaluate(values, profiles.lists(profile) if profile is not None and allowed else None)
        return values

    def judge_segments(self) -> None:
        for wanted, named in ((True, self.case.inside), (False, self.case.outside)):
            for name, spot in named.items():
                if name not in self.playbook.segments.names:
                    hint = self.faults.did_you_mean(name, self.playbook.segments.names)
                    self.faults.error(spot, "unknown_segment", f"{name!r} is not a segment{hint}")
                elif (self.values[f"segments.{name}"] is True) is not wanted:
                    where = "inside" if wanted else "outside"
                    self.fail(spot, f"expected {where} segment {name}: {self.segment_told(name)}")

    def segment_told(self, name: str) -> str:
        segment = next(each for each in self.playbook.segments.ordered if each.name == name)
        if segment.checked is None:
            return "its members are pushed in"
        return self.told(explain_condition(segment.checked, self.values))

    def judge_placement(self, name: str, wanted: Wanted, found: Explained | None) -> None:
        placement, spot = self.playbook.declarations.placements.get(name), wanted.spot
        if found is None or placement is None:
            hint = self.faults.did_you_mean(name, self.playbook.declarations.placements)
            self.faults.error(spot, "unknown_placement", f"{name!r} is not a placement{hint}")
            return
        if wanted.shows not in {None, "default"} and self.declared_experience(wanted.shows or "", spot) is None:
            return
        if placement.component == "products":
            message = f"{name!r} shows products, which depend on the catalogue; a case cannot name it"
            self.faults.error(spot, "not_judged", message)
            return
        answer = found.answer
        shows = answer.experience if answer.experience is not None and answer.content is not None else "default"
        if wanted.shows not in {None, shows}:
            self.fail(spot, f"{name} shows {shows}, expected {wanted.shows}{self.why(wanted.shows or '', found)}")
            return
        for what, got, expected in (
            ("the variation", answer.variation, wanted.variation),
            ("the reason", answer.reason, wanted.reason),
        ):
            if expected not in {None, got}:
                told = self.why(answer.experience or "", found)
                self.fail(spot, f"{what} of {name} is {got or 'none'}, expected {expected}{told}")
        self.judge_offer(name, wanted, answer.offer)

    def judge_offer(self, name: str, wanted: Wanted, grant: Grant | None) -> None:
        offer, spot = wanted.offer, wanted.spot
        if offer not in {None, "none"} and not self.is_offer(offer or "", spot):
            return
        granted = grant.offer if grant is not None else "none"
        if offer not in {None, granted}:
            self.fail(spot, f"{name} grants {granted}, expected {offer}")
            return
        amount = major(grant.amount, grant.currency) if grant is not None else "nothing"
        if wanted.amount is not None and (grant is None or Decimal(amount) != Decimal(wanted.amount)):
            self.fail(spot, f"{name} takes {amount} off, expected {wanted.amount}")

    def why(self, wanted: str, found: Explained) -> str:
        for each in found.considered:
            if each.experience == wanted:
                told = f": {self.told(each.condition)}" if each.condition and not each.condition.result else ""
                return f" ({each.outcome}: {each.why}{told})"
        return ""

    def told(self, explanation: Explanation) -> str:
        """The smallest parts that made a condition what it is, with the values they read, through segments too."""
        parts = [part for part in explanation.parts if part.result == explanation.result]
        if parts:
            return "; ".join(self.told(part) for part in parts)
        read = ", ".join(self.read(name, value) for name, value in explanation.values.items())
        result = {True: "holds", False: "does not hold", None: "is unknown"}[explanation.result]
        return f"{explanation.text!r} {result}" + (f" as {read}" if read else "")

    def read(self, name: str, value: object) -> str:
        segment = name.removeprefix("segments.")
        return f"{name} is {self.playbook.written(name, value)}" if segment == name else self.segment_told(segment)


_DESKTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_AGENTS = {
    "mobile": "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
    "tablet": "Mozilla/5.0 (Android 14; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0",
}
"""Who sends the browser's events of a case: without a user agent they would count as a bot's."""


def _digest(*parts: str) -> bytes:
    """Stands in for the data folder's keyed hash: a case has no data folder."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()


_encode = msgspec.json.Encoder(decimal_format="number").encode
