"""Calls of Twilio Programmable Voice: what Twilio is told, and what is on record."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError, web
from twilio.request_validator import RequestValidator

from gateway.http.app_keys import CALLS, STREAMS
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Retell, registered
from tests.gateway.http.test_retell_webhooks import RETELL_CALL, event
from tests.gateway.twilio.conftest import StartTwilio
from tests.gateway.twilio.vendor import (
    CALLER,
    PERSON,
    PUBLIC,
    SUB,
    SUB_TOKEN,
    TOKEN,
    Twilio,
    Verb,
    call_of,
    read,
    sid,
)
from tests.ports import free_port

SORRY = "We are sorry."


async def record_of(twilio: Twilio) -> CallRecord:
    records = await twilio.gateway.records()
    assert len(records) == 1
    return records[0]


def leg_of(verbs: list[Verb]) -> str:
    return verbs[0].noun_said["statusCallback"]


async def test_a_call_is_registered_and_dialled(twilio: Twilio, retell: Retell) -> None:
    """twilio.com/docs/voice/twiml/sip; the agent is called by the call that is registered."""
    verbs = await twilio.voice(DIAL_DID, StirVerstat="TN-Validation-Passed-A")
    record = await record_of(twilio)
    asked = retell.requests[0]
    assert (asked["agent_id"], asked["direction"]) == ("agent_2", "inbound")
    assert (asked["from_number"], asked["to_number"]) == (CALLER, DIAL_DID)
    assert asked["metadata"] == {"gateway_call_id": record.call_id, "twilio_call_sid": sid()}
    assert asked["retell_llm_dynamic_variables"] == {"plan": "gold"}
    dial = verbs[0]
    assert (dial.name, dial.noun) == ("Dial", "Sip")
    assert dial.text.startswith(f"sip:{RETELL_CALL}@sip.retellai.com")
    assert dial.said == {
        "action": f"{PUBLIC}/webhooks/twilio/dialled/{record.call_id}/retell",
        "answerOnBridge": "true",
        "timeout": "45",
    }
    assert dial.noun_said["statusCallbackEvent"] == "initiated ringing answered completed"
    assert (record.trunk, record.method, record.agent) == ("twilio", "dial", "agent_2")
    assert (record.state, record.retell_call_id) == ("live", RETELL_CALL)
    assert record.headers == {"verstat": "TN-Validation-Passed-A"}
    assert record.attempts == []  # nobody was dialled yet


async def test_a_whole_call(twilio: Twilio) -> None:
    verbs = await twilio.voice(DIAL_DID)
    for status in ("initiated", "ringing", "in-progress"):
        await twilio.leg(leg_of(verbs), status)
    record = await record_of(twilio)
    assert (record.state, record.attempts[0]["code"]) == ("live", 200)
    after = await twilio.action(
        verbs[0].said["action"],
        DialCallStatus="completed",
        DialCallDuration="12",
        DialSipCallId="abc@192.0.2.1",
        CallStatus="in-progress",
    )
    assert [verb.name for verb in after] == ["Hangup"]
    await twilio.leg(leg_of(verbs), "completed", CallDuration="12")
    await twilio.status("completed", CallDuration="13")
    record = await record_of(twilio)
    assert (record.state, record.cause, record.ended_by) == ("ended", "hangup", "callee")
    assert (record.duration_s, record.sip_status, record.fault) == (12.0, 200, "nobody")
    assert record.attempts[0]["sip_call_id"] == "abc@192.0.2.1"
    page = await twilio.gateway.page()
    assert 'gateway_calls_ended_total{cause="hangup",direction="inbound",fault="nobody"' in page
    assert "gateway_calls_live 0.0" in page


async def test_the_same_request_again_is_the_same_call(twilio: Twilio, retell: Retell) -> None:
    """Twilio repeats a webhook whose answer it did not get; whoever replays one gains nothing."""
    first, second = await asyncio.gather(twilio.voice(DIAL_DID), twilio.voice(DIAL_DID))
    assert first == second == await twilio.voice(DIAL_DID)
    assert len(retell.requests) == 1
    await record_of(twilio)


async def test_a_repetition_after_a_restart_is_the_same_call(
    start_twilio: StartTwilio, retell: Retell
) -> None:
    first = await start_twilio()
    verbs = await first.voice(DIAL_DID)
    await first.gateway.stop()
    second = await start_twilio()
    assert (await second.voice(DIAL_DID))[0].text == verbs[0].text
    assert len(retell.requests) == 1
    await second.leg(leg_of(verbs), "in-progress")
    assert (await record_of(second)).state == "live"
    done = {"DialCallStatus": "completed", "DialCallDuration": "9"}
    await second.action(verbs[0].said["action"], CallStatus="completed", **done)
    record = await record_of(second)
    assert (record.state, record.cause, record.ended_by) == ("ended", "hangup", "caller")
    await second.gateway.stop()
    third = await start_twilio()  # the call is long over: nothing is registered, nobody dialled
    assert [verb.name for verb in await third.voice(DIAL_DID)] == ["Hangup"]
    assert len(retell.requests) == 1


async def test_an_agent_may_stand_in_the_url(twilio: Twilio, retell: Retell) -> None:
    await twilio.voice("agent_9")
    assert retell.requests[0]["agent_id"] == "agent_9"
    assert retell.requests[0]["to_number"] == DIAL_DID


async def test_a_number_that_trunks_would_call_is_registered_all_the_same(
    twilio: Twilio, retell: Retell
) -> None:
    await twilio.voice(TRUNK_DID, To=TRUNK_DID)
    assert retell.requests[0]["agent_id"] == "agent_1"


async def test_without_a_number_in_the_url_the_called_one_counts(
    twilio: Twilio, retell: Retell
) -> None:
    status, document = await twilio.request("/webhooks/twilio/voice", call_of())
    assert status == 200
    assert read(document)[0].noun == "Sip"
    assert retell.requests[0]["to_number"] == DIAL_DID


async def test_a_get_is_answered_too(twilio: Twilio) -> None:
    path = f"/webhooks/twilio/voice/{DIAL_DID}"
    status, document = await twilio.request(path, call_of(), method="GET")
    assert status == 200
    assert read(document)[0].noun == "Sip"


async def test_a_call_that_twilio_placed_for_us(twilio: Twilio, retell: Retell) -> None:
    """Its caller is our number, and the agent talks to whom we called."""
    ours = {"From": DIAL_DID, "To": PERSON, "Direction": "outbound-api"}
    await twilio.voice(DIAL_DID, **ours)
    asked = retell.requests[0]
    assert (asked["direction"], asked["agent_id"]) == ("outbound", "agent_2")
    assert (asked["from_number"], asked["to_number"]) == (DIAL_DID, PERSON)
    assert (await record_of(twilio)).direction == "outbound"


async def test_a_subaccounts_call(twilio: Twilio) -> None:
    verbs = await twilio.voice(DIAL_DID, AccountSid=SUB, token=SUB_TOKEN)
    assert verbs[0].noun == "Sip"


@pytest.mark.parametrize("path", ["voice/+14155550101", "status", "amd", "connected/CA1"])
async def test_what_twilio_did_not_sign_is_refused(
    twilio: Twilio, retell: Retell, path: str
) -> None:
    path = f"/webhooks/twilio/{path}"
    for options in ({"forge": True}, {"token": "another"}):
        status, _ = await twilio.request(path, call_of(), **options)
        assert status == 403
    async with twilio.gateway.http.post(twilio.gateway.url + path, data=call_of()) as response:
        assert (response.status, (await response.json())["code"]) == (403, "not-signed")
    assert retell.requests == []
    assert await twilio.gateway.records() == []
    assert 'outcome="wrong-key",request="none"' in await twilio.gateway.page()


async def test_a_request_about_no_call_is_told_so(twilio: Twilio) -> None:
    fields = call_of() | {"CallSid": "nonsense"}
    status, body = await twilio.request("/webhooks/twilio/status", fields)
    assert (status, "not-a-call" in body) == (400, True)


async def test_without_a_section_there_are_no_webhooks(gateway: Gateway) -> None:
    status, _ = await Twilio(gateway).request("/webhooks/twilio/status", call_of())
    assert status == 404


def failing(status: int) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error_message": "no"}, status=status)

    return answer


@pytest.fixture
def answer(request: pytest.FixtureRequest, retell: Retell) -> Iterator[None]:
    """What Retell answers: a status, or nothing (0)."""
    late = asyncio.Event()

    async def slow(asked: web.Request) -> web.StreamResponse:
        await late.wait()
        return await registered(asked)

    retell.answer = failing(request.param) if request.param else slow
    yield
    late.set()


@pytest.mark.parametrize(
    ("answer", "cause", "fault"),
    [
        (402, "retell-payment-required", "operator"),
        (422, "retell-unprocessable", "operator"),
        (429, "retell-throttled", "retell"),
        (500, "retell-server-error", "retell"),
        (0, "retell-timeout", "retell"),
    ],
    indirect=["answer"],
)
@pytest.mark.parametrize("dial", [None, "+14155550199"])
async def test_when_retell_fails_the_caller_hears_so(
    start_twilio: StartTwilio, answer: None, cause: str, fault: str, dial: str | None
) -> None:
    """Within Twilio's 5 s for trial accounts, and 15 s for others."""
    twilio = await start_twilio(fallback={"dial": dial} if dial else {}, voice="Polly.Joanna")
    async with asyncio.timeout(4):
        verbs = await twilio.voice(DIAL_DID)
    wanted = ["Say", "Dial", "Hangup"] if dial else ["Say", "Hangup"]
    assert [verb.name for verb in verbs] == wanted
    assert verbs[0].text.startswith(SORRY)
    assert verbs[0].said == {"voice": "Polly.Joanna"}
    record = await record_of(twilio)
    assert (record.cause, record.fault) == (cause, fault)
    assert record.attempts[0]["reason"] == cause
    assert record.attempts[0]["code"] is None
    if dial is None:
        assert record.state == "ended"
        return
    assert (verbs[1].noun, verbs[1].text, record.state) == ("Number", dial, "live")
    done = {"DialCallStatus": "completed", "DialCallDuration": "5"}
    after = await twilio.action(verbs[1].said["action"], **done)
    record = await record_of(twilio)
    assert [verb.name for verb in after] == ["Hangup"]
    assert (record.state, record.cause) == ("ended", "hangup")
    assert [(one["role"], one["target"], one["code"]) for one in record.attempts] == [
        ("retell", "registered call", None),
        ("fallback", dial, 200),
    ]


