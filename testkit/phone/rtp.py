"""pyVoIP's RTP client with its audio, pacing and recording mended.

Where pyVoIP 1.6.8 is at fault, and what is done here instead:

- it squeezes audio through 8 bits before G.711, which drowns quiet sound in noise: 16 bits;
- it fills a pause with 0x80, which is a loud click in 16 bits: what is played has no holes;
- it encodes A-law calls as mu-law: each by its own law;
- it sleeps for what a packet should take, so its pace drifts by the cost of each round: deadlines;
- at a sequence number or timestamp's wrap it sends a malformed packet: both wrap;
- it takes header extensions and padding for sound, and a short packet ends its receiving thread:
  cut off, and ignored;
- it binds its port only when the call is answered, when another program may have it: bound
  beforehand.
"""

import audioop
import socket
import threading
import time
from collections.abc import Callable

from testkit.melody import FRAME_MS, FRAME_SAMPLES
from testkit.phone.audio import FRAME_BYTES
from testkit.phone.library import RTP
from testkit.phone.recorder import Recorder

_PAYLOAD_TYPES = {RTP.PayloadType.PCMU: 0, RTP.PayloadType.PCMA: 8}
_SILENCE = bytes(FRAME_BYTES)


class Player:
    """What is played: silence until told to start, then a sound again and again."""

    def __init__(self, pcm: bytes, pause_ms: int) -> None:
        self._pcm = pcm.ljust(-(-len(pcm) // FRAME_BYTES) * FRAME_BYTES, b"\0")
        self._loop_frames = len(self._pcm) // FRAME_BYTES + pause_ms // FRAME_MS
        self._frame: int | None = None
        self.started_at: float | None = None

    @property
    def sound_s(self) -> float:
        return len(self._pcm) // FRAME_BYTES * FRAME_MS / 1000

    @property
    def loop_s(self) -> float:
        return self._loop_frames * FRAME_MS / 1000

    def start(self) -> None:
        if self._frame is None:
            self._frame = 0

    def next_frame(self) -> bytes:
        if self._frame is None:
            return _SILENCE
        if self.started_at is None:
            self.started_at = time.monotonic()
        at = self._frame % self._loop_frames * FRAME_BYTES
        self._frame += 1
        return self._pcm[at : at + FRAME_BYTES] or _SILENCE


class RtpStream(RTP.RTPClient):
    """One audio stream each way; pyVoIP owns its life and its receiving loop."""

    def __init__(
        self,
        assoc: dict[int, RTP.PayloadType],
        sock: socket.socket,
        remote: tuple[str, int],
        player: Player,
        recorder: Recorder,
    ) -> None:
        host, port = sock.getsockname()
        super().__init__(assoc, host, port, *remote, RTP.TransmitType.SENDRECV)
        self.sin = self.sout = sock
        self.packets_sent = 0
        self._player = player
        self._recorder = recorder
        self._threads: list[threading.Thread] = []

    @property
    def codec(self) -> str | None:
        """The codec we send, or None if the other side accepted none of ours."""
        preference = getattr(self, "preference", None)
        return str(preference) if preference in _PAYLOAD_TYPES else None

    def start(self) -> None:
        """Once: pyVoIP calls it again for each re-INVITE."""
        if self._threads or self.codec is None:
            return
        self.sin.settimeout(0.1)  # pyVoIP's loop polls; a timeout makes each poll a wait
        jobs: list[Callable[[], None]] = [self.recv, self.trans]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.NSD = False
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=1.0)
        super().stop()

    def trans(self) -> None:
        payload_type = _PAYLOAD_TYPES[self.preference]
        encode = audioop.lin2ulaw if payload_type == 0 else audioop.lin2alaw
        sequence, timestamp = self.outSequence, self.outTimestamp
        marker = 0x80  # RFC 3551 4.1: set on the first packet of a talk spurt
        due = time.monotonic()
        while self.NSD:
            packet = (
                bytes((0x80, marker | payload_type))
                + (sequence & 0xFFFF).to_bytes(2, "big")
                + (timestamp & 0xFFFFFFFF).to_bytes(4, "big")
                + self.outSSRC.to_bytes(4, "big")
                + encode(self._player.next_frame(), 2)
            )
            try:
                self.sout.sendto(packet, (self.outIP, self.outPort))
                self.packets_sent += 1
            except OSError:
                pass  # the peer is not there yet, or a full queue: the next packet is 20 ms away
            marker = 0
            sequence += 1
            timestamp += FRAME_SAMPLES
            # After a stall the lost time is not made up by a burst.
            due = max(due, time.monotonic() - 0.2) + FRAME_MS / 1000
            time.sleep(max(0.0, due - time.monotonic()))

    def parse_packet(self, packet: bytes) -> None:
        at = time.monotonic()
        if len(packet) < 12 or 192 <= packet[1] <= 223:  # RFC 5761 4: RTCP on the same port
            return
        message = RTP.RTPMessage(packet, self.assoc)
        if message.payload_type not in _PAYLOAD_TYPES:
            return  # telephone events and comfort noise are no sound
        law = audioop.ulaw2lin if message.payload_type == RTP.PayloadType.PCMU else audioop.alaw2lin
        self._recorder.packet(
            at=at,
            ssrc=message.SSRC,
            sequence=message.sequence,
            timestamp=message.timestamp,
            pcm=law(_sound(message), 2),
        )


def _sound(message: RTP.RTPMessage) -> bytes:
    """RFC 3550 5.1, 5.3.1: the payload without header extension and padding."""
    payload: bytes = message.payload
    if message.extension and len(payload) >= 4:
        payload = payload[4 + 4 * int.from_bytes(payload[2:4], "big") :]
    if message.padding and payload:
        payload = payload[: -payload[-1]] if payload[-1] else payload
    return payload
