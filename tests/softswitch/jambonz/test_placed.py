"""Calls that an application has placed by jambonz's REST shape: what callee and application get.

The carrier of these ladders is the callee's; the agent is dialled once the callee has answered.
"""

import asyncio
from typing import Any

import pytest

from config.settings import LimitSettings
from sip.core.digest_client import Credentials
from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.placing import PlaceError
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test, ladder_with

Json = dict[str, Any]
PERSON = "+14155550123"


def body(trunk: str = "carrier", /, **more: object) -> Json:
    """What jambonz's `POST Accounts/{sid}/Calls` gets."""
    to = {"type": "phone", "number": PERSON, "trunk": trunk}
    return {"from": DID, "to": to, "tag": {"try": "t1"}, **more}


async def rings(ladder: Ladder, **more: object) -> Request:
    """The callee's INVITE; it rings."""
    ladder.switch.place(body(**more))
    carrier = ladder.peer("carrier")
    invite: Request = await carrier.expect("INVITE")
    await carrier.send(180)
    await ladder.app.until(lambda: ("ringing", 180) in ladder.app.statuses())
    return invite


async def answers(ladder: Ladder, **more: object) -> Request:
    """The callee's INVITE; it has answered."""
    invite = await rings(ladder, **more)
    carrier = ladder.peer("carrier")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    return invite


async def over(ladder: Ladder) -> Json:
    """The last word about the call, after which the conversation is closed with 1000."""
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.close_codes == [1000]
    last: Json = ladder.app.frames[-1]
    assert last["type"] == "call:status"
    data: Json = last["data"]
    assert data["customerData"] == {"try": "t1"}
    return data


def kinds(ladder: Ladder) -> list[str]:
    """The messages about the first leg: call statuses by their word, other messages by type."""
    return [
        frame["data"]["call_status"] if frame["type"] == "call:status" else frame["type"]
        for frame in ladder.app.frames
        if "parent_call_sid" not in frame["data"]
    ]


@ladder_test
async def test_the_agent_hangs_up(ladder: Ladder) -> None:
    """It is the one that was dialled: jambonz's callee."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await answers(ladder)
    agent = ladder.peer("agent")
    await agent.answer_call()
    await agent.silence(1)
    await agent.hang_up()
    await ladder.peer("carrier").is_hung_up()
    assert (await over(ladder))["call_termination_by"] == "callee"


@ladder_test
async def test_the_callee_answers_and_talks_to_the_agent(ladder: Ladder) -> None:
    """jambonz: statuses without the envelope's call_sid, `session:new` on the answer."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    placed = ladder.switch.place(body(), call_sid="chosen-before")
    assert placed.call_sid == "chosen-before"
    assert ladder.switch.gauges["calls"] == ladder.switch.open_calls == 1
    invite: Request = await carrier.expect("INVITE")
    assert invite.call_id == placed.sip_call_id
    assert invite.uri == f"sip:{PERSON}@127.0.0.1:{carrier.port}"
    assert invite.from_.uri.user == DID
    assert ladder.switch.dialler.limits.calls("carrier") == 1
    await carrier.send(180)
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.answer_call()
    await carrier.silence(1)
    await carrier.hang_up()
    await agent.is_hung_up()
    last = await over(ladder)
    assert kinds(ladder) == [
        *("trying", "ringing", "in-progress", "session:new", "verb:hook", "completed")
    ]
    # jambonz's caller is whoever is on the first leg, though it was called
    assert (last["call_status"], last["call_termination_by"]) == ("completed", "caller")
    assert last["media"]
    before, after = ladder.app.frames[:3], ladder.app.frames[3:]
    assert not any("call_sid" in frame for frame in before)
    assert {frame["call_sid"] for frame in after} == {"chosen-before"}
    assert {frame["data"]["call_sid"] for frame in before} == {"chosen-before"}
    [new] = ladder.app.told("session:new")
    told = {key: new["data"].get(key) for key in ("direction", "from", "to", "call_id", "sip")}
    assert told == {
        "direction": "outbound",
        "from": DID,
        "to": PERSON,
        "call_id": placed.sip_call_id,
        "sip": None,
    }
    assert (new["data"]["call_status"], new["data"]["sip_status"]) == ("in-progress", 200)
    assert new["data"]["customerData"] == {"try": "t1"}
    assert ladder.trace.ladder([placed.sip_call_id])
    await ladder.switch.none_left()
    assert ladder.switch.dialler.limits.calls("carrier") == 0


@ladder_test
async def test_the_invite_says_what_the_body_says(ladder: Ladder) -> None:
    invite = await rings(
        ladder,
        callerName="Alice",
        fromHost="sip.example.com",
        headers={"X-Order": "17"},
        referHook="/refer",
    )
    assert str(invite.from_.uri) == f"sip:{DID}@sip.example.com"
    assert invite.from_.display_name == "Alice"
    assert invite.headers.get("x-order") == "17"
    await refused(ladder, 486)
    await over(ladder)


async def refused(ladder: Ladder, status: int) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send(status)
    await carrier.expect("ACK")


