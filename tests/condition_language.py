"""What the tests of conditions share: an environment, a sampler of conditions and values, and a naive oracle.

The oracle is written against the language page, not against the evaluator: it walks the parsed tree, keeps truth as
0, 1/2 and 1, and calculates in major units with fractions.
"""

import itertools
import operator
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from cashwrap.condition import Environment, Node, Type
from cashwrap.condition.ast import And, Attribute, Call, Compare, In, ListLiteral, Literal, Not, Or

SEGMENTS = frozenset({"vip", "new_visitor", "café"})
TYPES = {
    "cart.total": Type.MONEY,
    "cart.shipping": Type.MONEY,
    "cart.count": Type.NUMBER,
    "orders": Type.NUMBER,
    "rating": Type.NUMBER,
    "average_order": Type.MONEY_AVERAGE,
    "average_rating": Type.AVERAGE,
    "device.type": Type.STRING,
    "locale": Type.STRING,
    "subscribed": Type.BOOL,
    "page.secure": Type.BOOL,
    "wishlist": Type.STRING_SET,
    "cart.categories": Type.STRING_SET,
    "category_views.max": Type.NUMBER,
    "category_views[*]": Type.NUMBER,
    "category_spent[*]": Type.MONEY,
    "now": Type.TIME,
    "traits.renewal": Type.TIME,
    "app.version": Type.VERSION,
    "device.os_version": Type.VERSION,
    "request.networks": Type.STRING_SET,
    "traits.*": Type.DYN,
}
ENVIRONMENT = Environment(TYPES, SEGMENTS)
TRAITS = ("traits.age", "traits.city", "traits.member", "traits.tags")
WORDS = ("mobile", "desktop", "shoes", "de", "de-AT", "", "é", "𝒳", "a'b", 'a"b', "\\", "\n", "shoes and bags")
KEYS = ("shoes", "bags", 'a"b', "é")
MOMENTS = (
    "2026-12-24T18:00:00Z",
    "2026-12-24T19:00:00+01:00",
    "2026-12-24T18:00:00.001Z",
    "1969-12-31T23:59:59Z",
    "2028-02-29T00:00:00-23:30",
)
VERSIONS = ("2.10.0", "2.9", "2.10", "17", "3.0.0-beta.2", "3.0.0-beta.11", "3.0.0-rc", "3.0.0", "0", "2.10.0+build.7")
PATHS = ("mob", "de", "d", "", "shoes", "2.", "é", "x")


