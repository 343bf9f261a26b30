"""Features against an oracle that keeps every event and recomputes everything, by obvious loops, when asked."""

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cashwrap import codec, orders, sessions
from cashwrap.aggregates import DAY, HOUR, KEYS, MINUTE, TILE_KEYS, tile_size
from cashwrap.condition.ast import keyed
from cashwrap.condition.check import check
from cashwrap.condition.environment import Environment, Type
from cashwrap.condition.evaluate import compile_condition
from cashwrap.declarations import Condition, FeatureDecl, Spot
from cashwrap.errors import PlaybookError
from cashwrap.features import FeatureSet, compile_features, problems
from cashwrap.model import Event, Line, Profile, Purpose, Value

NOW = 1_700_000_000_000
P, A = Purpose.PERSONALIZATION, Purpose.ANALYTICS
ALL = int(Purpose.NECESSARY | P | A)
VIEWED, ADDED, STARTED = "Product Viewed", "Product Added", "Checkout Started"
COMPLETED, REFUNDED, CANCELLED = "Order Completed", "Order Refunded", "Order Cancelled"
Facts = Mapping[str, Any]


def unknown_unless(field: str, test: Callable[[Any], bool]) -> Callable[[Facts], bool | None]:
    return lambda facts: test(facts[field]) if field in facts else None


WHERES = {
    "price > 20": unknown_unless("price", lambda price: price > 2_000),
    'category == "shoes"': unknown_unless("category", lambda category: category == "shoes"),
    "discount > 0": unknown_unless("discount", lambda discount: discount > 0),
}


def where(text: str) -> Condition:
    return Condition(text)


DECLS = (
    FeatureDecl("views", "count", (VIEWED,)),
    FeatureDecl("anything", "count", (VIEWED, ADDED), window=2 * DAY, purpose=A),
    FeatureDecl("costly", "count", (VIEWED,), where=where("price > 20"), window=HOUR),
    FeatureDecl("added_value", "sum", (ADDED,), of="price", window=7 * DAY),
    FeatureDecl("added_goods", "sum", (ADDED, STARTED), of="amount", by="category"),
    FeatureDecl("price_seen", "average", (VIEWED,), of="price", window=30 * DAY),
    FeatureDecl("mean_rating", "average", ("Product Reviewed",), of="rating"),
    FeatureDecl("worst_rating", "min", ("Product Reviewed",), of="rating"),
    FeatureDecl("dearest", "max", (VIEWED,), of="price", window=2 * DAY),
    FeatureDecl("first_seen", "first", (VIEWED,), of="category"),
    FeatureDecl("last_seen", "last", (VIEWED, ADDED), of="category", window=7 * DAY),
    FeatureDecl("last_view", "last", (VIEWED,)),
    FeatureDecl("category_views", "count", (VIEWED,), by="category", window=30 * DAY),
    FeatureDecl("listed", "count", (STARTED,), by="category"),
    FeatureDecl("categories", "distinct", (VIEWED, STARTED), of="category", window=7 * DAY),
    FeatureDecl("brands_by_category", "distinct", (VIEWED,), of="brand", by="category"),
    FeatureDecl("favourite", "top", (VIEWED,), of="category"),
    FeatureDecl("tags", "top", (VIEWED,), of="tags", window=30 * DAY),
    FeatureDecl("heat", "decayed", (VIEWED,), half_life=3 * DAY),
    FeatureDecl("interest", "decayed", (VIEWED,), of="price", by="category", half_life=3 * DAY),
    FeatureDecl("views_now", "count", (VIEWED,), session=True),
    FeatureDecl("seen_now", "count", (VIEWED,), by="category", session=True),
    FeatureDecl("shoe_adds", "rate", (ADDED,), per=(VIEWED,), where=where('category == "shoes"')),
    FeatureDecl("conversion", "rate", (COMPLETED,), per=(STARTED,), window=30 * DAY),
    FeatureDecl("orders", "count", (COMPLETED,)),
    FeatureDecl("recent_orders", "count", (COMPLETED,), window=7 * DAY),
    FeatureDecl("ordered_now", "count", (COMPLETED,), session=True),
    FeatureDecl("shoe_orders", "count", (COMPLETED,), where=where('category == "shoes"')),
    FeatureDecl("spent", "sum", (COMPLETED,), of="subtotal"),
    FeatureDecl("mean_order", "average", (COMPLETED,), of="total"),
    FeatureDecl("bargains", "rate", (COMPLETED,), per=(COMPLETED,), where=where("discount > 0")),
    FeatureDecl("pieces", "sum", (COMPLETED,), of="quantity", by="category"),
    FeatureDecl("order_categories", "count", (COMPLETED,), by="category"),
    FeatureDecl("last_order", "last", (COMPLETED,), of="total"),
    FeatureDecl("refunds", "count", (REFUNDED,)),
    FeatureDecl("paid_back", "sum", (REFUNDED,), of="total"),
    FeatureDecl("cancelled", "count", (CANCELLED,)),
)


