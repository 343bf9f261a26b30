"""What a list of products shows: the naive rule agrees, each place names its source, and nothing forbidden is shown."""

import random
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import pytest

from cashwrap.content import Catalogue, Ineligible, Shop, compile_content, examine_content, shelf
from cashwrap.content.catalogue import sellable
from cashwrap.declarations import PlacementDecl, Products, RulesDecl
from cashwrap.model import Inputs, Product, Suggested, Tenant, Touch, Value
from cashwrap.playbook import examine

CATEGORIES = ["tea", "mugs", "pills", None]


class Models:
    """A model whose answers the test wrote: by name, role and source."""

    def __init__(self, *suggested: tuple[str, str], candidate: Sequence[tuple[str, str]] | None = None) -> None:
        self.answers = {"live": suggested, "candidate": candidate}

    def version(self, model: str, version: str) -> str | None:
        return "7" if model == "basket" and self.answers[version] is not None else None

    def suggest(self, model: str, version: str, source: str, inputs: Inputs) -> Sequence[Suggested]:
        found = self.answers[version] if model == "basket" and source == "recommended" else None
        return [Suggested(*each) for each in found or ()]


def inputs_of(*basket: str, values: dict[str, Value] | None = None, touched: tuple[Touch, ...] = ()) -> Inputs:
    return Inputs(0, Tenant(), values or {}, "request", 1, None, "en", "EUR", basket=basket, touched=touched)


def shown(show: Products, catalogue: Catalogue, inputs: Inputs) -> list[tuple[str, str]] | str:
    content = compile_content(show, PlacementDecl("p", "products"), Shop()).render(inputs, catalogue)
    if isinstance(content, Ineligible):
        return content.why
    return [(each["id"], each["from"]) for each in msgspec.json.decode(content)["items"]]


def random_catalogue(rng: random.Random) -> Catalogue:
    names = [f"p{number}" for number in range(rng.randint(1, 12))]
    products = [
        Product(
            name,
            rng.choice(["A name", "A name", ""]),
            rng.choice([None, 100, 250, 999, 5_000]),
            rng.choice([None, 0, 90, 700]),
            rng.choice([None, None, 0, 3]),
            rng.choice(CATEGORIES),
            complements=tuple(rng.sample([*names, "unknown"], rng.randint(0, len(names)))),
            sensitive=rng.random() < 0.2,
        )
        for name in names
    ]
    catalogue = Catalogue.of({each.id: each for each in products}, {name: rng.randint(0, 3) for name in names})
    suggested = [(name, rng.choice(["together", "similar"])) for name in rng.sample([*names, "gone"], len(names))]
    return msgspec.structs.replace(catalogue, models=Models(*suggested))


def random_rules(rng: random.Random) -> RulesDecl:
    def maybe(value: object) -> object:
        return value if rng.random() < 0.25 else None

    fields = {
        "only": maybe(("tea", "liked")) or (),
        "never": maybe(("mugs", "disliked")) or (),
        "margin": maybe(rng.choice([0, 3_000, 9_999])),
        "least": maybe("1.50"),
        "most": maybe("9.99"),
        "cart_share": maybe(2_500),
        "per_category": maybe(1),
    }
    return RulesDecl(**fields)  # type: ignore[arg-type]


def categories(names: Sequence[str], inputs: Inputs) -> set[object]:
    held = [inputs.values.get(name, name) for name in names]
    return {each for value in held for each in (value if isinstance(value, frozenset) else (value,))}


def allowed(product: Product, rules: RulesDecl, inputs: Inputs) -> bool:
    """Every sentence of the manual, one after the other."""
    price, cost, total = Fraction(product.price or 0), product.cost, inputs.values.get("cart.total")
    broken = [
        product.sensitive or product.price is None or product.stock == 0 or not product.title,
        product.id in inputs.basket,
        product.category in categories(rules.never, inputs),
        bool(rules.only) and product.category not in categories(rules.only, inputs),
        rules.margin is not None and (cost is None or price - cost < price * Fraction(rules.margin, 10_000)),
        rules.least is not None and price < Fraction(rules.least) * 100,
        rules.most is not None and price > Fraction(rules.most) * 100,
        rules.cart_share is not None
        and (not isinstance(total, int) or price > Fraction(total * rules.cart_share, 10_000)),
    ]
    return not any(broken)


def candidates(show: Products, catalogue: Catalogue, inputs: Inputs) -> list[tuple[str, str]]:
    products, popular = catalogue.products, catalogue.popular
    found: list[tuple[str, str]] = list(catalogue.models.suggest(show.model, show.version, show.source, inputs))
    basket = [products[name] for name in inputs.basket if name in products]
    found += [(name, "complements") for product in basket for name in product.complements]
    for category in dict.fromkeys(each.category for each in basket if not each.sensitive and each.category):
        found += [(name, "category") for name in popular if products[name].category == category]
    if show.rules.only:
        ranked = sorted(map(str, categories(show.rules.only, inputs)))
        return [*found, *((name, "popular") for each in ranked for name in popular if products[name].category == each)]
    return [*found, *((name, "popular") for name in popular)]


