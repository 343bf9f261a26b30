"""Experiments, layers, holdout and caps: who sees what, and how often, as written."""

from collections.abc import Collection
from typing import Literal, cast

from cashwrap.attention import KEPT
from cashwrap.declarations import (
    CONTROL,
    HOLDOUT,
    UNIT,
    CapsDecl,
    ExperimentDecl,
    HoldoutDecl,
    LayerDecl,
    Unit,
)
from cashwrap.experiments import SHARES
from cashwrap.model import Millis
from cashwrap.playbook.designs import read_measured
from cashwrap.playbook.document import Node
from cashwrap.playbook.schedule import read_step
from cashwrap.playbook.schema import DEFINITIONS, MAX_SHOWN, SALT, SEES, START
from cashwrap.playbook.shape import Shape

MAX_VARIATIONS = 20
MAX_STEPS = 100
"""Steps of an experiment's traffic."""
RESERVED = (CONTROL, HOLDOUT)
"""Arms that are no variations."""
_Fields = dict[str, Node]


def read_caps(shape: Shape, node: Node | None) -> CapsDecl:
    """How often something may be shown."""
    if node is None:
        return CapsDecl()
    fields = shape.fields(node, DEFINITIONS["caps"], "attention")
    if isinstance(node.value, dict) and not fields:
        shape.fail(node, "empty", "attention has session, day, shopper or cool_down")
    return CapsDecl(
        session=_times(shape, fields.get("session"), KEPT),
        day=_times(shape, fields.get("day"), KEPT),
        shopper=_times(shape, fields.get("shopper"), MAX_SHOWN),
        cool_down=shape.duration(fields.get("cool_down"), "a cool-down"),
    )


def _times(shape: Shape, node: Node | None, most: int) -> int | None:
    return shape.integer(node, "how often something is shown", (1, most), 1) if node is not None else None


def read_layer(shape: Shape, name: str, node: Node) -> LayerDecl:
    """A layer; it may be left empty."""
    shape.name(name, node, "a layer")
    fields = shape.fields(node, DEFINITIONS["layer"], f"layer {name!r}") if node.value is not None else {}
    return LayerDecl(name, read_unit(shape, fields.get("unit")), shape.key_spot(node))


def read_unit(shape: Shape, node: Node | None) -> Unit:
    """Whom to assign, the first that is known."""
    if node is None:
        return UNIT
    unit = shape.texts(node, "a unit")
    if not unit:
        shape.fail(node, "empty", "name at least one unit, such as [anonymous, user, cart]")
    return unit


def read_holdout(shape: Shape, fields: _Fields) -> HoldoutDecl:
    """The whole shop's holdout."""
    return HoldoutDecl(
        share=shape.share(fields["share"], "a share") or 0,
        unit=read_unit(shape, fields.get("unit")),
        salt=_salt(shape, fields.get("salt")) or HOLDOUT,
    )


def _salt(shape: Shape, node: Node | None) -> str:
    return shape.matching(node, SALT, "a salt") if node is not None else ""


# --- experiments ---


