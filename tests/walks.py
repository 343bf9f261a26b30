"""A shopper for tests: walks events through the true front door and fold, and says which segments that makes."""

import hashlib
from datetime import UTC, datetime

import msgspec

from cashwrap import consent, profiles
from cashwrap.events import Limits, Normaliser, Refused, RequestFacts, decode_batch
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Known, gather
from cashwrap.keys import ApiKey
from cashwrap.memberships import standing_values
from cashwrap.model import ConsentState, Inputs, Profile, Tenant
from cashwrap.playbook import Playbook
from cashwrap.predicting import NOTHING_LEARNED, Learned
from cashwrap.request import DecideRequest, PageContext

START = int(datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp() * 1000)
"""A Monday, noon in UTC."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
MINUTE = 60_000
DAY = 86_400_000


def digest(*parts: str) -> bytes:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()


class Shopper:
    """Everything this shopper does happens at ``now``; time moves with ``wait``."""

    def __init__(self, playbook: Playbook, *, granted: tuple[str, ...] = ("personalization",)) -> None:
        self.playbook = playbook
        self.normaliser = Normaliser(playbook.vocabulary, playbook.settings, digest)
        self.now = START
        self.profile: Profile | None = None
        self.count = 0
        self.version = 0
        if granted:
            self.choose(**dict.fromkeys(granted, "granted"))

    def wait(self, *, days: float = 0, minutes: float = 0) -> "Shopper":
        self.now += int(days * DAY + minutes * MINUTE)
        return self

    def choose(self, **choices: str) -> "Shopper":
        return self._send({"type": "consent", "choices": choices})

    def does(self, event: str, *, browser: bool = False, context: object = None, **properties: object) -> "Shopper":
        body = {"type": "track", "event": event, "properties": properties}
        return self._send(body | ({"context": context} if context else {}), browser=browser)

    def is_called(self, user: str, **traits: object) -> "Shopper":
        return self._send({"type": "identify", "userId": user, "traits": traits})

    def _send(self, body: dict[str, object], *, browser: bool = False) -> "Shopper":
        self.count += 1
        stamp = datetime.fromtimestamp(self.now / 1000, UTC).isoformat()
        body |= {"messageId": f"m{self.count}", "anonymousId": "somebody", "timestamp": stamp}
        facts = RequestFacts(self.now, "key", trusted=not browser, user_agent=BROWSER, historic=True)
        batch = decode_batch(msgspec.json.encode({"batch": [body]}), Limits())
        for event in self.normaliser.batch(batch, facts):
            assert not isinstance(event, Refused), event
            state = self.profile.consent if self.profile is not None else ConsentState()
            mask = consent.gate(state, event, self.playbook.settings)
            if not self.playbook.vocabulary.purpose(event) & mask:
                continue
            if self.profile is None:
                self.profile = Profile(id=bytes(16), analytic_id=bytes(16), created=event.received)
            profiles.fold(self.profile, msgspec.structs.replace(event, mask=mask), self.playbook.features)
        return self

    def inputs(
        self, context: PageContext | None = None, *, country: str | None = None, models: Learned = NOTHING_LEARNED
    ) -> Inputs:
        facts = RequestFacts(self.now, "key", trusted=True, country=country)
        caller = Caller(ApiKey("key", "secret", Tenant(), b""), facts)
        hot = HotProfile(self.profile, b"", None) if self.profile is not None else None
        request = DecideRequest(context=context or PageContext())
        return gather(self.playbook, request, caller, Known({}, hot, models=models), self.now).inputs

    def segments(self, context: PageContext | None = None, *, country: str | None = None) -> dict[str, bool | None]:
        """Every segment as a page would find it: true, false, or unknown."""
        inputs = self.inputs(context, country=country)
        values = dict(inputs.values)
        allowed = self.profile is not None and values["consent.personalization"] is True
        self.playbook.segments.evaluate(values, profiles.lists(self.profile) if self.profile and allowed else None)
        return {segment.name: values[segment.flat] for segment in self.playbook.segments.ordered}  # type: ignore[misc]

    def standing(self) -> frozenset[str]:
        """The segments the shopper is in when no page asks: what audiences and webhooks see."""
        assert self.profile is not None
        values = standing_values(self.playbook, self.profile, self.now)
        return frozenset(name[9:] for name, value in values.items() if name.startswith("segments.") and value is True)
