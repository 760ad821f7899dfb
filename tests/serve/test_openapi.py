"""The service keeps what its own OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ordervet.serve.answers import build_openapi
from service_makers import ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0123456789abcdef0123"  # noqa: S105 - of these tests
CHECKS = [
    not_a_server_error, content_type_conformance, response_headers_conformance, response_schema_conformance,
    status_code_conformance,
]  # fmt: skip
OPERATIONS = [(method, path) for path, methods in build_openapi("0")["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    history = tmp_path_factory.mktemp("o") / "h"
    options = ("--host", "127.0.0.1", "--port", "0", "--deadline-ms", "20000")
    with ServiceProcess(history, *options, ORDERVET_TOKEN=TOKEN) as running:
        yield next(each for each in json.loads(running.said)["listens_at"] if each.startswith("http"))


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda each: each)
def test_service_answers_as_its_document_says(url: str, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    operation = schema[path][method.upper()]

    @given(case=operation.as_strategy())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    check()


def test_examples_of_the_document_are_answered(url: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    document = build_openapi("0")

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    answered = {}
    for method, path in OPERATIONS:
        media = document["paths"][path][method].get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in media.get("examples", {}).items():
            case = schema[path][method.upper()].Case(body=example["value"], media_type="application/json")
            answered[f"{path} {name}"] = case.call_and_validate(headers=headers, checks=CHECKS).status_code

    assert answered == {
        "/v1/score one": 200, "/v1/score many": 200, "/v1/rescore id": 200, "/v1/claims one": 200,
        "/v1/events one": 200,
    }  # fmt: skip
