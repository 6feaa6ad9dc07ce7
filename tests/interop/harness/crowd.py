"""A crowd of phones at one SIP address: each has a call and audio of its own.

What a phone says names the phone and counts, so that what another hears tells whom it hears, and
for how long it heard nothing. A crowd answers each call and each re-INVITE at once, and repeats
its own requests until they are answered (RFC 3261 17.1): a burst may be more than a socket holds.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

from sip.core.message import Headers, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.sdp import SessionDescription
from tests.interop.harness.network import Party

#: Seconds between two packets of a phone: a hundred phones speak in one process.
PACKET_S = 0.1
#: RFC 3261's T1: until a request is repeated; then twice as long each time.
REPEAT_S = 0.5
#: Seconds for an answer to a call.
ANSWER_S = 10.0
_MARK = b"crowd"


@dataclass(eq=False)
class Phone:
    """One phone: whom it heard, and when."""

    number: int
    host: str
    audio: socket.socket
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    #: where it was told to send, each time
    told: list[tuple[str, int]] = field(default_factory=list)
    heard: dict[int, list[float]] = field(default_factory=dict)
    over: bool = False
    sent: int = 0
    invite: Request | None = None
    answer: Response | None = None
    #: in place of an answer
    refusal: Response | None = None
    #: methods of its requests that have been answered, provisionally at least
    heeded: set[str] = field(default_factory=set)

    @property
    def sdp(self) -> bytes:
        port = self.audio.getsockname()[1]
        return (
            f"v=0\r\no=- {self.number} 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
        ).encode()

    def hear_of(self, body: bytes) -> None:
        parsed = SessionDescription.parse(body.decode())
        audio = parsed.audio
        connection = parsed.connection_of(audio) if audio is not None else None
        assert audio is not None
        assert connection is not None
        self.told.append((connection.address, audio.port))

    def speak(self) -> None:
        if not self.told or self.over:
            return
        self.sent += 1
        timestamp = self.sent * round(8000 * PACKET_S)
        head = struct.pack(
            "!BBHII", 0x80, 0, self.sent & 0xFFFF, timestamp & 0xFFFFFFFF, self.number
        )
        payload = (_MARK + struct.pack("!II", self.number, self.sent)).ljust(160, b"\xff")
        self.audio.sendto(head + payload, self.told[-1])

    def listen(self) -> None:
        packet = self.audio.recv(2048)
        if packet[12:].startswith(_MARK):
            [number] = struct.unpack_from("!I", packet, 12 + len(_MARK))
            self.heard.setdefault(number, []).append(time.monotonic())

    def longest_gap_s(self, since: float, until: float) -> float:
        """The longest time without a packet of the other side's."""
        times = [at for heard in self.heard.values() for at in heard if since <= at <= until]
        marks = [since, *sorted(times), until]
        return max(later - earlier for earlier, later in pairwise(marks))


