"""No key of encrypted media is in anything that the program writes, stores or tells."""

import asyncio
import base64
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sip.core.sdp import parse
from sip.core.sdp_crypto import Crypto, Suite, lines_of
from sip.media.relay.srtp import Sender
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Peer
from tests.media.talk import rtp
from tests.packaging.conftest import environment
from tests.ports import free_port, free_ports

TOKEN = "a-token-of-the-test"
NUMBER = "+14155550100"

CONFIG = """
http: {{listen: "127.0.0.1:{http}", admin_token: {token}}}
sip: {{listen: ["udp:127.0.0.1:{sip}"], advertise: 127.0.0.1}}
media: {{ports: {relay}-{last}}}
storage: {{url: "sqlite:///{folder}/calls.db"}}
log: {{level: debug, format: json, sip: true, watch: ["{number}"]}}
retell:
  sip_uri: "sip:127.0.0.1:{agent};transport=udp"
  identify: ["127.0.0.1:{agent}"]
  srtp: required
trunks:
  - {{name: carrier, identify: ["127.0.0.1:{carrier}"], media: {{srtp: required}}}}
numbers:
  "{number}": {{agent: agent_1}}
"""

pytestmark = pytest.mark.slow


def secure(number: int, tag: int = 1) -> tuple[str, bytes]:
    """A description, and the key in it."""
    key = bytes(number + 3 * i & 0xFF for i in range(30))
    line = Crypto(tag, Suite.AES_CM_128_HMAC_SHA1_80, key)
    return f"{PCMU.replace('RTP/AVP', 'RTP/SAVP')}a=crypto:{line.value}\r\n", key


class Program:
    """The gateway as a process, its two peers, and all that it has told."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.http = http
        gateway = Endpoint("udp", "127.0.0.1", free_port())
        self.carrier, self.agent = Peer("carrier", gateway), Peer("agent", gateway)
        relay, port = free_ports(40), free_port()
        self.url = f"http://127.0.0.1:{port}"
        (folder / "gateway.yaml").write_text(
            CONFIG.format(
                http=port, token=TOKEN, sip=gateway.port, relay=relay, last=relay + 39,
                folder=folder, agent=self.agent.port, carrier=self.carrier.port, number=NUMBER,
            )
        )  # fmt: skip
        self.told: dict[str, bytes] = {}

    async def start(self) -> None:
        output = (self.folder / "output.txt").open("wb")
        with output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run"),
                *("--config", str(self.folder / "gateway.yaml")),
                cwd=self.folder, env=environment(), stdout=output, stderr=output,
            )  # fmt: skip
        for _ in range(300):
            if await self._status("/readyz") == 200:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("it is not ready")

    async def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await self._process.wait() == 0
        await self.carrier.close()
        await self.agent.close()

    async def _status(self, path: str) -> int:
        try:
            async with self.http.get(self.url + path) as response:
                return response.status
        except aiohttp.ClientError:
            return 0

    async def get(self, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.get(self.url + path, headers=headers) as response:
            body = await response.read()
        self.told[path] = body
        return body

    async def calls(self, ended: int) -> list[dict[str, Any]]:
        """The records, once so many are of calls that are over."""
        for _ in range(100):
            calls: list[dict[str, Any]] = json.loads(await self.get("/api/v1/calls"))["items"]
            if len([call for call in calls if call["ended_at"]]) >= ended:
                return calls
            await asyncio.sleep(0.2)
        raise AssertionError(f"only {calls}")

    async def tell_everything(self) -> None:
        """Whatever can be asked of the API, and the metrics."""
        for call in await self.calls(3):
            for form in ("", "/ladder", "/ladder.txt", "/ladder.pcap"):
                await self.get(f"/api/v1/calls/{call['call_id']}{form}")
        for path in ("trunks", "trunks/carrier", "bans", "refused", "drain"):
            await self.get(f"/api/v1/{path}")
        await self.get("/metrics")

    def written(self) -> dict[str, bytes]:
        """All files, and all that was told."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files} | self.told


def keys_of(sdp: bytes) -> list[bytes]:
    audio = parse(sdp).audio
    assert audio is not None
    return [line.key for line in lines_of(audio)]


async def call(program: Program) -> list[bytes]:
    """A whole call, encrypted on both sides, with a re-INVITE; every key that was said in it."""
    carrier, agent = program.carrier, program.agent
    offer, ours = secure(1)
    await carrier.send("INVITE", sdp=offer, to=NUMBER)
    await carrier.expect(100)
    answer, theirs = secure(40)
    invite = await agent.answer_call(answer)
    await carrier.expect(180)
    ok = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    audio = parse(ok.body).audio
    assert audio is not None
    noise(audio.port, Sender(Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, ours)))
    again, new = secure(90)
    await carrier.send("INVITE", sdp=again)
    await carrier.expect(100)
    rekeyed = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()
    said = [ours, theirs, new, *keys_of(invite.body), *keys_of(ok.body), *keys_of(rekeyed.body)]
    assert len(set(said)) >= 3 + len(Suite) + 1
    return said


def noise(port: int, sender: Sender) -> None:
    """Speech, forgeries and rubbish at the call's port, so that the relay has something to say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for seq in range(1, 30):
            packet = rtp(0, seq, 160 * seq, 7)
            for wire in (sender.protect(packet), packet, b"\x80" + bytes(40)):
                assert wire is not None
                sock.sendto(wire, ("127.0.0.1", port))


async def refused(program: Program) -> list[bytes]:
    """Calls that fail: an answer that takes up nothing, an unusable offer."""
    carrier, agent = program.carrier, program.agent
    offer, ours = secure(130)
    await carrier.send("INVITE", sdp=offer, to=NUMBER)
    await carrier.expect(100)
    answer, theirs = secure(170, tag=77)
    invite = await agent.expect("INVITE")
    await agent.send(200, sdp=answer)
    await agent.expect("ACK")
    await agent.is_hung_up()
    await carrier.expect(502)
    await carrier.send("ACK")
    unusable, mki = secure(210)
    await carrier.send("INVITE", sdp=unusable.rstrip() + "|2^20|1:4\r\n", to=NUMBER)
    await carrier.expect(100)
    await carrier.expect(488)
    await carrier.send("ACK")
    return [ours, theirs, mki, *keys_of(invite.body)]


async def test_no_key_is_written_or_told_anywhere(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        program = Program(tmp_path, http)
        await program.start()
        keys = await refused(program)
        keys += await call(program)
        await asyncio.sleep(6)  # the ladders are stored
        await program.tell_everything()
        await program.stop()
    found = program.written()
    everything = b"".join(found.values())
    assert b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:****" in everything, "the rest is shown"
    assert b"message.sip" in everything
    assert b"media.keys-in-the-clear" in everything
    assert len([path for path in found if "/ladder" in path]) >= 9
    for key in set(keys):
        text = base64.b64encode(key)
        for form in (key, text, text[:16], text[8:24], key.hex().encode(), key[:16]):
            where = [path for path, body in found.items() if form in body]
            assert where == [], f"a key as {form!r}"
