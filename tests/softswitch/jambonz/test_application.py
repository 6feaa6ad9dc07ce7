"""The softswitch as jambonz: what an application sees and may say (reference: jambonz 0.9.8)."""

import asyncio

import pytest

from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.fakes.application import FakeApplication
from tests.ladder import CALLER, DID, PCMU, Ladder, dial, ladder_test


async def rejected(ladder: Ladder, status: int) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(status)
    await carrier.send("ACK")


async def up(ladder: Ladder) -> None:
    """A bridged call."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await ladder.app.until(lambda: ("in-progress", 200) in ladder.app.statuses())


@ladder_test
async def test_session_new_tells_who_calls_whom_from_where(ladder: Ladder) -> None:
    carrier = ladder.peer("carrier")
    spoof = (("X-Authenticated-User", "retell@x"), ("X-Caller-Id", "7"))
    await carrier.send("INVITE", sdp=PCMU, headers=spoof)
    await carrier.expect(100)
    await carrier.expect(404)
    await carrier.send("ACK")
    [frame] = ladder.app.told("session:new")
    session = frame["data"]
    assert frame["call_sid"] == session["call_sid"]
    assert (session["from"], session["to"], session["direction"]) == (CALLER, DID, "inbound")
    assert session["originating_sip_trunk_name"] == "carrier"
    assert session["originating_sip_ip"] == "127.0.0.1"
    assert session["call_id"] == session["sip"]["headers"]["call-id"]
    assert session["sip"]["headers"]["X-Caller-Id"] == "7"
    assert "X-Authenticated-User" not in session["sip"]["headers"]
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.close_codes == [1000]


@ladder_test
async def test_an_empty_or_wrong_first_ack_ends_in_480_and_close_1001(ladder: Ladder) -> None:
    bad: list[object] = [None, [], [{"verb": "dial", "codecs": []}], {"verb": "hangup"}]
    answers = iter(bad)
    ladder.app.verbs = lambda _: next(answers)
    for _ in bad:
        await rejected(ladder, 480)
    await ladder.app.until(lambda: len(ladder.app.close_codes) == len(bad))
    assert ladder.app.close_codes == [1001] * len(bad)


@ladder_test
async def test_no_ack_in_five_seconds_ends_in_480(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    started = asyncio.get_running_loop().time()
    await rejected(ladder, 480)
    assert 4.9 < asyncio.get_running_loop().time() - started < 6


@ladder_test
async def test_an_application_that_cannot_be_reached_ends_in_480(ladder: Ladder) -> None:
    """jambonz tries at 0.5, 1, 2, 4 and 6 s more: 13.5 s in all."""
    await ladder.app.stop()
    started = asyncio.get_running_loop().time()
    await rejected(ladder, 480)
    assert 13 < asyncio.get_running_loop().time() - started < 16


@ladder_test
async def test_an_application_may_decide_later(ladder: Ladder) -> None:
    """`config` first, then a command: the call waits meanwhile."""
    ladder.app.verbs = lambda _: [{"verb": "config"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(lambda: ladder.app.statuses() == [("trying", 100)])
    await asyncio.sleep(3)
    await ladder.app.command("redirect", [{"verb": "sip:decline", "status": 486}])
    await carrier.expect(486)
    await carrier.send("ACK")


@ladder_test
async def test_redirect_replaces_a_running_dial(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent")]
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await ladder.app.command("redirect", [dial("second"), {"verb": "hangup"}])
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await second.answer_call()  # its 180 is to the letter what the caller heard before
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await second.is_hung_up()


@ladder_test
async def test_an_answered_call_can_be_dialled_on(ladder: Ladder) -> None:
    """answer, then dial: the caller's session is moved to the B-leg, its port stays."""
    ladder.app.verbs = lambda _: [{"verb": "answer"}, dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.answer_call()
    reinvite = await carrier.expect("INVITE")  # two codecs now, where one was answered alone
    assert b"telephone-event" in reinvite.body
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_what_makes_no_sense_gets_jambonz_error(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "config"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    await ladder.app.say("no json")
    await ladder.app.say('{"type": "riddle"}')
    await ladder.app.say('{"type": "command", "command": "redirect"}')
    await ladder.app.command("dance", {})
    await ladder.app.command("redirect", [{"verb": "conference"}])
    await ladder.app.until(lambda: len(ladder.app.told("jambonz:error")) == 5)
    details = [frame["data"]["details"] for frame in ladder.app.told("jambonz:error")]
    assert "not JSON" in details[0]
    assert "'dance'" in details[3]
    assert "'conference'" in details[4]
    await ladder.app.command("call:status", {"call_status": "completed"})
    await carrier.expect(603)
    await carrier.send("ACK")


@ladder_test
async def test_an_application_that_crashed_gets_its_call_back(ladder: Ladder) -> None:
    """Any close but 1000: a new socket, session:reconnect with the first payload, the rest."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await up(ladder)
    await ladder.app.drop(1011)
    await ladder.app.until(lambda: ladder.app.told("session:reconnect"))
    [new], [again] = ladder.app.told("session:new"), ladder.app.told("session:reconnect")
    assert again["data"] == new["data"]
    assert again["msgid"] != new["msgid"]
    await carrier.hang_up()
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    await ladder.app.until(lambda: ladder.app.statuses()[-1] == ("completed", 200))


@ladder_test
async def test_a_first_ack_that_was_lost_may_come_with_the_reconnects(ladder: Ladder) -> None:
    """As in jambonz: the application had taken the call, and its socket broke meanwhile."""
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    ladder.app.again = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(lambda: ladder.app.told("session:new"))
    await ladder.app.drop(1011)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_verbs_in_the_ack_of_another_reconnect_are_ignored(ladder: Ladder) -> None:
    ladder.app.again = lambda _: [{"verb": "hangup"}]
    await ladder.call_up()
    await ladder.app.drop(1011)
    await ladder.app.until(lambda: ladder.app.told("session:reconnect"))
    await asyncio.sleep(1)
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_an_application_that_closed_with_1000_hears_nothing_more(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await up(ladder)
    heard = len(ladder.app.frames)
    await ladder.app.drop(1000)
    await ladder.app.until(lambda: ladder.app.close_codes)
    await agent.hang_up()
    await carrier.is_hung_up()
    assert len(ladder.app.frames) == heard


@ladder_test
async def test_a_call_that_only_waits_ends_when_the_application_leaves(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await ladder.app.until(lambda: ("in-progress", 200) in ladder.app.statuses())
    await ladder.app.drop(1000)
    await carrier.is_hung_up()


@ladder_test
async def test_tagged_data_comes_back_as_it_was(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        {"verb": "tag", "data": {"orderId": 7}},
        {"verb": "sip:decline", "status": 480},
    ]
    await rejected(ladder, 480)
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.told("call:status")[-1]["data"]["customerData"] == {"orderId": 7}


@ladder_test
async def test_a_hook_that_nobody_answers_does_not_hold_the_call(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 480}]
    ladder.app.hooks["/dial-action"] = lambda _: FakeApplication.NO_ACK
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(480, within_s=6)
    await carrier.send("ACK")


@ladder_test
async def test_a_trunk_that_does_not_exist_fails_the_dial(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("nobody")]
    ladder.app.hooks["/dial-action"] = lambda data: [
        {"verb": "sip:decline", "status": data["dial_sip_status"]}
    ]
    await rejected(ladder, 404)


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ({"verb": "conference"}, "'conference' is known to jambonz, not supported here"),
        ({"verb": "dial"}, "target is missing"),
        ({"verb": "dial", "target": []}, "target must be"),
        ({"verb": "dial", "target": [{"type": "phone"}]}, "number is missing"),
        ({"verb": "dial", "target": [{"type": "sip", "sipUri": "sip:"}]}, "sipUri"),
        (dial("agent", headers={"Via": "x"}), "softswitch's own"),
        (dial("agent", headers={"X-A": "1\r\nX-B: 2"}), "no header may have"),
        (dial("agent", timeout=-1), "seconds above 0"),
        (dial("agent", amd={"timers": {}}), "amd: actionHook is missing"),
        (dial("agent", codecs=[]), "unknown property codecs"),
        ({"verb": "sip:decline", "status": 180}, "300 to 699"),
        ({"verb": "redirect"}, "actionHook is missing"),
        ({"verb": "tag", "data": 1}, "data must be an object"),
        ("dial", "must be an object"),
    ],
)
def test_verbs_that_cannot_be_run_are_refused_in_words(verb: object, words: str) -> None:
    with pytest.raises(VerbError, match=words):
        parse_verbs([verb], print)


@ladder_test
async def test_a_recording_is_begun_by_config_and_paused_by_command(ladder: Ladder) -> None:
    start = {"action": "startCallRecording", "recordingID": "sales-7"}
    ladder.app.verbs = lambda _: [{"verb": "config", "record": start}, dial("agent")]
    await up(ladder)
    await ladder.app.command("record", {"action": "pauseCallRecording"})
    await ladder.app.command("record", {"action": "eraseCallRecording"})
    await ladder.app.until(lambda: ladder.app.told("jambonz:error"))
    told = [what for what in ladder.media.asked if "record" in what[0]]
    assert [what[0] for what in told] == ["record", "pause recording"]
    assert told[0][2] == "sales-7"
    await ladder.peer("carrier").hang_up()
    await ladder.peer("agent").is_hung_up()
