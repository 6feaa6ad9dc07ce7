"""The agent's voice and ear: an RTP endpoint that says its script and then echoes what it hears."""

import asyncio
import socket
from dataclasses import dataclass, replace

import structlog

from sip.clock import Clock
from testkit.sandbox.g711 import FRAME_BYTES, Law, script
from testkit.sandbox.heard import Heard
from testkit.sandbox.ids import SandboxIds
from testkit.sandbox.rtp import Beat, RtpPacket, dtmf_digit

log = structlog.get_logger(__name__)

#: An RMS below this, of 32767, is silence: -44 dBFS.
VOICE_RMS = 200
#: The echo never lags by more than this: 500 ms. Older audio is dropped.
MAX_ECHO = 25 * FRAME_BYTES
_DATAGRAM = 2048
_BURST = 32


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the other side's SDP says to send, and what."""

    host: str
    port: int
    law: Law
    payload_type: int
    dtmf_type: int | None
    we_send: bool
    we_hear: bool


class Held:
    """Audio of one law on its way out: filled up first, so that a late packet makes no hole."""

    def __init__(self, law: Law, delay_ms: int) -> None:
        self.law = law
        self._audio = bytearray()
        self._least = delay_ms * FRAME_BYTES // 20 + FRAME_BYTES
        self._flowing = False

    def put(self, audio: bytes) -> None:
        """Behind what is there; the oldest makes room."""
        self._audio += audio
        if len(self._audio) > MAX_ECHO:
            del self._audio[: len(self._audio) - MAX_ECHO]

    def frame(self) -> bytes:
        """The next 20 ms; silence while there is too little."""
        if not self._flowing:
            self._flowing = len(self._audio) >= self._least
        if not self._flowing or len(self._audio) < FRAME_BYTES:
            self._flowing = False
            return self.law.silence * FRAME_BYTES
        frame = bytes(self._audio[:FRAME_BYTES])
        del self._audio[:FRAME_BYTES]
        return frame


class Conversation:
    """What to say next, from what was heard. Pure; all audio is G.711 of one law."""

    def __init__(self, law: Law, said_first: bytes, echo_delay_ms: int) -> None:
        self._script = said_first
        self._at = 0
        self._echo = Held(law, echo_delay_ms)

    @property
    def listening(self) -> bool:
        """Whether the script is over."""
        return self._at >= len(self._script)

    def hear(self, audio: bytes) -> None:
        """Audio from the other side; dropped until the script is over."""
        if self.listening:
            self._echo.put(audio)

    def speak(self) -> bytes:
        """The next 20 ms."""
        if self.listening:
            return self._echo.frame()
        frame = self._script[self._at : self._at + FRAME_BYTES]
        self._at += FRAME_BYTES
        return frame


class Bridged:
    """One end of a bridge: it says what the other end hears. Pure."""

    def __init__(self, said: Held, heard: Held, law: Law) -> None:
        """`said` and `heard` are on their way out of this end and of the other; this end hears
        audio of `law`."""
        self._said = said
        self._heard = heard
        self._law = law

    def hear(self, audio: bytes) -> None:
        """Audio from this end's party."""
        if self._heard.law is not self._law:
            audio = self._heard.law.encode(self._law.decode(audio))
        self._heard.put(audio)

    def speak(self) -> bytes:
        """The next 20 ms."""
        return self._said.frame()


