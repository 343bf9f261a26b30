"""The how-to about Django, Flask and FastAPI is run as it stands: its own code blocks, asked over each framework."""

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import httpx
import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import clear_url_caches, path

from cashwrap import Engine
from cashwrap.request import ShopperRef
from engines import STARTER
from page_walk import blocks

PAGE = Path(__file__).parents[1] / "docs/howto/use-as-a-library.md"
LINES = 10
MESSAGE = {
    "type": "message",
    "text": "Standard delivery is free with this basket.",
    "locale": "en",
    "progress": {"value": 5000, "target": 5000},
}
Ask = Callable[[], tuple[object, object]]


def block(kind: str) -> str:
    (found,) = (each.text for each in blocks(PAGE.read_text()) if each.kind == f"python {kind}")
    return found


def loaded(name: str, text: str) -> Any:
    """The module with this text: a file of the shop, in its folder."""
    Path(f"{name}.py").write_text(text)
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    (tmp_path / "playbook").symlink_to(STARTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within a second here
    personal = loaded("personal", block("personal.py"))
    yield personal.engine
    personal.engine.close()
    for name in ("personal", "shop", "views", "urls"):
        sys.modules.pop(name, None)


def with_django() -> tuple[object, object]:
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["testserver"], SECRET_KEY="of a test")
        django.setup()
    views = loaded("views", block("django"))
    loaded("urls", "").urlpatterns = [path("cart", views.cart), path("order", views.order)]
    clear_url_caches()
    with override_settings(ROOT_URLCONF="urls"):
        client = Client()
        shown = client.get("/cart", {"user": "customer-7", "total": "60.00"}).json()
        return shown, client.post("/order", {"user": "customer-7", "number": "A1", "total": "60.00"}).json()


def with_flask() -> tuple[object, object]:
    client = loaded("shop", block("flask")).app.test_client()
    shown = client.get("/cart/customer-7/60.00").json
    return shown, client.post("/order", data={"user": "customer-7", "number": "A1", "total": "60.00"}).json


def with_fastapi() -> tuple[object, object]:
    app = loaded("shop", block("fastapi")).app

    async def ask() -> tuple[object, object]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            shown = await client.get("/cart", params={"user": "customer-7", "total": "60.00"})
            kept = await client.post("/order", params={"user": "customer-7", "number": "A1", "total": "60.00"})
            return shown.json(), kept.json()

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [with_django, with_flask, with_fastapi])
def test_the_views_of_a_framework_decide_and_record(ask: Ask, engine: Engine) -> None:
    shown, kept = ask()
    assert shown == {"message": MESSAGE}
    assert kept == {"kept": True}
    accounting = engine.core.account()
    assert (accounting.received, accounting.stored) == (1, 1)
    assert ask() == (shown, kept), "a page that is sent twice"
    hot = engine.core.find(ShopperRef(user_id="customer-7"), engine._caller())
    assert hot is not None
    (order,) = hot.profile.orders.values()
    assert (order.id, order.subtotal, order.state) == ("A1", 6000, "completed")


@pytest.mark.parametrize("kind", ["django", "flask", "fastapi"])
def test_it_is_ten_lines(kind: str) -> None:
    assert len([line for line in block(kind).splitlines() if line.strip()]) <= LINES


@pytest.mark.parametrize("ask", [with_django, with_flask, with_fastapi])
def test_a_broken_engine_costs_the_page_its_default_only(
    ask: Ask, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError("the disk is gone")

    monkeypatch.setattr(type(engine.core), "answer", broken)
    monkeypatch.setattr(type(engine.core), "collect", broken)
    assert ask() == ({"message": None}, {"kept": False})
    assert "the disk is gone" in caplog.text


def test_an_example_that_is_wrong_is_noticed(engine: Engine) -> None:
    wrong = block("flask").replace("def cart(user, total):", "def cart(user, sum):")
    client = loaded("shop", wrong).app.test_client()
    assert client.get("/cart/customer-7/60.00").status_code == 500
