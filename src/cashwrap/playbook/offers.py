"""Offers as written: what they take off, for whom, up to where, and what grants them."""

from decimal import Decimal
from typing import Literal, cast

from msgspec import Struct

from cashwrap.declarations import (
    HOLDS,
    AmountDecl,
    BenefitDecl,
    Codes,
    FreeDeliveryDecl,
    FreeItemDecl,
    LimitsDecl,
    OfferDecl,
    OfferGroupDecl,
    OfferKind,
    PercentDecl,
    Settings,
    TierDecl,
    TiersDecl,
)
from cashwrap.errors import InvalidEvent
from cashwrap.events.money import minor_digits
from cashwrap.model import Millis
from cashwrap.offers.benefits import WHOLE
from cashwrap.playbook.contents import read_texts
from cashwrap.playbook.document import Node
from cashwrap.playbook.schema import (
    BENEFITS,
    CODES,
    DEFINITIONS,
    MAX_TIERS,
    MAX_USES,
    OFFER_KINDS,
    PICKS,
)
from cashwrap.playbook.shape import Shape

MAX_BUNDLE = 50
"""Products of one bundle."""
LONGEST_HOLD = 7 * 86_400_000
"""What a reservation holds, nobody else can have."""
_Fields = dict[str, Node]


def read_offer(shape: Shape, name: str, node: Node, settings: Settings) -> OfferDecl | None:
    """One offer; ``None`` where it takes nothing off that could be understood."""
    shape.name(name, node, "an offer")
    fields = shape.fields(node, DEFINITIONS["offer"], f"offer {name!r}")
    own = shape.currency(fields["currency"]) if "currency" in fields else ""
    money = _Money(shape, own or settings.currency)
    benefit = _benefit(shape, fields["benefit"], money) if "benefit" in fields else None
    kind = shape.choice(fields["kind"], OFFER_KINDS, "a kind of offer") if "kind" in fields else None
    codes = shape.choice(fields["codes"], CODES, "a kind of code") if "codes" in fields else None
    holds = shape.duration(fields.get("holds"), "how long a reservation holds") or HOLDS
    if holds > LONGEST_HOLD:
        shape.fail(fields["holds"], "bad_value", "a reservation holds 7d at most; nobody else can have what it holds")
    limits = _limits(shape, fields["limits"], money) if "limits" in fields else LimitsDecl()
    lasts, again_after = _times(shape, fields)
    bundle = shape.texts(fields.get("bundle"), "a product id")
    if len(bundle) > MAX_BUNDLE:
        shape.fail(fields["bundle"], "too_many", f"a bundle may have {MAX_BUNDLE} products")
    if kind == "bundle" and not bundle:
        shape.faults.error(shape.key_spot(fields["kind"]), "missing_key", "name its products under 'bundle'")
    texts = read_texts(shape, fields.get("text"), settings.locale)
    when = shape.condition(fields.get("when"))
    group = shape.text(fields["group"], "a group of offers") if "group" in fields else None
    freeze = shape.duration(fields.get("freeze"), "how long it stays frozen")
    enabled = shape.flag(fields.get("enabled"), "enabled", default=True)
    if benefit is None:
        return None
    return OfferDecl(
        name=name,
        benefit=benefit,
        when=when,
        kind=cast("OfferKind", kind or "promotion"),
        bundle=bundle,
        group=group,
        limits=limits,
        currency=own or None,
        lasts=lasts,
        again_after=again_after,
        freeze=freeze,
        holds=holds,
        codes=cast("Codes", codes or "none"),
        text=texts,
        enabled=enabled,
        spot=shape.key_spot(node),
    )


def read_offer_group(shape: Shape, name: str, node: Node) -> OfferGroupDecl:
    """A group of offers; it may be left empty."""
    shape.name(name, node, "a group of offers")
    fields = shape.fields(node, DEFINITIONS["offer_group"], f"group {name!r}") if node.value is not None else {}
    pick = shape.choice(fields["pick"], PICKS, "a way to pick") if "pick" in fields else None
    return OfferGroupDecl(name, cast("Literal['best', 'first']", pick or "best"), shape.key_spot(node))


def read_grants(shape: Shape, node: Node | None) -> tuple[str | None, str | None]:
    """The offer that an experience grants, or the group of which it grants one."""
    if node is None:
        return None, None
    if not isinstance(node.value, dict):
        return shape.text(node, "an offer") or None, None
    fields = shape.fields(node, DEFINITIONS["best_of"], "'offer' (a name, or best_of)")
    return None, shape.text(fields["best_of"], "a group of offers") or None if "best_of" in fields else None


# --- parts of an offer ---


class _Money(Struct, frozen=True):
    """Reads amounts of one currency."""

    shape: Shape
    currency: str

    def amount(self, node: Node, what: str) -> str:
        """An amount above zero that the currency can pay exactly; ``1`` where it is none."""
        before = len(self.shape.faults)
        text = self.shape.amount(node, what)
        if len(self.shape.faults) > before:
            return "1"
        digits = self.digits()
        if digits is None or not Decimal(text):
            why = f"{what} is above zero" if digits is not None else f"amounts of {self.currency} cannot be exact here"
            self.shape.fail(node, "bad_value", why)
            return "1"
        if Decimal(text).scaleb(digits) % 1:
            message = f"{text} has too many digits: {self.currency} has {digits} after the point"
            self.shape.fail(node, "too_many_digits", message)
            return "1"
        return text

    def digits(self) -> int | None:
        try:
            return minor_digits(self.currency)
        except InvalidEvent:  # a currency that is history, or a precious metal
            return None


