"""create-phone-call: the sandbox dials out over the number's trunk."""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from testkit import melody
from testkit.sandbox.outcomes import reason_for_status
from testkit.sandbox.settings import Agent
from tests.testkit.sandbox.peers import Message, SipPeer, hooks, rtp, sdp, udp
from tests.testkit.sandbox.stage import AGENT, NUMBER, Stage, number, stage, verified

CALLEE = "+14155550199"
NOWHERE = ("127.0.0.1", 9)


@asynccontextmanager
async def trunk() -> AsyncIterator[SipPeer]:
    """The customer's SIP trunk: a raw UAS."""
    async with udp() as link:
        yield SipPeer(link)


async def create(on: Stage, **changes: object) -> str:
    body = {"from_number": NUMBER, "to_number": CALLEE, **changes}
    status, call = await on.ask("POST", "/v2/create-phone-call", body)
    assert status == 201, call
    assert (call["call_status"], call["direction"]) == ("registered", "outbound")
    return str(call["call_id"])


def digest_of(value: str, method: str, password: str) -> tuple[str, str]:
    """The response in a Proxy-Authorization, and what it should be (RFC 2617 3.2.2, MD5)."""
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', value))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = md5(f"{given['username']}:{given['realm']}:{password}")
    asked = md5(f"{method}:{given['uri']}")
    middle = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}"
    return given["response"], md5(f"{secret}:{middle}:{asked}")


async def test_a_challenged_call_is_authenticated_answered_and_heard() -> None:
    """INVITE, 407, INVITE with digest, 180, 200, melody both ways, BYE from the callee."""
    async with hooks() as hooked, trunk() as carrier, rtp() as audio:
        preset = number(carrier.address, auth_username="retell", auth_password="sandbox-secret")
        async with stage(preset_numbers=(preset,), webhook_url=hooked.url) as on:
            call_id = await create(
                on,
                metadata={"order": 7},
                custom_sip_headers={"X-Order": "7", "Subject": "not mine to set"},
            )
            invite = await carrier.expect("INVITE")
            host, port = carrier.address
            assert invite.start == f"INVITE sip:{CALLEE}@{host}:{port};transport=udp SIP/2.0"
            assert f"sip:{NUMBER}@" in invite.one("from")
            assert f"sip:{CALLEE}@" in invite.one("to")
            assert invite.one("x-order") == "7"
            assert invite.all("subject") == []
            assert invite.all("proxy-authorization") == []
            challenge = 'Digest realm="pbx", nonce="abc123", algorithm=MD5, qop="auth"'
            carrier.respond(invite, 407, headers=[f"Proxy-Authenticate: {challenge}"])
            await carrier.expect("ACK")

            again = await carrier.expect("INVITE")
            assert again.one("call-id") == invite.one("call-id")
            given, expected = digest_of(
                again.one("proxy-authorization"), "INVITE", "sandbox-secret"
            )
            assert given == expected
            assert again.one("x-order") == "7"
            carrier.respond(again, 180)
            assert (await on.call(call_id))["call_status"] == "registered"
            assert (await on.retell.concurrency.retrieve()).current_concurrency == 1
            carrier.respond(again, 200, body=sdp(audio.address, formats="0 101"))
            await carrier.expect("ACK")
            await on.call(call_id, "ongoing")

            await audio.hears(melody.AGENT)
            await audio.play(melody.synthesise(melody.CALLER), again.media)
            await bye(carrier, again)
            call = await on.call(call_id, "ended")
            assert call["disconnection_reason"] == "user_hangup"
            assert call["metadata"] == {"order": 7}
            report = await on.report(call_id)
            assert report["heard"]["melodies"]["caller"]["heard"] is True
            assert report["sip"]["sip_call_id"] == invite.one("call-id")
            assert report["sip"]["final_status"] == 200
            await hooked.until("call_analyzed")
            assert hooked.events == ["call_started", "call_ended", "call_analyzed"]
            assert all(verified(one.body, "sandbox-key", one.signature) for one in hooked.received)


async def bye(carrier: SipPeer, invite: Message) -> None:
    """The callee hangs up."""
    contact = re.search(r"<([^>]+)>", invite.one("contact"))
    assert contact is not None
    host, port = carrier.address
    lines = [
        f"BYE {contact[1]} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKbye{carrier.tag}",
        "Max-Forwards: 70",
        f"From: {invite.one('to')};tag={carrier.tag}",
        f"To: {invite.one('from')}",
        f"Call-ID: {invite.one('call-id')}",
        "CSeq: 1 BYE",
        "Content-Length: 0",
        "",
        "",
    ]
    carrier.link.transport.sendto("\r\n".join(lines).encode(), invite.source)
    await carrier.expect(200)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (486, "dial_busy"),
        (600, "dial_busy"),
        (603, "user_declined"),
        (480, "dial_no_answer"),
        (487, "dial_no_answer"),
        (403, "telephony_provider_permission_denied"),
        (404, "invalid_destination"),
        (484, "invalid_destination"),
        (482, "sip_routing_error"),
        (483, "sip_routing_error"),
        (408, "telephony_provider_unavailable"),
        (477, "telephony_provider_unavailable"),
        (500, "telephony_provider_unavailable"),
        (503, "telephony_provider_unavailable"),
        (607, "marked_as_spam"),
        (608, "network_blocked"),
        (488, "dial_failed"),
        (302, "dial_failed"),
    ],
)
async def test_a_refusal_becomes_its_reason(status: int, reason: str) -> None:
    assert reason_for_status(status) == reason
    async with (
        hooks() as hooked,
        trunk() as carrier,
        stage(preset_numbers=(number(carrier.address),), webhook_url=hooked.url) as on,
    ):
        call_id = await create(on)
        carrier.respond(await carrier.expect("INVITE"), status)
        await carrier.expect("ACK")
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == reason
        assert "start_timestamp" not in call
        assert (await on.report(call_id))["sip"]["final_status"] == status
        await hooked.until("call_ended")
        # a call that never connected never started
        assert hooked.events == ["call_ended"]
        assert (await on.retell.concurrency.retrieve()).current_concurrency == 0


