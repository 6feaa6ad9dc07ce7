"""How Retell's own API does: /api/v1/retell, and the same for /metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import nan
from typing import Any, Final

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import Field

from gateway.http.app_keys import ROOMS
from gateway.http.rules.route import Route
from gateway.http.rules.shapes import Shape
from gateway.retell.breaker import Circuit
from gateway.retell.rooms import RetellRooms


class RetellConcurrency(Shape):
    """Calls at once in a workspace, as Retell said last."""

    current: int | None = Field(description="calls that there are; null before the first answer")
    limit: int | None = Field(description="calls that there may be")
    reserved: int | None = Field(description="of those, how many are for calls that come in")
    free: int | None = Field(description="how many more we would place; null: nothing says so")
    taken: int = Field(description="calls of ours that came to Retell since")
    age_s: float | None = Field(description="how old the answer is")
    error: str | None = Field(description="why there was none of late; null while there is one")


class RetellWorkspaceState(Shape):
    """Whether Retell can be asked for a workspace, and how many calls it has room for."""

    name: str
    usable: bool = Field(description="whether there is a key to ask with")
    circuit: Circuit = Field(
        description="closed: it is asked; open: it failed time after time, and is left alone;"
        " half-open: one request decides"
    )
    concurrency: RetellConcurrency


class RetellState(Shape):
    """Retell, by its workspaces."""

    workspaces: list[RetellWorkspaceState]


async def get_retell(request: web.Request) -> Mapping[str, Any]:
    """What is known; nothing is asked of Retell for it."""
    return {
        "workspaces": [
            {
                "name": name,
                "usable": room.retell.usable,
                "circuit": room.retell.circuit.value,
                "concurrency": asdict(room.view()),
            }
            for name, room in request.app[ROOMS].each()
        ]
    }


#: What /metrics shows of a room: the gauge, what it is, and the figure's name there.
_FIGURES: Final = (
    ("gateway_retell_calls", "Calls at once of a workspace at Retell", "current"),
    ("gateway_retell_calls_limit", "Calls at once that a workspace may have", "limit"),
    ("gateway_retell_calls_free", "Calls that would still be placed", "free"),
)


class RetellMetrics(Collector):
    """The same for /metrics; what is not known is NaN."""

    def __init__(self, rooms: RetellRooms) -> None:
        self._rooms = rooms

    def collect(self) -> Iterator[Metric]:
        """Look at each workspace."""
        views = {name: (room.retell, room.view()) for name, room in self._rooms.each()}
        up = GaugeMetricFamily(
            "gateway_retell_api_up",
            "0 while Retell's API is left alone, since it failed time after time",
            labels=["workspace"],
        )
        for workspace, (retell, _) in views.items():
            up.add_metric([workspace], float(retell.circuit is Circuit.CLOSED))
        yield up
        for name, words, key in _FIGURES:
            gauge = GaugeMetricFamily(name, words, labels=["workspace"])
            for workspace, (_, view) in views.items():
                found = getattr(view, key)
                gauge.add_metric([workspace], nan if found is None else float(found))
            yield gauge


ROUTES: Final = (
    Route(
        method="GET",
        path="/retell",
        handler=get_retell,
        summary="Whether Retell's API can be asked, and how many calls Retell has room for",
        role="read",
        answer=RetellState,
    ),
)