class Sampler:
    """Valid conditions of the environment, and values for them, from one seed."""

    def __init__(self, seed: int, *, segment_paths: bool = True) -> None:
        self.random = random.Random(seed)
        self.segment_paths = segment_paths

    def condition(self, depth: int = 3) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.3:
            return self.predicate()
        if pick < 0.45:
            return f"!({self.condition(depth - 1)})"
        joint = self.random.choice([" && ", " || ", "&&", "||"])
        parts = [f"({self.condition(depth - 1)})" for _ in range(self.random.randint(2, 3))]
        return joint.join(parts)

    def predicate(self) -> str:
        return self.random.choice(
            [
                self.comparison,
                self.comparison,
                self.two_terms,
                self.flag,
                self.member,
                self.member,
                self.text_test,
                self.has,
                self.moment,
                self.version,
            ]
        )()

    def name(self, *kinds: Type) -> str:
        names = [self.spelled(path) for path, kind in TYPES.items() if kind in kinds and path != "traits.*"]
        return self.random.choice(names + (list(TRAITS) if Type.DYN in kinds else []))

    def spelled(self, path: str) -> str:
        return path.replace("[*]", f"[{self.text(KEYS)}]")

    def text(self, words: tuple[str, ...] = WORDS) -> str:
        word = self.random.choice(words)
        quote = "'" if self.random.random() < 0.5 and "'" not in word else '"'
        escaped = word.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, "\\" + quote)
        if self.random.random() < 0.2:
            escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in word)
        return quote + escaped + quote

    def number(self) -> str:
        return self.random.choice(["0", "1", "3", "-2", "2.5", "0.25", "1e1", "-0.75", "100", "7"])

    def amount(self) -> str:
        return self.random.choice(["0", "2.5", "200", "49.75", "-1.25", "1e2", "100.00"])

    def comparison(self) -> str:
        op = self.random.choice(["==", "!=", "<", "<=", ">", ">="])
        kind = self.random.choice(["number", "amount", "text", "bool", "size", "dyn"])
        if kind == "number":
            left, right = self.name(Type.NUMBER, Type.AVERAGE), self.number()
        elif kind == "amount":
            left, right = self.name(Type.MONEY, Type.MONEY_AVERAGE), self.amount()
        elif kind == "text":
            left, right = self.name(Type.STRING), self.text()
        elif kind == "bool":
            left, right = self.name(Type.BOOL), self.random.choice(["true", "false"])
            op = self.random.choice(["==", "!="])
        elif kind == "size":
            left, right = f"size({self.name(Type.STRING, Type.STRING_SET, Type.DYN)})", self.number()
        else:
            left, right = self.name(Type.DYN), self.random.choice([self.text(), self.number()])
        return f"{left} {op} {right}" if self.random.random() < 0.7 else f"{right}{op}{left}"

    def moment(self) -> str:
        left, op = self.name(Type.TIME), self.random.choice(["==", "!=", "<", "<=", ">", ">="])
        right = f'timestamp("{self.random.choice(MOMENTS)}")'
        return f"{left} {op} {right}" if self.random.random() < 0.7 else f"{right}{op}{left}"

    def version(self) -> str:
        left, op = (
            self.name(Type.VERSION, Type.STRING, Type.DYN),
            self.random.choice(["==", "!=", "<", "<=", ">", ">="]),
        )
        right = f"version('{self.random.choice(VERSIONS)}')"
        return f"{left} {op} {right}" if self.random.random() < 0.7 else f"{right}{op}{left}"

    def two_terms(self) -> str:
        kind = self.random.choice([Type.NUMBER, Type.MONEY, Type.STRING, Type.DYN, Type.TIME, Type.VERSION])
        op = self.random.choice(["==", "!=", "<", "<=", ">", ">="])
        return f"{self.name(kind)} {op} {self.name(kind)}"

    def flag(self) -> str:
        return self.random.choice(["!", ""]) + self.random.choice(
            [self.name(Type.BOOL), self.name(Type.BOOL), self.name(Type.DYN), "true", "false"]
        )

    def member(self) -> str:
        segment = self.random.choice(sorted(SEGMENTS))
        choices = [
            f'"{segment}" in segments',
            f"{self.text()} in {self.name(Type.STRING_SET, Type.DYN)}",
            f"{self.name(Type.STRING, Type.DYN)} in [{', '.join(self.text() for _ in range(3))}]",
            f"{self.name(Type.NUMBER, Type.DYN)} in [{self.number()}, {self.number()}]",
            f"{self.name(Type.MONEY)} in [{self.amount()}, {self.amount()}]",
            f"{self.name(Type.STRING)} in {self.name(Type.STRING_SET, Type.DYN)}",
        ]
        if self.segment_paths:
            choices.append("segments.vip")
        return self.random.choice(choices)

    def text_test(self) -> str:
        function = self.random.choice(["startsWith", "startsWith", "endsWith", "contains"])
        return f"{self.name(Type.STRING, Type.DYN)}.{function}({self.text(WORDS + PATHS)})"

    def has(self) -> str:
        return f"has({self.random.choice(['cart.total', 'device.type', 'traits.age', 'cart.categories'])})"

    # --- values ---

    def values(self, *, wrong: float = 0.1, missing: float = 0.2) -> dict[str, object]:
        """Run-time values by flat name: some absent, some of a wrong type."""
        found: dict[str, object] = {}
        names = [path for path in TYPES if not path.endswith(("*", "]"))] + list(TRAITS)
        names += [f"{path}[{_quoted(key)}]" for path in ("category_views", "category_spent") for key in KEYS]
        for name in names:
            if self.random.random() < missing:
                continue
            kind = TYPES.get(name) or (Type.DYN if name in TRAITS else Type.NUMBER)
            kind = Type.MONEY if name.startswith("category_spent") else kind
            if self.random.random() < wrong:
                kind = self.random.choice([Type.BOOL, Type.STRING, Type.STRING_SET, Type.NUMBER])
            found[name] = self.value(kind)
        if self.random.random() >= missing:
            found |= {f"segments.{name}": self.random.random() < 0.5 for name in sorted(SEGMENTS)}
        return found

    def value(self, kind: Type) -> object:
        pick = self.random.choice
        match kind:
            case Type.BOOL:
                return self.random.random() < 0.5
            case Type.STRING:
                return pick(WORDS)
            case Type.NUMBER:
                return pick(
                    [0, 1, 3, 7, 10, 100, -2, Decimal("2.5"), Decimal("0.25"), Decimal("-0.75"), Decimal("3.00")]
                )
            case Type.TIME:
                return pick([1798135200000, 1798135200001, 1798135199999, 0, -1000, 1835479800000, Decimal("0.5")])
            case Type.VERSION:
                return pick([*VERSIONS, "2.10.0.1", "3.0.0-beta", "3.0.0-beta.x", "1.0-", "", "v2", "2..1", "9" * 16])
            case Type.MONEY:
                return pick([0, 250, 20000, 4975, -125, 10000])
            case Type.AVERAGE:
                return (pick([0, 5, 10, 28, Decimal("2.5"), -3]), pick([0, 1, 2, 4]))
            case Type.MONEY_AVERAGE:
                return (pick([0, 500, 9950, 20000, 80000]), pick([0, 1, 2, 4]))
            case Type.STRING_SET:
                return frozenset(self.random.sample(WORDS, self.random.randint(0, 4)))
            case _:
                return self.value(pick([Type.BOOL, Type.STRING, Type.NUMBER, Type.STRING_SET, Type.VERSION]))


