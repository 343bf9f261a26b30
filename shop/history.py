"""An invented past for the demo shop, and what is learned from it: `make demo HISTORY=1`.

Eight weeks of visits and orders, made up from the bundles below with a fixed seed, become a file of rows as an older
shop might hand over. What follows is what any shop does: `cashwrap import`, `train` and `models promote`. Nobody in it
exists. Standard library only.
"""

import csv
import itertools
import json
import random
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from programs import Child, run

SEED = 20_110
ORDERS = 3_000
WINDOW_SHOPPERS = 1_000  # visits that end without an order
SEEN = 0.5  # the share of orders whose visit is known
DAYS = 56
RETURNING = 0.35  # the share of orders by somebody who has ordered before
NOISE = 0.12  # how likely something that nothing explains is in an order
MAPPING = Path(__file__).resolve().parent / "seed" / "history.yaml"
COLUMNS = ("at", "customer", "what", "order", "product", "category", "price", "pieces")
MODELS = ("basket", "next_item")
FOLDER = "history"
INDENT = " " * 10
WHY = "the demo cannot wait for a shadow run"

BUNDLES = (  # how often, what somebody comes for, and what else with which chance
    (16, "C03", {"C06": 0.7, "C07": 0.5, "C04": 0.3, "C02": 0.25, "C01": 0.2, "C05": 0.15}),
    (8, "C01", {"C07": 0.7, "C05": 0.4, "C03": 0.3, "C06": 0.25}),
    (7, "C09", {"C10": 0.7, "C12": 0.4, "C08": 0.3}),
    (4, "C11", {"C07": 0.6, "C08": 0.2}),
    (9, "C07", {"C06": 0.6, "C10": 0.15}),
    (12, "D04", {"D05": 0.7, "D02": 0.6, "D11": 0.15}),
    (7, "D02", {"D11": 0.5, "D05": 0.3, "D08": 0.2, "D12": 0.2}),
    (6, "D03", {"D10": 0.4, "D09": 0.4, "D07": 0.35, "D01": 0.3, "D06": 0.15}),
    (6, "O01", {"O04": 0.5, "O05": 0.5, "O06": 0.4}),
    (6, "O07", {"O09": 0.6, "O08": 0.6, "O12": 0.2}),
    (5, "O02", {"O03": 0.6, "O10": 0.5, "O11": 0.3}),
    (5, "K01", {"K03": 0.6, "K02": 0.5}),
    (4, "K04", {"K12": 0.5, "K10": 0.5, "H06": 0.2, "K05": 0.15}),
    (3, "K08", {"K07": 0.6, "K09": 0.3, "K06": 0.15}),
    (3, "H01", {"H08": 0.6, "H02": 0.5, "K11": 0.25, "H07": 0.1}),
    (2, "H03", {"H04": 0.6, "H05": 0.3}),
)
USED_UP = {"C07": 0.6, "C06": 0.5, "C10": 0.5, "D05": 0.4, "D02": 0.3, "H08": 0.3}  # what is bought again, once had


def load(cashwrap, data, feed, say):
    """Invent, import, train and make `basket` live; once for a data folder. Raises `Trouble`."""
    past, done = data / FOLDER / "past.csv", data / FOLDER / "learned"
    if done.exists():
        return
    began = time.monotonic()
    where, declared = ("--data", data / "engine"), ("--playbook", data / "playbook")

    def begin(what):
        say(f"  {time.monotonic() - began:4.1f} s  {what}")

    begin("an invented past, to learn from: this takes about half a minute, once")
    if not past.exists():  # a start that was broken off goes on with the same rows: those imported are known then
        write(past, json.loads(feed.read_text(encoding="utf-8")), datetime.now(UTC))
    begin(f"importing {ORDERS:,} orders of {DAYS // 7} weeks and the visits around them")
    run("importing the past", [cashwrap, "import", past, "--mapping", MAPPING, *declared, *where])
    begin("adding facts")
    run("adding facts", [cashwrap, "facts", *where])
    begin(f"training {' and '.join(MODELS)}")
    started = [Training([cashwrap, "train", name, *declared, *where]) for name in MODELS]
    for training in started:
        say(textwrap.fill(training.verdict(), 100, initial_indent=INDENT, subsequent_indent=INDENT))
    begin("making basket live: by force, as no shadow has run and no experiment has proven it")
    run("making basket live", [cashwrap, "models", "promote", "basket@shadow", "--force", WHY, *where])
    begin("learned")
    done.touch()


class Training:
    """One model's training, with a core to itself."""

    def __init__(self, command):
        self.name, self.said = command[2], []
        env = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        self.child = Child(f"training {self.name}", command, tell=lambda _, line: self.said.append(line), env=env)

    def verdict(self):
        """Wait for the end, and return what it says of itself: the paragraph under its name. Raises `Trouble`."""
        self.child.wait_done()
        under = itertools.dropwhile(lambda line: not line.startswith(f"{self.name} "), self.said)
        paragraph = list(itertools.takewhile(bool, under))[1:]
        return f"{self.name}: {' '.join(line.strip() for line in paragraph)}"


# --- the past: the same one every time, but for the day it ends on ---


def write(path, feed, now):
    """Write a file of all that happened before `now`, the oldest first."""
    products = {row["id"]: (row["category"], row["price"]) for row in feed if not row["sensitive"]}
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for at, customer, what, order, product in sorted(invented(random.Random(SEED), sorted(products), now)):  # noqa: S311
            out.writerow((at.isoformat(timespec="seconds"), customer, what, order, product, *products[product], 1))


def invented(chance, products, now):
    """Yield (time, customer, what, order, product) for each thing done."""
    owned = {}
    moments = sorted(now - timedelta(days=DAYS * chance.random(), hours=1) for _ in range(ORDERS + WINDOW_SHOPPERS))
    buys = chance.sample([True] * ORDERS + [False] * WINDOW_SHOPPERS, len(moments))
    for number, (at, buying) in enumerate(zip(moments, buys, strict=True)):
        again = owned and chance.random() < RETURNING
        customer = chance.choice(list(owned)) if again else f"past-{number}"
        wanted = basket(chance, products, owned.get(customer, ()))
        yield from visit(chance, products, (at, customer), wanted, order=f"past-order-{number}" if buying else "")
        if buying:
            owned.setdefault(customer, set()).update(wanted)


def basket(chance, products, owned):
    """Return the products that somebody wants this time: of a bundle, what was used up, and now and then anything."""
    _, first, others = chance.choices(BUNDLES, [weight for weight, *_ in BUNDLES])[0]
    wanted = [first, *(each for each, likely in others.items() if chance.random() < likely)]
    wanted = [f"KC-{each}" for each in wanted]
    used = [f"KC-{each}" for each, likely in USED_UP.items() if f"KC-{each}" in owned and chance.random() < likely]
    noise = [chance.choice(products)] if chance.random() < NOISE else []
    return list(dict.fromkeys([*used, *wanted, *noise]))


def visit(chance, products, who, wanted, *, order):
    """Yield what is done in a visit: looking around, and the order, if there is one."""
    at, customer = who
    seen = chance.random() < SEEN
    for product in wanted if seen or not order else ():
        if chance.random() < 0.15:  # beside the way
            at += timedelta(seconds=chance.randint(5, 60))
            yield at, customer, "view", "", chance.choice(products)
        at += timedelta(seconds=chance.randint(10, 90))
        yield at, customer, "view", "", product
    at += timedelta(seconds=120)
    for product in wanted if order else ():
        yield at, customer, "order", order, product