async def test_a_challenge_without_credentials_is_permission_denied() -> None:
    async with trunk() as carrier, stage(preset_numbers=(number(carrier.address),)) as on:
        call_id = await create(on)
        challenge = 'WWW-Authenticate: Digest realm="pbx", nonce="n", qop="auth"'
        carrier.respond(await carrier.expect("INVITE"), 401, headers=[challenge])
        await carrier.expect("ACK")
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == "telephony_provider_permission_denied"


async def test_a_wrong_password_is_tried_once() -> None:
    async with trunk() as carrier:
        preset = number(carrier.address, auth_username="retell", auth_password="wrong")
        async with stage(preset_numbers=(preset,)) as on:
            call_id = await create(on)
            challenge = 'Proxy-Authenticate: Digest realm="pbx", nonce="n", qop="auth"'
            for _ in range(2):
                carrier.respond(await carrier.expect("INVITE"), 407, headers=[challenge])
                await carrier.expect("ACK")
            call = await on.call(call_id, "not_connected")
            assert call["disconnection_reason"] == "telephony_provider_permission_denied"


async def test_nobody_picks_up() -> None:
    """The ring timer ends in CANCEL."""
    agent = Agent(ring_duration_ms=100)
    async with (
        trunk() as carrier,
        stage(preset_numbers=(number(carrier.address),), agent=agent) as on,
    ):
        call_id = await create(on)
        invite = await carrier.expect("INVITE")
        carrier.respond(invite, 180)
        cancel = await carrier.expect("CANCEL")
        carrier.respond(cancel, 200)
        carrier.respond(invite, 487)
        await carrier.expect("ACK")
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == "dial_no_answer"


async def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    """RFC 3261 9.1: the callee picked up while the ring timer ran out."""
    agent = Agent(ring_duration_ms=100)
    async with (
        trunk() as carrier,
        stage(preset_numbers=(number(carrier.address),), agent=agent) as on,
    ):
        call_id = await create(on)
        invite = await carrier.expect("INVITE")
        carrier.respond(invite, 180)
        await carrier.expect("CANCEL")
        carrier.respond(invite, 200, body=sdp(NOWHERE))
        await carrier.expect("ACK")
        carrier.respond(await carrier.expect("BYE"), 200)
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == "dial_no_answer"


async def test_stop_call_ends_a_call_that_still_rings() -> None:
    async with trunk() as carrier, stage(preset_numbers=(number(carrier.address),)) as on:
        call_id = await create(on)
        invite = await carrier.expect("INVITE")
        carrier.respond(invite, 180)
        await on.retell.call.stop(call_id)
        carrier.respond(await carrier.expect("CANCEL"), 200)
        carrier.respond(invite, 487)
        await carrier.expect("ACK")
        assert (await on.call(call_id))["disconnection_reason"] == "manual_stopped"


async def test_an_answer_without_a_common_codec_is_hung_up() -> None:
    async with trunk() as carrier, stage(preset_numbers=(number(carrier.address),)) as on:
        call_id = await create(on)
        invite = await carrier.expect("INVITE")
        carrier.respond(invite, 200, body=sdp(NOWHERE, formats="18"))
        await carrier.expect("ACK")
        carrier.respond(await carrier.expect("BYE"), 200)
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == "dial_failed"


@pytest.mark.parametrize(
    "changes",
    [
        {"termination_uri": "no.such.host.invalid"},
        {"termination_uri": "sip:127.0.0.1:5060;transport=tls"},
        {"termination_uri": "not a host"},
        {"termination_uri": "127.0.0.1:1", "transport": "TCP"},
    ],
)
async def test_a_trunk_out_of_reach_shows_at_the_first_call(changes: dict[str, Any]) -> None:
    async with stage(preset_numbers=(number(**changes),)) as on:
        call_id = await create(on)
        call = await on.call(call_id, "not_connected")
        assert call["disconnection_reason"] == "telephony_provider_unavailable"


async def test_the_offer_follows_the_numbers_codecs() -> None:
    async with trunk() as carrier:
        preset = number(carrier.address, codecs=("PCMA", "G722", "PCMU"))
        async with stage(preset_numbers=(preset,)) as on:
            await create(on)
            invite = await carrier.expect("INVITE")
            assert "RTP/AVP 8 0 101" in invite.body
            carrier.respond(invite, 486)
            await carrier.expect("ACK")


async def test_the_agent_hangs_up_on_the_callee_with_its_headers() -> None:
    """As the control path describes the agent, while the sandbox runs."""
    async with trunk() as carrier, stage(preset_numbers=(number(carrier.address),)) as on:
        described = {"hangup_after_s": 0.05, "hangup_headers": {"X-Outcome": "booked"}}
        assert (await on.ask("PUT", f"/sandbox/agents/{AGENT}", described))[0] == 200
        call_id = await create(on)
        invite = await carrier.expect("INVITE")
        carrier.respond(invite, 200, body=sdp(NOWHERE))
        await carrier.expect("ACK")
        goodbye = await carrier.expect("BYE")
        assert goodbye.one("x-outcome") == "booked"
        carrier.respond(goodbye, 200)
        assert (await on.call(call_id))["disconnection_reason"] == "agent_hangup"
