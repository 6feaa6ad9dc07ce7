"""What handlers find in the aiohttp application."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from config.settings import Settings
from gateway.calls.ladders import Ladders
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.calls.metrics import Metrics
from gateway.http.ports import Lifecycle, Operations, Reloading
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.recordings.store import RecordingStore
from gateway.retell.client import RetellClient
from gateway.storage.call_records import CallStore
from gateway.storage.samples import SampleStore

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
RELOADING: Final[web.AppKey[Reloading]] = web.AppKey("reloading")
STORE: Final = web.AppKey("store", CallStore)
CALLS: Final = web.AppKey("calls", LiveCalls)
METRICS: Final = web.AppKey("metrics", Metrics)
ENDPOINT: Final[web.AppKey[JambonzEndpoint[LiveCall]]] = web.AppKey("endpoint")
READY: Final[web.AppKey[Ready]] = web.AppKey("ready")
LADDERS: Final = web.AppKey("ladders", Ladders)
RECORDINGS: Final = web.AppKey("recordings", RecordingStore)
SAMPLES: Final = web.AppKey("samples", SampleStore)
LIFECYCLE: Final[web.AppKey[Lifecycle]] = web.AppKey("lifecycle")
OPERATIONS: Final[web.AppKey[FindOperations]] = web.AppKey("operations")