@pytest.mark.parametrize("dial", [None, "+14155550199"])
async def test_when_nobody_listens_at_retells_address_the_caller_hears_so(
    start_twilio: StartTwilio, retell: Retell, dial: str | None
) -> None:
    retell.url = f"http://127.0.0.1:{free_port()}"
    twilio = await start_twilio(fallback={"dial": dial} if dial else {})
    async with asyncio.timeout(4):
        verbs = await twilio.voice(DIAL_DID)
    assert [verb.name for verb in verbs] == ["Say", *(["Dial"] if dial else []), "Hangup"]
    record = await record_of(twilio)
    assert (record.cause, record.fault) == ("retell-unreachable", "retell")
    assert (record.state, record.retell_call_id) == ("live" if dial else "ended", None)


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"{}", b'{"call_id": null}', b""])
async def test_a_call_that_retell_registered_and_did_not_name(
    start_twilio: StartTwilio, retell: Retell, body: bytes
) -> None:
    """It exists there, and cannot be dialled; it is not registered a second time."""

    async def odd(_: web.Request) -> web.Response:
        return web.Response(status=201, body=body, content_type="application/json")

    retell.answer = odd
    twilio = await start_twilio()
    assert [verb.name for verb in await twilio.voice(DIAL_DID)] == ["Say", "Hangup"]
    assert len(retell.requests) == 1
    record = await record_of(twilio)
    assert (record.cause, record.fault) == ("retell-server-error", "retell")


