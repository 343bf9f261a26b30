"""The pages of ``docs/reference`` that are made from the code: commands, HTTP, settings, attributes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer
from msgspec import Struct
from spec import names

from cashwrap import aggregates, attributes, backlog, carts, dedup, engine, orders, request, touches, writer
from cashwrap.adapters.audit import LONGEST
from cashwrap.cli.main import app
from cashwrap.condition.environment import Type
from cashwrap.content.shelf import LOOKED_AT
from cashwrap.declarations import Settings
from cashwrap.events import Limits
from cashwrap.hot import BOUGHT
from cashwrap.model import Purpose
from cashwrap.playbook.json_schema import DURATION, SHARE
from cashwrap.playbook.schema import playbook_schema
from cashwrap.serve import ask, hot, ofrep_context, ofrep_streams, openapi, protocol, rates, settle
from cashwrap.serve.operations import VERSION
from cashwrap.suggesting import MOST

Json = Mapping[str, Any]

MADE = "<!-- Made from the code by `make schemas`; edit the code. -->\n"
CLI_INTRO = """\
Every command explains itself with `--help`. A mistake ends with one line that says what to do, and exit code 1. With
`--json`, where there is one, the report on standard output is JSON for a program.
"""
HTTP_INTRO = """\
The server describes itself under `/openapi.json` (also in `spec/schemas`); this page is the same for people. Keys,
tokens and the content of each component are in [decision 2](../decisions/0002-http-api.md), errors in
[errors](errors.md), what an event may hold in [events](events.md).
"""
HTTP_MORE = """\
Each tracking call has Segment's one-letter path too (`/v1/t`, `/v1/i`, `/v1/p`, `/v1/s`, `/v1/g`, `/v1/a`, `/v1/b`).
Beside the document, and without a key in a header, are `GET /v1/projects/{key}/settings` for Segment's browser client,
`GET /sdk/{version}/cashwrap.min.js`, `GET /openapi.json` and `GET /schemas/playbook.json`.

A browser may use a publishable key from the origins it was made with. What needs a secret key answers no browser.

What is under `/ofrep/` is the OpenFeature Remote Evaluation Protocol 0.3: its errors have its own shape, and its key
may come as `X-API-Key`. [Use OpenFeature](../howto/use-openfeature.md) says what its clients make of it.
"""
WEBHOOKS = """\
A webhook (`PUT /v1/webhooks`) is told of `segments` entered and left, of `exposures`, or of both, as `told` says: one
POST each, in order, signed with `Cashwrap-Signature` ([connect a CRM](../howto/connect-a-crm.md) has the check), again
and again for a day until it is answered with 2xx. A repeat has the same `id`.

