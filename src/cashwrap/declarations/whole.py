"""A whole playbook as declared: its experiences, its settings, and everything else by name."""

from typing import Literal

from msgspec import Struct, field

from cashwrap.declarations.base import (
    CapsDecl,
    Condition,
    EventDecl,
    FeatureDecl,
    Kind,
    PlacementDecl,
    SegmentDecl,
    Spot,
)
from cashwrap.declarations.content import Content
from cashwrap.declarations.experiments import ExperimentDecl, HoldoutDecl, LayerDecl, MetricDecl
from cashwrap.declarations.offers import OfferDecl, OfferGroupDecl
from cashwrap.declarations.predictions import PredictionDecl
from cashwrap.model import Millis


class ScheduleDecl(Struct, frozen=True):
    """When an experience runs, on the clock of the shop or of the shopper.

    ``start`` and ``end`` are local times as written, ``2026-12-01T08:00`` (the end not included); ``days`` are
    1 (Monday) to 7; ``hours`` from the first up to, not including, the second, which may be past midnight.
    """

    start: str | None = None
    end: str | None = None
    days: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    zone: Literal["shop", "shopper"] = "shop"


class ExperienceDecl(Struct, frozen=True):
    """When this condition holds, show one of these variations in this placement.

    A higher ``priority`` wins; of equal ones with a ``weight``, one drawn by weight and unit; then the order
    written. Several variations need an experiment that says who sees which.
    """

    name: str
    placement: str
    when: Condition | None
    variations: dict[str, Content]
    priority: int = 0
    weight: int = 0
    enabled: bool = True
    schedule: ScheduleDecl | None = None
    caps: CapsDecl = CapsDecl()
    experiment: ExperimentDecl | None = None
    offer: str | None = None
    """The offer that it grants."""
    best_of: str | None = None
    """The group of offers of which it grants one."""
    spot: Spot = Spot()


class RetentionDecl(Struct, frozen=True):
    """How long things are kept."""

    events: Millis = 90 * 86_400_000
    """The log's records. What they said stays, in features and orders."""
    idle_profiles: Millis = 395 * 86_400_000
    """Shoppers of whom nothing more comes: then they are forgotten, with their keys."""
    failed: Millis | None = None
    """Failed events; ``None`` until an operator acts."""


class Settings(Struct, frozen=True):
    """What holds for the whole shop."""

    currency: str = "EUR"
    locale: str = "en"
    time_zone: str = "UTC"
    purposes: dict[str, tuple[str, ...]] = {}
    """CMP category name to our purposes, such as ``{"C0002": ("analytics",)}``."""
    country_header: str | None = None
    """The trusted header that names the country, such as ``CF-IPCountry``."""
    request_level: bool = True
    """Whether decisions run on request facts alone before consent."""
    gpc_allows_personalization: dict[str, str] = {}
    """Markets (country codes) where ``Sec-GPC`` leaves personalization alone, with the recorded reason."""
    markets: tuple[str, ...] = ()
    """Where the shop sells, as countries or parts of them (``DE``, ``US-NY``): what holds where nobody knows."""
    no_personal_prices: tuple[str, ...] = ()
    """Markets where no offer is made that personal data has a part in."""
    personal_prices: dict[str, str] = {}
    """Markets where such offers are made although the table of market rules says no, with the recorded reason."""
    internal_networks: tuple[str, ...] = ()
    """Address ranges (CIDR) whose traffic is the shop's own."""
    locales: tuple[str, ...] = ()
    """The locales every text is expected in; ``locale`` is the one fallen back to."""
    networks: dict[str, tuple[str, ...]] = {}
    """Named address ranges (CIDR) that conditions may ask for by ``request.networks``."""
    decision_records: int = 100
    """The share of decisions, of 10,000, whose inputs are kept so that they can be explained later."""
    decision_retention: Millis = 14 * 86_400_000
    """How long they are kept."""
    retention: RetentionDecl = RetentionDecl()
    one_experiment_per_shopper: bool = False
    """Whether a shopper takes part in one experiment at most, whatever the layers."""
    holdout: HoldoutDecl = HoldoutDecl()
    rates: dict[str, tuple[tuple[Millis, str], ...]] = {}
    """What one major unit of another currency is worth in the shop's own, from each moment on, for analysis alone."""
    attention: dict[str, CapsDecl] = {}
    """Caps of all placements of one format, by its name; ``all`` is for everything that is shown."""


class Declarations(Struct, frozen=True):
    """A whole playbook as declared."""

    settings: Settings = Settings()
    events: dict[str, EventDecl] = {}
    features: dict[str, FeatureDecl] = {}
    segments: dict[str, SegmentDecl] = {}
    placements: dict[str, PlacementDecl] = {}
    layers: dict[str, LayerDecl] = {}
    offers: dict[str, OfferDecl] = {}
    offer_groups: dict[str, OfferGroupDecl] = {}
    experiences: dict[str, ExperienceDecl] = field(default_factory=dict)
    metrics: dict[str, MetricDecl] = {}
    predictions: dict[str, PredictionDecl] = {}
    """The shop's own, beside ``PREDICTIONS``."""
    traits: dict[str, Kind] = {}
    """Traits that may be kept, beside the standard ones."""
