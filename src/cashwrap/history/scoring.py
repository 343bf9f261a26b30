"""Everybody scored at once: what models that are live say of each shopper who allows it, for other people's tools.

The same functions as in a decision, without a request. Shoppers are read page by page: memory does not grow with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from cashwrap import profiles
from cashwrap.content import Catalogue, locales
from cashwrap.content.shelf import Rules, pick
from cashwrap.declarations import Products
from cashwrap.errors import Forgotten, InvalidInput
from cashwrap.learned.serving import Models, TenantModels
from cashwrap.model import PERSONALIZATION, Profile, Tenant, Value
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.predicting import score_profile
from cashwrap.world import World

PAGE = 500
"""Shoppers read at once."""


class Wanted(Struct, frozen=True):
    """What is to be said of each shopper: predictions by name, and so many products of a recommender."""

    predictions: tuple[str, ...] = ()
    recommender: str = ""
    limit: int = 10


class Scored(Struct, frozen=True):
    """What was said of one shopper; who allows nothing of it is in no list."""

    user_id: str | None
    anonymous_id: str | None
    values: Mapping[str, Value]
    products: tuple[str, ...] = ()


def score_everybody(world: World, playbook: Playbook, tenant: Tenant, wanted: Wanted) -> Iterator[Scored]:
    """Every shopper of whom something can be said, in the store's own order.

    Raises ``InvalidInput`` (``unknown_prediction``), and ``no_model`` where none of what is wanted is live.
    """
    unknown = [name for name in wanted.predictions if name not in playbook.predictions]
    if unknown:
        there = ", ".join(playbook.predictions)
        raise InvalidInput(f"{unknown[0]!r} is no prediction; there are {there}", code="unknown_prediction")
    models = Models(world).of(tenant)
    asked = (*wanted.predictions, *([wanted.recommender] if wanted.recommender else []))
    if not any(models.version(name, "live") for name in asked):
        raise InvalidInput(f"of {', '.join(asked)} no model is live: see 'cashwrap models'", code="no_model")
    return _scored(world, playbook, _Shoppers(tenant, models), wanted)


class _Shoppers(NamedTuple):
    """Whose shoppers are asked about, and who is asked."""

    tenant: Tenant
    models: TenantModels


def _scored(world: World, playbook: Playbook, shoppers: _Shoppers, wanted: Wanted) -> Iterator[Scored]:
    tenant, models = shoppers
    catalogue = Catalogue.of(world.catalogue.products(tenant), models=models)
    show, tags = (
        Products("recommended", wanted.limit, model=wanted.recommender),
        locales.chain("", playbook.settings.locale),
    )
    now = world.clock.now()
    for key, profile in _profiles(world, tenant):
        told, inputs = score_profile(playbook, models, profile, now, key.tenant, wanted.predictions)
        names = (profile.user_id, profile.anonymous_ids[-1] if profile.anonymous_ids else None)
        products: Sequence[str] = ()
        if wanted.recommender and inputs.mask & PERSONALIZATION:
            products = [placed.product.id for placed in pick(show, Rules(), inputs, catalogue, tags)]
        if told.values or products:
            yield Scored(*names, told.values, tuple(products))


def _profiles(world: World, tenant: Tenant) -> Iterator[tuple[ShopperKey, Profile]]:
    """Every shopper of a store; who is forgotten meanwhile is left out."""
    page = world.store.shoppers(None, PAGE)
    while page:
        rows = world.store.load([key for key in page if key.tenant == tenant])
        for key, row in rows.items():
            try:
                yield key, profiles.decode(world.vault.open(key.shopper, row.state))
            except Forgotten:
                continue
        page = world.store.shoppers(page[-1], PAGE)


def header(wanted: Wanted) -> list[str]:
    """The columns of a table of scores."""
    return [*("user_id", "anonymous_id"), *wanted.predictions, *(["products"] if wanted.recommender else [])]


def row(scored: Scored, wanted: Wanted) -> list[str]:
    """One shopper's line of it; what is not known is empty, products are divided by spaces."""
    values = [scored.values.get(name) for name in wanted.predictions]
    told = chain((scored.user_id, scored.anonymous_id), values)
    cells = ["" if each is None else str(each) for each in told]
    return [*cells, *([" ".join(scored.products)] if wanted.recommender else [])]
