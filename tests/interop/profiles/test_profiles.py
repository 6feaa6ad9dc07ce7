"""Each profile of config/profiles against its system: one call each way, SIPp at both ends.

One gateway has a trunk of every profile; each system has an address of its own. What the system
must be sent is checked by its scenario; what Retell must be told, and what must not reach it, here.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from config.reading import profiles
from tests.interop.harness.gateway import LOGIN, Gateway, Json
from tests.interop.harness.network import Network, Party
from tests.interop.harness.scene import Scene, ending, tried
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import Outcome, Sipp
from tests.interop.profiles.system import System
from tests.interop.profiles.write import DIRECTORY, SYSTEMS, VARIANTS, scenarios

_INDEX = {system.name: index for index, system in enumerate(SYSTEMS)}
CALLER = "12125550101"
TALK_MS = 200


def did(system: System) -> str:
    """The number by which the system calls an agent, and by which Retell calls the system."""
    return f"+14155550{100 + _INDEX[system.name]}"


def place(network: Network, system: System) -> Party:
    return network.party(system.name, 100 + _INDEX[system.name])


def first_place(network: Network, system: System) -> Party:
    """Where the first of two gateways is, which has no room."""
    return network.party(f"{system.name}-first", 150 + _INDEX[system.name])


def registrar_place(network: Network, system: System) -> Party:
    """Where the gateway registers."""
    return network.party(f"{system.name}-registrar", 200 + _INDEX[system.name])


def places(network: Network, system: System) -> list[Party]:
    """The trunk's gateways, in order."""
    own = place(network, system)
    return [first_place(network, system), own] if system.first_is_full else [own]


def is_watched(system: System) -> bool:
    """Whether the profile has the gateway send OPTIONS."""
    raw = profiles.profile(system.name).trunk
    return str(raw.get("health", {}).get("options")).lower() == "true"


def trunk(network: Network, system: System) -> Json:
    """The trunk's entry: its profile, its address, and what the profile leaves to the operator."""
    gateways = places(network, system)
    entry: Json = {
        "name": system.name,
        "profile": system.name,
        "gateways": [f"sip:{party};transport={system.transport}" for party in gateways],
        "identify": [party.host for party in gateways],
        **system.trunk,
    }
    if system.proves:
        entry["login"] = {"username": system.login[0], "password": system.login[1]}
    if str(profiles.profile(system.name).trunk.get("registrar")).lower() == "true":
        del entry["gateways"]
    if (DIRECTORY / f"{system.name}-registrar.xml").exists():
        entry["registration"] = {"registrar": f"sip:{registrar_place(network, system)}"}
    if is_watched(system):
        # once at the start and then once an hour: no scenario expects it in its midst
        entry["health"] = {"interval_s": 3600}
    return entry


def configure(network: Network, settings: Json) -> None:
    settings["trunks"] = [trunk(network, system) for system in SYSTEMS]
    settings["numbers"] = {did(system): {} for system in SYSTEMS}
    settings["outbound"]["routes"] = [
        {"prefix": did(system), "trunks": [system.name]} for system in SYSTEMS
    ]


def first_parties(network: Network, directory: Path) -> dict[str, Sipp]:
    """Whom the gateway turns to as it starts: registrars, and those that it watches by OPTIONS."""
    found: dict[str, Sipp] = {}
    for system in SYSTEMS:
        wanted = []
        if (DIRECTORY / f"{system.name}-registrar.xml").exists():
            wanted.append((f"{system.name}-registrar", registrar_place(network, system)))
        if is_watched(system):
            wanted += [("answers-options", party) for party in places(network, system)]
        for scenario, party in wanted:
            found[party.role] = Sipp(
                scenario=f"profiles/{scenario}",
                party=party,
                transport=system.transport,
                directory=directory / party.role,
                limit_s=90,
            )
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """The one gateway, registered where it registers, and its OPTIONS answered."""
    directory = tmp_path_factory.mktemp("profiles")
    with Network() as block:
        parties = first_parties(block, directory)
        for party in parties.values():
            await party.start()
        gateway = Gateway(block, "udp", directory, lambda settings: configure(block, settings))
        async with gateway as running:
            logs = {role: succeeded(await party.finish()) for role, party in parties.items()}
            [ping] = logs["teams"].received("OPTIONS")
            assert "@" not in ping.uri
            assert "sbc.example.com" in ping.header("contact"), ping.text
            yield running


