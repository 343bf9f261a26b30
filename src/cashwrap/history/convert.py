"""Rows to envelopes, as a mapping says: compiled once for a file's columns, then one cheap step a row.

Whatever is wrong with a row refuses that row alone. Lines of one order wait until the order is whole.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from cashwrap.errors import InvalidEvent
from cashwrap.events.envelope import Context, Envelope, Named, Place, Refused
from cashwrap.events.fields import millis
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.history.mapping import ROW, EventMap, Map, Pick, Test, Time, placeholders
from cashwrap.history.returns import Returns
from cashwrap.history.rows import Row
from cashwrap.history.visits import Visits
from cashwrap.model import Millis

MOST = 10**30
"""Whole numbers from here on are none that a shop could mean."""
OPEN_GROUPS = 200
"""Orders whose lines may lie among each other's; the one that began first is then taken for whole."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

Getter = Callable[[int, Row], object]
_WORDS = {"true": True, "yes": True, "1": True, "y": True, "false": False, "no": False, "0": False, "n": False}


class _Group(Struct):
    """An order being gathered."""

    plan: "_Plan"
    envelope: Envelope
    session: object
    products: list[dict[str, object]]


class _Plan(NamedTuple):
    """How rows become one kind of event."""

    event: EventMap
    tests: tuple[Callable[[Row], bool], ...]
    columns: tuple[tuple[str, int], ...]
    """Properties that are columns as they are."""
    getters: tuple[tuple[str, Getter], ...]
    products: tuple[tuple[str, Getter], ...]
    lines: int
    """The column that joins rows; -1 where each row is an event."""


