"""The segments a shopper is in where no request is there to ask about: what a sweep compares, and what an exposure's
event is stamped with, so that analysis sees who somebody was then and not who they have become."""

from cashwrap import consent, profiles, segments
from cashwrap.model import PERSONALIZATION, Event, Millis, Profile, Value, Where
from cashwrap.playbook import Playbook
from cashwrap.request import clock_values
from cashwrap.segments import NOWHERE

SEGMENTS = 50
"""Segments that one exposure names: the first ones by their names."""


def standing_values(
    playbook: Playbook, profile: Profile, now: Millis, mask: int | None = None, where: Where = NOWHERE
) -> dict[str, Value]:
    """The attributes and segments of a shopper when no request is there: places and devices as last seen.

    ``mask`` is what consent allows, where it is known already; ``where`` tells newer facts than the profile's.
    """
    if mask is None:
        mask = consent.mask_of(profile.consent, settings=playbook.settings)
    values: dict[str, Value] = segments.remembered_values(profile, where)
    values.update(profiles.attributes(profile, playbook.features, now, mask))
    zone = playbook.settings.time_zone
    values.update(clock_values(now, where.time_zone or profiles.time_zone(profile) or zone, zone))
    values.update(consent.values(mask))
    playbook.segments.evaluate(values, profiles.lists(profile))
    return values


def segments_at(playbook: Playbook, profile: Profile, event: Event, mask: int) -> list[str]:
    """The segments that the shopper is in as the event happens, before it is folded: sorted, ``SEGMENTS`` at most.

    None where ``mask`` hides them.
    """
    if not mask & PERSONALIZATION or not playbook.segments.ordered:
        return []
    values = standing_values(playbook, profile, event.time, mask, event.where)
    return sorted(segments.members_of(values, playbook.segments))[:SEGMENTS]
