"""People whom the gateway calls: a SIP server that answers each number as its script says, puts
down when each INVITE came, and hears what is said."""

import asyncio
import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sip.core.message import Headers, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.sdp import SessionDescription
from tests.interop.harness.network import Party

#: Bytes of PCMU in a packet, and its seconds.
_FRAME, _FRAME_S = 160, 0.02
_SILENCE = b"\xff" * _FRAME

#: Linux's number of it, which Python does not name.
_SO_TIMESTAMPNS = 35


@dataclass(frozen=True, slots=True)
class Script:
    """How a number answers: `status` after `rings_s` of ringing, 180 for never; a 200 is hung up
    after `talks_s`, None for never. `says` is PCMU, said from the answer on, then silence."""

    status: int = 200
    rings_s: float = 0.0
    talks_s: float | None = None
    says: bytes | None = None


@dataclass(slots=True, eq=False)
class Called:
    """One INVITE that came, as it was; times are monotonic seconds."""

    number: str
    at: float
    invite: Request
    tag: str
    script: Script
    answered: float | None = None
    #: when the other side was done with it, or it with the other side
    ended: float | None = None
    audio: socket.socket | None = None
    #: PCMU, as it came
    heard: bytearray = field(default_factory=bytearray)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Callees:
    """Async context manager: a server at `party` on which every number is somebody."""

    def __init__(self, party: Party, script: Callable[[str], Script]) -> None:
        self.party = party
        self._script = script
        self._socket: socket.socket | None = None
        #: every INVITE that began a call, in the order of their coming
        self.calls: list[Called] = []
        self._by_id: dict[str, Called] = {}
        self._speaking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sip.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sip.setblocking(False)
        sip.bind((self.party.host, self.party.port))
        sip.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket = sip
        asyncio.get_running_loop().add_reader(sip, self._read)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for call in self.calls:
            for timer in call.timers:
                timer.cancel()
        for task in self._speaking:
            task.cancel()
        await asyncio.gather(*self._speaking, return_exceptions=True)
        for call in self.calls:
            if call.audio is not None:
                call.audio.close()
        assert self._socket is not None
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def of(self, number: str) -> Called:
        """The one call to that number."""
        [call] = [call for call in self.calls if call.number == number]
        return call

    def _read(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                data, more, _, addr = self._socket.recvmsg(65_535, 64)
                self._take(data, addr, _came_at(more))

    def _take(self, data: bytes, addr: tuple[str, int], at: float) -> None:
        message = parse_message(data)
        if isinstance(message, Response):
            return
        call = self._by_id.get(message.call_id)
        match message.method:
            case "INVITE" if call is None:
                self._begin(message, addr, at)
            case "INVITE" if call is not None and call.answered is not None:
                self._answer(call, message, addr)  # a re-INVITE, or a lost 200
            case "CANCEL" if call is not None:
                self._send(make_response(message, 200, to_tag=call.tag), addr)
                if call.answered is None:
                    self._refuse(call, 487, addr)
            case "BYE":
                if call is not None:
                    call.ended = call.ended or time.monotonic()
                self._send(make_response(message, 200), addr)
            case "OPTIONS":
                self._send(make_response(message, 200, to_tag="callee"), addr)

    def _begin(self, invite: Request, addr: tuple[str, int], at: float) -> None:
        number = invite.uri.partition(":")[2].partition("@")[0].partition(";")[0]
        script = self._script(number)
        tag = f"callee-{len(self.calls)}"
        call = Called(number, at, invite, tag, script)
        self.calls.append(call)
        self._by_id[invite.call_id] = call
        loop = asyncio.get_running_loop()
        self._send(make_response(invite, 180, to_tag=tag), addr)
        if script.status == 200:
            call.timers.append(loop.call_later(script.rings_s, self._answer, call, invite, addr))
            if script.talks_s is not None:
                hangs_up_s = script.rings_s + script.talks_s
                call.timers.append(loop.call_later(hangs_up_s, self._hang_up, call, addr))
        elif script.status > 200:
            refuse = loop.call_later(script.rings_s, self._refuse, call, script.status, addr)
            call.timers.append(refuse)

    def _answer(self, call: Called, invite: Request, addr: tuple[str, int]) -> None:
        if call.ended is not None:
            return
        if call.answered is None:
            call.answered = time.monotonic()
            if call.script.says is not None:
                self._speak(call, invite)
        port = 40_000 if call.audio is None else call.audio.getsockname()[1]
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {self.party.host}\r\ns=-\r\nc=IN IP4 {self.party.host}\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            "a=rtpmap:101 telephone-event/8000\r\n"
        )
        response = make_response(
            invite,
            200,
            to_tag=call.tag,
            headers=[("Contact", f"<sip:callee@{self.party}>")],
            body=sdp.encode(),
            content_type="application/sdp",
        )
        self._send(response, addr)

    def _speak(self, call: Called, invite: Request) -> None:
        """Say what the script says, and hear what the other side does."""
        offer = SessionDescription.parse(invite.body.decode())
        audio = offer.audio
        connection = offer.connection_of(audio) if audio is not None else None
        assert audio is not None
        assert connection is not None
        call.audio = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        call.audio.setblocking(False)
        call.audio.bind((self.party.host, 0))
        call.audio.connect((connection.address, audio.port))
        task = asyncio.create_task(self._talk(call))
        self._speaking.add(task)

    async def _talk(self, call: Called) -> None:
        assert call.audio is not None
        assert call.script.says is not None
        loop = asyncio.get_running_loop()
        begun, says = loop.time(), call.script.says
        for number in itertools.count():
            await asyncio.sleep(max(0.0, begun + number * _FRAME_S - loop.time()))
            if call.ended is not None:
                return
            payload = says[number * _FRAME : (number + 1) * _FRAME].ljust(_FRAME, b"\xff")
            head = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * _FRAME, 1)
            try:
                call.audio.send(head + (payload or _SILENCE))
                while True:
                    packet = call.audio.recv(2048)
                    if packet[1] & 0x7F == 0:
                        call.heard += packet[12:]
            except (BlockingIOError, ConnectionRefusedError):
                continue

    def _refuse(self, call: Called, status: int, addr: tuple[str, int]) -> None:
        if call.ended is None:
            call.ended = time.monotonic()
            self._send(make_response(call.invite, status, to_tag=call.tag), addr)

    def _hang_up(self, call: Called, addr: tuple[str, int]) -> None:
        if call.ended is not None or call.answered is None:
            return
        call.ended = time.monotonic()
        invite = call.invite
        headers = Headers()
        headers.add("via", f"SIP/2.0/UDP {self.party};branch=z9hG4bK-bye-{call.tag}")
        headers.add("max-forwards", "70")
        headers.add("from", f"{invite.to};tag={call.tag}")
        headers.add("to", str(invite.from_))
        headers.add("call-id", invite.call_id)
        headers.add("cseq", "1 BYE")
        assert invite.contact is not None
        self._send(Request("BYE", str(invite.contact.uri), headers, b""), addr)

    def _send(self, message: Request | Response, addr: tuple[str, int]) -> None:
        assert self._socket is not None
        self._socket.sendto(message.to_bytes(), addr)


def _came_at(ancillary: list[tuple[int, int, bytes]]) -> float:
    """When the kernel had the datagram, in monotonic seconds: this process may be late."""
    for level, kind, told in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", told)
            return float(seconds + nanoseconds / 1e9 - time.time() + time.monotonic())
    raise AssertionError("a datagram has no time")
