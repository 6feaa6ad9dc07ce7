"""Calls into the sandbox: by registered id (method 2) and by imported number (method 1)."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from aiohttp import web

from testkit import melody
from testkit.sandbox.settings import Agent, SipAnswers
from tests.testkit.sandbox.peers import Caller, Hooks, caller, hooks, rtp, sdp, udp
from tests.testkit.sandbox.stage import AGENT, NUMBER, Stage, number, stage, verified

NOWHERE = ("127.0.0.1", 9)


@pytest.fixture
async def hooked() -> AsyncIterator[Hooks]:
    async with hooks() as receiver:
        yield receiver


async def register(on: Stage, **changes: str) -> str:
    call = await on.retell.call.register_phone_call(agent_id=changes.pop("agent_id", AGENT))
    return call.call_id


@pytest.mark.parametrize("payload_type", [0, 8])
async def test_a_registered_call_hears_the_melody_and_its_own_come_back(
    hooked: Hooks, payload_type: int
) -> None:
    """The whole of method 2: register, dial the id, two-way audio, BYE, webhooks in order."""
    async with (
        stage(webhook_url=hooked.url) as on,
        caller(on.sip) as us,
        rtp(payload_type) as audio,
    ):
        call_id = await register(on)
        us.invite(call_id, audio.address, body=sdp(audio.address, formats=f"{payload_type} 101"))
        answer = await us.answered()
        assert f"m=audio {answer.media[1]} RTP/AVP {payload_type} 101" in answer.body
        await on.call(call_id, "ongoing")

        await audio.hears(melody.AGENT)
        audio.packets.clear()
        await audio.play(bytes(9600), answer.media)
        await audio.play(melody.synthesise(melody.CALLER), answer.media)
        await audio.hears(melody.CALLER)
        await us.bye(["X-Result: sold", "Reason: Q.850;cause=16"])

        ended = await on.call(call_id, "ended")
        assert ended["disconnection_reason"] == "user_hangup"
        assert ended["duration_ms"] == ended["end_timestamp"] - ended["start_timestamp"]
        assert ended["duration_ms"] >= 2000
        report = await on.report(call_id)
        assert report["sip"]["sip_call_id"] == us.peer.call_id
        assert report["sip"]["final_status"] == 200
        assert ["X-Result", "sold"] in report["sip"]["bye_headers"]
        heard = report["heard"]
        assert heard["codec"] == ("PCMA" if payload_type else "PCMU")
        assert heard["packets"] == 30 + 48
        assert heard["foreign"] == heard["malformed"] == heard["unexpected"] == 0
        assert heard["melodies"]["caller"]["heard"] is True
        assert heard["melodies"]["agent"]["heard"] is False
        recording = await on.recording(call_id)
        assert melody.find(melody.CALLER, recording).heard
        assert len(recording) == 2 * heard["octets"]

        await hooked.until("call_analyzed")
        assert hooked.events == ["call_started", "call_ended", "call_analyzed"]
        assert all(verified(one.body, "sandbox-key", one.signature) for one in hooked.received)
        started, done, analyzed = (one.json["call"] for one in hooked.received)
        assert {started["call_id"], done["call_id"], analyzed["call_id"]} == {call_id}
        assert started["call_status"] == "ongoing"
        assert "call_analysis" not in done
        assert analyzed["call_analysis"]["in_voicemail"] is False


async def test_the_agent_speaks_a_packet_every_20_ms_silence_included() -> None:
    async with stage() as on, caller(on.sip) as us, rtp() as audio:
        us.invite(await register(on), audio.address)
        await us.answered()
        begun_s = asyncio.get_running_loop().time()
        await audio.until(110)  # the script takes 1.4 s; then there is nothing to say
        assert asyncio.get_running_loop().time() - begun_s >= 2.0
        silence = audio.packets[-1]
        assert silence[12:] == b"\xff" * 160
        sequences = [int.from_bytes(packet[2:4], "big") for packet in audio.packets]
        steps = {after - before for before, after in pairwise(sequences)}
        assert steps == {1}
        stamps = {
            int.from_bytes(after[4:8], "big") - int.from_bytes(before[4:8], "big")
            for before, after in pairwise(audio.packets)
        }
        assert stamps == {160}
        assert [packet[1] >> 7 for packet in audio.packets[:2]] == [1, 0]
        await us.bye()


async def test_packets_from_elsewhere_are_dropped_and_keys_are_noted() -> None:
    """RTP is taken from the address in the SDP only."""
    async with stage() as on, caller(on.sip) as us, rtp() as audio, rtp() as stranger:
        call_id = await register(on)
        us.invite(call_id, audio.address)
        answer = await us.answered()
        await on.call(call_id, "ongoing")
        stranger.send(b"\x00" * 160, answer.media)
        audio.link.transport.sendto(b"no rtp", answer.media)
        audio.send(b"\x00" * 160, answer.media, payload_type=18)
        for _ in range(3):  # one key, told three times
            audio.send(bytes([5, 0x0A, 0, 160]), answer.media, payload_type=101)
        audio.skip(800)
        audio.send(bytes([11, 0x8A, 0, 160]), answer.media, payload_type=101)
        audio.send(b"\xff" * 160, answer.media)
        heard = await on.heard(call_id, packets=1)
        assert (heard["foreign"], heard["malformed"], heard["unexpected"]) == (1, 1, 1)
        assert heard["dtmf"] == "5#"
        await us.bye()


async def test_an_unknown_call_id_is_refused_like_by_any_server() -> None:
    async with stage() as on, caller(on.sip) as us:
        us.invite("call_" + "0" * 27, NOWHERE)
        assert await us.refused() == 404


async def test_an_expired_call_id_is_refused_and_its_call_is_in_error(hooked: Hooks) -> None:
    async with (
        stage(webhook_url=hooked.url, sip=SipAnswers(expired_call_id=410)) as on,
        caller(on.sip) as us,
    ):
        call_id = await register(on)
        await on.ask("POST", f"/sandbox/calls/{call_id}/expire")
        us.invite(call_id, NOWHERE)
        assert await us.refused() == 410
        call = await on.call(call_id)
        assert (call["call_status"], call["disconnection_reason"]) == (
            "error",
            "registered_call_timeout",
        )
        await hooked.until("call_ended")
        assert hooked.events == ["call_ended"]


async def test_a_call_id_works_once() -> None:
    async with (
        stage(sip=SipAnswers(reused_call_id=486)) as on,
        caller(on.sip) as us,
        caller(on.sip) as again,
        caller(on.sip) as later,
    ):
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        again.invite(call_id, NOWHERE)
        assert await again.refused() == 486
        await us.bye()
        await on.call(call_id, "ended")
        later.invite(call_id, NOWHERE)
        assert await later.refused() == 486


async def test_a_dial_given_up_before_the_answer_leaves_the_call_registered() -> None:
    async with stage(answer_delay_s=60) as on, caller(on.sip) as us, caller(on.sip) as again:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.peer.expect(180)
        us.peer.request(
            "CANCEL",
            f"sip:{call_id}@{on.sip[0]}:{on.sip[1]}",
            on.sip,
            cseq=us.peer.cseq,
            branch=us.branch,
        )
        assert {(await us.peer.next()).status for _ in range(2)} == {200, 487}
        assert (await on.call(call_id))["call_status"] == "registered"
        again.invite(call_id, NOWHERE)
        await again.peer.expect(180)


async def test_an_imported_number_is_answered_by_its_agent() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        us.invite(
            NUMBER,
            NOWHERE,
            headers=[
                "X-Order: 7",
                "Diversion: <sip:+14155550111@192.0.2.1>",
                "P-Asserted-Identity: <sip:+14155550123@192.0.2.1>",
                "Subject: dropped",
            ],
        )
        await us.peer.expect(180)
        await us.answered()
        call_id = await on.only_call()
        call = await on.call(call_id, "ongoing")
        assert (call["direction"], call["agent_id"]) == ("inbound", AGENT)
        assert (call["from_number"], call["to_number"]) == ("+14155550123", NUMBER)
        assert call["custom_sip_headers"] == {
            "x-order": "7",
            "diversion": "<sip:+14155550111@192.0.2.1>",
            "p-asserted-identity": "<sip:+14155550123@192.0.2.1>",
        }
        assert call["retell_llm_dynamic_variables"]["order"] == "7"
        assert call["retell_llm_dynamic_variables"]["x-order"] == "7"
        await us.bye()
        await on.call(call_id, "ended")


@pytest.mark.parametrize(
    ("user", "status"), [("+14155550177", 404), ("14155550100", 404), ("nobody", 404)]
)
async def test_a_number_that_is_not_imported_is_refused(user: str, status: int) -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        us.invite(user, NOWHERE)
        assert await us.refused() == status


async def test_the_plus_can_be_made_optional() -> None:
    async with stage(preset_numbers=(number(),), plus_required=False) as on, caller(on.sip) as us:
        us.invite("14155550100", NOWHERE)
        await us.answered()
        await us.bye()


async def test_a_number_without_agent_is_refused() -> None:
    async with stage(preset_numbers=(number(inbound_agents=()),)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE)
        assert await us.refused() == 480


async def test_a_caller_from_a_country_that_is_not_allowed_is_refused() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        await on.retell.phone_number.update(NUMBER, allowed_inbound_country_list=["DE"])
        us.invite(NUMBER, NOWHERE)
        assert await us.refused() == 403


async def test_the_inbound_webhook_supplies_agent_variables_and_metadata(hooked: Hooks) -> None:
    hooked.answers = [
        web.json_response(
            {
                "call_inbound": {
                    "override_agent_id": "agent_7",
                    "override_agent_version": 3,
                    "dynamic_variables": {"plan": "gold"},
                    "metadata": {"crm": "17"},
                }
            }
        )
    ]
    preset = number(inbound_agents=(), inbound_webhook_url=hooked.url)
    async with stage(preset_numbers=(preset,)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE, headers=["X-Plan: lead"])
        await us.answered()
        call = await on.call(await on.only_call(), "ongoing")
        assert (call["agent_id"], call["agent_version"]) == ("agent_7", 3)
        assert call["metadata"] == {"crm": "17"}
        assert call["retell_llm_dynamic_variables"]["plan"] == "gold"
        asked = hooked.received[0]
        assert verified(asked.body, "sandbox-key", asked.signature)
        assert asked.json["call_inbound"] == {
            "from_number": "+14155550123",
            "to_number": NUMBER,
            "custom_sip_headers": {"x-plan": "lead"},
            "call_id": call["call_id"],
        }
        await us.bye()


async def test_the_inbound_webhook_rejects_a_call_and_no_call_exists(hooked: Hooks) -> None:
    hooked.answers = [web.json_response({"call_inbound": {"reject": True}})]
    preset = number(inbound_webhook_url=hooked.url)
    async with stage(preset_numbers=(preset,)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE)
        assert await us.refused() == 603
        assert (await on.ask("GET", "/sandbox/calls"))[1] == {"items": []}


async def test_an_invalid_field_voids_the_reject_beside_it(hooked: Hooks) -> None:
    answer = {"call_inbound": {"reject": True, "dynamic_variables": {"n": 1}}}
    hooked.answers = [web.json_response(answer)]
    preset = number(inbound_webhook_url=hooked.url)
    async with stage(preset_numbers=(preset,)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE)
        await us.answered()
        await us.bye()


async def test_a_failing_inbound_webhook_leaves_the_bound_agent(hooked: Hooks) -> None:
    hooked.answers = [web.Response(status=500) for _ in range(4)]
    preset = number(inbound_webhook_url=hooked.url)
    async with stage(preset_numbers=(preset,)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE)
        await us.answered()
        assert hooked.events == ["call_inbound"] * 4
        assert len({one.json["call_inbound"]["call_id"] for one in hooked.received}) == 1
        await us.bye()


async def test_over_the_limit_a_call_rings_until_a_slot_is_free() -> None:
    async with (
        stage(preset_numbers=(number(),), concurrency_limit=1) as on,
        caller(on.sip) as first,
        caller(on.sip) as second,
    ):
        first.invite(NUMBER, NOWHERE)
        await first.answered()
        second.invite(NUMBER, NOWHERE)
        await second.peer.expect(180)
        assert (await on.retell.concurrency.retrieve()).current_concurrency == 1
        await first.bye()
        await second.answered()
        await second.bye()


async def test_over_the_limit_for_too_long_a_call_ends_in_error(hooked: Hooks) -> None:
    async with (
        stage(
            preset_numbers=(number(),),
            concurrency_limit=1,
            over_limit_ring_s=0.05,
            webhook_url=hooked.url,
        ) as on,
        caller(on.sip) as first,
        caller(on.sip) as second,
    ):
        first.invite(NUMBER, NOWHERE)
        await first.answered()
        second.invite(NUMBER, NOWHERE)
        assert await second.refused() == 486
        ended = await hooked.until("call_ended")
        assert ended.json["call"]["call_status"] == "error"
        assert ended.json["call"]["disconnection_reason"] == "concurrency_limit_reached"
        await first.bye()


async def test_codecs_of_the_number_limit_the_answer() -> None:
    async with (
        stage(preset_numbers=(number(codecs=("PCMA",)),)) as on,
        caller(on.sip) as us,
        caller(on.sip) as wrong,
    ):
        us.invite(NUMBER, NOWHERE)
        answer = await us.answered()
        assert "RTP/AVP 8 101" in answer.body
        wrong.invite(NUMBER, NOWHERE, body=sdp(NOWHERE, formats="0 101"))
        assert await wrong.refused() == 488
        await us.bye()


async def test_an_invite_without_an_offer_is_refused() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        us.invite(NUMBER, NOWHERE, body="")
        assert await us.refused() == 488


async def end_of(us: Caller) -> list[tuple[str, str]]:
    """The headers of the BYE that the sandbox sends."""
    bye = await us.peer.expect("BYE")
    us.peer.respond(bye, 200)
    return bye.headers


async def test_the_agent_hangs_up_with_the_headers_of_its_end_call_tool() -> None:
    agent = Agent(
        greeting=False, hangup_after_s=0.05, hangup_headers={"X-Outcome": "booked", "Other": "no"}
    )
    async with stage(agent=agent) as on, caller(on.sip) as us:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        headers = await end_of(us)
        assert ("x-outcome", "booked") in headers
        assert "other" not in dict(headers)
        call = await on.call(call_id, "ended")
        assert call["disconnection_reason"] == "agent_hangup"


async def test_a_call_is_hung_up_through_the_control_path() -> None:
    async with stage() as on, caller(on.sip) as us:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        await on.call(call_id, "ongoing")
        path = f"/sandbox/calls/{call_id}/hangup"
        assert (await on.ask("POST", path, {"headers": {"X-Why": "test"}}))[0] == 204
        assert ("x-why", "test") in await end_of(us)
        assert (await on.ask("POST", path))[0] == 422


async def test_stop_call_ends_an_ongoing_call() -> None:
    async with stage() as on, caller(on.sip) as us:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        await on.call(call_id, "ongoing")
        await on.retell.call.stop(call_id)
        await end_of(us)
        call = await on.call(call_id)
        assert (call["call_status"], call["disconnection_reason"]) == ("ended", "manual_stopped")


@pytest.mark.parametrize(
    ("agent", "changes", "reason"),
    [
        (Agent(max_call_duration_ms=50), {}, "max_duration_reached"),
        (Agent(end_call_after_silence_ms=50), {}, "inactivity"),
        (Agent(), {"first_audio_s": 0.05}, "error_no_audio_received"),
    ],
)
async def test_the_agents_own_limits_end_a_call(
    agent: Agent, changes: dict[str, float], reason: str
) -> None:
    async with stage(agent=agent, **changes) as on, caller(on.sip) as us:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        await end_of(us)
        assert (await on.call(call_id))["disconnection_reason"] == reason


async def test_rtp_that_stops_ends_a_call_unless_it_is_on_hold() -> None:
    async with stage(audio_gap_s=0.5) as on, caller(on.sip) as us, rtp() as audio:
        call_id = await register(on)
        us.invite(call_id, audio.address)
        answer = await us.answered()
        await on.call(call_id, "ongoing")
        await audio.play(bytes(1600), answer.media)
        us.in_dialog("INVITE", body=sdp(audio.address, direction="inactive"))
        held = await us.peer.expect(200)
        us.peer.ack(held)
        assert "a=inactive" in held.body
        assert held.media == answer.media
        await asyncio.sleep(0.05)
        audio.packets.clear()
        await asyncio.sleep(0.8)
        assert audio.packets == []
        assert (await on.call(call_id))["call_status"] == "ongoing"
        us.in_dialog("INVITE", body=sdp(audio.address))
        resumed = await us.peer.expect(200)
        us.peer.ack(resumed)
        assert "a=sendrecv" in resumed.body
        await end_of(us)
        assert (await on.call(call_id))["disconnection_reason"] == "error_no_audio_received"
        assert audio.packets


async def test_max_duration_can_be_overridden_for_one_call() -> None:
    async with stage() as on:
        call = await on.retell.call.register_phone_call(
            agent_id=AGENT,
            agent_override={"agent": {"max_call_duration_ms": 60_000, "webhook_url": None}},
        )
        known = on.sandbox.calls.store.call(call.call_id)
        assert known is not None
        assert known.agent.max_call_duration_ms == 60_000
        assert known.agent.ring_duration_ms == 30_000


async def test_sip_faults_refuse_stay_silent_or_only_ring() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        await on.ask("PUT", "/sandbox/faults", {"sip": {"status": 503, "count": 1}})
        us.invite(NUMBER, NOWHERE)
        assert await us.refused() == 503

    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us, udp() as link:
        await on.ask("PUT", "/sandbox/faults", {"sip": {"silent": True}})
        await on.ask("PUT", "/sandbox/faults", {"sip": {"ring_only": True}})
        us.invite(NUMBER, NOWHERE)
        ringing = Caller(type(us.peer)(link), on.sip)
        ringing.invite(NUMBER, NOWHERE)
        await ringing.peer.expect(180)
        # had the first one been answered, its 100 would have come before
        assert us.peer.link.received.empty()
        status, answer = await on.ask("PUT", "/sandbox/faults", {"sip": {}})
        assert (status, answer["status"]) == (400, "error")


async def test_options_are_answered() -> None:
    async with stage() as on, caller(on.sip) as us:
        us.peer.request("OPTIONS", f"sip:{on.sip[0]}", on.sip)
        response = await us.peer.expect(200)
        assert "INVITE" in response.one("allow")


async def test_nothing_is_open_once_a_call_is_over() -> None:
    async with stage() as on, caller(on.sip) as us:
        call_id = await register(on)
        us.invite(call_id, NOWHERE)
        await us.answered()
        await on.call(call_id, "ongoing")
        assert on.sandbox.endpoint.gauges["agents"] == 1
        await us.bye()
        await on.call(call_id, "ended")
        gauges = on.sandbox.endpoint.gauges
        assert (gauges["agents"], gauges["dialogs"], gauges["tasks"]) == (0, 0, 0)
        assert (await on.retell.concurrency.retrieve()).current_concurrency == 0
