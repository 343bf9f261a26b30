"""``make results``: train on public data sets with the product's own command, and write ``docs/reference/results.md``.

Each set is one ``cashwrap train --mapping ... --file ... --json``; nothing here knows what is in a file. What came is
kept in ``bench/results.json``: a set that is absent on this machine keeps what was measured before, and says so.
Names of runs as arguments measure those only. The sets are where ``CASHWRAP_DATA`` points to.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CASHWRAP_DATA", ROOT.parent / "shared" / "data"))
CASHWRAP = Path(sys.executable).with_name("cashwrap")
KEPT = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "reference" / "results.md"
PICTURE = ROOT / "docs" / "images" / "reliability.png"
NEW = "new items only"
MINUS = "\u2212"

Bar = float | Literal["clear", "nothing", ""]
"""At least so much (at most, where less is better); a difference clear of 0; or honestly nothing to gain."""


class Claim(NamedTuple):
    """One figure of a run, and what it has to come to. ``known`` is what others' code came to by the same protocol."""

    metric: str
    bar: Bar = ""
    known: str = ""
    part: str = ""


class Run(NamedTuple):
    """One training: its mapping, the file in the data folder, and what is claimed of it."""

    mapping: str
    file: str
    title: str
    protocol: str
    claims: tuple[Claim, ...]


RUNS = (
    Run(
        "online_retail",
        "online_retail/lines_2010-12_2011-08.csv.gz",
        "Online Retail, what else is in the basket",
        "Invoices before 2011-08-01 to learn from, those of August with 2 to 60 products to test on. Each product of "
        "each of them is hidden once, the others are the question.",
        (Claim("recall@20", "clear", "item-kNN .3845, popular .0830 (one product a basket hidden)"),
         Claim("mrr@20", "", "item-kNN .1534, popular .0178")),
    ),
    Run(
        "diginetica",
        "diginetica_sessions/sessions.csv.gz",
        "Diginetica, the next product",
        "The last 7 days to test on: every prefix of every session asks for the item that follows, repeats allowed. No "
        "clock, only the order.",
        (Claim("recall@20", 0.530, "V-SKNN .5150, item-kNN of the last five .4198"),
         Claim("mrr@20", 0.190, "V-SKNN .1808, item-kNN of the last five .1234"),
         Claim("recall@20", part=NEW), Claim("mrr@20", part=NEW)),
    ),
    Run(
        "yoochoose",
        "yoochoose_clicks_100k/clicks.csv.gz",
        "YooChoose, the next product",
        "First days of April 2014, split by time: every prefix of every later session asks for the item that follows, "
        "repeats allowed.",
        (Claim("recall@20", 0.690, "V-SKNN .6779, item-kNN of the last .4035"),
         Claim("mrr@20", 0.360, "V-SKNN .3524, item-kNN of the last .1851"),
         Claim("recall@20", part=NEW), Claim("mrr@20", part=NEW)),
    ),
    Run(
        "retailrocket",
        "retailrocket_events/events.csv.gz",
        "RetailRocket, the next product viewed",
        "Five days to learn from, the sessions of 15 September 2015 to test on: every prefix asks for the next item "
        "viewed, repeats allowed.",
        (Claim("recall@20", 0.57, "item-kNN of the last five .4683, seen before .3960, V-SKNN .3951"),
         Claim("mrr@20", 0.36, "seen before .3339, V-SKNN .2432"),
         Claim("recall@20", part=NEW), Claim("mrr@20", part=NEW)),
    ),
    Run(
        "intention",
        "online_shoppers_intention/sessions.csv.gz",
        "Online shoppers, a purchase in the session, without PageValues",
        "Three times five folds, each session scored by models that never saw it. PageValues is left out: it is worked "
        "out from purchases and partly gives the answer away.",
        (Claim("auc", 0.785, "LightGBM .7879, logistic .7488"), Claim("average_precision"), Claim("log_loss"),
         Claim("calibration_error")),
    ),
    Run(
        "intention_by_month",
        "online_shoppers_intention/sessions.csv.gz",
        "Online shoppers, later months, with PageValues",
        "February to October to learn from, November and December to test on.",
        (Claim("auc", 0.829, "LightGBM .829"), Claim("average_precision"), Claim("log_loss"),
         Claim("calibration_error")),
    ),
    Run(
        "coupons",
        "dmc2015_coupons/orders_train.psv.gz",
        "Data Mining Cup 2015, is this coupon redeemed",
        "The first 80 % of the orders by time to learn from, the last 20 % to test on; three coupons an order.",
        (Claim("auc", 0.746, "LightGBM with target rates .746"), Claim("average_precision", "", "LightGBM .439"),
         Claim("log_loss", "", "LightGBM .442"), Claim("calibration_error")),
    ),
    Run(
        "hillstrom_womens",
        "hillstrom_email/hillstrom_70.csv.gz",
        "Hillstrom, whom the women's e-mail brings to the shop",
        "A randomised experiment; five folds, each one scored by a model that never saw them. Visits in 14 days.",
        (Claim("qini", "clear", "cross-fitted LightGBM .0034"), Claim("uplift@30", "", "cross-fitted LightGBM .0643"),
         Claim("ate", "", ".0421")),
    ),
    Run(
        "hillstrom_mens",
        "hillstrom_email/hillstrom_70.csv.gz",
        "Hillstrom, whom the men's e-mail brings to the shop",
        "The same for the men's e-mail, where there is next to nothing to gain by choosing: an honest system says so.",
        (Claim("qini", "nothing", "cross-fitted LightGBM −.0003"),
         Claim("uplift@30", "", "cross-fitted LightGBM .0670"), Claim("ate", "", ".0736")),
    ),
)  # fmt: skip

