"""A snapshot of what the shop sells, arranged for decisions: one immutable value, replaced when products change."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from cashwrap.content import locales
from cashwrap.content.text import clean
from cashwrap.model import Inputs, Product, Suggested


class Recommending(Protocol):
    """Models in memory, as far as content asks them. Pure in its arguments and in the models' versions."""

    def version(self, model: str, version: str) -> str | None:
        """The version that is ``live`` or ``candidate`` of a model and can answer; ``None`` where there is none."""

    def suggest(self, model: str, version: str, source: str, inputs: Inputs) -> Sequence[Suggested]:
        """Products, best first, more than will be shown: filters come after. Empty without such a model.

        ``version`` is ``live`` or ``candidate``; ``source`` is ``recommended`` or one source of the model's.
        """


class NoModels:
    """Nothing was learned."""

    def version(self, model: str, version: str) -> str | None:  # noqa: ARG002
        """None."""
        return None

    def suggest(self, model: str, version: str, source: str, inputs: Inputs) -> Sequence[Suggested]:  # noqa: ARG002
        """Nothing."""
        return ()


NO_MODELS = NoModels()


class Catalogue(Struct, frozen=True):
    """Products by id, and the ids of those that may be shown: by category and all, best selling first."""

    products: Mapping[str, Product] = {}
    by_category: Mapping[str, tuple[str, ...]] = {}
    popular: tuple[str, ...] = ()
    version: int = 0
    models: Recommending = NO_MODELS

    @classmethod
    def of(
        cls,
        products: Mapping[str, Product],
        popularity: Mapping[str, float] | None = None,
        version: int = 0,
        models: Recommending = NO_MODELS,
    ) -> "Catalogue":
        """Arrange products. ``popularity`` is pieces sold by id; ties go by id, so that the order never varies."""
        sold = popularity or {}
        shown = [product.id for product in products.values() if sellable(product)]
        popular = sorted(shown, key=lambda name: (-sold.get(name, 0), name))
        by_category: dict[str, list[str]] = {}
        for name in popular:
            category = products[name].category
            if category is not None:
                by_category.setdefault(category, []).append(name)
        return cls(products, {name: tuple(ids) for name, ids in by_category.items()}, tuple(popular), version, models)

    def complements(self, basket: Sequence[str]) -> Iterator[str]:
        """What goes with the basket, in the order of the basket and of each product's own list."""
        for name in basket:
            product = self.products.get(name)
            if product is not None:
                yield from product.complements


def sellable(product: Product) -> bool:
    """Whether a product may be shown to anyone: not sensitive, in stock, with a price; 0 is one that nobody set."""
    return not product.sensitive and bool(product.price) and (product.stock is None or product.stock > 0)


def title(product: Product, tags: Sequence[str]) -> str:
    """The product's title in the first locale of the chain that has one, else its own; may be empty."""
    titles = {locales.canonical(tag): text for tag, text in product.titles.items()}
    found = next((titles[tag] for tag in tags if titles.get(tag)), product.title)
    return clean(found)
