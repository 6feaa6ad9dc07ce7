"""Calls that a carrier or PBX brings: method 1, its endings, and the fallback."""

from pathlib import Path

import pytest

from gateway.jambonz.messages import MAX_FRAME
from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, Gateway, Start

DECLINE_404 = [{"verb": "sip:decline", "status": 404, "reason": "Not Found"}]


async def test_agent_answers_and_caller_hangs_up(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID, from_="2125550100")
        record = (await gateway.records())[0]
        assert verbs == [
            {
                "verb": "dial",
                "target": [{"type": "phone", "number": TRUNK_DID, "trunk": "retell"}],
                "answerOnBridge": True,
                "anchorMedia": True,
                "timeout": 45,
                "actionHook": "/dial-action",
                "referHook": "/refer",
                "callerId": "+12125550100",
                "headers": {"X-Gateway-Call-Id": record.call_id},
            },
            {"verb": "hangup"},
        ]
        assert record.state == "live"
        assert record.ended_ms is None
        await jambonz.answered()
        await jambonz.caller_hangs_up(media={"a": {"packets_received": 150}})
        record = await gateway.record()
        assert (record.ended_by, record.cause, record.sip_status) == ("caller", "hangup", 200)
        assert (record.state, record.fault) == ("ended", "nobody")
        assert (record.direction, record.method, record.agent) == ("inbound", "trunk", "agent_1")
        assert (record.trunk, record.from_number) == ("carrier", "+12125550100")
        assert record.a_sip_call_id == jambonz.a_call_id
        assert record.b_sip_call_id == jambonz.b_call_id
        assert record.media == {"a": {"packets_received": 150}}
        assert record.answered_ms is not None
        assert record.started_ms <= record.answered_ms
        assert record.duration_s is not None
        assert [(a["trunk"], a["code"]) for a in record.attempts] == [("retell", 200)]


async def test_agent_hangs_up_and_says_why_on_its_bye(gateway: Gateway) -> None:
    """jambonz turns header names into snake_case; the record has them as they were."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.callee_hangs_up(headers={"x_outcome": "booked", "reason": "Q.850;cause=16"})
    record = await gateway.record()
    assert (record.ended_by, record.cause) == ("callee", "hangup")
    assert record.retell_headers == {"x-outcome": "booked"}


async def test_real_jambonz_names_itself_when_the_callee_hung_up(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=1)
        await jambonz.hang_up()
    record = await gateway.record()
    assert record.ended_by == "callee"


async def test_caller_gives_up_while_the_agent_rings(gateway: Gateway) -> None:
    """The hook says ringing/180 by jambonz's race: no verb may follow, least a decline of 180."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        assert await jambonz.dial_ended("ringing", 180) is None
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("caller", "cancelled", 487)
    assert record.fault == "nobody"
    assert record.duration_s is None


async def test_caller_gives_up_and_the_hook_comes_first(gateway: Gateway) -> None:
    """The hook shows the caller's leg as over: nobody is there for the fallback."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        reply = await jambonz.dial_ended("no-answer", 487, call_status="no-answer")
        assert reply is None
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    record = await gateway.record()
    assert record.cause == "cancelled"


async def test_caller_cancelled_before_the_ack(gateway: Gateway) -> None:
    """jambonz then says no-answer/487 first and trying/100 after it."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.caller("trying", 100, call_termination_by="caller")
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.cause, record.sip_status) == ("cancelled", 487)


