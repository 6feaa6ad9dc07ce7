"""The API's description in OpenAPI 3.1, made of its routes and their models."""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from gateway.http.problems import CONTENT_TYPE, Problem
from gateway.http.rules.idempotency import HEADER as IDEMPOTENCY_KEY
from gateway.http.rules.request_ids import HEADER as REQUEST_ID
from gateway.http.rules.route import PREFIX, Route
from gateway.http.rules.uploads import Upload

Json: TypeAlias = dict[str, Any]
#: By model and mode.
_Schemas: TypeAlias = Mapping[Any, Json]

_REF: Final = "#/components/schemas/{model}"
#: A part of aiohttp's path that stands for a value, with its pattern if it has one.
_VALUE: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
#: What any route may be refused with.
_COMMON: Final = {
    400: "bad-parameter, bad-body, bad-idempotency-key",
    401: "unauthorized: no token, or none that is known",
    403: "forbidden: the token's role is not enough; api-off: there are no tokens",
    429: "too-many-requests: Retry-After says when to ask again",
    500: "internal",
    503: "no-storage: ask again after Retry-After",
}
#: What a file may be refused with.
_FILE: Final = {
    408: "too-slow",
    413: "too-large",
    415: "bad-content-type, bad-content-encoding",
    503: "busy, no-disk, no-storage: ask again after Retry-After",
}
_ABOUT: Final = """\
Lists are {items, next}: ask with cursor set to next for the page after. Errors are problems \
(RFC 9457), of which code is for programs. Answers have X-Request-Id, which is the client's own \
where it sent one."""


def describe(routes: Iterable[Route], version: str) -> Json:
    """The document."""
    routes = list(routes)
    wanted = dict.fromkeys((model, mode) for route in routes for model, mode in _models(route))
    schemas, defined = models_json_schema([*wanted, (Problem, "validation")], ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        path = PREFIX + _VALUE.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "retell-sip-gateway", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": defined["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _models(route: Route) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    for model in (route.body, *(route.upload.types.values() if route.upload else ())):
        if model is not None:
            yield model, "validation"
    if isinstance(route.answer, type):
        yield route.answer, "serialization"


def _operation(route: Route, schemas: _Schemas) -> Json:
    refusals = {**_COMMON, **route.refusals}
    if route.upload is not None:
        refusals |= _FILE
    elif route.body is not None or route.method == "POST":  # a key's answer depends on the body
        refusals |= {413: "too-large", 415: "bad-content-encoding"}
    if route.method == "POST":
        refusals[422] = ", ".join(filter(None, (route.refusals.get(422), "idempotency-key-reused")))
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"{_first_paragraph(route)} For tokens of the role {route.role} or higher.",
        "parameters": [*_in_path(route), *_in_query(route), *_in_head(route)],
        "responses": {
            str(route.status): _answer(route, schemas),
            **{str(status): _problem(status, text) for status, text in sorted(refusals.items())},
        },
    }
    if route.upload is not None:
        operation["requestBody"] = _file(route.upload, schemas)
    if route.body is not None:
        schema = schemas[route.body, "validation"]
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _file(upload: Upload, schemas: _Schemas) -> Json:
    content: Json = {}
    for name, model in upload.types.items():
        schema: Json = {"type": "string"}
        content[name] = {"schema": schema if model is None else schemas[model, "validation"]}
    return {"required": True, "content": content}


def _first_paragraph(route: Route) -> str:
    text = (route.handler.__doc__ or route.summary).partition("\n\n")[0]
    return " ".join(text.split())


def _in_path(route: Route) -> Iterator[Json]:
    for name in _VALUE.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(route: Route) -> Iterator[Json]:
    shape = route.query.model_json_schema(ref_template=_REF)
    for name, schema in shape.get("properties", {}).items():
        description = schema.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in shape.get("required", ()),
            "description": description,
            "schema": _said(schema),
        }


def _said(schema: Json) -> Json:
    """A parameter's schema where it is given: left out, it is null, which nobody can write."""
    kept = {name: value for name, value in schema.items() if name not in ("title", "anyOf")}
    if kept.get("default", 0) is None:
        del kept["default"]
    given = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return kept | (given[0] if given else {})


def _in_head(route: Route) -> Iterator[Json]:
    if route.method == "POST":
        yield {
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": False,
            "description": "the same key within an hour: the same answer, and nothing done",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    if route.answer == "text/event-stream":
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "the id of the last event that was seen: the stream goes on after it",
            "schema": {"type": "string"},
        }


def _answer(route: Route, schemas: _Schemas) -> Json:
    answer: Json = {
        "description": HTTPStatus(route.status).phrase,
        "headers": {REQUEST_ID: {"schema": {"type": "string"}}},
    }
    if isinstance(route.answer, str):
        answer["content"] = {route.answer: {}}
    elif route.answer is not None:
        schema = schemas[route.answer, "serialization"]
        answer["content"] = {"application/json": {"schema": schema}}
    return answer


def _problem(status: int, text: str) -> Json:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {
        "description": f"{HTTPStatus(status).phrase}: {text}",
        "content": {CONTENT_TYPE: {"schema": schema}},
    }
