"""Whether what the API answers is what its OpenAPI document says."""

import re
from typing import Any, Final

import aiohttp
from jsonschema import Draft202012Validator

from gateway.http.api import document
from gateway.http.rules.route import PREFIX

PROBLEM: Final = "application/problem+json"


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document has for a request; None where it has nothing."""
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\{(\w+)\}", lambda value: _VALUES.get(value[1], "[^/]+"), template)
        if re.fullmatch(pattern, path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


_VALUES: Final = {"address": ".+", "number": ".+"}


def mistakes(schema: dict[str, Any], answer: Any) -> list[str]:
    """Where an answer is not as its schema says."""
    whole = {**schema, "components": document()["components"]}
    return [f"{error.json_path}: {error.message}" for error in _errors(whole, answer)]


def _errors(schema: dict[str, Any], answer: Any) -> Any:
    return Draft202012Validator(schema).iter_errors(answer)


async def conforms(response: aiohttp.ClientResponse) -> None:
    """For `ClientSession(raise_for_status=…)`: every answer of the API that a test sees is held
    against the document."""
    if not response.url.path.startswith(PREFIX):
        return
    assert response.headers["X-Request-Id"]
    what = f"{response.method} {response.url.path}: {response.status}"
    operation = operation_of(response.method, response.url.path)
    if operation is None:
        assert response.status in (401, 403, 404, 405), f"{what} is not in the document"
        schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    else:
        told = operation["responses"].get(str(response.status))
        assert told is not None, f"{what} is not in the document"
        content = told.get("content")
        if content is None:
            assert await response.read() == b"", f"{what} has a body"
            return
        assert response.content_type in content, f"{what}: {response.content_type}"
        schema = content[response.content_type].get("schema", {})
    if response.content_type not in ("application/json", PROBLEM):
        return
    assert mistakes(schema, await response.json()) == [], what
