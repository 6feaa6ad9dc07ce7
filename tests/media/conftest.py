"""The two media engines, one of each for the whole run, and a call on one of them."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sip.media.ng.client import NgClient
from sip.media.ng.control_address import ControlAddress, written
from sip.media.ng.form import Form
from sip.media.ng.key_log import KeyLog
from sip.media.ng.relay import RelayClient
from sip.media.ng.rtpengine import RtpengineClient, RtpengineOptions
from sip.media.plane import MediaError
from sip.media.supervisor import CONTROL, own_folder
from tests.media.talk import Talk
from tests.ports import engine_ports, free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 15.0

#: Told much sooner than in production, where a test would wait for long.
SILENCE_S = 1.0


@dataclass(frozen=True)
class Engine:
    """A running engine, where its control is, and where rtpengine logs keys to."""

    name: str
    address: ControlAddress
    pid: int
    dtmf_log: tuple[str, int] | None = None


@pytest.fixture(scope="session")
def relay_engine() -> Iterator[Engine]:
    """Our relay as a program of its own, among the ports 24000-24999."""
    first, last = engine_ports(24000)
    control = own_folder() / CONTROL
    with subprocess.Popen(
        [sys.executable, "-m", "sip.media.relay", "--parent", "--control", written(control),
         "--listen", "127.0.0.1", "--ports", f"{first}-{last}", "--drain", "1"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready control={written(control)}\n"
        yield Engine("relay", control, process.pid)
        process.stdin.close()
        assert process.wait(10) == 0
    assert not control.parent.exists(), "a relay that has lost its parent leaves nothing behind"


@pytest.fixture(scope="session")
def rtpengine_engine() -> Iterator[Engine]:
    """rtpengine in user space, among the ports 25000-25999, learning sources at once as we do."""
    first, last = engine_ports(25000)
    program = shutil.which("rtpengine")
    if program is None:
        pytest.fail("needs rtpengine: apt-get install rtpengine-daemon (make test does)")
    control, keys = free_port(), free_port()
    with subprocess.Popen(
        [program, "--config-file=none", "--foreground", "--table=-1", "--log-level=3",
         "--interface=127.0.0.1",
         f"--listen-ng=127.0.0.1:{control}", f"--port-min={first}", f"--port-max={last}",
         "--endpoint-learning=immediate", "--log-stderr", "--num-threads=1",
         f"--dtmf-log-dest=127.0.0.1:{keys}"],
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        yield Engine("rtpengine", ("127.0.0.1", control), process.pid, ("127.0.0.1", keys))
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
    async with _connected(engine) as client:
        yield client


@pytest.fixture
async def talk(plane: NgClient) -> AsyncIterator[Talk]:
    """A call on the engine, deleted afterwards."""
    async with Talk(plane) as talk:
        yield talk


@pytest.fixture
async def relay_plane(relay_engine: Engine) -> AsyncIterator[NgClient]:
    """A client of our relay, for what rtpengine does otherwise."""
    async with _connected(relay_engine) as client:
        yield client


@pytest.fixture
async def relay_talk(relay_plane: NgClient) -> AsyncIterator[Talk]:
    """A call on our relay, deleted afterwards."""
    async with Talk(relay_plane) as talk:
        yield talk


@asynccontextmanager
async def _connected(engine: Engine) -> AsyncIterator[NgClient]:
    """Waits until the engine answers."""
    client: NgClient
    key_log = KeyLog()
    if engine.name == "relay":
        client = await RelayClient.connect(
            engine.address, timeout_s=START_TIMEOUT_S, form=Form.BENCODE, silence_s=SILENCE_S
        )
    else:
        await key_log.listen(engine.dtmf_log)
        client = await RtpengineClient.connect(
            engine.address,
            timeout_s=START_TIMEOUT_S,
            options=RtpengineOptions(key_log=key_log, silence_s=SILENCE_S, poll_s=SILENCE_S / 4),
        )
    for _ in range(round(START_TIMEOUT_S / 0.02)):
        if await _answers(client):
            break
        await asyncio.sleep(0.02)
    await client.ping()
    try:
        yield client
    finally:
        await client.close()
        key_log.close()


async def _answers(client: NgClient) -> bool:
    try:
        await client.ping()
    except MediaError:
        return False
    return True
