"""What /metrics shows of the queue."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_WAITED_S: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class QueueMetrics:
    """Labels are bounded: results and slugs, never numbers or campaigns."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge("gateway_queue_waiting", "Queued calls that wait", registry=registry)
        self._calling = Gauge("gateway_queue_calling", "Tries under way", registry=registry)
        self._tries = Counter(
            "gateway_queue_tries_total", "Tries that are over", ["result"], registry=registry
        )
        self._over = Counter(
            "gateway_queue_calls_over_total",
            "Queued calls that are over",
            ["state", "result"],
            registry=registry,
        )
        self._waited = Histogram(
            "gateway_queue_waited_seconds",
            "From when a call was due until its try began",
            buckets=_WAITED_S,
            registry=registry,
        )
        self._held = Counter(
            "gateway_queue_held_seconds_total",
            "Seconds in which calls were due and none could begin, by what held them",
            ["reason"],
            registry=registry,
        )
        self._stalled = Counter(
            "gateway_queue_storage_errors_total",
            "Times that the database refused what the queue had to store",
            registry=registry,
        )

    def follow(self, waiting: Callable[[], float], calling: Callable[[], float]) -> None:
        """Show these numbers of calls."""
        self._waiting.set_function(waiting)
        self._calling.set_function(calling)

    def began(self, waited_s: float) -> None:
        """A try began, that long after it was due."""
        self._waited.observe(max(0.0, waited_s))

    def tried(self, result: str) -> None:
        """A try is over."""
        self._tries.labels(result).inc()

    def over(self, state: str, result: str) -> None:
        """A queued call is over."""
        self._over.labels(state, result).inc()

    def held(self, reason: str, seconds: float) -> None:
        """Calls that were due had to wait for that reason."""
        self._held.labels(reason).inc(max(0.0, seconds))

    def refused(self) -> None:
        """The database did not store something."""
        self._stalled.inc()