def by_hand(show: Products, catalogue: Catalogue, inputs: Inputs) -> list[tuple[str, str]]:
    """The naive rule: all candidates in order, and of those the ones that are allowed."""
    placed: dict[str, str] = {}
    for name, source in candidates(show, catalogue, inputs):
        product = catalogue.products.get(name)
        if product is None or name in placed or not allowed(product, show.rules, inputs):
            continue
        same = [each for each in placed if product.category and catalogue.products[each].category == product.category]
        if show.rules.per_category is None or len(same) < show.rules.per_category:
            placed[name] = source
    return list(placed.items())[: show.limit]


def agree(seed: int) -> None:
    rng = random.Random(seed)
    catalogue = random_catalogue(rng)
    show = Products("recommended", limit=rng.randint(1, 6), rules=random_rules(rng))
    basket = rng.sample(list(catalogue.products), rng.randint(0, min(3, len(catalogue.products))))
    values: dict[str, Value] = {"liked": "pills", "disliked": frozenset({"tea", "pills"})}
    if rng.random() < 0.7:
        values["cart.total"] = rng.choice([0, 400, 1_001, 90_000])
    inputs = inputs_of(*basket, values=values)
    expected = by_hand(show, catalogue, inputs)
    assert shown(show, catalogue, inputs) == (expected or "no product fits")


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_lists_agree_with_the_naive_rule(first: int) -> None:
    for seed in range(first, first + 100):
        agree(seed)


@pytest.mark.parametrize("bug", ["sellable", "takes"])
def test_the_check_sees_what_must_not_be_shown(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(shelf if bug == "sellable" else shelf.Filter, bug, lambda *_: True)
    with pytest.raises(AssertionError):
        test_lists_agree_with_the_naive_rule(0)


def mugs(count: int = 5, **more: object) -> Catalogue:
    products = {f"m{n}": Product(f"m{n}", f"Mug {n}", 1_000, category="mugs") for n in range(count)}
    products["tea"] = Product("tea", "Tea", 500, category="tea", complements=("m4",))
    return msgspec.structs.replace(Catalogue.of(products), **more)


def test_what_a_model_leaves_the_catalogue_fills_and_says_so() -> None:
    catalogue = mugs(models=Models(("m3", "together"), ("nowhere", "together"), ("tea", "similar")))
    filled = shown(Products("recommended", limit=4), catalogue, inputs_of("tea"))
    assert filled == [("m3", "together"), ("m4", "complements"), ("m0", "popular"), ("m1", "popular")]
    assert shown(Products("recommended", limit=2), mugs(), inputs_of()) == [("m0", "popular"), ("m1", "popular")]
    looked = inputs_of(touched=(Touch("tea", "view", 0, ""),))
    assert shown(Products("recommended", limit=1), mugs(), looked) == [("tea", "category")]


def test_an_arm_without_its_candidate_fits_nobody() -> None:
    show = Products("recommended", limit=1, version="candidate")
    assert shown(show, mugs(models=Models(("m3", "together"))), inputs_of()) == (
        "the model basket has no candidate, or it cannot be read"
    )
    candidate = mugs(models=Models(("m3", "together"), candidate=[("m2", "similar")]))
    assert shown(show, candidate, inputs_of()) == [("m2", "similar")]
    silent = mugs(models=Models(candidate=[]))
    assert shown(show, silent, inputs_of()) == [("m0", "popular")]


def test_rules_that_nothing_fits_look_at_a_few_candidates_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(product: Product) -> bool:
        asked.append(product.id)
        return sellable(product)

    monkeypatch.setattr(shelf, "sellable", counted)
    catalogue = mugs(2_000, models=Models(*[(f"m{n}", "together") for n in range(2_000)]))
    rules = RulesDecl(most="0.01")
    assert shown(Products("recommended", rules=rules), catalogue, inputs_of("tea")) == "no product fits"
    assert len(asked) <= shelf.LOOKED_AT * 4


def test_an_amount_that_is_none_is_told_where_it_stands() -> None:
    found = examine_content(Products("popular", rules=RulesDecl(most="9.999")), PlacementDecl("p", "products"), Shop())
    assert isinstance(found, list)
    assert [(each.where, each.code) for each in found] == [("rules.most", "bad_amount")]


PLAYBOOK = """
placements: {{shelf: {{component: products}}}}
experiences:
  more:
    in: shelf
    show: {{{show}}}
"""


@pytest.mark.parametrize(
    ("show", "codes"),
    [
        ("from: recommended, rules: {margin: 30%, never: [alcohol], most: 50, cart_share: 20%, per_category: 2}", []),
        ("from: session, version: candidate", ["candidate_for_all"]),
        ("from: popular, model: basket", ["bad_value"]),
        ("from: learned", ["bad_value"]),
        ("from: recommended, model: bascket", ["bad_value"]),
        ("from: recommended, rules: {margin: 0.3}", ["wrong_type"]),
        ("from: recommended, rules: {per_category: 0}", ["bad_value"]),
        ("from: recommended, rules: {cheapest: 3}", ["unknown_key"]),
    ],
)
def test_a_playbook_says_it_in_a_few_words(show: str, codes: list[str]) -> None:
    playbook, faults = examine({"a.yaml": PLAYBOOK.format(show=show)})
    assert [fault.code for fault in faults] == codes
    if playbook is not None:
        content = playbook.declarations.experiences["more"].variations["main"]
        assert isinstance(content, Products)
        assert content.model == ("next_item" if content.source == "session" else "basket")
        expected = RulesDecl((), ("alcohol",), 3_000, None, "50", 2_000, 2)
        assert content.rules == (expected if content.source == "recommended" else RulesDecl())
