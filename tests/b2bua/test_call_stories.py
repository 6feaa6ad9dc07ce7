"""Calls as ladders: a carrier calls, the application dials, an agent answers or does not."""

from typing import Any

from sip.core.sdp import SessionDescription
from tests.ladder import DID, PCMU, Ladder, dial, ladder_test


def bridged(ladder: Ladder, **more: Any) -> None:
    """The application dials the agent and hangs up after."""
    ladder.app.verbs = lambda _: [dial("agent", **more), {"verb": "hangup"}]


async def talk(ladder: Ladder) -> None:
    """A call from carrier to agent, answered and acknowledged on both legs."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")


@ladder_test
async def test_answered_and_hung_up_by_the_caller(ladder: Ladder) -> None:
    """RFC 3261 13, 15: one INVITE becomes another, and a BYE another BYE."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.hang_up()
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.close_codes == [1000]
    assert ladder.app.statuses()[-1] == ("completed", 200)
    assert ladder.app.told("call:status")[-1]["data"]["call_termination_by"] == "caller"
    assert ladder.app.told("call:status")[-1]["data"]["media"]["a"]["packets_received"] == 7


@ladder_test
async def test_answered_and_hung_up_by_the_agent(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.send("BYE", headers=(("X-Outcome", "booked"),))
    await agent.expect(200, of="BYE")
    await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    [hook] = ladder.app.told("/dial-action")
    assert hook["data"]["dial_call_status"] == "completed"
    child = [f["data"] for f in ladder.app.told("call:status") if "parent_call_sid" in f["data"]]
    assert child[-1]["headers"] == {"x_outcome": "booked"}


@ladder_test
async def test_the_b_leg_says_who_calls_whom_through_the_relay(ladder: Ladder) -> None:
    """The INVITE we place: number in the Request-URI, caller in From, SDP of the relay."""
    bridged(ladder, callerId="+12125550199", headers={"X-Gateway-Call-Id": "c1"})
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    invite = await agent.expect("INVITE")
    assert invite.uri == f"sip:{DID}@127.0.0.1:{agent.port}"
    assert invite.from_.uri.user == "+12125550199"
    assert invite.headers.get("x-gateway-call-id") == "c1"
    assert invite.call_id != f"{carrier.tag}@test"
    assert invite.max_forwards == 69
    audio = SessionDescription.parse(invite.body).audio
    assert audio is not None
    assert audio.port >= 30000
    await agent.send(486)
    await agent.expect("ACK")


@ladder_test
async def test_caller_gives_up_while_the_agent_rings(ladder: Ladder) -> None:
    """RFC 3261 9: a CANCEL on the A-leg becomes a CANCEL on the B-leg."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487, of="INVITE")
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.statuses()[-1] == ("no-answer", 487)
    assert ladder.app.statuses(child=True)[-1] == ("no-answer", 487)


@ladder_test
async def test_caller_gives_up_before_the_agent_said_anything(ladder: Ladder) -> None:
    """RFC 3261 9.1: no CANCEL before a provisional response; it follows the first one."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487, of="INVITE")
    await carrier.send("ACK")
    await agent.send(180)
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")


@ladder_test
async def test_the_agents_answer_crosses_the_cancel(ladder: Ladder) -> None:
    """RFC 3261 9.1, 15: a 200 after our CANCEL is acknowledged and hung up."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487, of="INVITE")
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await agent.is_hung_up()


@ladder_test
async def test_busy_goes_back_unchanged_when_the_application_says_so(ladder: Ladder) -> None:
    bridged(ladder)
    ladder.app.hooks["/dial-action"] = lambda data: [
        {"verb": "sip:decline", "status": data["dial_sip_status"], "reason": "Busy Here"}
    ]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(486)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.statuses()[-1] == ("failed", 486)
    assert ladder.app.statuses(child=True)[-1] == ("busy", 486)


@ladder_test
async def test_nobody_answers_in_time(ladder: Ladder) -> None:
    """jambonz: dial's timeout cancels the B-leg; the hook says no-answer."""
    bridged(ladder, timeout=20)
    ladder.app.hooks["/dial-action"] = lambda data: [{"verb": "sip:decline", "status": 480}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await carrier.expect(480)
    await carrier.send("ACK")
    [hook] = ladder.app.told("/dial-action")
    assert (hook["data"]["dial_call_status"], hook["data"]["dial_sip_status"]) == ("no-answer", 487)


@ladder_test
async def test_a_silent_agent_is_given_up_after_eight_seconds(ladder: Ladder) -> None:
    """Timer A sends at 0, 0.5, 1.5, 3.5 and 7.5 s; then the trunk's no_response_s is over."""
    bridged(ladder)
    ladder.app.hooks["/dial-action"] = lambda data: [{"verb": "sip:decline", "status": 503}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await carrier.expect(503)
    await carrier.send("ACK")
    [hook] = ladder.app.told("/dial-action")
    assert (hook["data"]["dial_call_status"], hook["data"]["dial_sip_status"]) == ("failed", 408)
    assert await agent.drain(60) == ["INVITE"] * 4  # and none after it was given up


@ladder_test
async def test_early_media_reaches_the_caller(ladder: Ladder) -> None:
    """RFC 3960: a 183 with SDP opens the media path before the answer."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    progress = await carrier.expect(183)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert _port(progress.body) == _port(answer.body)
    assert ("early-media", 183) in ladder.app.statuses(child=True)
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_nobody_acknowledges_our_answer(ladder: Ladder) -> None:
    """RFC 3261 13.3.1.4: the 200 is repeated for 32 s, then both legs are hung up."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.is_hung_up()
    assert carrier.again == ["200"] * 10
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.told("call:status")[-1]["data"]["cause"] == "no-ack"


@ladder_test
async def test_a_lost_ack_is_sent_again_for_a_repeated_answer(ladder: Ladder) -> None:
    """RFC 3261 13.2.2.4: the 2xx again means that our ACK was lost."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.send(200, sdp=PCMU)
    assert await agent.drain(0.2) == ["ACK"]
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_a_repeated_invite_starts_no_second_call(ladder: Ladder) -> None:
    """RFC 3261 17.2.1: the retransmission gets the last response again."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.send("INVITE", again=True)
    await agent.answer_call()
    await carrier.expect(180)
    assert carrier.again == ["100"]
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()
    assert len(ladder.app.told("session:new")) == 1


@ladder_test
async def test_a_second_fork_is_acknowledged_and_hung_up(ladder: Ladder) -> None:
    """RFC 3261 13.2.2.4: a forked INVITE answered twice keeps one dialog."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    first, agent.tag = agent.tag, "fork-2"
    await agent.send(200, sdp=PCMU)
    ack = await agent.expect("ACK")
    bye = await agent.expect("BYE")
    assert ack.to.tag == bye.to.tag == "fork-2"
    await agent.send(200, sdp=PCMU)  # our ACK was lost: the very same again, and no second BYE
    assert await agent._read() == ack.to_bytes()
    await agent.send(200, answering="BYE")
    await agent.silence(5)
    agent.tag = first
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_the_time_limit_hangs_up_both(ladder: Ladder) -> None:
    bridged(ladder, timeLimit=60)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.expect("BYE", within_s=61)
    await agent.send(200, answering="BYE")
    await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.told("call:status")[-1]["data"]["duration"] == 60


def _port(sdp: bytes) -> int:
    audio = SessionDescription.parse(sdp).audio
    assert audio is not None
    return audio.port


@ladder_test
async def test_an_empty_info_asks_whether_the_call_lives(ladder: Ladder) -> None:
    """RFC 2976 2.2, as PBXs still send it; of info packages we know none (RFC 6086 4.2.2)."""
    await ladder.call_up()
    carrier = ladder.peer("carrier")
    await carrier.send("INFO")
    await carrier.expect(200, of="INFO")
    await carrier.send("INFO", sdp="v=0\r\n")
    await carrier.expect(415, of="INFO")
    await carrier.send("INFO", headers=(("Info-Package", "foo"),))
    await carrier.expect(469, of="INFO")
    assert await ladder.peer("agent").drain(1) == []
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_an_empty_info_of_no_call_is_refused(ladder: Ladder) -> None:
    await ladder.peer("carrier").send("INFO")
    await ladder.peer("carrier").expect(405)