def compiled(*decls: FeatureDecl, currency: str = "EUR") -> FeatureSet:
    return compile_features(
        {decl.name: decl for decl in decls},
        currency=currency,
        compile_where=lambda condition: WHERES[condition.text],
        kinds={"tags": "texts"},
    )


SET = compiled(*DECLS)


def profile() -> Profile:
    return Profile(b"shopper", b"analyst", 0)


def fold(draft: Profile, event: Event, features: FeatureSet = SET) -> None:
    if orders.apply(draft, event):
        features.rebuild_orders(draft)
    if not event.flags:
        sessions.touch(draft, event.time)
    features.update(draft, event)


def folded(events: list[Event], features: FeatureSet = SET) -> Profile:
    draft = profile()
    for event in events:
        fold(draft, event, features)
    return draft


def event(name: str, time: int = NOW, *, event_id: str = "id", **facts: Any) -> Event:
    return Event(event_id, name, time, time, ALL, "web", properties=facts, trusted=name.startswith("Order"))


# --- the oracle ---

Told = tuple[int, str, dict[str, Any]]


def naive(events: list[Event], now: int, mask: int = ALL, decls: tuple[FeatureDecl, ...] = DECLS) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for decl in decls:
        if decl.purpose & mask:
            found |= naive_feature(decl, events, now)
    return found


def naive_feature(decl: FeatureDecl, events: list[Event], now: int) -> dict[str, Value]:
    counted = [told for told in tell(decl.events, decl, events) if inside(decl, told[0], events, now)]
    test = WHERES[decl.where.text] if decl.where else None
    if decl.measure == "rate":
        dividing = sum(inside(decl, told[0], events, now) for told in tell(decl.per, decl, events))
        hits = sum(passes(test, facts) for _, _, facts in counted)
        return {decl.name: (hits, dividing)} if dividing else {}
    rows: list[tuple[int, str, str | None, Any]] = []
    for time, name, facts in counted:
        if decl.of is None and decl.by is None:
            rows += [(time, name, None, 1)] if passes(test, facts) else []
            continue
        fresh = [
            (time, name, key, value)
            for view in views(decl, facts)
            if test is None or test(view) is True
            for key in ([None] if decl.by is None else texts(view.get(decl.by)))
            for value in measured(decl, view)
        ]
        rows += list(dict.fromkeys(fresh)) if decl.measure == "count" else fresh
    if decl.by is None:
        return spread(decl, naive_measure(decl, [(time, name, value) for time, name, _, value in rows], now))
    split = {
        key: naive_measure(decl, [(t, n, value) for t, n, k, value in rows if k == key], now)
        for key in dict.fromkeys(str(row[2]) for row in rows)
    }
    return spread_split(decl, split)


def views(decl: FeatureDecl, facts: dict[str, Any]) -> list[dict[str, Any]]:
    if "products" not in facts or all(field in facts for field in (decl.of, decl.by) if field):
        return [facts]
    fields = ("product_id", "quantity", "price", "category", "brand")
    lines = []
    for line in facts["products"]:
        own = {field: getattr(line, field) for field in fields if getattr(line, field) is not None}
        above = {field: fact for field, fact in facts.items() if field not in (*fields, "products")}
        lines.append({**above, **own})
    return lines


def passes(test: Callable[[Facts], bool | None] | None, facts: dict[str, Any]) -> bool:
    if test is None or test(facts) is True:
        return True
    return any(
        test({**facts, "category": line.category}) is True for line in facts.get("products", []) if line.category
    )


