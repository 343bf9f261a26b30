"""Decisions that were kept, opened again: what they were, made once more from their record, and why.

A past decision is judged by the playbook of its day and by what was switched off then. Only the shop's products are
not kept: where they have changed since, that is told.
"""

import re
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cashwrap import records
from cashwrap.catalogues import Catalogues
from cashwrap.content import Catalogue
from cashwrap.decide import Kills, decide
from cashwrap.declarations import Settings
from cashwrap.engine import World
from cashwrap.errors import InvalidInput, StoreError
from cashwrap.explain import explain
from cashwrap.model import Level, Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.playbook.schema import MODELS
from cashwrap.records import Kept
from cashwrap.switches import Switches
from cashwrap.tell import Placed, tell
from cashwrap.versions import Versions

_ID = re.compile(f"[0-9a-f]{{{2 * records.ID}}}")


class Difference(Struct, frozen=True):
    """Something that is not now as it was then: a stable code, and what to know about it."""

    code: str
    message: str


class Seen(Struct, frozen=True):
    """How often something had been shown before, and when it was dismissed last (0: never)."""

    count: int
    dismissed: Millis


class Review(Struct, frozen=True, rename="camel"):
    """A past decision and why it was so.

    ``same`` says whether it comes out byte for byte as it was when it is made again from its record. ``arms`` are the
    arms the shopper had seen, by experiment; ``seen`` what attention caps had counted, by what they count.
    """

    decision_id: str
    time: Millis
    playbook: str
    level: Level
    same: bool
    differences: list[Difference]
    arms: dict[str, str]
    seen: dict[str, Seen]
    placements: dict[str, Placed]


class Archive:
    """Opens records. ``versions`` has the playbooks of other days, ``live`` is today's, where there is one.

    Needs no lock on the data folder: it reads beside a running server too.
    """

    def __init__(self, world: World, catalogues: Catalogues, versions: Versions, live: Playbook | None = None) -> None:
        self._world = world
        self._catalogues = catalogues
        self._versions = versions
        self._live = live
        self._settings = live.settings if live is not None else Settings()

    def open(self, tenant: Tenant, decision: str) -> Kept:
        """The record of a decision by its id.

        Raises ``InvalidInput``: ``no_such_decision``, ``decision_expired``; ``Forgotten``; ``StoreError`` where it is
        damaged.
        """
        if not _ID.fullmatch(decision):
            text = f"{decision[:40]!r} is no decision: an id is {2 * records.ID} hex digits, 'decisionId' in an answer"
            raise InvalidInput(text, code="no_such_decision")
        found = self._world.store.decision(tenant, bytes.fromhex(decision))
        if found is None:
            raise InvalidInput(_UNKNOWN.format(decision, _share(self._settings)), code="no_such_decision")
        if found.time < self._world.clock.now() - self._settings.decision_retention:
            text = f"decision {decision} is of {_day(found.time)}: older than shop.decision_retention lets it be kept"
            raise InvalidInput(text, code="decision_expired")
        try:
            return records.decode(self._world.vault.open(found.shopper, found.payload))
        except msgspec.DecodeError as error:
            raise StoreError(f"the record of decision {decision} is damaged: restore it from a backup") from error

    def review(self, tenant: Tenant, decision: str) -> Review:
        """A decision, made again from its record and explained.

        Raises as ``open`` does, and ``no_such_version`` where the playbook of its day is not kept any more.
        """
        kept = self.open(tenant, decision)
        catalogue = self._catalogues.of(tenant)
        kills = Switches(self._world.registry).kills(tenant)
        found = review(kept, self.playbook(kept.decision.playbook), catalogue)
        return msgspec.structs.replace(found, differences=list(self._differences(kept, catalogue, kills)))

    def playbook(self, digest: str) -> Playbook:
        """The playbook of that day. Raises ``InvalidInput`` (``no_such_version``)."""
        if self._live is not None and self._live.hash == digest:
            return self._live
        return self._versions.load(digest)

    def _differences(self, kept: Kept, catalogue: Catalogue, kills: Kills) -> list[Difference]:
        found = []
        if catalogue.version != kept.catalogue:
            versions = f"version {kept.catalogue} then, {catalogue.version} now, which is used"
            text = f"the products, or what sells best of them, changed since: {versions}"
            found.append(Difference("catalogue_changed", text))
        for asked, then in sorted(kept.inputs.models.items()):
            name, _, role = asked.partition("/")
            now = catalogue.models.version(name, role or "live")
            if name in MODELS and now != then:
                text = f"the model {asked} was version {then} then, and is {now or 'none'} now, which is asked"
                found.append(Difference("model_changed", text))
        if kills != kept.kills:
            text = f"switched off then: {_written(kept.kills)}; now: {_written(kills)}. Judged is by what was then"
            found.append(Difference("switches_changed", text))
        if self._live is not None and self._live.hash != kept.decision.playbook:
            text = f"playbook {kept.decision.playbook} is not live any more: {self._live.hash} is"
            found.append(Difference("playbook_changed", text))
        return found


def decision_name(text: str) -> str:
    """A decision's id, or a word for what is none: whatever somebody typed there may name a person."""
    return text if _ID.fullmatch(text) else "no id"


def review(kept: Kept, playbook: Playbook, catalogue: Catalogue) -> Review:
    """Make a decision again from its record, by the playbook of its day, and explain it. Pure."""
    inputs, experiences = kept.inputs, playbook.experiences
    again = decide(experiences, inputs, catalogue, kept.kills)
    return Review(
        decision_id=kept.id,
        time=inputs.now,
        playbook=kept.decision.playbook,
        level=kept.decision.level,
        same=records.judgement(again) == records.judgement(kept.decision),
        differences=[],
        arms=dict(inputs.arms),
        seen={key: Seen(seen.count, seen.dismissed) for key, seen in inputs.impressions.items()},
        placements=tell(playbook, inputs, explain(experiences, inputs, catalogue, kept.kills)),
    )


_UNKNOWN = (
    "no record of decision {}: {} are kept (shop.decision_records), and only of shoppers who allow personalization, "
    "until they withdraw, are forgotten, or the record is too old"
)


def _share(settings: Settings) -> str:
    return f"{settings.decision_records / 100:g} % of all decisions"


def _day(moment: Millis) -> str:
    return datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _written(kills: Kills) -> str:
    if kills.everything:
        return "everything"
    return ", ".join(sorted(kills.placements | kills.experiences)) or "nothing"