def _quoted(key: str) -> str:
    return '"' + key.replace('"', '\\"') + '"'


# --- the oracle ---

_OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_HALF = Fraction(1, 2)
_PYTHON = {
    Type.BOOL: bool,
    Type.STRING: str,
    Type.NUMBER: int | Decimal,
    Type.MONEY: int | Decimal,
    Type.STRING_SET: frozenset,
    Type.TIME: int | Decimal,
    Type.VERSION: str,
}


def moment_of(text: str) -> Fraction:
    """Milliseconds, by adding up days, hours and the offset."""
    clock, sign, offset = (text[:-1], "+", "0:0") if text[-1] == "Z" else (text[:-6], text[-6], text[-5:])
    day, _, time = clock.partition("T")
    hours, minutes = (int(part) for part in offset.split(":"))
    days = (datetime.strptime(day, "%Y-%m-%d") - datetime(1970, 1, 1)) // timedelta(days=1)  # noqa: DTZ001, DTZ007
    parts = [Fraction(part) for part in time.split(":")]
    seconds = days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    return (seconds - (hours * 3600 + minutes * 60) * (1 if sign == "+" else -1)) * 1000


class Version:
    """A version that is compared part by part, as one does by hand."""

    def __init__(self, text: str) -> None:
        core, dash, early = text.partition("+")[0].partition("-")
        self.core, self.early = core.split("."), early.split(".") if dash else []
        build = text.partition("+")[2].split(".") if "+" in text else ["x"]
        words = [*self.early, *build] if dash else build
        if len(text) > 64 or not all(part.isascii() and part.isdigit() and len(part) <= 15 for part in self.core):
            raise ValueError(text)
        if not all(word and all(c.isascii() and (c.isalnum() or c == "-") for c in word) for word in words):
            raise ValueError(text)

    def compare(self, other: "Version") -> int:
        for mine, theirs in itertools.zip_longest(self.core, other.core, fillvalue="0"):
            if int(mine) != int(theirs):
                return -1 if int(mine) < int(theirs) else 1
        if not self.early or not other.early:
            return bool(other.early) - bool(self.early)
        for one, two in itertools.zip_longest(self.early, other.early):
            if one is None or two is None:
                return -1 if one is None else 1
            if one.isdigit() != two.isdigit():
                return -1 if one.isdigit() else 1
            if one.isdigit() and int(one) != int(two):
                return -1 if int(one) < int(two) else 1
            if not one.isdigit() and one != two:
                return -1 if one < two else 1
        return 0


def version_of(text: object) -> Version | None:
    try:
        return Version(text) if isinstance(text, str) else None
    except ValueError:
        return None


