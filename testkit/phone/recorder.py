"""What arrived, laid out in time by its RTP timestamps (RFC 3550), with its counters."""

from dataclasses import dataclass
from threading import Lock

CLOCK_RATE_HZ = 8000
_STRAY_SAMPLES = 2 * CLOCK_RATE_HZ  # a timestamp further off than this starts a new time line
_LIMIT_SAMPLES = 600 * CLOCK_RATE_HZ  # ten minutes; a test call is shorter


@dataclass(frozen=True, slots=True)
class Reception:
    """RFC 3550 6.4.1: packets that came, that were missed, and their unevenness in ms."""

    received: int
    lost: int
    jitter_ms: float
    first_at: float | None


class Recorder:
    """Written by the phone's receiving thread, read by its main one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pcm = bytearray()
        self._arrivals: list[tuple[int, float]] = []  # where in the recording, and when
        self._received = 0
        self._jitter = 0.0
        self._first_at: float | None = None
        self._stream: int | None = None
        self._base = 0  # where in the recording the stream's first timestamp lies, in samples
        self._first_timestamp = 0
        self._transit: float | None = None
        self._missed_before = 0
        self._first_sequence = self._highest_sequence = 0
        self._in_stream = 0

    def packet(self, *, at: float, ssrc: int, sequence: int, timestamp: int, pcm: bytes) -> None:
        """One packet: `at` is its arrival in seconds, pcm its audio as PCM16."""
        with self._lock:
            if self._first_at is None:
                self._first_at = at
            now = round((at - self._first_at) * CLOCK_RATE_HZ)
            position = self._base + _signed(timestamp - self._first_timestamp, 32)
            if ssrc != self._stream or abs(position - now) > _STRAY_SAMPLES:
                self._begin(ssrc, sequence, timestamp, now)
                position = now
            self._count(sequence)
            self._note_jitter(at, timestamp)
            self._write(position, pcm)
            self._arrivals.append((position, at))

    def pcm(self, last_ms: int | None = None) -> bytes:
        with self._lock:
            start = 0 if last_ms is None else max(0, len(self._pcm) - 16 * last_ms)
            return bytes(self._pcm[start:])

    def arrived_at(self, at_ms: int) -> float | None:
        """When the sound at that place of the recording arrived.

        A sender that stalls falls behind its own timestamps, so the place alone does not tell.
        """
        with self._lock:
            wanted = at_ms * CLOCK_RATE_HZ // 1000
            _, at = min(self._arrivals, key=lambda one: abs(one[0] - wanted), default=(0, None))
            return at

    def reception(self) -> Reception:
        with self._lock:
            return Reception(
                received=self._received,
                lost=self._missed_before + self._missed(),
                jitter_ms=1000 * self._jitter / CLOCK_RATE_HZ,
                first_at=self._first_at,
            )

    def _begin(self, ssrc: int, sequence: int, timestamp: int, now: int) -> None:
        self._missed_before += self._missed()
        self._stream, self._base, self._first_timestamp = ssrc, now, timestamp
        self._first_sequence = self._highest_sequence = sequence
        self._in_stream = 0
        self._transit = None

    def _missed(self) -> int:
        if self._stream is None:
            return 0
        expected = self._highest_sequence - self._first_sequence + 1
        return max(0, expected - self._in_stream)

    def _count(self, sequence: int) -> None:
        self._received += 1
        self._in_stream += 1
        step = _signed(sequence - self._highest_sequence, 16)
        self._highest_sequence = max(self._highest_sequence, self._highest_sequence + step)

    def _note_jitter(self, at: float, timestamp: int) -> None:
        transit = at * CLOCK_RATE_HZ - timestamp
        if self._transit is not None:
            moved = abs(transit - self._transit)
            if moved < _STRAY_SAMPLES:
                self._jitter += (moved - self._jitter) / 16
        self._transit = transit

    def _write(self, position: int, pcm: bytes) -> None:
        if not 0 <= position <= _LIMIT_SAMPLES:
            return
        start = 2 * position
        if start > len(self._pcm):
            self._pcm.extend(bytes(start - len(self._pcm)))
        self._pcm[start : start + len(pcm)] = pcm


def _signed(difference: int, bits: int) -> int:
    """A difference of two counters that wrap, as the smaller way round."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