class Crowd(asyncio.DatagramProtocol):
    """Async context manager: phones at `party`, which call and are called."""

    def __init__(self, party: Party, gateway: Party, first_number: int) -> None:
        self.party = party
        self.gateway = gateway
        self._first = first_number
        self._phones: dict[str, Phone] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._repeating: set[asyncio.Task[None]] = set()
        #: when all phones spoke, each time
        self._rounds: list[float] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sip.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sip.setblocking(False)
        sip.bind((self.party.host, self.party.port))
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sip)
        self._speaking = loop.create_task(self._speak())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._speaking is not None
        assert self._transport is not None
        tasks = {self._speaking, *self._repeating}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._transport.close()
        for phone in self:
            asyncio.get_running_loop().remove_reader(phone.audio)
            phone.audio.close()

    def __iter__(self) -> Iterator[Phone]:
        return iter(tuple(self._phones.values()))

    async def call(self, number: str) -> Phone:
        """A phone calls `number` through the gateway, and is answered, or refused."""
        call_id = f"call-{len(self._phones)}@{self.party.host}"
        phone = self._phone(call_id)
        headers = Headers()
        headers.add("via", f"SIP/2.0/UDP {self.party};branch=z9hG4bK-{phone.number}")
        headers.add("max-forwards", "70")
        headers.add("from", f"<sip:+12125550100@{self.party.host}>;tag=crowd-{phone.number}")
        headers.add("to", f"<sip:{number}@{self.gateway}>")
        headers.add("call-id", call_id)
        headers.add("cseq", "1 INVITE")
        headers.add("contact", f"<sip:crowd@{self.party}>")
        headers.add("content-type", "application/sdp")
        phone.invite = Request("INVITE", f"sip:{number}@{self.gateway}", headers, phone.sdp)
        self._request(phone, phone.invite)
        async with asyncio.timeout(ANSWER_S):
            await phone.answered.wait()
        return phone

    def hang_up(self, phone: Phone) -> None:
        """A phone that called hangs up."""
        phone.over = True
        self._request(phone, self._in_dialog(phone, "BYE", 2))

    def held_up_s(self, since: float, until: float) -> float:
        """For how long the crowd itself did nothing, at most: its phones were silent, and deaf."""
        marks = [since, *(at for at in self._rounds if since <= at <= until), until]
        return max(0.0, max(b - a for a, b in pairwise(marks)) - PACKET_S)

    def datagram_received(self, data: bytes, addr: object) -> None:
        message = parse_message(data)
        phone = self._phones.get(message.call_id)
        if isinstance(message, Response):
            if phone is not None:
                phone.heeded.add(message.cseq.method)
            if phone is not None and message.cseq.method == "INVITE" and message.status >= 300:
                phone.refusal = message
                self._send(self._acknowledged(phone, message))
                phone.answered.set()
            if phone is not None and message.cseq.method == "INVITE" and message.status == 200:
                first, phone.answer = phone.answer is None, message
                self._send(self._in_dialog(phone, "ACK", 1))
                if first:
                    phone.hear_of(message.body)
                    phone.answered.set()
            return
        if message.method == "ACK":
            return
        if message.method == "INVITE":
            phone = phone or self._phone(message.call_id)
            phone.hear_of(message.body)
        elif phone is not None and message.method == "BYE":
            phone.over = True
        self._send(
            make_response(
                message,
                200,
                to_tag=f"crowd-{phone.number if phone is not None else 0}",
                headers=[("Contact", f"<sip:crowd@{self.party}>")],
                body=phone.sdp if phone is not None and message.method == "INVITE" else b"",
                content_type="application/sdp",
            )
        )

    def _phone(self, call_id: str) -> Phone:
        audio = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        audio.setblocking(False)
        audio.bind((self.party.host, 0))
        phone = Phone(self._first + len(self._phones), self.party.host, audio)
        self._phones[call_id] = phone
        asyncio.get_running_loop().add_reader(audio, phone.listen)
        return phone

    def _in_dialog(self, phone: Phone, method: str, cseq: int) -> Request:
        assert phone.invite is not None
        assert phone.answer is not None
        assert phone.answer.contact is not None
        headers = Headers()
        branch = f"z9hG4bK-{phone.number}-{method}"
        headers.add("via", f"SIP/2.0/UDP {self.party};branch={branch}")
        headers.add("max-forwards", "70")
        headers.add("from", str(phone.invite.from_))
        headers.add("to", str(phone.answer.to))
        headers.add("call-id", phone.answer.call_id)
        headers.add("cseq", f"{cseq} {method}")
        return Request(method, str(phone.answer.contact.uri), headers, b"")

    @staticmethod
    def _acknowledged(phone: Phone, refusal: Response) -> Request:
        """RFC 3261 17.1.1.3: of the INVITE's own transaction."""
        assert phone.invite is not None
        headers = Headers()
        for name in ("via", "from", "call-id", "max-forwards"):
            headers.add(name, str(phone.invite.headers.get(name)))
        headers.add("to", str(refusal.to))
        headers.add("cseq", "1 ACK")
        return Request("ACK", phone.invite.uri, headers, b"")

    def _request(self, phone: Phone, request: Request) -> None:
        """Sends it, and again until there is any answer."""
        task = asyncio.get_running_loop().create_task(self._repeat(phone, request))
        self._repeating.add(task)
        task.add_done_callback(self._repeating.discard)

    async def _repeat(self, phone: Phone, request: Request) -> None:
        wait_s = REPEAT_S
        while request.method not in phone.heeded and wait_s < ANSWER_S:
            self._send(request)
            await asyncio.sleep(wait_s)
            wait_s *= 2

    def _send(self, message: Request | Response) -> None:
        assert self._transport is not None
        self._transport.sendto(message.to_bytes(), (self.gateway.host, self.gateway.port))

    async def _speak(self) -> None:
        while True:
            for phone in self:
                phone.speak()
            self._rounds.append(time.monotonic())
            await asyncio.sleep(PACKET_S)
