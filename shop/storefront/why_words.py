"""Turns the engine's answers into what the drawer shows: plain words, no JSON. Pure."""

from datetime import UTC, datetime
from decimal import Decimal

from . import catalogue

REASONS = {
    "match": "its condition holds, and nothing above it fits",
    "no_match": "no experience fits here, so the shop's own default stands",
    "killed": "switched off by an operator",
    "no_consent": "it needs a permission that was not given",
    "no_content": "its text could not be filled in, so it is not shown",
    "no_such_placement": "the playbook does not know this placement",
    "late": "the answer would have been late",
    "error": "something failed, so the default stands",
    "control": "this shopper is in the control arm of a test, which sees what it would see without it",
    "holdout": "this shopper is in the shop's holdout, which sees the shop's own defaults everywhere",
    "capped": "it was shown often enough",
    "quiet": "payment data is being typed, so nothing changes around it",
    "preview": "a preview link shows it, whatever its condition says",
}
OUTCOMES = {
    "shown": "shown",
    "outranked": "fits too, but another comes first",
    "condition_false": "its condition does not hold",
    "condition_unknown": "something it asks for is not known",
    "killed": "switched off",
    "no_consent": "no permission",
    "no_content": "its text could not be filled in",
    "error": "failed",
    "control": "in the control arm of its test",
    "holdout": "kept back for the shop's holdout",
    "capped": "shown often enough",
    "not_enrolled": "takes no part in its test",
    "preview": "previewed",
    "quiet": "payment data is being typed",
}
SAID_BY_THE_ENGINE = ("capped", "not_enrolled")  # which limit, or why not: it knows, and says it in words
LEVELS = {
    "profile": "everything the shopper allowed us to remember",
    "session": "what happened in this visit",
    "request": "only what this page tells: cart, device, language, time",
    "default": "nothing: the shop's own defaults",
}
HERE = {  # the placements of each kind of page; what else the playbook knows is shown as "elsewhere"
    "home": ("home_hero",),
    "product": ("installment_line",),
    "cart": ("basket_message", "accessories", "checkout_button", "coupon_field"),
    "payment": (
        "payment_methods",
        "delivery_methods",
        "basket_message",
        "checkout_help",
        "checkout_button",
        "checkout_layout",
        "installment_line",
    ),
}
MARKS = {True: "yes", False: "no", None: "unknown"}
MONEY = {"spent", "order_value", "cart.total", "open_cart.total", "open_cart.min_price", "open_cart.max_price"}


def tell(answer, page):
    """Return the template's context from {who, decision, profile} for a kind of page."""
    decision, held = answer["decision"], answer["profile"]
    level = decision.get("level", "default")
    placements = decision.get("placements") or {}
    cards = [placement(name, each, decision) for name, each in placements.items()]
    here = HERE.get(page, ())
    cards.sort(key=lambda card: here.index(card["name"]) if card["name"] in here else len(here))
    segments = held.get("segments") or {}
    return {
        "awake": bool(decision),
        "name": who(answer["who"], held),
        "level": level,
        "ladder": list(reversed(LEVELS)),
        "level_means": LEVELS[level],
        "degraded": decision.get("degraded", False),
        "playbook": str(decision.get("playbook", ""))[:10],
        "cards": [card for card in cards if card["name"] in here],
        "elsewhere": [card for card in cards if card["name"] not in here],
        "segments_in": [name for name, inside in segments.items() if inside],
        "segments_out": [name for name, inside in segments.items() if inside is False],
        "segments_unknown": [name for name, inside in segments.items() if inside is None],
        "held": bool(held),
        "sections": sections(held),
    }


def who(named, held):
    if held.get("traits", {}).get("first_name"):
        return f"{held['traits']['first_name']} ({held.get('userId') or 'not logged in'})"
    if "userId" in named:
        return named["userId"]
    if "anonymousId" in named:
        return f"device {named['anonymousId'][:6]}…"
    return "nobody: no permission, no id"