class Converter:
    """One file's rows to envelopes. Counts what it leaves out."""

    def __init__(self, mapping: Map, vocabulary: Vocabulary, file: str, latest: Millis) -> None:
        self.columns = mapping.columns()
        self.skipped: Counter[str] = Counter()
        self.joined = 0
        """Rows that became a further line of an order."""
        self.unmatched = 0
        """Lines brought back that nobody bought before, as far as the file tells."""
        self.visits = Visits()
        self._mapping = mapping
        self._file = file[:80]
        self._latest = latest
        self._at = {name: place for place, name in enumerate(self.columns)}
        self._moment = _clock(mapping.time)
        self._time = self._at[mapping.time.column]
        self._session = self._at.get(mapping.session, -1)
        self._message = self._at.get(mapping.message, -1)
        self._user = self._getter(mapping.user) if mapping.user is not None else None
        self._anonymous = self._getter(mapping.anonymous) if mapping.anonymous is not None else None
        self._skips = [(skip.reason, self._tests(skip.when)) for skip in mapping.skip]
        self._plans = [self._plan(event, vocabulary) for event in mapping.events]
        self._context = tuple((name, self._getter(pick)) for name, pick in mapping.context.items())
        self._around = lru_cache(4096)(context_maker(tuple(mapping.context)))
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self._closed: set[str] = set()
        self._returns = Returns() if any(event.returns for event in mapping.events) else None

    # --- rows ---

    def take(self, number: int, row: Row, out: list[Envelope | Refused]) -> None:
        """Turn one row into what it means, at the end of ``out``: an event, why not, or nothing."""
        for reason, tests in self._skips:
            if all(test(row) for test in tests):
                self.skipped[reason] += 1
                return
        for plan in self._plans:
            if all(test(row) for test in plan.tests):
                break
        else:
            self.skipped["no_event"] += 1
            return
        try:
            if plan.lines >= 0:
                self._join(number, row, plan, out)
            else:
                envelope = self._envelope(number, row, plan)
                if plan.products:
                    self._fill(envelope, plan, [self._product(number, row, plan)])
                self._see(envelope, row[self._session] if self._session >= 0 else None)
                out.append(envelope)
        except InvalidEvent as error:
            out.append(Refused(len(out), error.code, error.message, error.path, f"{self._file}:{number}"))

    def finish(self, out: list[Envelope | Refused]) -> None:
        """The orders that still wait for lines."""
        while self._groups:
            self._close(out)

    def _envelope(self, number: int, row: Row, plan: _Plan) -> Envelope:
        moment = self._when(row[self._time])
        user = self._user(number, row) if self._user is not None else None
        anonymous = self._anonymous(number, row) if self._anonymous is not None else None
        session = row[self._session] if self._session >= 0 else None
        if not user and not anonymous and session:
            anonymous = _plain(session)
        given = row[self._message] if self._message >= 0 else None
        properties: dict[str, object] = {}
        for name, place in plan.columns:
            value = row[place]
            if value is not None and value != "":
                properties[name] = value if type(value) is str else _plain(value)
        for name, get in plan.getters:
            properties[name] = get(number, row)
        return Envelope(
            type="track",
            event=plan.event.name,
            message_id=f"{self._file}:{number}" if given is None or given == "" else str(_plain(given)),
            user_id=user,  # type: ignore[arg-type]
            anonymous_id=anonymous,  # type: ignore[arg-type]
            timestamp=moment,
            properties=properties,
            context=self._around(*[get(number, row) for _, get in self._context]) if self._context else None,
        )

    def _when(self, value: object) -> datetime:
        moment = self._moment(value)
        if moment < EARLIEST or millis(moment) > self._latest:
            message = "The time lies before 1970 or in the future; look at the unit and format of the time."
            raise InvalidEvent(message, code="time_out_of_range", path=self._mapping.time.column)
        return moment

    # --- orders ---

    def _join(self, number: int, row: Row, plan: _Plan, out: list[Envelope | Refused]) -> None:
        name = str(_plain(row[plan.lines]))
        if name in self._closed:
            message = "Its order was taken for whole: keep the lines of an order together."
            raise InvalidEvent(message, code="scattered_order", path=plan.event.lines)
        product = self._product(number, row, plan)
        group = self._groups.get(name)
        if group is not None:
            group.products.append(product)
            self.joined += 1
            return
        self._groups[name] = _Group(
            plan, self._envelope(number, row, plan), row[self._session] if self._session >= 0 else None, [product]
        )
        if len(self._groups) > OPEN_GROUPS:
            self._close(out)

    def _close(self, out: list[Envelope | Refused]) -> None:
        name, group = self._groups.popitem(last=False)  # the one that began first
        self._closed.add(name)
        try:
            if group.plan.event.returns and self._returns is not None:
                refunds, unmatched = self._returns.refunds(group.envelope, group.products)
                self.unmatched += unmatched
                for refund in refunds:
                    self._see(refund, group.session)
                out.extend(refunds)
                return
            self._fill(group.envelope, group.plan, group.products)
        except InvalidEvent as error:
            out.append(Refused(len(out), error.code, error.message, error.path, str(group.envelope.message_id)))
            return
        self._see(group.envelope, group.session)
        out.append(group.envelope)

    def _see(self, envelope: Envelope, session: object) -> None:
        shopper, moment = envelope.user_id or envelope.anonymous_id, envelope.timestamp
        if shopper and moment is not None:
            self.visits.see(shopper, moment, session, envelope.event or "")

    def _product(self, number: int, row: Row, plan: _Plan) -> dict[str, object]:
        found = {name: get(number, row) for name, get in plan.products}
        return {name: value for name, value in found.items() if value is not None and value != ""}

    def _fill(self, envelope: Envelope, plan: _Plan, products: list[dict[str, object]]) -> None:
        properties = envelope.properties
        if properties is None:
            return
        properties["products"] = products
        if plan.event.total:
            properties[plan.event.total] = f"{sum_of(products):f}"
        if self._returns is not None and plan.event.name == "Order Completed":
            self._returns.sold(envelope, products)

    # --- compiling ---

    def _plan(self, event: EventMap, vocabulary: Vocabulary) -> _Plan:
        plain = {name: self._at[pick.column] for name, pick in event.properties.items() if _as_it_is(pick)}
        getters = [(name, self._getter(pick)) for name, pick in event.properties.items() if name not in plain]
        currency = self._mapping.currency
        declared = vocabulary.events.get(event.name)
        if currency and declared is not None and "currency" in declared.fields and "currency" not in event.properties:
            getters.append(("currency", lambda _number, _row: currency))
        return _Plan(
            event,
            self._tests(event.when),
            tuple(plain.items()),
            tuple(getters),
            tuple((name, self._getter(pick)) for name, pick in event.products.items()),
            self._at[event.lines] if event.lines else -1,
        )

    def _tests(self, tests: Iterable[Test]) -> tuple[Callable[[Row], bool], ...]:
        return tuple(_test(self._at[test.column], test) for test in tests)

    def _getter(self, pick: Pick) -> Getter:
        if pick.column:
            return _reader(self._at[pick.column], pick, self._moment)
        if pick.text:
            places = {name: self._at[name] for name in placeholders(pick.text)}
            template = pick.text

            def fill(number: int, row: Row) -> object:
                text = template.replace(f"{{{ROW}}}", str(number))
                for name, place in places.items():
                    text = text.replace(f"{{{name}}}", str(_plain(row[place])))
                return text

            return fill
        constant = pick.value
        return lambda _number, _row: constant


