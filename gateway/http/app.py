"""The aiohttp application: the jambonz application, webhooks, REST API and health, wired."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from gateway.callbacks.deliveries import Deliveries
from gateway.callbacks.outbox import Outbox
from gateway.callbacks.queue_events import QueueEvents
from gateway.calls.call_control import CallControl
from gateway.calls.ladders import Ladders, SipMessages
from gateway.calls.live_calls import LiveCalls
from gateway.calls.loop_lag import LoopLag
from gateway.calls.metrics import Metrics
from gateway.feed import Feed
from gateway.http import (
    api,
    health,
    retell_functions,
    retell_webhooks,
    twilio_placed,
    twilio_webhooks,
)
from gateway.http.app_keys import (
    AUDIT,
    BLOCKED,
    CALLBACKS,
    CALLS,
    CAMPAIGNS,
    CONTROL,
    DECISIONS,
    DELIVERIES,
    ENDPOINT,
    EVENT_STORE,
    EVENT_WORK,
    EVENTS,
    FEED,
    LADDERS,
    LIFECYCLE,
    METRICS,
    OPERATIONS,
    OUTBOX,
    QUEUE,
    READY,
    RECORDINGS,
    RELOADING,
    RETELL,
    ROOMS,
    SAMPLES,
    SETTINGS,
    SPEND,
    STORE,
    STREAMS,
    WISHES,
    WORKSPACES,
    FindOperations,
    InForce,
    Ready,
)
from gateway.http.bodies import BODIES, Bodies, plain_bodies
from gateway.http.clients import CLIENTS, Clients, fairness
from gateway.http.door import exempt_sockets, seated
from gateway.http.ports import Lifecycle, LiveCallControl, Reloading
from gateway.http.problems import ProblemError, problems
from gateway.http.retell_api import RetellMetrics
from gateway.http.rules.audit import STRANGERS, STRANGERS_S, audited
from gateway.http.rules.idempotency import ANSWERS, Answers
from gateway.http.rules.once import Once
from gateway.http.rules.rates import Rates
from gateway.http.rules.request_ids import identified, tell_request_id
from gateway.http.rules.tokens import TOKEN_RATES, TokenRates, guard
from gateway.http.rules.uploads import AT_A_TIME, UPLOADS
from gateway.http.trunk_changes import TrunkChanges
from gateway.http.trunk_metrics import TrunkMetrics
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.campaigns import Campaigns
from gateway.outbound.ports import EventSink
from gateway.recordings.store import RecordingStore
from gateway.retell.needed import callers_wait
from gateway.retell.rooms import RetellRooms
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.answers import open_answers
from gateway.storage.audit import open_audit
from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.call_records import CallStore, open_store
from gateway.storage.callbacks import CallbackStore
from gateway.storage.campaigns import CampaignStore
from gateway.storage.day_counts import open_day_counts
from gateway.storage.ladders import open_ladders
from gateway.storage.retell_events import RetellEventStore
from gateway.storage.retention import Keep
from gateway.storage.samples import open_samples
from gateway.storage.spend import open_spend
from gateway.storage.spool import spool_folder
from gateway.storage.wishes import WishStore
from gateway.twilio.placed_calls import PlacedCalls
from gateway.twilio.stream_door import MEDIA_PATH, StreamDoor, nobody
from gateway.twilio.voice_calls import VoiceCalls
from gateway.twilio.wishes import TRUNK
from gateway.version import version
from gateway.webhooks.deciders import Function
from gateway.webhooks.decisions import Decisions
from gateway.webhooks.event_work import EventWork
from gateway.webhooks.journal import Journal

log = structlog.get_logger("gateway.jambonz")

#: Bytes of a body, where it is not one of Retell's (`gateway.http.bodies`).
MAX_BODY: Final = 64 << 10
JAMBONZ_PATH: Final = "/retell"
#: Counters of media streams by their names in /metrics.
STREAM_COUNTS: Final = {
    "media_streams_taken": "taken",
    "media_streams_refused": "refused",
    "media_stream_interruptions": "interruptions",
    "media_stream_pieces_mended": "mended",
    "media_stream_pieces_missing": "missing",
    "media_stream_pieces_too_early": "early_dropped",
    "media_stream_pieces_left_out": "left_out",
    "media_stream_pieces_unread": "unread",
    "media_streams_behind": "behind",
}
NOT_SERVED: Final = (
    "This gateway answers its own softswitch only. A jambonz may connect here where the"
    " configuration has application.serve: true, or an empty sip.listen"
)

#: Opens the queue of calls that go out: given the application, whose calls and Retell's client are
#: there, the database, and where events go.
OpenQueue: TypeAlias = Callable[
    [web.Application, AsyncEngine, EventSink], AbstractAsyncContextManager[CallQueue]
]


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
    control: LiveCallControl | None = None,
    queue: OpenQueue | None = None,
    decide: Function | None = None,
    streams: StreamDoor | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The application for one configuration; it opens and closes its storage and clients itself.

    `ready` is awaited by /readyz and names further checks (`{"sip": True, "media": True}`);
    without it only the storage is checked. `messages` has the SIP messages of late, for
    /api/v1/calls/{call_id}/ladder; without it there are no ladders. `control` is behind what may be
    done to a call that is up; `queue` opens that of calls that go out, without it none do.
    `decide` is `retell.webhooks.decide_function`; `streams` lets in media streams.
    `find_operations` gives what is behind /api/v1/trunks and
    /api/v1/bans, once it is there; `lifecycle` is behind /api/v1/drain and `reloading` behind
    /api/v1/reload. `gauges` and `counters` are read for /metrics and shown with `gateway_` before
    their names (`{"open_legs": …}`), a counter with `_total` behind it. `now` is wall-clock
    time in seconds since 1970, `clock` monotonic seconds.

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
        middlewares=[seated, identified, audited, problems, fairness, plain_bodies, guard],
        client_max_size=MAX_BODY,
    )
    app[SETTINGS] = InForce(settings)
    app[CLIENTS] = Clients(settings.http, time.monotonic)
    app[BODIES] = Bodies()
    app[UPLOADS] = asyncio.Semaphore(AT_A_TIME)
    app[TOKEN_RATES] = TokenRates(time.monotonic)
    app[STRANGERS] = Rates(STRANGERS_S, time.monotonic)
    app[retell_functions.WISHES] = Once(
        retell_functions.AGAIN_S, retell_functions.MOST, time.monotonic
    )
    app[retell_webhooks.QUESTIONS] = Once(
        retell_webhooks.AGAIN_S, retell_webhooks.MOST, time.monotonic
    )
    app[METRICS] = metrics = Metrics(trunks=_names(settings), version=version())
    metrics.add(gauges or {})
    metrics.count(counters or {})
    app[STREAMS] = door = streams or StreamDoor()
    if door.is_signed is nobody:
        door.is_signed = twilio_webhooks.is_signed
    metrics.add({"media_streams": lambda: float(door.open)})
    metrics.count({name: partial(_counted, door, what) for name, what in STREAM_COUNTS.items()})
    app[OPERATIONS] = find_operations
    app[FEED] = feed = Feed(now)
    metrics.add({"event_readers": lambda: float(len(feed))})
    metrics.count(
        {
            "events_told": lambda: float(feed.told),
            "event_readers_dropped": lambda: float(feed.dropped),
        }
    )
    metrics.registry.register(TrunkMetrics(app))
    if lifecycle is not None:
        app[LIFECYCLE] = lifecycle
    if reloading is not None:
        app[RELOADING] = reloading
    if recordings is not None:
        app[RECORDINGS] = recordings
    if ready is not None:
        app[READY] = ready

    async def resources(app: web.Application) -> AsyncIterator[None]:
        url = settings.storage.url.get_secret_value()
        spool = spool_folder(url, settings.storage.spool)
        async with (
            open_store(
                url,
                spool=spool,
                keep=Keep(settings.storage.keep_days, settings.storage.keep_calls),
            ) as store,
            AsyncExitStack() as stack,
            RetellWorkspaces(
                settings.retell, clock=time.monotonic, count=metrics.retell_asked
            ) as workspaces,
        ):
            retell = workspaces.first
            if callers_wait(settings):
                await workspaces.read_sdk()
            ladders = None
            if messages is not None:
                opened = await stack.enter_async_context(
                    open_ladders(store.engine, settings.ladders.stored, spool)
                )
                ladders = app[LADDERS] = Ladders(messages, opened)
                stack.callback(ladders.close)
            app[SAMPLES] = samples = await stack.enter_async_context(
                open_samples(store.engine, spool)
            )
            app[AUDIT] = await stack.enter_async_context(open_audit(store.engine, spool, now))
            answers = await stack.enter_async_context(open_answers(store.engine, spool, now))
            app[ANSWERS] = Answers(answers, time.monotonic)
            app[SPEND] = spent = await stack.enter_async_context(open_spend(store.engine, spool))
            app[BLOCKED] = blocked = BlockedCallers(store.engine, now)
            await blocked.load()
            app[WISHES] = WishStore(store.engine, now)
            outbox = await _open_outbox(app, store.engine, spool, now, stack)
            app[ROOMS] = rooms = RetellRooms(settings.retell, workspaces, clock=time.monotonic)
            stack.push_async_callback(rooms.close)
            metrics.registry.register(RetellMetrics(rooms))
            calls = LiveCalls(
                settings,
                store,
                workspaces,
                metrics,
                now=now,
                clock=clock,
                ladders=ladders,
                samples=samples,
                day_counts=await stack.enter_async_context(open_day_counts(store.engine, spool)),
                spend=spent,
                blocked=blocked,
                alarms=outbox,
                feed=feed,
                room_for=rooms.for_number,
            )
            app[STORE] = store
            app[RETELL], app[WORKSPACES] = retell, workspaces
            app[CALLS] = calls
            app[twilio_webhooks.VOICE_CALLS] = VoiceCalls(
                calls,
                store,
                workspaces,
                metrics,
                now=now,
                streams=door.tokens,
            )
            stack.push_async_callback(app[twilio_webhooks.VOICE_CALLS].close)
            app[twilio_placed.PLACED_CALLS] = PlacedCalls(
                calls,
                store,
                workspaces,
                metrics,
                streams=door.tokens,
                settings=lambda: app[SETTINGS].settings,
            )
            stack.push_async_callback(app[twilio_placed.PLACED_CALLS].close)
            app[CONTROL] = CallControl(calls, settings) if control is None else control
            app[ENDPOINT] = endpoint = JambonzEndpoint(
                settings.application,
                calls,
                metrics.frame_refused,
                loopback_only=bool(settings.sip.listen),
            )
            decisions = Decisions(settings, decide, now=now, clock=time.monotonic)
            app[DECISIONS] = await stack.enter_async_context(decisions)
            await _open_events(app, store, outbox, now, stack)
            metrics.add({"jambonz_sockets": lambda: float(len(endpoint))})
            if queue is not None:
                opened_queue = queue(app, store.engine, QueueEvents(outbox))
                app[QUEUE] = await stack.enter_async_context(opened_queue)
                app[CAMPAIGNS] = Campaigns(app[QUEUE], CampaignStore(store.engine), now)
            looking = asyncio.create_task(
                TrunkChanges(find_operations, feed).watch(), name="trunks"
            )
            stack.callback(LoopLag(metrics.loop_lag.observe).close)
            pinging = asyncio.create_task(endpoint.keep_awake(), name="jambonz pings")
            yield
            pinging.cancel()
            looking.cancel()
            await asyncio.gather(pinging, looking, return_exceptions=True)
            await calls.close()

    app.cleanup_ctx.append(resources)
    app.on_shutdown.append(_leave_sockets)
    app.on_response_prepare.append(exempt_sockets)
    app.on_response_prepare.append(tell_request_id)
    app.add_routes(
        [
            web.get(JAMBONZ_PATH, _jambonz),
            web.get(JAMBONZ_PATH + "{adulting:(/adulting)+}", _jambonz),
            web.post("/webhooks/retell/events", retell_webhooks.events),
            web.post("/webhooks/retell/inbound", retell_webhooks.inbound),
            web.post("/webhooks/retell/function/transfer", retell_functions.transfer),
            *twilio_webhooks.routes(),
            *twilio_placed.routes(),
            web.get(MEDIA_PATH, door.handle),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            *api.routes(),
        ]
    )
    if settings.http.metrics.listen is None:
        app.router.add_get("/metrics", health.MetricsPage(app, settings.http.metrics).handle)
    return app


async def _open_outbox(
    app: web.Application,
    engine: AsyncEngine,
    spool: Path,
    now: Callable[[], float],
    stack: AsyncExitStack,
) -> Outbox:
    """Where events are put, and who delivers them."""
    settings = app[SETTINGS].settings.outbound.callbacks
    app[CALLBACKS] = store = CallbackStore(engine)
    app[DELIVERIES] = deliveries = Deliveries(store, settings, now)
    app[OUTBOX] = outbox = Outbox(engine, spool, settings, now, deliveries.wake, app[FEED])
    await stack.enter_async_context(outbox.writer.running())
    await stack.enter_async_context(deliveries.running())
    app[METRICS].add(
        {
            "callbacks_waiting": lambda: float(deliveries.waiting),
            "callbacks_dead": lambda: float(deliveries.dead),
        }
    )
    app[METRICS].count(
        {
            "callbacks_delivered": lambda: float(deliveries.heard),
            "callback_tries_failed": lambda: float(deliveries.failed),
            "callbacks_given_up": lambda: float(deliveries.given_up),
        }
    )
    return outbox


async def _open_events(
    app: web.Application,
    store: CallStore,
    outbox: Outbox,
    now: Callable[[], float],
    stack: AsyncExitStack,
) -> None:
    """Where Retell's events are kept, and who acts on them."""
    app[EVENT_STORE] = events = RetellEventStore(store.engine)
    app[EVENT_WORK] = work = EventWork(
        events,
        store,
        app[CALLS],
        outbox,
        lambda: app[SETTINGS].settings,
        now,
        partial(retell_webhooks.count_event, app[METRICS]),
        app[FEED].tell,
    )
    await stack.enter_async_context(work.running())
    app[EVENTS] = journal = Journal(events, now, work.wake)
    stack.push_async_callback(journal.close)
    app[METRICS].add(
        {
            "retell_events_waiting": lambda: float(work.waiting),
            "retell_events_broken": lambda: float(work.broken),
        }
    )


