"""Writes spec/vectors/{hashing,assignment,decisions}.json: what every implementation must answer, in whatever language.

Run ``python tests/decision_vectors.py`` after changing a case. Expectations are published values, written by hand, or
come from the naive oracle, never from the code under test.
"""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle_world import Document, Names, compiled
from cashwrap.bundle import bundle_trial, encode, prefix
from cashwrap.condition import Type
from cashwrap.declarations import ExperimentDecl
from cashwrap.experiments import Assigned, Slot, Trial, lay_out, trial
from cashwrap.model import Impressions
from condition_vectors import encode as encode_value
from decision_oracle import Asked, Oracle, assigned, drawn, murmur, number, share_now, unit_of
from decision_oracle import Slot as NaiveSlot

FOLDER = Path(__file__).parent.parent / "spec" / "vectors"
NOW = 1_764_676_800_000  # 2025-12-02T12:00:00Z, a Tuesday
HOUR = 3_600_000

# --- hashing ---

PUBLISHED = [
    (0, "", 0), (1, "", 0x514E28B7), (0xFFFFFFFF, "", 0x81F16F39),
    (0, "test", 0xBA6BD213), (0x9747B28C, "test", 0x704B81DC),
    (0, "Hello, world!", 0xC0363E43), (0x9747B28C, "Hello, world!", 0x24884CBA),
    (0, "The quick brown fox jumps over the lazy dog", 0x2E4FF723),
    (0x9747B28C, "The quick brown fox jumps over the lazy dog", 0x2FA826CD),
    (0x9747B28C, "aaaa", 0x5A97808A), (0x9747B28C, "aaa", 0x283E0130), (0x9747B28C, "aa", 0x5D211726),
    (0x9747B28C, "a", 0x7FA09EA6), (0x9747B28C, "abcd", 0xF0478627), (0x9747B28C, "abc", 0xC84A62DD),
    (0x9747B28C, "ab", 0x74875592), (0x9747B28C, "Hello, world!", 0x24884CBA), (0x9747B28C, "ππππππππ", 0xD58063C1),
]  # fmt: skip
TEXTS = (
    "a", "é", "ß", "ﬁ", "中文", "日本語", "👍", "👩‍👩‍👧", "𝒳", "\U0010ffff", "\x00", "a\x00b", " ", "\t\n", "-0", "0",
    "ü" * 33, "x" * 255, "ab" * 500, "e\u0301", "\ufeffa", "قلب", "\u202eabc", "a:b:c", "::", "%3A", "Ω≈ç√∫",
    "\ud7ff\ue000",
)  # fmt: skip
SALTS = ("s", "sa", "sal", "salt", "thank_regulars", "größe", "layer:checkout", "alone:𝒳", "")
UNITS = ("u", "3f2b6c1e-9d4a-4c55-8a10-0c9b2f6d7e81", "cart-1", "é", "👍", "42", "")


def hashing() -> Iterator[Document]:
    for seed, text, value in PUBLISHED:
        yield {"group": "published", "seed": seed, "text": text, "expected": value}
    for text in TEXTS:
        yield {"group": "text", "seed": 0, "text": text, "expected": murmur(text.encode())}
    for salt in SALTS:
        for unit in UNITS:
            expected = number(salt, unit)
            yield {"group": "salt", "salt": salt, "unit": unit, "prefix": prefix(f"{salt}:"), "expected": expected}


# --- assignment ---


def declared(name: str, **more: Any) -> Document:
    return {"salt": name, "arms": {"main": 5000, "control": 5000}, "traffic": [[0, 10_000]], **more}


