"""How an operator stops the gateway, or gives it other settings: /api/v1/drain, …/reload."""

from typing import Any

from aiohttp import web

from gateway.http.app_keys import LIFECYCLE, RELOADING
from gateway.http.ports import Lifecycle, ReloadRefusedError
from gateway.http.problems import ProblemError

#: The longest that calls may be waited for, in seconds: a day.
LONGEST_S = 86_400


async def show_drain(request: web.Request) -> web.Response:
    """`GET /api/v1/drain`: whether the gateway is stopping, its calls, and their time."""
    return web.json_response(_lifecycle(request).view())


async def drain(request: web.Request) -> web.Response:
    """`POST /api/v1/drain`: take no new calls, and stop when those in progress are over.

    `{"within_s": SECONDS}` says how long they have; without it, `limits.drain_s`. Asked again, it
    only ever shortens the time.
    """
    lifecycle = _lifecycle(request)
    lifecycle.begin(_within_s(await _body(request)))
    return web.json_response(lifecycle.view(), status=202)


async def reload(request: web.Request) -> web.Response:
    """`POST /api/v1/reload`: read the configuration anew. 422 with the `problems` of a file that
    cannot be used; then all is as it was."""
    reloading = request.app.get(RELOADING)
    if reloading is None:
        raise ProblemError(404, "not-here", "this application was given its settings, not a file")
    try:
        return web.json_response(await reloading.reload())
    except ReloadRefusedError as refused:
        detail = "the configuration cannot be used; what was in force stays so"
        more = {"problems": refused.problems}
        raise ProblemError(422, "bad-configuration", detail, more=more) from None


async def _body(request: web.Request) -> Any:
    if not request.body_exists:
        return {}
    try:
        return await request.json()
    except ValueError:
        raise ProblemError(400, "bad-parameter", "the body is no JSON") from None


def _within_s(body: Any) -> float | None:
    within_s = body.get("within_s") if isinstance(body, dict) else body
    if within_s is None:
        return None
    if isinstance(within_s, bool) or not isinstance(within_s, int | float):
        raise ProblemError(400, "bad-parameter", "within_s must be a number of seconds")
    if not 0 <= within_s <= LONGEST_S:
        raise ProblemError(400, "bad-parameter", f"within_s must be from 0 to {LONGEST_S}")
    return float(within_s)


def _lifecycle(request: web.Request) -> Lifecycle:
    lifecycle = request.app.get(LIFECYCLE)
    if lifecycle is None:
        raise ProblemError(404, "not-here", "this application is stopped by the program around it")
    return lifecycle
