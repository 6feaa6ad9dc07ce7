"""What an operator sees of the SIP edge, and may do to it: /api/v1/trunks, /api/v1/bans and
/api/v1/refused.

The softswitch knows; the application only shows. Where it serves a jambonz elsewhere
(`sip.listen: []`) there are no trunks of ours, and it says so.
"""

from collections.abc import Iterator, Mapping

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.http.app_keys import OPERATIONS, SETTINGS
from gateway.http.ports import Json, Operations
from gateway.http.problems import ProblemError


async def list_trunks(request: web.Request) -> web.Response:
    """`GET /api/v1/trunks`."""
    return web.json_response({"trunks": _operations(request).trunks()})


async def get_trunk(request: web.Request) -> web.Response:
    """`GET /api/v1/trunks/{name}`."""
    return web.json_response(_trunk(request, _operations(request)))


async def register_trunk(request: web.Request) -> web.Response:
    """`POST /api/v1/trunks/{name}/register`: the trunk, once the registrar has answered."""
    operations = _operations(request)
    trunk = _trunk(request, operations)
    if await operations.register_now(trunk["name"]) is None:
        message = f"we do not register with trunk {trunk['name']}: register: true is not set"
        raise ProblemError(409, "does-not-register", message)
    return web.json_response(_trunk(request, operations))


async def list_bans(request: web.Request) -> web.Response:
    """`GET /api/v1/bans`."""
    return web.json_response({"bans": _operations(request).bans()})


async def lift_ban(request: web.Request) -> web.Response:
    """`DELETE /api/v1/bans/{address}`: 204, or 404 if that address is not banned."""
    address = request.match_info["address"]
    if not _operations(request).unban(address):
        raise ProblemError(404, "no-such-ban", f"{address} is not banned")
    return web.Response(status=204)


async def list_refused(request: web.Request) -> web.Response:
    """`GET /api/v1/refused`: calls refused at the door, which have no record."""
    return web.json_response({"refused": _operations(request).refused()})


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


def _operations(request: web.Request) -> Operations:
    operations = request.app[OPERATIONS]()
    if operations is not None:
        return operations
    if request.app[SETTINGS].settings.sip.listen:
        raise ProblemError(503, "starting", "the softswitch is not up yet; ask again in a moment")
    raise ProblemError(
        409,
        "no-softswitch",
        "this gateway has no softswitch of its own (sip.listen is empty): its trunks and bans are"
        " those of the jambonz that it serves",
    )


def _trunk(request: web.Request, operations: Operations) -> Json:
    name = request.match_info["name"]
    for trunk in operations.trunks():
        if trunk["name"] == name:
            return trunk
    raise ProblemError(404, "no-such-trunk", f"there is no trunk {name}")
