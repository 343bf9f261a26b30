"""Microseconds to fold one event into a profile with 20 declared features: ``python bench/fold.py``.

Prints the median over batches for each kind of event, and a blend as a shop sees it. No asserts: a number to read.
"""

import statistics
import time

from cashwrap import carts, orders, sessions
from cashwrap.aggregates import DAY, HOUR
from cashwrap.declarations import Condition, FeatureDecl
from cashwrap.features import FeatureSet, compile_features
from cashwrap.model import Event, Line, Profile

START = 1_700_000_000_000
VIEWED, ADDED, COMPLETED = "Product Viewed", "Product Added", "Order Completed"

FEATURES = (
    FeatureDecl("orders", "count", (COMPLETED,)),
    FeatureDecl("spent", "sum", (COMPLETED,), of="subtotal"),
    FeatureDecl("basket", "average", (COMPLETED,), of="total"),
    FeatureDecl("largest_order", "max", (COMPLETED,), of="total"),
    FeatureDecl("last_order", "last", (COMPLETED,)),
    FeatureDecl("orders_by_category", "count", (COMPLETED,), by="category"),
    FeatureDecl("refunds", "count", ("Order Refunded",)),
    FeatureDecl("views", "count", (VIEWED,)),
    FeatureDecl("views_today", "count", (VIEWED,), window=24 * HOUR),
    FeatureDecl("category_views", "count", (VIEWED,), by="category", window=30 * DAY),
    FeatureDecl("top_category", "top", (VIEWED,), of="category", window=30 * DAY),
    FeatureDecl("heat", "decayed", (VIEWED,), half_life=7 * DAY),
    FeatureDecl("costly_views", "count", (VIEWED,), where=Condition("price > 100"), session=True),
    FeatureDecl("adds", "count", (ADDED,), window=7 * DAY),
    FeatureDecl("added_value", "sum", (ADDED,), of="price", window=7 * DAY),
    FeatureDecl("add_rate", "rate", (ADDED,), per=(VIEWED,)),
    FeatureDecl("brands", "distinct", (ADDED,), of="brand"),
    FeatureDecl("coupons", "count", ("Coupon Applied",)),
    FeatureDecl("searches", "count", ("Products Searched",), window=24 * HOUR),
    FeatureDecl("checkouts", "count", ("Checkout Started",), window=30 * DAY),
)
BLEND = {"Page Viewed": 8, VIEWED: 8, ADDED: 2, "Checkout Started": 1, COMPLETED: 1}


def features() -> FeatureSet:
    return compile_features(
        {decl.name: decl for decl in FEATURES},
        currency="EUR",
        compile_where=lambda _: lambda facts: facts.get("price", 0) > 10_000,  # type: ignore[operator]
    )


def event(name: str, number: int) -> Event:
    facts: dict[str, object] = {
        "product_id": f"p{number % 20}",
        "category": ("shoes", "hats", "bags")[number % 3],
        "brand": "acme",
        "price": 4_900 + number,
        "quantity": 1,
        "currency": "EUR",
    }
    if name == COMPLETED:
        facts = {"order_id": f"o{number}", "total": 9_900, "subtotal": 9_000, "currency": "EUR"}
        facts["products"] = [Line("p1", 2, 4_500, "shoes"), Line("p2", 1, 900, "hats")]
    moment = START + number * 60_000
    return Event(f"id-{number:032d}", name, moment, moment, 7, "web", properties=facts, trusted=name == COMPLETED)


def fold(profile: Profile, arrived: Event, compiled: FeatureSet) -> None:
    if orders.apply(profile, arrived):
        compiled.rebuild_orders(profile)
    sessions.touch(profile, arrived.time)
    carts.apply(profile, arrived, compiled.currency)
    compiled.update(profile, arrived)


def microseconds(name: str, compiled: FeatureSet, *, whole: bool) -> float:
    """The median of 30 batches of events of one name into one profile; with ``whole``, beside sessions and cart."""
    size = 10 if name in (COMPLETED, ADDED) else 200
    spent = []
    profile = Profile(b"shopper", b"analyst", START)
    for batch in range(30):
        arriving = [event(name, batch * size + number) for number in range(size)]
        if name != VIEWED and batch % 3 == 0:
            profile = Profile(b"shopper", b"analyst", START)  # few have more than 30 orders or a cart never looked at
        begun = time.perf_counter()
        if whole:
            for arrived in arriving:
                fold(profile, arrived, compiled)
        else:
            for arrived in arriving:
                compiled.update(profile, arrived)
        spent.append((time.perf_counter() - begun) / size * 1e6)
    return statistics.median(spent)


def main() -> None:
    compiled = features()
    print(f"{len(FEATURES)} features; us per event, median of 30 batches")
    print(f"{'event':20} {'features':>9} {'whole fold':>11}")
    total, blended, shares = 0.0, 0.0, sum(BLEND.values())
    for name, share in BLEND.items():
        alone, whole = microseconds(name, compiled, whole=False), microseconds(name, compiled, whole=True)
        print(f"{name:20} {alone:9.2f} {whole:11.2f}")
        total += alone * share / shares
        blended += whole * share / shares
    print(f"{'blend':20} {total:9.2f} {blended:11.2f}")
    profile = Profile(b"shopper", b"analyst", START)
    for number in range(200):
        fold(profile, event(VIEWED, number), compiled)
    begun = time.perf_counter()
    for _ in range(500):
        compiled.values(profile, START + 200 * 60_000, 7)
    print(f"{'values()':20} {(time.perf_counter() - begun) / 500 * 1e6:9.2f}")


if __name__ == "__main__":
    main()
