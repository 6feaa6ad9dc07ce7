"""What is no JSON is refused as such, wherever JSON is taken: pydantic's own parser takes more."""

import pytest

from tests.gateway.conftest import TOKEN, TRUNK_DID, Gateway, Start
from tests.gateway.http.placing import Placing
from tests.gateway.http.test_queue_api import outbound
from tests.gateway.http.test_retell_webhooks import post, signature

NONE = ["NaN", "-Infinity", "1e400", '"\\ud800"', "0x1", "1,", "'a'"]


@pytest.mark.parametrize("value", NONE)
async def test_a_webhook(gateway: Gateway, value: str) -> None:
    call = f'{{"call_id": "call_1", "from_number": "+1", "to_number": "{TRUNK_DID}", "n": {value}}}'
    for path, body in {
        "events": f'{{"event": "call_ended", "call": {call}}}',
        "inbound": f'{{"event": "call_inbound", "call_inbound": {call}}}',
        "function/transfer": f'{{"name": "transfer_call", "call": {call}, "args": {{}}}}',
    }.items():
        assert await post(gateway, body, signature(body), path) == 400, path
        good = body.replace(value, "1e300")
        assert await post(gateway, good, signature(good), path) in (200, 204), path


@pytest.mark.parametrize("value", NONE)
async def test_the_api(start: Start, value: str) -> None:
    gateway = await start(make={"queue": Placing().open}, outbound=outbound())
    call = f'"from": "+14155550100", "agent": "agent_1", "metadata": {{"n": {value}}}'
    one = f'{{"to": "+12125550123", {call}}}'
    many = f'{{"name": "one", "calls": [{one}]}}'
    for path, body, taken in (("/calls", one, 202), ("/campaigns", many, 200)):
        for number, text in enumerate((body, body.replace(value, "1e300"))):
            async with gateway.http.post(
                f"{gateway.url}/api/v1{path}",
                data=text.encode(),
                headers={
                    "Authorization": f"Bearer {TOKEN}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": f"{path}{number}",
                },
            ) as response:
                told = await response.json()
                assert response.status == (taken if number else 400), told
                assert number or told["code"] == "bad-body"
