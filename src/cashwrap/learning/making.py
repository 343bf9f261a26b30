"""From a data folder to models: what a shop can learn, the data each is learned from, and the registry it ends in."""

from collections.abc import Iterator
from collections.abc import Mapping as Settings
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cashwrap.declarations import DISCOUNT_SENSITIVITY, NEXT_CATEGORY, PREDICTIONS
from cashwrap.errors import InvalidInput, StoreError
from cashwrap.learned import registry
from cashwrap.learned.files import opened
from cashwrap.learned.registry import Draft
from cashwrap.learning import examples, interactions, randomised
from cashwrap.learning.data import Task
from cashwrap.learning.mapped import read_interactions, read_table
from cashwrap.learning.mapping import TASKS_OF_ITEMS, Mapping
from cashwrap.learning.render.card import card
from cashwrap.learning.results import Training
from cashwrap.learning.tasks import Data
from cashwrap.learning.training import Made, Plan
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook
from cashwrap.versions import Versions
from cashwrap.world import World

RECOMMENDERS = ("basket", "next_item")
AGE = 7 * 86_400_000
"""After so long a model is due: what sells has changed."""


class Shop(Struct, frozen=True):
    """Whose models are made: a data folder's world, where its facts are, and the playbook that declares predictions."""

    world: World
    facts: Path
    tenant: Tenant
    playbook: Playbook


def shop_of(world: World, facts: Path, tenant: Tenant, playbook: Playbook | None) -> Shop:
    """The shop with a playbook, or with its live one. Raises ``InvalidInput`` (``no_playbook``)."""
    if playbook is None:
        versions = Versions(world.registry, world.clock)
        live = versions.live()
        if live is None:
            raise InvalidInput("no playbook was ever live here: name one with --playbook", code="no_playbook")
        playbook = versions.load(live.hash)
    return Shop(world, facts, tenant, playbook)


def names_of(playbook: Playbook) -> tuple[str, ...]:
    """Every model that a shop with this playbook can learn; ``discount_sensitivity`` only with an experiment named."""
    return (*RECOMMENDERS, NEXT_CATEGORY, *{**PREDICTIONS, **playbook.declarations.predictions})


def own(shop: Shop, name: str, experiment: str = "") -> tuple[Plan, Data]:
    """What one of the shop's models is learned from, out of its own folder.

    Raises ``InvalidInput``: ``unknown_model``, ``no_experiment``, and whatever the data lacks.
    """
    world, now, playbook = shop.world, shop.world.clock.now(), shop.playbook
    if name in (*RECOMMENDERS, NEXT_CATEGORY):
        task: Task = "basket" if name == "basket" else "next_item"
        products = world.catalogue.products(shop.tenant)
        data = interactions.of_facts(shop.facts, shop.tenant, task, catalogue=products, now=now)
        return Plan(name, NEXT_CATEGORY if name == NEXT_CATEGORY else task, "facts", refit=True), data
    if name == DISCOUNT_SENSITIVITY:
        if not experiment:
            raise InvalidInput(
                "who needs a discount is learned from one that chance gave: name the experience with --experiment",
                code="no_experiment",
            )
        table = randomised.of_facts(world, shop.facts, playbook, experiment, shop.tenant)
        return Plan(name, "uplift", f"experiment {experiment}", playbook=playbook.hash, refit=True), table
    declared = {**PREDICTIONS, **playbook.declarations.predictions}.get(name)
    if declared is None:
        known = ", ".join((*names_of(playbook), DISCOUNT_SENSITIVITY))
        raise InvalidInput(f"{name!r} is nothing that can be learned here; there is {known}", code="unknown_model")
    table = examples.of_log(world, playbook, declared, shop.tenant, now=now)
    return Plan(name, "prediction", "log", gap=declared.within, playbook=playbook.hash, refit=True), table


def mapped(mapping: Mapping, file: Path) -> tuple[Plan, Data]:
    """What a mapping says is in a file."""
    data: Data
    data = read_interactions(mapping, file) if mapping.task in TASKS_OF_ITEMS else read_table(mapping, file)
    return Plan(mapping.name or mapping.task, mapping.task, mapping.source, mapping.test), data


def live_of(shop: Shop, name: str) -> Settings[str, Any] | None:
    """The settings of the model that answers now, where there is one that can be read."""
    world, tenant = shop.world, shop.tenant
    version = registry.model_of(world.registry, tenant, name).live
    if not version:
        return None
    try:
        return opened(registry.files_of(world), world.vault, tenant, name, version).artefact.settings
    except StoreError:
        return None


def registered(world: World, tenant: Tenant, made: Made) -> Training:
    """Put a model into the registry, with its card; the training with the version that it became."""
    training = made.training
    more = {
        "training.json": msgspec.json.encode(training),
        "drift.json": msgspec.json.encode(made.drift),
        "card.md": card(training).encode(),
    }
    draft = Draft(
        name=training.name,
        artefact=made.artefact,
        lineage=training.lineage,
        figures=training.evaluation.figures,
        gate=training.gate,
        subjects=made.subjects,
        more=more,
    )
    return msgspec.structs.replace(training, version=registry.register(world, tenant, draft))


def due(shop: Shop) -> Iterator[tuple[str, str]]:
    """The models to train again, and why: never trained, grown old, or somebody in them was forgotten."""
    newest: dict[str, registry.Listed] = {}
    for each in registry.listed(shop.world, shop.tenant):
        newest.setdefault(each.name, each)
    for name in names_of(shop.playbook):
        found = newest.get(name)
        if found is None or found.manifest is None:
            yield name, "it was never trained"
        elif found.due is not None:
            yield name, "somebody whose data is in it was forgotten"
        elif shop.world.clock.now() - found.manifest.created > AGE:
            yield name, "it is older than a week"
