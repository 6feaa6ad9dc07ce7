"""What handlers find in the aiohttp application."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from aiohttp import web

from config.settings import Settings
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.calls.metrics import Metrics
from gateway.http.ports import Operations
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.storage.call_records import CallStore

# Names of checks and whether each is passed: media relay alive, SIP listening, …
Ready: TypeAlias = Callable[[], Awaitable[dict[str, bool]]]
# The SIP messages of these Call-IDs in order of time.
Ladder: TypeAlias = Callable[[Iterable[str]], list[dict[str, Any]]]
# The softswitch's own, once it is up; None before, and where there is none.
FindOperations: TypeAlias = Callable[[], Operations | None]

SETTINGS: Final = web.AppKey("settings", Settings)
STORE: Final = web.AppKey("store", CallStore)
CALLS: Final = web.AppKey("calls", LiveCalls)
METRICS: Final = web.AppKey("metrics", Metrics)
ENDPOINT: Final[web.AppKey[JambonzEndpoint[LiveCall]]] = web.AppKey("endpoint")
READY: Final[web.AppKey[Ready]] = web.AppKey("ready")
LADDER: Final[web.AppKey[Ladder]] = web.AppKey("ladder")
OPERATIONS: Final[web.AppKey[FindOperations]] = web.AppKey("operations")
