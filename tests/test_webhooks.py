"""Webhooks: signed notices, each delivered until it was taken, to addresses that may be called only."""

import hmac
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from cashwrap import webhooks, window
from cashwrap.adapters import http as adapter
from cashwrap.adapters.http import is_reachable, post
from cashwrap.adapters.memory import MemoryStore
from cashwrap.errors import InvalidInput
from cashwrap.model import Event, Tenant
from cashwrap.playbook import examine
from cashwrap.ports import Changes, Exposed, Transition
from cashwrap.serve.deliver import AT_ONCE, PATIENCE, Deliverer
from cashwrap.webhooks import Webhook, Webhooks, segment_notice, signature
from engines import LIVE, START, SeededRandom, Shop, TestClock, memory_world, shop_over


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


class Receivers:
    """Stands in for the network: what each address was sent, and whether it takes it."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.down: set[str] = set()
        self.tries = 0

    def post(self, url: str, body: bytes, signed: str) -> bool:
        self.tries += 1
        if url in self.down:
            return False
        self.got.append((url, msgspec.json.decode(body)))
        return True


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> Receivers:
    receivers = Receivers()
    monkeypatch.setattr(adapter, "post", receivers.post)
    return receivers


def happens(shop: Shop, *segments: str, tenant: Tenant = LIVE, shopper: bytes = b"s" * 16) -> None:
    at = shop.clock.now()
    moves = [Transition(tenant, shopper, segment, entered=True, at=at) for segment in segments]
    shop.engine.writer.call(lambda: shop.engine.world.store.commit(Changes(transitions=moves)) and None)


def hook(shop: Shop, name: str, *segments: str, tenant: Tenant = LIVE) -> str:
    url = f"https://{name}.example/"
    shop.engine.webhooks.put(Webhook(tenant, name, url, segments))
    return url


def test_each_notice_reaches_who_wants_it_once_and_in_order(shop: Shop, receivers: Receivers) -> None:
    every, one = hook(shop, "all"), hook(shop, "one", "high_value")
    hook(shop, "other", tenant=Tenant("other", "live"))
    happens(shop, "new_visitor", "high_value", "casual")
    deliverer = Deliverer(shop.engine)
    assert deliverer.round() == 3
    assert [body["segment"] for url, body in receivers.got if url == every] == ["new_visitor", "high_value", "casual"]
    assert [body["segment"] for url, body in receivers.got if url == one] == ["high_value"]
    assert len(receivers.got) == 4
    assert deliverer.round() == 0
    assert shop.engine.world.outbox.pending(10) == []


def test_a_notice_names_its_shopper(shop: Shop, receivers: Receivers) -> None:
    hook(shop, "crm")
    shop.consents({"userId": "jonas"}, trusted=True)
    key = shop.key(user="jonas")
    assert key is not None
    happens(shop, "high_value", shopper=key.shopper)
    Deliverer(shop.engine).round()
    body = next(body for _, body in receivers.got if body["segment"] == "high_value")
    assert (body["userId"], body["type"], body["shopper"]) == ("jonas", "segment.entered", key.shopper.hex())
    assert (body["store"], body["environment"], body["at"]) == ("default", "live", shop.clock.now())


def test_a_receiver_that_fails_is_tried_again_later_and_in_order(shop: Shop, receivers: Receivers) -> None:
    down, up = hook(shop, "down"), hook(shop, "up")
    receivers.down.add(down)
    happens(shop, "a", "b")
    deliverer = Deliverer(shop.engine)
    assert deliverer.round() == 0
    assert [url for url, _ in receivers.got] == [up, up]
    tries = receivers.tries
    for _ in range(5):
        deliverer.round()
    assert receivers.tries == tries, "it is left alone for a while, and who took it is not told again"
    receivers.down.clear()
    shop.clock.wait(minutes=1)
    assert deliverer.round() == 2
    assert [(url, body["segment"]) for url, body in receivers.got[2:]] == [(down, "a"), (down, "b")]
    assert receivers.got[0][1]["id"] == receivers.got[2][1]["id"], "a repeat has the same id"


def test_waits_grow_and_end(shop: Shop, receivers: Receivers) -> None:
    receivers.down.add(hook(shop, "down"))
    happens(shop, "a")
    deliverer = Deliverer(shop.engine)
    for _ in range(24 * 60):
        shop.clock.wait(minutes=1)
        deliverer.round()
    assert 24 * 60 // 5 <= receivers.tries < 24 * 60 // 5 + 20
    shop.clock.time += PATIENCE
    assert deliverer.round() == 1
    assert shop.engine.world.outbox.pending(10) == []


def test_a_receiver_that_never_answers_holds_up_no_other(shop: Shop, receivers: Receivers) -> None:
    receivers.down.add(hook(shop, "down", "stuck"))
    up = hook(shop, "up", "moving")
    happens(shop, *["stuck"] * (AT_ONCE * 3))
    deliverer = Deliverer(shop.engine)
    for _ in range(5):
        deliverer.round()
    happens(shop, "moving")
    deliverer.round()
    assert [url for url, _ in receivers.got] == [up]


def test_of_a_shopper_forgotten_meanwhile_nothing_is_told(shop: Shop, receivers: Receivers) -> None:
    hook(shop, "crm")
    shop.consents({"userId": "jonas"}, trusted=True)
    key = shop.key(user="jonas")
    assert key is not None
    happens(shop, "high_value", shopper=key.shopper)
    shop.engine.forget(key)
    Deliverer(shop.engine).round()
    assert not receivers.got


def test_nobody_to_tell_settles_a_notice(shop: Shop, receivers: Receivers) -> None:
    happens(shop, "a")
    assert Deliverer(shop.engine).round() == 1
    assert receivers.tries == 0


# --- exposures ---

PLAYBOOK = """
shop: {currency: EUR, locale: en, internal_networks: [192.0.2.0/24]}
placements:
  banner: {component: message}
