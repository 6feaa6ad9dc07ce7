"""Measures one party's leg: a look each second, a sample each five, and the figures of the call.

Nothing here is asked for a packet: all of it follows from what the stream and RTCP keep.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sip.media import emodel
from sip.media.emodel import Codec
from sip.media.quality import SAMPLE_S, Sample, Samples
from sip.media.relay.clock_drift import ClockDrift
from sip.media.relay.rtp import RtpStream

#: Seconds between two looks at a party.
LOOK_S: Final = 1.0

#: Fewest packets of an interval that is judged: below it the party hardly spoke.
MIN_PACKETS: Final = 10

#: A receiver waits for about twice the jitter before it plays (G.107 says nothing of buffers), and
#: a packet of the usual size is spoken before it is sent.
BUFFER_PER_JITTER: Final = 2.0
PACKET_MS: Final = 20.0

#: Sequence numbers of a stream that began with the call fit 32 bits.
_WRAP: Final = 0x100000000


class _Counts(NamedTuple):
    """What a stream had promised, lost and in how many runs, at the last sample."""

    expected: int = 0
    lost: int = 0
    runs: int = 0


class Measuring:
    """What is known of a stream that was heard, by looks at it. Times are monotonic seconds."""

    __slots__ = ("_before", "_began", "_drift", "_jitter_looks", "_jitter_sum", "_media_s",
                 "_mos_packets", "_mos_sum", "_sampled_at", "_ssrc", "_timestamp", "jitter_max_ms",
                 "mos_min", "samples", "stream")  # fmt: skip

    def __init__(self, stream: RtpStream, began: float) -> None:
        """`began` is when the first sample does."""
        self.stream = stream
        self.samples = Samples()
        self.jitter_max_ms = 0.0
        self.mos_min: float | None = None
        self._began = self._sampled_at = began
        self._before = _Counts()
        self._drift = ClockDrift()
        self._jitter_sum = 0.0
        self._jitter_looks = 0
        self._mos_sum = 0.0
        self._mos_packets = 0
        #: The stream that the drift is of: its source, last timestamp, and time by its clock.
        self._ssrc = -1
        self._timestamp = 0
        self._media_s = 0.0

    def look(self, now: float) -> bool:
        """To be called each second; true if a sample is due."""
        stream = self.stream
        heard_at = stream.last_at
        if now - heard_at < 1.0:
            self._look_at_clock(heard_at)
            jitter_ms = stream.jitter_ms
            self._jitter_sum += jitter_ms
            self._jitter_looks += 1
            if jitter_ms > self.jitter_max_ms:
                self.jitter_max_ms = jitter_ms
        return now - self._sampled_at >= SAMPLE_S - LOOK_S / 2

    def close(self, now: float, *, codec: Codec, round_trip_ms: float | None = None) -> None:
        """The call is over: what came since the last sample is judged too, if it is enough."""
        if self._mos_packets == 0 or now - self._sampled_at >= SAMPLE_S / 2:
            self.sample(now, codec=codec, round_trip_ms=round_trip_ms)

    @property
    def clock_drift_ppm(self) -> float | None:
        """See `ClockDrift`."""
        return self._drift.ppm

    @property
    def mos_avg(self) -> float | None:
        """Of the samples, each by its packets."""
        return self._mos_sum / self._mos_packets if self._mos_packets else None

    @property
    def jitter_avg_ms(self) -> float | None:
        """Of the looks."""
        return self._jitter_sum / self._jitter_looks if self._jitter_looks else None

    def began_s_ago(self, now: float) -> float:
        """Seconds since the time of which the first sample tells."""
        return now - self._began

    def _look_at_clock(self, heard_at: float) -> None:
        stream = self.stream
        timestamp = stream.last_timestamp
        if stream.ssrc != self._ssrc:
            self._ssrc = stream.ssrc
            self._drift.restart()
        else:
            step = (timestamp - self._timestamp) % _WRAP
            if step >= _WRAP // 2:
                step -= _WRAP
            self._media_s += step * stream.tick_s
        self._timestamp = timestamp
        self._drift.sample(self._media_s, heard_at)

    def sample(self, now: float, *, codec: Codec, round_trip_ms: float | None = None) -> None:
        """Judges what came since the last sample, by the E-model."""
        losses = self.stream.losses
        counts = _Counts(self.stream.expected, losses.lost, losses.runs)
        before, self._before = self._before, counts
        self._sampled_at = now
        expected = counts.expected - before.expected
        if expected < MIN_PACKETS:
            self.samples.add(Sample(round_trip_ms=round_trip_ms))
            return
        loss = min(max(counts.lost - before.lost, 0) / expected, 1.0)
        jitter_ms = self.stream.jitter_ms
        mos = emodel.mos_of(
            codec=codec,
            loss=loss,
            burst=_burst_ratio(loss, counts.lost - before.lost, counts.runs - before.runs),
            delay_ms=(round_trip_ms or 0.0) / 2 + PACKET_MS + BUFFER_PER_JITTER * jitter_ms,
        )
        self.samples.add(Sample(mos, loss, jitter_ms, round_trip_ms))
        self.mos_min = mos if self.mos_min is None else min(self.mos_min, mos)
        self._mos_sum += mos * expected
        self._mos_packets += expected


def _burst_ratio(loss: float, lost: int, runs: int) -> float:
    """G.107 7.5's BurstR: the mean run of losses over that of as much loss at random."""
    if lost <= 0 or runs <= 0:
        return 1.0
    return lost / runs * (1.0 - loss)
