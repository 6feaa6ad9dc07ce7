"""A leg's quality in a reply, ours or rtpengine's, as `Quality` and its course.

rtpengine grades what it relays only where it reads RTCP: where it encrypts, transcodes or reports
itself. What it has stands under `SSRC`: MOS in tenths, jitter in ms, loss in percent, round trips
in microseconds (its docs/ng_control_protocol.md). The rest it does not measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sip.media.ng.bencode import Decoded
from sip.media.quality import MAX_SAMPLES, SCALES, UNMEASURED, Course, Quality

_Dict = Mapping[str, Decoded]

#: Names of our relay's that are whole numbers of a part of a unit: the field, and how many.
_SCALED: Final = (
    ("jitter average us", "jitter_avg_ms", 1000),
    ("jitter maximum us", "jitter_max_ms", 1000),
    ("round-trip time us", "round_trip_ms", 1000),
    ("round-trip time maximum us", "round_trip_max_ms", 1000),
    ("average MOS", "mos_avg", 1000),
    ("lowest MOS", "mos_min", 1000),
    ("clock drift ppb", "clock_drift_ppm", 1000),
    ("heard loss ppm", "heard_loss_percent", 10_000),
    ("heard jitter us", "heard_jitter_ms", 1000),
    ("heard MOS", "heard_mos", 1000),
    ("clipped ppm", "clipped_percent", 10_000),
    ("quiet ppm", "quiet_percent", 10_000),
)


def quality_of(stats: Mapping[str, int], graded: _Dict) -> Quality:
    """Of the `numbers_of` a stream, and what rtpengine says of its source: what is not missing."""
    if "expected" not in stats:
        return _of_rtpengine(graded)
    counted = stats.get
    scaled = {
        field: round(stats[name] / scale, 3) for name, field, scale in _SCALED if name in stats
    }
    return Quality(
        loss_percent=_percent(counted("lost", 0), counted("expected", 0)),
        reordered=counted("reordered", 0),
        late=counted("late", 0),
        duplicates=counted("duplicates", 0),
        bursts=counted("bursts", 0),
        burst_loss_percent=_percent(counted("burst lost", 0), counted("burst packets", 0)),
        one_way_s=counted("one-way ms", 0) / 1000,
        **scaled,
    )


def course_of(stats: _Dict, graded: _Dict, epoch: float) -> Course | None:
    """The samples of a stream; None where there are none. `epoch` is seconds since 1970 now."""
    if "samples" not in stats and not graded:
        return None
    samples = _dict(stats.get("samples"))
    columns = [_column(column) for column in _list(samples.get("columns"))]
    interval_ms = _int(samples, "interval ms")
    if len(columns) != len(SCALES) or not columns[0] or interval_ms <= 0:
        return _progress_of_rtpengine(_dict(graded.get("MOS progression")))
    length = min(map(len, columns))
    return Course.of(
        tuple([column[:length] for column in columns]),
        began_ms=round(epoch * 1000) - _int(samples, "age ms"),
        every_s=interval_ms / 1000,
    )


def numbers_of(stats: _Dict) -> dict[str, int]:
    """What is a number in a stream's `stats`."""
    return {name: value for name, value in stats.items() if isinstance(value, int)}


def _of_rtpengine(graded: _Dict) -> Quality:
    average, lowest = _dict(graded.get("average MOS")), _dict(graded.get("lowest MOS"))
    if not average:
        return UNMEASURED
    return Quality(
        loss_percent=float(_int(average, "packet loss")),
        jitter_avg_ms=float(_int(average, "jitter")),
        round_trip_ms=_int(average, "round-trip time") / 1000,
        mos_avg=_int(average, "MOS") / 10,
        mos_min=_int(lowest, "MOS") / 10 if lowest else None,
    )


def _progress_of_rtpengine(progress: _Dict) -> Course | None:
    entries = [_dict(entry) for entry in _list(progress.get("entries"))][-MAX_SAMPLES:]
    if not entries:
        return None
    return Course(
        began_ms=1000 * _int(entries[0], "reported at"),
        every_s=float(max(_int(progress, "interval"), 1)),
        mos=[_int(entry, "MOS") / 10 for entry in entries],
        loss_percent=[float(_int(entry, "packet loss")) for entry in entries],
        jitter_ms=[float(_int(entry, "jitter")) for entry in entries],
        round_trip_ms=[_int(entry, "round-trip time") / 1000 for entry in entries],
    )


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole > 0 else None


def _column(value: Decoded) -> list[int]:
    return [each if isinstance(each, int) else -1 for each in _list(value)[:MAX_SAMPLES]]


def _dict(value: Decoded | None) -> _Dict:
    return value if isinstance(value, dict) else {}


def _list(value: Decoded | None) -> list[Decoded]:
    return value if isinstance(value, list) else []


def _int(entry: _Dict, key: str) -> int:
    value = entry.get(key, 0)
    return value if isinstance(value, int) else 0
