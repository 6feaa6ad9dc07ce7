"""The agent as an extension: Asterisk has the gateway registered as two of its telephones.

Whoever dials 200 there reaches its agent by method trunk, 201 by method dial; both are heard.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.asterisk import Asterisk
from tests.interop.harness.asterisk_config import OFFICE_NUMBER
from tests.interop.harness.certificates import Authority
from tests.interop.harness.gateway import PLAIN, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.pbx import PbxTrunk
from tests.interop.harness.sandbox import Sandbox
from tests.interop.harness.scene import ending, tried
from tests.interop.pbx.voices import GREETING, Voice, hears, voice

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The agent sings for 1.4 s and then says its greeting, which takes 3.7 s.
TALK_S = 5.8
EXTENSIONS = {"200": "trunk", "201": "dial"}


class Office:
    """Asterisk, with a telephone for each of `EXTENSIONS`, which is the gateway."""

    def __init__(self, network: Network, directory: Path, speech: Voice) -> None:
        self.speech = speech
        self.telephones = {
            number: PbxTrunk(
                number,
                "extension",
                "udp",
                network.party("pbx-inside", 100),
                network.gateway,
                number,
            )
            for number in EXTENSIONS
        }
        self.asterisk = Asterisk(
            network.manager,
            list(self.telephones.values()),
            speech.again,
            directory / "asterisk",
            Authority(directory),
        )
        self.gateway = Gateway(network, "udp", directory, self._configure)
        self.sandbox = Sandbox(self.gateway)

    def _configure(self, settings: Json) -> None:
        settings["trunks"] = [one.settings() for one in self.telephones.values()]
        settings["numbers"] = {
            f"pbx-{number}/{number}": {"method": method, "agent": "agent_a", "retell_number": PLAIN}
            for number, method in EXTENSIONS.items()
        }
        settings["outbound"]["routes"] = []

    async def record(self) -> Json:
        """The record of the newest call, once that has ended."""
        async with asyncio.timeout(5):
            while True:
                record: Json = (await self.gateway.calls())[0]
                if record["ended_at"]:
                    return record
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    directory = tmp_path_factory.mktemp("extension")
    speech = voice(directory, "caller", "The quick brown fox jumps over the lazy dog.")
    with Network() as network:
        office = Office(network, directory, speech)
        async with office.asterisk, office.gateway, office.sandbox:
            for number in EXTENSIONS:
                await office.gateway.registered(f"pbx-{number}")
            yield office


@pytest.mark.parametrize(("extension", "method"), EXTENSIONS.items())
async def test_who_dials_the_extension_talks_to_its_agent(
    office: Office, extension: str, method: str, tmp_path: Path
) -> None:
    """Which of the two was meant stands in the Contact that Asterisk calls."""
    telephone = office.telephones[extension]
    call = await office.asterisk.call(telephone, extension)
    await asyncio.sleep(TALK_S)
    await office.asterisk.hang_up(call["channel"])
    await office.asterisk.gone(call["channel"])
    retell_id = await office.sandbox.latest(PLAIN)
    ended = await office.sandbox.ended(retell_id)
    at_the_agent = await office.sandbox.heard(retell_id, tmp_path / "agent.wav")
    hears(at_the_agent, office.speech.once, GREETING)
    hears(office.asterisk.heard(telephone), GREETING, office.speech.once)
    record = await office.record()
    assert (record["trunk"], record["from"], record["to"], record["method"]) == (
        f"pbx-{extension}",
        OFFICE_NUMBER,
        extension,
        method,
    )
    assert (tried(record), *ending(record)) == ([("retell", 200)], "caller", "hangup", 200)
    assert (ended["from_number"], ended["to_number"]) == (OFFICE_NUMBER, PLAIN)
    assert office.gateway.problems() == []
