"""What /metrics shows of the SIP edge: trunks, bans, refused calls, certificates."""

from collections.abc import Iterator, Mapping

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.http.app_keys import OPERATIONS


class TrunkMetrics(Collector):
    """Reads the softswitch when /metrics is asked for. Labels are trunk names."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        operations = self._app[OPERATIONS]()
        if operations is None:
            return
        trunks = operations.trunks()
        label = ["trunk"]
        up = GaugeMetricFamily(
            "gateway_trunk_up", "Whether calls can be placed through the trunk", labels=label
        )
        gateways = GaugeMetricFamily(
            "gateway_trunk_gateways", "Gateways by state", labels=["trunk", "state"]
        )
        calls = GaugeMetricFamily("gateway_trunk_calls", "Calls now", labels=label)
        registered = GaugeMetricFamily(
            "gateway_trunk_registered", "Whether our registration holds", labels=label
        )
        bindings = GaugeMetricFamily(
            "gateway_trunk_bindings", "Contacts registered with us", labels=label
        )
        for trunk in trunks:
            name = [trunk["name"]]
            if trunk["up"] is not None:
                up.add_metric(name, float(trunk["up"]))
            calls.add_metric(name, trunk["calls"]["now"])
            states = [gateway["state"] for gateway in trunk["gateways"]]
            for state in sorted(set(states)):
                gateways.add_metric([*name, state], states.count(state))
            if trunk["registration"] is not None:
                holds = trunk["registration"]["expires_in_s"] is not None
                registered.add_metric(name, float(holds))
            if trunk["bindings"] is not None:
                bindings.add_metric(name, len(trunk["bindings"]))
        yield from (up, gateways, calls, registered, bindings)
        yield GaugeMetricFamily("gateway_bans", "Bans now", value=len(operations.bans()))
        yield CounterMetricFamily(
            "gateway_bans_total", "Bans since the start", value=operations.bans_total
        )
        yield _by_reason(
            "refused_calls",
            "Calls refused before the application heard of them",
            operations.refused_total,
        )
        for kind, counts in operations.turned_away.items():
            yield _by_reason(kind, f"{kind.replace('_', ' ').capitalize()} since the start", counts)
        ends = GaugeMetricFamily(
            "gateway_certificate_expiry_timestamp_seconds",
            "When the certificate of a listener ends, in seconds since 1970",
            labels=["listener"],
        )
        for listener, at in operations.certificate_ends.items():
            ends.add_metric([listener], at)
        yield ends


def _by_reason(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"gateway_{name}", text, labels=["reason"])
    for reason, count in sorted(counts.items()):
        family.add_metric([reason], count)
    return family