# --- one placement ---


def placement(name, answer, decision):
    considered = answer.get("considered") or (decision.get("explain") or {}).get(name, {}).get("considered") or []
    return {
        "name": name,
        "experience": answer.get("experience"),
        "content": summary(answer.get("content")),
        "reason": REASONS.get(answer.get("reason"), answer.get("reason")),
        "considered": [experience(each) for each in considered],
    }


def summary(content):
    """Return one line that says what is shown, or None for the default."""
    if not content:
        return None
    kind = content.get("type")
    if kind == "options":
        order = [option.get("name") or option["id"] for option in content.get("options", [])]
        starred = {o.get("name") or o["id"] for o in content.get("options", []) if o.get("highlight") or o.get("badge")}
        text = " → ".join(f"{each} ★" if each in starred else each for each in order)
        return f"{text}; hidden: {', '.join(content['hidden'])}" if content.get("hidden") else text
    if kind == "products":
        return ", ".join(item["name"] for item in content.get("items", []))
    if kind == "layout":
        return ", ".join(f"{name}: {value}" for name, value in content.get("tokens", {}).items())
    if kind == "field":
        return f"{content.get('state')}{': ' + content['prefill'] if content.get('prefill') else ''}"
    return content.get("text", "")


def experience(each):
    told = OUTCOMES.get(each.get("outcome"))
    return {
        "name": each.get("experience"),
        "outcome": each.get("outcome"),
        "says": each.get("why") if told is None or each.get("outcome") in SAID_BY_THE_ENGINE else told,
        "why": each.get("why"),
        "lines": conditions(each.get("condition")),
    }


def conditions(node, depth=0):
    """Return the condition as a flat list of lines: text, verdict, depth, and the values its leaves read.

    A segment is followed by what it is made of.
    """
    if not node:
        return []
    segments = node.get("segments") or []
    opened = {f"segments.{each['name']}" for each in segments if each.get("condition")}
    values = {name: value for name, value in (node.get("values") or {}).items() if name not in opened}
    read = ", ".join(f"{name} is {show(name, value)}" for name, value in values.items())
    here = {"text": node["text"], "verdict": MARKS[node.get("result")], "indent": min(depth, 4), "read": read}
    below = [*(node.get("parts") or []), *(each["condition"] for each in segments if each.get("condition"))]
    return [here, *(line for part in below for line in conditions(part, depth + 1))]


# --- the profile ---


def sections(held):
    """Return [(title, [(name, value)])] of what is held, with empty sections left out."""
    attributes = held.get("attributes") or {}
    shown = [(name, show(name, value)) for name, value in attributes.items() if _worth_showing(name, value)]
    orders = [
        (f"order {each['id']}", f"{money(each['net']['total'])}, {each['state']}, {day(each['time'])}")
        for each in held.get("orders") or []
    ]
    cart = [(titled(each["id"]), f"{each['quantity']} × {money(each['price'])}") for each in held.get("cart") or []]
    known = {name.removeprefix("traits."): value for name, value in attributes.items() if name.startswith("traits.")}
    traits = [(name, show(name, value)) for name, value in {**known, **(held.get("traits") or {})}.items()]
    found = [("Traits", traits), ("Open cart", cart), ("Orders", orders), ("Features", shown)]
    return [(title, rows) for title, rows in found if rows]


def _worth_showing(name, value):
    return value not in (None, "", [], {}) and name != "now" and not name.startswith(("traits.", "time.", "shop_time."))


def show(name, value):
    """Return a value in words; amounts are known by their names."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, int) for each in value):
        total, count = value
        return money(total / count) if count else "nothing yet"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and name in MONEY:
        return money(value)
    return str(value)


def money(minor):
    return "no price" if minor is None else f"{Decimal(round(minor)) / 100:.2f} €"


def day(millis):
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%-d %b %Y")


def titled(product_id):
    entry = catalogue.by_id().get(product_id)
    return catalogue.local(entry["title"]) if entry else product_id