def measured(decl: FeatureDecl, view: dict[str, Any]) -> list[Any]:
    if decl.of is None:
        return [1]
    if decl.of == "amount":
        return [view["price"] * view.get("quantity", 1)] if view.get("price") is not None else []
    if decl.measure in ("distinct", "top"):
        return texts(view.get(decl.of))
    return [view[decl.of]] if view.get(decl.of) is not None else []


def texts(fact: Any) -> list[str]:
    return [] if fact is None else list(fact) if isinstance(fact, list) else [str(fact)]


def inside(decl: FeatureDecl, time: int, events: list[Event], now: int) -> bool:
    if decl.session:
        start = None
        newest = None
        for moment in sorted(event.time for event in events if not event.flags):
            if newest is None or moment - newest >= 30 * MINUTE:
                start = moment
            newest = moment
        return start is not None and newest is not None and now < newest + 30 * MINUTE and time >= start
    if decl.window is None:
        return True
    size = tile_size(decl.window)
    return time // size >= (now - decl.window) // size


def tell(names: tuple[str, ...], decl: FeatureDecl, events: list[Event]) -> list[Told]:
    found: list[Told] = []
    for name in names:
        if name.startswith("Order"):
            found += orders_told(name, decl, events)
        else:
            found += [
                (event.time, event.id, in_euro(event.properties))
                for event in events
                if event.name == name and event.mask & decl.purpose and not event.flags
            ]
    return found


def in_euro(facts: dict[str, Any]) -> dict[str, Any]:
    if facts.get("currency", "EUR") == "EUR":
        return facts
    money = ("price", "amount", "total", "subtotal", "discount")
    kept = {name: fact for name, fact in facts.items() if name not in money}
    if "products" in kept:
        kept["products"] = [msgspec.structs.replace(line, price=None) for line in kept["products"]]
    return kept


def orders_told(name: str, decl: FeatureDecl, events: list[Event]) -> list[Told]:
    found: list[Told] = []
    for number in {event.properties["order_id"] for event in events if "order_id" in event.properties}:
        reports = [e for e in events if e.properties.get("order_id") == number and e.trusted]
        done = sorted((e for e in reports if e.name == COMPLETED), key=lambda e: (e.time, e.id))
        back = sorted((e for e in reports if e.name == REFUNDED), key=lambda e: (e.time, e.id))
        gone = sorted((e for e in reports if e.name == CANCELLED), key=lambda e: (e.time, e.id))
        if not done or not done[0].mask & decl.purpose:
            continue
        last: dict[str, Any] = done[-1].properties
        named = next((e.properties["currency"] for e in reversed(done) if e.properties.get("currency")), None)
        local = [e for e in back if named is None or e.properties.get("currency") in {None, named}]
        refunded = min(last["total"], sum(e.properties["total"] for e in local))
        facts = {**last, "discount": last["discount"]}
        if name == COMPLETED and not gone and not (back and refunded >= last["total"]):
            facts |= {"total": last["total"] - refunded, "subtotal": max(0, last["subtotal"] - refunded)}
            found.append((done[0].time, str(number), in_euro(facts)))
        if name == REFUNDED and refunded > 0:
            facts["total"] = refunded
            found.append((back[0].time, str(number), in_euro(facts)))
        if name == CANCELLED and gone:
            found.append((done[0].time, str(number), in_euro(facts)))
    return found


def naive_measure(decl: FeatureDecl, rows: list[tuple[int, str, Any]], now: int) -> Any:
    values = [value for _, _, value in rows]
    match decl.measure:
        case "count":
            return len(rows)
        case "sum":
            return sum(values)
        case "average":
            return (sum(values), len(values)) if values else None
        case "min":
            return min(values, default=None)
        case "max":
            return max(values, default=None)
        case "first" | "last":
            pick = min if decl.measure == "first" else max
            return pick(rows, key=lambda row: (row[0], row[1], str(row[2])), default=None)
        case "distinct":
            return len(set(values))
        case "top":
            return min(Counter(values).items(), key=lambda item: (-item[1], item[0]), default=(None, 0))[0]
        case _:
            return naive_decay(decl, rows, now)


