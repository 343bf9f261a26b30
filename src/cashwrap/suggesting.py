"""What a shop asks of models directly: products for a page of its own making, and what is told of one shopper.

The same consent lens, the same filters and the same catalogue as in a decision. Whatever is missing, late or broken is
said in the answer: the catalogue fills what a model does not, and a prediction that cannot be told says why.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal, Protocol, cast

import msgspec
from msgspec import Meta, Struct

from cashwrap import predicting, profiles
from cashwrap.catalogues import Catalogues
from cashwrap.content import locales, shelf
from cashwrap.content.components import item_of
from cashwrap.content.wire import Item
from cashwrap.counts import Counts
from cashwrap.declarations import Products, ProductSource, RulesDecl
from cashwrap.errors import ContentError, InvalidInput, NotAllowed
from cashwrap.experiments import in_holdout
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Known, gather, lens
from cashwrap.lookup import Lookup
from cashwrap.model import Inputs, Level, Millis, Reason, Tenant
from cashwrap.playbook import Playbook
from cashwrap.predicting import Learned, Missing
from cashwrap.request import DecideRequest, Names, PageContext, ShopperRef, Text
from cashwrap.switches import Switches

MOST = 100
"""Products that one question may be answered with."""
ROUTE = "recommend"
"""Where places are counted that no placement of the playbook has."""
Share = Annotated[str, Meta(pattern=r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$")]


class RulesBody(Struct, frozen=True, rename="camel"):
    """Which products may be shown, as ``rules`` of a playbook has it: shares as ``30%``, amounts in major units."""

    only: Names = []
    never: Names = []
    margin: Share | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    cart_share: Share | None = None
    per_category: Annotated[int, Meta(ge=1, le=MOST)] | None = None


class RecommendRequest(Struct, frozen=True, rename="camel"):
    """``POST /v1/recommend``. ``source`` is what a playbook's ``from`` may be."""

    shopper: ShopperRef = ShopperRef()
    context: PageContext = PageContext()
    model: Literal["basket", "next_item"] = "basket"
    version: Literal["live", "candidate"] = "live"
    """The candidate is for secret keys only: nothing has proven it yet."""
    source: ProductSource = "recommended"
    category: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 10
    rules: RulesBody = RulesBody()
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    write_key: Text | None = None


class AskedModel(Struct, frozen=True):
    """The model that was asked; ``version`` is null where none is live, or it cannot be read."""

    name: str
    version: str | None


class Recommended(Struct, frozen=True, rename="camel"):
    """What ``POST /v1/recommend`` answers. ``fallback`` is the share of places that the catalogue filled, of 1.

    ``reason`` is ``match``, or why there is no product: ``no_content``, ``no_consent``, ``killed``, ``holdout``,
    ``error``.
    """

    products: list[Item]
    model: AskedModel
    reason: Reason
    fallback: float
    level: Level
    degraded: bool = False


class PredictRequest(Struct, frozen=True, rename="camel"):
    """``POST /v1/predict``. Without ``predictions`` all that there are."""

    shopper: ShopperRef = ShopperRef()
    predictions: Names | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] | None = None


class Prediction(Struct, frozen=True):
    """A value, a chance to four decimal places or a category, and the version of the model that told it; else why it
    is missing."""

    value: float | str | None = None
    version: str | None = None
    missing: Missing | Literal["late"] | None = None


class Predicted(Struct, frozen=True):
    """What ``POST /v1/predict`` answers."""

    predictions: dict[str, Prediction]
    level: Level


class Around(Protocol):
    """What of an engine is beside a decision."""

    switches: Switches
    counts: Counts


