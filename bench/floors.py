"""The floors a benchmark is measured against, on the same server in the same run: a JSON echo, and parsing alone."""

import sys

import msgspec
import uvicorn
import uvloop

from cashwrap.events import Limits, decode_batch, read_body
from cashwrap.serve.protocol import LimitedProtocol
from cashwrap.serve.wire import Receive, Scope, Send, read, respond

LIMITS = Limits()


def echo(answer: object) -> object:
    """Decodes the request, encodes an answer of the size a decision has."""
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        decode(await read(receive, 1_000_000))
        await respond(send, 200, encode(answer))

    return app


async def parse_only(_: Scope, receive: Receive, send: Send) -> None:
    """Decodes a batch into typed envelopes and says yes."""
    decode_batch(read_body(await read(receive, 1_000_000), LIMITS), LIMITS)
    await respond(send, 200, b'{"success":true}')


def answer_of(size: int) -> dict[str, object]:
    """Something like a decision, of about this many bytes."""
    one = {"experience": "x" * 12, "content": {"text": "y" * 60}}
    length = len(msgspec.json.encode({"placement_00": one})) - 1
    return {f"placement_{number:02}": one for number in range(max(1, size // length))}


async def main(kind: str, port: int, size: int) -> None:
    app = parse_only if kind == "parse" else echo(answer_of(size))
    config = uvicorn.Config(
        app, port=port, http=LimitedProtocol, ws="none", lifespan="off", loop="none", log_config=None,
        access_log=False, server_header=False, date_header=False, proxy_headers=False,
    )  # fmt: skip
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
