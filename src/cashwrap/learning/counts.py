"""What is bought together as one expression over the fact table: for an engine that holds more facts than fit here.

``learning.tables.counted`` finds the same pairs in memory; this says it as SQL that any engine with the fact table's
columns can run, and its answer is small.
"""

from cashwrap.analysis.facts import Table as Rows
from cashwrap.learning.interactions import Wanted, together


def item_pairs(facts: Rows, sensitive: Rows, wanted: Wanted) -> Rows:
    """Pairs of products with the sessions that had both (``orders``) and whose they were (``shoppers``, at least
    ``wanted.few``): columns ``product``, ``other``, ``orders`` and ``shoppers``, the product before the other."""
    lines = together(facts, sensitive, wanted)
    others = lines.view()
    pairs = lines.join(
        others,
        [
            lines.analytic_id == others.analytic_id,
            lines.session == others.session,
            lines["product"] < others["product"],
        ],
    ).select(lines.analytic_id, product=lines["product"], other=others["product"])
    counts = pairs.group_by("product", "other").agg(orders=pairs.count(), shoppers=pairs.analytic_id.nunique())
    return counts.filter(counts.shoppers >= wanted.few)


def item_counts(facts: Rows, sensitive: Rows, wanted: Wanted) -> Rows:
    """Products with their sessions and shoppers: columns ``product``, ``orders`` and ``shoppers``."""
    lines = together(facts, sensitive, wanted)
    return lines.group_by("product").agg(orders=lines.count(), shoppers=lines.analytic_id.nunique())
