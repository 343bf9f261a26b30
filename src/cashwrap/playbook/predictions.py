"""A shop's own predictions, read as they are written."""

from cashwrap.declarations import PredictionDecl
from cashwrap.model import Purpose
from cashwrap.playbook.document import Node
from cashwrap.playbook.schema import DEFINITIONS, PURPOSES
from cashwrap.playbook.shape import Shape

SHORTEST, LONGEST = 60_000, 90 * 86_400_000
"""How far ahead a prediction may look: what is beyond the log's usual life cannot be learned from it."""


def read_prediction(shape: Shape, name: str, node: Node) -> PredictionDecl:
    """One prediction."""
    shape.name(name, node, "a prediction")
    fields = shape.fields(node, DEFINITIONS["prediction"], f"prediction {name!r}")
    for key in ("at", "events"):
        if key in fields and not shape.items(fields[key], key):
            shape.fail(fields[key], "empty", f"{key!r} names at least one event")
    within = shape.duration(fields.get("within"), "a time") or PredictionDecl(name, (), ()).within
    if "within" in fields and not SHORTEST <= within <= LONGEST:
        shape.fail(fields["within"], "bad_value", "a prediction looks a minute ahead at least, and 90 days at most")
    purpose = shape.choice(fields["purpose"], PURPOSES, "a purpose") if "purpose" in fields else None
    return PredictionDecl(
        name=name,
        at=shape.texts(fields.get("at"), "an event"),
        events=shape.texts(fields.get("events"), "an event"),
        within=within,
        without=shape.flag(fields.get("without"), "without", default=False),
        features=shape.texts(fields.get("features"), "an attribute"),
        purpose=Purpose[purpose.upper()] if purpose else Purpose.PERSONALIZATION,
        spot=shape.key_spot(node),
    )
