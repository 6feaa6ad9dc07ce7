"""Placed calls whose callee is heard by our own relay: from its audio to what it hears next."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from config.settings import LimitSettings
from sip.media.tones import tone
from sip.softswitch.jambonz.sounds import Sounds
from tests.fakes.relay import RelayHere
from tests.ladder import DID, Ladder, dial, ladder_with
from tests.media.talk import Phone
from tests.media.test_convert import spoken
from tests.media.test_detection_heard import words
from tests.media.test_key_tones import quiet
from tests.media.voices import wav
from tests.ports import free_ports

#: A second that is no silence.
MESSAGE = tone([500], 1000)


def here() -> RelayHere:
    return RelayHere(free_ports(40))


async def placed(ladder: Ladder) -> Phone:
    """The callee has answered; its phone knows where to speak to."""
    to = {"type": "phone", "number": DID, "trunk": "carrier"}
    ladder.switch.place({"from": DID, "to": to, "amd": {"actionHook": "/amd"}})
    ladder.app.verbs = lambda _: None
    phone = Phone("callee")
    invite = await ladder.peer("carrier").answer_call(sdp=phone.sdp("0 101"))
    phone.hear_of(invite.body.decode())
    await asyncio.sleep(0.1)
    return phone


async def says(phone: Phone, pcm: bytes) -> None:
    for packet in spoken("PCMU", pcm):
        phone.snd(packet)
        await asyncio.sleep(0.02)


def stored(path: Path) -> None:
    path.write_bytes(wav(MESSAGE))


def types(ladder: Ladder) -> list[str]:
    return [frame["data"]["type"] for frame in ladder.app.told("/amd")]


@ladder_with(media=here)
async def test_a_person_says_hello_and_hears_the_agent(ladder: Ladder) -> None:
    """No re-INVITE on the way: both hear each other where they were told at first."""
    ladder.app.hooks["/amd"] = lambda _: [dial("agent"), {"verb": "hangup"}]
    person = await placed(ladder)
    agent = Phone("agent")
    try:
        greeting = asyncio.create_task(says(person, quiet(400) + words(700) + quiet(2500)))
        invite = await ladder.peer("agent").answer_call(sdp=agent.sdp("0 101"))
        agent.hear_of(invite.body.decode())
        await greeting
        await asyncio.sleep(0.1)
        assert types(ladder) == ["amd_human_detected"]
        for speaker, hearer in ((agent, person), (person, agent)):
            hearer.rtp.forget()
            await says(speaker, MESSAGE)
            await asyncio.sleep(0.1)
            assert len(loud(hearer)) >= 45
        await ladder.peer("carrier").silence(0.5)
        await ladder.peer("carrier").hang_up()
        await ladder.peer("agent").is_hung_up()
        await ladder.app.until(lambda: ladder.app.close_codes)
    finally:
        person.close()
        agent.close()


@ladder_with(media=here)
async def test_a_machine_hears_the_message_after_its_beep(ladder: Ladder) -> None:
    """And all of it: nothing is said while the machine still speaks."""
    said = [{"verb": "play", "url": "message.wav"}, {"verb": "hangup"}]
    ladder.app.hooks["/amd"] = lambda data: said if data.get("tone") == "beep" else None
    with TemporaryDirectory() as folder:
        stored(Path(folder, "message.wav"))
        trunks = ladder.switch.dialler.trunks
        ladder.switch.configure(trunks, LimitSettings(), Sounds(folder=Path(folder)))
        machine = await placed(ladder)
        try:
            await says(machine, quiet(300) + words(7000) + quiet(600))
            assert types(ladder) == ["amd_machine_detected"]
            assert not loud(machine)
            await says(machine, tone([1000], 400) + quiet(500))
            await ladder.peer("carrier").is_hung_up()
            assert len(loud(machine)) >= 45, "a second is 50 packets, and the first are its silence"
        finally:
            machine.close()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert types(ladder) == ["amd_machine_detected", "amd_tone_detected"]


def loud(phone: Phone) -> list[bytes]:
    """The packets that came since the last time and say something."""
    return [data for data in phone.rtp.arrived() if data[12:] != b"\xff" * 160]
