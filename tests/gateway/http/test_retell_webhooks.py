"""Retell's event webhooks: the signature over the raw body, and the join to the call's record."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.http.app_keys import CALLS, EVENT_WORK
from gateway.http.signatures import WINDOW_S, before_body, signed
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Start

KEY = "key_test"
RETELL_CALL = "call_0123456789abcdef0123456789a"


def signature(body: str, key: str = KEY, at_ms: int | None = None) -> str:
    at_ms = int(time.time() * 1000) if at_ms is None else at_ms
    digest = hmac.new(key.encode(), f"{body}{at_ms}".encode(), hashlib.sha256).hexdigest()
    return f"v={at_ms},d={digest}"


async def post(gateway: Gateway, body: str, sign: str | None, path: str = "events") -> int:
    headers = {"Content-Type": "application/json"}
    if sign is not None:
        headers["X-Retell-Signature"] = sign
    url = f"{gateway.url}/webhooks/retell/{path}"
    async with gateway.http.post(url, data=body.encode(), headers=headers) as response:
        status = response.status
    if status == 204:  # it is stored; what it changes comes behind the answer
        await gateway.app[EVENT_WORK].idle()
    return status


async def ask(gateway: Gateway, **call: Any) -> Any:
    """The answer to Retell's question about an inbound call."""
    call = {"from_number": "+12125550100", "to_number": TRUNK_DID, **call}
    body = json.dumps({"event": "call_inbound", "event_timestamp": 1, "call_inbound": call})
    headers = {"X-Retell-Signature": signature(body)}
    url = f"{gateway.url}/webhooks/retell/inbound"
    async with gateway.http.post(url, data=body, headers=headers) as response:
        assert response.status == 200
        return (await response.json())["call_inbound"]


async def event(gateway: Gateway, name: str, **call: Any) -> int:
    body = json.dumps({"event": name, "call": {"call_id": RETELL_CALL, **call}})
    return await post(gateway, body, signature(body))


async def ended_call(gateway: Gateway, to: str) -> str:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=to)
        if to == DIAL_DID:
            await jambonz.command()
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()
    return (await gateway.records())[0].call_id


async def test_method_1_call_is_joined_by_its_header(gateway: Gateway) -> None:
    """Only the webhook knows Retell's id of a trunk call."""
    call_id = await ended_call(gateway, TRUNK_DID)
    status = await event(
        gateway,
        "call_ended",
        custom_sip_headers={"x-gateway-call-id": call_id},
        disconnection_reason="agent_hangup",
    )
    assert status == 204
    record = (await gateway.records())[0]
    assert (record.retell_call_id, record.disconnection_reason) == (RETELL_CALL, "agent_hangup")


@pytest.mark.parametrize("header", ["gateway-call-id", "X-Gateway-Call-Id"])
async def test_header_name_in_either_form(gateway: Gateway, header: str) -> None:
    """The docs disagree on whether the X- is stripped."""
    call_id = await ended_call(gateway, TRUNK_DID)
    assert await event(gateway, "call_started", custom_sip_headers={header: call_id}) == 204
    assert (await gateway.records())[0].retell_call_id == RETELL_CALL


async def test_method_2_call_is_joined_by_metadata_or_retells_id(gateway: Gateway) -> None:
    call_id = await ended_call(gateway, DIAL_DID)
    reason = "user_hangup"
    metadata = {"gateway_call_id": call_id}
    assert await event(gateway, "call_ended", metadata=metadata, disconnection_reason=reason) == 204
    assert (await gateway.records())[0].disconnection_reason == reason
    assert await event(gateway, "call_analyzed", disconnection_reason="call_transfer") == 204
    assert (await gateway.records())[0].disconnection_reason == "call_transfer"


async def test_event_in_mid_call_survives_the_calls_end(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        call_id = (await gateway.records())[0].call_id
        headers = {"x-gateway-call-id": call_id}
        await event(gateway, "call_started", custom_sip_headers=headers)
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.state, record.retell_call_id) == ("ended", RETELL_CALL)


@pytest.mark.parametrize("name", ["call_ended", "never_heard_of"])
async def test_event_of_a_call_that_is_not_ours_is_accepted(gateway: Gateway, name: str) -> None:
    """Anything but 2xx would be sent again."""
    assert await event(gateway, name, metadata={"gateway_call_id": "unknown"}) == 204
    assert await gateway.records() == []


async def test_unsigned_and_badly_signed_events_are_refused(gateway: Gateway) -> None:
    body = json.dumps({"event": "call_ended", "call": {"call_id": RETELL_CALL}})
    old = signature(body, at_ms=int(time.time() * 1000) - 301_000)
    for sign in (None, "", "v=1,d=2", signature(body, "another-key"), signature(body + " "), old):
        assert await post(gateway, body, sign) == 401, sign


