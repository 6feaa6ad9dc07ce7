"""A call to somebody whose leg another house carries for us: it counts and costs as ours do."""

from gateway.calls.call_counts import CallCounts
from gateway.calls.spend import Meter
from gateway.calls.spend_watch import SpendWatch


class PlacedElsewhere:
    """From when it was asked for until its end. Times are seconds since 1970."""

    def __init__(
        self, trunk: str, number: str, counts: CallCounts, watch: SpendWatch, meter: Meter
    ) -> None:
        """Counted already, and metered by `meter`."""
        self._trunk = trunk
        self._number = number
        self._counts = counts
        self._watch = watch
        self._meter = meter
        self._watch.note()

    @property
    def cost(self) -> float | None:
        """What it has cost, or has reserved, in the currency; None where there is no rate."""
        return self._meter.cost

    def answered(self, at: float) -> None:
        """It is billed from then on. To be told once more changes nothing."""
        if self._meter.answered is None:
            self._watch.spend.answered(self._meter, at)

    def end(self, at: float) -> None:
        """It is over. To be told once more changes nothing."""
        if not self._meter.over:
            self._counts.end(self._trunk, self._number)
            self._watch.spend.end(self._meter, at)
