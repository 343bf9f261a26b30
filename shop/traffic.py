#!/usr/bin/env python3
"""Simulated shoppers beside you: what `make demo TRAFFIC=1` sends, over HTTP, at a gentle rate.

    CASHWRAP_PUBLISHABLE_KEY=cwp_... CASHWRAP_SECRET_KEY=cws_... \
        python shop/traffic.py --engine http://127.0.0.1:8377 --rate 5 --seed 7

Who they are and how a decision changes what they do is written down in `cashwrap.testing.shoppers`; the same seed
sends the same shoppers. One line every ten seconds. Now and then a wrong event goes along.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import sys
import time
import urllib.parse
from pathlib import Path

from cashwrap.testing.shoppers import PERSONAS, Item, World, simulate

FEED = Path(__file__).resolve().parent / "seed" / "feed.json"
REPORT_SECONDS = 10
MISTAKE_EVERY, FIRST_MISTAKE = 1500, 100  # steps
UNSEEN_EVERY = 25  # orders of which no browser tells, for shoppers close pages


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True, metavar="URL", help="where cashwrap listens")
    parser.add_argument("--rate", type=float, default=5.0, help="shoppers a second")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same shoppers")
    parser.add_argument("--shoppers", type=int, default=sys.maxsize, help="stop after so many")
    return parser.parse_args()


def catalogue():
    """Return the shop's products, so that what is simulated is also what is sold."""
    rows = json.loads(FEED.read_text(encoding="utf-8"))
    return tuple(
        Item(row["id"], int(row["price"].replace(".", "")), row["category"]) for row in rows if not row["sensitive"]
    )


class Engine:
    """One kept connection; what fails is counted, and the next request tries again."""

    def __init__(self, url, publishable, secret):
        self.host = urllib.parse.urlsplit(url).netloc
        self.keys = {False: publishable, True: secret}
        self.connection = None
        self.trouble = ""

    def post(self, step):
        """Return the decoded answer, or None; `trouble` says why."""
        key = self.keys[step.trusted]
        headers = {**step.headers, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        for _ in ("kept", "fresh"):
            self.connection = self.connection or http.client.HTTPConnection(self.host, timeout=5)
            try:
                self.connection.request("POST", step.path, json.dumps(step.body), headers)
                response = self.connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                self.connection, self.trouble = None, str(error) or type(error).__name__
                continue
            if response.status == 200 and b'"errors"' not in text:
                return json.loads(text)
            self.trouble = f"{step.path} answered {response.status}: {text[:200].decode('utf-8', 'replace')}"
            return None
        return None

    def aside(self, body, headers=(), *, trusted=False):
        """Send what the simulation knows nothing of; whatever is answered is for the console's readers."""
        headers = {**dict(headers), "Authorization": f"Bearer {self.keys[trusted]}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/batch", json.dumps(body), headers)
            connection.getresponse().read()
        connection.close()


class Report:
    """Counts since the last line, and since the start."""

    def __init__(self):
        self.lately, self.ever = collections.Counter(), collections.Counter()
        self.reached, self.bought = collections.Counter(), collections.Counter()
        self.due = time.monotonic() + REPORT_SECONDS
        self.known = -1

    def count(self, step, *, failed):
        who = step.shopper
        new, self.known = who.index > self.known, max(self.known, who.index)
        paying = step.kind == "decide" and "payment_methods" in step.body["placements"]
        self.reached[who.persona.name] += paying
        self.bought[who.persona.name] += step.kind == "order"
        for counter in (self.lately, self.ever):
            counter["shoppers"] += new
            counter["events"] += step.events
            counter["decisions"] += step.kind == "decide"
            counter["late"] += bool(step.answer and step.answer.get("degraded"))
            counter["orders"] += step.kind == "order"
            counter["failed"] += failed

    def line(self):
        """Say what was sent since the last line."""
        names = ("shoppers", "events", "decisions", "orders")
        parts = [f"{self.lately[name]} {name}" for name in names]
        parts += [f"{self.lately[name]} {name}" for name in ("late", "failed") if self.lately[name]]
        text = f"traffic  {', '.join(parts)} (all: {self.ever['shoppers']} shoppers, {self.ever['orders']} orders)"
        self.lately.clear()
        self.due += REPORT_SECONDS
        return text

    def conversions(self):
        rows = [each.name for each in PERSONAS if self.reached[each.name]]
        return ", ".join(f"{name} {self.bought[name]}/{self.reached[name]}" for name in rows)


def mistaken(at):
    """Return what a shop's programs get wrong: a price as words, a name nobody knows, a field nobody declared."""
    order = {"order_id": f"W{at}", "subtotal": "twelve", "products": [{"product_id": "KC-C01", "quantity": 1}]}
    viewed = {"product_id": "KC-C01", "colour_name": "sage", "warehouse": "north"}
    wrong = [
        {"type": "track", "event": "Order Completed", "properties": order},
        {"type": "track", "event": "Basket Sparkled", "properties": {"sparkle": True}},
        {"type": "track", "event": "Product Viewed", "properties": viewed},
        {"type": "trak", "event": "Product Viewed", "properties": {"product_id": "KC-C02"}},
    ]
    who = {"anonymousId": f"mistaken-{at}", "context": {"consent": {"analytics": "granted"}}}
    return {"batch": [{**each, **who, "messageId": f"mistake-{at}-{place}"} for place, each in enumerate(wrong)]}


def as_in_life(engine, steps):
    """Pass the steps on, and send beside them what real shops do: browsers tell of orders too, and some events are
    wrong, so that the console has something to show."""
    orders = 0
    for number, step in enumerate(steps):
        if number % MISTAKE_EVERY == FIRST_MISTAKE:
            engine.aside(mistaken(time.time_ns() // 1_000_000), trusted=True)
        yield step
        if step.kind == "order":
            orders += 1
            if orders % UNSEEN_EVERY:
                seen = [{**event, "messageId": f"{event['messageId']}-page"} for event in step.body["batch"]]
                engine.aside({"batch": seen}, step.headers)


def play(engine, steps, report, say):
    """Send each step when its time has come; late is better than a rush, so nothing is sent faster to catch up."""
    began, behind = time.monotonic(), 0.0
    for step in steps:
        wait = began + behind + step.at / 1000 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:
            behind -= wait
        engine.trouble = ""
        step.answer = engine.post(step)
        report.count(step, failed=step.answer is None)
        if engine.trouble:
            say(f"traffic  {engine.trouble}")
        if time.monotonic() > report.due:
            say(report.line())


def main():
    options = arguments()
    keys = [os.environ.get(f"CASHWRAP_{kind}_KEY", "") for kind in ("PUBLISHABLE", "SECRET")]
    if not all(keys):
        sys.exit("set CASHWRAP_PUBLISHABLE_KEY and CASHWRAP_SECRET_KEY")
    if options.rate <= 0:
        sys.exit("--rate is the number of shoppers a second: more than 0")
    world = World(items=catalogue(), start=time.time_ns() // 1_000_000, gap=max(1, round(1000 / options.rate)))
    report = Report()
    print(f"traffic  {options.rate:g} simulated shoppers a second; again: --seed {options.seed}", flush=True)
    steps = simulate(options.seed, options.shoppers, world)
    engine = Engine(options.engine, *keys)
    play(engine, as_in_life(engine, steps), report, lambda text: print(text, flush=True))
    print(f"{report.line()}\ntraffic  bought of those who reached the payment page: {report.conversions()}", flush=True)


if __name__ == "__main__":
    main()
