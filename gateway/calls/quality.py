"""What the softswitch's media counters say of a call's legs, taken apart: figures and samples."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

#: The legs of a call as its record names them: the caller's, and the last one that was dialled.
LEGS: Final = ("a", "b")

#: What the counters have of each leg beside the figures: lists, too long for a record.
_SAMPLES: Final = "samples"

#: Units of a metric in one of the counters'.
_PERCENT: Final = 0.01
_MS: Final = 0.001


class Media(NamedTuple):
    """The counters of a call for its record, and its samples by leg."""

    figures: Mapping[str, Any] | None
    samples: Mapping[str, Any]


def media_of(counters: Mapping[str, Any] | None) -> Media:
    """`counters` are by leg, as the softswitch sent them: anything may be in them."""
    if counters is None:
        return Media(None, {})
    figures, samples = dict(counters), {}
    for leg in LEGS:
        counted = figures.get(leg)
        if not isinstance(counted, dict) or _SAMPLES not in counted:
            continue
        found = counted[_SAMPLES]
        figures[leg] = {name: value for name, value in counted.items() if name != _SAMPLES}
        if isinstance(found, dict):
            samples[leg] = found
    return Media(figures, samples)


class LegQuality(NamedTuple):
    """What is observed of a leg for /metrics; None is unknown. Loss is a part (0-1)."""

    mos: float | None
    loss: float | None
    jitter_s: float | None
    round_trip_s: float | None


def qualities_of(figures: Mapping[str, Any] | None) -> Iterator[tuple[str, LegQuality]]:
    """Each leg that was measured."""
    for leg in LEGS:
        counted = (figures or {}).get(leg)
        quality = counted.get("quality") if isinstance(counted, dict) else None
        if isinstance(quality, dict):
            yield (
                leg,
                LegQuality(
                    mos=_number(quality, "mos_avg"),
                    loss=_number(quality, "loss_percent", _PERCENT),
                    jitter_s=_number(quality, "jitter_avg_ms", _MS),
                    round_trip_s=_number(quality, "round_trip_ms", _MS),
                ),
            )


def _number(quality: Mapping[str, Any], name: str, unit: float = 1.0) -> float | None:
    value = quality.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value * unit
