"""What is wrong with the features a playbook declares: names, events, fields, and the conditions on events."""

from collections.abc import Mapping

from cashwrap.attributes import KIND_TYPES, ROOTS
from cashwrap.condition.check import check
from cashwrap.condition.environment import Environment
from cashwrap.condition.evaluate import compile_condition
from cashwrap.declarations import Condition, FeatureDecl, Kind, Settings
from cashwrap.errors import ConditionError
from cashwrap.events.standard import EVENT_ALIASES
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.extract import KINDS, LINE_FIELDS, ORDER_EVENTS, Test
from cashwrap.features import FeatureSet, compile_features, problems
from cashwrap.playbook.places import Places

_OF_ORDERS = frozenset(
    {"order_id", "currency", "subtotal", "total", "shipping", "tax", "revenue", "value", "discount", "refunded"}
)
"""What is known of an order besides its products: it is read from the order book, not from one event."""


def check_features(
    declared: Mapping[str, FeatureDecl], settings: Settings, vocabulary: Vocabulary, places: Places, digits: int
) -> FeatureSet:
    """Compile the features that are sound; complain about the others."""
    sound: dict[str, FeatureDecl] = {}
    tests: dict[Condition, Test] = {}
    for name, decl in declared.items():
        before = len(places.faults)
        _check_names(decl, vocabulary, places)
        for problem in problems(decl):
            places.faults.error(decl.spot, "invalid_feature", f"{name}: {problem}")
        fields = fields_of((*decl.events, *decl.per), vocabulary)
        _check_fields(decl, fields, places)
        if decl.where is not None:
            types = {field: KIND_TYPES[kind] for field, kind in fields.items() if kind not in {"texts", "products"}}
            names = Environment(types, frozenset(), settings.currency, digits)
            try:
                tests[decl.where] = compile_condition(check(decl.where.text, names))
            except ConditionError as error:
                places.condition(error, "features", name, "where")
        if len(places.faults) == before:
            sound[name] = decl
        else:
            places.excuse(name)
    kinds = {field: kind for event in vocabulary.events.values() for field, kind in event.kinds().items()}
    return compile_features(sound, currency=settings.currency, compile_where=tests.__getitem__, kinds=kinds)


def fields_of(events: tuple[str, ...], vocabulary: Vocabulary) -> dict[str, Kind]:
    """The fields a feature over these events may name: the event's own, and those of its products."""
    found: dict[str, Kind] = {}
    for event in events:
        declared = vocabulary.events.get(event)
        own = declared.kinds() if declared is not None else {}
        if event in ORDER_EVENTS:
            found |= {field: KINDS.get(field, "text") for field in _OF_ORDERS}
            own = {"products": "products"}
        if "products" in own or "product_id" in own:
            found |= {field: KINDS.get(field, "text") for field in LINE_FIELDS}
        found |= own
    return found


def _check_names(decl: FeatureDecl, vocabulary: Vocabulary, places: Places) -> None:
    if decl.name in ROOTS:
        places.faults.error(decl.spot, "reserved_name", f"{decl.name!r} is an attribute already; choose another name")
    for key, events in ((decl.measure, decl.events), ("per", decl.per)):
        check_events(events, vocabulary, places, "features", decl.name, key)


def check_events(events: tuple[str, ...], vocabulary: Vocabulary, places: Places, *path: str) -> None:
    """Complain about each event, of those that stand under ``path``, that nobody may send."""
    for event in events:
        if event not in vocabulary.events:
            alias = EVENT_ALIASES.get(event)
            hint = f"; it is called {alias!r} here" if alias else ""
            hint = hint or places.faults.did_you_mean(event, vocabulary.events) or "; declare it under 'events'"
            places.faults.error(places.value_spot(*path), "unknown_event", f"{event!r} is not an event{hint}")


def _check_fields(decl: FeatureDecl, fields: Mapping[str, Kind], places: Places) -> None:
    if not fields:
        return  # its events are unknown, which was said already
    for key, field in (("of", decl.of), ("by", decl.by)):
        if field is not None and field not in fields:
            hint = places.faults.did_you_mean(field, fields)
            spot = places.value_spot("features", decl.name, key)
            places.faults.error(spot, "unknown_field", f"{field!r} is not a field of {decl.events[0]!r}{hint}")
