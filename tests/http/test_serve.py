"""``cashwrap serve`` as operators run it: killed under load, stopped, its playbook edited, its switches thrown."""

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from engines import STARTER
from processes import Process, cashwrap, client, process

KILLS = 10
SHOPPERS = 4
CHOICES = {"personalization": "granted", "analytics": "granted"}


def eventually(holds: Callable[[], bool]) -> bool:
    """Poll until it holds, for ten seconds at most."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(500))


class Load:
    """Shoppers who send one event after the other from their backend until the server is gone."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.sent: list[list[str]] = [[] for _ in range(SHOPPERS)]
        self.acked: list[list[str]] = [[] for _ in range(SHOPPERS)]
        self.round = 0

    def event(self, shopper: int, message: str) -> dict[str, object]:
        who = {"userId": f"user-{shopper}", "messageId": message, "event": "Product Viewed"}
        return {**who, "type": "track", "properties": {"product_id": "mug"}}

    def consent(self, server: Process) -> None:
        with client(server.url, self.key) as http:
            for shopper in range(SHOPPERS):
                choice = {"userId": f"user-{shopper}", "messageId": f"c{shopper}", "choices": CHOICES}
                assert http.post("/v1/consent", json=choice).status_code == 200

    def until(self, server: Process, acks: int, end: Callable[[], object]) -> None:
        """Send from all shoppers at once; ``end`` the server when so many are acknowledged."""
        self.round += 1
        enough = threading.Semaphore(0)
        threads = [threading.Thread(target=self._send, args=(server, shopper, enough)) for shopper in range(SHOPPERS)]
        for thread in threads:
            thread.start()
        for _ in range(acks):
            assert enough.acquire(timeout=30)
        end()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def _send(self, server: Process, shopper: int, enough: threading.Semaphore) -> None:
        with client(server.url, self.key) as http:
            for number in range(100_000):
                message = f"r{self.round}-{shopper}-{number}"
                self.sent[shopper].append(message)
                try:
                    answer = http.post("/v1/track", json=self.event(shopper, message))
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.acked[shopper].append(message)
                    enough.release()

    def held(self, server: Process) -> list[int]:
        with client(server.url, self.key) as http:
            found = [http.get("/v1/shoppers", params={"userId": f"user-{n}"}).json() for n in range(SHOPPERS)]
            return [shopper["attributes"]["session_views"] for shopper in found]

    def again(self, server: Process) -> None:
        """What a client does that got no answer: everything once more."""
        with client(server.url, self.key) as http:
            for shopper, messages in enumerate(self.sent):
                for at in range(0, len(messages), 100):
                    batch = [self.event(shopper, message) for message in messages[at : at + 100]]
                    assert http.post("/v1/batch", json={"batch": batch}).json() == {"success": True}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(cashwrap("keys", "create", "secret", "--data", tmp_path / "data").splitlines()[-1])


@pytest.mark.slow
def test_no_kill_loses_what_was_acknowledged_or_counts_it_twice(tmp_path: Path, load: Load) -> None:
    chance = random.Random(20260302)
    for number in range(KILLS):
        with process(STARTER, tmp_path / "data") as server:
            if number == 0:
                load.consent(server)
            else:
                check(load, server)
            load.until(server, chance.randint(1, 120), server.kill)
    with process(STARTER, tmp_path / "data") as server:
        check(load, server)
        load.again(server)
        assert load.held(server) == [len(messages) for messages in load.sent]


def check(load: Load, server: Process) -> None:
    for held, acked, sent in zip(load.held(server), load.acked, load.sent, strict=True):
        assert len(acked) <= held <= len(sent)