async def test_a_registration_that_came_too_late_is_known_by_its_end(
    start_twilio: StartTwilio, retell: Retell
) -> None:
    """We gave up after 2 s, and Retell had registered the call all the same: nobody dials it, and
    Retell says so after five minutes."""
    late = asyncio.Event()

    async def slow(asked: web.Request) -> web.StreamResponse:
        await late.wait()
        return await registered(asked)

    retell.answer = slow
    twilio = await start_twilio()
    try:
        async with asyncio.timeout(4):
            assert (await twilio.voice(DIAL_DID))[0].name == "Say"
    finally:
        late.set()
    asked = retell.requests[0]["metadata"]["gateway_call_id"]
    reason = "registered_call_timeout"
    told = {"metadata": {"gateway_call_id": asked}, "disconnection_reason": reason}
    assert await event(twilio.gateway, "call_ended", **told) == 204
    record = await record_of(twilio)
    assert record.call_id == asked
    assert (record.cause, record.retell_call_id) == ("retell-timeout", RETELL_CALL)
    assert record.disconnection_reason == reason


async def test_when_retell_is_down_the_caller_hears_so(
    start_twilio: StartTwilio, retell: Retell
) -> None:
    twilio = await start_twilio(sections={"retell": {"api_key": "key_test"}})
    assert twilio.gateway.app_settings().retell.base_url == retell.url
    retell.answer = failing(503)
    for number in range(8):
        verbs = await twilio.voice(DIAL_DID, sid(number))
        assert verbs[0].text.startswith(SORRY)
    asked = len(retell.requests)
    await twilio.voice(DIAL_DID, sid(9))
    assert len(retell.requests) == asked  # the circuit is open: nobody waits for it
    causes = [record.cause for record in await twilio.gateway.records()]
    assert causes[0] == "retell-not-asked"


