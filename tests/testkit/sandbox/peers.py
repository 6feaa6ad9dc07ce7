"""The other side of the sandbox, written without any of our stack: raw SIP over UDP, raw RTP,
a webhook receiver. So what the sandbox says is judged by the wire alone.
"""

import asyncio
import audioop
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from testkit import melody

Address = tuple[str, int]
WAIT_S = 10.0


@dataclass(slots=True)
class Message:
    """One SIP message, taken apart as simply as can be."""

    start: str
    headers: list[tuple[str, str]]
    body: str
    source: Address

    @classmethod
    def parse(cls, data: bytes, source: Address) -> "Message":
        head, _, body = data.decode().partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.strip().lower(), value.strip()))
        return cls(start, headers, body, source)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def status(self) -> int:
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        return "" if self.status else self.start.split()[0]

    @property
    def media(self) -> Address:
        """Where the SDP says that RTP goes."""
        host = re.search(r"^c=IN IP4 (\S+)", self.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        assert host is not None, self.body
        assert port is not None, self.body
        return host[1], int(port[1])


class Udp(asyncio.DatagramProtocol):
    """A UDP socket whose datagrams wait in a queue."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait((data, (addr[0], addr[1])))

    @property
    def address(self) -> Address:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port


@asynccontextmanager
async def udp() -> AsyncIterator[Udp]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        Udp, local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    try:
        yield protocol
    finally:
        transport.close()
        await protocol.closed.wait()


def sdp(media: Address, *, formats: str = "0 8 101", direction: str = "sendrecv") -> str:
    """An offer or answer as a carrier would write it."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {media[0]}\r\ns=-\r\nc=IN IP4 {media[0]}\r\nt=0 0\r\n"
        f"m=audio {media[1]} RTP/AVP {formats}\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        f"a=ptime:20\r\na={direction}\r\n"
    )


