"""Whatever is sent to the API, with whichever token: no answer is an error of ours, and none is of
a kind that the document does not have. What is sent is made of the document, by schemathesis."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.http.api import ROUTES, document
from gateway.http.rules.route import PREFIX, Route
from gateway.start.drain import Drain
from tests.gateway.conftest import TOKEN, Gateway, Json, Start
from tests.gateway.http.document import mistakes, operation_of
from tests.gateway.http.placing import Placing
from tests.gateway.http.test_ladders_api import Remembered, one_call
from tests.gateway.http.test_live_calls_api import Control
from tests.gateway.http.test_queue_api import outbound
from tests.gateway.http.test_trunks_api import Switch
from tests.gateway.storage.conftest import postgres_server, url

__all__ = ["postgres_server", "url"]

#: By role; the second has the token of nobody.
TOKENS: Final = {"none": None, "nobody": "wrong", **{r: r for r in ("read", "operate", "admin")}}
#: Requests an operation and kind of request, each of which is sent with every token.
EXAMPLES: Final = 6
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: A stream of events has no end.
STREAM: Final = "text/event-stream"


class Reload:
    """A configuration that is as it was."""

    async def reload(self) -> Json:
        return {"changed": [], "restart": []}


@pytest.fixture
async def gateway(start: Start, url: str) -> Gateway:
    """One with everything: a queue, a softswitch, a call on record."""
    tokens = [
        {"name": role, "token": token, "role": role, "requests_per_second": 10_000}
        for role, token in TOKENS.items()
        if token == role
    ]
    switch = Switch()
    parts = {
        "queue": Placing().open,
        "find_operations": lambda: switch,
        "messages": Remembered(),
        "lifecycle": Drain(60),
        "reloading": Reload(),
        "control": Control(),
    }
    http = {"tokens": tokens, "admin_token": TOKEN, "requests_per_second": 10_000}
    gateway = await start(make=parts, outbound=outbound(), http=http, storage={"url": url})
    await one_call(gateway)
    return gateway


@pytest.fixture
async def known(gateway: Gateway) -> Json:
    """Values of the path that are there, by name."""
    return {"call_id": (await gateway.records())[0].call_id, "name": "carrier"}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_every_answer_is_as_documented(
    gateway: Gateway, known: Json, mode: GenerationMode
) -> None:
    def ask_all() -> list[str]:
        with requests.Session() as session:
            return _wrong(gateway.url, session, known, mode)

    assert await asyncio.to_thread(ask_all) == []


def _wrong(base: str, session: requests.Session, known: Json, mode: GenerationMode) -> list[str]:
    # tokens are ours to choose
    schema = schemathesis.openapi.from_dict({**document(), "security": []})
    wrong: list[str] = []

    def ask(case: Case[Any]) -> None:
        wrong.extend(_answers(base, session, case, mode))

    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        there = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
        for values in [None, there] if there else [None]:
            _each(operation.as_strategy(mode, path_parameters=values), ask)
    return wrong


def _each(cases: Any, ask: Callable[[Case[Any]], None]) -> None:
    @hypothesis_settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def run(case: Case[Any]) -> None:
        ask(case)

    with suppress(Unsatisfiable):  # nothing can be said wrong where nothing can be said
        run()


def _answers(
    base: str, session: requests.Session, case: Case[Any], mode: GenerationMode
) -> Iterator[str]:
    """What is wrong with the answers to one request, sent with each token."""
    for role, token in TOKENS.items():
        sent = case.as_transport_kwargs(base_url=base)
        sent["headers"]["Authorization"] = f"Bearer {token}" if token else ""
        with session.request(**sent, timeout=20, stream=True) as response:
            kind = response.headers.get("Content-Type", "").partition(";")[0]
            if kind == STREAM:
                continue
            what = f"{role}: {case.operation.label} {sent['url']}: {response.status_code}"
            if (role in ("none", "nobody")) != (response.status_code == 401):
                yield f"{what} {response.text}"
            checks = CHECKS
            too_large = response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE  # refused, too
            if mode == GenerationMode.NEGATIVE and role == "admin" and not too_large:
                checks = [*CHECKS, negative_data_rejection]
            try:
                case.validate_response(response, checks=checks)
            except schemathesis.errors.FailureGroup as error:
                yield f"{what} {error}"


def paths(value: str) -> Iterator[tuple[Route, str]]:
    """Each route with that value in its path, or as one of its parameters."""
    for route in ROUTES:
        path = re.sub(r"\{\w+(:[^}]*)?\}", value, PREFIX + route.path)
        if path != PREFIX + route.path:
            yield route, path
        for name, field in route.query.model_fields.items():
            yield route, f"{path}?{field.alias or name}={value}"


@pytest.mark.parametrize("value", ["%00", "%ED%A0%80", "%FF", "%2F", "%2e%2e%2f", "a" * 4000, "+"])
async def test_no_text_is_too_odd(gateway: Gateway, value: str) -> None:
    """PostgreSQL refuses what SQLite takes: NUL, half characters, what is too long."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for route, path in paths(value):
        if route.answer == STREAM:
            continue
        async with gateway.http.request(
            route.method, gateway.url + path, headers=headers, raise_for_status=False
        ) as response:
            assert response.status < 500, f"{route.name} {path[:80]}: {await response.text()}"


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+23:59", "1969-12-31", "9999-12-31T23:59:59-23:59", "2500-01-01"]
)
async def test_a_time_that_nobody_can_mean_is_refused(gateway: Gateway, time: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    call = {"to": "+12125550123", "from": "+14155550100"}
    for method, path, body in (
        ("GET", f"/calls?since={quote(time)}", None),
        ("POST", "/blocked-callers", {"caller": "anonymous", "until": time}),
        ("POST", "/calls", {**call, "not_before": time}),
        ("POST", "/calls", {**call, "expires": time}),
    ):
        async with gateway.http.request(
            method, gateway.url + PREFIX + path, headers=headers, json=body
        ) as response:
            assert response.status == 400, f"{path}: {await response.text()}"


async def test_a_body_that_is_too_long_is_told_so(gateway: Gateway) -> None:
    """By an answer that the document has, as every answer here."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/calls", "/do-not-call", "/campaigns/one/pause"):
        more = {"Idempotency-Key": path}
        async with gateway.http.post(
            gateway.url + PREFIX + path, headers=headers | more, data=b" " * 100_000
        ) as response:
            assert (response.status, (await response.json())["code"]) == (413, "too-large")


async def test_a_cursor_is_what_next_was(gateway: Gateway) -> None:
    """Any other text would have its place in the order of ids: the list would begin again there,
    and who reads it page by page would never come to its end."""
    for route in ROUTES:
        if (
            route.query is not None
            and "cursor" in route.query.model_fields
            and "{" not in route.path
        ):
            if route.path in ("/do-not-call", "/recordings"):
                continue  # a number is a place; nothing is recorded here
            for cursor in ("", "garbage", "0", "zz" * 16, "%2B1"):
                status, body = await gateway.get(f"{PREFIX}{route.path}?cursor={cursor}")
                assert (status, body.get("code")) == (400, "bad-parameter"), route.path
                assert body["detail"].startswith("cursor must be what"), route.path


async def test_a_parameter_is_given_once(gateway: Gateway) -> None:
    status, body = await gateway.get(f"{PREFIX}/calls?limit=1&limit=2")
    assert (status, body["detail"]) == (400, "limit is given twice")


def test_an_answer_that_is_not_documented_would_be_found() -> None:
    operation = operation_of("GET", f"{PREFIX}/calls")
    assert operation is not None
    assert "418" not in operation["responses"]
    assert mistakes({"$ref": "#/components/schemas/Problem"}, {"status": "418"})
