"""How an operator stops the gateway, or gives it other settings: /api/v1/drain, …/reload."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import LIFECYCLE, RELOADING
from gateway.http.ports import Lifecycle, ReloadRefusedError
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, sent
from gateway.http.rules.shapes import Shape

#: The longest that calls may be waited for, in seconds: a day.
LONGEST_S: Final = 86_400


class DrainWish(Shape):
    """How the gateway shall stop."""

    within_s: float | None = Field(
        None,
        strict=True,
        ge=0,
        le=LONGEST_S,
        description=f"the seconds that calls have, from 0 to {LONGEST_S}; null: limits.drain_s",
    )


class DrainState(Shape):
    """How far it is."""

    draining: bool = Field(description="whether it takes no new calls any more")
    calls: int = Field(description="those in progress")
    ends_in_s: float | None = Field(description="the seconds that they have")


class Reloaded(Shape):
    """What a reload changed."""

    changed: list[str] = Field(description="keys whose new value is in force")
    restart: list[str] = Field(description="keys whose new value waits for a restart")


async def show_drain(request: web.Request) -> Mapping[str, Any]:
    """Whether the gateway is stopping, its calls, and their time."""
    return _lifecycle(request).view()


async def drain(request: web.Request) -> Mapping[str, Any]:
    """Take no new calls, and stop when those in progress are over. Asked again, it only ever
    shortens the time."""
    lifecycle = _lifecycle(request)
    lifecycle.begin(sent(request, DrainWish).within_s)
    return lifecycle.view()


async def reload(request: web.Request) -> Mapping[str, Any]:
    """Read the configuration anew. 422 with the `problems` of a file that cannot be used; then all
    is as it was."""
    reloading = request.app.get(RELOADING)
    if reloading is None:
        raise ProblemError(404, "not-here", "this application was given its settings, not a file")
    try:
        return await reloading.reload()
    except ReloadRefusedError as refused:
        detail = "the configuration cannot be used; what was in force stays so"
        more = {"problems": refused.problems}
        raise ProblemError(422, "bad-configuration", detail, more=more) from None


def _lifecycle(request: web.Request) -> Lifecycle:
    lifecycle = request.app.get(LIFECYCLE)
    if lifecycle is None:
        raise ProblemError(404, "not-here", "this application is stopped by the program around it")
    return lifecycle


ROUTES: Final = (
    Route(
        method="GET",
        path="/drain",
        handler=show_drain,
        summary="Whether the gateway is stopping",
        role="read",
        answer=DrainState,
        refusals={404: "not-here"},
    ),
    Route(
        method="POST",
        path="/drain",
        handler=drain,
        summary="Stop when the calls in progress are over",
        role="admin",
        body=DrainWish,
        answer=DrainState,
        status=202,
        refusals={404: "not-here"},
    ),
    Route(
        method="POST",
        path="/reload",
        handler=reload,
        summary="Read the configuration anew",
        role="admin",
        answer=Reloaded,
        refusals={404: "not-here", 422: "bad-configuration"},
    ),
)