class AgentMedia:
    """One call's RTP. Owns the socket until `close`."""

    def __init__(
        self,
        bound: socket.socket,
        *,
        clock: Clock,
        ids: SandboxIds,
        beat: Beat,
        record_s: float,
        echo_delay_ms: int,
        greeting: bool,
    ) -> None:
        self._socket = bound
        self._clock = clock
        self._beat = beat
        self._record_s = record_s
        self._echo_delay_ms = echo_delay_ms
        self._greeting = greeting
        self._ssrc = ids.ssrc()
        self._sequence = ids.sequence()
        self._timestamp = ids.timestamp()
        self._marker = True
        self._key: int | None = None
        self._last_key: int | None = None
        self._conversation: Conversation | Bridged | None = None
        self.port: int = bound.getsockname()[1]
        self.remote: Remote | None = None
        self.heard: Heard | None = None
        self.sent = 0

    def start(self, remote: Remote) -> None:
        """Begin to speak to, and to hear, `remote`."""
        self.remote = remote
        self._conversation = Conversation(
            remote.law, script(remote.law, greeting=self._greeting), self._echo_delay_ms
        )
        self.heard = Heard(law=remote.law, limit=int(self._record_s * 8000))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)
        self._key = self._beat.join(self._tick)

    def bridge(self, other: "AgentMedia") -> None:
        """From now on this party and the other's hear each other, and no agent. Both have begun."""
        if self.remote is None or other.remote is None:
            return
        ours, theirs = self.remote.law, other.remote.law
        to_us = Held(ours, self._echo_delay_ms)
        to_them = Held(theirs, self._echo_delay_ms)
        self._conversation = Bridged(to_us, to_them, ours)
        other._conversation = Bridged(to_them, to_us, theirs)

    def move(self, remote: Remote) -> None:
        """The other side was renegotiated (RFC 3264 8); the codec stays."""
        if self.remote is not None:
            self.remote = replace(remote, law=self.remote.law)

    @property
    def on_hold(self) -> bool:
        return self.remote is None or not self.remote.we_hear

    def close(self) -> None:
        """Stop, and give the port back."""
        if self._key is not None:
            self._beat.leave(self._key)
            self._key = None
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()

    def _tick(self) -> None:
        remote, conversation = self.remote, self._conversation
        if remote is None or conversation is None:
            return
        self._timestamp += FRAME_BYTES
        if not remote.we_send:
            self._marker = True
            return
        packet = RtpPacket(
            payload_type=remote.payload_type,
            marker=self._marker,
            sequence=self._sequence,
            timestamp=self._timestamp,
            ssrc=self._ssrc,
            payload=conversation.speak(),
        )
        self._marker = False
        self._sequence += 1
        try:
            self._socket.sendto(packet.to_bytes(), (remote.host, remote.port))
            self.sent += 1
        except OSError:
            return  # a full buffer, or an ICMP error for an earlier packet: RTP goes on

    def _read(self) -> None:
        for _ in range(_BURST):
            try:
                data, source = self._socket.recvfrom(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # ICMP: the other side's port is not open yet
            self._receive(data, source[0], source[1])

    def _receive(self, data: bytes, host: str, port: int) -> None:
        remote, heard, conversation = self.remote, self.heard, self._conversation
        if remote is None or heard is None or conversation is None:
            return
        if (host, port) != (remote.host, remote.port):
            heard.foreign += 1
            return
        packet = RtpPacket.parse(data)
        if packet is None:
            heard.malformed += 1
        elif packet.payload_type == remote.dtmf_type:
            self._key_pressed(packet, heard)
        elif packet.payload_type != remote.payload_type:
            heard.unexpected += 1
        else:
            self._listen(packet, heard, conversation, remote.law)

    def _listen(
        self, packet: RtpPacket, heard: Heard, conversation: Conversation | Bridged, law: Law
    ) -> None:
        now_s = self._clock.now()
        heard.packets += 1
        heard.octets += len(packet.payload)
        heard.first_at = now_s if heard.first_at is None else heard.first_at
        heard.last_at = now_s
        if law.level(packet.payload) >= VOICE_RMS:
            heard.last_voice_at = now_s
        heard.take(packet.ssrc, packet.timestamp, packet.payload)
        conversation.hear(packet.payload)

    def _key_pressed(self, packet: RtpPacket, heard: Heard) -> None:
        """RFC 4733 2.5.1: all packets of one event share its timestamp."""
        if packet.timestamp == self._last_key:
            return
        self._last_key = packet.timestamp
        digit = dtmf_digit(packet.payload)
        if digit is not None:
            heard.digits += digit
            log.info("sandbox.dtmf", digit=digit)