def make_metrics_app(app: web.Application) -> web.Application:
    """What `http.metrics.listen` serves of that application."""
    shown = web.Application(middlewares=[seated, problems, fairness], client_max_size=0)
    shown[CLIENTS] = app[CLIENTS]
    metrics = app[SETTINGS].settings.http.metrics
    shown.router.add_get("/metrics", health.MetricsPage(app, metrics).handle)
    return shown


def _counted(door: StreamDoor, what: str) -> float:
    return float(door.counts[what])


def _names(settings: Settings) -> list[str]:
    trunks = [trunk.name for trunk in settings.every_trunk()]
    return trunks if settings.twilio is None else [*trunks, TRUNK]


async def configure(
    app: web.Application, settings: Settings, decide: Function | None = None
) -> None:
    """Go on with other settings; calls in progress keep the plans that they began with. `decide` is
    `retell.webhooks.decide_function`."""
    app[SETTINGS].settings = settings
    app[METRICS].know(_names(settings))
    app[CALLS].configure(settings)
    await app[WORKSPACES].configure(settings.retell)
    if callers_wait(settings):
        await app[WORKSPACES].read_sdk()
    app[DECISIONS].configure(settings, decide)
    app[OUTBOX].configure(settings.outbound.callbacks)
    app[DELIVERIES].configure(settings.outbound.callbacks)
    if QUEUE in app:
        app[QUEUE].configure(settings)
    app[ROOMS].configure(settings.retell)


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
    app[FEED].close()
    await app[ENDPOINT].close()