@pytest.mark.parametrize(
    ("told", "cause", "fault"),
    [
        (
            {"DialCallStatus": "failed", "DialSipResponseCode": "404"},
            "unknown-destination",
            "retell",
        ),
        ({"DialCallStatus": "busy"}, "busy", "retell"),
        ({"DialCallStatus": "no-answer"}, "no-answer", "retell"),
        ({"DialCallStatus": "failed", "DialSipResponseCode": "503"}, "unavailable", "retell"),
    ],
)
async def test_an_agent_that_does_not_answer_is_made_up_for(
    twilio: Twilio, told: dict[str, str], cause: str, fault: str
) -> None:
    verbs = await twilio.voice(DIAL_DID)
    await twilio.leg(leg_of(verbs), "initiated")
    after = await twilio.action(verbs[0].said["action"], **told)
    assert [verb.name for verb in after] == ["Say", "Hangup"]
    assert await twilio.action(verbs[0].said["action"], **told) == after
    record = await record_of(twilio)
    assert (record.state, record.cause, record.fault) == ("ended", cause, fault)


async def test_a_caller_who_leaves_first(twilio: Twilio) -> None:
    verbs = await twilio.voice(DIAL_DID)
    await twilio.leg(leg_of(verbs), "ringing")
    gone = {"DialCallStatus": "canceled", "CallStatus": "completed"}
    after = await twilio.action(verbs[0].said["action"], **gone)
    assert [verb.name for verb in after] == ["Hangup"]
    record = await record_of(twilio)
    assert (record.cause, record.ended_by, record.fault) == ("cancelled", "caller", "nobody")


