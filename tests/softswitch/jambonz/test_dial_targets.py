"""`dial` of several targets at once, and of users that registered with us."""

from pathlib import Path
from typing import Any

import pytest

from sip.b2bua.legs.options import LegOptions
from sip.softswitch.jambonz.sounds import Sounds
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import DID, PCMU, Ladder, Peer, ladder_test, ladder_with
from tests.softswitch.phone import PASSWORD, Phone

DESK = Trunk(name="desk", registrar=True, login=("200", PASSWORD))
HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
HERE_FILE = "test_dial_targets.py"
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def phone(trunk: str, number: str = DID, **more: Any) -> dict[str, Any]:
    return {"type": "phone", "number": number, "trunk": trunk, **more}


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "user", "name": name, **more}


def dial_all(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "verb": "dial",
        "target": list(targets),
        "answerOnBridge": True,
        "actionHook": "/dial-action",
        **more,
    }


async def calls(ladder: Ladder) -> Peer:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    return carrier


def outcome(ladder: Ladder) -> tuple[str, int, str | None]:
    """What the dial's hook was told."""
    [told] = [frame["data"] for frame in ladder.app.told("/dial-action")]
    return told["dial_call_status"], told["dial_sip_status"], told.get("dial_cause")


@ladder_test
async def test_two_trunks_at_once_and_the_faster_has_the_caller(ladder: Ladder) -> None:
    """Each target has its own trunk and headers; each leg's news tell its own number."""
    ladder.app.verbs = lambda _: [
        dial_all(
            phone("agent", "+14155550101", headers={"X-Desk": "1"}),
            phone("second", "+14155550102"),
            tag={"queue": "sales"},
        ),
        {"verb": "hangup"},
    ]
    carrier = await calls(ladder)
    agent, second = ladder.peer("agent"), ladder.peer("second")
    invite = await agent.expect("INVITE")
    other = await second.expect("INVITE")
    assert (invite.headers.get("x-desk"), other.headers.get("x-desk")) == ("1", None)
    await agent.send(180)
    await second.send(180)
    await carrier.expect(180)
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    cancel = await agent.expect("CANCEL")
    assert cancel.headers.get("reason") == ELSEWHERE
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    assert {name: ladder.switch.dialler.limits.calls(name) for name in ("agent", "second")} == {
        "agent": 0,
        "second": 1,
    }
    await second.hang_up()
    await carrier.is_hung_up()
    assert outcome(ladder) == ("completed", 200, "bye")
    news = [frame["data"] for frame in ladder.app.told("call:status")]
    last = {told["to"]: told["call_status"] for told in news if "parent_call_sid" in told}
    assert last == {"+14155550101": "no-answer", "+14155550102": "completed"}
    assert all(told["customerData"] == {"queue": "sales"} for told in news if "caller_id" in told)


@ladder_test
async def test_a_target_without_a_way_leaves_the_others_alone(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        dial_all(phone("nobody", "+14155550101"), user("200"), phone("agent")),
        {"verb": "hangup"},
    ]
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    assert outcome(ladder)[0] == "completed"
    news = [frame["data"] for frame in ladder.app.told("call:status")]
    failed = [(told["to"], told["sip_status"]) for told in news if told["call_status"] == "failed"]
    assert failed == [("+14155550101", 404), ("200", 480)]


@pytest.mark.parametrize(
    ("statuses", "told"),
    [((486, 404), ("busy", 486, "rejected")), ((480, 603), ("failed", 603, "rejected"))],
)
def test_nobody_answers(statuses: tuple[int, int], told: tuple[str, int, str]) -> None:
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [dial_all(phone("agent"), phone("second"))]
        ladder.app.hooks["/dial-action"] = lambda data: [
            {"verb": "sip:decline", "status": data["dial_sip_status"]}
        ]
        carrier = await calls(ladder)
        for name, status in zip(("agent", "second"), statuses, strict=True):
            await ladder.peer(name).expect("INVITE")
            await ladder.peer(name).send(status)
            await ladder.peer(name).expect("ACK")
        await carrier.expect(told[1])
        await carrier.send("ACK")
        assert outcome(ladder) == told

    ladder_test(story)()


@ladder_test
async def test_the_time_to_ring_is_that_of_all(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        dial_all(phone("agent"), phone("second"), timeout=10),
        {"verb": "sip:decline", "status": 480},
    ]
    carrier = await calls(ladder)
    peers = [ladder.peer("agent"), ladder.peer("second")]
    for peer in peers:
        await peer.expect("INVITE")
        await peer.send(180)
    await carrier.expect(180)
    for peer in peers:
        await peer.expect("CANCEL", within_s=10.5)
        await peer.send(200, answering="CANCEL")
        await peer.send(487)
        await peer.expect("ACK")
    await carrier.expect(480)
    await carrier.send("ACK")
    assert outcome(ladder) == ("no-answer", 487, "cancelled")


