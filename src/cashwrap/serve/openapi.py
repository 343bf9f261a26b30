"""The OpenAPI document, made from the structs that decode the requests: it cannot drift from the code."""

from functools import lru_cache
from typing import Any

import msgspec

from cashwrap.decide import GrantedOffer
from cashwrap.events.envelope import Envelope
from cashwrap.offering import HeldOffer, OfferReport, RedeemBody, ReleaseBody, ReserveBody, TakeBackBody
from cashwrap.request import DecideRequest
from cashwrap.serve.admin import Deltas, PreviewBody, Pushed, RollbackBody, SwitchBody, WebhookBody
from cashwrap.serve.ofrep_answer import EvaluationFailure, Flag, Flags
from cashwrap.serve.ofrep_context import EvaluationRequest
from cashwrap.serve.settle import ChosenBody, RepairBody
from cashwrap.serve.wire import ApiError
from cashwrap.suggesting import Predicted, PredictRequest, Recommended, RecommendRequest
from cashwrap.webhooks import ExposureNotice

Schema = dict[str, object]
_COMPONENTS = "#/components/schemas/{name}"
_CALLS = ("track", "identify", "page", "screen", "group", "alias", "consent")
_EITHER: list[Schema] = [{"bearer": []}, {"basic": []}]
_OPENFEATURE: list[Schema] = [{"bearer": []}, {"apiKey": []}]
_SECRET: list[Schema] = [{"bearer": []}]
_STATUSES = {
    "400": "cannot be used as sent",
    "401": "no known key",
    "403": "this key may not",
    "404": "not there",
    "413": "too large",
    "429": "too many; Retry-After says when",
    "503": "cannot be kept now; Retry-After says when",
}
_NOT_IN_OFREP = {"413", "503"}
_LISTS = {"type": "object"}


class BatchBody(msgspec.Struct, rename="camel"):
    """``POST /v1/batch``."""

    batch: list[Envelope]
    write_key: str | None = None


class EventError(msgspec.Struct, rename="camel"):
    """Why one event of a request was refused; ``index`` counts from 0."""

    index: int
    message_id: str | None
    code: str
    message: str


class Receipt(msgspec.Struct, rename="camel"):
    """What a tracking call answers; ``errors`` only where single events were refused."""

    success: bool
    errors: list[EventError] = []


class Answer(msgspec.Struct, rename="camel"):
    """What one placement shows; nulls stand for the shop's default."""

    reason: str
    experience: str | None = None
    variation: str | None = None
    content: dict[str, Any] | None = None
    offer: GrantedOffer | None = None


class DecideAnswer(msgspec.Struct, rename="camel"):
    """What ``POST /v1/decide`` answers."""

    decision_id: str
    playbook: str
    placements: dict[str, Answer]
    level: str
    degraded: bool
    token: str | None = None
    explain: dict[str, Any] = {}
    """With a secret key and ``explain``: each placement's answer and every experience that could have been it."""


@lru_cache(maxsize=1)
def document(version: str) -> Schema:
    """The whole document, OpenAPI 3.1."""
    bodies = (
        BatchBody,
        Envelope,
        DecideRequest,
        RecommendRequest,
        Recommended,
        PredictRequest,
        Predicted,
        Deltas,
        Pushed,
        SwitchBody,
        WebhookBody,
        ExposureNotice,
        PreviewBody,
        RollbackBody,
        ChosenBody,
        RepairBody,
        ReserveBody,
        RedeemBody,
        ReleaseBody,
        TakeBackBody,
        HeldOffer,
        OfferReport,
        Receipt,
        DecideAnswer,
        ApiError,
        EvaluationRequest,
        Flag,
        Flags,
        EvaluationFailure,
    )
    _, components = msgspec.json.schema_components(bodies, ref_template=_COMPONENTS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cashwrap",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Collect events, decide what each placement of a checkout shows, and administer both.",
        },
        "paths": {**_tracking(), **_deciding(), **_openfeature(), **_administration(), **_offers(), **_operations()},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "a publishable or secret key"},
                "basic": {"type": "http", "scheme": "basic", "description": "the key as user name"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
            },
        },
    }


def _tracking() -> Schema:
    paths: Schema = {
        "/v1/batch": {"post": _operation("batch", "Send up to 500 KB of events", _body("BatchBody"), _ok("Receipt"))}
    }
    for call in _CALLS:
        paths[f"/v1/{call}"] = {"post": _operation(call, f"Send one {call} event", _body("Envelope"), _ok("Receipt"))}
    return paths