async def test_a_caller_who_leaves_while_retell_is_asked(
    start_twilio: StartTwilio, retell: Retell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that Retell has registered by then is on record, and nobody dials it."""
    monkeypatch.setattr("gateway.twilio.voice_calls.DIALS_S", 0.05)
    asked_for, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(asked: web.Request) -> web.StreamResponse:
        asked_for.set()
        await goes_on.wait()
        return await registered(asked)

    retell.answer = slow
    twilio = await start_twilio()
    voice = asyncio.create_task(twilio.voice(DIAL_DID))
    await asked_for.wait()
    await twilio.status("completed", CallDuration="1")
    record = await record_of(twilio)
    assert (record.state, record.cause, record.retell_call_id) == ("ended", "cancelled", None)
    goes_on.set()
    await voice
    await twilio.status("completed", CallDuration="1")
    record = await record_of(twilio)
    assert (record.cause, record.ended_by, record.fault) == ("cancelled", "caller", "nobody")
    assert (record.retell_call_id, record.attempts) == (RETELL_CALL, [])
    page = await twilio.gateway.page()
    assert 'gateway_calls_ended_total{cause="cancelled",direction="inbound",fault="nobody"' in page
    assert "gateway_calls_live 0.0" in page


async def test_a_call_that_twilio_did_not_dial_is_on_record_as_such(twilio: Twilio) -> None:
    """A trial account has no <Dial><Sip>: Twilio says so to the caller, and to nobody else."""
    await twilio.voice(DIAL_DID)
    await twilio.status("completed", CallDuration="7")
    record = await record_of(twilio)
    assert (record.cause, record.fault, record.attempts) == ("not-dialled", "operator", [])
    assert record.retell_call_id == RETELL_CALL
    metadata = {"gateway_call_id": record.call_id}
    reason = "registered_call_timeout"
    ended = await event(
        twilio.gateway, "call_ended", metadata=metadata, disconnection_reason=reason
    )
    assert ended == 204
    assert (await record_of(twilio)).disconnection_reason == reason


async def test_a_call_that_nothing_is_heard_of_is_not_live_for_ever(
    start_twilio: StartTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.twilio.voice_calls.DIALS_S", 0.05)
    twilio = await start_twilio()
    verbs = await twilio.voice(DIAL_DID)
    over = await twilio.gateway.until(lambda call: call["state"] == "ended")
    assert over["cause"] == "not-dialled"
    await twilio.leg(leg_of(verbs), "in-progress")  # it was only late
    assert ((record := await record_of(twilio)).state, record.cause) == ("live", None)


async def test_a_caller_who_is_blocked_costs_no_agent(
    start_twilio: StartTwilio, retell: Retell
) -> None:
    twilio = await start_twilio(sections={"inbound": {"block": [CALLER, "anonymous"]}})
    assert (await twilio.voice(DIAL_DID))[0].name == "Say"
    assert (await record_of(twilio)).cause == "caller-blocked"
    await twilio.voice("agent_9", sid(2), From="+266696687")
    causes = [record.cause for record in await twilio.gateway.records()]
    assert causes == ["caller-anonymous", "caller-blocked"]
    assert retell.requests == []


async def test_a_number_has_so_many_calls_at_once(
    start_twilio: StartTwilio, retell: Retell
) -> None:
    twilio = await start_twilio(sections={"inbound": {"number": {"calls": 1}}})
    await twilio.voice(DIAL_DID)
    assert (await twilio.voice(DIAL_DID, sid(2)))[0].name == "Say"
    await twilio.status("completed")
    assert (await twilio.voice(DIAL_DID, sid(3)))[0].name == "Dial"


@pytest.mark.parametrize(
    ("dialled", "cause"), [("+14155550188", "number-not-configured"), (DIAL_DID, "shutdown")]
)
async def test_a_call_that_nobody_takes(twilio: Twilio, dialled: str, cause: str) -> None:
    if cause == "shutdown":
        twilio.gateway.app[CALLS].drain()
    assert [verb.name for verb in await twilio.voice(dialled)] == ["Say", "Hangup"]
    assert (await record_of(twilio)).cause == cause


EDGE = {
    "answer": "edge",
    "edge": {"uri": "sip:gw.example.com;transport=tls", "username": "u", "password": "p&<"},
}


async def test_our_own_sip_side_takes_the_call(start_twilio: StartTwilio, retell: Retell) -> None:
    twilio = await start_twilio(**EDGE)
    (dial,) = await twilio.voice(DIAL_DID)
    uri = f"sip:{DIAL_DID}@gw.example.com;transport=tls?X-Twilio-Voice-Call={sid()}"
    assert (dial.noun, dial.text) == ("Sip", uri)
    assert dial.noun_said == {"username": "u", "password": "p&<"}
    assert dial.said["action"] == f"{PUBLIC}/webhooks/twilio/connected/{sid()}"
    for told, verb in (
        ({"DialCallStatus": "completed"}, "Hangup"),
        ({"DialCallStatus": "failed"}, "Say"),
        ({"DialCallStatus": "no-answer", "CallStatus": "completed"}, "Hangup"),
    ):
        assert (await twilio.action(dial.said["action"], **told))[0].name == verb
    assert retell.requests == []
    assert await twilio.gateway.records() == []


async def test_encrypted_media_on_the_way_to_retell(start_twilio: StartTwilio) -> None:
    """twilio.com/docs/voice/api/secure-media."""
    login = {"username": "retell", "password": "secret"}
    section = {"api_key": "key_test", "login": login, "srtp": "required"}
    twilio = await start_twilio(sections={"retell": section})
    text = (await twilio.voice(DIAL_DID))[0].text
    assert text == f"sip:{RETELL_CALL}@sip.retellai.com;transport=tls;secure=true"


@pytest.mark.parametrize("answered", [True, False])
async def test_a_call_whose_media_come_as_a_stream(
    start_twilio: StartTwilio, retell: Retell, answered: bool
) -> None:
    """twilio.com/docs/voice/twiml/stream: no query in the URL, and a verb behind it."""
    twilio = await start_twilio(answer="stream")
    connect, after = await twilio.voice(DIAL_DID)
    assert (connect.name, connect.noun, after.name) == ("Connect", "Stream", "Hangup")
    base, _, token = connect.noun_said["url"].rpartition("/")
    assert base == "wss://gateway.example.com/twilio/media"
    awaited = twilio.gateway.app[STREAMS].tokens.take(token)
    assert awaited is not None
    assert (awaited.call_id, awaited.from_number, awaited.to_number) == (sid(), CALLER, DIAL_DID)
    awaited.on_over(answered)
    verbs = await twilio.action(connect.said["action"])
    assert [verb.name for verb in verbs] == (["Hangup"] if answered else ["Say", "Hangup"])
    assert retell.requests == []


async def test_only_twilio_opens_a_stream(start_twilio: StartTwilio) -> None:
    twilio = await start_twilio(answer="stream")
    connect, _ = await twilio.voice(DIAL_DID)
    url = connect.noun_said["url"]
    path = url.removeprefix("wss://gateway.example.com")
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    for headers, status in (({}, 403), ({"X-Twilio-Signature": signature}, 503)):
        with pytest.raises(WSServerHandshakeError) as refused:  # there is no softswitch here
            await twilio.gateway.http.ws_connect(twilio.gateway.url + path, headers=headers)
        assert refused.value.status == status
