"""What the sequence numbers of one stream tell of its packets: lost, reordered, doubled, in bursts.

A number that is passed over counts as lost until its packet comes after all. Numbers here are
extended ones: they do not wrap (RFC 3550 A.1).
"""

from __future__ import annotations

from typing import Final

#: RFC 3550 A.1: a packet may come after as many as this of later numbers.
MAX_MISORDER: Final = 100

#: A packet that comes by so much after the one behind it, in seconds, is too late to be played: a
#: receiver's buffer holds two or three packets.
LATE_S: Final = 0.060

#: RFC 3611 4.7.2: so many packets without a loss end a burst.
MIN_GAP: Final = 16


class Losses:
    """Made at a stream's first irregularity; most have none."""

    __slots__ = (
        "_first",
        "_last",
        "_missing",
        "_run_end",
        "_size",
        "burst_lost",
        "burst_packets",
        "bursts",
        "duplicates",
        "late",
        "passed_over",
        "reordered",
        "runs",
    )

    def __init__(self) -> None:
        #: Numbers passed over.
        self.passed_over = 0
        #: Packets that came after a later one (RFC 4737 3.3), and those of them too late to play.
        self.reordered = 0
        self.late = 0
        #: Packets that came again.
        self.duplicates = 0
        #: Unbroken runs of lost numbers.
        self.runs = 0
        #: Bursts (RFC 3611 4.7.2): how many, the numbers they span, and the lost among these.
        self.bursts = 0
        self.burst_packets = 0
        self.burst_lost = 0
        #: Numbers that may still come, oldest first, with the time at which they were passed over.
        self._missing: dict[int, float] = {}
        #: The number after the last one that is lost for good.
        self._run_end = -1
        #: The losses that are near to each other: the first, the last, and how many.
        self._first = self._last = -1
        self._size = 0

    @property
    def lost(self) -> int:
        """Numbers without a packet so far. Unlike RFC 3550 A.3's, duplicates hide none."""
        return self.passed_over - self.reordered

    def stats(self) -> dict[str, int]:
        """The counters, by the names of a reply."""
        return {
            "lost": self.lost,
            "reordered": self.reordered,
            "late": self.late,
            "duplicates": self.duplicates,
            "bursts": self.bursts,
            "burst packets": self.burst_packets,
            "burst lost": self.burst_lost,
        }

    def pass_over(self, first: int, count: int, now: float) -> None:
        """The numbers from `first` on were left out, `count` of them."""
        self.passed_over += count
        self.settle(first + count)
        over = max(0, count - MAX_MISORDER)
        if over:
            self._lose(first, over)
        for number in range(first + over, first + count):
            self._missing[number] = now

    def behind(self, number: int, now: float) -> None:
        """A packet came whose number is not beyond all others."""
        passed_at = self._missing.pop(number, None)
        if passed_at is None:
            self.duplicates += 1
            return
        self.reordered += 1
        if now - passed_at > LATE_S:
            self.late += 1

    def settle(self, next_number: int) -> None:
        """Numbers far behind the next one are lost for good."""
        missing, final = self._missing, next_number - MAX_MISORDER
        while missing:
            number = next(iter(missing))
            if number >= final:
                break
            del missing[number]
            self._lose(number, 1)
        if self._size and final - self._last > MIN_GAP:
            self._close_burst()

    def close(self) -> None:
        """The sequence is over: so is whatever belongs to it."""
        for number in self._missing:
            self._lose(number, 1)
        self._missing.clear()
        self._close_burst()
        self._run_end = -1

    def _lose(self, first: int, count: int) -> None:
        """These are lost for good; calls come in the order of the numbers."""
        last = first + count - 1
        if first != self._run_end:
            self.runs += 1
        self._run_end = last + 1
        if self._size and first - self._last - 1 >= MIN_GAP:
            self._close_burst()
        if not self._size:
            self._first = first
        self._last = last
        self._size += count

    def _close_burst(self) -> None:
        if self._size > 1:  # a loss alone among many packets belongs to the gap
            self.bursts += 1
            self.burst_packets += self._last - self._first + 1
            self.burst_lost += self._size
        self._size = 0
