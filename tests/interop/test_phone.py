"""baresip, a telephone of its own making, called through the gateway and calling through it.

Both sides speak, and each recording must hold the other's words: content, not packet counts.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.harness import speech
from tests.interop.harness.baresip import Baresip
from tests.interop.harness.gateway import LOGIN, PLAIN, TO_A_THEN_B, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.scene import ending
from tests.interop.harness.sipp import Transport

SAME, OTHER = 0.9, 0.6
TALK_S = 7.0


class Voice(NamedTuple):
    once: Path
    """the words, to look for"""
    again: Path
    """the same over and over, to play"""


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Voice, Voice]:
    """Two people with a sentence each."""
    directory = tmp_path_factory.mktemp("voices")

    def voice(name: str, text: str, kind: str) -> Voice:
        once = speech.speak(text, directory / f"{name}.wav", voice=kind)
        return Voice(once, speech.speak(text, directory / f"{name}-on.wav", voice=kind, repeat=12))

    return (
        voice("customer", "The quick brown fox jumps over the lazy dog near the river.", "en"),
        voice("agent", "Seven thousand apples were sold on Monday, nobody counted.", "en-us+f3"),
    )


def test_the_measure_tells_speech_apart(voices: tuple[Voice, Voice]) -> None:
    customer, agent = (speech.read(voice.once) for voice in voices)
    talk = speech.read(voices[0].again)
    assert speech.likeness(talk, customer) > SAME
    assert speech.likeness(talk, agent) < OTHER
    silence = talk * 0
    assert speech.likeness(silence, customer) == 0
    assert speech.likeness(silence[:0], customer) == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_phone_calls_the_agent(
    transport: Transport, network: Network, tmp_path: Path, voices: tuple[Voice, Voice]
) -> None:
    """The phone proves itself by its password; another baresip plays Retell's agent."""
    customer, agent = voices
    desk, far = network.phone("desk", 0), network.phone("agent", 1)
    user, password = "desk-phone", "interop-phone-password"

    def add_phones(settings: Json) -> None:
        login = {"username": user, "password": password}
        settings["trunks"].append({"name": "desk", "kind": "pbx", "login": login})
        settings["retell"]["sip_uri"] = f"sip:{far};transport={transport}"

    async with (
        Gateway(network, transport, tmp_path, add_phones) as gateway,
        Baresip(desk, customer.again, tmp_path / "customer", user=user, password=password) as phone,
        Baresip(far, agent.again, tmp_path / "agent", user=PLAIN) as retell,
    ):
        await phone.dial(f"sip:{PLAIN}@{network.gateway};transport={transport}")
        await phone.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await phone.hangup()
        await retell.event("CALL_CLOSED")
        [record] = await ended(gateway)
    hears(phone.heard(), agent, customer)
    hears(retell.heard(), customer, agent)
    assert ending(record) == ("caller", "hangup", 200)
    assert gateway.problems() == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_phone_is_called(
    transport: Transport, network: Network, tmp_path: Path, voices: tuple[Voice, Voice]
) -> None:
    """Retell's side calls out, proving itself; the carrier's customer is the phone."""
    customer, agent = voices
    near, far = network.phone("phone", 0), network.phone("agent", 1)

    def add_phones(settings: Json) -> None:
        settings["retell"]["identify"] = [far.host]
        settings["trunks"][0]["gateways"] = [f"sip:{near};transport={transport}"]

    async with (
        Gateway(network, transport, tmp_path, add_phones) as gateway,
        Baresip(near, customer.again, tmp_path / "customer", user=TO_A_THEN_B) as phone,
        Baresip(far, agent.again, tmp_path / "agent", user=LOGIN[0], password=LOGIN[1]) as retell,
    ):
        await retell.dial(f"sip:{TO_A_THEN_B}@{network.gateway};transport={transport}")
        await retell.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await phone.hangup()
        await retell.event("CALL_CLOSED")
        [record] = await ended(gateway)
    hears(phone.heard(), agent, customer)
    hears(retell.heard(), customer, agent)
    assert ending(record) == ("callee", "hangup", 200)
    assert gateway.problems() == []


def hears(recording: Path, other: Voice, self: Voice) -> None:
    """The recording holds the other's words, and not an echo of one's own."""
    samples = speech.read(recording)
    assert speech.likeness(samples, speech.read(other.once)) > SAME
    assert speech.likeness(samples, speech.read(self.once)) < OTHER


async def ended(gateway: Gateway) -> list[Json]:
    """The call records, once no call is up."""
    records = await gateway.calls()
    for _ in range(50):
        if records and all(record["ended_at"] for record in records):
            break
        await asyncio.sleep(0.1)
        records = await gateway.calls()
    return records
