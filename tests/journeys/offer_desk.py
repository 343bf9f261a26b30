"""The engine's part about offers, played for the shop's tests: signs grants, holds money, and refuses as told.

What the real one does is tested where it lives, and both together in ``test_offer_journey.py``; here is what a shop
must live with whatever the engine says.
"""

import hashlib
import json
import threading
import time
import uuid
from typing import Any

from cashwrap.signing import OFFER, Signer, jwks

SAYS = "This price was personalised for you by automated decision-making."
REFUSALS = (
    "limit_reached", "reservation_expired", "already_closed", "offer_ended", "wrong_cart", "wrong_shopper",
    "bad_offer_token", "unknown_code", "something_new",
)  # fmt: skip


class Desk:
    """``percent`` off everything, in ``basket_message``; ``mode`` is "grants", a refusal, or a way to misbehave."""

    def __init__(self) -> None:
        self.percent = 0
        self.mode = "grants"
        self.lasts = 900.0
        self.signer = Signer(b"tests" * 10, OFFER)
        self.codes: dict[str, int] = {}
        self.reservations: dict[str, dict[str, Any]] = {}
        self._answered: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def grants(self, asked: Any) -> dict[str, dict[str, Any]]:
        items = (asked or {}).get("context", {}).get("cart", {}).get("items", [])
        if not self.percent or not items:
            return {}
        minor = amount(items, self.percent)
        now = int(time.time())
        claims = {
            "iss": "default/live", "jti": uuid.uuid4().hex, "iat": now, "exp": now + 1800, "offer": "ten_off",
            "benefit": {"type": "percentage", "percent": str(self.percent)}, "amount": minor, "currency": "EUR",
            "cart": cart_hash(items), "personal": True, "disclosure": {"id": "eu", "text": SAYS},
        }  # fmt: skip
        granted = {
            "name": "ten_off", "benefit": claims["benefit"], "amount": f"{minor / 100:.2f}", "currency": "EUR",
            "expires": (now + 1800) * 1000, "personal": True, "disclosure": claims["disclosure"],
            "token": self.signer.sign(json.dumps(claims).encode()),
        }  # fmt: skip
        return {"basket_message": granted}

    def answer(self, path: str, headers: dict[str, str], asked: Any) -> tuple[int, bytes]:
        if path.endswith("jwks.json"):
            return 200, jwks(self.signer)
        if self.mode == "hangs":
            return 200, b"hang"
        if self.mode == "fails":
            return 500, b"{}"
        if self.mode == "answers html":
            return 200, b"<h1>Oops</h1>"
        if self.mode == "answers nonsense":
            return 200, b'{"id":"r","offer":"x","amount":"a lot","currency":"EUR","expires":1}'
        with self._lock:
            key = headers["idempotency-key"]
            if key not in self._answered:
                self._answered[key] = self._act(path.rpartition("/")[2], asked)
            return self._answered[key]

    def _act(self, action: str, asked: Any) -> tuple[int, bytes]:
        if self.mode in REFUSALS:
            return 409, json.dumps({"code": self.mode, "message": "No."}).encode()
        if action == "reserve":
            if "code" in asked and asked["code"] not in self.codes:
                return 409, b'{"code":"unknown_code"}'
            percent = self.codes[asked["code"]] if "code" in asked else self.percent
            held = {
                "id": uuid.uuid4().hex[:24], "offer": "by_code" if "code" in asked else "ten_off", "state": "reserved",
                "amount": f"{amount(asked['cart']['items'], percent) / 100:.2f}", "currency": "EUR",
                "benefit": {"type": "percentage", "percent": str(percent)},
                "expires": int((time.time() + self.lasts) * 1000), "disclosure": {"id": "eu", "text": SAYS},
            }  # fmt: skip
            self.reservations[held["id"]] = held
            return 200, json.dumps(held).encode()
        found = self.reservations[asked["reservation"]]
        found["state"] = {"redeem": "redeemed", "release": "released"}[action]
        found["order"] = asked.get("order", found.get("order"))
        return 200, json.dumps(found).encode()

    def states(self) -> list[str]:
        with self._lock:
            return [each["state"] for each in self.reservations.values()]


def amount(items: list[dict[str, Any]], percent: int) -> int:
    return sum(round(item["price"] * 100) * item["quantity"] for item in items) * percent // 100


def cart_hash(items: list[dict[str, Any]]) -> str:
    rows = sorted((item["id"], round(item["price"] * 100), item["quantity"]) for item in items)
    text = "\n".join(["cashwrap cart v1", "EUR", *(f"{name}\t{count}\t{price}" for name, price, count in rows)])
    return hashlib.sha256(text.encode()).hexdigest()
