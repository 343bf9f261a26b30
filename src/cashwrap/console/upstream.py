"""The server beside the console, for the few things that only the process that writes may do."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from cashwrap.errors import CashwrapError, InvalidInput, Unavailable
from cashwrap.model import Tenant

PATIENCE = 60.0
"""Seconds until a server that does not answer is given up: forgetting rewrites files."""


class Upstream:
    """Calls the admin API of the server beside the console, in the name of a person."""

    def __init__(self, address: str, token: str) -> None:
        self._address = urlsplit(address)
        self._token = token

    def call(self, method: str, path: str, person: str, tenant: Tenant, body: object = None) -> dict[str, object]:
        """The answer's JSON. Raises ``InvalidInput`` with the server's code and words, and ``Unavailable``."""
        if not self._address.hostname:
            raise Unavailable("this needs the running server: start it with 'cashwrap serve'", code="no_server")
        headers = {
            "authorization": f"Console {self._token}",
            "x-cashwrap-tenant": tenant.name,
            "x-cashwrap-person": person,
            "content-type": "application/json",
        }
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=PATIENCE)
        try:
            connection.request(method, path, msgspec.json.encode(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text, status = answer.read(), answer.status
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("the server does not answer; try again in a moment", code="server_away") from error
        finally:
            connection.close()
        return _told(status, text)


def _told(status: int, text: bytes) -> dict[str, object]:
    try:
        told = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        raise Unavailable("the server does not answer as it should; try again", code="server_away") from None
    if status < 400:
        return told
    said: Mapping[str, str] = {name: str(told.get(name, "")) for name in ("code", "message")}
    kind: type[CashwrapError] = InvalidInput if status < 500 else Unavailable
    raise kind(said["message"], code=said["code"] or "server_away")
