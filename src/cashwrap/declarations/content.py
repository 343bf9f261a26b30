"""What a placement may show, as typed values."""

from typing import Literal

from msgspec import Struct

Texts = dict[str, str]
"""Message source by locale."""


class Message(Struct, frozen=True, tag="message"):
    """A text, optionally with the progress towards a target, such as free delivery."""

    text: Texts
    tone: str | None = None
    tones: dict[str, Texts] = {}
    progress: tuple[str, str] | None = None
    """Attribute and target (an amount in major units) as written, such as ``("cart.total", "50")``."""


class Options(Struct, frozen=True, tag="options"):
    """Operations on the methods the shop offers now. Never hides the last one or the saved one."""

    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()
    badge: dict[str, Texts] = {}
    rename: dict[str, Texts] = {}
    hide: tuple[str, ...] = ()


ProductSource = Literal[
    "complements", "category", "popular", "recommended", "together", "session", "similar", "repeat", "trending"
]
"""The first three read the catalogue alone; ``recommended`` is a model's blend of all its sources, the others are one
of them each."""


class RulesDecl(Struct, frozen=True):
    """Which products may be shown beside a cart at all, beyond what holds everywhere: in stock, priced, not in the
    cart, not sensitive. Shares are of 10,000, amounts in major units of the shop's currency, as written.

    ``margin`` is the least share of the price that is left after the product's cost: one whose cost is not known is not
    shown then. ``cart_share`` is the most a product may cost, of the cart's total. ``per_category`` keeps a list from
    being of one kind.
    """

    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    margin: int | None = None
    least: str | None = None
    most: str | None = None
    cart_share: int | None = None
    per_category: int | None = None


class Products(Struct, frozen=True, tag="products"):
    """Products to show: from the catalogue, or from what a model learned.

    ``model`` and ``version`` say whose ``recommended`` and so on are; places that it cannot fill are filled by the
    catalogue's complements, the cart's categories and what sells best, in this order.
    """

    source: ProductSource
    limit: int = 4
    category: str | None = None
    """An attribute's name (``top_category``) or a category in the catalogue."""
    title: Texts = {}
    model: str = "basket"
    version: Literal["live", "candidate"] = "live"
    """The arm of an experiment shows what a model that is not live yet suggests."""
    rules: RulesDecl = RulesDecl()


class Button(Struct, frozen=True, tag="button"):
    """A label and a style token."""

    text: Texts
    style: str = "primary"


class Field(Struct, frozen=True, tag="field"):
    """How a form field starts.

    ``prefill`` is a message source; a missing placeholder leaves the field empty.
    """

    state: Literal["show", "collapse"]
    prefill: str | None = None


class Help(Struct, frozen=True, tag="help"):
    """A hint beside a part of the checkout."""

    text: Texts
    style: Literal["tooltip", "inline"] = "inline"


class Layout(Struct, frozen=True, tag="layout"):
    """Design tokens by name; values are short words, numbers or colours, never style rules."""

    tokens: dict[str, str]


class Installments(Struct, frozen=True, tag="installments"):
    """A line such as ``3 x 66.00 EUR`` from a declared plan over the cart's total, at no cost to the
    shopper."""

    count: int
    minimum: str = "0"
    """The smallest total, in major units, as written."""
    text: Texts = {}


Content = Message | Options | Products | Button | Field | Help | Layout | Installments
"""What one variation shows."""