def read_experiment(
    shape: Shape, node: Node, variations: Collection[str], zone: str, layer: str | None, metrics: Collection[str]
) -> ExperimentDecl | None:
    """An experiment over these variations, in its placement's ``layer`` where it names none.

    ``zone`` is the shop's, whose clock the traffic goes by; ``metrics`` are the shop's own.
    """
    fields = shape.fields(node, DEFINITIONS["experiment"], "an experiment")
    if not fields:
        if isinstance(node.value, dict):
            shape.fail(node, "missing_key", "an experiment needs 'arms', or 'control' where there is one variation")
        return None
    before = len(shape.faults)
    arms = _arms(shape, node, fields, variations)
    if "layer" in fields:
        layer = shape.text(fields["layer"], "a layer")
    if layer is not None and "unit" in fields:
        message = "the units of an experiment in a layer are the layer's; declare 'unit' there"
        shape.faults.error(shape.key_spot(fields["unit"]), "unit_of_layer", message)
    holdout, measured = fields.get("holdout"), read_measured(shape, fields, metrics)
    sees = shape.choice(fields["control_sees"], SEES, "what control sees") if "control_sees" in fields else "default"
    experiment = ExperimentDecl(
        arms=arms,
        goal=measured.goal,
        unit=read_unit(shape, fields.get("unit")),
        traffic=_traffic(shape, fields["traffic"], zone) if "traffic" in fields else ((0, SHARES),),
        layer=layer,
        holdout=(shape.share(holdout, "a holdout") or 0) if holdout is not None else 0,
        control_sees=cast("Literal['default', 'next']", sees or "default"),
        salt=_salt(shape, fields.get("salt")),
        sticky=shape.flag(fields.get("sticky"), "sticky", default=True),
        metrics=measured.metrics,
        guardrails=measured.guardrails,
        design=measured.design,
    )
    if CONTROL not in arms and len(shape.faults) == before:
        message = "this experiment has no control, so what the experience itself brings cannot be measured"
        shape.faults.warn(shape.key_spot(node), "no_control", message)
    if "design" not in fields and len(shape.faults) == before:
        design = experiment.design
        message = f"this experiment plans no end, so it counts {design.days} days and is looked at {design.looks} times"
        shape.faults.warn(shape.key_spot(node), "no_design", f"{message}; say so, or otherwise, under 'design'")
    return experiment


def _arms(shape: Shape, node: Node, fields: _Fields, variations: Collection[str]) -> dict[str, int]:
    """Shares by arm, which come to the whole."""
    control = fields.get(CONTROL)
    if "arms" in fields:
        if control is not None:
            message = "an experiment has 'arms' or 'control'; write control among the arms"
            shape.faults.error(shape.key_spot(control), "bad_value", message)
        return _listed(shape, fields["arms"], variations)
    if control is None:
        shape.faults.error(shape.key_spot(node), "missing_key", "an experiment needs 'arms' or 'control'")
        return {}
    share = shape.share(control, "control's share") or 0
    if len(variations) > 1:
        shape.fail(control, "bad_value", "with several variations, list them all under 'arms', control too")
    return {CONTROL: share, **dict.fromkeys(variations, SHARES - share)}


def _listed(shape: Shape, node: Node, variations: Collection[str]) -> dict[str, int]:
    before, arms = len(shape.faults), {}
    for name, value in shape.entries(node, "arms").items():
        if name not in variations and name != CONTROL:
            known = [*variations, CONTROL]
            hint = shape.faults.did_you_mean(name, known) or f"; it has {', '.join(known)}"
            message = f"{name!r} is not a variation of this experience{hint}"
            shape.faults.error(shape.key_spot(value), "unknown_arm", message)
        arms[name] = shape.share(value, f"the share of {name!r}") or 0
    total = sum(arms.values())
    if len(shape.faults) == before and total != SHARES:
        shape.fail(node, "bad_shares", f"the arms come to {total / 100:g}%, not to 100%")
    return arms


def _traffic(shape: Shape, node: Node, zone: str) -> tuple[tuple[Millis, int], ...]:
    """One share, or the shares from each moment on."""
    if not isinstance(node.value, dict):
        return ((0, shape.share(node, "traffic") or 0),)
    if START not in node.value:
        message = f"a ramp begins with {START!r}: the share before its first moment, such as {START}: 0%"
        shape.fail(node, "missing_key", message)
    if len(node.value) > MAX_STEPS:
        shape.fail(node, "too_many", f"traffic may have {MAX_STEPS} steps")
        return ((0, 0),)
    steps: list[tuple[Millis, int]] = []
    for text, value in node.value.items():
        moment = 0 if text == START else read_step(shape, value, text, zone)
        share = shape.share(value, "traffic") or 0
        if moment is not None and steps and moment <= steps[-1][0]:
            shape.faults.error(shape.key_spot(value), "bad_value", f"{text} is not after the step before it")
        elif moment is not None:
            steps.append((moment, share))
    return tuple(steps) or ((0, 0),)
