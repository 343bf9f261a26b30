"""What is wrong with a shop's own predictions, as only the whole playbook can tell: names, events, attributes."""

from collections.abc import Mapping

from cashwrap.attributes import PREDICTED, ROOTS, is_requested
from cashwrap.condition.check import Checked
from cashwrap.condition.environment import Environment
from cashwrap.declarations import Declarations
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.playbook import features
from cashwrap.playbook.places import Places
from cashwrap.segments import PREFIX


def check_predictions(declared: Declarations, vocabulary: Vocabulary, names: Environment, places: Places) -> None:
    """Complain about names that are taken, events nobody sends, and attributes that no profile has."""
    for name, each in declared.predictions.items():
        if name in ROOTS or name in declared.features:
            message = f"{name!r} is an attribute already; choose another name"
            places.faults.error(each.spot, "reserved_name", message)
        for key, events in (("at", each.at), ("events", each.events)):
            features.check_events(events, vocabulary, places, "predictions", name, key)
        for attribute in each.features:
            _check_attribute(attribute, name, declared, names, places)


def _check_attribute(attribute: str, name: str, declared: Declarations, names: Environment, places: Places) -> None:
    known = attribute in names.types or f"{attribute.partition('[')[0]}[*]" in names.types
    if not known:
        hint = names.suggest(attribute)
        message = f"{attribute!r} is not an attribute" + (f"; {hint}" if hint else "")
        code = "unknown_attribute"
    elif is_requested(attribute) or attribute.startswith("consent."):
        message = f"{attribute!r} is of the request: a prediction is told from what a profile holds"
        code = "bad_prediction"
    elif attribute in PREDICTED or attribute in declared.predictions or attribute.startswith(PREFIX):
        message = f"{attribute!r} is no attribute of a profile: a prediction is told from features and the like"
        code = "bad_prediction"
    else:
        return
    places.faults.error(places.value_spot("predictions", name, "features"), code, message)


def warn_segments(declared: Declarations, segments: Mapping[str, Checked | None], places: Places) -> None:
    """Warn of each segment that a prediction is part of: only a decision knows it."""
    predictions = {*PREDICTED, *declared.predictions}
    for name, checked in segments.items():
        for attribute in sorted(predictions.intersection(checked.attributes)) if checked is not None else ():
            message = (
                f"segment {name!r} reads the prediction {attribute!r}, which only decisions know: as an audience, for "
                "webhooks and in reports it has no members"
            )
            places.faults.warn(declared.segments[name].spot, "prediction_in_segment", message)