@pytest_asyncio.fixture(loop_scope="session")
async def scene(shared: Gateway, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(shared, tmp_path)
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()
    await scene.nothing_left()


def succeeded(outcome: Outcome) -> MessageLog:
    """The scenario went through with every check in it."""
    assert (outcome.exit_code, outcome.succeeded) == (0, 1), str(outcome)
    return outcome.log


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("system", [*SYSTEMS, *VARIANTS], ids=lambda system: system.file)
async def test_inbound(system: System, scene: Scene) -> None:
    """The system calls: its scenario's checks hold, and Retell is told who calls whom."""
    behind = "profiles/agent-early" if system.early_media else "profiles/agent"
    if system.we_hang_up:
        behind = "callee-hangs-up"
    agent = await scene.callee(behind, scene.network.retell, d_ms=TALK_MS)
    more: dict[str, Any] = {}
    if system.challenged:
        more["login"] = system.login
        more["auth_uri"] = f"{did(system)}@{scene.network.gateway}"
    number = did(system).removeprefix("+1" if system.ten_digits else "+")
    caller = await scene.caller(
        f"profiles/{system.file}-inbound",
        place(scene.network, system),
        number,
        transport=system.transport,
        keys={"caller": system.caller},
        d_ms=TALK_MS,
        **more,
    )
    succeeded(await caller.finish())
    if system.refused:
        assert (await agent.stop()).created == 0
        record = await scene.record()
        assert (record["ended_by"], record["sip_status"]) == ("gateway", system.refused)
        return
    log = succeeded(await agent.finish())

    invite = log.received("INVITE")[0]
    assert invite.uri.startswith(f"sip:{did(system)}@"), invite.uri
    assert re.search(f"<sip:{re.escape(system.shown)}@", invite.header("from")), invite.text
    for header, pattern in system.told:
        assert re.search(pattern, invite.header(header)), f"{header}: {invite.header(header)!r}"
    for text in system.hidden:
        assert text.lower() not in invite.text.lower(), f"{text} reached Retell:\n{invite.text}"
    record = await scene.record()
    assert ending(record) == ("callee" if system.we_hang_up else "caller", "hangup", 200)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
async def test_outbound(system: System, scene: Scene) -> None:
    """Retell calls the system through us: the scenario's checks of what we send it hold."""
    if (DIRECTORY / f"{system.name}-registers.xml").exists():
        await register(system, scene)
    full = None
    if system.first_is_full:
        full = await scene.callee(
            "profiles/gateway-is-full",
            first_place(scene.network, system),
            transport=system.transport,
        )
    callee = await scene.callee(
        f"profiles/{system.name}-outbound",
        place(scene.network, system),
        transport=system.transport,
        d_ms=TALK_MS,
    )
    retell = await scene.caller(
        "retell-hangs-up" if system.retell_hangs_up else "profiles/retell",
        scene.network.retell,
        did(system) if system.retell_hangs_up else did(system).removeprefix("+"),
        login=LOGIN,
        auth_uri=f"{did(system)}@{scene.network.gateway}",
        keys={"caller": f"+{CALLER}" if system.retell_hangs_up else CALLER},
        d_ms=TALK_MS,
    )
    succeeded(await retell.finish())
    succeeded(await callee.finish())
    if full is not None:
        succeeded(await full.finish())
    record = await scene.record()
    assert ending(record) == ("caller" if system.retell_hangs_up else "callee", "hangup", 200)
    assert tried(record) == [(system.name, 200)]


async def register(system: System, scene: Scene) -> None:
    phone = await scene.caller(
        f"profiles/{system.name}-registers",
        place(scene.network, system),
        transport=system.transport,
        login=system.login,
        auth_uri=str(scene.network.gateway),
    )
    succeeded(await phone.finish())


def test_every_profile_has_its_scenarios() -> None:
    names = set(profiles.names())
    assert {system.name for system in SYSTEMS} == names
    for way in ("inbound", "outbound"):
        assert names <= {
            file.stem.removesuffix(f"-{way}") for file in DIRECTORY.glob(f"*-{way}.xml")
        }


def test_the_scenarios_are_those_that_are_written() -> None:
    """What is told of the systems and the files are one: python -m tests.interop.profiles.write."""
    found = {file.name: file.read_text() for file in DIRECTORY.glob("*.xml")}
    assert found == scenarios()


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.xml")), ids=lambda path: path.stem)
def test_a_scenario_says_how_to_run_it(path: Path) -> None:
    assert f"sipp -sf {path.name} " in path.read_text().partition("<scenario")[0]
