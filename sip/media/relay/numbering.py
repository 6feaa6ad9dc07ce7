"""The numbers of the one stream that a party hears: sequence, timestamps, synchronisation source.

What a party hears may come from its other side, from us, and from its other side again. Receivers
take badly to a stream that begins anew each time, so that all of it is numbered as one (RFC 3550
5.1): sequence numbers without a gap where the speaker changes, timestamps by the time that passed.
What its other side lost, and what overtook, stays visible.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

_SEQ: Final = 0xFFFF
_TIMESTAMP: Final = 0xFFFFFFFF

#: The half of the sequence space that counts as behind (RFC 3550 A.1).
_BEHIND: Final = 0x8000

#: No source: what was sent last was ours.
_OURS: Final = -1

#: A packet of ours that comes so many seconds after it was due has its timestamp by the clock.
_PAUSE_S: Final = 0.1


class Numbers(NamedTuple):
    """A packet's sequence number and timestamp; `begins` where a new speaker, or a pause, did."""

    seq: int
    timestamp: int
    begins: bool


class Numbering:
    """Numbers a stream onwards from a packet of it, the last one that the party was sent."""

    __slots__ = ("_at", "_beside", "_high", "_key", "_seq", "_seq_step", "_source", "_span",
                 "_ticks", "_timestamp", "_timestamp_step", "rate_hz", "ssrc")  # fmt: skip

    def __init__(self, ssrc: int, seq: int, timestamp: int, at: float, rate_hz: int) -> None:
        """`seq`, `timestamp` and `at` are the last packet's; `rate_hz` the timestamps' clock."""
        self.ssrc = ssrc
        self.rate_hz = rate_hz
        self._seq = seq
        self._timestamp = timestamp
        self._at = at
        #: Length of the last packet in ticks, where it was ours.
        self._ticks = 0
        self._source = _OURS
        #: From the source's numbers to ours; its highest so far, and how many there are below it.
        self._seq_step = self._timestamp_step = 0
        self._high = self._span = 0
        #: A key beside the stream: its source and timestamp, and ours for it.
        self._beside = (_OURS, 0, 0)
        #: The timestamp of the key that we sent last.
        self._key = 0

    @classmethod
    def fresh(cls, rng: random.Random, now: float, rate_hz: int) -> Numbering:
        """A stream that begins (RFC 3550 5.1: at random numbers)."""
        seq = rng.getrandbits(15)  # no wrap in the first ten minutes
        return cls(rng.getrandbits(32), seq, rng.getrandbits(32), now, rate_hz)

    @property
    def sent_at(self) -> float:
        """When the last packet was numbered, or taken over."""
        return self._at

    @property
    def own_last(self) -> bool:
        """Whether the last packet was one of ours."""
        return self._ticks > 0

    def timestamp_at(self, now: float) -> int:
        """What a packet of this moment would have."""
        return self._timestamp + self._elapsed(now)

    def other_source(self) -> None:
        """Whatever the other side sends next begins something new, whatever its SSRC."""
        self._source = _OURS

    def passed(self, ssrc: int, seq: int, timestamp: int, now: float) -> Numbers | None:
        """Of a packet of the other side; None for one that was overtaken by what we said."""
        if ssrc != self._source:
            return self._resumed(ssrc, seq, timestamp, now)
        ahead = (seq - self._high) & _SEQ
        ours = (seq + self._seq_step) & _SEQ
        at = (timestamp + self._timestamp_step) & _TIMESTAMP
        if ahead < _BEHIND:
            self._high = seq
            self._span = min(self._span + ahead, _BEHIND - 1)
            self._seq, self._timestamp, self._at = ours, at, now
        elif _SEQ + 1 - ahead > self._span:
            return None
        return Numbers(ours, at, False)

    def own(self, ticks: int, now: float) -> Numbers:
        """Of a packet of ours that is `ticks` long."""
        due = self._at + self._ticks / self.rate_hz
        begins = not self._ticks or now > due + _PAUSE_S
        self._step(self._elapsed(now) if begins else self._ticks, now)
        self._ticks = ticks
        self._source = _OURS
        return Numbers(self._seq, self._timestamp, begins)

    def key(self, step: int | None, now: float) -> Numbers:
        """Of a packet of a key of ours, all of which have the timestamp of its beginning.

        `step` 0 begins one, n goes on with it n ticks later, None says more of the same. Time goes
        on meanwhile, for what follows.
        """
        self._step(max(self._ticks, self._elapsed(now)), now)
        self._ticks = 0
        self._source = _OURS
        if step is not None:
            self._key = (self._key + step if step else self._timestamp) & _TIMESTAMP
        return Numbers(self._seq, self._key, step == 0)

    def beside(self, ssrc: int, timestamp: int, now: float) -> Numbers:
        """Of a key's packet with an SSRC of its own (RFC 4733 2.1 wants the audio's).

        All packets of a key have one timestamp, which is that of its beginning.
        """
        begins = self._beside[:2] != (ssrc, timestamp)
        if begins:
            self._beside = (ssrc, timestamp, self._timestamp + self._elapsed(now))
        self._seq = (self._seq + 1) & _SEQ
        self._seq_step += 1
        self._span = 0
        return Numbers(self._seq, self._beside[2] & _TIMESTAMP, begins)

    def _resumed(self, ssrc: int, seq: int, timestamp: int, now: float) -> Numbers:
        """The other side speaks after us, or with another SSRC."""
        self._step(max(self._ticks, self._elapsed(now)), now)
        self._ticks = 0
        self._source, self._high, self._span = ssrc, seq, 0
        self._seq_step = self._seq - seq
        self._timestamp_step = self._timestamp - timestamp
        return Numbers(self._seq, self._timestamp, True)

    def _step(self, ticks: int, now: float) -> None:
        self._seq = (self._seq + 1) & _SEQ
        self._timestamp = (self._timestamp + ticks) & _TIMESTAMP
        self._at = now

    def _elapsed(self, now: float) -> int:
        """Ticks since the last packet."""
        return max(0, round((now - self._at) * self.rate_hz))