def _deciding() -> Schema:
    summary = "Decide what each placement of a page shows"
    return {
        "/v1/decide": {"post": _operation("decide", summary, _body("DecideRequest"), _ok("DecideAnswer"))},
        "/v1/recommend": {
            "post": _operation(
                "recommend", "Products for a page of your own making", _body("RecommendRequest"), _ok("Recommended")
            )
        },
        "/v1/predict": {
            "post": {
                **_secret("predict", "What models tell of one shopper", **_body("PredictRequest")),
                "responses": _ok("Predicted"),
            }
        },
        **_bundle(),
    }


def _bundle() -> Schema:
    """What browsers and edges decide with by themselves."""
    signed = {"description": "a JSON Web Signature", "content": {"application/jose": {"schema": {"type": "string"}}}}
    keys = {"application/jwk-set+json": {"schema": _LISTS}}
    get = {
        "operationId": "bundle",
        "summary": "The playbook for browsers and edges, signed",
        "security": _EITHER,
        "parameters": [_query("key"), _header("If-None-Match")],
        "responses": {"200": signed, "304": {"description": "the client has it already"}, **_errors()},
    }
    keyless = {
        "operationId": "bundleKeys",
        "summary": "The public keys that bundles and offers are verified by",
        "responses": {"200": {"description": "as named", "content": keys}},
    }
    return {"/v1/bundle": {"get": get}, "/.well-known/cashwrap/jwks.json": {"get": keyless}}


def _openfeature() -> Schema:
    """OFREP 0.3; what its stream says is in the specification's own words only."""
    known = [_query("flagConfigEtag"), _query("flagConfigLastModified"), _header("If-None-Match")]
    bulk = {**_evaluated("Flags"), "304": {"description": "the client has it already"}}
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "/ofrep/v1/evaluate/flags": {
            "post": {
                **_evaluation("evaluateFlags", "OpenFeature: every placement as a flag", bulk),
                "parameters": known,
            }
        },
        "/ofrep/v1/evaluate/flags/{key}": {
            "post": {
                **_evaluation("evaluateFlag", "OpenFeature: one placement as a flag", _evaluated("Flag")),
                "parameters": [_part("key")],
            }
        },
        "/ofrep/v1/streams/{key}/{proof}": {
            "get": {
                "operationId": "stream",
                "summary": "OpenFeature: when to evaluate again; the address is in `eventStreams`",
                "parameters": [_part("key"), _part("proof"), _query("since"), _header("Last-Event-ID")],
                "responses": {**_evaluated("Flag"), "200": {"description": "server-sent events", "content": stream}},
            }
        },
    }


def _evaluation(name: str, summary: str, responses: Schema) -> Schema:
    body = _body("EvaluationRequest")
    return {"operationId": name, "summary": summary, "security": _OPENFEATURE, **body, "responses": responses}


def _evaluated(name: str) -> Schema:
    """The answers of an evaluation: what OFREP has a status for, and nothing else."""
    failure = {"application/json": {"schema": {"$ref": _COMPONENTS.format(name="EvaluationFailure")}}}
    failures = {
        status: {"description": text, "content": failure}
        for status, text in _STATUSES.items()
        if status not in _NOT_IN_OFREP
    }
    return {"200": _ok(name)["200"], **failures}


def _administration() -> Schema:
    who = [_query("userId"), _query("anonymousId")]
    name = [_part("name")]
    decision = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    paging = [*name, _query("after"), {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}]
    return {
        "/v1/shoppers": {
            "get": _secret("describeShopper", "One shopper's profile, segments and consent", parameters=who),
            "delete": _secret("forgetShopper", "Forget one shopper for good", parameters=who),
        },
        "/v1/catalog": {"patch": _secret("changeProducts", "New prices and stock", **_body("Deltas"))},
        "/v1/audiences": {"get": _secret("listAudiences", "Every segment with its size")},
        "/v1/audiences/{name}/members": {
            "get": _secret("listMembers", "One page of a segment's members", parameters=paging),
            "post": _secret("pushMembers", "Push members in or take them out", parameters=name, **_body("Pushed")),
        },
        "/v1/webhooks": {
            "get": _secret("listWebhooks", "The webhooks, without secrets"),
            "put": _secret("putWebhook", "Make or change a webhook; shows its secret once", **_body("WebhookBody")),
        },
        "/v1/webhooks/{name}": {"delete": _secret("removeWebhook", "Remove a webhook", parameters=name)},
        "/v1/decisions/{id}": {
            "get": _secret(
                "explainDecision", "A past decision, made again, and the reason of every answer", parameters=decision
            )
        },
        "/v1/previews": {
            "post": _secret("makePreview", "A signed link that shows a variation", **_body("PreviewBody"))
        },
        "/v1/kill": {
            "get": _secret("listSwitches", "What is switched off"),
            "put": _secret("throwSwitch", "Switch something off or on", **_body("SwitchBody")),
        },
        **_versions(),
        **_settling(),
    }


