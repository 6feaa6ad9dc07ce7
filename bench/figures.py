"""Small statistics, written out so that a reader knows which definition is meant."""

from collections.abc import Sequence
from statistics import median

__all__ = ["median", "percentile"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[rank - 1]
