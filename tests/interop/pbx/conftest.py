"""An office with Asterisk, a gateway with a trunk to it in every way, and Retell's stand-in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.interop.harness.asterisk import Asterisk
from tests.interop.harness.certificates import Authority
from tests.interop.harness.gateway import PLAIN, Gateway, Json
from tests.interop.harness.kamailio import CarrierTrunk, Kamailio, carrier_trunks
from tests.interop.harness.network import Network
from tests.interop.harness.pbx import PbxTrunk, Transport, Way, trunks
from tests.interop.harness.sandbox import Sandbox
from tests.interop.pbx.voices import Voice, voice

RETELLS_NUMBER = "+14155550120"


@dataclass(frozen=True, slots=True)
class Office:
    """Everything that runs for the stories of one module."""

    network: Network
    gateway: Gateway
    sandbox: Sandbox
    asterisk: Asterisk
    carrier: Kamailio
    trunks: list[PbxTrunk]
    carrier_trunks: list[CarrierTrunk]
    extension: Voice

    def trunk(self, way: Way, transport: Transport) -> PbxTrunk:
        return next(one for one in self.trunks if (one.way, one.transport) == (way, transport))

    def carrier_trunk(self, transport: Transport) -> CarrierTrunk:
        return next(one for one in self.carrier_trunks if one.transport == transport)


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What is said at extension 200."""
    text = "The quick brown fox jumps over the lazy dog."
    return voice(tmp_path_factory.mktemp("extension"), "extension", text)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def office(
    tmp_path_factory: pytest.TempPathFactory, extension: Voice, authority: Authority
) -> AsyncIterator[Office]:
    with Network() as network:
        directory = tmp_path_factory.mktemp("office")
        every = trunks(network, ("static",), ("udp", "tcp"))
        carrier = carrier_trunks(network)[:2]

        def with_the_office(settings: Json) -> None:
            ways_out: list[PbxTrunk | CarrierTrunk] = [*every, *carrier]
            settings["trunks"] = [trunk.settings() for trunk in ways_out]
            settings["numbers"] = {PLAIN: {}} | {trunk.did: {} for trunk in carrier}
            settings["outbound"]["routes"] = [
                {"prefix": trunk.number, "trunks": [trunk.name]} for trunk in ways_out
            ]

        async with (
            Asterisk(
                network.manager, every, extension.again, directory / "asterisk", authority
            ) as asterisk,
            Kamailio(
                carrier,
                network.party("inside", 43),
                network.party("first", 44),
                network.party("second", 45),
                directory / "kamailio",
                authority,
            ) as kamailio,
            Gateway(network, "udp", directory, with_the_office) as gateway,
            Sandbox(gateway) as sandbox,
        ):
            await sandbox.import_number(RETELLS_NUMBER)
            yield Office(network, gateway, sandbox, asterisk, kamailio, every, carrier, extension)
