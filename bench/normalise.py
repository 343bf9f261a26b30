"""How long a batch of 20 typical track events takes from bytes to events.

    python bench/normalise.py

Prints the median over many short runs, in microseconds a batch and an event, beside the bare typed decode of the
same bytes in the same run.
"""

import hashlib
import statistics
import time
from collections.abc import Callable

import msgspec

from cashwrap.declarations import Declarations, Settings
from cashwrap.events import Limits, Normaliser, RequestFacts, compile_vocabulary, decode_batch
from cashwrap.model import Event

NOW = 1_763_798_400_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


def body(events: int = 20) -> bytes:
    names = ("Product Viewed", "Product Added", "Product List Viewed", "Checkout Step Viewed")
    batch = []
    for number in range(events):
        name = names[number % 4]
        properties: dict[str, object] = {"category": f"Shoes {number % 5}"}
        if name.startswith("Product ") and "List" not in name:
            properties |= {"product_id": f"SKU-{number:04}", "price": msgspec.Raw(b"%d.95" % number), "quantity": 1}
        elif "Step" in name:
            properties = {"step": 2, "payment_method": "visa", "cart_id": "c-77"}
        else:
            properties["list_id"] = "hot-deals"
        batch.append(
            {
                "type": "track",
                "event": name,
                "messageId": f"m-{number:04}-a8f3",
                "anonymousId": "5d3a9c1e-visitor",
                "timestamp": "2025-11-22T07:59:58.123Z",
                "properties": properties,
            }
        )
    return msgspec.json.encode({"batch": batch, "sentAt": "2025-11-22T08:00:00.000Z"})


def digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


def median(call: Callable[[], object], runs: int = 400, loops: int = 20) -> float:
    """Microseconds a call."""
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(loops):
            call()
        samples.append((time.perf_counter() - start) / loops * 1e6)
    return statistics.median(samples)


def main() -> None:
    raw, limits = body(), Limits()
    normaliser = Normaliser(compile_vocabulary(Declarations()), Settings(), digest)
    facts = RequestFacts(NOW, "key", user_agent=CHROME)
    assert all(isinstance(event, Event) for event in normaliser.batch(decode_batch(raw, limits), facts))
    suspicious = raw.replace(b"visa", b"\\u0076isa")
    print(f"body {len(raw)} bytes, 20 events")
    for name, call in (
        ("decode only", lambda: decode_batch(raw, limits)),
        ("bytes to events", lambda: normaliser.batch(decode_batch(raw, limits), facts)),
        ("bytes to events, scrubbed", lambda: normaliser.batch(decode_batch(suspicious, limits), facts)),
    ):
        taken = median(call)
        print(f"{name:28} {taken:7.1f} us a batch {taken / 20:6.2f} us an event")


if __name__ == "__main__":
    main()