def off(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


@pytest.mark.parametrize(
    ("sign", "outcome", "words"),
    [
        (lambda: "", "not-signed", "missing"),
        (lambda: "v=1,d=2", "not-signed", "no signature"),
        (lambda: signature("body", "another-key"), "wrong-key", "webhook badge"),
        (lambda: signature("another body"), "wrong-key", "a proxy"),
        (lambda: signature("body", at_ms=off(-3600)), "wrong-clock", "s behind this machine's"),
        (lambda: signature("body", at_ms=off(3600)), "wrong-clock", "s ahead of this machine's"),
    ],
    ids=["none", "odd", "key", "body", "behind", "ahead"],
)
async def test_a_401_tells_a_wrong_clock_from_a_wrong_key(
    gateway: Gateway, sign: Callable[[], str], outcome: str, words: str
) -> None:
    """A signature is made when its test runs: it holds for five minutes."""
    url = f"{gateway.url}/webhooks/retell/events"
    headers = {"X-Retell-Signature": sign()}
    with capture_logs() as lines:
        async with gateway.http.post(url, data=b"body", headers=headers) as response:
            assert response.status == 401
            assert words in await response.text()
    [line] = [line for line in lines if line["event"] == "retell.webhook-refused"]
    assert (line["outcome"], words in line["reason"]) == (outcome, True)
    assert f'outcome="{outcome}"' in await gateway.page()


async def test_signed_nonsense_is_a_bad_request(gateway: Gateway) -> None:
    for body in ("", "[]", "{}", '{"event":"call_ended","call":{}}'):
        assert await post(gateway, body, signature(body)) == 400, body


async def test_body_that_is_no_text_is_a_bad_request(gateway: Gateway) -> None:
    url = f"{gateway.url}/webhooks/retell/events"
    headers = {"X-Retell-Signature": signature("anything")}
    async with gateway.http.post(url, data=b"\xff\xfe", headers=headers) as response:
        assert response.status == 400


async def test_no_key_no_webhooks(start: Start) -> None:
    gateway = await start(retell={}, numbers={"*": {}})
    body = '{"event":"call_ended"}'
    assert await post(gateway, body, signature(body)) == 503


async def test_inbound_call_is_given_its_numbers_agent_and_variables(start: Start) -> None:
    gateway = await start(numbers={TRUNK_DID: {"agent": "agent_1", "variables": {"plan": "gold"}}})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        call_id = (await gateway.records())[0].call_id
        answer = await ask(
            gateway, call_id=RETELL_CALL, custom_sip_headers={"x-gateway-call-id": call_id}
        )
        assert answer == {
            "override_agent_id": "agent_1",
            "dynamic_variables": {"plan": "gold"},
            "metadata": {"gateway_call_id": call_id},
        }
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).retell_call_id == RETELL_CALL


async def test_a_call_of_an_extension_is_given_the_extensions_agent(start: Start) -> None:
    """Retell asks by the number that it knows; an entry of that number itself counts first."""
    own = {"agent": "of the number"}
    extension = {"agent": "of the extension", "retell_number": TRUNK_DID}
    for numbers, agent in (
        ({"pbx/200": extension}, "of the extension"),
        ({"pbx/200": extension, TRUNK_DID: own}, "of the number"),
    ):
        gateway = await start(numbers=numbers)
        assert (await ask(gateway))["override_agent_id"] == agent


async def test_inbound_call_of_which_nothing_is_known_is_left_to_retell(gateway: Gateway) -> None:
    assert await ask(gateway, to_number="+14155550199") == {}


async def test_inbound_question_must_be_signed_and_sensible(gateway: Gateway) -> None:
    assert await post(gateway, "{}", None, "inbound") == 401
    assert await post(gateway, "{}", signature("{}"), "inbound") == 400


def test_signature_vector() -> None:
    """The worked example of Retell's page, at a time outside today's window."""
    digest = "9a7a221c180c1c566e427a1d21a5d059227a71df71c45dfbcc37c21dded22f62"
    body = '{"event":"call_ended","call":{}}'
    theirs = f"v=1700000000000,d={digest}"
    assert signature(body, at_ms=1700000000000) == theirs
    assert signed(body.encode(), KEY, theirs)
    assert before_body(theirs, 1700000000 + WINDOW_S) is None
    assert before_body(theirs, 1700000000 + WINDOW_S + 1) is not None


CALLEE = "+13125550177"
DID = "+14155550100"


