"""Who answers is listened to: people get an agent, machines a message, by what is really said."""

import asyncio
import audioop
import math
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from testkit import melody
from tests.interop.harness.callees import Callees, Script
from tests.interop.harness.gateway import ADMIN_TOKEN, PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.speech import speak

Json = dict[str, Any]

PERSON = "+12125550101"
MACHINE = "+12125550102"
HUNG_UP_ON = "+12125550103"
NOBODY = "+12125550104"

GREETING = (
    "Hello, you have reached Mary Miller. I am not able to take your call right now. Please leave"
    " your name and number after the tone, and I will call you back as soon as I can."
)


def pcmu(wav: Path) -> bytes:
    with wave.open(str(wav)) as file:
        return audioop.lin2ulaw(file.readframes(file.getnframes()), 2)


def silence(seconds: float) -> bytes:
    return b"\xff" * round(8000 * seconds)


def beep(seconds: float, hz: int = 1000) -> bytes:
    samples = (9000 * math.sin(2 * math.pi * hz * n / 8000) for n in range(round(8000 * seconds)))
    pcm = b"".join(struct.pack("<h", round(one)) for one in samples)
    return audioop.lin2ulaw(pcm, 2)


def message(folder: Path) -> None:
    """What is left on machines: a melody that is known again."""
    folder.mkdir()
    with wave.open(str(folder / "sorry.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(melody.synthesise(melody.AGENT))


async def until(so: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_people_get_the_agent_and_machines_a_message(
    network: Network, tmp_path: Path
) -> None:
    hello = pcmu(speak("Hello?", tmp_path / "hello.wav"))
    greeting = pcmu(speak(GREETING, tmp_path / "greeting.wav", voice="en-us"))
    machine = silence(0.4) + greeting + silence(0.5) + beep(0.4)
    scripts = {
        PERSON: Script(says=silence(0.3) + hello, talks_s=6.0),
        MACHINE: Script(says=machine),
        HUNG_UP_ON: Script(says=machine),
        NOBODY: Script(says=b""),
    }
    message(tmp_path / "sounds")

    def change(settings: Json) -> None:
        settings["media"]["sounds"] = str(tmp_path / "sounds")
        settings["outbound"]["queue"] = {"calls": 10, "calls_per_second": 10}

    async with (
        Callees(network.carrier_a, scripts.__getitem__) as people,
        Callees(network.retell, lambda _: Script(says=b"")) as agents,
        Gateway(network, "udp", tmp_path, change) as gateway,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http,
    ):
        api = f"http://{network.http}/api/v1"
        leave = {"on_machine": "message", "message": "sorry.wav"}
        queued = {}
        for number in scripts:
            amd = {"on_machine": "hangup"} if number == HUNG_UP_ON else leave
            body = {"to": number, "from": PLAIN, "amd": amd}
            async with http.post(f"{api}/calls", json=body) as response:
                assert response.status == 202, await response.text()
                queued[number] = (await response.json())["queued_id"]
        await until(lambda: len(people.calls) == 4)
        await until(lambda: all(call.ended is not None for call in people.calls), 40)
        results = {}
        for number, queued_id in queued.items():
            for _ in range(100):
                async with http.get(f"{api}/queue/{queued_id}") as response:
                    one = await response.json()
                if one["state"] == "done":
                    break
                await asyncio.sleep(0.1)
            [results[number]] = one["history"]
        assert gateway.problems() == []

    assert {number: one["result"] for number, one in results.items()} == {
        PERSON: "answered",
        MACHINE: "message-left",
        HUNG_UP_ON: "machine",
        NOBODY: "silence",
    }
    # one agent was spent, on the one person
    assert len(agents.calls) == 1
    # the message came after the beep, whole
    heard = audioop.ulaw2lin(bytes(people.of(MACHINE).heard), 2)
    assert melody.find(melody.AGENT, heard).heard
    beep_ends_s = len(machine) / 8000
    assert melody.find(melody.AGENT, heard).at_ms / 1000 > beep_ends_s - 1.5
    # nobody else heard it
    for number in (PERSON, HUNG_UP_ON, NOBODY):
        other = audioop.ulaw2lin(bytes(people.of(number).heard), 2)
        assert not melody.find(melody.AGENT, other).heard
    # a machine was told from a person by how it speaks, before it had done
    told = results[HUNG_UP_ON]["amd"]
    assert told["heard"] == "machine"
    assert told["at_ms"] < len(greeting) / 8
