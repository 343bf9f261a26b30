"""What the catalogue itself knows of items: which are like each other, and which are made for each other.

Likeness is the cosine of TF-IDF vectors (Salton and Buckley 1988) over the words of titles, the brand, the category
and the attributes: no language model, nothing to download, the same for an item that nobody has seen yet.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import number
from cashwrap.learning.rows import Arrays, Rows, Texts
from cashwrap.model import Product

KEEP: Final = 60
"""The longest row."""
WORK: Final = 100_000_000
"""Pairs that are looked at, with repetition: words that so many items have that there would be more say nothing."""
BLOCK: Final = 4_000_000
LEAST: Final = 0.05
"""Likeness below this is chance."""
FITS: Final = ("fits", "compatible_with", "compatible", "suitable_for", "accessory_for")
"""Attributes that name what an item is made for: ids, categories or brands, divided by commas, semicolons or bars."""
GROUP: Final = 20
"""Items that fit a whole category or brand: so many at most stand in the rows of each of its items."""
_WORD: Final = re.compile(r"[^\W_]+")
_TEXT: Final = 2_000
"""Letters of a title that count."""
_ATTRIBUTES: Final = 100


def build(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``similar.*``; empty rows for items that the catalogue does not describe."""
    keep = int(number(settings, "keep", KEEP))
    vectors = described(data.items, data.catalogue)
    rows = Rows(len(data.items), keep)
    others = vectors.T.tocsr()
    cost = np.cumsum(abs(vectors).sign() @ np.diff(others.indptr)) if vectors.nnz else np.zeros(len(data.items))
    for low, high in _spans(cost):
        found = vectors[low:high] @ others
        found.sort_indices()
        row = np.repeat(np.arange(low, high), np.diff(found.indptr))
        kept = (row != found.indices) & (found.data > LEAST)
        rows.add(row[kept], found.indices[kept], found.data[kept])
    return rows.arrays("similar"), {}


def stocked(data: Interactions) -> Interactions:
    """The same data with what the catalogue has beside as items too: nobody has had to do with them yet, but what they
    are like, or made for, can be told. Sensitive products are never among them."""
    known = set(data.items)
    new = [name for name, product in data.catalogue.items() if name not in known and not product.sensitive]
    return data._replace(items=(*data.items, *sorted(new)))


def described(items: Sequence[str], catalogue: Mapping[str, Product]) -> Any:
    """Items by terms, each row of length 1: terms that only one item has, or too many, are left out."""
    terms: dict[str, int] = {}
    columns: list[int] = []
    ends = [0]
    for name in items:
        product = catalogue.get(name)
        if product is not None:
            columns.extend(sorted({terms.setdefault(term, len(terms)) for term in _terms(product)}))
        ends.append(len(columns))
    shape = (len(items), max(len(terms), 1))
    matrix = sparse.csr_matrix((np.ones(len(columns)), np.array(columns, np.int32), np.array(ends)), shape)
    count = np.bincount(matrix.indices, minlength=shape[1])
    weights = np.where(_telling(count), np.log((1 + len(items)) / (1 + count)), 0.0)
    matrix = matrix @ sparse.diags(weights)
    matrix.eliminate_zeros()
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.where(length > 0, length, 1)) @ matrix).tocsr()


def build_accessories(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``accessories.*``: each product's ``complements`` first, as the feed has them, then what names it, its
    category or its brand as what it fits."""
    keep = int(number(settings, "keep", KEEP))
    places = {name: place for place, name in enumerate(data.items)}
    fitting = _fitting(data.items, data.catalogue)
    rows = Rows(len(data.items), keep)
    at: list[int] = []
    others: list[int] = []
    scores: list[float] = []
    for place, name in enumerate(data.items):
        product = data.catalogue.get(name)
        if product is None:
            continue
        found: dict[int, float] = {}
        for score, other in _goes_with(product, fitting):
            if other in places and other != name and len(found) < keep:
                found.setdefault(places[other], score)
        at.extend([place] * len(found))
        others.extend(found)
        scores.extend(found.values())
    rows.add(np.array(at, np.int64), np.array(others, np.int64), np.array(scores, np.float64))
    return rows.arrays("accessories"), {}


def _goes_with(product: Product, fitting: Mapping[str, Sequence[str]]) -> Iterator[tuple[float, str]]:
    """Ids with scores, the surest first: a complement is 1, what fits the product itself 0.8, its kind 0.5."""
    for place, other in enumerate(product.complements):
        yield 1 - 0.1 * place / (place + 1), other
    for other in fitting.get(_folded(product.id), ()):
        yield 0.8, other
    for kind in (product.category, product.brand):
        for other in fitting.get(_folded(kind), ())[:GROUP] if kind else ():
            yield 0.5, other


def _fitting(items: Iterable[str], catalogue: Mapping[str, Product]) -> dict[str, list[str]]:
    """By what is named, folded: the items that say that they fit it."""
    found: dict[str, list[str]] = {}
    for name in items:
        product = catalogue.get(name)
        for attribute in FITS if product is not None and product.attributes else ():
            for named in re.split(r"[,;|]", product.attributes.get(attribute, "")) if product is not None else ():
                if _folded(named):
                    found.setdefault(_folded(named), []).append(name)
    return found


def _terms(product: Product) -> Iterator[str]:
    """Words of the title, without a plural's ending; category, brand and attributes as terms of their own."""
    for text in (product.title, *list(product.titles.values())[:1]):
        for word in _WORD.findall(text[:_TEXT].casefold()):
            yield word[:-1] if len(word) > 3 and word.endswith("s") else word
    if product.category:
        yield f"category={_folded(product.category)}"
    if product.brand:
        yield f"brand={_folded(product.brand)}"
    for name, value in list(product.attributes.items())[:_ATTRIBUTES]:
        if name not in FITS:
            yield f"{name}={_folded(value)}"


def _telling(count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Terms of two items or more, the rare ones first, as far as their pairs are not too much ``WORK``."""
    order = np.argsort(count, kind="stable")
    kept = np.zeros(len(count), np.bool_)
    kept[order] = np.cumsum(count[order].astype(np.float64) ** 2) <= WORK
    return kept & (count > 1)


def _spans(cost: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Rows by the block, of at most ``BLOCK`` pairs unless one alone has more; ``cost`` adds up."""
    at = 0
    while at < len(cost):
        before = cost[at - 1] if at else 0.0
        until = max(int(np.searchsorted(cost, before + BLOCK, side="right")), at + 1)
        yield at, until
        at = until


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