async def placed_call(
    gateway: Gateway, to: str = CALLEE, *, busy: bool = False, **more: Any
) -> str:
    """A call that Retell places, from its INVITE to its end; our id."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=to, from_=DID, user="retell", **more)
        if busy:
            await jambonz.refused(486, status="busy")
            await jambonz.declined(486)
        else:
            await jambonz.answered()
            await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()
    return (await gateway.records())[0].call_id


async def told(gateway: Gateway, name: str, **call: Any) -> int:
    """An event of a call that Retell placed: nothing in it is ours but the numbers."""
    return await event(
        gateway, name, **{"direction": "outbound", "from_number": DID, "to_number": CALLEE, **call}
    )


def ms(seconds_ago: float = 0) -> int:
    return int((time.time() - seconds_ago) * 1000)


async def joined(gateway: Gateway) -> list[tuple[str | None, str | None]]:
    """Retell's id and ending of each record, newest first."""
    return [(one.retell_call_id, one.disconnection_reason) for one in await gateway.records()]


async def test_a_call_that_retell_placed_is_joined_by_its_numbers(gateway: Gateway) -> None:
    await placed_call(gateway)
    assert await told(gateway, "call_started", start_timestamp=ms()) == 204
    assert await joined(gateway) == [(RETELL_CALL, None)]
    assert await event(gateway, "call_ended", disconnection_reason="agent_hangup") == 204
    assert await joined(gateway) == [(RETELL_CALL, "agent_hangup")]


async def test_a_call_that_was_never_connected_is_told_of_at_its_end(gateway: Gateway) -> None:
    await placed_call(gateway, busy=True)
    assert await told(gateway, "call_ended", disconnection_reason="dial_busy") == 204
    assert await joined(gateway) == [(RETELL_CALL, "dial_busy")]


async def test_a_call_that_is_still_up_is_joined_at_once(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, from_=DID, user="retell")
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)
        await told(gateway, "call_started", start_timestamp=ms())
        _, body = await gateway.get("/api/v1/calls")
        assert body["items"][0]["retell_call_id"] == RETELL_CALL
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).retell_call_id == RETELL_CALL


async def test_of_two_calls_to_one_number_each_gets_its_own(gateway: Gateway) -> None:
    await placed_call(gateway)
    await placed_call(gateway)
    second, first = await gateway.records()
    for number, record in enumerate((first, second)):
        await told(
            gateway, "call_started", call_id=f"call_{number}", start_timestamp=record.started_ms + 1
        )
    assert await joined(gateway) == [("call_1", None), ("call_0", None)]


@pytest.mark.parametrize(
    "other",
    [
        {"to_number": "+13125550178"},
        {"from_number": "+14155550101"},
        {"direction": "inbound"},
        {"start_timestamp": ms(3600)},
        {"start_timestamp": ms(-3600)},
        {"metadata": {"gateway_call_id": "another"}},
        {"from_number": None, "to_number": None},
    ],
)
async def test_another_call_is_not_taken_for_ours(gateway: Gateway, other: dict[str, Any]) -> None:
    await placed_call(gateway)
    assert await told(gateway, "call_started", **{"start_timestamp": ms(), **other}) == 204
    assert await joined(gateway) == [(None, None)]


async def test_of_two_calls_at_once_the_header_tells_which(gateway: Gateway) -> None:
    """Both to one number, from one number, in the same moment."""
    for campaign in ("7", "8"):
        await placed_call(gateway, headers={"X-Campaign": campaign})
    second, first = await gateway.records()
    at = (first.started_ms + second.started_ms) // 2
    for number, name in enumerate(("X-Campaign", "campaign")):
        await told(
            gateway,
            "call_started",
            call_id=f"call_{number}",
            start_timestamp=at,
            custom_sip_headers={name: str(8 - number)},
        )
    assert await joined(gateway) == [("call_0", None), ("call_1", None)]


async def test_of_two_calls_at_once_none_is_guessed(gateway: Gateway) -> None:
    async with gateway.jambonz() as one, gateway.jambonz() as other:
        for jambonz in (one, other):
            await jambonz.new_call(to=CALLEE, from_=DID, user="retell")
            await jambonz.answered()
        second, first = await gateway.records()
        await told(gateway, "call_started", start_timestamp=second.started_ms)
        assert await joined(gateway) == [(None, None), (None, None)]
        assert second.started_ms - first.started_ms < 500
        await one.callee_hangs_up()
        await other.callee_hangs_up()


async def test_a_webhook_that_comes_again_or_late_changes_nothing(gateway: Gateway) -> None:
    await placed_call(gateway)
    await told(gateway, "call_started", start_timestamp=ms())
    for _ in range(2):
        await told(gateway, "call_ended", disconnection_reason="agent_hangup")
    await told(gateway, "call_started", start_timestamp=ms())
    assert await joined(gateway) == [(RETELL_CALL, "agent_hangup")]


async def test_with_a_caller_id_of_our_own_the_callee_decides(start: Start) -> None:
    gateway = await start(
        outbound={"caller_id": "+14155550188", "routes": [{"trunks": ["carrier"]}]}
    )
    await placed_call(gateway)
    await told(gateway, "call_started", start_timestamp=ms())
    assert await joined(gateway) == [(RETELL_CALL, None)]
