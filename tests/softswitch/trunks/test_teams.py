"""Microsoft Teams' profile, against a peer that demands all that Teams does and refuses the rest.

TLS with a certificate of ours, our name and no address in From and Contact, and SRTP. Real time, as
TLS is; audio goes through our relay, and is compared packet by packet.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from config.reading.profiles import titles
from config.settings import TrunkSettings
from config.values import Source
from sip.core.framing import PING, PONG, StreamFramer
from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.core.sdp_crypto import Crypto, Suite, lines_of
from sip.media.relay.srtp import Receiver, Sender
from sip.softswitch.listeners import ListenerSpec
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ClientTls, ServerTls
from tests.fakes.relay_media import RelayMedia
from tests.ladder import DID, PCMU, Ladder, Peer, dial, make_ladder
from tests.media.talk import rtp
from tests.ports import free_port
from tests.transport.tls.authority import Authority

SBC = "sbc.example.com"
NUMBER = "+12125550177"
SDP = (Path(__file__).parents[2] / "data" / "sdp" / "teams.sdp").read_text()
_ADDRESS = re.compile(r"@?(?:\d{1,3}\.){3}\d{1,3}")


class Voice:
    """Somebody's RTP: speaks and listens, with a key or in the clear."""

    def __init__(self, number: int, key: Crypto | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.key = key
        self._sender = None if key is None else Sender(key)
        self._receiver: Receiver | None = None
        self._ssrc, self._seq, self._to = number, 100 * number, 0

    def told(self, sdp: bytes) -> None:
        """What the gateway said of its side."""
        audio = parse(sdp).audio
        assert audio is not None
        self._to = audio.port
        if self.key is not None:
            [line] = [x for x in lines_of(audio) if x.suite is self.key.suite]
            self._receiver = Receiver(line)

    def says(self) -> bytes:
        """One packet; what it is in the clear."""
        self._seq += 1
        packet = rtp(0, self._seq, 160 * self._seq, self._ssrc, bytes([self._seq & 0xFF]) * 160)
        wire = packet if self._sender is None else self._sender.protect(packet)
        assert wire is not None
        self.socket.sendto(wire, ("127.0.0.1", self._to))
        return packet

    def hears(self) -> list[bytes]:
        """All that has come, made clear."""
        heard: list[bytes] = []
        while True:
            try:
                wire = self.socket.recv(4096)
            except BlockingIOError:
                return heard
            clear = wire if self._receiver is None else self._receiver.unprotect(wire)
            assert clear is not None, "not by the key that we were told"
            heard.append(clear)

    def close(self) -> None:
        self.socket.close()


class Teams(Peer):
    """Its SIP proxy: it takes connections that show our certificate, and makes its own."""

    def __init__(self, gateway: Endpoint, authority: Authority) -> None:
        super().__init__("teams", gateway)
        self.authority = authority
        certificate = authority.issue("localhost", "127.0.0.1")
        self._server_tls = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=authority.bundle
        )
        self._server_tls.load_cert_chain(certificate)
        self._server_tls.verify_mode = ssl.CERT_REQUIRED
        self._client_tls = ssl.create_default_context(cafile=authority.bundle)
        self._client_tls.load_cert_chain(certificate)
        self._client_tls.check_hostname = False
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self._ours: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        #: what it would refuse with 403
        self.complaints: list[str] = []

    async def open(self) -> None:
        """Listens, at the port that is its own by UDP too."""
        self._server = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, ssl=self._server_tls
        )

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()
        await super().close()

    async def transmit(self, data: bytes) -> None:
        """Requests by a connection of its own, responses by the one that the request came by."""
        data = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS").replace(
            b"@127.0.0.1>", b"@sip.pstnhub.example.com>"
        )
        if data.startswith(b"SIP/2.0") or (self._in_dialog and self._received.get("INVITE")):
            writer = self._writers[-1]
        else:
            writer = self._ours = self._ours or await self._connect()
        writer.write(data)
        await writer.drain()

    async def _connect(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.gateway.port, ssl=self._client_tls, server_hostname="localhost"
        )
        self._writers.insert(0, writer)
        self._tasks.append(asyncio.create_task(self._read_on(reader, writer)))
        return writer

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        names = [value for kind, value in peer["subjectAltName"] if kind == "DNS"]
        assert names == [SBC]
        self._writers.append(writer)
        await self._read_on(reader, writer)

    async def _read_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = StreamFramer()
        while data := await reader.read(65536):
            for message in framer.feed(data):
                if message == PING:
                    writer.write(PONG)
                elif message.strip():
                    self._judge(message)
                    self._arrived.put_nowait(message)

    def _judge(self, message: bytes) -> None:
        """No address where a name belongs (RFC 3261 8.1.1.8 lets us choose)."""
        head = message.partition(b"\r\n\r\n")[0].decode()
        for line in head.split("\r\n"):
            name = line.partition(":")[0].lower()
            ours = name == "contact" or (name == "from" and not head.startswith("SIP/2.0"))
            if ours and (SBC not in line or _ADDRESS.search(line)):
                self.complaints.append(line)

    async def _read(self) -> bytes:
        return await self._arrived.get()


