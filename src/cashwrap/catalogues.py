"""The products of every store in memory, arranged for decisions, and their changes."""

import threading
from collections.abc import Callable, Iterable, Mapping

import msgspec

from cashwrap import sold
from cashwrap.content import Catalogue
from cashwrap.content.catalogue import NO_MODELS, Recommending
from cashwrap.model import Minor, Product, Tenant
from cashwrap.ports import CatalogueStore, Registry

Change = tuple[str, Minor | None, int | None]
"""A product's id, new price and new stock; ``None`` leaves one as it is."""
Changing = Callable[[Tenant, Iterable[Change]], dict[str, object]]


class Catalogues:
    """One immutable snapshot a tenant, replaced when its products change."""

    def __init__(
        self,
        source: CatalogueStore,
        registry: Registry,
        elsewhere: Changing | None = None,
        models: Callable[[Tenant], Recommending] = lambda _: NO_MODELS,
    ) -> None:
        """``registry`` says what sold, which lists of products go by: whoever changes their order advances the version.

        ``elsewhere`` makes changes in place of this one: where several processes would undo each other's.
        ``models`` are a store's, which lists of products ask.
        """
        self._source = source
        self._registry = registry
        self._elsewhere = elsewhere
        self._models = models
        self._snapshots: dict[Tenant, Catalogue] = {}
        self._changing = threading.Lock()
        """Two changes of one product at once: neither may undo the other."""

    def ready(self, tenant: Tenant) -> bool:
        """Whether ``of`` answers from memory."""
        return tenant in self._snapshots

    def of(self, tenant: Tenant) -> Catalogue:
        """The tenant's products; read from the store the first time."""
        found = self._snapshots.get(tenant)
        return found if found is not None else self._read(tenant)

    def products(self, tenant: Tenant) -> Mapping[str, Product]:
        """The tenant's products by id."""
        return self.of(tenant).products

    def refresh(self) -> None:
        """See products written and orders counted by another process, and models that changed."""
        for tenant, snapshot in list(self._snapshots.items()):
            if self._source.version(tenant) != snapshot.version:
                self._read(tenant)
            elif (models := self._models(tenant)) is not snapshot.models:
                self._snapshots[tenant] = msgspec.structs.replace(snapshot, models=models)

    def change(self, tenant: Tenant, changes: Iterable[Change]) -> dict[str, object]:
        """New prices and stock of known products; unknown ids are told back."""
        if self._elsewhere is not None:
            told = self._elsewhere(tenant, changes)
            self.refresh()
            return told
        with self._changing:
            return self._change(tenant, changes)

    def _change(self, tenant: Tenant, changes: Iterable[Change]) -> dict[str, object]:
        known = self.products(tenant)
        changed, unknown = [], []
        for product_id, price, stock in changes:
            product = known.get(product_id)
            if product is None:
                unknown.append(product_id)
                continue
            changed.append(
                msgspec.structs.replace(
                    product,
                    price=product.price if price is None else price,
                    stock=product.stock if stock is None else stock,
                )
            )
        if changed:
            self._source.upsert(tenant, changed)
            self._read(tenant)
        return {"changed": len(changed), "unknown": unknown[:100]}

    def _read(self, tenant: Tenant) -> Catalogue:
        version = self._source.version(tenant)
        products, pieces = self._source.products(tenant), sold.read(self._registry, tenant).pieces
        found = Catalogue.of(products, pieces, version=version, models=self._models(tenant))
        self._snapshots[tenant] = found
        return found
