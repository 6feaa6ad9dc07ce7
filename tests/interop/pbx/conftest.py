"""An office with Asterisk, a gateway with a trunk to it in every way, and Retell's stand-in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import pytest
import pytest_asyncio

from tests.interop.harness.asterisk import Asterisk
from tests.interop.harness.certificates import Authority
from tests.interop.harness.gateway import PLAIN, Gateway, Json
from tests.interop.harness.kamailio import CarrierTrunk, Kamailio, carrier_trunks, with_an_edge_down
from tests.interop.harness.network import Network
from tests.interop.harness.pbx import (
    TRANSPORTS,
    WAYS,
    PbxTrunk,
    Transport,
    Way,
    pbx_trunk,
    trunks,
)
from tests.interop.harness.sandbox import Sandbox
from tests.interop.pbx.voices import Voice, voice

PHONE = "+12125550170"
PHONE_LOGIN = {"username": "phone", "password": "interop-phone-password"}
"""Whoever registers with these is called at that number."""
EDGE_DOWN = "+12125550171"
"""Goes to the carrier's edge for TCP, after one that is down."""
LONG = "+14155550109"
"""Dialled for the calls that last."""
PlacedBy = Literal["asterisk", "us"]
LONG_CALLS: dict[tuple[Way, PlacedBy], Transport] = {
    ("static", "asterisk"): "udp",
    ("static", "us"): "tcp",
    ("registers", "us"): "tls",
    ("registrar", "asterisk"): "udp",
}
"""Each over a trunk of its own. More at once would leave the others too little of two cores."""
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

    def trunk(self, way: str, transport: str = "") -> PbxTrunk:
        name = f"{way}-{transport}" if transport else way
        return next(one for one in self.trunks if one.name == name)

    def carrier_trunk(self, transport: Transport) -> CarrierTrunk:
        return next(one for one in self.carrier_trunks if one.transport == transport)

    async def record(self, number: str, timeout: float = 5.0) -> Json:
        """The record of the newest call to `number`, once that has ended."""
        async with asyncio.timeout(timeout):
            while True:
                calls = await self.gateway.calls()
                record: Json = next(one for one in calls if one["to"] == number)
                if record["ended_at"]:
                    return record
                await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What is said at extension 200."""
    text = "The quick brown fox jumps over the lazy dog."
    return voice(tmp_path_factory.mktemp("extension"), "extension", text)


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What is said at a telephone."""
    text = "Seven thousand apples were sold on Monday."
    return voice(tmp_path_factory.mktemp("visitor"), "visitor", text, "en-us+f3")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def office(
    tmp_path_factory: pytest.TempPathFactory, extension: Voice, authority: Authority
) -> AsyncIterator[Office]:
    with Network() as network:
        directory = tmp_path_factory.mktemp("office")
        every = trunks(network, WAYS, TRANSPORTS)
        every += [
            pbx_trunk(network, f"long-{placed_by}-{way}", way, transport, index)
            for index, ((way, placed_by), transport) in enumerate(LONG_CALLS.items(), len(every))
        ]
        carrier = carrier_trunks(network)
        edge_down = with_an_edge_down(network, carrier[1], EDGE_DOWN)

        def with_the_office(settings: Json) -> None:
            # linphone looks for names alone in a certificate, not for addresses
            certificate = authority.certificate("gateway", network.secure_gateway.host, "localhost")
            settings["sip"]["listen"].append(f"tls:{network.secure_gateway}")
            settings["sip"]["tls"] = {
                "certificate": str(certificate.certificate),
                "key": str(certificate.key),
                "ca": str(authority.ca),
            }
            ways_out: list[PbxTrunk | CarrierTrunk] = [*every, *carrier, edge_down]
            phones = [
                {
                    "name": "phone",
                    "kind": "pbx",
                    "registrar": True,
                    "login": PHONE_LOGIN,
                    "media": {"srtp": "optional"},
                }
            ]
            settings["trunks"] = [*(trunk.settings() for trunk in ways_out), *phones]
            settings["numbers"] = {PLAIN: {}, LONG: {}} | {trunk.did: {} for trunk in carrier}
            settings["outbound"]["routes"] = [
                *({"prefix": trunk.number, "trunks": [trunk.name]} for trunk in ways_out),
                {"prefix": PHONE, "trunks": ["phone"]},
            ]

        async with (
            Asterisk(
                network.manager,
                every,
                extension.again,
                directory / "asterisk",
                authority,
                desk=network.phone("desk", 0),
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
            await asterisk.register()
            for trunk in every:
                if trunk.way == "registrar":
                    await gateway.registered(trunk.name)
            yield Office(network, gateway, sandbox, asterisk, kamailio, every, carrier, extension)


@dataclass(frozen=True, slots=True)
class LongCall:
    trunk: PbxTrunk
    channel: str
    """Asterisk's name for it"""
    retell_id: str
    began: float
    """the loop's time"""


@pytest_asyncio.fixture(scope="package", loop_scope="session", autouse=True)
async def long_calls(office: Office) -> AsyncIterator[dict[tuple[Way, PlacedBy], LongCall]]:
    """Calls from Asterisk or to it in every way, which go on while the other stories are told.

    They need the better part of two minutes of real time, and nothing else.
    """
    calls = {}
    for way, placed_by in LONG_CALLS:
        trunk = office.trunk(f"long-{placed_by}-{way}")
        calls[way, placed_by] = await _begin(office, trunk, placed_by)
    yield calls


async def _begin(office: Office, trunk: PbxTrunk, placed_by: PlacedBy) -> LongCall:
    now = asyncio.get_running_loop().time
    if placed_by == "asterisk":
        channel = (await office.asterisk.call(trunk, LONG))["channel"]
        return LongCall(trunk, channel, await office.sandbox.called(LONG), now())
    since = len(office.asterisk.manager.events)
    retell_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, trunk.number)
    channel = (await office.asterisk.called(trunk, since))["channel"]
    return LongCall(trunk, channel, retell_id, now())