def naive_decay(decl: FeatureDecl, rows: list[tuple[int, str, Any]], now: int) -> Value:
    step = (decl.half_life or 0) // 64
    scale = 1 if decl.of == "price" else 1000
    total = Fraction(0)
    for time, _, value in rows:
        epoch, part = divmod(time // step, 64)
        current, present = divmod(now // step, 64)
        total += Fraction(value * weight(part), weight(present)) / Fraction(2) ** (current - epoch)
    rounded = (total * scale + Fraction(1, 2)).__floor__()
    return rounded if scale == 1 else Decimal(rounded) / 1000


def weight(part: int) -> int:
    """The largest integer whose 64th power is not above 2^(part + 64 x 16), found by halving."""
    low, high = 1 << 16, 1 << 17
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**64 <= 1 << (part + 1024) else (low, middle)
    return low


def spread(decl: FeatureDecl, value: Any) -> dict[str, Value]:
    if value is None:
        return {}
    if decl.measure in ("first", "last"):
        ago = {f"{decl.name}.days_ago": max(0, (spread.now - value[0]) // DAY)}  # type: ignore[attr-defined]
        return ago if decl.of is None else {decl.name: value[2], **ago}
    if decl.measure == "average" and decl.of == "rating":
        return {decl.name: (int(value[0] * 10_000), value[1] * 10_000)}
    return {decl.name: value}


def spread_split(decl: FeatureDecl, split: dict[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {keyed(decl.name, key): value for key, value in split.items()}
    found[f"{decl.name}.max"] = max(split.values(), default=0)
    found[f"{decl.name}.distinct"] = len(split)
    if decl.measure != "distinct":
        found[f"{decl.name}.total"] = sum(split.values())
    if split:
        found[f"{decl.name}.top"] = min(split, key=lambda key: (-split[key], key))
    return found


# --- generated histories ---

CATEGORIES = st.sampled_from(["shoes", "hats", "bags", 'a"b', None])


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    return [
        Line(f"p{number}", draw(st.integers(1, 3)), draw(st.sampled_from([None, 500, 900])), draw(CATEGORIES))
        for number in range(draw(st.integers(0, 2)))
    ]


@st.composite
def facts_of(draw: st.DrawFn, name: str) -> dict[str, Any]:
    currency = draw(st.sampled_from([None, "EUR", "EUR", "USD"]))
    facts: dict[str, Any] = {"currency": currency} if currency else {}
    if name.startswith("Order"):
        facts["order_id"] = draw(st.sampled_from(["1", "2", "3"]))
        facts["total"] = draw(st.integers(0, 3)) * 400
        if name == COMPLETED:
            facts |= {"currency": "EUR" if facts["order_id"] != "3" else "USD"}
            facts |= {"subtotal": facts["total"] // 2, "discount": draw(st.sampled_from([0, 100]))}
            facts["products"] = draw(lines())
    elif name == STARTED:
        facts["products"] = draw(lines())
    elif name == "Product Reviewed":
        facts["rating"] = draw(st.sampled_from([Decimal("4.5"), Decimal(1), Decimal("3.25")]))
    else:
        facts |= {"price": draw(st.integers(0, 5)) * 1_000, "quantity": draw(st.integers(1, 2))}
        facts |= {
            "brand": draw(st.sampled_from(["acme", "bolt"])),
            "tags": draw(st.sampled_from([[], ["x"], ["y", "x"]])),
        }
        category = draw(CATEGORIES)
        facts |= {"category": category} if category else {}
    return facts


NAMES = (VIEWED, VIEWED, VIEWED, ADDED, STARTED, "Product Reviewed", COMPLETED, COMPLETED, REFUNDED, CANCELLED, "Page")
AGES = st.one_of(
    st.integers(0, 90 * MINUTE),
    st.integers(0, 40 * DAY),
    st.sampled_from([0, HOUR, 2 * DAY, 7 * DAY, 30 * DAY, 30 * DAY + 1, 30 * MINUTE]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events in an order of arrival in which none is more than seven days behind the newest."""
    found = []
    for number in range(draw(st.integers(0, 14))):
        name = draw(st.sampled_from(NAMES))
        time = NOW - draw(AGES)
        made = Event(
            f"id{number}",
            name,
            time,
            time,
            draw(st.sampled_from([ALL, ALL, ALL, int(P) | 1, 1])),
            "web",
            properties=draw(facts_of(name)),
            flags=draw(st.sampled_from([0] * 9 + [1])) if not name.startswith("Order") else 0,
            trusted=name.startswith("Order") and draw(st.integers(0, 4)) > 0,
        )
        found.append((time + draw(st.integers(0, 7 * DAY)), number, made))
    return [made for _, _, made in sorted(found, key=lambda item: item[:2])]


slow = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def agree(draft: Profile, events: list[Event], now: int, features: FeatureSet = SET) -> None:
    spread.now = now  # type: ignore[attr-defined]
    assert features.values(draft, now, ALL) == naive(events, now)


@slow
@given(histories(), st.one_of(st.just(0), st.integers(0, 45 * DAY)))
def test_any_order_of_arrival_agrees_with_the_oracle(events: list[Event], later: int) -> None:
    agree(folded(events), events, NOW + later)


@slow
@given(histories(), st.data())
def test_split_and_merged_agrees_with_the_oracle(events: list[Event], data: st.DataObject) -> None:
    events = [event for event in events if event.time > NOW - 7 * DAY]
    sides = [data.draw(st.integers(0, 2)) for _ in events]
    parts = [folded([e for e, side in zip(events, sides, strict=True) if side == part]) for part in range(3)]
    for order in (parts, parts[::-1]):
        into = profile()
        for part in order:
            sessions.merge(into, part)
            orders.merge(into, part)
            SET.merge(into, part)
            SET.rebuild_orders(into)
        agree(into, events, NOW)


@slow
@given(histories(), st.integers(0, 14), st.integers(0, 40 * DAY))
def test_a_profile_survives_storage(events: list[Event], cut: int, later: int) -> None:
    draft = folded(events[:cut])
    stored = codec.decoder(Profile).decode(codec.encode(draft))
    for each in events[cut:]:
        fold(stored, each)
    agree(stored, events, NOW + later)
    assert codec.encode(stored) == codec.encode(folded(events))


@slow
@given(histories(), st.integers(0, 40 * DAY), st.floats(0, 1))
def test_values_change_no_earlier_than_it_says(events: list[Event], later: int, share: float) -> None:
    draft, now = folded(events), NOW + later
    before = codec.encode(draft)
    moment = SET.next_change(draft, now)
    until = moment if moment is not None else now + 100 * DAY
    assert until > now
    for instant in (now + int((until - 1 - now) * share), until - 1):
        assert SET.values(draft, instant, ALL) == SET.values(draft, now, ALL)
    assert codec.encode(draft) == before


@settings(max_examples=60, deadline=None)
@given(histories())
def test_every_path_told_is_declared(events: list[Event]) -> None:
    environment = Environment(SET.types())
    for path, value in SET.values(folded(events), NOW, ALL).items():
        name, _, key = path.partition("[")
        kind = environment.types[f"{name}[*]" if key else path]
        assert isinstance(value, PYTHON[kind])
        assert not isinstance(value, bool)


PYTHON: dict[Type, type | tuple[type, ...]] = {
    Type.NUMBER: (int, Decimal),
    Type.MONEY: int,
    Type.STRING: str,
    Type.AVERAGE: tuple,
    Type.MONEY_AVERAGE: tuple,
}


# --- by hand ---


def test_over_nothing_counts_are_zero_and_the_rest_is_unknown() -> None:
    spread.now = NOW  # type: ignore[attr-defined]
    values = SET.values(profile(), NOW, ALL)
    assert values == naive([], NOW)
    assert values["orders"] == values["spent"] == values["categories"] == values["category_views.max"] == 0
    assert not {"favourite", "dearest", "mean_order", "conversion", "last_seen", "category_views.top"} & values.keys()
    assert SET.next_change(profile(), NOW) is None


def test_the_lens_hides_what_the_mask_does_not_allow() -> None:
    draft = folded([event(VIEWED, category="shoes")])
    assert SET.values(draft, NOW, 1) == {}
    assert SET.values(draft, NOW, int(A)) == {"anything": 1}


def test_a_key_that_a_condition_asks_for_is_zero_where_the_shopper_has_none() -> None:
    boots = keyed("category_views", "boots")
    shoes = keyed("category_views", "shoes")
    asking = SET.asking([boots, shoes, "spent", "traits.x", "nobody[*]"])
    draft = folded([event(VIEWED, category="shoes")])
    assert boots not in SET.values(draft, NOW, ALL)
    assert asking.values(draft, NOW, ALL)[boots] == 0
    assert asking.values(draft, NOW, ALL)[shoes] == 1
    assert boots not in asking.values(draft, NOW, int(A))


def test_withdrawal_resets_one_purpose() -> None:
    draft = folded([event(VIEWED), event(COMPLETED, order_id="1", total=700, subtotal=600)])
    draft.features["0123456789ab"] = 7
    SET.reset(draft, P)
    assert SET.values(draft, NOW, ALL) == {**SET.values(profile(), NOW, ALL), "anything": 1}
    assert len(draft.features) == 1
    fold(draft, event(COMPLETED, order_id="2", total=100, subtotal=100))
    assert SET.values(draft, NOW, ALL)["spent"] == 100


def test_a_changed_definition_starts_fresh() -> None:
    draft = folded([event(VIEWED)])
    other = compiled(FeatureDecl("views", "count", (VIEWED,), window=7 * DAY))
    assert other.values(draft, NOW, ALL) == {"views": 0}
    assert compiled(FeatureDecl("renamed", "count", (VIEWED,))).values(folded([event(VIEWED)]), NOW, ALL) == {
        "renamed": 1
    }


def test_two_names_for_one_definition_count_once() -> None:
    twice = compiled(FeatureDecl("a", "count", (VIEWED,)), FeatureDecl("b", "count", (VIEWED,)))
    assert twice.values(folded([event(VIEWED)], twice), NOW, ALL) == {"a": 1, "b": 1}


def test_flagged_events_count_nowhere() -> None:
    robot = msgspec.structs.replace(event(VIEWED), flags=1)
    assert folded([robot]).features == {}


def test_other_peoples_state_is_not_shared_by_a_merge() -> None:
    into, other = profile(), folded([event(VIEWED, category="shoes")])
    SET.merge(into, other)
    SET.update(into, event(VIEWED, category="shoes", event_id="id2"))
    agree(other, [event(VIEWED, category="shoes")], NOW)


@pytest.mark.parametrize(("window", "limit"), [(None, KEYS), (7 * DAY, TILE_KEYS)])
def test_keys_are_bounded(window: int | None, limit: int) -> None:
    features = compiled(
        FeatureDecl("by_product", "count", (VIEWED,), by="product_id", window=window),
        FeatureDecl("products", "distinct", (VIEWED,), of="product_id", window=window),
    )
    draft = folded([event(VIEWED, product_id=f"p{number}") for number in range(700)], features)
    values = features.values(draft, NOW, ALL)
    assert values["by_product.distinct"] == values["products"] == limit


def test_numbers_keep_four_places_and_absurd_ones_are_left_out() -> None:
    features = compiled(FeatureDecl("weight", "sum", (VIEWED,), of="weight"))
    weights = [Decimal("0.1"), Decimal("0.1"), Decimal("0.10004"), Decimal("1e30"), Decimal("NaN"), "heavy", True, 2]
    draft = folded([event(VIEWED, weight=weight) for weight in weights], features)
    assert features.values(draft, NOW, ALL)["weight"] == Decimal("2.3")


def test_watching_only_some_features() -> None:
    draft = folded([event(VIEWED, price=9_000, category="shoes")])
    assert SET.next_change(draft, NOW, {"views"}) is None
    assert SET.next_change(draft, NOW, {"costly"}) == (NOW // (5 * MINUTE) + 1) * 5 * MINUTE + HOUR
    assert SET.next_change(draft, NOW, {"views_now"}) == NOW + 30 * MINUTE


@pytest.mark.parametrize(
    ("decl", "complaint"),
    [
        (FeatureDecl("x", "count", ()), "needs an event"),
        (FeatureDecl("x", "count", ("Order Updated",)), "Order Completed"),
        (FeatureDecl("x", "sum", (VIEWED,)), "needs 'of'"),
        (FeatureDecl("x", "count", (VIEWED,), of="price"), "takes no 'of'"),
        (FeatureDecl("x", "rate", (VIEWED,)), "'per'"),
        (FeatureDecl("x", "count", (VIEWED,), per=(ADDED,)), "'per'"),
        (FeatureDecl("x", "decayed", (VIEWED,)), "'half_life'"),
        (FeatureDecl("x", "count", (VIEWED,), half_life=DAY), "'half_life'"),
        (FeatureDecl("x", "average", (VIEWED,), of="price", by="category"), "cannot be split"),
        (FeatureDecl("x", "count", (VIEWED,), window=DAY, session=True), "not both"),
        (FeatureDecl("x", "count", (VIEWED,), window=10), "between a minute"),
        (FeatureDecl("x", "decayed", (VIEWED,), half_life=800 * DAY), "between a minute"),
    ],
)
def test_what_means_nothing_is_refused(decl: FeatureDecl, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(decl))
    with pytest.raises(PlaybookError):
        compiled(decl)


def test_all_that_means_nothing_is_told_at_once_with_its_place() -> None:
    spot = Spot("features.yaml", 3, 5)
    with pytest.raises(PlaybookError) as caught:
        compiled(FeatureDecl("x", "sum", (), spot=spot), FeatureDecl("y", "top", (VIEWED,), spot=spot))
    assert len(caught.value.faults) == 3
    assert caught.value.faults[0].startswith("features.yaml:3:5 invalid_feature x: ")


# --- planted bugs: the oracle sees each ---


def counts_refunds_as_orders(draft: Profile, each: Event) -> None:
    fold(draft, each)
    if each.name == REFUNDED:
        fold(draft, msgspec.structs.replace(each, name=COMPLETED, properties={**each.properties, "order_id": each.id}))


def trusts_browsers(draft: Profile, each: Event) -> None:
    fold(draft, msgspec.structs.replace(each, trusted=True))


def counts_repeated_orders(draft: Profile, each: Event) -> None:
    """Takes an order for another one when another message reports it."""
    if each.name == COMPLETED:
        each = msgspec.structs.replace(each, properties={**each.properties, "order_id": each.id})
    fold(draft, each)


def ignores_purposes(draft: Profile, each: Event) -> None:
    fold(draft, msgspec.structs.replace(each, mask=ALL))


def one_tile_off(draft: Profile, each: Event) -> None:
    fold(draft, msgspec.structs.replace(each, time=each.time - DAY))


def forgets_to_rebuild(draft: Profile, each: Event) -> None:
    if orders.apply(draft, each) and each.name == COMPLETED:
        SET.rebuild_orders(draft)
    sessions.touch(draft, each.time)
    SET.update(draft, each)


def adds_any_currency(draft: Profile, each: Event) -> None:
    facts = {name: fact for name, fact in each.properties.items() if name != "currency"}
    fold(draft, msgspec.structs.replace(each, properties=facts))


def ordered(time: int, event_id: str, **facts: Any) -> Event:
    money = {"order_id": "1", "total": 800, "subtotal": 400, "discount": 0, "products": [], "currency": "EUR"}
    return event(COMPLETED, time, event_id=event_id, **{**money, **facts})


HISTORIES = {
    counts_refunds_as_orders: [ordered(NOW, "a"), event(REFUNDED, event_id="b", order_id="1", total=100)],
    trusts_browsers: [msgspec.structs.replace(ordered(NOW, "a"), trusted=False)],
    counts_repeated_orders: [ordered(NOW, "a"), ordered(NOW, "b")],
    ignores_purposes: [msgspec.structs.replace(event(VIEWED, price=100), mask=1)],
    one_tile_off: [event(VIEWED, NOW - 30 * DAY, price=100, category="shoes")],
    forgets_to_rebuild: [ordered(NOW, "a"), event(REFUNDED, event_id="b", order_id="1", total=100)],
    adds_any_currency: [event(ADDED, price=100, currency="USD")],
}


@pytest.mark.parametrize("planted", HISTORIES, ids=lambda planted: planted.__name__)
def test_the_oracle_catches(planted: Callable[[Profile, Event], None]) -> None:
    events = HISTORIES[planted]
    agree(folded(events), events, NOW)
    draft = profile()
    for each in events:
        planted(draft, each)
    with pytest.raises(AssertionError):
        agree(draft, events, NOW)


# --- with the real condition language ---


def test_where_is_a_condition_over_the_event_in_minor_units() -> None:
    names = Environment({"price": Type.MONEY, "category": Type.STRING})
    features = compile_features(
        {"x": FeatureDecl("x", "count", (VIEWED,), where=where('price > 19.99 && category != "hats"'))},
        currency="EUR",
        compile_where=lambda condition: compile_condition(check(condition.text, names)),
    )
    seen = [{"price": 2_000, "category": "shoes"}, {"price": 1_999, "category": "shoes"}, {"price": 2_000}]
    seen.append({"price": 2_000, "category": "shoes", "currency": "USD"})
    draft = folded([event(VIEWED, **facts) for facts in seen], features)
    assert features.values(draft, NOW, ALL) == {"x": 1}