@dataclass
class Stage:
    """The gateway, Teams by TLS and the agent by UDP, and who speaks."""

    ladder: Ladder
    teams: Teams
    media: RelayMedia

    @property
    def agent(self) -> Peer:
        return self.ladder.peer("agent")

    async def hear_each_other(self, one: Voice, other: Voice) -> None:
        """Ten packets each way, each once and in order."""
        for speaker, listener in ((one, other), (other, one)):
            said = [speaker.says() for _ in range(10)]
            heard: list[bytes] = []
            async with asyncio.timeout(5):
                while len(heard) < len(said):
                    self.media.carry()
                    heard += listener.hears()
                    await asyncio.sleep(0.001)
            assert [packet[12:] for packet in heard] == [packet[12:] for packet in said]


@asynccontextmanager
async def staged(
    directory: Path, *, certificate: bool = True, **keys: object
) -> AsyncIterator[Stage]:
    """A gateway whose trunk has the profile, but for where Teams is."""
    root = Authority(directory)
    ours = root.issue(SBC)
    port = free_port()
    gateway = Endpoint("tls", "127.0.0.1", port)
    teams = Teams(gateway, root)
    await teams.open()
    entry = {
        **titles()["teams"].trunk,
        "name": "teams",
        "kind": "pbx",
        "profile": "teams",
        "contact_domain": SBC,
        "gateways": [f"sip:localhost:{teams.port};transport=tls"],
        **keys,
    }
    entry["caller_id"] = {**entry["caller_id"], "from_domain": SBC}
    trunk = replace(
        Trunk.of(TrunkSettings.model_validate(entry)), sources=(Source.parse("127.0.0.0/8"),)
    )
    listener = ListenerSpec(
        endpoint=gateway,
        tls=ServerTls(ours, client_ca=root.bundle, client_certificates="required"),
    )
    media = RelayMedia()
    async with make_ladder(
        media=lambda: media,
        trunks=[trunk],
        listeners=[listener],
        tls=ClientTls(ca=root.bundle, certificate=ours if certificate else None),
    ) as ladder:
        try:
            yield Stage(ladder, teams, media)
        finally:
            await teams.close()


def described(voice: Voice, tag: int = 2) -> str:
    """As Teams does, with the voice's port and key; RTCP beside it, as rtcp-mux is not answered."""
    assert voice.key is not None
    sdp = SDP.replace("198.51.100.60", "127.0.0.1").replace("51062", str(voice.port))
    sdp = sdp.replace("\n", "\r\n") if "\r\n" not in sdp else sdp
    lines = [line for line in sdp.split("\r\n") if not line.startswith(f"a=crypto:{tag} ")]
    at = next(i for i, line in enumerate(lines) if line.startswith("a=crypto:"))
    own = replace(voice.key, tag=tag)
    return "\r\n".join([*lines[:at], f"a=crypto:{own.value}|2^31", *lines[at:]])


def plain(voice: Voice) -> str:
    return PCMU.replace("40000", str(voice.port))


def key(number: int, tag: int = 1) -> Crypto:
    return Crypto(tag, Suite.AES_CM_128_HMAC_SHA1_80, bytes(range(number, number + 30)))