@ladder_test
async def test_a_command_ends_a_dial_of_several_and_its_hook_is_told(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial_all(phone("agent"), phone("second"))]
    carrier = await calls(ladder)
    peers = [ladder.peer("agent"), ladder.peer("second")]
    for peer in peers:
        await peer.expect("INVITE")
        await peer.send(180)
    await carrier.expect(180)
    await ladder.app.command("redirect", [{"verb": "sip:decline", "status": 486}])
    for peer in peers:
        await peer.expect("CANCEL")
        await peer.send(200, answering="CANCEL")
        await peer.send(487)
        await peer.expect("ACK")
    await carrier.expect(486)
    await carrier.send("ACK")
    assert outcome(ladder) == ("no-answer", 487, "cancelled")


@pytest.mark.parametrize("early", [True, False])
def test_a_caller_that_takes_no_re_invite_gets_the_winner(early: bool) -> None:
    """It hears music, before the answer or after it: the winner comes to where it is."""

    @ladder_with(
        legs={"carrier": LegOptions(reinvites=False)}, sounds=Sounds(folder=HERE, country="GB")
    )
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [
            dial_all(phone("agent"), phone("second"), dialMusic=HERE_FILE, answerOnBridge=early),
            {"verb": "hangup"},
        ]
        carrier = await calls(ladder)
        agent, second = ladder.peer("agent"), ladder.peer("second")
        if early:
            await carrier.expect(183)
        else:
            await carrier.expect(200, of="INVITE")
            await carrier.send("ACK")
        await agent.expect("INVITE")
        await second.expect("INVITE")
        await second.send(180)
        if early:
            await carrier.expect(180)
        assert [sound for _, sound, _ in ladder.media.played] == [HERE / HERE_FILE]
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        if early:
            await carrier.expect(200, of="INVITE")
            await carrier.send("ACK")
        await agent.expect("INVITE")  # to the caller's room
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await second.expect("CANCEL")
        await second.send(200, answering="CANCEL")
        await second.send(487)
        await second.expect("ACK")
        await carrier.silence(1)
        await carrier.hang_up()
        await agent.is_hung_up()
        await ladder.app.until(lambda: ladder.app.told("/dial-action"))
        assert outcome(ladder)[:2] == ("completed", 200)

    story()


@ladder_with(trunks=[DESK])
async def test_a_user_that_registered_is_called_at_its_contact(ladder: Ladder) -> None:
    """By name alone or at our realm, at the Contact to the letter (RFC 3261 16.5)."""
    [gateway] = ladder.switch.ua.listening
    desk = Phone("desk", gateway)
    contact = f"<sip:200@127.0.0.1:{desk.port};rinstance=5cAE21%5B1%5D>"
    assert (await desk.register(contact, user="200", login="200")).status == 200
    ladder.app.verbs = lambda _: [
        dial_all(user("201@gateway.test")),
        dial_all(user("200@gateway.test")),
        {"verb": "hangup"},
    ]
    carrier = await calls(ladder)
    invite = await desk.expect("INVITE")
    assert f"<{invite.uri}>" == contact
    assert invite.to.uri.user == "200"
    await desk.send(200, sdp=PCMU)
    await desk.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert ladder.switch.dialler.limits.calls("desk") == 1
    await desk.hang_up()
    await carrier.is_hung_up()
    first, second = [frame["data"] for frame in ladder.app.told("/dial-action")]
    assert (first["dial_sip_status"], first["dial_cause"]) == (480, "not-registered")
    assert first["dial_sip_reason"] == "User 201@gateway.test Is Not Registered"
    assert second["dial_sip_status"] == 200
    await desk.close()


@ladder_with(trunks=[DESK])
async def test_a_user_of_another_host_or_trunk_is_another(ladder: Ladder) -> None:
    [gateway] = ladder.switch.ua.listening
    desk = Phone("desk", gateway)
    assert (await desk.register(desk.contact, user="200", login="200")).status == 200
    ladder.app.verbs = lambda _: [
        dial_all(user("200@example.com")),
        dial_all(user("200", trunk="agent")),
        {"verb": "sip:decline", "status": 404},
    ]
    carrier = await calls(ladder)
    await carrier.expect(404)
    await carrier.send("ACK")
    told = [frame["data"]["dial_sip_status"] for frame in ladder.app.told("/dial-action")]
    assert told == [480, 480]
    await desk.silence(1)
    await desk.close()


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([phone("a")] * 11, "may hold 10 targets"),
        ([phone("a"), "b"], "a target must be an object"),
        ([user("@gateway.test")], "must be a user, or user@realm"),
        ([user("200@")], "must be a user, or user@realm"),
        ([{"type": "user"}], "name is missing"),
        ([{"type": "teams", "number": DID}], "'teams' is known to jambonz, not supported here"),
        ([phone("a", proxy="sip:x")], "proxy is known to jambonz, not supported here"),
        ([{"type": "fax"}], "'fax' is not known"),
    ],
)
def test_targets_that_cannot_be_dialled_are_refused_in_words(
    targets: list[Any], words: str
) -> None:
    with pytest.raises(VerbError, match=words):
        parse_verbs([dial_all(*targets)], print)