features:
  orders: {count: Order Completed}
segments:
  anybody: orders >= 0
experiences:
  greeting:
    in: banner
    show: {text: {en: Good day.}}
    experiment: {arms: {control: 50%, main: 50%}, goal: conversion, salt: greeting-2}
"""


@pytest.fixture
def tested() -> Iterator[Shop]:
    playbook, faults = examine({"shop.yaml": PLAYBOOK})
    assert playbook is not None, faults
    with shop_over(memory_world(TestClock()), playbook) as shop:
        yield shop


def told_hook(shop: Shop, name: str, *told: Any, tenant: Tenant = LIVE) -> str:
    url = f"https://{name}.example/"
    shop.engine.webhooks.put(Webhook(tenant, name, url, told=told))
    return url


def exposed(shop: Shop, who: dict[str, str], **how: Any) -> dict[str, Any]:
    """A shopper sees the banner; the answer they got."""
    answer = shop.decide(shopper=who)
    event = {"event": "Experience Viewed", "properties": {"placement": "banner", "token": answer["token"]}, **who}
    assert shop.keeps(shop.event(**event), **how).stored == 1
    return answer


def test_an_exposure_is_told_to_who_wants_it_under_a_pseudonym(tested: Shop, receivers: Receivers) -> None:
    every, tool = told_hook(tested, "all", "segments", "exposures"), told_hook(tested, "tool", "exposures")
    hook(tested, "crm")
    told_hook(tested, "other", "exposures", tenant=Tenant("other", "live"))
    who = {"anonymousId": "anon-hook-0001", "userId": "jonas"}
    tested.consents(who, trusted=True)
    answer = exposed(tested, who, trusted=True)
    profile = tested.profile(user="jonas")
    assert profile is not None
    ((number, _),) = pending(tested)
    Deliverer(tested.engine).round()
    got = [(url, body) for url, body in receivers.got if body["type"] == "exposure"]
    assert [url for url, _ in got] == [every, tool]
    placed = answer["placements"]["banner"]
    expected = {
        "id": f"exposure-{number}",
        "type": "exposure",
        "shopper": profile.analytic_id.hex(),
        "experience": "greeting",
        "placement": "banner",
        "experiment": "greeting-2",
        "arm": placed["variation"],
        "outcome": "shown" if placed["content"] else "control",
        "propensity": 5_000,
        "segments": ["anybody"],
        "decision": answer["decisionId"],
        "playbook": answer["playbook"],
        "store": "default",
        "environment": "live",
        "at": tested.clock.now(),
    }
    assert [body for _, body in got] == [expected, expected]
    text = repr(got)
    assert not [name for name in ("jonas", "anon-hook-0001", profile.id.hex()) if name in text]


def test_an_exposure_is_told_until_it_is_taken_under_one_id(tested: Shop, receivers: Receivers) -> None:
    """Also over a restart in between: it was committed with the profile."""
    url, who = told_hook(tested, "tool", "exposures"), {"anonymousId": "anon-hook-0002"}
    tested.consents(who)
    receivers.down.add(url)
    exposed(tested, who)
    Deliverer(tested.engine).round()
    ((number, _),) = pending(tested)
    receivers.down.clear()
    Deliverer(tested.engine).round()
    assert [body["id"] for got, body in receivers.got if got == url] == [f"exposure-{number}"]
    assert pending(tested) == []


def pending(shop: Shop) -> list[tuple[int, bytes]]:
    """The exposures that wait."""
    waiting = shop.engine.world.outbox.pending(100)
    return [(number, notice.body) for number, notice in waiting if isinstance(notice, Exposed)]


def test_only_exposures_that_analysis_may_see_are_told(tested: Shop) -> None:
    told_hook(tested, "tool", "exposures")
    who = {"anonymousId": "anon-hook-0003"}
    tested.consents(who, trusted=False, personalization="granted", analytics="denied")
    exposed(tested, who)
    robot = {"anonymousId": "anon-hook-0004"}
    tested.consents(robot)
    exposed(tested, robot, agent="Googlebot/2.1")
    assert pending(tested) == []
    tested.clock.wait(minutes=1)
    tested.keeps(tested.event("consent", choices={"analytics": "granted"}, **who))
    exposed(tested, who)
    assert len(pending(tested)) == 1


def test_a_repeated_or_claimed_exposure_is_told_once_or_never(tested: Shop) -> None:
    told_hook(tested, "tool", "exposures")
    who = {"anonymousId": "anon-hook-0005"}
    tested.consents(who)
    token = tested.decide(shopper=who)["token"]
    for name in ("Experience Viewed", "Experience Viewed", "Experience Dismissed"):
        tested.keeps(tested.event(event=name, properties={"placement": "banner", "token": token}, **who))
    assert len(pending(tested)) == 1
    claimed = Event("x-1", "Experience Viewed", START, START, 7, "import:old", anonymous_id="anon-hook-0005")
    assert tested.engine.submit_and_wait(LIVE, [claimed]).accounting.stored == 1
    assert len(pending(tested)) == 1


def test_nothing_waits_where_nobody_wants_to_know(tested: Shop) -> None:
    hook(tested, "crm")
    who = {"anonymousId": "anon-hook-0006"}
    tested.consents(who)
    exposed(tested, who)
    assert pending(tested) == []


def test_of_a_forgotten_shopper_no_exposure_is_told(tested: Shop, receivers: Receivers) -> None:
    told_hook(tested, "tool", "exposures")
    who = {"anonymousId": "anon-hook-0007"}
    tested.consents(who)
    exposed(tested, who)
    key = tested.key(anonymous=who["anonymousId"])
    assert key is not None
    tested.engine.forget(key)
    Deliverer(tested.engine).round()
    assert not [body for _, body in receivers.got if body["type"] == "exposure"]


def test_a_notice_that_names_somebody_is_seen(
    tested: Shop, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told under the shopper's own number instead of the pseudonym."""
    true = webhooks.exposed
    monkeypatch.setattr(window, "exposed", lambda event, tenant, shopper, _: true(event, tenant, shopper, shopper))
    with pytest.raises(AssertionError):
        test_an_exposure_is_told_to_who_wants_it_under_a_pseudonym(tested, receivers)


