"""Fixtures of the interop tests. Those of a gateway live on the session's event loop, so that one
gateway serves many stories; such tests carry `asyncio(loop_scope="session")`."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from tests.interop.harness.gateway import Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.programs import program
from tests.interop.harness.scene import Scene, good
from tests.interop.harness.sipp import Transport


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw G.711 mu-law of some speech: what caller-hangs-up-with-audio plays."""
    directory = tmp_path_factory.mktemp("words")
    wav, raw = directory / "words.wav", directory / "caller.pcmu"
    text = "Good morning. I am calling about the order that I placed on Tuesday."
    subprocess.run([program("espeak-ng"), "-w", str(wav), text], check=True)
    mulaw = ["-t", "raw", "-r", "8000", "-c", "1", "-e", "mu-law"]
    subprocess.run([program("sox"), str(wav), *mulaw, str(raw)], check=True)
    return raw


@pytest.fixture
def network() -> Iterator[Network]:
    """A block of loopback addresses for one test."""
    with Network() as block:
        yield block


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["udp", "tcp"])
async def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """The gateway that the stories share: all its trunks speak UDP, or all speak TCP."""
    transport = cast(Transport, request.param)
    directory = tmp_path_factory.mktemp(f"gateway-{transport}")
    with Network() as block:
        async with Gateway(block, transport, directory) as running:
            await _first_call(running, directory)
            yield running


@pytest_asyncio.fixture(loop_scope="session")
async def scene(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Scene]:
    """One story; afterwards the gateway holds nothing of it."""
    scene = Scene(gateway, tmp_path)
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()
    await scene.nothing_left()


async def _first_call(gateway: Gateway, directory: Path) -> None:
    """What is opened once and kept (the database, connections) is opened before anybody counts."""
    scene = Scene(gateway, directory / "first-call")
    try:
        agent = await scene.callee("callee-answers", gateway.network.retell)
        caller = await scene.caller("caller-hangs-up", d_ms=200)
        good(await caller.finish())
        good(await agent.finish())
    finally:
        await scene.close()
