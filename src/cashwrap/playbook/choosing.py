"""What is wrong with how a playbook chooses and assigns: layers, salts, units, and caps of formats nobody has."""

from collections.abc import Collection, Iterator

from cashwrap.attention import ALL
from cashwrap.condition.ast import Attribute
from cashwrap.condition.environment import Environment, Type
from cashwrap.declarations import UNIT, Declarations, ExperimentDecl, Unit
from cashwrap.experiences import salt_of
from cashwrap.experiments import SHARES
from cashwrap.playbook.places import Places

_ASSIGNED = frozenset({Type.STRING, Type.NUMBER, Type.VERSION, Type.DYN})
"""What a unit may be: a text or a whole number."""


def check_choosing(declared: Declarations, names: Environment, places: Places) -> None:
    """Complain about everything that only the whole playbook can tell."""
    _layers(declared, places)
    _salts(declared, places)
    for unit, path in _units(declared):
        _unit(unit, names, places, path)
    forms = {placement.format or placement.component for placement in declared.placements.values()}
    for form in declared.settings.attention:
        if form != ALL and form not in forms:
            hint = places.faults.did_you_mean(form, [*forms, ALL])
            message = f"no placement has the format {form!r}{hint}"
            places.faults.error(places.spot("attention", form), "unknown_attention", message)


def _experiments(declared: Declarations) -> Iterator[tuple[str, ExperimentDecl]]:
    for name, experience in declared.experiences.items():
        if experience.experiment is not None:
            yield name, experience.experiment


def _layers(declared: Declarations, places: Places) -> None:
    """A layer exists, and its experiments fit into it beside each other."""
    taken = dict.fromkeys(declared.layers, 0)
    for name, placement in declared.placements.items():
        if placement.layer is not None and placement.layer not in taken:
            _no_layer(placement.layer, taken, places, ("placements", name, "layer"))
    for name, experiment in _experiments(declared):
        layer = experiment.layer
        if layer is None:
            continue
        if layer not in taken:
            if layer != declared.placements[declared.experiences[name].placement].layer:
                _no_layer(layer, taken, places, ("experiences", name, "experiment", "layer"))
            continue
        share = max(share for _, share in experiment.traffic)
        taken[layer] += share
        if taken[layer] > SHARES >= taken[layer] - share:
            message = f"with this experiment layer {layer!r} comes to {taken[layer] / 100:g}%; take less 'traffic'"
            places.faults.error(places.spot("experiences", name, "experiment"), "layer_full", message)
    used = {experiment.layer for _, experiment in _experiments(declared)}
    for name, decl in declared.layers.items():
        if name not in used:
            places.faults.warn(decl.spot, "unused_layer", f"no experiment is in layer {name!r}")


def _no_layer(layer: str, known: Collection[str], places: Places, path: tuple[str, ...]) -> None:
    hint = places.faults.did_you_mean(layer, known) or "; declare it under 'layers'"
    places.faults.error(places.value_spot(*path), "unknown_layer", f"{layer!r} is not a layer{hint}")


def _salts(declared: Declarations, places: Places) -> None:
    """Each salt once: two experiments that share one would put the same people into the same arms."""
    taken = {declared.settings.holdout.salt: "the holdout"}
    for name, experiment in _experiments(declared):
        salt = salt_of(declared.experiences[name], experiment)
        if salt in taken:
            message = f"{salt!r} is the salt of {taken[salt]} already; give this one a 'salt' of its own"
            places.faults.error(places.spot("experiences", name, "experiment", "salt"), "salt_taken", message)
        else:
            taken[salt] = f"experiment {name!r}"


def _units(declared: Declarations) -> Iterator[tuple[Unit, tuple[str, ...]]]:
    yield declared.settings.holdout.unit, ("holdout", "unit")
    for name, layer in declared.layers.items():
        yield layer.unit, ("layers", name, "unit")
    for name, experiment in _experiments(declared):
        yield experiment.unit, ("experiences", name, "experiment", "unit")


def _unit(unit: Unit, names: Environment, places: Places, path: tuple[str, ...]) -> None:
    for name in unit:
        found = names.resolve(Attribute(name)) if name not in UNIT else None
        if name in UNIT or (found is not None and found[1] in _ASSIGNED):
            continue
        if found is not None:
            why = f"{name!r} is {found[1].value}; a unit is a text or a whole number"
        else:
            hint = places.faults.did_you_mean(name, [*UNIT, *names.types])
            why = f"{name!r} is neither {', '.join(UNIT)} nor an attribute{hint}"
        places.faults.error(places.value_spot(*path), "unknown_unit", why)
