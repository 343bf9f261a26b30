"""Documents to declarations: what a shop wrote, as typed values, with every mistake of form told at once."""

import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import msgspec
from msgspec import Struct

from cashwrap.attention import ALL
from cashwrap.declarations import (
    Component,
    Declarations,
    EventDecl,
    ExperienceDecl,
    FeatureDecl,
    HoldoutDecl,
    Kind,
    Measure,
    Methods,
    OfferDecl,
    PlacementDecl,
    RetentionDecl,
    SegmentDecl,
    Settings,
)
from cashwrap.model import Purpose
from cashwrap.networks import MAX_NETWORKS, parse_network
from cashwrap.offers.markets import MARKET
from cashwrap.playbook.contents import is_locale
from cashwrap.playbook.document import Document, Node
from cashwrap.playbook.experiences import Context, read_experience
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.json_schema import NAME, keys
from cashwrap.playbook.metrics import read_metric
from cashwrap.playbook.offers import read_offer, read_offer_group
from cashwrap.playbook.predictions import read_prediction
from cashwrap.playbook.rates import read_rates
from cashwrap.playbook.schema import (
    COMPONENTS,
    DEFINITIONS,
    KINDS,
    MEASURES,
    METHODS,
    PLAYBOOK,
    PURPOSES,
    RETENTION,
)
from cashwrap.playbook.shape import Shape
from cashwrap.playbook.trials import read_caps, read_holdout, read_layer

LIMITS = {
    "events": 500,
    "traits": 200,
    "features": 1_000,
    "predictions": 50,
    "segments": 5_000,
    "placements": 200,
    "layers": 100,
    "offers": 1_000,
    "offer_groups": 100,
    "metrics": 100,
    "experiences": 200_000,
}
"""How many of each a playbook may declare."""
_T = TypeVar("_T")
_Section = dict[str, tuple[Shape, Node]]
_Unread = set[tuple[str, str]]


class Reading(Struct, frozen=True):
    """What was read: the declarations that are sound, and what a complaint about them needs."""

    declarations: Declarations
    unread: frozenset[tuple[str, str]]
    """Section and name of what means nothing: it is declared all the same, so its name is no mistake."""
    documents: dict[str, Document]


def read_documents(documents: Mapping[str, Document], faults: Faults) -> Reading:
    """All files of a playbook as one. Mistakes go to ``faults``; what is sound is returned all the same."""
    sections = _gather(documents, faults)
    unread: _Unread = set()
    settings = msgspec.structs.replace(
        _settings(sections["shop"]),
        holdout=_holdout(sections["holdout"]),
        attention={name: read_caps(shape, node) for name, (shape, node) in sections["attention"].items()},
    )
    placements = _each(sections["placements"], _placement, "placements", unread)
    hopeless = {name for section, name in unread if section == "placements"}
    metrics = _each(sections["metrics"], read_metric, "metrics", unread)
    context = Context(placements, hopeless, settings.locale, settings.time_zone, sections["metrics"])

    def experience(shape: Shape, name: str, node: Node) -> ExperienceDecl | None:
        return read_experience(shape, name, node, context)

    def offer(shape: Shape, name: str, node: Node) -> OfferDecl | None:
        return read_offer(shape, name, node, settings)

    declarations = Declarations(
        settings=settings,
        events=_each(sections["events"], _event, "events", unread),
        features=_each(sections["features"], _feature, "features", unread),
        segments=_each(sections["segments"], _segment, "segments", unread),
        placements=placements,
        layers=_each(sections["layers"], read_layer, "layers", unread),
        offers=_each(sections["offers"], offer, "offers", unread),
        offer_groups=_each(sections["offer_groups"], read_offer_group, "offer_groups", unread),
        experiences=_each(sections["experiences"], experience, "experiences", unread),
        metrics=metrics,
        predictions=_each(sections["predictions"], read_prediction, "predictions", unread),
        traits=_each(sections["traits"], _trait, "traits", unread),
    )
    return Reading(declarations, frozenset(unread), dict(documents))