An exposure is told where the shopper allows `analytics`, as soon as it is stored, a few hundred a second at most; those
of bots and of the shop's own people are not. It holds nothing that names the shopper:
[ExposureNotice](#exposurenotice).

| field of an exposure | is |
| --- | --- |
| `id` | `exposure-` and a number, the same in a repeat |
| `type` | `exposure` |
| `shopper` | the pseudonym of the fact table, in hex; another one once a login has joined two shoppers |
| `experience`, `placement` | what was reached, and where |
| `experiment` | the experiment's salt; left out where the experience is in none |
| `arm` | the shopper's arm: a variation, `control` or `holdout` |
| `outcome` | `shown`, `control`, `holdout`, `capped` or `unfunded` |
| `held` | kept out for good by the `shop`'s holdout or the `experiment`'s own; else left out |
| `propensity` | the chance, of 10,000, that this shopper got this arm |
| `segments` | those the shopper was in then; left out where there were none, or they are not to be read |
| `decision`, `playbook` | the decision, and the version that made it |
| `store`, `environment` | where |
| `at` | when it was seen, in milliseconds since 1970 UTC |
"""
SETTINGS_INTRO = """\
What a shop decides stands in its playbook; what the machine decides is an option of `cashwrap serve`; what protects
everyone is a limit in the code. There is no other place, and one environment
variable: `CASHWRAP_LEDGER`, because an address with a password belongs in no list of processes.
"""
ATTRIBUTES_INTRO = """\
What a [condition](conditions.md), and a `{placeholder}` of a text, may read. What is not known is unknown, never zero.
"""
MODELS_INTRO = """\
There with consent, once a model of this name is live; told to four decimal places. A playbook's own `predictions` are
attributes like these.
"""
PYTHON_INTRO = """\
What `from cashwrap import ...` gives is public, and so are the contracts in `cashwrap.testing`, the protocols in
`cashwrap.ports` and the adapters in `cashwrap.adapters`. [Use it as a library](../howto/use-as-a-library.md) and
[bring adapters of your own](../howto/embed-in-python.md) show them at work.
"""
ROOMS_INTRO = """\
What each room of the house offers to the others. It may change in a minor release; `ARCHITECTURE.md` says who may
import whom.
"""
LEVELS_INTRO = """\
What a decision was allowed to use is its `level`, best first. What comes too late costs a level, and then `degraded` is
true.
"""
LEVELS = {
    "profile": "the shopper's history, as far as they allow it",
    "session": "the same, of an anonymous shopper on their first visit: there is no other history",
    "request": "what the request itself says: cart, device, locale, time; nothing is known or allowed beyond it",
    "default": "nothing: the shop's default stands",
}
WORDS = {
    Type.BOOL: "true or false",
    Type.STRING: "a text",
    Type.NUMBER: "a number",
    Type.MONEY: "an amount of money",
    Type.TIME: "a moment",
    Type.VERSION: "a version",
    Type.STRING_SET: "a set of texts",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# --- commands ---


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    yield from _commands("cashwrap", typer.main.get_command(app))


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for part, each in inner.items():
        yield from _commands(f"{name} {part}", each)


def example(command: Any) -> str:
    """The example of a command's help; empty where there is none."""
    return str(command.help or "").partition("Example: `")[2].rpartition("`")[0]


def cli() -> str:
    """``docs/reference/cli.md``."""
    parts = [
        MADE,
        "# Commands\n",
        CLI_INTRO,
    ]
    for name, command in commands():
        text = str(command.help).partition("Example:")[0].strip()
        parts += [f"## {name}\n", f"{text}\n", f"```sh by hand\n{example(command)}\n```\n"]
        rows = [_parameter(each) for each in command.params if each.name != "help"]
        if rows:
            parts.append(table(("", "what", "left out"), rows))
    return "\n".join(parts)


def _parameter(parameter: Any) -> tuple[str, str, str]:
    argument = parameter.param_type_name == "argument"
    name = parameter.name.upper() if argument else ", ".join(parameter.opts)
    default = "required" if parameter.required else _default(parameter.default)
    return f"`{name}`", str(parameter.help or ""), default


def _default(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`"


# --- HTTP ---


def http() -> str:
    """``docs/reference/http.md``."""
    document = openapi.document(VERSION)
    schemas = document["components"]["schemas"]  # type: ignore[index]
    shapes = sorted(schemas.items(), key=lambda item: item[1]["title"])
    parts = [
        MADE,
        "# HTTP\n",
        HTTP_INTRO,
        "## Routes\n",
        table(("route", "key", "what", "body", "answer"), _routes(document["paths"])),  # type: ignore[arg-type]
        HTTP_MORE,
        "## Webhooks\n",
        WEBHOOKS,
        "## Data levels\n",
        LEVELS_INTRO,
        table(("level", "uses"), [(f"`{name}`", text) for name, text in LEVELS.items()]),
        "## Shapes\n",
    ]
    for name, shape in shapes:
        doc = " ".join(str(shape.get("description", "")).split()).replace("``", "`")
        parts.append(f"### {_anchor(name)}\n\n{doc}\n")
        rows = [
            (f"`{field}`", _type(each), _limits(each), "required" if field in shape.get("required", ()) else "")
            for field, each in shape.get("properties", {}).items()
        ]
        parts.append(table(("field", "holds", "limits", ""), rows) if rows else f"One of {_type(shape)}.\n")
    return "\n".join(parts)


def _routes(paths: Json) -> Iterator[tuple[str, str, str, str, str]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            security = [name for each in operation.get("security", ()) for name in each]
            key = {0: "none", 1: "secret", 2: "either"}[len(security)]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            answer = operation["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
            summary = operation.get(
                "summary", {"healthz": "alive", "readyz": "takes requests"}.get(path[1:], "Prometheus")
            )
            query = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            asked = f" `?{'&'.join(query)}`" if query else ""
            yield f"`{method.upper()} {path}`{asked}", key, summary, _reference(body), _reference(answer)


def _reference(schema: Json) -> str:
    return _link(schema["$ref"]) if "$ref" in schema else ""


def _link(reference: str) -> str:
    name = _anchor(reference.rpartition("/")[2])
    return f"[{name}](#{name.lower().replace('.', '')})"


def _anchor(name: str) -> str:
    """A schema's short name; two of one name keep the room they are from."""
    parts = name.split(".")
    return name if len(parts) == 1 else ".".join(parts[-2:])


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each != {"type": "null"})
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and schema.get("additionalProperties"):
        return f"map of {_type(schema['additionalProperties'])}"
    return {
        "string": "text",
        "integer": "integer",
        "boolean": "true or false",
        "number": "number",
        "object": "object",
    }.get(str(schema.get("type")), "any value")


_LIMITS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "{} characters"),
    ("maxItems", "{} items"),
    ("minimum", "from {}"),
    ("maximum", "to {}"),
)


def _limits(schema: Json) -> str:
    each = next((part for part in schema.get("anyOf", ()) if part != {"type": "null"}), schema)
    return ", ".join(text.format(f"{each[key]:,}") for key, text in _LIMITS if key in each)


# --- settings ---


def settings() -> str:
    """``docs/reference/settings.md``."""
    definitions: dict[str, Any] = playbook_schema()["$defs"]  # type: ignore[assignment]
    shop, defaults = definitions["shop"]["properties"], Settings()
    rows = [(f"`{name}`", each["description"], _setting(getattr(defaults, name), each)) for name, each in shop.items()]
    beside = [
        (f"`{section}`", f"`{name}`", each["description"])
        for section, definition in (("holdout", "holdout"), ("attention", "caps"))
        for name, each in definitions[definition]["properties"].items()
    ]
    serve = dict(commands())["cashwrap serve"]
    return "\n".join(
        [
            MADE,
            "# Settings\n",
            SETTINGS_INTRO,
            "## In the playbook, under `shop:`\n",
            table(("key", "what", "left out"), rows),
            "## In the playbook, beside `shop:`\n",
            "`attention` has these keys for each format of placements, and for `all`.\n",
            table(("section", "key", "what"), beside),
            "## Options of `cashwrap serve`\n",
            table(("option", "what", "left out"), [_parameter(each) for each in serve.params if each.name != "help"]),
            "## Limits\n",
            table(("limit", "is"), [(what, f"{value:,} {unit}".strip()) for what, value, unit in limits()]),
        ]
    )


def _setting(value: object, schema: Mapping[str, object]) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if schema.get("pattern") == SHARE and isinstance(value, int):
        return f"`{value / 100:g}%`"
    if schema.get("pattern") == DURATION and isinstance(value, int):
        return f"`{value // aggregates.DAY}d`"
    if isinstance(value, Struct):
        parts: Mapping[str, Mapping[str, object]] = schema["properties"]  # type: ignore[assignment]
        return ", ".join(f"{name} {_setting(getattr(value, name), each)}" for name, each in parts.items())
    return f"`{value}`" if value else "none"


def limits() -> Iterator[tuple[str, float, str]]:
    """What one request, shopper or client may hold, as the code has it."""
    bounds = Limits()
    yield "a tracking request, unpacked", bounds.body // 1024, "KB"
    yield "a tracking request, as sent", hot.COLLECT_LIMIT // 1000, "KB (of 1,000 bytes)"
    yield "one event", bounds.event // 1024, "KB"
    yield "events in a batch", bounds.events, ""
    yield "levels of undeclared values in an event", bounds.depth, ""
    yield "fields of an event", bounds.keys, ""
    yield "a decide request", hot.DECIDE_LIMIT // 1000, "KB (of 1,000 bytes)"
    yield "an OpenFeature evaluation request", ofrep_context.LIMIT // 1000, "KB (of 1,000 bytes)"
    yield "OpenFeature event streams open at once", ofrep_streams.STREAMS, ""
    yield "those of one key", ofrep_streams.STREAMS_PER_KEY, ""
    yield "those of one key in one network (/24, or /48 for IPv6)", ofrep_streams.STREAMS_PER_NETWORK, ""
    yield "a request of a secret key elsewhere", ask.BODY // 1000, "KB (of 1,000 bytes)"
    yield "the head of a request", protocol.MAX_HEAD // 1024, "KB"
    yield "for a request to arrive", int(protocol.MAX_WAIT), "s"
    yield "for a decision, unless `deadlineMs` says otherwise", hot.DEADLINE_MS, "ms"
    yield "for events to become durable, before their sender is told to come back", int(hot.PATIENCE), "s"
    yield "profiles read from disk at once for decisions", hot.LOOKUPS, ""
    yield "lines of a cart that a decision reads", request.LINES, ""
    yield "requests waiting to be stored", writer.WAITING, ""
    yield "requests in one commit", writer.AT_ONCE, ""
    yield "clients whose rate is remembered", rates.CLIENTS, ""
    yield "failed events that wait for an operator", backlog.MOST, ""
    yield "failed events that one request tries again", settle.AT_ONCE, ""
    yield "bytes of an audit entry", LONGEST, ""
    yield "an event's id is remembered for", dedup.DAYS, "days"
    yield "an exposure may bring its decision's token back for", engine.TOKEN_LIFE // 3_600_000, "hours"
    yield "keys of a feature that is split", aggregates.KEYS, ""
    yield "keys in each tile of a window", aggregates.TILE_KEYS, ""
    yield "an event may come late and still count as if in time", aggregates.LATE // aggregates.DAY, "days"
    yield "orders of a shopper", orders.ORDERS, "(the newest)"
    yield "products of an order", orders.LINES, ""
    yield "refunds of an order", orders.REFUNDS, ""
    yield "products of the open cart", carts.LINES, ""
    yield "things done with products that recommendations look at", touches.TOUCHES, "(the newest)"
    yield "products bought that they look at", BOUGHT, "(the newest)"
    yield "candidates of one source that a list of products looks at", LOOKED_AT, ""
    yield "products in one answer of `/v1/recommend`", MOST, ""


# --- attributes ---


def attribute_page() -> str:
    """``docs/reference/attributes.md``."""
    request_rows = [_attribute(each) for each in attributes.ATTRIBUTES if each.source == "request"]
    profile_rows = [_attribute(each) for each in attributes.ATTRIBUTES if each.source == "profile"]
    model_rows = [_attribute(each) for each in attributes.ATTRIBUTES if each.source == "model"]
    purposes = ", ".join(f"`consent.{str(purpose.name).lower()}`" for purpose in Purpose)
    return "\n".join(
        [
            MADE,
            "# Attributes\n",
            ATTRIBUTES_INTRO,
            "## Of the request\n",
            "There without consent: the page, its cart, the clock. Nothing of it is kept by a decision.\n",
            table(("attribute", "holds", "is"), request_rows),
            "## Of the profile\n",
            "There with consent to `personalization`.\n",
            table(("attribute", "holds", "is"), profile_rows),
            "## Of models\n",
            MODELS_INTRO,
            table(("attribute", "holds", "is"), model_rows),
            "## Of your playbook\n",
            table(
                ("attribute", "holds", "is"),
                [
                    ("a [feature](features.md)'s name", "as its measure says", "the feature; with `by` also its keys"),
                    ("`segments.<name>`", "true or false", 'the segment; also `"name" in segments`'),
                    ("`traits.<name>`", "as declared, else any value", "a trait of the shopper"),
                ],
            ),
            f"## Of consent\n\n{purposes}: true or false, what the shopper allows now.\n",
        ]
    )


def _attribute(each: attributes.Attribute) -> tuple[str, str, str]:
    grows = {attributes.MINUTE: "; grows by the minute", attributes.DAY: "; grows by the day"}.get(each.moves, "")
    return f"`{each.path}`", WORDS[each.type], each.doc + grows


# --- names ---


def python() -> str:
    """``docs/reference/python.md``."""
    parts = [MADE, "# Public names\n", PYTHON_INTRO]
    for package in names.packages():
        if package not in names.PUBLIC and ROOMS_INTRO not in parts:
            parts += ["## Rooms\n", ROOMS_INTRO]
        rows = [(f"`{name}`", names.document(package, name)) for name in names.exports(package)]
        depth = "##" if package in names.PUBLIC else "###"
        parts += [f"{depth} {package}\n", table(("name", "is"), rows)]
    return "\n".join(parts)
