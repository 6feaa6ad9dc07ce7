"""A language for media scenarios: offer, answer, snd, rcv, with real sockets on loopback.

    a, b = talk.phone("A"), talk.phone("B")
    await talk.offer(a, b)
    await talk.answer(a, b)
    a.snd(rtp(0, 1000, 160, 0x1234))            # a sends to where it was told
    await b.rcv(rtp(0, 1000, 160, 0x1234))      # b must hear exactly that, and next

The shape is that of rtpengine's own tests (t/), and the scenarios run against rtpengine too. No
scenario sleeps: that something is *not* forwarded is seen when the next packet on the same socket
arrives, since each engine takes a socket's packets in order.
"""

import asyncio
import os
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from sip.core.sdp import parse
from sip.media.plane import MediaPlane
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling

PHONES = "127.0.0.2"
"""Where test phones live; the engines are at 127.0.0.1."""

PATIENCE_S = 5.0
_random = random.Random(5)


def rtp(
    payload_type: int, seq: int, timestamp: int, ssrc: int, payload: bytes = b"\xd5" * 160
) -> bytes:
    """One RTP packet (RFC 3550 5.1), no marker, no extension."""
    head = struct.pack("!BBHII", 0x80, payload_type, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + payload


def key_packets(
    payload_type: int,
    number: int,
    *,
    seq: int,
    timestamp: int,
    ssrc: int,
    packets: int = 5,
    marker: bool = True,
) -> list[bytes]:
    """All packets of one key (RFC 4733 2.5): 20 ms apart while it is down, then three ends."""

    def packet(index: int, duration: int, end: int) -> bytes:
        payload = struct.pack("!BBH", number, end | 10, duration)
        data = bytearray(rtp(payload_type, seq + index, timestamp, ssrc, payload))
        data[1] |= 0x80 if marker and index == 0 else 0
        return bytes(data)

    downs = [packet(index, 160 * (index + 1), 0) for index in range(packets)]
    return downs + [packet(packets + n, 160 * (packets + 1), 0x80) for n in range(3)]


def receiver_report(ssrc: int, about: int, lost: int = 0) -> bytes:
    """One RTCP receiver report with one block (RFC 3550 6.4.2)."""
    return struct.pack("!BBHI", 0x81, 201, 7, ssrc) + struct.pack(
        "!IIIIII", about, lost & 0xFFFFFF, 1000, 16, 0, 0
    )


class Socket:
    """A UDP socket of somebody who sends and listens."""

    def __init__(self, host: str = PHONES, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()

    @property
    def port(self) -> int:
        return self.address[1]

    def send(self, data: bytes, port: int) -> None:
        """To that port of the engine."""
        self._socket.sendto(data, ("127.0.0.1", port))

    def fileno(self) -> int:
        """For who waits for several."""
        return self._socket.fileno()

    def arrived(self) -> list[bytes]:
        """All datagrams that are there."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(65535))
            except BlockingIOError:
                return found

    async def receive(self, patience_s: float = PATIENCE_S) -> tuple[bytes, int]:
        """The next datagram and the port it came from."""
        async with asyncio.timeout(patience_s):
            data, source = await asyncio.get_running_loop().sock_recvfrom(self._socket, 65535)
        return data, source[1]

    def forget(self) -> None:
        """Drops what has come so far."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(65535)

    def close(self) -> None:
        self._socket.close()


def bind_pair(host: str = PHONES) -> tuple[Socket, Socket]:
    """RTP on an even port and RTCP above it, as most phones do."""
    while True:
        port = _random.randrange(10000, 19998, 2)
        try:
            first = Socket(host, port)
        except OSError:
            continue
        try:
            return first, Socket(host, port + 1)
        except OSError:
            first.close()


#: What fills a gap: payload types and payloads of G.711.
SILENCE = {(0, b"\xff" * 160), (8, b"\xd5" * 160)}


class Phone:
    """One party: its sockets, its SDP, and what it was told of the other side."""

    def __init__(self, tag: str, host: str = PHONES) -> None:
        self.tag = tag
        self.rtp, self.rtcp = bind_pair(host)
        self.told_port = 0
        self.told_rtcp_port = 0
        self.told = ""
        self._seq = 100
        self._filled = False
        self.wants = ANY_TERMS

    @property
    def terms(self) -> MediaTerms:
        """How its trunk wants its media."""
        return self.wants

    def sdp(
        self,
        formats: str = "0 8 101",
        *,
        address: str | None = None,
        port: int | None = None,
        extra: str = "",
    ) -> str:
        """An offer or answer as a plain phone writes it."""
        address = address or self.rtp.address[0]
        return (
            f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port or self.rtp.port} RTP/AVP {formats}\r\n"
            "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n{extra}a=sendrecv\r\n"
        )

    def hear_of(self, sdp: str) -> None:
        """Takes the SDP that the engine made for this phone."""
        description = parse(sdp)
        audio = description.audio
        assert audio is not None, sdp
        rtcp = audio.attribute("rtcp")
        self.told = sdp
        self.told_port = audio.port
        self.told_rtcp_port = int(rtcp.split()[0]) if rtcp else audio.port + 1

    def snd(self, packet: bytes, *, by: Socket | None = None) -> None:
        """Sends to where the phone was told, from its RTP socket or another."""
        (by or self.rtp).send(packet, self.told_port)

    async def rcv(self, packet: bytes, *, on: Socket | None = None) -> None:
        """The next packet must be exactly that, from the port that the phone sends to.

        Where the relay has filled a gap, which a slow machine makes, its numbers are others.
        """
        while True:
            data, port = await (on or self.rtp).receive()
            assert port == self.told_port
            if (data[1] & 0x7F, data[12:]) not in SILENCE or data == packet:
                break
            self._filled = True
        assert data == packet or (self._filled and data[12:] == packet[12:])

    def voice(self, payload_type: int = 0, ssrc: int = 0) -> bytes:
        """The next packet of the phone's stream."""
        self._seq += 1
        return rtp(payload_type, self._seq, self._seq * 160, ssrc or _number(self.tag))

    async def speaks_to(self, other: "Phone") -> None:
        """One packet, sent and heard."""
        packet = self.voice()
        self.snd(packet)
        await other.rcv(packet)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def _number(tag: str) -> int:
    return int.from_bytes(tag.encode()[:4].ljust(4, b"\0"), "big")


class Talk:
    """One call on one engine. Leaving the context deletes the call and closes the phones."""

    def __init__(self, plane: MediaPlane, call_id: str | None = None) -> None:
        self.plane = plane
        self.call_id = call_id or f"call-{os.getpid()}-{_random.getrandbits(40):x}"
        self._to_close: list[Callable[[], None]] = []
        self.deleted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for close in self._to_close:
            close()
        if not self.deleted:
            await self.plane.delete(self.call_id)

    def phone(self, tag: str, host: str = PHONES) -> Phone:
        phone = Phone(tag, host)
        self._to_close.append(phone.close)
        return phone

    def socket(self, host: str = PHONES) -> Socket:
        """Somebody else's, or a phone's second one."""
        stranger = Socket(host)
        self._to_close.append(stranger.close)
        return stranger

    async def offer(
        self,
        sender: Phone,
        receiver: Phone,
        sdp: str | None = None,
        *,
        again: bool = False,
        media_address: str | None = None,
        received_from: str | None = None,
    ) -> None:
        """An INVITE from `sender`; `again` for a re-INVITE, which names both tags."""
        told = await self.plane.offer(
            self.call_id,
            sender.tag,
            sdp or sender.sdp(),
            to_tag=receiver.tag if again else None,
            media_address=media_address,
            received_from=None if received_from is None else Signalling(received_from),
            sender=sender.terms,
            reader=receiver.terms,
        )
        receiver.hear_of(told)

    async def answer(
        self,
        sender: Phone,
        receiver: Phone,
        sdp: str | None = None,
        *,
        media_address: str | None = None,
        received_from: str | None = None,
    ) -> None:
        """`receiver` answers `sender`'s offer."""
        told = await self.plane.answer(
            self.call_id,
            sender.tag,
            receiver.tag,
            sdp or receiver.sdp(),
            media_address=media_address,
            received_from=None if received_from is None else Signalling(received_from),
            sender=receiver.terms,
            reader=sender.terms,
        )
        sender.hear_of(told)

    async def connect(self, a: Phone, b: Phone) -> None:
        """Offer and answer."""
        await self.offer(a, b)
        await self.answer(a, b)