@pytest.mark.parametrize("held", [[1, 0, 0, 0], [4, 0, 0, 0]], ids=["one lost", "one twice"])
def test_the_check_sees_a_lost_and_a_doubled_event(held: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load("key")
    load.sent[0], load.acked[0] = ["a", "b", "c"], ["a", "b"]
    monkeypatch.setattr(load, "held", lambda _: held)
    with pytest.raises(AssertionError):
        check(load, None)  # type: ignore[arg-type]
    monkeypatch.setattr(load, "held", lambda _: [3, 0, 0, 0])
    check(load, None)  # type: ignore[arg-type]


def test_a_stop_answers_what_has_begun(tmp_path: Path, load: Load) -> None:
    with process(STARTER, tmp_path / "data") as server:
        load.consent(server)
        codes: list[int] = []
        load.until(server, 50, lambda: codes.append(server.stop()))
        assert codes == [0], server.errors.read_text()
    with process(STARTER, tmp_path / "data") as server:
        assert load.held(server) == [len(messages) for messages in load.acked], (
            "stored and not answered, or the reverse"
        )


def test_one_folder_is_served_once(tmp_path: Path, load: Load) -> None:
    with process(STARTER, tmp_path / "data"), pytest.raises(AssertionError, match="data_folder_locked"):
        Process(STARTER, tmp_path / "data")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Path, httpx.Client]]:
    """A server over a playbook folder of its own."""
    folder = tmp_path_factory.mktemp("edited")
    shutil.copytree(STARTER, folder / "playbook")
    key = cashwrap("keys", "create", "secret", "--data", folder / "data").splitlines()[-1]
    with process(folder / "playbook", folder / "data") as server, client(server.url, key) as http:
        yield server, folder, http


def message(http: httpx.Client) -> dict[str, object]:
    asked = {"context": {"cart": {"total": 60}}, "placements": ["basket_message"]}
    answer: dict[str, object] = http.post("/v1/decide", json=asked).json()["placements"]["basket_message"]
    return answer


def test_a_playbook_is_swapped_while_serving(edited: tuple[Process, Path, httpx.Client]) -> None:
    _, folder, http = edited
    file = folder / "playbook/experiences.yaml"
    first, text = file.read_text(), "Standard delivery is free with this basket."
    shutil.rmtree(folder / "playbook/expect", ignore_errors=True)
    assert message(http)["content"]["text"] == text  # type: ignore[index]
    before = http.get("/readyz").json()["playbook"]
    file.write_text(first.replace(text, "Delivery costs nothing."))
    assert eventually(lambda: message(http)["content"]["text"] == "Delivery costs nothing.")  # type: ignore[index]
    swapped = http.get("/readyz").json()["playbook"]
    assert swapped["hash"] != before["hash"]
    file.write_text(first.replace("when: cart.total >= 50", "when: cart.totl >= 50"))
    assert eventually(lambda: http.get("/readyz").json()["playbook"]["error"] is not None)
    broken = http.get("/readyz")
    assert broken.status_code == 200
    assert broken.json()["ready"] is True
    assert "experiences.yaml:" in broken.json()["playbook"]["error"]
    assert broken.json()["playbook"]["hash"] == swapped["hash"]
    assert "cashwrap_playbook_broken 1.0" in http.get("/metrics").text
    assert message(http)["content"]["text"] == "Delivery costs nothing."  # type: ignore[index]
    file.write_text(first)
    assert eventually(lambda: http.get("/readyz").json()["playbook"] == before)
    assert message(http)["content"]["text"] == text  # type: ignore[index]


def test_a_switch_thrown_by_the_command_holds_while_serving(edited: tuple[Process, Path, httpx.Client]) -> None:
    _, folder, http = edited
    assert message(http)["reason"] == "match"
    cashwrap("kill", "placement", "basket_message", "--data", folder / "data")
    assert eventually(lambda: message(http)["reason"] == "killed")
    cashwrap("kill", "placement", "basket_message", "--on", "--data", folder / "data")
    assert eventually(lambda: message(http)["reason"] == "match")


def test_a_key_made_and_revoked_while_serving(edited: tuple[Process, Path, httpx.Client]) -> None:
    server, folder, _ = edited
    text = cashwrap("keys", "create", "publishable", "--data", folder / "data").splitlines()[-1]
    with client(server.url, text) as http:
        assert eventually(lambda: http.post("/v1/decide", json={}).status_code == 200)
        cashwrap("keys", "revoke", text.split("_")[2], "--data", folder / "data")
        assert eventually(lambda: http.post("/v1/decide", json={}).status_code == 401)
