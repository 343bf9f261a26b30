"""The shapes of content as a shop's page receives them. Field order is the order on the wire."""

from msgspec import Struct


class Progress(Struct, frozen=True):
    """How far a value is towards a target; ``value`` is within 0 and ``target``, both in minor units."""

    value: int
    target: int


class MessageContent(Struct, frozen=True, tag_field="type", tag="message", omit_defaults=True):
    """A text, in the locale it was written in."""

    text: str
    locale: str
    tone: str | None = None
    progress: Progress | None = None


class Option(Struct, frozen=True, omit_defaults=True):
    """One method of the shop's list, with what sets it apart."""

    id: str
    name: str | None = None
    highlight: bool = False
    badge: str | None = None


class OptionsContent(Struct, frozen=True, tag_field="type", tag="options"):
    """The methods in their final order, and which to leave out."""

    options: list[Option]
    hidden: list[str]


class InstallmentsContent(Struct, frozen=True, tag_field="type", tag="installments", omit_defaults=True):
    """A payment plan. Amounts in minor units; ``last`` only where the last payment differs."""

    text: str
    count: int
    amount: int
    currency: str
    last: int | None = None


class Item(Struct, frozen=True, rename={"source": "from"}):
    """A product to show; ``price`` is a display string. ``source``, on the wire ``from``, says who filled the place."""

    id: str
    name: str
    price: str
    currency: str
    url: str | None
    image: str | None
    source: str


class ProductsContent(Struct, frozen=True, tag_field="type", tag="products", omit_defaults=True):
    """A few products, best first."""

    items: list[Item]
    title: str | None = None


class ButtonContent(Struct, frozen=True, tag_field="type", tag="button"):
    """A button's label and style token."""

    text: str
    style: str


class FieldContent(Struct, frozen=True, tag_field="type", tag="field", omit_defaults=True):
    """How a form field starts."""

    state: str
    prefill: str | None = None


class HelpContent(Struct, frozen=True, tag_field="type", tag="help"):
    """A hint."""

    style: str
    text: str


class LayoutContent(Struct, frozen=True, tag_field="type", tag="layout"):
    """Design tokens by name."""

    tokens: dict[str, str]
