"""The queue of verbs: what is interrupted, and what runs after it."""

import asyncio
from typing import Any

import pytest

from sip.softswitch.jambonz.runner import Runner
from sip.softswitch.jambonz.session import Session
from sip.softswitch.jambonz.verbs import VERBS
from sip.softswitch.jambonz.verbs.schema import ANY, Shape
from tests.ladder import PCMU, Ladder, dial, ladder_test

DECLINE = {"verb": "sip:decline", "status": 486}


class Curious:
    """A verb that is interrupted in its very last step."""

    async def run(self, session: Session) -> None:
        assert isinstance(session, Runner)
        session.clear()
        session.give(session.application.read([{"verb": "config"}, DECLINE]))
        session.interrupt()


class Stubborn:
    """A verb that takes its own time to stop."""

    async def run(self, _: Session) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(1)


class Broken:
    async def run(self, _: Session) -> None:
        raise RuntimeError("an error of ours")


@pytest.fixture(autouse=True)
def odd_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    odd: dict[str, Any] = {"curious": Curious, "stubborn": Stubborn, "broken": Broken}
    for name, make in odd.items():
        monkeypatch.setitem(VERBS, name, Shape(name, make, ANY))


async def rejected(ladder: Ladder, status: int) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(status)
    await carrier.send("ACK")


@ladder_test
async def test_an_application_hears_the_words_of_a_peer_that_refuses(ladder: Ladder) -> None:
    """RFC 3326, RFC 3261 20.43: why, as the peer itself says it."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    words = (
        ("Reason", 'Q.850;cause=21;text="trunk disabled"'),
        ("Warning", '399 sip.example.com "no route"'),
        ("X-Vendor-Error", "31005"),
        ("Server", "a proxy"),
    )
    await agent.send(403, reason="Trunk Disabled", headers=words)
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    [refused] = [
        frame["data"]
        for frame in ladder.app.told("call:status")
        if "parent_call_sid" in frame["data"] and frame["data"]["call_status"] == "failed"
    ]
    assert refused["sip_reason"] == "Trunk Disabled"
    assert refused["headers"] == {
        "reason": 'Q.850;cause=21;text="trunk disabled"',
        "warning": '399 sip.example.com "no route"',
        "x_vendor_error": "31005",
    }


@ladder_test
async def test_a_verb_interrupted_in_its_last_step_gives_way_to_the_next(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "curious"}, {"verb": "hangup"}]
    await rejected(ladder, 486)
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.statuses() == [("trying", 100), ("failed", 486)]


@ladder_test
async def test_interruptions_one_after_another(ladder: Ladder) -> None:
    """The verb is still stopping when the second comes; the last verbs count."""
    ladder.app.verbs = lambda _: [{"verb": "stubborn"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    await ladder.app.command("redirect", [{"verb": "hangup"}])
    await ladder.app.command("redirect", [{"verb": "stubborn"}])
    await asyncio.sleep(30)
    await ladder.app.command("redirect", [DECLINE])
    await carrier.expect(486)
    await carrier.send("ACK")


@ladder_test
async def test_verbs_that_are_queued_do_not_interrupt(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "stubborn"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    await ladder.app.command("redirect", [DECLINE], queueCommand=True)
    await asyncio.sleep(3590)
    assert ladder.app.statuses() == [("trying", 100)]
    await carrier.expect(486)
    await carrier.send("ACK")


@ladder_test
async def test_verbs_that_are_queued_end_the_wait_for_commands(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "config"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    await ladder.app.command("redirect", [DECLINE], queueCommand=True)
    await carrier.expect(486, within_s=1)
    await carrier.send("ACK")


@ladder_test
async def test_the_switch_closes_while_a_verb_is_stopping(ladder: Ladder) -> None:
    """Both cancel the call's task; the verb's end is not mistaken for leave to go on."""
    ladder.app.verbs = lambda _: [{"verb": "stubborn"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    [(task, driver)] = ladder.switch._calls.items()
    driver._interrupt()
    task.cancel()
    await carrier.expect(603, within_s=2)
    await carrier.send("ACK")
    await asyncio.wait([task])
    assert task.cancelled()


@ladder_test
async def test_a_verb_that_breaks_ends_the_call_with_500(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "broken"}, DECLINE]
    await rejected(ladder, 500)


@ladder_test
async def test_a_caller_who_gives_up_at_once_is_told_of_from_the_beginning(ladder: Ladder) -> None:
    """The CANCEL comes with the INVITE: session:new says trying all the same, as in jambonz."""
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.send("CANCEL")
    await carrier.expect(100)
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    [new] = ladder.app.told("session:new")
    assert (new["data"]["call_status"], new["data"]["sip_status"]) == ("trying", 100)
    assert "duration" not in new["data"]
    assert ladder.app.statuses()[-1] == ("no-answer", 487)
