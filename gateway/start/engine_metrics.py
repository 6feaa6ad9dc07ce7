"""What /metrics shows of each media engine. Labels are the engines of the configuration."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sip.media.pool.member import Health
from sip.media.pool.pool import EnginePool


class EngineMetrics(Collector):
    """Reads the pool when /metrics is asked for."""

    def __init__(self, pool: Callable[[], EnginePool | None]) -> None:
        """`pool` is None until the engines run."""
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """Each engine, those that retire too."""
        pool = self._pool()
        if pool is None:
            return
        label = ["engine"]
        up = GaugeMetricFamily(
            "gateway_media_engine_up", "Whether the engine answers", labels=label
        )
        calls = GaugeMetricFamily(
            "gateway_media_engine_calls", "Media sessions in the engine now", labels=label
        )
        for state in pool.roster.states:
            up.add_metric([state.name], float(state.health is Health.UP))
            calls.add_metric([state.name], float(state.calls))
        lost = CounterMetricFamily(
            "gateway_media_calls_lost", "Media sessions whose engine was gone", labels=label
        )
        moved = CounterMetricFamily(
            "gateway_media_calls_moved",
            "Of those, the ones that another engine took over",
            labels=label,
        )
        for family, counts in ((lost, pool.calls_lost), (moved, pool.calls_moved)):
            for engine, count in counts.items():
                family.add_metric([engine], float(count))
        yield from (up, calls, lost, moved)
