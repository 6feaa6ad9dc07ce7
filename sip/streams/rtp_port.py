"""A stream's audio as RTP between this process and the media engine, over loopback."""

import asyncio
import random
from collections.abc import Callable
from typing import Final, cast

from sip.core.sdp import parse
from sip.errors import ParseError
from sip.media.relay.rtp import HEADER, HEADER_SIZE, payload_of

#: Payload type of PCMU (RFC 3551 6).
PCMU: Final = 0
#: Octets of a packet: 20 ms.
PACKET: Final = 160
#: A jump of the caller's clock by more than this, in octets, is audio that never came: 15 ms.
GAP: Final = 120


class RtpPort(asyncio.DatagramProtocol):
    """One socket. `on_audio` gets each packet's number, counted without wraps, and its audio."""

    def __init__(self) -> None:
        self.on_audio: Callable[[int, bytes], None] = _unheard
        self._transport: asyncio.DatagramTransport | None = None
        self._to: tuple[str, int] | None = None
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._origin = random.getrandbits(31)
        #: of the next packet, in octets since the stream began; None before the first
        self._at: int | None = None
        self._newest: int | None = None
        self.local: tuple[str, int] = ("", 0)

    @classmethod
    async def open(cls, host: str) -> "RtpPort":
        """A port of `host`. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.local = self._transport.get_extra_info("sockname")[:2]

    def error_received(self, exc: Exception) -> None:
        """The engine has closed its port: the call is about to end."""

    @property
    def sdp(self) -> str:
        """Where the engine reaches it, and what it speaks: PCMU alone."""
        host, port = self.local
        version = "IP6" if ":" in host else "IP4"
        return (
            f"v=0\r\no=- {self._ssrc} 1 IN {version} {host}\r\ns=-\r\nc=IN {version} {host}\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP {PCMU}\r\na=rtpmap:{PCMU} PCMU/8000\r\n"
            "a=ptime:20\r\na=sendrecv\r\n"
        )

    def lead_to(self, sdp: str) -> None:
        """Send to the port that a description of the engine's names, and hear that one alone."""
        try:
            described = parse(sdp)
        except ParseError:
            return
        audio = described.audio
        connection = None if audio is None else described.connection_of(audio)
        if audio is not None and audio.port and connection is not None:
            self._to = (connection.address, audio.port)

    def send(self, at_ms: int, audio: bytes) -> None:
        """Audio that was said at that time; no earlier than what was sent before."""
        if self._transport is None or self._to is None:
            return
        at = self._at
        marker = at is None
        if at is None or at_ms * 8 - at > GAP:
            at, marker = at_ms * 8, True
        for start in range(0, len(audio), PACKET):
            piece = audio[start : start + PACKET]
            self._sequence = (self._sequence + 1) & 0xFFFF
            timestamp = (self._origin + at) & 0xFFFFFFFF
            kind = 0x8000 | marker << 7 | PCMU
            header = HEADER.pack(kind, self._sequence, timestamp, self._ssrc)
            self._transport.sendto(header + piece, self._to)
            at += len(piece)
            marker = False
        self._at = at

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[:2] != self._to or len(data) < HEADER_SIZE or data[1] & 0x7F != PCMU:
            return
        sequence = int.from_bytes(data[2:4])
        newest = self._newest
        if newest is None:
            number = sequence
        else:
            number = newest + ((sequence - newest + 0x8000) & 0xFFFF) - 0x8000
        if newest is None or number > newest:
            self._newest = number
        self.on_audio(number, payload_of(data))

    def close(self) -> None:
        self.on_audio = _unheard
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def _unheard(_: int, __: bytes) -> None:
    """Default for `on_audio`."""
