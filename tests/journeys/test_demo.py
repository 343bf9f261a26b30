"""`make demo` as a stranger meets it: it starts, says what to try, follows an edited playbook, and stops cleanly.

What the shop itself does in a browser is in `test_shop_journey.py`; here is the program around it.
"""

import contextlib
import csv
import http.client
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from shop_server import PYTHON as SHOP_PYTHON
from shop_server import ROOT
from test_shop_journey import Spine, buy, cookies, offered, put_in_basket, to_delivery

from cashwrap.errors import Locked
from cashwrap.library import open_world
from cashwrap.testing.shoppers import World, simulate
from conftest import DESKTOP

pytestmark = pytest.mark.skipif(not SHOP_PYTHON.exists(), reason="the shop's environment is missing: run make setup")
LEARNED = "^(Often bought together|Others went on to this)$"  # by either of the model's sources that know orders
PATIENT = {"CASHWRAP_TIMEOUT_MS": "10000", "CASHWRAP_DEADLINE_MS": "5000", "CASHWRAP_BROWSER_MS": "10000"}


class Running:
    """The demo as a program: what it says, line by line."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, ROOT / "shop/demo.py", *arguments]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **PATIENT},
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, words: str) -> str:
        """The first line with these words."""

        def said() -> str:
            return next((line for line in self.lines if words in line), "")

        with self._changed:
            assert self._changed.wait_for(said, 100), self.text
        return said()

    def end(self, number: signal.Signals | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(40)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def children(self) -> list[int]:
        """Their process ids, as Linux lists them."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(each) for task in tasks.iterdir() for each in (task / "children").read_text().split()]


def answers(port: int, path: str) -> int:
    """The status of a page, or 0 where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Started(SimpleNamespace):
    running: Running
    data: Path
    port: int
    engine_port: int

    def spine(self) -> Spine:
        base, engine = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.engine_port}"
        return Spine(base, engine, self.keys()["secret"], self.data / "engine")

    def keys(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((self.data / "keys.json").read_text())
        return kept

    def start(self, *more: str) -> None:
        where = ("--data", self.data, "--port", self.port, "--engine-port", self.engine_port)
        self.running = Running(*where, *more)
        self.running.until("Ctrl-C stops both")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One folder for the module: started here, stopped and started again by its last tests."""
    started = Started(data=tmp_path_factory.mktemp("demo") / "kept", port=free(), engine_port=free())
    started.start()
    yield started
    if started.running.process.poll() is None:
        started.running.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    """The demo's own modules, which live beside the shop and not in the package."""
    sys.path.insert(0, str(ROOT / "shop"))
    yield {
        name: importlib.import_module(name)
        for name in ("cashwrap_client", "demo", "history", "programs", "smoke", "traffic")
    }
    sys.path.remove(str(ROOT / "shop"))


# --- it starts ---


def test_both_answer_and_the_reader_knows_where(demo: Started) -> None:
    assert answers(demo.port, "/") == answers(demo.engine_port, "/readyz") == 200
    for words in (
        f"http://127.0.0.1:{demo.port}/",
        f":{demo.engine_port}",
        "playbook",
        "Jonas",
        "Mia",
        "Start over",
    ):
        assert words in demo.running.text
    assert [line.split()[0] for line in demo.running.lines if line[2:3] in tuple("12345")] == list("12345")


def test_keys_are_for_this_user_s_eyes(demo: Started) -> None:
    assert (demo.data / "keys.json").stat().st_mode & 0o777 == 0o600
    assert f"http://127.0.0.1:{demo.port}" in demo.keys()["publishable"]
    assert "cws_" not in demo.running.text


def test_a_second_demo_in_the_same_folder_is_told_so(demo: Started) -> None:
    second = Running("--data", demo.data)
    assert second.end() == 1
    assert "a demo is running in" in second.text
    assert "--data DIR" in second.text
    assert answers(demo.port, "/") == 200


