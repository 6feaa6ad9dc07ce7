"""Puts the sandbox together, runs it, takes it down."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web

from sip.clock import LoopClock
from sip.transport.endpoint import Endpoint
from testkit.sandbox import control, rest
from testkit.sandbox.calls import Calls
from testkit.sandbox.errors import ListenError
from testkit.sandbox.faults import FaultBox
from testkit.sandbox.http import CALLS, FAULTS, SIP, bearer, errors
from testkit.sandbox.ids import SandboxIds
from testkit.sandbox.settings import SandboxSettings
from testkit.sandbox.sip_endpoint import SipEndpoint
from testkit.sandbox.store import Number, Store
from testkit.sandbox.webhooks import Webhooks

log = structlog.get_logger(__name__)

#: Seconds that requests in progress get to finish when the sandbox ends.
SHUTDOWN_S = 2.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox."""

    base_url: str
    sip: list[Endpoint]
    calls: Calls
    faults: FaultBox
    endpoint: SipEndpoint


@asynccontextmanager
async def running(settings: SandboxSettings) -> AsyncIterator[Sandbox]:
    """A sandbox for as long as the block lasts. Raises ListenError with nothing left open."""
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        # webhooks are signed, and no certificate names the address of this machine
        connector = aiohttp.TCPConnector(ssl=False)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        webhooks = Webhooks(settings, http, clock.epoch)
        stack.push_async_callback(webhooks.close)
        store = Store()
        calls = Calls(settings, store, webhooks, clock, SandboxIds())
        stack.callback(calls.close)
        for preset in settings.preset_numbers:
            store.numbers[preset.phone_number] = Number.preset(preset, calls.now_ms())
        faults = FaultBox()
        endpoint = SipEndpoint(calls, faults)
        stack.push_async_callback(endpoint.close)
        listening = await endpoint.listen()
        runner = web.AppRunner(
            make_app(calls, faults, endpoint), access_log=None, shutdown_timeout=SHUTDOWN_S
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        base_url = await _listen(runner, settings)
        yield Sandbox(base_url, listening, calls, faults, endpoint)


async def serve(settings: SandboxSettings, *, ready: asyncio.Event | None = None) -> None:
    """Run until SIGINT, SIGTERM or cancellation; `ready` is set when all listeners are open."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with running(settings) as sandbox:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        log.info(
            "sandbox.listening",
            rest=sandbox.base_url,
            sip=[str(endpoint) for endpoint in sandbox.sip],
            numbers=sorted(sandbox.calls.store.numbers),
        )
        if ready is not None:
            ready.set()
        try:
            await stopped.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
    log.info("sandbox.stopped")


def make_app(calls: Calls, faults: FaultBox, endpoint: SipEndpoint) -> web.Application:
    """REST and control paths."""
    app = web.Application(middlewares=[errors, bearer])
    app[CALLS] = calls
    app[FAULTS] = faults
    app[SIP] = endpoint
    rest.add_routes(app)
    control.add_routes(app)
    return app


async def _listen(runner: web.AppRunner, settings: SandboxSettings) -> str:
    site = web.TCPSite(runner, settings.http_host, settings.http_port)
    try:
        await site.start()
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        raise ListenError("REST", where, error) from error
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