# --- over the wire ---


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers what its path says and keeps what it got."""

    got: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(int(self.path[1:4]))
        self.send_header("location", "/200")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    got: list[tuple[str, dict[str, str], bytes]] = []
    kind = type("Kept", (Receiver,), {"got": got})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield f"http://localhost:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


def test_a_delivery_is_signed_so_that_the_receiver_can_check_it(receiver: Any) -> None:
    url, got = receiver
    body = segment_notice(Transition(LIVE, b"s" * 16, "high_value", entered=False, at=START), 7, "jonas")
    assert post(f"{url}/200/in?key=1", body, signature("a secret", body, START))
    [(path, headers, taken)] = got
    assert path == "/200/in?key=1"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == url.removeprefix("http://")
    stamp, _, mac = headers["cashwrap-signature"].partition(",")
    seconds = stamp.removeprefix("t=")
    assert int(seconds) == START // 1000
    expected = hmac.new(b"a secret", seconds.encode() + b"." + taken, "sha256").hexdigest()
    assert mac == f"v1={expected}"
    assert msgspec.json.decode(taken)["id"] == "transition-7"


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (302, False), (404, False), (500, False)])
def test_only_a_success_counts_and_no_redirect_is_followed(receiver: Any, status: int, taken: bool) -> None:
    url, got = receiver
    assert post(f"{url}/{status}", b"{}", "") is taken
    assert len(got) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://does-not-exist.invalid/", "http://x:99999/", "http://[::1", "nonsense", "https://127.0.0.1:1/"]
)  # fmt: skip
def test_an_address_that_cannot_be_called_is_no_error(url: str) -> None:
    assert post(url, b"{}", "") is False


def test_a_receiver_that_drips_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(b"H")
                    threading.Event().wait(0.02)

        thread = threading.Thread(target=drip)
        thread.start()
        assert post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}", "") is False
        thread.join(30)
        assert not thread.is_alive()


METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "0.0.0.0",  # noqa: S104
    "::",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_never_called(address: str) -> None:
    assert not is_reachable(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "93.184.216.34", "::1", "2001:4860::8888"])
def test_a_shops_own_network_and_the_world_may_be_called(address: str) -> None:
    assert is_reachable(address)


def test_the_address_that_was_checked_is_the_one_that_is_called(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its mind between the check and the call reaches nobody else."""
    url, got = receiver
    port = int(url.rpartition(":")[2])
    answers = iter(["127.0.0.1"])
    looked: list[str] = []
    real = adapter.socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **more: Any) -> Any:
        if host != "rebind.example":
            return real(host, *rest, **more)
        looked.append(host)
        return real(next(answers), port)

    monkeypatch.setattr(adapter.socket, "getaddrinfo", rebinding)
    assert post(f"http://rebind.example:{port}/200", b"{}", "")
    assert looked == ["rebind.example"]
    assert len(got) == 1


# --- kept ---


def test_secrets_are_new_each_time_and_names_are_apart_by_store() -> None:
    store = MemoryStore()
    webhooks = Webhooks(store, SeededRandom())
    first = webhooks.put(Webhook(LIVE, "crm", "https://a.example/"))
    second = webhooks.put(Webhook(LIVE, "crm", "https://b.example/"))
    webhooks.put(Webhook(Tenant("other", "live"), "crm", "https://c.example/"))
    assert first != second
    assert [each.url for each in webhooks.of(LIVE)] == ["https://b.example/"]
    assert "secret" not in webhooks.of(LIVE)[0].public()
    assert [each.url for each in Webhooks(store, SeededRandom()).of(LIVE)] == ["https://b.example/"]
    webhooks.remove(LIVE, "crm")
    assert webhooks.of(LIVE) == []
    assert len(webhooks.all()) == 1
    with pytest.raises(InvalidInput):
        webhooks.put(Webhook(LIVE, "x", "https://user:pass@host/"))
