"""/api/v1/openapi.json: a document that others can read, of all that is there and nothing else."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.http.api import ROUTES, document
from gateway.http.rules.route import PREFIX
from tests.gateway.conftest import Gateway
from tests.gateway.http.document import mistakes, operation_of


def test_the_document_is_openapi_3_1() -> None:
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []
    assert document()["openapi"].startswith("3.1")


async def test_every_route_under_api_is_described_and_every_description_has_a_route(
    gateway: Gateway,
) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in gateway.app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and route.resource.canonical.startswith("/api")
    }
    described = {
        (method.upper(), path)
        for path, operations in document()["paths"].items()
        for method in operations
    }
    assert served == described
    assert len(described) == len(ROUTES)


async def test_it_is_served_to_who_may_read(gateway: Gateway) -> None:
    assert await gateway.get(f"{PREFIX}/openapi.json") == (200, document())
    assert (await gateway.get(f"{PREFIX}/openapi.json", None))[0] == 401


def test_names_of_operations_are_one_each() -> None:
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)


def test_every_parameter_and_member_says_what_it_must_be() -> None:
    """It is what whoever gives something else is told."""
    models = [route.query for route in ROUTES] + [route.body for route in ROUTES if route.body]
    silent = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({"draining": False, "calls": 0, "ends_in_s": None}, []),
        ({"draining": False, "calls": 0}, ["$: 'ends_in_s' is a required property"]),
        ({"draining": "no", "calls": 0, "ends_in_s": 1}, ["$.draining: 'no' is not of type"]),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(answer: Any, wrong: list[str]) -> None:
    operation = operation_of("GET", f"{PREFIX}/drain")
    assert operation is not None
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    found = mistakes(schema, answer)
    assert [text[: len(start)] for text, start in zip(found, wrong, strict=True)] == wrong


def test_a_file_is_no_json() -> None:
    operation = operation_of("GET", f"{PREFIX}/recordings/one/audio")
    assert operation is not None
    assert operation["responses"]["200"]["content"] == {"audio/wav": {}}
    assert operation_of("PUT", f"{PREFIX}/drain") is None
