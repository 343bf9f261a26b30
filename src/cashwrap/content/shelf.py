"""Which products a list shows: candidates by source, what may be shown of them, and who filled each place. Pure.

What a model suggests is looked at first and what it cannot fill the catalogue fills. Whoever suggested it, a product
is shown only where the catalogue of this moment and the rules allow it. Of each source so many candidates are looked at
and no more, so that rules which nothing fits cost no more than others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from cashwrap.content import locales
from cashwrap.content.catalogue import Catalogue, sellable, title
from cashwrap.content.texts import Ineligible
from cashwrap.declarations import Products, RulesDecl
from cashwrap.errors import ContentError
from cashwrap.model import Inputs, Minor, Product, Value

LOOKED_AT = 200
"""Candidates of one source that are looked at."""
CATALOGUE = ("complements", "category", "popular")
"""The sources that need no model, and the order in which they fill what one leaves."""
_ALL = 10_000
_Candidates = Iterable[tuple[str, str]]


class Placed(NamedTuple):
    """A product for one place, as it is called there, and the source that filled it."""

    product: Product
    called: str
    source: str


class Rules(Struct, frozen=True):
    """``RulesDecl`` with amounts in minor units."""

    declared: RulesDecl = RulesDecl()
    least: Minor | None = None
    most: Minor | None = None

    @classmethod
    def of(cls, declared: RulesDecl, currency: str) -> "Rules":
        """Rules ready to ask. Raises ContentError where an amount is none of the currency."""
        return cls(declared, _amount(declared.least, "least", currency), _amount(declared.most, "most", currency))

    def filter(self, inputs: Inputs) -> "Filter":
        """The rules for one question."""
        declared, values = self.declared, inputs.values
        most = self.most
        if declared.cart_share is not None:
            total = values.get("cart.total")
            share = total * declared.cart_share // _ALL if type(total) is int else -1
            most = share if most is None else min(most, share)
        only = frozenset(_categories(declared.only, values)) if declared.only else None
        never = frozenset(_categories(declared.never, values))
        return Filter(only, never, declared.margin, self.least, most, declared.per_category)


class Filter(NamedTuple):
    """What rules come to for one question: categories, the margin of 10,000, and prices in minor units."""

    only: frozenset[str] | None
    never: frozenset[str]
    margin: int | None
    least: Minor | None
    most: Minor | None
    per_category: int | None

    def takes(self, product: Product) -> bool:
        """Whether a product that may be sold may be shown here too."""
        price, category = product.price or 0, product.category
        if self.only is not None and category not in self.only:
            return False
        if category in self.never:
            return False
        if self.most is not None and price > self.most:
            return False
        if self.least is not None and price < self.least:
            return False
        if self.margin is None:
            return True
        return product.cost is not None and (price - product.cost) * _ALL >= self.margin * price


def pick(show: Products, rules: Rules, inputs: Inputs, catalogue: Catalogue, tags: Sequence[str]) -> list[Placed]:
    """What a list shows, best first, each product once; ``tags`` are the locales it may be called in."""
    allowed = rules.filter(inputs)
    known, seen, held = catalogue.products, set(inputs.basket), dict[str, int]()
    placed: list[Placed] = []
    for name, source in _candidates(show, inputs, catalogue, allowed):
        product = known.get(name)
        if product is None or name in seen or not sellable(product) or not allowed.takes(product):
            continue
        seen.add(name)
        category = product.category if allowed.per_category is not None else None
        if category is not None and held.get(category, 0) >= (allowed.per_category or 0):
            continue
        called = title(product, tags)
        if not called:
            continue
        if category is not None:
            held[category] = held.get(category, 0) + 1
        placed.append(Placed(product, called, source))
        if len(placed) == show.limit:
            break
    return placed


def missing_model(show: Products, catalogue: Catalogue) -> Ineligible | None:
    """Why an arm cannot show what it is there to show: there is no candidate, and what is live is another arm's."""
    if show.version == "live" or show.source in CATALOGUE or catalogue.models.version(show.model, show.version):
        return None
    return Ineligible(f"the model {show.model} has no candidate, or it cannot be read")


def _candidates(show: Products, inputs: Inputs, catalogue: Catalogue, allowed: Filter) -> _Candidates:
    """Products with their sources, as far as anybody looks at them."""
    if show.source in CATALOGUE:
        yield from _from_catalogue(show.source, show.category, inputs, catalogue, allowed)
        return
    suggested = catalogue.models.suggest(show.model, show.version, show.source, inputs)
    yield from suggested[:LOOKED_AT]
    for source in CATALOGUE:
        yield from _from_catalogue(source, None, inputs, catalogue, allowed)


def _from_catalogue(
    source: str, category: str | None, inputs: Inputs, catalogue: Catalogue, allowed: Filter
) -> Iterator[tuple[str, str]]:
    for name in islice(_listed(source, category, inputs, catalogue, allowed), LOOKED_AT):
        yield name, source


def _listed(source: str, category: str | None, inputs: Inputs, catalogue: Catalogue, allowed: Filter) -> Iterable[str]:
    if source == "complements":
        return catalogue.complements(inputs.basket)
    if source == "category":
        named = _categories((category,), inputs.values) if category is not None else _of_cart(inputs, catalogue)
        return _of_categories(dict.fromkeys(named), catalogue)
    if allowed.only is not None:  # else what is allowed may lie behind all that is looked at
        return _of_categories(sorted(allowed.only), catalogue)
    return catalogue.popular


def _of_categories(names: Iterable[str], catalogue: Catalogue) -> Iterator[str]:
    for name in names:
        yield from catalogue.by_category.get(name, ())


def _of_cart(inputs: Inputs, catalogue: Catalogue) -> Iterator[str]:
    """The categories of what is in the cart, in its order; where nothing is in it, of the product last looked at."""
    names = inputs.basket or tuple([each.product for each in inputs.touched[-1:]])
    for name in names:
        product = catalogue.products.get(name)
        if product is not None and product.category is not None and not product.sensitive:
            yield product.category


def _categories(named: Iterable[str], values: Mapping[str, Value]) -> Iterator[str]:
    """The categories meant: those that an attribute of this name holds, else the name itself."""
    for name in named:
        value = values.get(name)
        if isinstance(value, frozenset):
            yield from sorted(value)
        else:
            yield value if isinstance(value, str) else name


def _amount(written: str | None, key: str, currency: str) -> Minor | None:
    if written is None:
        return None
    found = locales.minor(written, currency)
    if found is None:
        raise ContentError(f"{written!r} is no amount of {currency}", code="bad_amount", where=f"rules.{key}")
    return found