def _gather(documents: Mapping[str, Document], faults: Faults) -> dict[str, _Section]:
    """The entries of every section over all files. A name may be given once."""
    sections: dict[str, _Section] = {name: {} for name in keys(PLAYBOOK)}
    for document in documents.values():
        shape = Shape(document, faults)
        if document.root is None or document.root.value is None:
            continue
        for name, node in shape.fields(document.root, PLAYBOOK, "a playbook").items():
            if name in sections:
                _add(sections[name], shape, node, name)
    for name, limit in LIMITS.items():
        if len(sections[name]) > limit:
            shape, node = next(iter(sections[name].values()))
            faults.error(shape.key_spot(node), "too_many", f"a playbook may have {limit} {name}")
    return sections


def _add(section: _Section, shape: Shape, node: Node, what: str) -> None:
    for name, value in shape.entries(node, what).items():
        if name in section:
            other, first = section[name]
            where = other.key_spot(first)
            message = f"{name!r} was already given in {where.file}, line {where.line}"
            shape.faults.error(shape.key_spot(value), "duplicate_key", message)
        else:
            section[name] = (shape, value)


_Read = Callable[[Shape, str, Node], _T | None]


def _each(section: _Section, read: _Read[_T], what: str, unread: _Unread) -> dict[str, _T]:
    """Read every entry. One that means nothing is left out and its name kept; others are as good as they can be."""
    found: dict[str, _T] = {}
    for name, (shape, node) in section.items():
        value = read(shape, name, node)
        if value is None:
            unread.add((what, name))
        else:
            found[name] = value
    return found


# --- one reader for each kind of declaration ---


def _settings(section: _Section) -> Settings:
    if not section:
        return Settings()
    shape = next(iter(section.values()))[0]
    nodes = _fixed(section, "shop")
    default = Settings()
    header, records = nodes.get("country_header"), nodes.get("decision_records")
    currency = _currency(shape, nodes["currency"]) if "currency" in nodes else default.currency
    time_zone = _time_zone(shape, nodes["time_zone"]) if "time_zone" in nodes else default.time_zone
    locale = _locale(shape, nodes["locale"]) if "locale" in nodes else default.locale
    locales = [_locale(shape, node) for node in shape.items(nodes.get("locales"), "locales")]
    return Settings(
        currency=currency,
        locale=locale,
        time_zone=time_zone,
        purposes=shape.mapped(nodes.get("purposes"), "purposes", lambda node: _purposes(shape, node)),
        country_header=shape.text(header, "a header") if header is not None else None,
        request_level=shape.flag(nodes.get("request_level"), "request_level", default=True),
        gpc_allows_personalization=shape.mapped(
            nodes.get("gpc_allows_personalization"),
            "gpc_allows_personalization",
            lambda node: shape.text(node, "a reason"),
        ),
        markets=_markets(shape, nodes, "markets"),
        no_personal_prices=_markets(shape, nodes, "no_personal_prices"),
        personal_prices=_reasons(shape, nodes.get("personal_prices")),
        internal_networks=tuple(
            _network(shape, node) for node in shape.items(nodes.get("internal_networks"), "internal_networks")
        ),
        locales=tuple(dict.fromkeys([locale, *locales])) if locales else (),
        networks=_networks(shape, nodes["networks"]) if "networks" in nodes else {},
        decision_records=(shape.share(records, "a share") or 0) if records is not None else default.decision_records,
        decision_retention=shape.duration(nodes.get("decision_retention"), "a retention") or default.decision_retention,
        retention=_retention(shape, nodes.get("retention")),
        rates=read_rates(shape, nodes["rates"], currency, time_zone) if "rates" in nodes else {},
        one_experiment_per_shopper=shape.flag(
            nodes.get("one_experiment_per_shopper"), "one_experiment_per_shopper", default=False
        ),
    )


SHORTEST_RETENTION = 86_400_000
"""Less would be gone before anybody looked."""


def _retention(shape: Shape, node: Node | None) -> RetentionDecl:
    default = RetentionDecl()
    if node is None:
        return default
    fields = shape.fields(node, RETENTION, "retention")
    spans = {name: shape.duration(each, "a retention") for name, each in fields.items()}
    for name, span in spans.items():
        if span is not None and span < SHORTEST_RETENTION:
            shape.fail(fields[name], "bad_value", "what is kept is kept for a day at least")
    return RetentionDecl(
        events=spans.get("events") or default.events,
        idle_profiles=spans.get("idle_profiles") or default.idle_profiles,
        failed=spans.get("failed"),
    )