def sum_of(products: Iterable[dict[str, object]]) -> Decimal:
    """Price times quantity over the products, exactly; in major units. Raises ``InvalidEvent``."""
    total = Decimal(0)
    for product in products:
        try:
            total += Decimal(str(product.get("price", 0))) * int(str(product.get("quantity", 1)))
        except (ArithmeticError, ValueError) as error:
            raise InvalidEvent("A price or quantity is no number.", code="invalid_number", path="products") from error
    return total


def _test(place: int, test: Test) -> Callable[[Row], bool]:
    values, prefixes = test.values, test.prefixes
    if prefixes:
        return lambda row: str(_plain(row[place])).startswith(prefixes)
    return lambda row: (row[place] if type(row[place]) is str else str(_plain(row[place]))) in values


def _as_it_is(pick: Pick) -> bool:
    return bool(pick.column) and pick.kind == "text" and not pick.values and not pick.negate


def _reader(place: int, pick: Pick, moment: Callable[[object], datetime]) -> Getter:
    """How one column is read. Nothing where it is empty."""
    convert = _converter(pick, moment)
    words = pick.values

    def read(_number: int, row: Row) -> object:
        value = row[place]
        if value is None or value == "":
            return None
        if words:
            value = words.get(value if type(value) is str else str(_plain(value)), value)
        return convert(value)

    return read


def _converter(pick: Pick, moment: Callable[[object], datetime]) -> Callable[[Any], object]:
    match pick.kind:
        case "integer":
            return partial(_integer, path=pick.column, sign=-1 if pick.negate else 1)
        case "boolean":
            return partial(_boolean, path=pick.column)
        case "time":
            return lambda value: millis(moment(value))
        case "texts":
            return partial(_texts, separator=pick.separator)
        case _:
            return _negated if pick.negate else _plain


def _plain(value: object) -> object:
    """A value of a file as JSON would have it: a number with a fraction as its digits."""
    if value is None:
        return ""
    if type(value) in (str, int, bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, float | Decimal) else value


def _negated(value: object) -> object:
    text = str(_plain(value))
    return text.removeprefix("-") if text.startswith("-") else f"-{text}"


@lru_cache(8192)
def _integer(value: object, path: str, sign: int) -> int:
    try:
        exact = Decimal(str(value).strip())
        number = int(exact) if -MOST < exact < MOST else None  # to write out a million digits would take minutes
    except (InvalidOperation, ValueError):
        raise InvalidEvent("Expected a whole number.", code="invalid_number", path=path) from None
    if number is None or number != exact:
        raise InvalidEvent("Expected a whole number.", code="invalid_number", path=path)
    return sign * number


def _boolean(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    found = _WORDS.get(str(value).strip().lower())
    if found is None:
        raise InvalidEvent("Expected true or false.", code="invalid_type", path=path)
    return found


def _texts(value: object, separator: str) -> list[object]:
    parts: Sequence[object] = value if isinstance(value, list) else str(value).split(separator)
    return [part.strip() if isinstance(part, str) else _plain(part) for part in parts if part not in ("", None)]


def _clock(time: Time) -> Callable[[object], datetime]:
    """How the time column is read; the same text is read once."""
    zone = ZoneInfo(time.zone)

    @lru_cache(16384)
    def read(text: str) -> datetime:
        if time.format:
            moment = datetime.strptime(text, time.format)  # noqa: DTZ007 - its zone is given below
        elif time.unit == "iso":
            moment = datetime.fromisoformat(f"{text[:-4]}+00:00" if text.endswith(" UTC") else text)
        else:
            scale = 1 if time.unit == "s" else 1000
            moment = datetime.fromtimestamp(int(text) / scale, UTC)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)

    def at(value: object) -> datetime:
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=zone)
        try:
            return read(str(value).strip())
        except (ValueError, OverflowError, OSError):
            message = "This is not the time the mapping describes; look at its unit and format."
            raise InvalidEvent(message, code="invalid_time", path=time.column) from None

    return at


def context_maker(names: Sequence[str]) -> Callable[..., Context]:
    """Facts about the shopper's surroundings, in the order of ``names``, as the tracking API would carry them."""

    def make(*values: object) -> Context:
        told = {name: str(value) for name, value in zip(names, values, strict=True) if value not in (None, "")}
        place = Place(country=told.get("country"), region=told.get("region"))
        return Context(
            locale=told.get("locale"),
            timezone=told.get("time_zone"),
            device=Named(type=told["device"]) if "device" in told else None,
            location=place if "country" in told or "region" in told else None,
        )

    return make
