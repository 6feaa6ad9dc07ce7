"""The aiohttp application: the jambonz application, webhooks, REST API and health, wired."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiohttp import web

from config.settings import Settings
from gateway.calls.ladders import Ladders, SipMessages
from gateway.calls.live_calls import LiveCalls
from gateway.calls.loop_lag import LoopLag
from gateway.calls.metrics import Metrics
from gateway.http import (
    calls_api,
    health,
    ladders_api,
    lifecycle_api,
    quality_api,
    recordings_api,
    retell_webhooks,
    trunks_api,
)
from gateway.http.app_keys import (
    CALLS,
    ENDPOINT,
    LADDERS,
    LIFECYCLE,
    METRICS,
    OPERATIONS,
    READY,
    RECORDINGS,
    RELOADING,
    RETELL,
    SAMPLES,
    SETTINGS,
    STORE,
    FindOperations,
    InForce,
    Ready,
)
from gateway.http.bodies import BODIES, Bodies
from gateway.http.clients import CLIENTS, Clients, fairness
from gateway.http.door import exempt_sockets, seated
from gateway.http.ports import Lifecycle, Reloading
from gateway.http.problems import ProblemError, problems
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.recordings.store import RecordingStore
from gateway.retell.client import RetellClient
from gateway.storage.call_records import open_store
from gateway.storage.ladders import open_ladders
from gateway.storage.retention import Keep
from gateway.storage.samples import open_samples
from gateway.storage.spool import spool_folder
from gateway.version import version

log = structlog.get_logger("gateway.jambonz")

#: Bytes of a body, where it is not one of Retell's (`gateway.http.bodies`).
MAX_BODY: Final = 64 << 10
JAMBONZ_PATH: Final = "/retell"
NOT_SERVED: Final = (
    "This gateway answers its own softswitch only. A jambonz may connect here where the"
    " configuration has application.serve: true, or an empty sip.listen"
)


def make_app(
    settings: Settings,
    *,
    ready: Ready | None = None,
    messages: SipMessages | None = None,
    find_operations: FindOperations = lambda: None,
    gauges: Mapping[str, Callable[[], float]] | None = None,
    counters: Mapping[str, Callable[[], float]] | None = None,
    lifecycle: Lifecycle | None = None,
    reloading: Reloading | None = None,
    recordings: RecordingStore | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The application for one configuration; it opens and closes its storage and clients itself.

    `ready` is awaited by /readyz and names further checks (`{"sip": True, "media": True}`);
    without it only the storage is checked. `messages` has the SIP messages of late, for
    /api/v1/calls/{call_id}/ladder; without it there are no ladders. `find_operations` gives what is
    behind /api/v1/trunks and /api/v1/bans, once it is there; `lifecycle` is behind /api/v1/drain
    and `reloading` behind /api/v1/reload. `gauges` and `counters` are read for /metrics and shown
    with `gateway_` before their names (`{"open_legs": …}`), a counter with `_total` behind it.
    `now` is wall-clock time in seconds since 1970, `clock` monotonic seconds.

    Run it so that records are complete: start it before the softswitch takes calls, stop it after
    the last call is over. Give AppRunner `access_log=None`: calls have their own lines.

        runner = web.AppRunner(make_app(settings, ready=ready, messages=shown), access_log=None)
        await runner.setup()                      # raises when the storage cannot be opened
        await web.TCPSite(runner, settings.http.listen.host, settings.http.listen.port).start()
        ...
        await runner.cleanup()                    # leaves sockets with 1001, stores all records

    Where `application.serve` says so, a jambonz connects to `ws://HOST:PORT/retell`, with Basic
    credentials when `application.username` is set. The softswitch of this process begins its
    conversations with `app[ENDPOINT]` directly. `len(app[CALLS])` counts calls in progress.
    """
    app = web.Application(
        middlewares=[seated, problems, fairness, calls_api.guard], client_max_size=MAX_BODY
    )
    app[SETTINGS] = InForce(settings)
    app[CLIENTS] = Clients(settings.http, time.monotonic)
    app[BODIES] = Bodies()
    app[METRICS] = metrics = Metrics(trunks=_names(settings), version=version())
    metrics.add(gauges or {})
    metrics.count(counters or {})
    app[OPERATIONS] = find_operations
    metrics.registry.register(trunks_api.TrunkMetrics(app))
    if lifecycle is not None:
        app[LIFECYCLE] = lifecycle
    if reloading is not None:
        app[RELOADING] = reloading
    if recordings is not None:
        app[RECORDINGS] = recordings
    if ready is not None:
        app[READY] = ready

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with (
            open_store(
                settings.storage.url.get_secret_value(),
                spool=settings.storage.spool,
                keep=Keep(settings.storage.keep_days, settings.storage.keep_calls),
            ) as store,
            AsyncExitStack() as stack,
            RetellClient(settings.retell, clock=time.monotonic) as retell,
        ):
            ladders = None
            if messages is not None:
                opened = await stack.enter_async_context(
                    open_ladders(
                        store.engine,
                        settings.ladders.stored,
                        spool_folder(
                            settings.storage.url.get_secret_value(), settings.storage.spool
                        ),
                    )
                )
                ladders = app[LADDERS] = Ladders(messages, opened)
                stack.callback(ladders.close)
            app[SAMPLES] = samples = await stack.enter_async_context(
                open_samples(
                    store.engine,
                    spool_folder(settings.storage.url.get_secret_value(), settings.storage.spool),
                )
            )
            calls = LiveCalls(
                settings,
                store,
                retell,
                metrics,
                now=now,
                clock=clock,
                ladders=ladders,
                samples=samples,
            )
            app[STORE] = store
            app[RETELL] = retell
            app[CALLS] = calls
            app[ENDPOINT] = endpoint = JambonzEndpoint(
                settings.application,
                calls,
                metrics.frame_refused,
                loopback_only=bool(settings.sip.listen),
            )
            metrics.add({"jambonz_sockets": lambda: float(len(endpoint))})
            stack.callback(LoopLag(metrics.loop_lag.observe).close)
            pinging = asyncio.create_task(endpoint.keep_awake(), name="jambonz pings")
            yield
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)
            await calls.close()

    app.cleanup_ctx.append(resources)
    app.on_shutdown.append(_leave_sockets)
    app.on_response_prepare.append(exempt_sockets)
    app.add_routes(
        [
            web.get(JAMBONZ_PATH, _jambonz),
            web.get(JAMBONZ_PATH + "{adulting:(/adulting)+}", _jambonz),
            web.post("/webhooks/retell/events", retell_webhooks.events),
            web.post("/webhooks/retell/inbound", retell_webhooks.inbound),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            web.get(f"{calls_api.PREFIX}/calls", calls_api.list_calls),
            web.get(f"{calls_api.PREFIX}/calls/{{call_id}}", calls_api.get_call),
            web.get(f"{calls_api.PREFIX}/calls/{{call_id}}/quality", quality_api.get_quality),
            web.get(f"{calls_api.PREFIX}/calls/{{call_id}}/ladder", ladders_api.get_ladder),
            web.get(f"{calls_api.PREFIX}/calls/{{call_id}}/ladder.pcap", ladders_api.get_pcap),
            web.get(f"{calls_api.PREFIX}/calls/{{call_id}}/ladder.txt", ladders_api.get_text),
            web.post(f"{calls_api.PREFIX}/calls/{{call_id}}/recording", recordings_api.command),
            web.get(f"{calls_api.PREFIX}/recordings", recordings_api.list_recordings),
            web.delete(f"{calls_api.PREFIX}/recordings", recordings_api.erase),
            web.get(f"{calls_api.PREFIX}/recordings/{{name}}", recordings_api.get_recording),
            web.delete(f"{calls_api.PREFIX}/recordings/{{name}}", recordings_api.delete_recording),
            web.get(f"{calls_api.PREFIX}/recordings/{{name}}/audio", recordings_api.get_audio),
            web.get(f"{calls_api.PREFIX}/trunks", trunks_api.list_trunks),
            web.get(f"{calls_api.PREFIX}/trunks/{{name}}", trunks_api.get_trunk),
            web.post(f"{calls_api.PREFIX}/trunks/{{name}}/register", trunks_api.register_trunk),
            web.get(f"{calls_api.PREFIX}/bans", trunks_api.list_bans),
            web.get(f"{calls_api.PREFIX}/refused", trunks_api.list_refused),
            web.get(f"{calls_api.PREFIX}/drain", lifecycle_api.show_drain),
            web.post(f"{calls_api.PREFIX}/drain", lifecycle_api.drain),
            web.post(f"{calls_api.PREFIX}/reload", lifecycle_api.reload),
            # an IPv6 ban is of a network, and has a slash
            web.delete(f"{calls_api.PREFIX}/bans/{{address:.+}}", trunks_api.lift_ban),
        ]
    )
    if settings.http.metrics.listen is None:
        app.router.add_get("/metrics", health.MetricsPage(app, settings.http.metrics).handle)
    return app


