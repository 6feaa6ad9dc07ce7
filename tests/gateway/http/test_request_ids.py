"""The id of a request is in its answer, in its problem, and in the lines that it causes."""

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.http.rules.route import PREFIX
from gateway.log import _add_request_id
from tests.gateway.conftest import TOKEN, Gateway

HEADER = "X-Request-Id"


async def ask(gateway: Gateway, path: str, **headers: str) -> tuple[str, str | None]:
    """The id of the answer, and that of its problem if it is one."""
    async with gateway.http.get(gateway.url + path, headers=headers) as response:
        body = await response.json()
        return response.headers[HEADER], body.get("request_id")


@pytest.mark.parametrize("path", [f"{PREFIX}/calls", "/nothing", "/webhooks/retell/nothing"])
async def test_a_clients_own_id_comes_back(gateway: Gateway, path: str) -> None:
    assert await ask(gateway, path, **{HEADER: "job-7.1:a/b"}) == ("job-7.1:a/b",) * 2


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "é"])
async def test_what_is_no_id_is_replaced(gateway: Gateway, given: str) -> None:
    told, problem = await ask(gateway, f"{PREFIX}/calls", **{HEADER: given})
    assert told != given
    assert told == problem
    assert len(told) == 32


async def test_an_answer_without_a_problem_has_one_too(gateway: Gateway) -> None:
    assert len((await ask(gateway, "/healthz"))[0]) == 32
    headers = {"Authorization": f"Bearer {TOKEN}"}
    one, other = [(await ask(gateway, f"{PREFIX}/calls", **headers))[0] for _ in range(2)]
    assert one != other, "each request of a connection has its own"


async def test_lines_of_the_log_have_it(gateway: Gateway) -> None:
    captured = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[_add_request_id, captured])
    try:
        async with gateway.http.post(
            f"{gateway.url}/webhooks/retell/events", headers={HEADER: "job-7"}
        ) as response:
            assert response.status == 401
        await ask(gateway, "/healthz")
        structlog.get_logger().info("something.else")
    finally:
        structlog.configure(processors=before)
    told = {line["event"]: line.get("request_id") for line in captured.entries}
    assert told["retell.webhook-refused"] == "job-7"
    assert told["something.else"] is None