EXPERIMENT = "7"
RAMP = [[0, 100], [NOW - 48 * HOUR, 500], [NOW, 1000], [NOW + 48 * HOUR, 2500], [NOW + 96 * HOUR, 5000]]
TRIALS: dict[str, Document] = {
    "halves": declared("halves"),
    "thirds": declared("thirds", arms={"a": 3334, "b": 3333, "control": 3333}),
    "grown": declared("thirds", arms={"a": 6000, "b": 3333, "control": 667}),
    "no_control": declared("bandit", arms={"a": 2500, "b": 2500, "c": 5000}),
    "tenth": declared("tenth", traffic=[[0, 1000]]),
    "ramp": declared("ramp", traffic=RAMP),
    "nobody": declared("nobody", traffic=[[0, 0]]),
    "held": declared("held", holdout=2000),
    "first_part": declared("one", traffic=[[0, 3000]], slot={"salt": "layer:checkout", "start": 0}),
    "second_part": declared("two", traffic=[[0, 5000]], slot={"salt": "layer:checkout", "start": 3000}),
    "last_part": declared("three", traffic=[[0, 1000], [NOW, 2000]], slot={"salt": "layer:checkout", "start": 8000}),
    "loose": declared("loose", sticky=False),
    "named": declared("größe-𝒳", arms={"main": 9000, "control": 1000}),
    "tiny": declared("tiny", arms={"a": 1, "b": 9998, "control": 1}),
}


def trial_of(plain: Document) -> Trial:
    """A declared trial, compiled."""
    names = (*[arm for arm in plain["arms"] if arm != "control"], *[arm for arm in plain["arms"] if arm == "control"])
    arms = (*names, "holdout")
    shares = tuple(plain["arms"].get(arm, 0) for arm in arms)
    control = arms.index("control") if "control" in arms else -1
    slot = plain.get("slot")
    return trial(
        Trial(
            salt=plain["salt"],
            units=("anonymous",),
            arms=arms,
            chances=tuple(Assigned(at, share) for at, share in enumerate(shares)),
            layout=lay_out(shares, control),
            traffic=tuple((since, share) for since, share in plain["traffic"]),
            holdout=plain.get("holdout", 0),
            slot=Slot(**slot) if slot else None,
            sticky=plain.get("sticky", True),
        )
    )


def compiled_trial(plain: Document) -> Document:
    """The same as a bundle holds it; arms seen are kept as their places in the alphabet."""
    made = trial_of(plain)
    numbers = {arm: at for at, arm in enumerate(sorted(made.arms))}
    found: Document = json.loads(encode(bundle_trial(made, int(EXPERIMENT), numbers)))
    return found


def naive_assigned(plain: Document, unit: str, now: int, seen: Mapping[str, str]) -> Document | None:
    arms = {arm: share for arm, share in plain["arms"].items() if arm != "control"}
    arms |= {arm: share for arm, share in plain["arms"].items() if arm == "control"}
    experiment = ExperimentDecl(
        arms=arms,
        traffic=tuple((since, share) for since, share in plain["traffic"]),
        holdout=plain.get("holdout", 0),
        sticky=plain.get("sticky", True),
    )
    slot = NaiveSlot(**plain["slot"]) if "slot" in plain else None
    found = assigned(experiment, plain["salt"], slot, unit, now, seen)
    return None if found is None else {"arm": [*arms, "holdout"].index(found[0]), "propensity": found[1]}


def assignment() -> Iterator[Document]:
    for name, plain in TRIALS.items():
        for at in range(9):
            yield _assign(name, f"shopper-{at}")
        yield _assign(name, "👍-é")
        yield _assign(name, "")
        arms = [*plain["arms"], "holdout", "gone"]
        for arm in arms[-3:]:
            yield _assign(name, "shopper-1", seen={plain["salt"]: arm})
    for _, now in (*((0, since) for since, _ in RAMP[1:]), (0, 0)):
        for moment in (now - 1, now, now + 1):
            yield {"group": "traffic", "traffic": RAMP, "now": moment, "expected": share_now(_steps(RAMP), moment)}
            yield _assign("ramp", "shopper-3", now=moment)
    yield from _units()
    for weights in ({"a": 1, "b": 1}, {"a": 1, "b": 3, "c": 6}, {"a": 1000, "b": 1}, {"only": 5}, {}, {"é": 2, "𝒳": 2}):
        for unit in ("shopper-1", "shopper-2", "é", "42"):
            tickets = [
                {"name": name, "weight": weight, "hash": prefix(f"top:{name}:")} for name, weight in weights.items()
            ]
            order = drawn("top", unit, weights)
            yield {
                "group": "draw",
                "salt": "top",
                "weights": weights,
                "drawn": tickets,
                "unit": unit,
                "expected": order,
            }