def oracle(
    node: Node, values: Mapping[str, object], environment: Environment = ENVIRONMENT, *, cel: bool = False
) -> bool | None:
    """Truth of a PARSED condition. ``cel`` answers as CEL does where the two differ on purpose."""
    truth = _Oracle(values, environment, cel).truth(node)
    return None if truth == _HALF else truth == 1


class _Oracle:
    def __init__(self, values: Mapping[str, object], environment: Environment, cel: bool) -> None:
        self.values, self.environment, self.cel = values, environment, cel

    def truth(self, node: Node) -> Fraction:
        match node:
            case And():
                return min(self.truth(part) for part in node.operands)
            case Or():
                return max(self.truth(part) for part in node.operands)
            case Not():
                return 1 - self.truth(node.operand)
            case Compare():
                return self.compare(node.op, self.value(node.left), self.value(node.right))
            case In():
                return self.member(node)
            case Call(function="has"):
                return Fraction(self.raw(node.args[0]) is not None)
            case Call():
                return self.text_test(node)
            case _:
                value = self.value(node)
                return Fraction(value) if isinstance(value, bool) else _HALF

    def compare(self, op: str, left: object, right: object) -> Fraction:
        if left is None or right is None:
            return _HALF
        apply = _OPERATORS[op]
        if isinstance(left, Version) or isinstance(right, Version):
            first, second = (side if isinstance(side, Version) else version_of(side) for side in (left, right))
            return _HALF if first is None or second is None else Fraction(apply(first.compare(second), 0))
        if type(left) is type(right) and isinstance(left, Fraction | str):
            return Fraction(apply(left, right))
        if isinstance(left, bool) and isinstance(right, bool) and (self.cel or op in {"==", "!="}):
            return Fraction(apply(left, right))
        if self.cel and op in {"==", "!="}:  # difference: CEL calls values of different types unequal
            return Fraction(apply((type(left), left), (type(right), right)))
        return _HALF

    def member(self, node: In) -> Fraction:
        if isinstance(node.container, Attribute) and node.container.path == "segments":
            value = self.values.get(f"segments.{node.element.value}")
            return Fraction(value) if isinstance(value, bool) else _HALF
        element = self.value(node.element)
        if isinstance(node.container, ListLiteral):
            found = [self.compare("==", element, self.value(item)) for item in node.container.items]
            return max(found)
        holder = self.value(node.container)
        if element is None or not isinstance(holder, frozenset):
            return _HALF
        if isinstance(element, str):
            return Fraction(any(element == member for member in holder))
        return Fraction(0) if self.cel else _HALF  # difference: as above

    def text_test(self, node: Call) -> Fraction:
        text, part = (self.value(arg) for arg in node.args)
        if not isinstance(text, str):
            return _HALF
        places = [place for place in range(len(text) + 1) if text[place : place + len(part)] == part]
        if node.function == "contains":
            return Fraction(bool(places))
        return Fraction((0 if node.function == "startsWith" else len(text) - len(part)) in places)

    def raw(self, node: Attribute) -> object:
        return self.values.get(self.environment.resolve(node)[0].name)

    def value(self, node: Node) -> object:
        """A fraction (in major units), text, bool or set; None for unknown."""
        if isinstance(node, Literal):
            return node.value if isinstance(node.value, bool | str) else Fraction(node.value)
        if isinstance(node, Call) and node.function != "size":
            text = node.args[0].value
            return moment_of(text) if node.function == "timestamp" else Version(text)
        if isinstance(node, Call):
            inner = self.raw(node.args[0])
            return Fraction(len(inner)) if isinstance(inner, str | frozenset) else None
        kind = self.environment.resolve(node)[1]
        value = self.raw(node)
        if not self.cel and kind in _PYTHON and not isinstance(value, _PYTHON[kind]):
            return None  # a wrong type is unknown
        if not self.cel and isinstance(value, bool) and kind in {Type.NUMBER, Type.MONEY, Type.TIME}:
            return None  # to Python a bool is an int
        if kind is Type.VERSION:
            return version_of(value)
        scale = 10**self.environment.digits if kind in {Type.MONEY, Type.MONEY_AVERAGE} else 1
        if kind in {Type.AVERAGE, Type.MONEY_AVERAGE}:
            if isinstance(value, tuple):
                return Fraction(value[0]) / value[1] / scale if value[1] > 0 else None
            if not self.cel:
                return None
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Fraction(value) / scale
        return value
