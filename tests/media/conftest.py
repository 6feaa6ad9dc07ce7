"""The two media engines, one of each for the whole run, and a call on one of them."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sip.media.ng.client import NgClient
from tests.media.talk import Talk
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Engine:
    """A running engine and where its control is."""

    name: str
    address: tuple[str, int]
    pid: int


@pytest.fixture(scope="session")
def relay_engine() -> Iterator[Engine]:
    """Our relay as a program of its own, ports 24000-24999."""
    with subprocess.Popen(
        [sys.executable, "-m", "sip.media.relay", "--parent", "--control", "127.0.0.1:0",
         "--listen", "127.0.0.1", "--ports", "24000-24999", "--drain", "1"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        host, _, port = line.strip().removeprefix("ready control=").rpartition(":")
        yield Engine("relay", (host, int(port)), process.pid)
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.fixture(scope="session")
def rtpengine_engine() -> Iterator[Engine]:
    """rtpengine in user space, ports 25000-25999, learning sources at once as we do."""
    program = shutil.which("rtpengine")
    if program is None:
        pytest.fail("needs rtpengine: apt-get install rtpengine-daemon (make test does)")
    control = free_port()
    with subprocess.Popen(
        [program, "--foreground", "--table=-1", "--interface=127.0.0.1", "--log-level=3",
         f"--listen-ng=127.0.0.1:{control}", "--port-min=25000", "--port-max=25999",
         "--endpoint-learning=immediate", "--log-stderr", "--num-threads=1"],
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        yield Engine("rtpengine", ("127.0.0.1", control), process.pid)
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["relay", "rtpengine"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn: what holds for ours must hold for rtpengine."""
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
async def plane(engine: Engine) -> AsyncIterator[NgClient]:
    """A client of the engine."""
    client = await _connected(engine)
    yield client
    await client.close()


@pytest.fixture
async def talk(plane: NgClient) -> AsyncIterator[Talk]:
    """A call on the engine, deleted afterwards."""
    async with Talk(plane) as talk:
        yield talk


@pytest.fixture
async def relay_plane(relay_engine: Engine) -> AsyncIterator[NgClient]:
    """A client of our relay, for what rtpengine does otherwise."""
    client = await _connected(relay_engine)
    yield client
    await client.close()


@pytest.fixture
async def relay_talk(relay_plane: NgClient) -> AsyncIterator[Talk]:
    """A call on our relay, deleted afterwards."""
    async with Talk(relay_plane) as talk:
        yield talk


async def _connected(engine: Engine) -> NgClient:
    """Waits until the engine answers: a request is repeated until then."""
    client = await NgClient.connect(engine.address, timeout_s=START_TIMEOUT_S)
    await client.ping()
    return client
