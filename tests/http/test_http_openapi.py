"""The OpenAPI document against the running server: nothing it allows makes the server fail or answer otherwise."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cashwrap import audiences
from cashwrap.serve.openapi import document
from cashwrap.serve.operations import VERSION
from servers import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


SCHEMA = schemathesis.openapi.from_dict(document(VERSION))
OPERATIONS = {operation.ok().label: operation.ok() for operation in SCHEMA.get_all_operations()}


def conforms(server: Server, label: str, key: str, examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(OPERATIONS[label].as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=server.url, checks=CHECKS, headers={"Authorization": f"Bearer {key}"})

    ask()


@pytest.mark.parametrize("label", list(OPERATIONS))
def test_the_server_does_what_its_document_says(server: Server, label: str) -> None:
    conforms(server, label, server.shop.secret_text, 8)
    conforms(server, label, server.shop.public_text, 3)


def test_a_server_that_does_otherwise_is_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    for planted, complaint in ((broken, "Server error"), (lambda *_: ["no object"], "Response violates schema")):
        monkeypatch.setattr(audiences, "sizes", planted)
        with pytest.raises(BaseExceptionGroup) as found:
            conforms(server, "GET /v1/audiences", server.shop.secret_text, 1)
        assert any(complaint in str(each) for each in found.value.exceptions)


def test_every_path_is_in_the_document_and_every_reference_leads_somewhere(server: Server) -> None:
    told = server.http.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    names = set(told["components"]["schemas"])
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(value[name] for name in value if name == "$ref")
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(told)
    assert found
    assert [ref for ref in found if ref.rpartition("/")[2] not in names] == []
    operations = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations))