class SipPeer:
    """One end of one call at a time. Retransmissions of what was seen are left out."""

    def __init__(self, link: Udp) -> None:
        self.link = link
        self.call_id = secrets.token_hex(8)
        self.tag = secrets.token_hex(4)
        self.cseq = 0
        self._seen: set[bytes] = set()

    @property
    def address(self) -> Address:
        return self.link.address

    def request(
        self,
        method: str,
        uri: str,
        target: Address,
        *,
        to: str | None = None,
        cseq: int | None = None,
        branch: str | None = None,
        headers: Sequence[str] = (),
        body: str = "",
    ) -> str:
        """Send a request; answers its branch."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        branch = branch or "z9hG4bK" + secrets.token_hex(6)
        host, port = self.address
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:+14155550123@{host}>;tag={self.tag}",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:peer@{host}:{port}>",
            *headers,
        ]
        if body and not any(line.startswith("Content-Type:") for line in headers):
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.link.transport.sendto("\r\n".join(lines).encode(), target)
        return branch

    def respond(
        self,
        request: Message,
        status: int,
        reason: str = "Whatever",
        *,
        headers: Sequence[str] = (),
        body: str = "",
    ) -> None:
        """Answer a request."""
        host, port = self.address
        to = request.one("to")
        if status > 100 and "tag=" not in to:
            to += f";tag={self.tag}"
        lines = [
            f"SIP/2.0 {status} {reason}",
            *[f"Via: {via}" for via in request.all("via")],
            f"From: {request.one('from')}",
            f"To: {to}",
            f"Call-ID: {request.one('call-id')}",
            f"CSeq: {request.one('cseq')}",
            f"Contact: <sip:peer@{host}:{port}>",
            *headers,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.link.transport.sendto("\r\n".join(lines).encode(), request.source)

    async def next(self) -> Message:
        """The next message that is no retransmission."""
        async with asyncio.timeout(WAIT_S):
            while True:
                data, source = await self.link.received.get()
                if data not in self._seen:
                    self._seen.add(data)
                    return Message.parse(data, source)

    async def expect(self, *wanted: int | str) -> Message:
        """The next message, which must have this status or method; 100s are passed over."""
        while True:
            message = await self.next()
            if message.status == 100 and 100 not in wanted:
                continue
            assert (message.status or message.method) in wanted, message.start
            return message

    def ack(self, response: Message, branch: str | None = None) -> None:
        """Acknowledge a final response to our INVITE."""
        number = int(response.one("cseq").split()[0])
        contact = re.search(r"<([^>]+)>", " ".join(response.all("contact")))
        uri = contact[1] if contact else "sip:sandbox@127.0.0.1"
        self.request("ACK", uri, response.source, to=response.one("to"), cseq=number, branch=branch)


@dataclass(slots=True)
class Caller:
    """A peer that dials into the sandbox."""

    peer: SipPeer
    target: Address
    answer: Message | None = None
    branch: str = ""

    def invite(self, user: str, media: Address, **kwargs: Any) -> None:
        body = kwargs.pop("body", None)
        self.branch = self.peer.request(
            "INVITE",
            f"sip:{user}@{self.target[0]}:{self.target[1]}",
            self.target,
            body=sdp(media) if body is None else body,
            **kwargs,
        )

    async def refused(self) -> int:
        """The final status, which must be a refusal; it is acknowledged."""
        response = await self.peer.next()
        while response.status < 200:
            response = await self.peer.next()
        assert response.status >= 300, response.start
        self.peer.ack(response, self.branch)
        return response.status

    async def answered(self) -> Message:
        """The 200, acknowledged."""
        response = await self.peer.next()
        while response.status < 200:
            response = await self.peer.next()
        assert response.status == 200, response.start
        self.answer = response
        self.peer.ack(response)
        return response

    def in_dialog(self, method: str, **kwargs: Any) -> None:
        assert self.answer is not None
        contact = re.search(r"<([^>]+)>", self.answer.one("contact"))
        assert contact is not None
        self.peer.request(method, contact[1], self.target, to=self.answer.one("to"), **kwargs)

    def notify(self, status_line: str, *, over: bool = False) -> None:
        """What the REFER has come to (RFC 3515 2.4.5)."""
        state = "terminated;reason=noresource" if over else "active;expires=60"
        self.in_dialog(
            "NOTIFY",
            headers=(
                "Event: refer",
                f"Subscription-State: {state}",
                "Content-Type: message/sipfrag;version=2.0",
            ),
            body=f"{status_line}\r\n",
        )

    async def bye(self, headers: Sequence[str] = ()) -> None:
        self.in_dialog("BYE", headers=headers)
        await self.peer.expect(200)


class RtpPeer:
    """Sings to the sandbox and keeps what comes back."""

    def __init__(self, link: Udp, payload_type: int = 0) -> None:
        self.link = link
        self.payload_type = payload_type
        self.packets: list[bytes] = []
        self._sequence = 7
        self._timestamp = 160
        self._arrived = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._collect())

    @property
    def address(self) -> Address:
        return self.link.address

    async def _collect(self) -> None:
        while True:
            data, _ = await self.link.received.get()
            self.packets.append(data)
            self._arrived.set()

    async def until(self, packets: int) -> None:
        """Wait until so many packets came."""
        async with asyncio.timeout(WAIT_S):
            while len(self.packets) < packets:
                self._arrived.clear()
                await self._arrived.wait()

    async def hears(self, wanted: melody.Melody) -> None:
        """Wait until this melody is in what came; looked for twice a second."""
        looked_at = 0
        async with asyncio.timeout(WAIT_S):
            while True:
                self._arrived.clear()
                await self._arrived.wait()
                if len(self.packets) - looked_at >= 25:
                    looked_at = len(self.packets)
                    if melody.find(wanted, self.heard).heard:
                        return

    def skip(self, samples: int) -> None:
        """Let time pass in the stream without sending."""
        self._timestamp += samples

    def close(self) -> None:
        self._task.cancel()

    @property
    def heard(self) -> bytes:
        """All audio that came, as PCM16, by order of arrival."""
        payload = b"".join(packet[12:] for packet in self.packets)
        if self.payload_type == 8:
            return audioop.alaw2lin(payload, 2)
        return audioop.ulaw2lin(payload, 2)

    def send(self, payload: bytes, target: Address, *, payload_type: int | None = None) -> None:
        number = self.payload_type if payload_type is None else payload_type
        head = struct.pack("!BBHII", 0x80, number, self._sequence, self._timestamp, 0x1234)
        self._sequence += 1
        self.link.transport.sendto(head + payload, target)

    async def play(self, pcm: bytes, target: Address) -> None:
        """Send PCM16 audio at its own pace."""
        law = audioop.lin2alaw if self.payload_type == 8 else audioop.lin2ulaw
        for at in range(0, len(pcm), 320):
            self.send(law(pcm[at : at + 320], 2), target)
            self._timestamp += 160
            await asyncio.sleep(0.02)


@asynccontextmanager
async def caller(target: Address) -> AsyncIterator[Caller]:
    """A caller on a socket of its own."""
    async with udp() as link:
        yield Caller(SipPeer(link), target)


@asynccontextmanager
async def rtp(payload_type: int = 0) -> AsyncIterator[RtpPeer]:
    async with udp() as link:
        peer = RtpPeer(link, payload_type)
        try:
            yield peer
        finally:
            peer.close()


@dataclass(slots=True)
class Received:
    """One webhook as it came in."""

    body: str
    signature: str
    json: Any


@dataclass(slots=True)
class Hooks:
    """A webhook receiver. `answers` are used up one after another, then 204 again and again."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    hold_s: float = 0.0
    """so long each answer is kept back"""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[str]:
        return [one.json["event"] for one in self.received]

    async def until(self, event: str) -> Received:
        """The first webhook of this kind, waiting for it."""
        async with asyncio.timeout(WAIT_S):
            while event not in self.events:
                self.arrived.clear()
                await self.arrived.wait()
        return self.received[self.events.index(event)]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.received.append(
            Received(body, request.headers["X-Retell-Signature"], await request.json())
        )
        self.arrived.set()
        await asyncio.sleep(self.hold_s)
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@asynccontextmanager
async def hooks() -> AsyncIterator[Hooks]:
    """A webhook receiver on a port of its own."""
    receiver = Hooks()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()