def _fixed(section: _Section, name: str) -> dict[str, Node]:
    """The entries of a section whose keys are fixed."""
    known = keys(DEFINITIONS[name])
    for key, (shape, node) in section.items():
        if key not in known:
            hint = shape.faults.did_you_mean(key, known) or f"; it may have {', '.join(known)}"
            shape.faults.error(shape.key_spot(node), "unknown_key", f"{name} has no {key!r}{hint}")
    return {key: node for key, (_, node) in section.items()}


def _holdout(section: _Section) -> HoldoutDecl:
    if not section:
        return HoldoutDecl()
    shape, node = next(iter(section.values()))
    nodes = _fixed(section, "holdout")
    if "share" not in nodes:
        shape.faults.error(shape.key_spot(node), "missing_key", "holdout needs 'share'")
        return HoldoutDecl()
    return read_holdout(shape, nodes)


def _locale(shape: Shape, node: Node) -> str:
    text = shape.text(node, "a locale")
    if text and not is_locale(text):
        shape.fail(node, "unknown_locale", f"{text!r} is not a locale; write en, de or pt-BR")
    return text


def _currency(shape: Shape, node: Node) -> str:
    return shape.currency(node) or Settings().currency


def _time_zone(shape: Shape, node: Node) -> str:
    text = shape.text(node, "a time zone")
    try:
        zoneinfo.ZoneInfo(text)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        hint = shape.faults.did_you_mean(text, zoneinfo.available_timezones())
        shape.fail(node, "unknown_time_zone", f"{text!r} is not a time zone{hint or '; write Europe/Berlin'}")
        return Settings().time_zone
    return text


def _markets(shape: Shape, nodes: dict[str, Node], name: str) -> tuple[str, ...]:
    return tuple(_market(shape, node, node.value) for node in shape.items(nodes.get(name), name))


def _reasons(shape: Shape, node: Node | None) -> dict[str, str]:
    """Why each market named may have personal prices: an override without a reason is none."""
    found = shape.mapped(node, "personal_prices", lambda each: shape.text(each, "a reason"))
    for market, each in (shape.entries(node, "personal_prices") if node is not None else {}).items():
        _market(shape, each, market)
        if not found[market].strip():
            shape.fail(each, "bad_value", f"write why personal prices are allowed in {market}")
    return {market: reason for market, reason in found.items() if reason.strip()}


def _market(shape: Shape, node: Node, text: object) -> str:
    if not isinstance(text, str) or not re.fullmatch(MARKET, text):
        shape.fail(node, "bad_value", f"{text!r} is not a market; write a country, DE, or a part of one, US-NY")
        return ""
    return text


def _network(shape: Shape, node: Node) -> str:
    text = shape.text(node, "an address range")
    try:
        ipaddress.ip_network(text)
    except ValueError:
        shape.fail(node, "bad_value", f"{text!r} is not an address range; write it as 10.0.0.0/8")
    return text


def _networks(shape: Shape, node: Node) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in shape.entries(node, "networks").items():
        shape.name(name, value, "a network")
        texts = [(member, shape.text(member, "an address range")) for member in shape.items(value, "a network")]
        for member, text in texts:
            try:
                parse_network(text)
            except ValueError as error:
                if text:
                    shape.fail(member, "bad_value", str(error))
        found[name] = tuple(text for _, text in texts)
    if sum(map(len, found.values())) > MAX_NETWORKS:
        shape.fail(node, "too_many", f"a shop may name {MAX_NETWORKS} address ranges")
    return found


def _purposes(shape: Shape, node: Node) -> tuple[str, ...]:
    found = [shape.choice(member, PURPOSES, "a purpose") for member in shape.items(node, "purposes")]
    return tuple(name for name in found if name)


def _purpose(shape: Shape, node: Node | None) -> Purpose | None:
    if node is None:
        return None
    name = shape.choice(node, PURPOSES, "a purpose")
    return Purpose[name.upper()] if name else None


def _kind(shape: Shape, node: Node) -> Kind | None:
    return cast("Kind | None", shape.choice(node, KINDS, "a kind of value"))


def _trait(shape: Shape, name: str, node: Node) -> Kind | None:
    return _kind(shape, node) if shape.name(name, node, "a trait") else None