def _versions() -> Schema:
    sides = [{**_query("from"), "required": True}, _query("to")]
    return {
        "/v1/playbook/versions": {
            "get": _secret("listVersions", "Every version of the playbook, and which one is live")
        },
        "/v1/playbook/versions/{hash}": {
            "get": _secret("readVersion", "One version with its texts", parameters=[_part("hash")])
        },
        "/v1/playbook/diff": {
            "get": _secret("compareVersions", "What one version changes of another", parameters=sides)
        },
        "/v1/playbook/rollback": {
            "post": _secret("rollBack", "Make an older version live again", **_body("RollbackBody"))
        },
    }


def _offers() -> Schema:
    """What a backend holds and spends."""
    paths: Schema = {
        f"/v1/offers/{name}": {"post": _spending(f"{name}Offer", summary, body)}
        for name, summary, body in (
            ("reserve", "Hold an offer for a cart, by its token or a code", "ReserveBody"),
            ("redeem", "Spend what is held, for an order", "RedeemBody"),
            ("release", "Give back what is held", "ReleaseBody"),
            ("rollback", "Take a redemption back, wholly or in part", "TakeBackBody"),
        )
    }
    found = {**_secret("readReservation", "A reservation as it is now", parameters=[_part("id")])}
    paths["/v1/offers/reservations/{id}"] = {"get": {**found, "responses": _ok("HeldOffer")}}
    paths["/v1/offers"] = {"get": _secret("listOffers", "Every offer with its limits and how far they are")}
    return paths


def _spending(name: str, summary: str, body: str) -> Schema:
    key = {**_header("Idempotency-Key"), "required": True}
    refusals = {
        "409": "cannot be had, or the first request with this key has no answer yet; the code says which",
        "422": "this key came with another body before",
    }
    schema = {"application/json": {"schema": {"$ref": _COMPONENTS.format(name="ApiError")}}}
    told = {status: {"description": text, "content": schema} for status, text in refusals.items()}
    answers = _errors() if name == "rollbackOffer" else _ok("HeldOffer")
    done = {"200": {"description": "done", "content": {"application/json": {"schema": _LISTS}}}, **answers, **told}
    return {**_secret(name, summary, parameters=[key], **_body(body)), "responses": done}


def _settling() -> Schema:
    one = [_part("number")]
    page = [_query("after"), {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}]
    return {
        "/v1/failed": {
            "get": _secret("listFailed", "Events that could not be kept: reasons", parameters=[_query("code"), *page])
        },
        "/v1/failed/{number}": {"get": _secret("readFailed", "One with all that is kept of it", parameters=one)},
        "/v1/failed/{number}/repair": {
            "post": _secret("repairFailed", "Set right what is wrong in one", parameters=one, **_body("RepairBody"))
        },
        "/v1/failed/replay": {"post": _secret("replayFailed", "Try events again", **_body("ChosenBody"))},
        "/v1/failed/discard": {"post": _secret("discardFailed", "Remove settled ones for good", **_body("ChosenBody"))},
        "/v1/audit": {"get": _secret("readAudit", "Who did what, oldest first", parameters=page)},
    }


def _operations() -> Schema:
    json = {"200": {"description": "as named", "content": {"application/json": {"schema": _LISTS}}}}
    text = {"200": {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    unready = {**json, "503": {"description": "not ready", "content": {"application/json": {"schema": _LISTS}}}}
    return {
        "/healthz": {"get": {"operationId": "healthz", "responses": json}},
        "/readyz": {"get": {"operationId": "readyz", "responses": unready}},
        "/metrics": {"get": {"operationId": "metrics", "responses": text}},
    }


def _operation(name: str, summary: str, body: Schema, responses: Schema) -> Schema:
    return {"operationId": name, "summary": summary, "security": _EITHER, **body, "responses": responses}


def _secret(name: str, summary: str, **more: object) -> Schema:
    answers = {"200": {"description": "done", "content": {"application/json": {"schema": _LISTS}}}, **_errors()}
    return {"operationId": name, "summary": summary, "security": _SECRET, **more, "responses": answers}


def _body(name: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": _COMPONENTS.format(name=name)}}}
    return {"requestBody": {"required": True, "content": content}}


def _ok(name: str) -> Schema:
    schema = {"$ref": _COMPONENTS.format(name=name)}
    return {"200": {"description": "done", "content": {"application/json": {"schema": schema}}}, **_errors()}


def _errors() -> Schema:
    schema = {"application/json": {"schema": {"$ref": _COMPONENTS.format(name="ApiError")}}}
    return {status: {"description": text, "content": schema} for status, text in _STATUSES.items()}


def _query(name: str) -> Schema:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _header(name: str) -> Schema:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _part(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
