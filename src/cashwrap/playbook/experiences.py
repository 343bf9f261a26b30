"""Experiences as written: what is shown in which placement, to whom, when, how often, and in which arms."""

from collections.abc import Collection, Mapping

from msgspec import Struct

from cashwrap.declarations import MAIN, Content, ExperienceDecl, PlacementDecl
from cashwrap.playbook.contents import read_content
from cashwrap.playbook.document import Node
from cashwrap.playbook.offers import read_grants
from cashwrap.playbook.schedule import read_schedule
from cashwrap.playbook.schema import DEFINITIONS, MAX_WEIGHT
from cashwrap.playbook.shape import Shape
from cashwrap.playbook.trials import MAX_VARIATIONS, RESERVED, read_caps, read_experiment


class Context(Struct, frozen=True):
    """What experiences are read against. ``unread`` are placements that are declared and mean nothing; ``metrics`` the
    shop's own, also those that mean nothing."""

    placements: Mapping[str, PlacementDecl]
    unread: Collection[str]
    locale: str
    zone: str
    metrics: Collection[str] = ()


def read_experience(shape: Shape, name: str, node: Node, context: Context) -> ExperienceDecl | None:
    """One experience; ``None`` where it could not stand anywhere or shows nothing."""
    shape.name(name, node, "an experience")
    fields = shape.fields(node, DEFINITIONS["experience"], f"experience {name!r}")
    when = shape.condition(fields.get("when"))
    priority = shape.integer(fields.get("priority"), "a priority", (-1000, 1000), 0)
    weight = shape.integer(fields.get("weight"), "a weight", (1, MAX_WEIGHT), 0)
    enabled = shape.flag(fields.get("enabled"), "enabled", default=True)
    schedule = read_schedule(shape, fields["schedule"], context.zone) if "schedule" in fields else None
    caps = read_caps(shape, fields.get("attention"))
    named = _variations(shape, node, fields, name)
    placement = _placement(shape, fields["in"], context) if "in" in fields else None
    offer, best_of = read_grants(shape, fields.get("offer"))
    experiment = None
    if "experiment" in fields:
        layer = placement.layer if placement is not None else None
        experiment = read_experiment(shape, fields["experiment"], named, context.zone, layer, context.metrics)
    if len(named) > 1 and "experiment" not in fields:
        message = f"experience {name!r} has several variations; an 'experiment' says who sees which"
        shape.faults.error(shape.key_spot(node), "missing_key", message)
    if placement is None or not named:
        return None
    contents = {key: read_content(shape, placement.component, each, context.locale) for key, each in named.items()}
    variations: dict[str, Content] = {key: each for key, each in contents.items() if each is not None}
    if len(variations) < len(contents):
        return None
    return ExperienceDecl(
        name=name,
        placement=placement.name,
        when=when,
        variations=variations,
        priority=priority,
        weight=weight,
        enabled=enabled,
        schedule=schedule,
        caps=caps,
        experiment=experiment,
        offer=offer,
        best_of=best_of,
        spot=shape.key_spot(node),
    )


def _variations(shape: Shape, node: Node, fields: Mapping[str, Node], name: str) -> Mapping[str, Node]:
    """The contents by name: what stands under ``show`` is the only one."""
    show, several = fields.get("show"), fields.get("variations")
    if show is not None and several is not None:
        message = "an experience has 'show' or 'variations', not both"
        shape.faults.error(shape.key_spot(several), "bad_value", message)
    if show is not None:
        return {MAIN: show}
    if several is None:
        if isinstance(node.value, dict):
            message = f"experience {name!r} needs 'show', or 'variations' with an 'experiment'"
            shape.faults.error(shape.key_spot(node), "missing_key", message)
        return {}
    named = shape.entries(several, "variations")
    if len(named) > MAX_VARIATIONS:
        shape.fail(several, "too_many", f"an experience may have {MAX_VARIATIONS} variations")
        return {}
    if not named:
        shape.fail(several, "empty", "give at least one variation")
    for each, value in named.items():
        if each in RESERVED:
            message = f"{each!r} is an arm of its own; give the variation another name"
            shape.faults.error(shape.key_spot(value), "reserved_name", message)
        shape.name(each, value, "a variation")
    return named


def _placement(shape: Shape, node: Node, context: Context) -> PlacementDecl | None:
    name = shape.text(node, "a placement")
    placement = context.placements.get(name)
    if placement is None and name and name not in context.unread:
        hint = shape.faults.did_you_mean(name, [*context.placements, *context.unread])
        shape.fail(node, "unknown_placement", f"{name!r} is not a placement{hint}")
    return placement