async def test_it_is_asked_first_by_our_name_and_certificate(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.ladder.switch.health.start()
        options = await stage.teams.expect("OPTIONS", within_s=10)
        assert "@" not in options.uri
        assert options.uri.startswith("sip:localhost")
        await stage.teams.send(200, answering="OPTIONS")
        assert stage.teams.complaints == []


async def test_without_a_certificate_it_takes_no_connection(tmp_path: Path) -> None:
    async with staged(tmp_path, certificate=False) as stage:
        stage.ladder.app.verbs = lambda _: [
            dial("teams", NUMBER),
            {"verb": "sip:decline", "status": 503},
        ]
        await stage.agent.send("INVITE", sdp=PCMU)
        await stage.agent.expect(100)
        await stage.agent.expect(503, within_s=15)
        await stage.agent.send("ACK")
        assert stage.teams.rungs == [], "not a message of ours came through"


async def test_it_calls(tmp_path: Path) -> None:
    """Candidates, rtcp-mux, a key with an MKI and codecs of its own are left out of the answer."""
    async with staged(tmp_path) as stage:
        stage.ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        caller, agent = Voice(1, key(7)), Voice(2)
        await stage.teams.send("INVITE", sdp=described(caller), to=DID)
        await stage.teams.expect(100)
        invite = await stage.agent.answer_call(plain(agent))
        await stage.teams.expect(180)
        ok: Response = await stage.teams.expect(200, of="INVITE")
        await stage.teams.send("ACK")
        text = ok.body.decode()
        assert "RTP/SAVP" in text
        assert re.findall(r"a=crypto:(\d+) (\S+)", text) == [("2", "AES_CM_128_HMAC_SHA1_80")]
        for gone in ("candidate", "ice-", "rtcp-mux", "2^31"):
            assert gone not in text
        assert b"crypto" not in invite.body
        assert b"candidate" not in invite.body
        caller.told(ok.body)
        agent.told(invite.body)
        await stage.hear_each_other(caller, agent)
        await stage.teams.hang_up()
        await stage.agent.is_hung_up()
        assert stage.teams.complaints == []
        caller.close()
        agent.close()


async def test_it_is_called_and_forks(tmp_path: Path) -> None:
    """Two phones ring with tags and keys of their own; who answers is not who was heard first."""
    async with staged(tmp_path) as stage:
        stage.ladder.app.verbs = lambda _: [dial("teams", NUMBER), {"verb": "hangup"}]
        agent, first, second = Voice(2), Voice(3, key(30)), Voice(4, key(60))
        await stage.agent.send("INVITE", sdp=plain(agent))
        await stage.agent.expect(100)
        invite: Request = await stage.teams.expect("INVITE")
        assert invite.request_uri.user == NUMBER
        assert "user=phone" in invite.uri
        audio = parse(invite.body).audio
        assert audio is not None
        assert audio.protocol == "RTP/SAVP"
        offered = {line.suite: line.tag for line in lines_of(audio)}
        tag = offered[Suite.AES_CM_128_HMAC_SHA1_80]
        for voice in (first, second):
            voice.told(invite.body)
        stage.teams.tag = "ringing"
        await stage.teams.send(180)
        await stage.agent.expect(180)
        stage.teams.tag = "early"
        await stage.teams.send(183, sdp=described(first, tag))
        early = await stage.agent.expect(183)
        agent.told(early.body)
        await stage.hear_each_other(first, agent)
        stage.teams.tag = "answering"
        await stage.teams.send(200, sdp=described(second, tag))
        await stage.teams.expect("ACK")
        ok = await stage.agent.expect(200, of="INVITE")
        await stage.agent.send("ACK")
        agent.told(ok.body)
        await stage.hear_each_other(second, agent)
        await stage.agent.hang_up()
        await stage.teams.is_hung_up()
        assert stage.teams.complaints == []
        for voice in (agent, first, second):
            voice.close()


@pytest.mark.parametrize("srtp", ["off", "optional"])
async def test_it_refuses_audio_in_the_clear(tmp_path: Path, srtp: str) -> None:
    """Whatever the trunk says in place of the profile: it is offered none, or once more none."""
    async with staged(tmp_path, media={"srtp": srtp}) as stage:
        stage.ladder.app.verbs = lambda _: [
            dial("teams", NUMBER),
            {"verb": "sip:decline", "status": 488},
        ]
        await stage.agent.send("INVITE", sdp=PCMU)
        await stage.agent.expect(100)
        for protocol in ("RTP/AVP",) if srtp == "off" else ("RTP/SAVP", "RTP/AVP"):
            invite: Request = await stage.teams.expect("INVITE")
            audio = parse(invite.body).audio
            assert audio is not None
            assert audio.protocol == protocol
            await stage.teams.send(488)
            await stage.teams.expect("ACK")
        await stage.agent.expect(488)
        await stage.agent.send("ACK")
