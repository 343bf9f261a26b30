"""The first-party path: browsers talk to `/cw/...` on the shop's own origin, the shop passes it to the engine.

What goes through is listed here. The shop's cookies never do; the engine sees the network of the shopper, not the
address; a secret key in a browser's request is refused.
"""

import ipaddress
import re
import threading
from urllib.parse import urlsplit

from cashwrap_client import Unreachable
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .personalization import client

POSTS = re.compile(r"v1/(track|identify|page|screen|group|alias|batch|consent|decide|[tipsgab])")
GETS = re.compile(r"(sdk/[\w.-]+/[\w.-]+|v1/projects/[\w-]+/settings)")
LARGEST = 512_000  # the engine's own limit for a batch
PASSED_ON = ("Content-Type", "Authorization", "User-Agent", "Accept-Language", "Sec-GPC", "If-None-Match")
PASSED_BACK = ("Content-Type", "Cache-Control", "ETag", "Retry-After", "Vary", "X-Content-Type-Options")
VIA = "kestrel-and-clay"
SLOTS = 6  # of the server's 16 threads: an engine that hangs may hold these, and never the shop
_slots = threading.BoundedSemaphore(SLOTS)


@csrf_exempt  # no cookie travels and nothing in the shop changes: there is nothing to forge
def forward(request, path):
    allowed = {"POST": POSTS, "GET": GETS}.get(request.method)
    if allowed is None or not allowed.fullmatch(path):
        return _refused(404, "not_found", "This path is not passed on.")
    if VIA in request.headers.get("Via", ""):
        return _refused(508, "loop", "The engine's address points back to the shop.")
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.get_host():
        return _refused(403, "wrong_origin", "Only the shop's own pages may use this path.")
    if int(request.headers.get("Content-Length") or 0) > LARGEST:
        return _refused(413, "too_large", "Send smaller batches.")
    if b"cws_" in request.body or "cws_" in request.headers.get("Authorization", ""):
        return _refused(403, "secret_key_in_browser", "Use the publishable key in a browser.")
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    headers["X-Forwarded-For"] = truncated(request.META.get("REMOTE_ADDR", ""))
    headers["Via"] = f"1.1 {VIA}"
    if not _slots.acquire(blocking=False):
        return _refused(503, "busy", "Try later.")
    try:
        status, answered, body = client().forward(request.method, f"/{path}", request.body, headers)
    except Unreachable:
        return _refused(503, "unavailable", "Try later.")
    finally:
        _slots.release()
    response = HttpResponse(body, status=status)
    for name in PASSED_BACK:
        if answered.get(name):
            response[name] = answered[name]
    return response


def truncated(address):
    """Return the network of an address: enough for a country, too little for a household."""
    try:
        bits = 24 if ipaddress.ip_address(address).version == 4 else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False).network_address)
    except ValueError:
        return ""


def _refused(status, code, message):
    response = JsonResponse({"code": code, "message": message}, status=status)
    response._has_been_logged = True  # a dead engine must not fill the shop's log: the client says it once
    return response