class Suggesting:
    """Answers both over what an engine has in memory. ``live`` is the playbook, ``models`` a store's models."""

    def __init__(
        self,
        live: Callable[[], Playbook],
        lookup: Lookup,
        catalogues: Catalogues,
        models: Callable[[Tenant], Learned],
        around: Around,
    ) -> None:
        self._live = live
        self._lookup = lookup
        self._catalogues = catalogues
        self._models = models
        self._around = around

    def recommend(
        self, request: RecommendRequest, caller: Caller, hot: HotProfile | None, now: Millis, *, late: bool = False
    ) -> Recommended:
        """Products for one page. Raises ``NotAllowed`` where a browser asks for the candidate, and ``InvalidInput``
        where a rule's amount is none of the shop's currency."""
        if request.version != "live" and not caller.key.trusted:
            raise NotAllowed("only a secret key may ask for a candidate: nothing has proven it yet")
        playbook, tenant = self._live(), caller.key.tenant
        currency = playbook.settings.currency
        show = _show(request)
        try:
            rules = shelf.Rules.of(show.rules, currency)
        except ContentError as error:
            raise InvalidInput(f"{error.where}: {error.message}", code="invalid_request") from None
        models = self._models(tenant)
        question = DecideRequest(shopper=request.shopper, context=request.context)
        known = Known(self._lookup.units(question, caller, hot), hot, models=models, recommending=True)
        inputs = gather(playbook, question, caller, known, now).inputs
        asked = AskedModel(request.model, models.version(request.model, request.version))
        if reason := self._withheld(playbook, inputs):
            return Recommended([], asked, reason, 0.0, inputs.level, late)
        tags = locales.chain(inputs.locale, playbook.settings.locale)
        placed = shelf.pick(show, rules, inputs, self._catalogues.of(tenant), tags)
        sources = [each.source for each in placed]
        self._around.counts.placed(ROUTE, sources)
        filled = sum(source in shelf.CATALOGUE for source in sources)
        products = [item_of(each, tags[0], currency) for each in placed]
        share = round(filled / len(placed), 4) if placed else 0.0
        return Recommended(products, asked, "match" if placed else "no_content", share, inputs.level, late)

    def nothing(self, request: RecommendRequest) -> Recommended:
        """What is left to say when answering itself failed."""
        return Recommended([], AskedModel(request.model, None), "error", 0.0, "default", degraded=True)

    def _withheld(self, playbook: Playbook, inputs: Inputs) -> Reason | None:
        """Why nothing may be shown: a list of the shop's own making is no way round the holdout or the switch."""
        if self._around.switches.kills(inputs.tenant).everything:
            return "killed"
        if inputs.level == "default":
            return "no_consent"
        return "holdout" if in_holdout(playbook.experiences.holdout, inputs.units, inputs.values) else None

    def predict(
        self, request: PredictRequest, caller: Caller, hot: HotProfile | None, now: Millis, *, late: bool = False
    ) -> Predicted:
        """What models tell of one shopper. Raises ``InvalidInput`` (``unknown_prediction``)."""
        playbook = self._live()
        names = tuple(dict.fromkeys(playbook.predictions if request.predictions is None else request.predictions))
        unknown = [name for name in names if name not in playbook.predictions]
        if unknown:
            message = f"{unknown[0]!r} is no prediction; there are {', '.join(playbook.predictions)}"
            raise InvalidInput(message, code="unknown_prediction")
        if late:
            return Predicted({name: Prediction(missing="late") for name in names}, "default")
        mask, level = lens(playbook.settings, caller, hot, {})
        told = (
            predicting.nobody(names) if hot is None else self._told(playbook, names, caller.key.tenant, hot, mask, now)
        )
        found = {name: Prediction(missing=why) for name, why in told.missing.items()}
        for name, value in told.values.items():
            told_value = value if isinstance(value, str) else float(cast("Decimal", value))
            found[name] = Prediction(told_value, told.versions[name])
        return Predicted({name: found[name] for name in names}, level)

    def _told(
        self, playbook: Playbook, names: tuple[str, ...], tenant: Tenant, hot: HotProfile, mask: int, now: Millis
    ) -> predicting.Told:
        values = profiles.attributes(hot.profile, playbook.features, now, mask)
        seen = predicting.profile_inputs(hot.profile, values, now, mask, hot.bought, tenant)
        return predicting.tell(names, playbook, self._models(tenant), seen)


def _show(request: RecommendRequest) -> Products:
    rules = request.rules
    declared = RulesDecl(
        only=tuple(rules.only),
        never=tuple(rules.never),
        margin=_share(rules.margin),
        least=None if rules.least is None else str(rules.least),
        most=None if rules.most is None else str(rules.most),
        cart_share=_share(rules.cart_share),
        per_category=rules.per_category,
    )
    return Products(
        request.source, request.limit, request.category, model=request.model, version=request.version, rules=declared
    )


def _share(written: str | None) -> int | None:
    return None if written is None else int(Decimal(written[:-1]) * 100)


encode = msgspec.json.Encoder().encode
"""Either answer as JSON."""
