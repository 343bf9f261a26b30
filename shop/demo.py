#!/usr/bin/env python3
"""The demo: a real shop and the engine on loopback, ready in seconds. `make demo` runs it.

    python shop/demo.py              start both, say what to try, stop them on Ctrl-C
    python shop/demo.py --traffic    the same, with simulated shoppers beside you
    python shop/demo.py --history    the same, with an invented past and what was learned from it
    python shop/demo.py --smoke      free ports, temporary data: walk one order, say what held, exit 0 or 1

Everything is kept in .demo/ (remove it to start over). Standard library only, so that it starts quickly.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import history
import smoke
from cashwrap_client import Client
from programs import Child, Trouble, free_port, run, until

SHOP = Path(__file__).resolve().parent
ROOT = SHOP.parent
CASHWRAP = ROOT / ".venv" / "bin" / "cashwrap"
PYTHON = ROOT / ".venv" / "bin" / "python"
SHOP_PYTHON = ROOT / ".venv-shop" / "bin" / "python"
FEED = SHOP / "seed" / "feed.json"
FIRST_START = 180  # seconds; fifteen on a usual machine


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="walk one order on temporary data and exit")
    parser.add_argument("--traffic", action="store_true", help="send simulated shoppers too")
    parser.add_argument("--history", action="store_true", help="invent eight weeks of orders and learn from them")
    parser.add_argument("--rate", type=float, default=5.0, help="simulated shoppers a second (default 5)")
    parser.add_argument("--seed", type=int, help="repeat the simulated shoppers of an earlier run")
    parser.add_argument("--port", type=int, default=8000, help="the shop's port; the next free one if it is taken")
    parser.add_argument("--engine-port", type=int, default=8377, help="the engine's port; likewise")
    parser.add_argument("--data", type=Path, default=ROOT / ".demo", metavar="DIR", help="where everything is kept")
    return parser.parse_args()


# --- what is said ---


def style(code, text):
    fancy = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[{code}m{text}\033[0m" if fancy else text


def bold(text):
    return style("1", text)


def dim(text):
    return style("2", text)


def say(text=""):
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read us is gone; the shop goes on until it is stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def engine_says(name, line):
    """Pass on what needs attention, and that an edited playbook is live."""
    level, _, message = line.partition(" ")
    if level == "INFO" and message.startswith("playbook "):
        say(f"  {style('32', 'playbook')} {message.removeprefix('playbook ')}")
    elif level != "INFO":
        shop_says(name, line)


def shop_says(name, line):
    if line and not line.startswith("seeded "):
        say(f"  {style('33', name)} {line}")


def traffic_says(_, line):
    say(f"  {dim(line)}")


# --- what is prepared, once ---


def check_environments():
    for path in (CASHWRAP, SHOP_PYTHON):
        if not path.exists():
            raise Trouble(f"{path.relative_to(ROOT)} is missing: run 'make setup' first, or just 'make demo'")


def lock(data):
    """Hold the demo's folder: two demos in one folder would be one too many."""
    data.mkdir(parents=True, exist_ok=True)
    held = (data / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Trouble(
            f"a demo is running in {shown(data)} already: stop it, or start another one with --data DIR"
        ) from None
    return held


def playbook(data):
    """Write the starter playbook on the first start; after that it is the reader's."""
    folder = data / "playbook"
    if not folder.exists():
        run("writing the playbook", [CASHWRAP, "init", folder])
    return folder


def import_catalogue(data):
    """Import the shop's product feed when it is new or has changed."""
    digest, marker = hashlib.sha256(FEED.read_bytes()).hexdigest(), data / "catalogue.sha256"
    if not marker.exists() or marker.read_text() != digest:
        run("importing the catalogue", [CASHWRAP, "catalog", "import", FEED, "--data", data / "engine"])
        marker.write_text(digest)


def keys(data, port):
    """Return (publishable, secret): made once, kept readable for this user only.

    A publishable key works on the pages of its origins alone, so another port needs another key.
    """
    path = data / "keys.json"
    kept = json.loads(path.read_text()) if path.exists() else {"secret": "", "publishable": {}}
    origins = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    create = [CASHWRAP, "keys", "create"]
    where = ["--data", data / "engine"]
    if not kept["secret"]:
        kept["secret"] = last_line(run("making a key", [*create, "secret", *where]))
    if origins[0] not in kept["publishable"]:
        allowed = [part for origin in origins for part in ("--origin", origin)]
        kept["publishable"][origins[0]] = last_line(run("making a key", [*create, "publishable", *allowed, *where]))
    path.touch(0o600)
    path.write_text(json.dumps(kept, indent=2))
    return kept["publishable"][origins[0]], kept["secret"]


def staff(data):
    """Return the password of the console's people: made once, kept readable for this user only. See `staff.py`."""
    path = data / "staff.json"
    if not path.exists():
        made = last_line(run("making people", [PYTHON, SHOP / "staff.py", "--data", data / "engine"]))
        path.touch(0o600)
        path.write_text(json.dumps({"password": made}))
    return json.loads(path.read_text())["password"]


def last_line(text):
    return text.strip().splitlines()[-1]


def forget_half(data):
    """Start over where only one of the two halves is left: keys without their store open nothing."""
    if not (data / "engine").exists() or not (data / "shop" / "seeded").exists():
        for name in ("engine", "shop", history.FOLDER):
            shutil.rmtree(data / name, ignore_errors=True)
        for name in ("keys.json", "staff.json", "catalogue.sha256"):
            (data / name).unlink(missing_ok=True)
        return True
    return False


# --- what runs ---


class Demo:
    """Both programs, their addresses and keys.

    A patient shop waits for decisions as long as it takes: for a walk that is about what is shown, on a busy machine.
    With a past it has learned from orders that nobody made: see `history.py`.
    """

    def __init__(self, data, port, engine_port, *, patient=False, past=False):
        self.data, self.patient, self.past = data, patient, past
        self.port, self.engine_port = free_port(port), engine_port and free_port(engine_port)
        self.engine, self.shop = "", ""
        self.publishable, self.secret, self.password = "", "", ""
        self.playbook = data / "playbook"

    def start(self):
        """Prepare what is missing, then start the engine and the shop. Raises `Trouble`."""
        first = forget_half(self.data)
        env = {"PYTHONWARNINGS": "ignore::SyntaxWarning"}
        if self.patient:
            env |= {"CASHWRAP_DEADLINE_MS": "5000", "CASHWRAP_TIMEOUT_MS": "10000", "CASHWRAP_BROWSER_MS": "10000"}
        shop = [SHOP_PYTHON, SHOP / "run.py", "--data", self.data / "shop"]
        setting_up = Child("shop", [*shop, "--setup-only"], tell=shop_says, env=env) if first else None
        playbook(self.data)
        import_catalogue(self.data)
        if self.past:
            history.load(CASHWRAP, self.data, FEED, say)
        self.publishable, self.secret = keys(self.data, self.port)
        self.password = staff(self.data)
        serve = [CASHWRAP, "serve", "--playbook", self.playbook, "--data", self.data / "engine"]
        engine = Child("engine", [*serve, "--port", self.engine_port], tell=engine_says)
        if setting_up:
            setting_up.wait_done()
        self.engine = engine.wait_ready(30)
        command = [*shop, "--port", self.port, "--engine", self.engine]
        served = Child("shop", command, tell=shop_says, env=env | self.keys())
        self.shop = served.wait_ready(FIRST_START)
        until("the engine to know the regular", self.knows_the_regular, 30)

    def knows_the_regular(self):
        """Whether Jonas's earlier orders arrived: the shop's own outbox sends them, as any shop's would."""
        return self.client().shopper(userId=smoke.JONAS).get("segments", {}).get("high_value") is True

    def client(self):
        return Client(self.engine, self.secret, timeout_ms=5000)

    def keys(self):
        """Return the keys as the environment of a program: other users of the machine cannot read that."""
        return {"CASHWRAP_PUBLISHABLE_KEY": self.publishable, "CASHWRAP_SECRET_KEY": self.secret}

    def traffic(self, rate, seed):
        """Start the simulated shoppers."""
        command = [PYTHON, SHOP / "traffic.py", "--engine", self.engine, "--rate", rate, "--seed", seed]
        Child("traffic", command, tell=traffic_says, env=self.keys())


def summary(demo, seconds):
    """Say where everything is and what to try."""
    step = [
        'Fill the basket and open "Why this?" (at the right edge): nothing is stored, this page alone decides.',
        "Accept in the banner, then look at five coffee things: the next basket shows more of what you like.",
        "Switch your browser to a phone's view and go to the payment page: the wallets come first.",
        "Log in as Jonas (top of each page): invoice comes first, and his basket has an offer. Use it, and buy.",
        "Accept, try two made-up codes in the basket and check out: a test begins, and the drawer names your arm.",
        'Switch "personalization" off in the drawer: the next page is the shop\'s own default again.',
        "Open the console as marek, the marketer: see it live, find a shopper, change a text without YAML, publish it.",
    ]
    if demo.past:
        step.append("Put the pour-over dripper into the basket: what others ordered with it was learned, and says so.")
    say()
    say(f"  {bold('Kestrel & Clay is open')}  {dim(f'after {seconds:.1f} s')}")
    say()
    say(f"  {'Shop':<10}{style('4', demo.shop + '/')}")
    say(f"  {'Engine':<10}{demo.engine}/readyz  {dim('also /metrics and /openapi.json')}")
    say(f"  {'Console':<10}{style('4', demo.engine + '/console')}  {dim('for the people who run the shop')}")
    say(f"  {'':<10}sign in as {bold('olga')} (owner), {bold('marek')} (marketer), {bold('anna')} (analyst),")
    say(f"  {'':<10}{bold('paul')} (privacy) or {bold('vera')} (looks only) with {bold(demo.password)}")
    say(f"  {'Logins':<10}one click, at the top of each page: {bold('Mia')} is new, {bold('Jonas')} buys regularly")
    say(f"  {'Coupon':<10}WELCOME10")
    say(f"  {'Playbook':<10}{shown(demo.playbook)}  {dim('edit it: live within a second, mistakes are told here')}")
    if demo.past:
        say(f"  {'Models':<10}.venv/bin/cashwrap models show basket --data {shown(demo.data / 'engine')}")
    say()
    say(f"  {bold('Try this')}")
    for number, text in enumerate(step, 1):
        say(f"  {number}  {text}")
    say()
    say(f"  {dim(f'Ctrl-C stops both. Start over: remove {shown(demo.data)}. Warnings appear below.')}")
    say()


def shown(path):
    """Return a path as the reader would type it."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def watch():
    """Wait until somebody stops the demo. Raises `Trouble` when a program ends by itself."""
    while True:
        for child in Child.started:
            if not child.alive and child.name in ("engine", "shop", "traffic") and child.process.returncode:
                raise Trouble(f"the {child.name} stopped by itself:\n{child.last_words()}")
        time.sleep(0.3)


def run_demo(options):
    with lock(options.data):
        began = time.monotonic()
        demo = Demo(options.data, options.port, options.engine_port, past=options.history)
        if not (options.data / "shop" / "seeded").exists():
            say("  First start: setting up a shop with 60 products. This takes about twenty seconds, once.")
        demo.start()
        summary(demo, time.monotonic() - began)
        for name, wanted, got in (("shop", options.port, demo.port), ("engine", options.engine_port, demo.engine_port)):
            if wanted and wanted != got:
                say(f"  {style('33', name)} port {wanted} is taken by another program, so it is at {got}")
        if options.traffic:
            demo.traffic(options.rate, options.seed if options.seed is not None else int(time.time()))
        watch()


def run_smoke(*, past):
    with tempfile.TemporaryDirectory(prefix="cashwrap-demo-") as folder:
        began = time.monotonic()
        demo = Demo(Path(folder), 0, 0, patient=True, past=past)
        try:
            demo.start()
            say(f"  a shop and the engine are ready after {time.monotonic() - began:.1f} s")
            smoke.walk(demo, say)
        finally:
            Child.stop_all()
        say(f"  {bold('All of it held.')} {time.monotonic() - began:.1f} s")


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(*_):
    """Stop, once: a second signal (make passes them on too) must not leave a child behind."""
    for number in STOPS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN: one that has just come in would be reported as a mistake
    raise KeyboardInterrupt


def main():
    options = arguments()
    for number in STOPS:
        signal.signal(number, interrupt)
    try:
        check_environments()
        if options.smoke:
            run_smoke(past=options.history)
        else:
            run_demo(options)
    except KeyboardInterrupt:
        say()
        say("  Stopping.")
        return 0 if not options.smoke else 130
    except (Trouble, smoke.Failed) as trouble:
        say(f"  {style('31', 'The demo stops:')} {trouble}")
        return 1
    finally:
        Child.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
