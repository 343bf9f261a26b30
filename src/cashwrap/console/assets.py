"""The console's scripts, styles and pictures: files of the package, kept by browsers for as long as they like."""

import hashlib
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@cache
def _files() -> dict[str, bytes]:
    folder = resources.files("cashwrap.console") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@cache
def version() -> str:
    """Names the very files: part of every asset's address."""
    digest = hashlib.blake2b(digest_size=6)
    for name, content in sorted(_files().items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


async def asset(request: Request) -> Response:
    """One of them."""
    name = request.path_params["name"]
    content, kind = _files().get(name), _TYPES.get(name[name.rfind(".") :])
    if content is None or kind is None:
        return Response(b"", 404)
    return Response(content, headers=_HEADERS | {"content-type": kind})