async def test_retell_is_busy_and_there_is_no_fallback(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        assert await jambonz.refused(486, status="busy") == [
            {"verb": "sip:decline", "status": 486, "reason": "Busy Here"}
        ]
        await jambonz.declined(486)
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("callee", "busy", 486)
    assert record.fault == "retell"


async def test_nobody_answers_within_the_ring_timeout(gateway: Gateway) -> None:
    """487 is for who cancelled, and the caller did not."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        assert await jambonz.dial_ended("ringing", 180) == [
            {"verb": "sip:decline", "status": 480, "reason": "Temporarily Unavailable"}
        ]
        await jambonz.declined(480)
    record = await gateway.record()
    assert (record.cause, record.sip_status) == ("no-answer", 480)


async def test_fallback_takes_the_call_when_retell_refuses(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID, headers={"X-Customer": "42"})
        dial, hangup = await jambonz.refused(503)
        assert dial["target"] == [{"type": "phone", "number": "200", "trunk": "pbx"}]
        assert dial["headers"]["X-Customer"] == "42"
        assert hangup == {"verb": "hangup"}
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause) == ("callee", "hangup")
    assert [(a["trunk"], a["code"]) for a in record.attempts] == [("retell", 503), ("pbx", 200)]
    assert record.b_sip_call_id == jambonz.b_call_id


async def test_fallback_that_fails_too_decides_the_final_code(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.refused(503)
        reply = await jambonz.refused(486, status="busy")
        assert reply[0]["status"] == 486
        await jambonz.declined(486)
    record = await gateway.record()
    assert (record.cause, record.fault) == ("busy", "callee")


async def test_no_fallback_once_the_caller_heard_the_agents_side(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("early-media", 183)
        await jambonz.leg("failed", 503)
        reply = await jambonz.dial_ended("failed", 503)
        assert reply == [{"verb": "sip:decline", "status": 503, "reason": "Service Unavailable"}]
        await jambonz.declined(503)
    record = await gateway.record()
    assert record.attempts[0]["early_media"] is True


async def test_number_that_is_not_ours(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        assert await jambonz.new_call(to="+14155550199") == DECLINE_404
        await jambonz.declined(404)
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == (
        "gateway",
        "number-not-configured",
        404,
    )
    assert record.fault == "operator"


async def test_dialled_number_is_understood_in_every_usual_form(gateway: Gateway) -> None:
    for dialled in ("+14155550100", "14155550100", "4155550100", "(415) 555-0100"):
        async with gateway.jambonz() as jambonz:
            verbs = await jambonz.new_call(to=dialled)
            assert verbs[0]["target"][0]["number"] == TRUNK_DID, dialled
            await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_star_takes_every_number(start: Start) -> None:
    gateway = await start(numbers={"*": {}}, outbound={})
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to="2000")
        assert verbs[0]["target"] == [{"type": "phone", "number": "2000", "trunk": "retell"}]
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_headers_that_reach_retell(gateway: Gateway) -> None:
    """X- names and those that Retell keeps; nothing of jambonz's own, nothing too long."""
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(
            to=TRUNK_DID,
            headers={
                "X-Customer": "42",
                "x-lower": "kept",
                "X-Account-Sid": "ours",
                "X-Gateway-Call-Id": "forged",
                "X-Jambonz-Routing": "phone",
                "X-Long": "v" * 1100,
                "diversion": "<sip:+14155550188@192.0.2.10>;reason=no-answer",
                "user-to-user": "56a390f3;encoding=hex",
                "history-info": "<sip:+14155550188@192.0.2.10>;index=1",
                "subject": "not passed",
            },
        )
        headers = verbs[0]["headers"]
        record = (await gateway.records())[0]
        assert headers == {
            "X-Gateway-Call-Id": record.call_id,
            "X-Customer": "42",
            "x-lower": "kept",
            "diversion": "<sip:+14155550188@192.0.2.10>;reason=no-answer",
            "user-to-user": "56a390f3;encoding=hex",
            "history-info": "<sip:+14155550188@192.0.2.10>;index=1",
        }
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


@pytest.mark.parametrize(("listen", "passes"), [(["udp:127.0.0.1:5060"], True), ([], False)])
async def test_the_asserted_caller_reaches_retell_where_privacy_was_heeded(
    start: Start, listen: list[str], passes: bool
) -> None:
    """Our softswitch tells of it by the trunk's policy; a jambonz tells of every caller."""
    gateway = await start(sip={"listen": listen}, numbers={"*": {}})
    async with gateway.jambonz() as jambonz:
        asserted = {"p-asserted-identity": "<sip:+12125550101@192.0.2.10>"}
        verbs = await jambonz.new_call(to=TRUNK_DID, headers=asserted)
        assert ("p-asserted-identity" in verbs[0]["headers"]) is passes
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_many_long_headers_still_fit_a_frame(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(
            to=TRUNK_DID, headers={f"X-H{n}": "\u00e9" * 400 for n in range(60)}
        )
        assert len(str(verbs)) < MAX_FRAME
        assert 5 < len(verbs[0]["headers"]) < 60
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_variables_travel_as_headers_with_method_1(start: Start) -> None:
    gateway = await start(numbers={TRUNK_DID: {"variables": {"plan": "gold"}}})
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID)
        assert verbs[0]["headers"]["X-plan"] == "gold"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_no_ack_after_the_answer(gateway: Gateway) -> None:
    """Our softswitch names the cause; a jambonz would say plain completed."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        await jambonz.caller("completed", 200, call_termination_by="jambonz", cause="no-ack")
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("gateway", "no-ack", 200)
    assert record.fault == "operator"


@pytest.mark.parametrize("method", ["trunk", "dial"])
async def test_what_the_caller_sends_never_stands_beside_a_variable_of_its_name(
    start: Start, method: str
) -> None:
    """Retell makes variables of headers, in whatever case and with or without the `X-`."""
    variables = {"plan": "gold", "Tier": "1", "diversion": "none"}
    entry = {"agent": "agent_1", "method": method, "variables": variables}
    gateway = await start(numbers={TRUNK_DID: entry})
    forged = {"X-Plan": "platinum", "x-tier": "9", "Diversion": "<sip:x@192.0.2.1>", "X-Own": "1"}
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID, headers=forged)
        dial, _ = verbs if method == "trunk" else await jambonz.command()
        headers = dict(dial["headers"])
        assert headers.pop("X-Gateway-Call-Id")
        ours = {"X-plan": "gold", "X-Tier": "1", "X-diversion": "none"}
        assert headers == {"X-Own": "1"} | (ours if method == "trunk" else {})
        await jambonz.answered()
        await jambonz.caller_hangs_up()


async def test_a_number_announces_and_plays_while_it_rings(start: Start, tmp_path: Path) -> None:
    """Answered for the announcement, the caller still gets the fallback where the agent fails."""
    entry = {
        "announcement": {"file": "welcome.wav"},
        "ringing": "wait.wav",
        "fallback": {"trunk": "pbx", "to": "200"},
    }
    gateway = await start(media={"sounds": str(tmp_path)}, numbers={TRUNK_DID: entry})
    async with gateway.jambonz() as jambonz:
        first, second, third = await jambonz.new_call(to=TRUNK_DID)
        assert first == {"verb": "play", "url": "welcome.wav", "earlyMedia": False}
        assert (second["verb"], second["dialMusic"]) == ("dial", "wait.wav")
        assert third == {"verb": "hangup"}
        await jambonz.caller("in-progress", 200)
        await jambonz.leg("trying", 100)
        await jambonz.leg("busy", 486)
        fallback, _ = await jambonz.dial_ended("busy", 486)
        assert fallback["target"][0]["number"] == "200"
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("caller", "hangup", 200)
    assert [(a["trunk"], a["code"]) for a in record.attempts] == [("retell", 486), ("pbx", 200)]


async def test_a_fax_is_sent_on(start: Start) -> None:
    """The agent's leg has ended by the redirect when its hook is called."""
    gateway = await start(numbers={TRUNK_DID: {"fax": {"trunk": "pbx", "to": "+14155550155"}}})
    async with gateway.jambonz() as jambonz:
        config, agent, _ = await jambonz.new_call(to=TRUNK_DID)
        assert config == {"verb": "config", "amd": {"actionHook": "/fax-heard"}}
        assert agent["target"][0]["trunk"] == "retell"
        await jambonz.answered()
        data = {"call_sid": jambonz.call_sid, "type": "amd_human_detected"}
        person = await jambonz.send("verb:hook", data, hook="/fax-heard")
        assert await jambonz.ack(person) is None, "that is no fax"
        told = {**data, "type": "amd_tone_detected", "frequency": 1100}
        fax, last = await jambonz.ack(await jambonz.send("verb:hook", told, hook="/fax-heard"))
        assert fax["target"] == [{"type": "phone", "number": "+14155550155", "trunk": "pbx"}]
        assert fax["callerId"] == "+12125550100"
        assert last == {"verb": "hangup"}
        await jambonz.leg("completed", 200)
        assert await jambonz.dial_ended("completed", 200) is None
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("callee", "hangup", 200)
    tried = [(a["trunk"], a["role"], a["code"]) for a in record.attempts]
    assert tried == [("retell", "retell", 200), ("pbx", "fax", 200)]


async def test_a_caller_who_hangs_up_during_the_announcement(start: Start, tmp_path: Path) -> None:
    entry = {"announcement": {"file": "welcome.wav"}}
    gateway = await start(media={"sounds": str(tmp_path)}, numbers={TRUNK_DID: entry})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.caller("in-progress", 200)
        await jambonz.caller("completed", 200, call_termination_by="caller", duration=3)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("caller", "hangup", 200)


async def test_an_early_announcement_leaves_the_call_unanswered(
    start: Start, tmp_path: Path
) -> None:
    entry = {"announcement": {"file": "welcome.wav", "before": "answer"}}
    gateway = await start(media={"sounds": str(tmp_path)}, numbers={TRUNK_DID: entry})
    async with gateway.jambonz() as jambonz:
        first, *_ = await jambonz.new_call(to=TRUNK_DID)
        assert first == {"verb": "play", "url": "welcome.wav", "earlyMedia": True}
        await jambonz.caller("early-media", 183)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.cause, record.sip_status, record.answered_ms) == ("cancelled", 487, None)


@pytest.mark.parametrize(
    ("silent", "fault"), [("a", "caller"), ("b", "retell")], ids=["caller", "agent"]
)
async def test_a_side_that_sends_no_rtp_any_more_is_at_fault(
    gateway: Gateway, silent: str, fault: str
) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.leg("completed", 200, cause="rtp-timeout" if silent == "b" else "bye")
        await jambonz.dial_ended("completed", 200)
        cause = "rtp-timeout" if silent == "a" else "bye"
        await jambonz.caller("completed", 200, call_termination_by="jambonz", cause=cause)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("gateway", "rtp-timeout", 200)
    assert record.fault == fault