@pytest.mark.parametrize(
    ("status", "word"), [(486, "busy"), (600, "busy"), (487, "no-answer"), (404, "failed")]
)
def test_the_callee_does_not_come(status: int, word: str) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        await rings(ladder)
        await refused(ladder, status)
        last = await over(ladder)
        assert (last["call_status"], last["sip_status"]) == (word, status)
        assert last["cause"] == "rejected"
        assert "call_termination_by" not in last
        assert kinds(ladder) == ["trying", "ringing", word]

    story()


@ladder_test
async def test_the_callee_does_not_answer_in_time(ladder: Ladder) -> None:
    await rings(ladder, timeout=20)
    await cancelled(ladder)
    last = await over(ladder)
    assert (last["call_status"], last["sip_status"], last["cause"]) == (
        "no-answer",
        487,
        "cancelled",
    )


async def cancelled(ladder: Ladder) -> Request:
    carrier = ladder.peer("carrier")
    cancel: Request = await carrier.expect("CANCEL")
    await carrier.send(200, answering="CANCEL")
    await carrier.send(487)
    await carrier.expect("ACK")
    return cancel


@pytest.mark.parametrize("how", ["completed", "no-answer"])
def test_the_application_gives_up_while_it_rings(how: str) -> None:
    """A command before `session:new`: CANCEL (RFC 3261 9.1)."""

    @ladder_test
    async def story(ladder: Ladder) -> None:
        await rings(ladder)
        await ladder.app.command("call:status", {"call_status": how})
        await cancelled(ladder)
        last = await over(ladder)
        assert (last["call_status"], last["sip_status"]) == ("no-answer", 487)

    story()


@ladder_test
async def test_the_application_leaves_while_it_rings(ladder: Ladder) -> None:
    """There is nobody for the callee to talk to: it is not left to answer."""
    await rings(ladder)
    await ladder.app.drop(1000)
    await cancelled(ladder)


@ladder_test
async def test_the_application_is_lost_while_it_rings_and_found_again(ladder: Ladder) -> None:
    """It has not been told of the call, and is not reminded of it: `session:new` is its first."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await rings(ladder)
    await ladder.app.drop(1011)
    await asyncio.sleep(2)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.answer_call()
    await carrier.hang_up()
    await agent.is_hung_up()
    await ladder.app.until(lambda: 1000 in ladder.app.close_codes)
    assert not ladder.app.told("session:reconnect")
    assert len(ladder.app.told("session:new")) == 1


@ladder_test
async def test_the_answer_crosses_the_cancel(ladder: Ladder) -> None:
    """RFC 3261 9.1: the call that is up after all is hung up, and no agent is called."""
    await rings(ladder)
    carrier = ladder.peer("carrier")
    await ladder.app.command("call:status", {"call_status": "completed"})
    await carrier.expect("CANCEL")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await carrier.is_hung_up()
    last = await over(ladder)
    assert last["call_status"] == "no-answer"
    assert not ladder.app.told("session:new")


@ladder_test
async def test_early_media_is_told_of(ladder: Ladder) -> None:
    """A carrier's announcement, before the answer or in its stead."""
    ladder.switch.place(body())
    carrier = ladder.peer("carrier")
    await carrier.expect("INVITE")
    await carrier.send(183, sdp=PCMU)
    await ladder.app.until(lambda: ("early-media", 183) in ladder.app.statuses())
    await refused(ladder, 404)
    last = await over(ladder)
    assert last["call_status"] == "failed"


def to_nobody(peers: dict[str, Peer]) -> list[Trunk]:
    """A trunk that takes one call, one that wants a password, one whose first server is busy."""
    carrier, second = peers["carrier"], peers["second"]
    return [
        _trunk("one-call", carrier, max_calls=1),
        _trunk("one-a-second", carrier, calls_per_second=1),
        _trunk("with-password", carrier, credentials=Credentials("us", "secret")),
        Trunk(name="two-servers", gateways=(_at(carrier), _at(second)), no_response_s=8.0),
    ]


def _trunk(name: str, peer: Peer, **more: Any) -> Trunk:
    return Trunk(name=name, gateways=(_at(peer),), no_response_s=8.0, **more)


def _at(peer: Peer) -> Uri:
    return Uri.parse(f"sip:127.0.0.1:{peer.port}")


@ladder_with(trunks_to=to_nobody)
async def test_a_trunk_that_is_full_refuses_and_sends_nothing(ladder: Ladder) -> None:
    ladder.switch.place(body("one-call"))
    with pytest.raises(PlaceError, match="Trunk one-call Carries 1 Calls Already") as full:
        ladder.switch.place(body("one-call"))
    assert full.value.status == 503
    await ladder.peer("carrier").expect("INVITE")
    await refused(ladder, 486)
    await over(ladder)
    await ladder.switch.none_left()
    assert ladder.switch.dialler.limits.calls("one-call") == 0
    with pytest.raises(PlaceError) as unknown:
        ladder.switch.place(body("nowhere"))
    assert unknown.value.status == 400