def test_the_next_port_is_taken_when_one_is_taken(parts: dict[str, ModuleType]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert wanted < parts["programs"].free_port(wanted) < wanted + 100


# --- the walk that CI trusts turns red: planted bugs ---


def a_visit(demo: Started, parts: dict[str, ModuleType]) -> Any:
    spine, keys = demo.spine(), demo.keys()
    client = parts["cashwrap_client"].Client(spine.engine, keys["secret"], timeout_ms=10_000)
    publishable = next(iter(keys["publishable"].values()))
    fields = {"shop": spine.shop, "engine": spine.engine, "publishable": publishable, "secret": keys["secret"]}
    return parts["smoke"].Visit(SimpleNamespace(**fields, client=lambda: client))


def kill(demo: Started, *, off: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", demo.engine_port)
    headers = {"Authorization": f"Bearer {demo.keys()['secret']}"}
    connection.request("PUT", "/v1/kill", json.dumps({"scope": "all", "off": off}), headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_decisions_that_are_switched_off(demo: Started, parts: dict[str, ModuleType]) -> None:
    visit = a_visit(demo, parts)
    visit.first_page()
    kill(demo, off=True)
    try:
        with pytest.raises(parts["smoke"].Failed, match="the basket shows None"):
            visit.basket_before_consent()
    finally:
        kill(demo, off=False)
    assert "free" in visit.basket_before_consent()


def test_something_stored_before_consent(demo: Started, parts: dict[str, ModuleType]) -> None:
    visit = a_visit(demo, parts)
    visit.first_page()
    visit.add("KC-C07")
    assert "nothing is stored" in visit.nothing_is_stored()
    visit.device = "0123456789abcdef0123456789abcdef"
    visit.send({"type": "consent", "choices": {"analytics": "granted"}, "scope": "device", "source": "planted"})
    with pytest.raises(parts["smoke"].Failed, match="stored before consent"):
        visit.nothing_is_stored()


def test_a_script_on_the_payment_page(parts: dict[str, ModuleType]) -> None:
    assert parts["smoke"].OURS.search('<script src="/cw/sdk/0.1.0/cashwrap.min.js"></script>')
    assert not parts["smoke"].OURS.search('<meta name="cashwrap-page" content="payment">')


# --- it shows ---


@pytest.mark.browser
def test_from_a_first_visit_to_an_order_number(demo: Started, chromium: Browser) -> None:
    spine = demo.spine()
    with contextlib.closing(chromium.new_context(user_agent=DESKTOP, locale="en")) as context:
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(spine.shop)
        assert not {"cw_id", "cw_consent"} & cookies(context)
        page.click("[data-consent-accept]")
        expect(page.locator(".hero-kicker")).to_contain_text("Welcome.")
        put_in_basket(page, spine.shop, "KC-C01")
        to_delivery(page)
        page.click(".step button.primary")
        assert offered(page, "payment_methods")[:2] == ["card", "paynow"]
        assert buy(page).isdigit()


@pytest.mark.browser
def test_an_edited_playbook_is_live_and_a_broken_one_is_told(demo: Started, chromium: Browser) -> None:
    file = demo.data / "playbook" / "experiences.yaml"
    text = file.read_text()
    file.write_text(text.replace("Welcome. Standard", "Hello there. Standard"))
    demo.running.until("is live")
    with contextlib.closing(chromium.new_context(user_agent=DESKTOP, locale="en")) as context:
        page = context.new_page()
        page.goto(demo.spine().shop)
        page.click("[data-consent-accept]")
        expect(page.locator(".hero-kicker")).to_contain_text("Hello there.")
    file.write_text(file.read_text() + "\n  not_yet: [")
    assert "experiences.yaml" in demo.running.until("not live")
    assert answers(demo.engine_port, "/readyz") == 200
    file.write_text(text)


# --- simulated shoppers ---


def test_simulated_shoppers_are_understood(demo: Started, parts: dict[str, ModuleType]) -> None:
    keys = demo.keys()
    publishable = next(iter(keys["publishable"].values()))
    traffic = parts["traffic"]
    engine = traffic.Engine(demo.spine().engine, publishable, keys["secret"])
    report, said = traffic.Report(), list[str]()
    world = World(items=traffic.catalogue(), gap=0, pace=0, start=_server_time(demo))
    traffic.play(engine, simulate(77, 60, world), report, said.append)
    engine.connection.close()
    assert [line for line in said if "answered" in line] == []
    assert report.ever["failed"] == 0
    assert report.ever["shoppers"] == 60
    assert report.ever["orders"] == sum(report.bought.values()) > 0
    assert "60 shoppers" in report.line()
    assert "new_mobile" in report.conversions()


def _server_time(demo: Started) -> int:
    """When the engine made its key file: near enough to now, and no clock is asked."""
    return (demo.data / "keys.json").stat().st_mtime_ns // 1_000_000


# --- it stops; in this order, for these stop and start the module's demo ---


def test_ctrl_c_stops_both(demo: Started) -> None:
    assert len(demo.running.children()) == 2
    demo.running.process.send_signal(signal.SIGINT)
    assert demo.running.end(signal.SIGTERM) == 0  # make passes signals on: one more must not leave a child behind
    assert "Stopping." in demo.running.text
    assert "Traceback" not in demo.running.text
    assert answers(demo.port, "/") == answers(demo.engine_port, "/readyz") == 0


def test_the_second_start_keeps_everything_and_can_send_traffic(demo: Started) -> None:
    keys, edited = demo.keys(), demo.data / "playbook" / "shop.yaml"
    edited.write_text(edited.read_text() + "\n# mine\n")
    demo.start("--traffic", "--seed", "5", "--rate", "2")
    demo.running.until("2 simulated shoppers a second; again: --seed 5")
    assert "First start" not in demo.running.text
    assert demo.keys() == keys
    assert edited.read_text().endswith("# mine\n")
    assert len(demo.running.children()) == 3


def test_a_child_that_dies_is_told_and_the_others_stop(demo: Started) -> None:
    engine = min(demo.running.children())  # the first that was started
    os.kill(engine, signal.SIGKILL)
    assert demo.running.end() == 1
    assert "the engine stopped by itself" in demo.running.text
    assert answers(demo.port, "/") == 0


def let_go(folder: Path) -> None:
    """Wait until nobody has the data folder: what a killed engine had begun ends a moment after it."""
    for _ in range(200):
        try:
            with open_world(folder):
                return
        except Locked:
            time.sleep(0.1)
    raise AssertionError(f"{folder} is still held")


@pytest.mark.slow
def test_a_past_is_learned_from_and_the_basket_shows_it(
    demo: Started, parts: dict[str, ModuleType], chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, said = parts["history"], list[str]()
    monkeypatch.setattr(history, "ORDERS", 600)
    monkeypatch.setattr(history, "WINDOW_SHOPPERS", 0)
    monkeypatch.setattr(history, "MODELS", ("basket",))
    let_go(demo.data / "engine")
    history.load(parts["demo"].CASHWRAP, demo.data, parts["demo"].FEED, said.append)
    assert "better beyond doubt" in " ".join(" ".join(said).split())
    demo.start("--history")  # learned once: it starts as quickly as ever
    assert "training" not in demo.running.text
    with contextlib.closing(chromium.new_context(user_agent=DESKTOP, locale="en")) as context:
        page = context.new_page()
        page.goto(demo.spine().shop)
        page.click("[data-consent-reject]")
        page.goto(f"{demo.spine().shop}/p/KC-C03/")
        told = page.locator("[data-cashwrap-context]").get_attribute("data-cashwrap-context") or ""
        assert json.loads(told)["page"]["product"] == "KC-C03"
        put_in_basket(page, demo.spine().shop, "KC-C03")
        filters = page.locator("[data-cashwrap-source]", has_text="Paper filters")  # the catalogue: a complement
        expect(filters.locator(".chosen-by")).to_have_text(re.compile(LEARNED), use_inner_text=True)
        assert filters.get_attribute("data-cashwrap-source") in ("together", "session")
    assert demo.running.end(signal.SIGINT) == 0


def test_the_past_is_the_same_every_time(parts: dict[str, ModuleType], tmp_path: Path) -> None:
    history, now = parts["history"], datetime(2026, 1, 1, tzinfo=UTC)
    feed = json.loads(parts["demo"].FEED.read_text())
    for name in ("one.csv", "other.csv"):
        history.write(tmp_path / name, feed, now)
    text = (tmp_path / "one.csv").read_text()
    assert (tmp_path / "other.csv").read_text() == text
    rows = list(csv.DictReader(text.splitlines()))
    times = [row["at"] for row in rows]
    assert times == sorted(times)
    assert now - timedelta(days=57) < datetime.fromisoformat(times[0]) < datetime.fromisoformat(times[-1]) < now
    assert len({row["order"] for row in rows if row["what"] == "order"}) == history.ORDERS
    assert not {row["product"] for row in rows} & {each["id"] for each in feed if each["sensitive"]}


def test_a_half_that_was_removed_is_made_again(demo: Started, parts: dict[str, ModuleType]) -> None:
    (demo.data / "shop" / "seeded").unlink()
    assert parts["demo"].forget_half(demo.data)
    assert not (demo.data / "keys.json").exists()
    assert (demo.data / "playbook" / "shop.yaml").exists()