LABELS = {
    "recall@20": "Recall@20",
    "mrr@20": "MRR@20",
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "qini": "Qini",
    "uplift@30": "uplift@30",
    "ate": "effect on all",
}
LOWER = {"log_loss", "brier", "calibration_error"}
Found = dict[str, Any]


def main(names: list[str]) -> None:
    kept: dict[str, Found] = msgspec.json.decode(KEPT.read_bytes()) if KEPT.exists() else {}
    absent = frozenset(run.mapping for run in RUNS if not (DATA / run.file).exists())
    for run in RUNS:
        if run.mapping in absent:
            print(f"{run.mapping}: {run.file} is not here; left as it was", flush=True)
        elif not names or run.mapping in names:
            print(f"{run.mapping}: training", flush=True)
            kept[run.mapping] = measured(run)
            KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
            PAGE.write_text(page(kept, absent))
    PAGE.write_text(page(kept, absent))
    print(f"wrote {PAGE.relative_to(ROOT)}")


def measured(run: Run) -> Found:
    """One training in a process of its own, as a shop would run it, and what of it the page tells."""
    with tempfile.TemporaryDirectory() as folder:
        mapping = ROOT / "mappings" / "learn" / f"{run.mapping}.yaml"
        pictures = Path(folder) / "pictures"
        command = [
            str(Path(sys.executable).with_name("cashwrap")),
            "train",
            "--mapping",
            str(mapping),
            "--file",
            str(DATA / run.file),
        ]
        command += ["--data", str(Path(folder) / "none"), "--png", str(pictures), "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        if run.mapping == "intention":
            shutil.copy(pictures / "reliability.png", PICTURE)
    training = msgspec.json.decode(done.stdout)["models"][0]
    return told(run, training)


def told(run: Run, training: Found) -> Found:
    """What the page needs of a training."""
    evaluation = training["evaluation"]
    return {
        "claims": [claimed(claim, evaluation) for claim in run.claims],
        "tested": evaluation["count"],
        "learned": training["lineage"]["parts"].get("train", training["lineage"]["rows"]),
        "passed": training["gate"]["passed"],
        "reasons": [why for _, why in training["gate"]["reasons"]],
        "notes": evaluation["notes"],
        "sources": evaluation.get("sources", {}),
        "settings": training["settings"],
        "trials": len(training["trials"]),
        "seconds": training["seconds"],
        "megabytes": training["peak_bytes"] / 2**20,
    }


def claimed(claim: Claim, evaluation: Found) -> Found:
    """One figure with every baseline's difference, in the whole or a part."""
    whole = evaluation
    if claim.part:
        whole = next((part for part in evaluation["slices"] if part["name"] == claim.part), {})
    versus = [each for each in whole.get("versus", ()) if each["metric"] == claim.metric]
    return {"figure": whole.get("figures", {}).get(claim.metric), "count": whole.get("count"), "versus": versus}


# --- the page ---


def page(kept: dict[str, Found], absent: frozenset[str] = frozenset()) -> str:
    """The whole page from what is kept; ``absent`` are sets that could not be measured again."""
    sections = (line for run in RUNS for line in _section(run, kept, absent=run.mapping in absent))
    return "\n".join([HEAD, *_summary(kept), *sections]) + "\n"


HEAD = """# Results on public data

What [`cashwrap train`](cli.md) comes to on data that others have measured, with nothing but a mapping from
`mappings/learn/`. Settings are found by the product's own search on the part to learn from; the part to test on is
looked at once. Brackets hold 95 % intervals: the bootstrap draws whole sessions, orders or customers; those of
differences are paired, on the same questions. *Known* is what other code came to by the same protocol, *against* the
strongest baseline of the same run; [what each figure means](learning.md).

`make results` measures this page again (`CASHWRAP_DATA=folder` says where the sets are, `SETS="coupons intention"`
names some only); the data are not ours to pass on. Seconds and megabytes are of the whole training, search included, on
a shared machine with two cores.
"""
SUMMARY = ["| set | metric | cashwrap | against | difference | known | bar | |", f"|{' --- |' * 8}"]
DETAIL = ["| metric | cashwrap | against | theirs | difference |", f"|{' --- |' * 5}"]


def _summary(kept: dict[str, Found]) -> list[str]:
    lines = [*SUMMARY]
    for run in RUNS:
        found = kept.get(run.mapping)
        for claim, got in zip(run.claims, found["claims"] if found else (), strict=False):
            if not claim.part or claim.bar != "":
                lines.append(f"| {run.title.split(',')[0]}{_which(run)} | {_row(claim, got)} |")
    return lines


def _which(run: Run) -> str:
    return {"intention_by_month": ", later months", "hillstrom_womens": ", women's", "hillstrom_mens": ", men's"}.get(
        run.mapping, ""
    )


def _row(claim: Claim, got: Found) -> str:
    rival = _strongest(claim, got)
    label = f"{LABELS[claim.metric]}{f', {claim.part}' if claim.part else ''}"
    cells = [
        label,
        _figure(got["figure"]),
        f"{rival['baseline']} {_said(rival['theirs'])}" if rival else "",
        _difference(rival) if rival else "",
        claim.known,
        _bar(claim),
        _verdict(claim, got, rival),
    ]
    return " | ".join(cells)


def _strongest(claim: Claim, got: Found) -> Found | None:
    """The baseline that leaves the least."""
    sign = -1 if claim.metric in LOWER else 1
    return min(got["versus"], key=lambda each: sign * each["difference"], default=None)


def _bar(claim: Claim) -> str:
    if isinstance(claim.bar, float):
        return f"{'<=' if claim.metric in LOWER else '>='} {_said(claim.bar).rstrip('0')}"
    return {"clear": "clear of 0", "nothing": "says that nothing is gained", "": ""}[claim.bar]


def _verdict(claim: Claim, got: Found, rival: Found | None) -> str:
    figure = got["figure"]
    if figure is None:
        return "not measured"
    if isinstance(claim.bar, float):
        return "met" if figure["value"] >= claim.bar else "not met"
    if claim.bar == "clear":
        return "met" if rival and rival["low"] > 0 else "not met"
    if claim.bar == "nothing":
        return "met" if figure["low"] <= 0 else "not met"
    return ""


def _section(run: Run, kept: dict[str, Found], *, absent: bool) -> list[str]:
    found = kept.get(run.mapping)
    lines = ["", f"## {run.title}", "", run.protocol, ""]
    if found is None:
        return [*lines, "Not measured yet."]
    if absent:
        lines += ["*The data are not on the machine that made this page: the figures are of an earlier run.*", ""]
    lines += DETAIL
    for claim, got in zip(run.claims, found["claims"], strict=True):
        lines += _rows(claim, got)
    published = _published(run)
    lines += ["", *(f"- {note}" for note in found["notes"])]
    if published:
        lines.append(f"- Published: {'; '.join(published)}.")
    if found["sources"]:
        filled = ", ".join(f"{name} {part:.1%}" for name, part in found["sources"].items())
        lines.append(f"- Who filled the places: {filled}.")
    gate = "lets it through" if found["passed"] else f"refuses it: {'; '.join(found['reasons'])}"
    lines.append(f"- The gate {gate}.")
    lines.append(f"- Chosen of {found['trials']}: {_settings(found['settings'])}.")
    cost = f"{found['seconds']:.0f} s and {found['megabytes']:,.0f} MB at most"
    lines.append(f"- {found['learned']:,} {_units(run)} to learn from; {cost}.")
    return lines


def _units(run: Run) -> str:
    named = {"online_retail": "orders", "diginetica": "sessions", "yoochoose": "sessions", "retailrocket": "sessions"}
    return named.get(run.mapping, "rows")


def _rows(claim: Claim, got: Found) -> list[str]:
    label = f"{LABELS[claim.metric]}, {claim.part} ({got['count'] or 0:,})" if claim.part else LABELS[claim.metric]
    figure = _figure(got["figure"])
    if not got["versus"]:
        return [f"| {label} | {figure} | | | |"]
    return [
        f"| {label} | {figure} | {each['baseline']} | {_said(each['theirs'])} | {_difference(each)} |"
        for each in got["versus"]
    ]


def _difference(versus: Found) -> str:
    return f"{_signed(versus['difference'])} [{_signed(versus['low'])}, {_signed(versus['high'])}]"


def _published(run: Run) -> list[str]:
    mapping = msgspec.yaml.decode((ROOT / "mappings" / "learn" / f"{run.mapping}.yaml").read_bytes())
    return list(mapping.get("published", ()))


def _settings(chosen: Found) -> str:
    return ", ".join(_told(chosen, "")) or "nothing to choose"


def _told(chosen: Found, inside: str) -> Iterator[str]:
    for name, value in chosen.items():
        if isinstance(value, dict):
            yield from _told(value, f"{inside}{name}.")
        else:
            yield f"{inside}{name} {value:.4g}" if isinstance(value, float) else f"{inside}{name} {value}"


def _figure(figure: Found | None) -> str:
    if figure is None:
        return ""
    if figure.get("low") is None:
        return _said(figure["value"])
    return f"{_said(figure['value'])} [{_said(figure['low'])}, {_said(figure['high'])}]"


def _said(value: float) -> str:
    return f"{value:.4f}".replace("-", MINUS).replace("0.", ".", 1)


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + _said(value)


if __name__ == "__main__":
    main(sys.argv[1:])
