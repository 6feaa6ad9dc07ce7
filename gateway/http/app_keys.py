"""What handlers find in the aiohttp application."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from config.settings import Settings
from gateway.callbacks.deliveries import Deliveries
from gateway.callbacks.outbox import Outbox
from gateway.calls.ladders import Ladders
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.calls.metrics import Metrics
from gateway.feed import Feed
from gateway.http.ports import Lifecycle, LiveCallControl, Operations, Reloading
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.campaigns import Campaigns
from gateway.recordings.store import RecordingStore
from gateway.retell.client import RetellClient
from gateway.retell.rooms import RetellRooms
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.audit import AuditStore
from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.call_records import CallStore
from gateway.storage.callbacks import CallbackStore
from gateway.storage.retell_events import RetellEventStore
from gateway.storage.samples import SampleStore
from gateway.storage.spend import SpendStore
from gateway.storage.wishes import WishStore
from gateway.twilio.stream_door import StreamDoor
from gateway.webhooks.decisions import Decisions
from gateway.webhooks.event_work import EventWork
from gateway.webhooks.journal import Journal

# Names of checks and whether each is passed: media relay alive, SIP listening, …
Ready: TypeAlias = Callable[[], Awaitable[dict[str, bool]]]
# The softswitch's own, once it is up; None before, and where there is none.
FindOperations: TypeAlias = Callable[[], Operations | None]


@dataclass(slots=True)
class InForce:
    """The configuration that holds now; a reload puts another in its place."""

    settings: Settings


SETTINGS: Final = web.AppKey("settings", InForce)
RETELL: Final = web.AppKey("retell", RetellClient)
WORKSPACES: Final = web.AppKey("workspaces", RetellWorkspaces)
ROOMS: Final = web.AppKey("rooms", RetellRooms)
RELOADING: Final[web.AppKey[Reloading]] = web.AppKey("reloading")
STORE: Final = web.AppKey("store", CallStore)
#: events of Retell's: where they are put, kept, and acted on
EVENTS: Final = web.AppKey("events", Journal)
EVENT_STORE: Final = web.AppKey("event_store", RetellEventStore)
DECISIONS: Final = web.AppKey("decisions", Decisions)
EVENT_WORK: Final = web.AppKey("event_work", EventWork)
CALLS: Final = web.AppKey("calls", LiveCalls)
METRICS: Final = web.AppKey("metrics", Metrics)
ENDPOINT: Final[web.AppKey[JambonzEndpoint[LiveCall]]] = web.AppKey("endpoint")
READY: Final[web.AppKey[Ready]] = web.AppKey("ready")
LADDERS: Final = web.AppKey("ladders", Ladders)
RECORDINGS: Final = web.AppKey("recordings", RecordingStore)
SAMPLES: Final = web.AppKey("samples", SampleStore)
SPEND: Final = web.AppKey("spend", SpendStore)
BLOCKED: Final = web.AppKey("blocked", BlockedCallers)
AUDIT: Final = web.AppKey("audit", AuditStore)
CONTROL: Final[web.AppKey[LiveCallControl]] = web.AppKey("control")
LIFECYCLE: Final[web.AppKey[Lifecycle]] = web.AppKey("lifecycle")
#: the queue of calls that go out, where this gateway can place any, and its campaigns
QUEUE: Final = web.AppKey("queue", CallQueue)
CAMPAIGNS: Final = web.AppKey("campaigns", Campaigns)
FEED: Final = web.AppKey("feed", Feed)
OUTBOX: Final = web.AppKey("outbox", Outbox)
CALLBACKS: Final = web.AppKey("callbacks", CallbackStore)
DELIVERIES: Final = web.AppKey("deliveries", Deliveries)
WISHES: Final = web.AppKey("wishes", WishStore)
STREAMS: Final = web.AppKey("streams", StreamDoor)
OPERATIONS: Final[web.AppKey[FindOperations]] = web.AppKey("operations")