@ladder_with(trunks_to=to_nobody)
async def test_a_trunk_takes_so_many_a_second(ladder: Ladder) -> None:
    ladder.switch.place(body("one-a-second"))
    with pytest.raises(PlaceError) as soon:
        ladder.switch.place(body("one-a-second"))
    assert soon.value.status == 503
    await ladder.peer("carrier").expect("INVITE")
    await refused(ladder, 486)
    await over(ladder)


@ladder_with(limits=LimitSettings(calls=1, calls_per_second=1000))
async def test_the_switch_is_full(ladder: Ladder) -> None:
    """Calls that come and calls that are placed share `limits.calls`."""
    await rings(ladder)
    with pytest.raises(PlaceError, match="1 are up"):
        ladder.switch.place(body())
    second = ladder.peer("second")
    await second.send("INVITE", sdp=PCMU)
    await second.expect(503)
    await second.send("ACK")
    await refused(ladder, 486)
    await over(ladder)


@ladder_with(trunks_to=to_nobody)
async def test_a_busy_server_is_no_end(ladder: Ladder) -> None:
    """RFC 3263 4.3: the next one is tried, in the same call; the application hears no refusal."""
    placed = ladder.switch.place(body("two-servers"))
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    first: Request = await carrier.expect("INVITE")
    assert first.call_id == placed.sip_call_id
    await refused(ladder, 503)
    again: Request = await second.expect("INVITE")
    assert again.call_id != placed.sip_call_id
    await second.send(486)
    await second.expect("ACK")
    last = await over(ladder)
    assert kinds(ladder) == ["trying", "trying", "busy"]
    assert last["call_id"] == again.call_id


@ladder_with(trunks_to=to_nobody)
async def test_a_trunk_that_challenges_gets_its_password(ladder: Ladder) -> None:
    ladder.switch.place(body("with-password"))
    carrier = ladder.peer("carrier")
    await carrier.expect("INVITE")
    await carrier.send(407, headers=(("Proxy-Authenticate", 'Digest realm="c", nonce="n"'),))
    await carrier.expect("ACK")
    again: Request = await carrier.expect("INVITE")
    assert 'username="us"' in (again.headers.get("proxy-authorization") or "")
    await refused(ladder, 486)
    await over(ladder)


@ladder_test
async def test_100_and_nothing(ladder: Ladder) -> None:
    """The trunk gets nowhere: post_dial_s."""
    ladder.switch.place(body())
    carrier = ladder.peer("carrier")
    await carrier.expect("INVITE")
    await carrier.send(100)
    await cancelled(ladder)
    last = await over(ladder)
    assert (last["call_status"], last["sip_status"], last["cause"]) == (
        "failed",
        408,
        "no-progress",
    )
    assert "100 and nothing more" in last["detail"]


@ladder_test
async def test_a_switch_that_closes_gives_up_what_rings(ladder: Ladder) -> None:
    await rings(ladder)
    closing = asyncio.create_task(ladder.switch.close())
    cancel = await cancelled(ladder)
    assert 'cause=503;text="Gateway Is Shutting Down"' in (cancel.headers.get("reason") or "")
    await closing
    last = await over(ladder)
    assert (last["call_status"], last["cause"]) == ("no-answer", "shutdown")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"from": None}, "from is missing"),
        ({"to": None}, "to is missing"),
        ({"to": {"type": "teams", "number": PERSON}}, "known to jambonz, not supported here"),
        ({"to": {"type": "phone", "trunk": "carrier"}}, "number is missing"),
        ({"to": {"type": "phone", "number": PERSON}}, "Dial Names No Trunk"),
        (
            {"to": {"type": "phone", "number": PERSON, "trunk": "x", "confirmHook": "/c"}},
            "to.confirmHook is a dial's",
        ),
        ({"call_hook": {"url": "wss://app.example.com"}}, "call_hook"),
        ({"speech_synthesis_vendor": "acme"}, "known to jambonz, not supported here"),
        ({"answerOnBridge": True}, "unknown property answerOnBridge"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0"),
        ({"fromHost": "sip.example.com;x"}, "fromHost"),
        ({"headers": {"Via": "SIP/2.0"}}, "the softswitch's own"),
    ],
)
def test_a_body_is_refused_in_words(more: Json, words: str) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        with pytest.raises(PlaceError, match=words) as refused:
            ladder.switch.place(body(**more))
        assert refused.value.status == 400
        assert not ladder.app.connected

    story()


@ladder_test
async def test_a_number_that_no_trunk_can_dial_is_no_call(ladder: Ladder) -> None:
    """Found out on the way: the application hears it, as of any failure."""
    to = {"type": "phone", "number": "not a number", "trunk": "carrier"}
    ladder.switch.place(body(to=to))
    last = await over(ladder)
    assert (last["call_status"], last["sip_status"], last["cause"]) == ("failed", 484, "bad-number")


@ladder_test
async def test_an_id_is_one_calls(ladder: Ladder) -> None:
    ladder.switch.place(body(), call_sid="one")
    with pytest.raises(PlaceError, match="one is up already"):
        ladder.switch.place(body(), call_sid="one")
    await ladder.peer("carrier").expect("INVITE")
    await refused(ladder, 486)
    await over(ladder)
