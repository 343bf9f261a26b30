"""The demo's "why" drawer: what the engine knows of this shopper and why each placement shows what it shows.

A page of the shop's backend in a frame, so that it works on payment pages too. It asks with the secret key,
which is why it exists only with `DEMO_WHY=1`: a real shop shows this to its privacy officer, not to everyone.
"""

import hashlib
import json
import re
import secrets
import uuid

from apps.checkout.payment import METHODS
from apps.shipping.repository import Repository
from cashwrap_client import now
from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.utils.timezone import get_current_timezone_name
from django.views.decorators.http import require_POST

from . import personalization, why_words
from .personalization import ANONYMOUS_COOKIE, ASKED_COOKIE, CHOICE_COOKIE, choices, client

PURPOSES = ("personalization", "analytics", "enrichment", "advertising", "credit")
A_YEAR = 34_128_000  # seconds; as the SDK


def drawer(request):
    answer = ask(request)
    context = {
        **why_words.tell(answer, request.GET.get("page", "")),
        "purposes": purposes(request, answer["profile"]),
        "raw": raw(answer),
    }
    context |= {"digest": digest(answer), "query": request.GET.urlencode(), "page": request.GET.get("page", "")}
    return render(request, "storefront/why.html", context)


def state(request):
    """Tell the open drawer whether anything changed, without rendering it."""
    return JsonResponse({"digest": digest(ask(request))})


def ask(request):
    """Ask the same question as the page behind the drawer, with reasons."""
    page = request.GET.get("page", "other")
    zone = request.GET.get("zone") or get_current_timezone_name()
    facts = {
        **personalization.context(request, page),
        "page": personalization.page(request.GET.get("path", "/")[:200], page),
        "device": personalization.device(request.headers.get("User-Agent", "")),
        "timeZone": zone[:60],
    }
    if page == "payment":
        facts["checkout"] = {
            "paymentMethods": [method.code for method in METHODS],
            "deliveryMethods": [method.code for method in Repository.methods],
        }
        if step := request.GET.get("step"):
            facts["checkout"]["step"] = step[:40]
    who = personalization.shopper(request)
    asker = who if page == "payment" or choices(request).get("personalization") else {}
    gpc = personalization.gpc(request)
    return {
        "who": who,
        "decision": client().decide({"shopper": asker, "context": facts}, gpc=gpc, explain=True),
        "profile": profile(who),
    }


def profile(who):
    """Return what the engine holds: by login when there is one, else by the device's id."""
    if "userId" in who:
        return client().shopper(userId=who["userId"])
    return client().shopper(anonymousId=who.get("anonymousId"))


def digest(answer):
    """Return a short name for what the drawer shows; ids and times that change by themselves are left out."""
    decision = {name: answer["decision"].get(name) for name in ("playbook", "level", "placements")}
    held = {name: value for name, value in answer["profile"].items() if name != "updated"}
    text = json.dumps([answer["who"], decision, held], sort_keys=True)
    text = re.sub(r'"(open_cart\.idle_minutes|[\w.]*(seconds|minutes|age))": \d+', "", text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def raw(answer):
    return json.dumps(answer, indent=2, ensure_ascii=False)


# --- consent ---


def purposes(request, held):
    """Return each purpose with what holds: the engine's word first, then the device's."""
    device = choices(request)
    told = held.get("consent", {})
    rows = []
    for name in PURPOSES:
        word = told.get(name) or {True: "granted", False: "denied"}.get(device.get(name), "unknown")
        rows.append({"name": name, "state": word, "flip": "denied" if word == "granted" else "granted"})
    return rows


@require_POST
def consent(request):
    """Record a switch of the drawer where no SDK runs: on payment pages, the backend speaks for the shopper.

    The id and the choice are kept exactly as the SDK keeps them, so that the next ordinary page agrees.
    """
    purpose, word = request.POST.get("purpose"), request.POST.get("choice")
    if purpose not in PURPOSES or word not in ("granted", "denied"):
        return HttpResponseBadRequest("unknown choice")
    response = redirect(f"/why/?{request.POST.get('query', '')}")
    chosen = {**choices(request), purpose: word == "granted"}
    keeps = chosen.get("personalization") or chosen.get("analytics")
    device = personalization.anonymous_id(request) or (secrets.token_hex(16) if keeps else None)
    who = {**personalization.shopper(request), **({"anonymousId": device} if device else {})}
    if who:
        event = {"type": "consent", "messageId": str(uuid.uuid4()), "timestamp": now(), **who}
        event |= {"choices": {purpose: word}, "scope": "device", "source": "shop preferences"}
        client().consent(event, gpc=personalization.gpc(request))
    response.set_cookie(ASKED_COOKIE, "1", 15_552_000, samesite="Lax")  # the banner need not ask again
    if keeps:
        text = "-".join(f"{name}.{int(granted)}" for name, granted in chosen.items())
        response.set_cookie(ANONYMOUS_COOKIE, device, A_YEAR, samesite="Lax")
        response.set_cookie(CHOICE_COOKIE, text, A_YEAR, samesite="Lax")
    else:
        response.delete_cookie(ANONYMOUS_COOKIE)
        response.delete_cookie(CHOICE_COOKIE)
    return response
