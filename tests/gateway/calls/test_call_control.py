"""Calls steered from outside: the commands that our application gives the softswitch."""

from typing import Any

import pytest

from gateway.calls.control import (
    NoSoundError,
    NotLiveError,
    TransferRefusedError,
    UnsupportedError,
    WrongStateError,
)
from gateway.http.app_keys import CALLS, CONTROL
from gateway.http.ports import LiveCallControl
from tests.gateway.calls.test_transfers import DIRECTORY, MOBILE, TRANSFERRING, talking, targets
from tests.gateway.conftest import TRUNK_DID, Gateway, Start
from tests.gateway.peer import Jambonz

Json = dict[str, Any]


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(**TRANSFERRING)


def control(gateway: Gateway) -> tuple[LiveCallControl, str]:
    """The port, and our id of the only call."""
    [call] = gateway.app[CALLS]._calls.values()
    return gateway.app[CONTROL], call.call_id


async def up(gateway: Gateway, jambonz: Jambonz) -> tuple[LiveCallControl, str]:
    """The same, once the two talk."""
    await talking(jambonz)
    await jambonz.nothing()
    return control(gateway)


async def test_a_transfer_by_command_waits_for_its_verdict(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        begun = await steers.transfer(call_id, "Duty", by="api ops")
        frame = await jambonz.other_command("transfer")
        assert targets(frame["data"]) == [f"second:{MOBILE}"]
        await jambonz.target_answered()
        await jambonz.agent_gone()
        verdict = await begun.outcome()
        assert (verdict.outcome, verdict.stage, verdict.code) == ("transferred", "bridge", 200)
        assert await begun.outcome() is verdict
        await jambonz.caller_hangs_up()
    [transfer] = (await gateway.record()).transfers
    assert (transfer["by"], transfer["asked_for"]) == ("api ops", "Duty")


async def test_a_real_jambonz_is_redirected(start: Start) -> None:
    """It knows no other way: the agent's leg is hung up first."""
    gateway = await start(**TRANSFERRING, sip={"listen": []})
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        begun = await steers.transfer(call_id, "Duty", by="function hand_over")
        assert targets(await jambonz.command()) == [f"second:{MOBILE}"]
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        assert await jambonz.target_refused(486, status="busy") == [{"verb": "hangup"}]
        assert (await begun.outcome()).code == 486
        await jambonz.caller("completed", 200, call_termination_by="jambonz")


async def test_the_verdict_comes_with_the_calls_end_at_the_latest(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        begun = await steers.transfer(call_id, "Duty", by="api ops")
        await jambonz.caller("completed", 200, call_termination_by="caller")
        verdict = await begun.outcome()
        assert (verdict.outcome, verdict.code) == ("failed", 487)


@pytest.mark.parametrize(
    ("to", "code", "may"),
    [
        ("nobody", 404, tuple(DIRECTORY)),
        (TRUNK_DID, 482, ()),
        ("Dear", 403, ()),
    ],
)
async def test_a_transfer_that_is_refused(
    gateway: Gateway, to: str, code: int, may: tuple[str, ...]
) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        with pytest.raises(TransferRefusedError) as refused:
            await steers.transfer(call_id, to, by="api ops")
        assert (refused.value.code, refused.value.may) == (code, may)
        await jambonz.nothing()
        await jambonz.caller_hangs_up()


async def test_one_transfer_at_a_time(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.transfer(call_id, "Duty", by="api ops")
        with pytest.raises(TransferRefusedError) as refused:
            await steers.transfer(call_id, "Sales", by="api ops")
        assert refused.value.code == 491
        await jambonz.other_command("transfer")
        await jambonz.caller_hangs_up()


async def test_what_cannot_be_done_to_a_call(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.nothing()
        steers, call_id = control(gateway)
        with pytest.raises(WrongStateError):
            await steers.transfer(call_id, "Duty", by="api ops")
        with pytest.raises(WrongStateError):
            await steers.hold(call_id)
        await jambonz.answered()
        await jambonz.nothing()
        with pytest.raises(WrongStateError):
            await steers.resume(call_id)
        with pytest.raises(NoSoundError):
            await steers.play(call_id, "../secret.wav", "a")
        await jambonz.caller_hangs_up()
    await gateway.record()
    with pytest.raises(NotLiveError):
        await steers.hangup(call_id)


async def test_hangup(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.hangup(call_id)
        frame = await jambonz.other_command("call:status")
        assert frame["data"] == {"call_status": "completed"}
        await jambonz.caller("completed", 200, call_termination_by="jambonz")


def muted(jambonz: Jambonz, leg: str, word: str) -> Json:
    frame: Json = {"type": "command", "command": "mute:status", "data": {"mute_status": word}}
    return frame if leg == "a" else frame | {"callSid": f"{jambonz.call_sid}-child-1"}


async def test_hold_and_who_is_muted_besides(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.hold(call_id)
        await steers.mute(call_id, "b", on=True)
        await steers.resume(call_id)
        await steers.mute(call_id, "b", on=False)
        for leg, word in (
            *(("a", "mute"), ("b", "mute")),
            ("b", "mute"),
            ("a", "unmute"),
            ("b", "unmute"),
        ):
            assert await jambonz.receive() == muted(jambonz, leg, word)
        await jambonz.caller_hangs_up()


async def test_a_transfer_takes_the_call_off_hold(gateway: Gateway) -> None:
    """Who is handed on is heard by whom they are handed to, but for whom somebody has muted."""
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.hold(call_id)
        await steers.mute(call_id, "b", on=True)
        for leg in ("a", "b", "b"):
            assert await jambonz.receive() == muted(jambonz, leg, "mute")
        begun = await steers.transfer(call_id, "Duty", by="api ops")
        assert await jambonz.receive() == muted(jambonz, "a", "unmute")
        await jambonz.other_command("transfer")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        await begun.outcome()
        with pytest.raises(WrongStateError):
            await steers.resume(call_id)
        await steers.hold(call_id)
        await steers.resume(call_id)
        held = [await jambonz.receive() for _ in range(4)]
        assert [one["data"]["mute_status"] for one in held] == ["mute", "mute", "unmute", "unmute"]
        await jambonz.caller_hangs_up()


async def test_a_refused_transfer_leaves_the_call_on_hold(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.hold(call_id)
        for leg in ("a", "b"):
            assert await jambonz.receive() == muted(jambonz, leg, "mute")
        with pytest.raises(TransferRefusedError):
            await steers.transfer(call_id, "Nobody", by="api ops")
        await steers.resume(call_id)
        for leg in ("a", "b"):
            assert await jambonz.receive() == muted(jambonz, leg, "unmute")
        await jambonz.caller_hangs_up()


async def test_keys_go_to_either_side(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.dtmf(call_id, "1#", "a")
        await steers.dtmf(call_id, "2", "b")
        pressed = [await jambonz.other_command("dtmf") for _ in range(3)]
        assert [frame["data"]["dtmf"]["digit"] for frame in pressed] == ["1", "#", "2"]
        assert ["callSid" in frame for frame in pressed] == [False, False, True]
        await jambonz.caller_hangs_up()


async def test_a_sound_for_one_side(start: Start, tmp_path: Any) -> None:
    (tmp_path / "beep.wav").write_bytes(b"RIFF")
    gateway = await start(**TRANSFERRING, media={"sounds": str(tmp_path)})
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        await steers.play(call_id, "beep.wav", "a")
        frame = await jambonz.other_command("whisper")
        assert frame["data"]["whisper"]["url"] == "beep.wav"
        await jambonz.caller_hangs_up()


async def test_a_jambonz_elsewhere_has_no_sounds(start: Start) -> None:
    gateway = await start(sip={"listen": []})
    async with gateway.jambonz() as jambonz:
        steers, call_id = await up(gateway, jambonz)
        with pytest.raises(UnsupportedError):
            await steers.play(call_id, "beep.wav", "a")
        await jambonz.caller_hangs_up()