def _event(shape: Shape, name: str, node: Node) -> EventDecl:
    fields = {} if node.value is None else shape.fields(node, DEFINITIONS["event"], f"event {name!r}")
    kinds = shape.mapped(fields.get("fields"), "fields", lambda kind: _kind(shape, kind))
    purpose = _purpose(shape, fields.get("purpose")) or Purpose.PERSONALIZATION
    known = {field: kind for field, kind in kinds.items() if kind}
    return EventDecl(name, known, purpose, shape.key_spot(node))


def _feature(shape: Shape, name: str, node: Node) -> FeatureDecl | None:
    what = f"feature {name!r}"
    shape.name(name, node, "a feature")
    fields = shape.fields(node, DEFINITIONS["feature"], what)
    measures = [measure for measure in MEASURES if measure in fields]
    if len(measures) != 1:
        if isinstance(node.value, dict):
            message = f"{what} needs one measure ({', '.join(MEASURES)}), it has {len(measures)}"
            shape.faults.error(shape.key_spot(node), "missing_key" if not measures else "bad_value", message)
        return None
    measure = measures[0]
    texts = {key: shape.text(fields[key], f"{key!r}") for key in ("of", "by") if key in fields}
    return FeatureDecl(
        name=name,
        measure=cast("Measure", measure),
        events=shape.texts(fields[measure], "an event"),
        of=texts.get("of"),
        by=texts.get("by"),
        per=shape.texts(fields.get("per"), "an event"),
        where=shape.condition(fields.get("where")),
        window=shape.duration(fields.get("window"), "a window"),
        session=shape.flag(fields.get("session"), "session", default=False),
        half_life=shape.duration(fields.get("half_life"), "a half-life"),
        purpose=_purpose(shape, fields.get("purpose")) or Purpose.PERSONALIZATION,
        spot=shape.key_spot(node),
    )


def _segment(shape: Shape, name: str, node: Node) -> SegmentDecl | None:
    shape.name(name, node, "a segment")
    spot = shape.key_spot(node)
    if not isinstance(node.value, dict):
        return SegmentDecl(name, shape.condition(node), spot=spot)
    fields = shape.fields(node, DEFINITIONS["segment"], f"segment {name!r}")
    when, members, description = (fields.get(key) for key in ("when", "members", "description"))
    if (when is None) == (members is None):
        shape.faults.error(spot, "missing_key", f"segment {name!r} needs either 'when' or 'members: pushed'")
        return None
    pushed = members is not None and shape.choice(members, ("pushed",), "a source of members") is not None
    text = shape.text(description, "a description") if description is not None else ""
    return SegmentDecl(name, shape.condition(when), pushed, text, spot)


def _placement(shape: Shape, name: str, node: Node) -> PlacementDecl | None:
    what = f"placement {name!r}"
    shape.name(name, node, "a placement")
    fields = shape.fields(node, DEFINITIONS["placement"], what)
    if "component" not in fields:
        return None
    component = cast("Component | None", shape.choice(fields["component"], COMPONENTS, "a component"))
    if component is None:
        return None
    spot, of = shape.key_spot(node), fields.get("of")
    methods = shape.choice(of, METHODS, "a list of methods") if of is not None else None
    if of is not None and component != "options":
        shape.fail(of, "bad_value", f"only an options placement has 'of', {what} is a {component}")
    if of is None and component == "options":
        methods = name if name in METHODS else None
        if methods is None:
            shape.faults.error(spot, "missing_key", f"{what} needs 'of: payment_methods' or 'of: delivery_methods'")
    purpose = _purpose(shape, fields.get("purpose"))
    if component == "installments" and purpose not in {None, Purpose.CREDIT}:
        shape.fail(fields["purpose"], "bad_value", "instalments always need the purpose credit")
    if component == "installments":
        purpose = Purpose.CREDIT
    return PlacementDecl(
        name=name,
        component=component,
        of=cast("Methods | None", methods),
        purpose=purpose,
        format=_format(shape, fields["format"]) if "format" in fields else "",
        layer=shape.text(fields["layer"], "a layer") if "layer" in fields else None,
        caps=read_caps(shape, fields.get("attention")),
        spot=spot,
    )


def _format(shape: Shape, node: Node) -> str:
    form = shape.matching(node, NAME, "a format")
    if form == ALL:
        shape.fail(node, "reserved_name", f"{ALL!r} stands for every format; choose another name")
    return form
