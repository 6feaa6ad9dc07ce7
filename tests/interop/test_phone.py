"""baresip, a telephone of its own making, called through the gateway and calling through it.

Both sides speak, and each recording must hold the other's words: content, not packet counts.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import pytest_asyncio

from tests.interop.harness import speech
from tests.interop.harness.baresip import Baresip
from tests.interop.harness.gateway import LOGIN, PLAIN, TO_A_THEN_B, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene, ending
from tests.interop.harness.sipp import Transport

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAME, OTHER = 0.9, 0.6
TALK_S = 7.0
DESK = ("desk-phone", "interop-phone-password")


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


async def test_the_measure_tells_speech_apart(voices: tuple[Voice, Voice]) -> None:
    customer, agent = (speech.read(voice.once) for voice in voices)
    talk = speech.read(voices[0].again)
    assert speech.likeness(talk, customer) > SAME
    assert speech.likeness(talk, agent) < OTHER
    silence = talk * 0
    assert speech.likeness(silence, customer) == 0
    assert speech.likeness(silence[:0], customer) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["udp", "tcp"])
async def exchange(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway with the customer's phone behind carrier A and as an extension of its own, and
    the agent's phone in Retell's place."""
    transport = cast(Transport, request.param)

    def add_phones(settings: Json) -> None:
        customer, agent = network.phone("customer", 0), network.phone("agent", 1)
        login = {"username": DESK[0], "password": DESK[1]}
        settings["retell"]["sip_uri"] = f"sip:{agent};transport={transport}"
        settings["retell"]["identify"] = [agent.host]
        settings["trunks"][0]["gateways"] = [f"sip:{customer};transport={transport}"]
        settings["trunks"].append({"name": "desk", "kind": "pbx", "login": login})

    with Network() as network:
        directory = tmp_path_factory.mktemp("exchange")
        async with Gateway(network, transport, directory, add_phones) as gateway:
            yield gateway


async def test_the_phone_calls_the_agent(
    exchange: Gateway, tmp_path: Path, voices: tuple[Voice, Voice]
) -> None:
    """The phone proves itself by its password; another baresip plays Retell's agent."""
    customer, agent = voices
    near, far = exchange.network.phone("customer", 0), exchange.network.phone("agent", 1)
    scene = Scene(exchange, tmp_path)
    await scene.open()
    async with (
        Baresip(near, customer.again, tmp_path / "customer", user=DESK[0], password=DESK[1]) as us,
        Baresip(far, agent.again, tmp_path / "agent", user=PLAIN) as them,
    ):
        await us.dial(f"sip:{PLAIN}@{exchange.network.gateway};transport={exchange.transport}")
        await us.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await us.hangup()
        await them.event("CALL_CLOSED")
        record = await scene.record()
    hears(us.heard(), agent, customer)
    hears(them.heard(), customer, agent)
    assert ending(record) == ("caller", "hangup", 200)
    assert record["trunk"] == "desk"
    assert exchange.problems() == []


async def test_the_phone_is_called(
    exchange: Gateway, tmp_path: Path, voices: tuple[Voice, Voice]
) -> None:
    """Retell's side calls out, proving itself; the carrier's customer picks up and hangs up."""
    customer, agent = voices
    near, far = exchange.network.phone("customer", 0), exchange.network.phone("agent", 1)
    scene = Scene(exchange, tmp_path)
    await scene.open()
    async with (
        Baresip(near, customer.again, tmp_path / "customer", user=TO_A_THEN_B) as us,
        Baresip(far, agent.again, tmp_path / "agent", user=LOGIN[0], password=LOGIN[1]) as them,
    ):
        to = f"sip:{TO_A_THEN_B}@{exchange.network.gateway};transport={exchange.transport}"
        await them.dial(to)
        await them.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await us.hangup()
        await them.event("CALL_CLOSED")
        record = await scene.record()
    hears(us.heard(), agent, customer)
    hears(them.heard(), customer, agent)
    assert ending(record) == ("callee", "hangup", 200)
    assert record["direction"] == "retell"
    assert exchange.problems() == []


def hears(recording: Path, other: Voice, self: Voice) -> None:
    """The recording holds the other's words, and not an echo of one's own."""
    samples = speech.read(recording)
    assert speech.likeness(samples, speech.read(other.once)) > SAME
    assert speech.likeness(samples, speech.read(self.once)) < OTHER