def make_metrics_app(app: web.Application) -> web.Application:
    """What `http.metrics.listen` serves of that application."""
    shown = web.Application(middlewares=[seated, problems, fairness], client_max_size=0)
    shown[CLIENTS] = app[CLIENTS]
    metrics = app[SETTINGS].settings.http.metrics
    shown.router.add_get("/metrics", health.MetricsPage(app, metrics).handle)
    return shown


def _names(settings: Settings) -> list[str]:
    return [trunk.name for trunk in settings.every_trunk()]


async def configure(app: web.Application, settings: Settings) -> None:
    """Go on with other settings; calls in progress keep the plans that they began with."""
    app[SETTINGS].settings = settings
    app[METRICS].know(_names(settings))
    app[CALLS].configure(settings)
    await app[RETELL].configure(settings.retell)


async def _jambonz(request: web.Request) -> web.StreamResponse:
    if not request.app[SETTINGS].settings.serves_jambonz:
        raise ProblemError(404, "not-served", NOT_SERVED)
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        # a page in somebody's browser, which would speak with that browser's address
        log.warning("jambonz.foreign-origin", origin=origin[:200], peer=request.remote)
        raise ProblemError(403, "foreign-origin", "no web page commands calls here")
    return await request.app[ENDPOINT].handle(request)


async def _leave_sockets(app: web.Application) -> None:
    await app[ENDPOINT].close()
