"""A house with an Asterisk: a phone that calls out, three desk phones, a gateway whose directory
names them, and Retell's stand-in."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.asterisk import Asterisk
from tests.interop.harness.baresip import Baresip
from tests.interop.harness.certificates import Authority
from tests.interop.harness.gateway import BY_SIP_URI, PLAIN, Gateway, Json
from tests.interop.harness.network import Network, Party
from tests.interop.harness.pbx import PbxTrunk, pbx_trunk
from tests.interop.harness.sandbox import Sandbox
from tests.interop.pbx.voices import Voice, voice

MOBILE = "+12125550160"
RING_S = 3
#: Numbers of `Network.phone`, whose ports nobody else has.
_DESKS = (0, 1, 4)
_CALLER = 3


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs for these stories."""

    network: Network
    gateway: Gateway
    sandbox: Sandbox
    asterisk: Asterisk
    caller: PbxTrunk
    """the trunk of those whom we bring to their target ourselves"""
    referred: PbxTrunk
    """the same, but Asterisk is asked to hand them on"""

    @property
    def function_url(self) -> str:
        """The custom function that transfers."""
        return f"http://{self.network.http}/webhooks/retell/function/transfer"


def desks(network: Network) -> list[Party]:
    return [network.phone(f"desk-{at}", number) for at, number in enumerate(_DESKS, 1)]


def calling(network: Network) -> Party:
    """Where the phone is that calls out."""
    return network.phone("caller", _CALLER)


@pytest.fixture(scope="package")
def caller_voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What the caller says."""
    text = "The quick brown fox jumps over the lazy dog."
    return voice(tmp_path_factory.mktemp("caller"), "caller", text)


@pytest.fixture(scope="package")
def desk_voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What is said at a desk phone."""
    text = "Seven thousand apples were sold on Monday."
    return voice(tmp_path_factory.mktemp("desk"), "desk", text, "en-us+f3")


@pytest.fixture(scope="package")
def whisper_voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What the mobile is told before it gets a caller."""
    text = "You have a caller from the office, please press one to accept."
    return voice(tmp_path_factory.mktemp("whisper"), "whisper", text, "en+m3")


@pytest.fixture(scope="package")
def closed_voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """What is said out of hours."""
    text = "Our office is closed today, please try again tomorrow morning."
    return voice(tmp_path_factory.mktemp("closed"), "closed", text, "en+m3")


def configure(network: Network, settings: Json, ways: list[PbxTrunk], sounds: Path) -> None:
    """`support` rings the three desks in turn and then the mobile, `everybody` all at once;
    `queue` and `pair` are the PBX's own, of which the one that may give up overflows to the mobile;
    `careful` is the mobile once more, which must press 1; `shut` is never open."""
    mobile = {"name": "mobile", "gateways": [f"sip:{network.phone('mobile', _DESKS[2])}"]}
    policies = ("bridge", "refer")
    settings["trunks"] = [
        {**way.settings(), "transfer": {"policy": policy, "accept": True, "refer_wait_s": 5}}
        for way, policy in zip(ways, policies, strict=True)
    ] + [mobile]
    settings["numbers"] = {PLAIN: {}, BY_SIP_URI: {"method": "dial", "agent": "agent_sandbox"}}
    settings["outbound"]["routes"] = [{"prefix": "", "trunks": ["mobile"]}]
    settings["media"]["sounds"] = str(sounds)
    settings["transfer"] = {"ring_s": RING_S}
    pbx = ways[0].name
    phones = [{"trunk": pbx, "to": f"20{at}"} for at in (1, 2, 3)]
    settings["schedules"] = {"never": {"time_zone": "Europe/Berlin", "hours": {}}}
    settings["directory"] = {
        "support": {"targets": phones[:2], "strategy": "in-turn", "overflow": ["mobile"]},
        "everybody": {"targets": phones, "strategy": "all"},
        "mobile": {"targets": [{"trunk": "mobile", "to": MOBILE}]},
        "queue": {"aliases": ["300"], "targets": [{"trunk": pbx, "to": "300"}]},
        "pair": {
            "targets": [{"trunk": pbx, "to": "301", "ring_s": 10}],
            "overflow": ["mobile"],
        },
        "careful": {
            "targets": [
                {"trunk": "mobile", "to": MOBILE, "confirm": True, "whisper": "press-1.wav"}
            ]
        },
        "next-door": {"targets": [{"trunk": ways[1].name, "to": "202"}]},
        "desk": {"aliases": ["202"], "targets": [phones[1]]},
        "declining": {"targets": [{"trunk": pbx, "to": "209"}]},
        "engaged": {"targets": [{"trunk": pbx, "to": "208"}]},
        "consulted": {"targets": [{"trunk": pbx, "to": "206"}]},
        "switchboard": {"targets": [{"trunk": pbx, "to": "205"}]},
        "shut": {
            "targets": phones,
            "schedule": "never",
            "closed": {"announcement": "closed.wav"},
        },
    }


@pytest.fixture(scope="package")
def block() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def house(
    block: Network,
    tmp_path_factory: pytest.TempPathFactory,
    caller_voice: Voice,
    closed_voice: Voice,
    whisper_voice: Voice,
) -> AsyncIterator[House]:
    directory = tmp_path_factory.mktemp("house")
    sounds = directory / "sounds"
    sounds.mkdir()
    (sounds / "closed.wav").write_bytes(closed_voice.once.read_bytes())
    (sounds / "press-1.wav").write_bytes(whisper_voice.once.read_bytes())
    ways = [
        pbx_trunk(block, name, "static", "udp", at) for at, name in enumerate(("house", "referred"))
    ]
    async with (
        Asterisk(
            block.manager,
            ways,
            caller_voice.again,
            directory / "asterisk",
            Authority(directory),
            desk=calling(block),
            phones=desks(block),
            hands_on_to=f"PJSIP/sip:202@{ways[0].gateway}",
        ) as asterisk,
        Gateway(
            block, "udp", directory, lambda settings: configure(block, settings, ways, sounds)
        ) as gateway,
        Sandbox(gateway) as sandbox,
    ):
        yield House(block, gateway, sandbox, asterisk, *ways)


def phone(
    house: House, at: int, voice: Voice, directory: Path, *, answers: bool = True, user: str = ""
) -> Baresip:
    """The desk phone 1, 2 or 3; with a `user` of its own it is no phone of Asterisk's."""
    party = desks(house.network)[at - 1]
    place = directory / f"desk-{at}"
    return Baresip(party, voice.again, place, user=user or f"phone-{at}", answers=answers)