def _steps(traffic: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((since, share) for since, share in traffic)


def _assign(name: str, unit: str, now: int = NOW, seen: Mapping[str, str] = {}) -> Document:
    kept = sorted([*TRIALS[name]["arms"], "holdout"])
    (arm,) = seen.values() or ("",)
    return {
        "group": "assign",
        "trial": name,
        "unit": unit,
        "now": now,
        "seen": dict(seen),
        "kept": {EXPERIMENT: kept.index(arm) if arm in kept else len(kept)} if seen else {},
        "expected": naive_assigned(TRIALS[name], unit, now, seen),
    }


def _units() -> Iterator[Document]:
    chain = ("anonymous", "cart", "location.country", "cart.count")
    for units, values in (
        ({"anonymous": "a", "cart": "c"}, {}), ({"cart": "c"}, {}), ({"anonymous": "", "cart": "c"}, {}), ({}, {}),
        ({"user": "u"}, {}), ({}, {"location.country": "DE"}), ({}, {"location.country": ""}),
        ({}, {"location.country": True}), ({}, {"cart.count": 3}), ({}, {"cart.count": 0}), ({}, {"cart.count": -3}),
        ({}, {"cart.count": 2**60}), ({}, {"cart.count": True}), ({}, {"location.country": None, "cart.count": 1}),
        ({}, {"cart": "by value"}), ({"toString": "x"}, {}), ({}, {"location.country": frozenset({"DE"})}),
    ):  # fmt: skip
        encoded = {name: encode_value(value) for name, value in values.items()}
        expected = unit_of(chain, units, {name: value for name, value in values.items() if not isinstance(value, bool)})
        yield {"group": "unit", "chain": chain, "units": units, "values": encoded, "expected": expected}
    for odd in ({"n": "2.5"}, {"n": "3.0"}, {"n": "NaN"}, {"sum": 3, "count": 1}):
        yield {"group": "unit", "chain": ("cart.count",), "units": {}, "values": {"cart.count": odd}, "expected": ""}


# --- decisions ---

FEATURES = {"orders": Type.NUMBER}
CONDITIONS = (
    'device.type == "mobile"', 'device.type != "mobile"', "cart.total > 50", "cart.total <= 19.99 || has(orders)",
    '"small" in segments', '!("small" in segments)', '"regular" in segments', '!("regular" in segments)',
    '"mixed" in segments', '!("mixed" in segments)', '"deep" in segments', '!("deep" in segments) && cart.count < 9',
    "orders >= 3", "orders < 3 || cart.count >= 2", "!(orders < 3) && cart.total > 1", "!has(orders)",
    'language in ["de", "fr"]', 'page.path.startsWith("/checkout")', 'app.version >= version("2.10")',
    '"shoes" in cart.categories', "time.hour >= 9 && time.hour < 18 && !time.is_weekend", "consent.advertising",
    'now >= timestamp("2025-12-01T00:00:00Z") && now < timestamp("2025-12-24T00:00:00Z")', '"vip" in segments',
    '!("vip" in segments && cart.total > 10) || device.type == "tablet"', "size(cart.products) > 1",
)  # fmt: skip
SEGMENTS = {
    "small": "cart.total < 50",
    "regular": "orders >= 3",
    "mixed": 'device.type == "mobile" && orders > 3',
    "deep": '"mixed" in segments || !("small" in segments)',
    "vip": {"members": "pushed"},
}
MESSAGES = (
    {"text": {"en": "Hello", "de": "Hallo"}}, {"text": {"en": "Hi", "de-AT": "Servus"}, "tone": "casual"},
    {"text": {"fr": "Bonjour"}}, {"text": {"en": "{cart.total} in your cart"}},
)  # fmt: skip
OPTIONS = (
    {"first": ["wallet", "paypal"]}, {"last": ["invoice", "wallet"], "highlight": ["card"]},
    {"hide": ["card", "invoice", "wallet"], "badge": {"paypal": {"en": "Quick", "de": "Schnell"}}},
    {"first": ["card"], "rename": {"card": {"fr": "Carte"}}},
)  # fmt: skip
LAYOUTS = ({"tokens": {"density": "compact"}}, {"tokens": {"density": "wide"}})
SCHEDULES = (
    {"from": "2025-12-01T08:00", "until": "2025-12-24T18:00"}, {"days": ["tue", "sat"], "hours": "9-18"},
    {"from": "2025-11-28T00:00", "until": "2025-12-10T12:30", "zone": "shopper"}, {"hours": "22-6", "zone": "shopper"},
)  # fmt: skip
METHODS = ("card", "wallet", "paypal", "invoice")


class Sampler:
    """Playbooks and what they are asked, from one seed."""

    def __init__(self, seed: int, *, schedules: bool = False) -> None:
        """``schedules`` too: the naive oracle leaves them out."""
        self.random = random.Random(seed)
        self.schedules = schedules

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def playbook(self) -> Document:
        pick = self.random.choice
        found: Document = {"shop": {"currency": "EUR", "locale": "en"}}
        if self.chance(0.25):
            found["shop"]["one_experiment_per_shopper"] = True
        if self.chance(0.4):
            found["holdout"] = {"share": pick(["20%", "50%"]), "unit": pick([["anonymous", "cart"], ["cart"]])}
        if self.chance(0.6):
            found["attention"] = {
                "banner": {"session": 2, "day": 3, "cool_down": "7d"},
                **({"all": {"shopper": 9}} if self.chance(0.5) else {}),
            }
        found["layers"] = {"checkout": {"unit": pick([["anonymous", "cart"], ["cart", "location.country"]])}}
        found["features"] = {"orders": {"count": "Order Completed"}}
        found["segments"] = SEGMENTS
        found["placements"] = {
            "top": {"component": "message", "format": "banner", "attention": {"session": 3}},
            "methods": {"component": "options", "of": "payment_methods"},
            "page": {"component": "layout", **({"purpose": "advertising"} if self.chance(0.2) else {})},
        }
        count = self.random.randint(4, 9)
        shares = {"left": 100}
        found["experiences"] = {f"experience_{at}": self.experience(shares) for at in range(count)}
        return found

    def experience(self, left: dict[str, int]) -> Document:
        pick = self.random.choice
        placement, contents = pick((("top", MESSAGES), ("top", MESSAGES), ("methods", OPTIONS), ("page", LAYOUTS)))
        found: Document = {"in": placement}
        if self.chance(0.8):
            found["when"] = pick(CONDITIONS)
        if self.chance(0.4):
            found["priority"] = pick((5, 10))
        if self.chance(0.4):
            found["weight"] = pick((1, 2, 5))
        if self.chance(0.4):
            found["attention"] = pick(({"session": 1}, {"shopper": 2, "cool_down": "1d"}, {"day": 2}))
        if self.schedules and self.chance(0.4):
            found["schedule"] = pick(SCHEDULES)
        several = self.chance(0.3)
        if several:
            found["variations"] = {"formal": pick(contents), "casual": pick(contents)}
        else:
            found["show"] = pick(contents)
        if several or self.chance(0.4):
            found["experiment"] = self.experiment(left, several=several)
        return found

    def experiment(self, left: dict[str, int], *, several: bool) -> Document:
        pick = self.random.choice
        found: Document
        if several:
            found = {
                "arms": pick(({"formal": "50%", "casual": "50%"}, {"control": "40%", "formal": "25%", "casual": "35%"}))
            }
        else:
            found = {"control": pick(("50%", "20%"))}
        share = pick((10, 30, 60))
        if self.chance(0.3) and share <= left["left"]:
            left["left"] -= share
            found |= {"layer": "checkout", "traffic": f"{share}%"}
        elif self.chance(0.4):
            found |= {"traffic": {"start": "20%", "2025-12-01": "60%", "2025-12-20": "90%"}}
        if "layer" not in found and self.chance(0.5):
            found["unit"] = pick((["cart"], ["user", "anonymous"], ["traits.account", "anonymous", "cart"]))
        if self.chance(0.3):
            found["holdout"] = "15%"
        if self.chance(0.5):
            found["control_sees"] = "next"
        if self.chance(0.2):
            found["sticky"] = False
        return found

    def asked(self, names: Names) -> Asked:
        pick = self.random.choice
        now = NOW + self.random.randint(-400, 600) * HOUR
        units = {"anonymous": f"a-{self.random.randint(0, 10**6)}", "cart": f"c-{self.random.randint(0, 10**6)}"}
        if self.chance(0.5):
            del units[pick(("anonymous", "cart"))]
        if self.chance(0.1):
            units = {}
        offered = self.random.sample(METHODS, self.random.randint(0, 4))
        return Asked(
            now=now,
            values=self.values(now),
            mask=pick((1, 1, 1, 1 | 16, 63)),
            placements=pick((None, None, None, ("top", "methods"), ("page", "nowhere"))),
            locale=pick(("", "en", "de-AT", "de", "fr-CA", "pt")),
            payment_methods=tuple(offered),
            saved_method=pick((None, "card", "wallet")),
            units=units,
            arms=self.seen(names),
            impressions=self.impressions(names, now),
            session_start=now - HOUR,
            forced=self.forced(names),
            quiet=self.chance(0.03),
            off=self.off(names),
        )

    def values(self, now: int) -> dict[str, object]:
        pick = self.random.choice
        hour, weekday = self.random.randint(0, 23), self.random.randint(1, 7)
        possible = {
            "device.type": pick(("mobile", "desktop", "tablet")),
            "cart.total": pick((0, 1999, 2000, 5000, 5001, 12_000)),
            "cart.count": pick((0, 1, 2, 9)),
            "cart.products": frozenset(self.random.sample(("p1", "p2", "p3"), self.random.randint(0, 3))),
            "cart.categories": frozenset({pick(("shoes", "bags"))}),
            "language": pick(("de", "en", "fr")),
            "page.path": pick(("/", "/checkout/pay")),
            "app.version": pick(("2.9", "2.10.0", "3.0-beta")),
            "location.country": pick(("DE", "AT", "FR")),
        }
        found = {name: value for name, value in possible.items() if self.chance(0.8)}
        clock: dict[str, object] = {"time.hour": hour, "time.weekday": weekday, "time.is_weekend": weekday > 5}
        if self.schedules:
            local = f"2025{pick((11, 12))}{self.random.randint(1, 28):02}{hour:02}30"
            clock |= {"time.local": int(local), "shop_time.hour": hour, "shop_time.weekday": weekday}
        return {"now": now, **clock, "consent.advertising": self.chance(0.5), **found}

    def seen(self, names: Names) -> dict[str, str]:
        return {salt: self.random.choice(sorted(names.kept[salt])) for salt in names.experiments if self.chance(0.15)}

    def forced(self, names: Names) -> dict[str, str]:
        held = [each["number"] for placement in names.bundle["placements"] for each in placement["experiences"]]
        if not held or self.chance(0.9):
            return {}
        name = names.experiences[self.random.choice(held)]
        return {name: self.random.choice([*names.arms[name], "nothing"])}

    def impressions(self, names: Names, now: int) -> dict[str, Impressions]:
        found = {}
        for key in names.keys:
            if self.chance(0.4):
                ages = sorted(
                    (self.random.choice((0, HOUR // 2, HOUR, 5 * HOUR, 24 * HOUR, 90 * HOUR)) for _ in range(3)),
                    reverse=True,
                )
                dismissed = now - self.random.choice((HOUR, 200 * HOUR)) if self.chance(0.2) else 0
                times = [now - age for age in ages][self.random.randint(0, 3) :]
                found[key] = Impressions(times, len(times) + self.random.choice((0, 0, 7)), dismissed)
        return found

    def off(self, names: Names) -> Document:
        if self.chance(0.85):
            return {}
        held = [each["number"] for placement in names.bundle["placements"] for each in placement["experiences"]]
        choices: list[Document] = [{"placements": ["top"]}, {"everything": True}]
        choices += [{"experiences": [names.experiences[self.random.choice(held)]]}] * 3 if held else []
        return self.random.choice(choices)


PLAYBOOKS = 40
QUESTIONS = 6


def decisions() -> tuple[dict[str, Document], list[Document]]:
    playbooks: dict[str, Document] = {}
    cases: list[Document] = []
    for seed in range(PLAYBOOKS):
        sampler = Sampler(seed)
        source = sampler.playbook()
        names = Names(compiled(source))
        playbooks[f"sampled_{seed}"] = {"source": source, "bundle": names.bundle}
        cases += [decision_case("sampled", f"sampled_{seed}", names, sampler.asked(names)) for _ in range(QUESTIONS)]
    for name, source, asked in written():
        if name not in playbooks:
            playbooks[name] = {"source": source, "bundle": Names(compiled(source)).bundle}
        names = Names(compiled(source))
        cases.append(decision_case("written", name, names, asked))
    return playbooks, cases


def decision_case(group: str, playbook: str, names: Names, asked: Asked) -> Document:
    oracle = Oracle(names.playbook.declarations, asked, FEATURES)
    answers = oracle.decide()
    encoded = {name: encode_value(value) for name, value in asked.values.items()}
    case: Document = {"group": group, "playbook": playbook, "inputs": names.inputs(asked, encoded)}
    if asked.off:
        case["off"] = names.off(asked.off)
    expected = {name: names.answer(answer) for name, answer in answers.items()}
    exposures = [names.exposure(*exposure) for exposure in oracle.exposures]
    return {**case, "expected": {"placements": expected, "exposures": exposures}}


def written() -> Iterator[tuple[str, Document, Asked]]:
    """What chance seldom finds."""
    mobile = {"now": NOW, "device.type": "mobile"}
    closed = {"shop": {"request_level": False}, **_shop(a={"show": MESSAGES[0]})}
    yield "no_level", closed, Asked(NOW, mobile)
    yield "no_level", closed, Asked(NOW, mobile, off={"everything": True})
    one = _shop(a={"show": MESSAGES[0]})
    for locale in ("de_at", "DE-at", "x", "", "de-Latn-AT", "en-GB", "d" * 40):
        yield "one", one, Asked(NOW, {}, locale=locale)
    yield "one", one, Asked(NOW, {}, quiet=True)
    yield "one", one, Asked(NOW, {}, placements=("__proto__", "top", "constructor"))
    yield "one", one, Asked(NOW, {}, off={"placements": ["top"]})
    credit = _shop(a={"in": "plan", "show": {"count": 3}}, placements={"plan": {"component": "installments"}})
    yield "credit", credit, Asked(NOW, {"cart.total": 9000})
    yield "credit", credit, Asked(NOW, {"cart.total": 9000}, mask=1 | 32)
    server = _shop(first={"when": "cart.total > 50", "priority": 1, "show": MESSAGES[3]}, rest={"show": MESSAGES[0]})
    for total in (5001, 5000):
        yield "server_first", server, Asked(NOW, {"cart.total": total})
    behind = _shop(
        first={"show": MESSAGES[0], "experiment": {"control": "99.99%", "control_sees": "next"}},
        rest={"show": MESSAGES[3]},
    )
    for at in range(4):
        yield "server_behind", behind, Asked(NOW, {}, units={"anonymous": f"a-{at}"})
    drawing = _shop(
        **{name: {"weight": weight, "show": MESSAGES[0]} for name, weight in (("a", 1), ("b", 2), ("c", 7))}
    )
    for at in range(12):
        yield "drawing", drawing, Asked(NOW, {}, units={"cart": f"c-{at}"})
    yield "drawing", drawing, Asked(NOW, {})
    alone = _shop(
        settings={"one_experiment_per_shopper": True},
        a={"show": MESSAGES[0], "experiment": {"control": "50%"}},
        b={"show": MESSAGES[1], "experiment": {"control": "50%", "control_sees": "next"}},
        c={"show": MESSAGES[0]},
    )
    for at in range(8):
        yield "alone", alone, Asked(NOW, {}, units={"anonymous": f"a-{at}"})
    yield "alone", alone, Asked(NOW, {}, units={"anonymous": "a-1"}, arms={"b": "control"})
    yield "alone", alone, Asked(NOW, {}, units={"anonymous": "a-1"}, arms={"a": "main"})
    yield "alone", alone, Asked(NOW, {})
    hidden = _shop(
        a={"when": "orders >= 3", "show": MESSAGES[0]},
        b={"when": '"office" in request.networks', "show": MESSAGES[0]},
        c={"when": '!("office" in request.networks) || !(orders >= 3)', "show": MESSAGES[0]},
        d={"when": "has(traits.city) || !has(traits.city)", "show": MESSAGES[1]},
        settings={"networks": {"office": ["192.0.2.0/24"]}},
    )
    yield "hidden", hidden, Asked(NOW, mobile)


def _shop(*, settings: Mapping[str, Any] = {}, placements: Mapping[str, Any] = {}, **experiences: Any) -> Document:
    return {
        "shop": {"currency": "EUR", "locale": "en", **settings},
        "features": {"orders": {"count": "Order Completed"}},
        "placements": placements or {"top": {"component": "message"}},
        "experiences": {name: {"in": "top", **each} for name, each in experiences.items()},
    }


# --- files ---

ABOUT = {
    "hashing": "MurmurHash3 x86_32 of UTF-8. A case has a seed and a text, or a salt and a unit: then it is the hash, "
    "seed 0, of 'salt:unit', and 'prefix' is the state after 'salt:' as bundles hold it: the state after whole blocks "
    "of four bytes, the bytes so far, and the bytes left, the first one lowest.",
    "assignment": "Who is in which arm. 'trials' are experiments as declared (shares of 10,000) and as bundles hold "
    "them. A case of the group 'assign' has a trial, a unit, a time, and the arm seen before: by name in 'seen', by "
    "number in 'kept'; expected is the arm's place and its share, or null. 'unit': the first known of a chain. "
    "'traffic': the share of a ramp. 'draw': names in the order that a unit draws them, by weight.",
    "decisions": "Decisions at data level 'request'. 'playbooks' have their source and their bundle (signature aside). "
    "A case has inputs as sdk/lib/evaluate.js takes them, perhaps what is switched 'off' instead of the bundle's own, "
    "and the expected answers and exposures. Where the reason is 'server' only the server answers, and its exposures "
    "are not among those expected. Experiences and arms are numbers, counted as written; control follows the "
    "variations, the holdout comes last.",
}


def documents() -> dict[str, Document]:
    """Every file's content."""
    playbooks, cases = decisions()
    trials = {name: {"declared": plain, "compiled": compiled_trial(plain)} for name, plain in TRIALS.items()}
    return {
        "hashing": {"about": ABOUT["hashing"], "version": 1, "cases": list(hashing())},
        "assignment": {"about": ABOUT["assignment"], "version": 1, "trials": trials, "cases": list(assignment())},
        "decisions": {"about": ABOUT["decisions"], "version": 1, "playbooks": playbooks, "cases": cases},
    }


def text(document: Document) -> str:
    """One case, playbook or trial a line, so that a change shows as one line."""
    parts = []
    for key, value in document.items():
        name = json.dumps(key)
        if isinstance(value, list):
            lines = ",\n".join("    " + json.dumps(each, ensure_ascii=False) for each in value)
            parts.append(f"  {name}: [\n{lines}\n  ]")
        elif isinstance(value, dict):
            pairs = (f"    {json.dumps(each)}: {json.dumps(one, ensure_ascii=False)}" for each, one in value.items())
            lines = ",\n".join(pairs)
            parts.append(f"  {name}: {{\n{lines}\n  }}")
        else:
            parts.append(f"  {name}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    for stem, document in documents().items():
        (FOLDER / f"{stem}.json").write_text(text(document), encoding="utf-8")
