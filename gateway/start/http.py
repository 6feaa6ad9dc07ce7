"""Starts the HTTP server, and the application within it."""

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from config.settings import Settings
from config.values import Address
from gateway import log
from gateway.calls.live_call import LiveCall
from gateway.http.app import configure, make_app, make_metrics_app
from gateway.http.app_keys import CALLS, ENDPOINT, METRICS, QUEUE
from gateway.http.clients import CLIENTS
from gateway.http.door import Door, Site
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.start.descriptors import raise_limit
from gateway.start.engine_metrics import EngineMetrics
from gateway.start.errors import StartupError, cannot_listen
from gateway.start.outbound import Outbound
from gateway.start.recording import Recordings
from gateway.start.reload import Reloader
from gateway.start.shown import Shown
from gateway.start.tls import http_context
from gateway.storage.errors import StorageError
from gateway.twilio.stream_door import StreamDoor
from gateway.webhooks.deciders import Function, NoFunctionError, function_of

#: Of the descriptors that there may be, HTTP connections take one in so many at most.
HTTP_PART = 4
#: Seconds that requests under way may take when the gateway ends.
SHUTDOWN_S = 2.0


async def start_http(
    settings: Settings,
    shown: Shown,
    stack: AsyncExitStack,
    reloader: Reloader,
    recordings: Recordings | None = None,
    outbound: Outbound | None = None,
    streams: StreamDoor | None = None,
) -> JambonzEndpoint[LiveCall]:
    """The application's end of conversations with a softswitch. Raises StartupError."""
    app = make_app(
        settings,
        ready=shown.ready,
        messages=shown if settings.sip.listen else None,
        find_operations=lambda: shown.report,
        gauges=shown.gauges(),
        counters={"log_lines_dropped": log.dropped},
        lifecycle=shown.drain,
        reloading=reloader,
        recordings=None if recordings is None else recordings.store,
        queue=None if outbound is None else outbound.open,
        decide=_decide(settings),
        streams=streams,
    )
    if recordings is not None:
        app[METRICS].registry.register(recordings)
    tls = http_context(settings.http)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    try:
        await runner.setup()
    except StorageError as error:
        await runner.cleanup()
        raise StartupError(f"storage.url: {error}") from None
    stack.push_async_callback(runner.cleanup)
    if QUEUE in app:
        shown.drain.add(app[QUEUE])
    shown.drain.add(app[CALLS])
    reloader.add(lambda settings: partial(configure, app, settings, _decide(settings)))
    door = await stack.enter_async_context(
        Door(settings.http, app[CLIENTS], raise_limit() // HTTP_PART)
    )
    app[METRICS].registry.register(EngineMetrics(lambda: shown.media))
    app[METRICS].add({"http_connections": lambda: float(len(door))})
    app[METRICS].count(
        {
            "http_connections_refused": door.refused.total,
            "http_requests_refused": app[CLIENTS].refused.total,
        }
    )
    await _listen(runner, door, "http.listen", settings.http.listen, tls)
    if settings.http.metrics.listen is not None:
        shown_runner = web.AppRunner(make_metrics_app(app), access_log=None)
        await shown_runner.setup()
        stack.push_async_callback(shown_runner.cleanup)
        await _listen(shown_runner, door, "http.metrics.listen", settings.http.metrics.listen, tls)
    return app[ENDPOINT]


def _decide(settings: Settings) -> Function | None:
    """The operator's function. Raises StartupError."""
    try:
        return function_of(settings.retell.webhooks)
    except NoFunctionError as error:
        raise StartupError(f"retell.webhooks.decide_function: {error}") from None


async def _listen(
    runner: web.AppRunner,
    door: Door,
    key: str,
    listen: Address,
    tls: Callable[[], ssl.SSLContext] | None,
) -> None:
    try:
        await Site(runner, door, listen.host, listen.port, tls).start()
    except OSError as error:
        address = f"{listen.host}:{listen.port}"
        raise StartupError(f"{key}: {cannot_listen(address, error)}") from None