def _times(shape: Shape, fields: _Fields) -> tuple[Millis | None, Millis | None]:
    """How long it lasts and when it begins anew, both from the moment it was first granted."""
    again, lasts = fields.get("again_after"), fields.get("lasts")
    first, second = shape.duration(lasts, "how long it lasts"), shape.duration(again, "when it may be granted again")
    if again is not None and first is not None and second is not None and second < first:
        shape.fail(again, "bad_value", "it cannot begin anew before its end: 'again_after' is 'lasts' at least")
    return first, second


def _limits(shape: Shape, node: Node, money: _Money) -> LimitsDecl:
    fields = shape.fields(node, DEFINITIONS["offer_limits"], "limits")
    if isinstance(node.value, dict) and not fields:
        shape.fail(node, "empty", "limits has total, shopper, code, day or budget")

    def uses(key: str) -> int | None:
        return shape.integer(fields[key], f"'{key}'", (1, MAX_USES), 1) if key in fields else None

    return LimitsDecl(
        total=uses("total"),
        shopper=uses("shopper"),
        code=uses("code"),
        day=uses("day"),
        budget=money.amount(fields["budget"], "a budget") if "budget" in fields else None,
        by_arm=shape.flag(fields.get("by_arm"), "by_arm", default=False),
    )


def _benefit(shape: Shape, node: Node, money: _Money) -> BenefitDecl | None:
    fields = shape.fields(node, DEFINITIONS["benefit"], "a benefit")
    named = [key for key in BENEFITS if key in fields]
    if len(named) != 1:
        if isinstance(node.value, dict):
            message = f"a benefit is one of {', '.join(BENEFITS)}, this has {len(named)}"
            shape.faults.error(shape.key_spot(node), "missing_key" if not named else "bad_value", message)
        return None
    if "most" in fields and named != ["percent"]:
        shape.faults.error(shape.key_spot(fields["most"]), "bad_value", "only a percentage has a 'most'")
    value = fields[named[0]]
    match named[0]:
        case "percent":
            most = money.amount(fields["most"], "'most'") if "most" in fields else None
            return PercentDecl(_percent(shape, value), most)
        case "amount":
            return AmountDecl(money.amount(value, "what it takes off"))
        case "free_delivery":
            return FreeDeliveryDecl(_methods(shape, value))
        case "free_item":
            return FreeItemDecl(_product(shape, value))
        case _:
            return TiersDecl(_tiers(shape, value, money))


def _percent(shape: Shape, node: Node) -> int:
    """Parts of 10,000."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        sign = "; leave out the sign" if isinstance(value, str) and value.endswith("%") else ""
        shape.fail(node, "wrong_type", f"a percentage is a number such as 10 or 12.5{sign}")
        return 1
    parts = Decimal(value) * 100
    if parts % 1:
        shape.fail(node, "too_many_digits", "a percentage goes in steps of 0.01")
    elif not 0 < parts <= WHOLE:
        shape.fail(node, "bad_value", "a percentage off is above 0 and 100 at most")
    else:
        return int(parts)
    return 1


def _methods(shape: Shape, node: Node) -> tuple[str, ...]:
    methods = shape.texts(node, "a delivery method's id")
    if not methods:
        shape.fail(node, "empty", "name at least one delivery method, such as [standard]")
    return methods


def _product(shape: Shape, node: Node) -> str:
    product = shape.text(node, "a product id")
    if isinstance(node.value, str) and not product:
        shape.fail(node, "empty", "name the product by its id")
    return product


def _tiers(shape: Shape, node: Node, money: _Money) -> tuple[TierDecl, ...]:
    found: list[TierDecl] = []
    listed = shape.items(node, "tiers")
    if not listed:
        shape.fail(node, "empty", "give at least one tier, such as {from: 50, percent: 5}")
    if len(listed) > MAX_TIERS:
        shape.fail(node, "too_many", f"an offer may have {MAX_TIERS} tiers")
    for each in listed[:MAX_TIERS]:
        fields = shape.fields(each, DEFINITIONS["tier"], "a tier")
        both = [key for key in ("percent", "amount") if key in fields]
        if "from" not in fields or len(both) != 1:
            if isinstance(each.value, dict) and "from" in fields:
                shape.fail(each, "missing_key" if not both else "bad_value", "a tier has either percent or amount")
            continue
        before = len(shape.faults)
        start = money.amount(fields["from"], "'from'")
        if found and len(shape.faults) == before and Decimal(start) <= Decimal(found[-1].start):
            message = f"tiers ascend: this begins at {start}, the one before it at {found[-1].start}"
            shape.fail(fields["from"], "tiers_not_ascending", message)
        percent = _percent(shape, fields["percent"]) if "percent" in fields else 0
        amount = money.amount(fields["amount"], "an amount") if "amount" in fields else "0"
        found.append(TierDecl(start, percent, amount))
    return tuple(found)
