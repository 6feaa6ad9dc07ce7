"""How good one party's leg was: figures of the whole call, and samples over its time.

Both are of what the party *sends*, as it arrives at the engine, but for what begins with `heard`:
that is what the party itself reports of what it hears. None is what nobody measured.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Final, NamedTuple, TypeAlias

from sip.core.value import frozen

#: Seconds between two samples, of a call of an hour or less.
SAMPLE_S: Final = 5.0

#: Samples kept; when there are as many, each two become one.
MAX_SAMPLES: Final = 720


@frozen(kw_only=True)
class Quality:
    """The figures of one leg.

    `loss_percent` is of the packets that its sequence numbers promised. `reordered` packets came
    after later ones, `late` ones of them too late to be played, `duplicates` a second time.
    `bursts` are RFC 3611's, `burst_loss_percent` the loss within them. MOS is G.107's, of the
    samples; jitter RFC 3550's. The round trip is from the engine to the party and back, by RTCP.
    `clock_drift_ppm` is by how much the party's clock is fast. `one_way_s` is how long it was not
    heard although it should have been. `clipped_percent` of the frames reach full
    scale, and `quiet_percent` hold no speech, where the engine looks into the audio.
    """

    loss_percent: float | None = None
    reordered: int = 0
    late: int = 0
    duplicates: int = 0
    bursts: int = 0
    burst_loss_percent: float | None = None
    jitter_avg_ms: float | None = None
    jitter_max_ms: float | None = None
    round_trip_ms: float | None = None
    round_trip_max_ms: float | None = None
    mos_avg: float | None = None
    mos_min: float | None = None
    clock_drift_ppm: float | None = None
    one_way_s: float = 0.0
    heard_loss_percent: float | None = None
    heard_jitter_ms: float | None = None
    heard_mos: float | None = None
    clipped_percent: float | None = None
    quiet_percent: float | None = None


#: Of a leg that nobody measured.
UNMEASURED: Final = Quality()

_NAMES: Final = tuple(field.name for field in fields(Quality))
_MOST: Final = frozenset({"jitter_max_ms", "round_trip_max_ms"})
_SUMS: Final = frozenset({"reordered", "late", "duplicates", "bursts", "one_way_s"})


def joined(earlier: Quality, later: Quality, share: float) -> Quality:
    """One leg's figures of two media sessions, `share` (0-1) of its packets in the earlier."""
    values: dict[str, Any] = {
        name: _joined(name, getattr(earlier, name), getattr(later, name), share) for name in _NAMES
    }
    return Quality(**values)


def _joined(name: str, one: float | None, other: float | None, share: float) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    if name in _SUMS:
        return one + other
    if name in _MOST:
        return max(one, other)
    if name == "mos_min":
        return min(one, other)
    return round(one * share + other * (1 - share), 3)


class Sample(NamedTuple):
    """One interval of a leg. `loss` is a part (0-1)."""

    mos: float | None = None
    loss: float | None = None
    jitter_ms: float | None = None
    round_trip_ms: float | None = None


#: The columns of samples as whole numbers: how many of them make one of the unit.
SCALES: Final = Sample(mos=1000, loss=10_000, jitter_ms=10, round_trip_ms=10)

_NONE: Final = 0xFFFF

#: Samples as whole numbers, by column; -1 is None.
Columns: TypeAlias = tuple[list[int], ...]


class Samples:
    """A leg's samples, oldest first, in bounded memory: 6 KB at most."""

    __slots__ = ("_columns", "_half", "_per_sample")

    def __init__(self) -> None:
        self._columns = tuple([array("H") for _ in SCALES])
        #: Intervals in one sample: a power of two, and those of a sample that is not whole yet.
        self._per_sample = 1
        self._half: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self._columns[0])

    @property
    def every_s(self) -> float:
        """Seconds that a sample stands for."""
        return SAMPLE_S * self._per_sample

    def add(self, sample: Sample) -> None:
        """The next interval."""
        self._half.append(tuple([_whole(v, s) for v, s in zip(sample, SCALES, strict=True)]))
        if len(self._half) < self._per_sample:
            return
        for column, values in zip(self._columns, zip(*self._half, strict=True), strict=True):
            column.append(_mean(values))
        self._half.clear()
        if len(self) == MAX_SAMPLES:
            self._halve()

    def columns(self) -> Columns:
        """All of them, as whole numbers."""
        return tuple([[-1 if v == _NONE else v for v in column] for column in self._columns])

    def _halve(self) -> None:
        self._per_sample *= 2
        for column in self._columns:
            pairs = zip(column[::2], column[1::2], strict=True)
            column[:] = array("H", [_mean(pair) for pair in pairs])


def _whole(value: float | None, scale: float | None) -> int:
    if value is None or scale is None:
        return _NONE
    return min(max(round(value * scale), 0), _NONE - 1)


def _mean(values: Iterable[int]) -> int:
    known = [value for value in values if value != _NONE]
    return round(sum(known) / len(known)) if known else _NONE


@frozen(kw_only=True)
class Course:
    """A leg's quality over time: lists of equal length, a sample each `every_s` seconds from
    `began_ms` (since 1970) on."""

    began_ms: int
    every_s: float
    mos: list[float | None]
    loss_percent: list[float | None]
    jitter_ms: list[float | None]
    round_trip_ms: list[float | None]

    @classmethod
    def of(cls, columns: Columns, *, began_ms: int, every_s: float) -> Course:
        """Of whole numbers, as `Samples.columns` has them."""
        mos, loss, jitter, round_trip = columns
        return cls(
            began_ms=began_ms,
            every_s=every_s,
            mos=_read(mos, lambda value: value / 1000),
            loss_percent=_read(loss, lambda value: value / 100),
            jitter_ms=_read(jitter, lambda value: value / 10),
            round_trip_ms=_read(round_trip, lambda value: value / 10),
        )


def _read(column: list[int], unit: Callable[[int], float]) -> list[float | None]:
    return [None if value < 0 else unit(value) for value in column]
