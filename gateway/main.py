"""The composition root: the one module that knows both the application and the softswitch.

`serve` starts everything or nothing: a part that cannot start is a `StartupError` of one line, and
what was started before it is stopped again.
"""

import asyncio
import errno
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from gateway.calls.live_calls import LiveCall
from gateway.http.app import make_app
from gateway.http.app_keys import ENDPOINT
from gateway.jambonz import memory
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.storage.errors import StorageError
from gateway.storage.shared_state import SharedState, open_shared_state
from sip import collector
from sip.clock import LoopClock
from sip.ids import Ids
from sip.media.ng.rtpengine import RtpengineClient
from sip.media.plane import MediaError, MediaPlane
from sip.media.supervisor import RelayOptions, RelayProcess
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocketLink
from sip.softswitch.listeners import client_tls, listeners
from sip.softswitch.operator_view import OperatorView
from sip.softswitch.softswitch import Softswitch
from sip.softswitch.trunks.trunk import Trunks
from sip.trace import Trace
from sip.transport.address import is_loopback
from sip.transport.tls.contexts import ClientTls, TlsError

log = structlog.get_logger(__name__)


class StartupError(Exception):
    """The gateway cannot start; the text is one line: the key, what is wrong, what to do."""


async def serve(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run the gateway until SIGINT or SIGTERM. Raises StartupError.

    `on_ready` is called once calls are taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings):
        collector.spare()
        on_ready()
        await stopped.wait()
        log.info("gateway.stopping")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """The gateway, taking calls from entering to leaving. Raises StartupError on entering."""
    async with AsyncExitStack() as stack:
        parts = _Parts(settings)
        await _open_storage(parts, stack)
        await _start_http(parts, stack)
        if settings.sip.listen:
            await _start_media(parts, stack)
            await _start_softswitch(parts, stack)
            await _start_collector(parts, stack)
        log.info("gateway.ready", **_summary(settings))
        yield


class BuiltinLink:
    """The way to the application of this process: the softswitch's conversations in memory."""

    #: a conversation costs nothing to begin, so none waits for a call
    spare = 0

    def __init__(self, endpoint: JambonzEndpoint[LiveCall]) -> None:
        self._endpoint = endpoint

    async def socket(self) -> memory.MemorySocket:
        """A conversation for a call. Raises AppError."""
        if self._endpoint.closing:
            raise AppError("the application of this gateway is closing")
        ours, theirs = memory.pair()
        session = self._endpoint.begin(theirs)
        theirs.start(session.take, session.closed)
        return ours

    async def reconnect(self) -> memory.MemorySocket:
        """Another conversation for a call, after the application failed. Raises AppError."""
        return await self.socket()

    async def close(self) -> None:
        """Nothing waits for a call."""


class _Parts:
    """What is made in one step of starting and used in another."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.trace = Trace()
        self.endpoint: JambonzEndpoint[LiveCall] | None = None
        self.shared: SharedState | None = None
        self.media: MediaPlane | None = None
        #: known once it listens: /readyz says so
        self.switch: Softswitch | None = None
        self.report: OperatorView | None = None

    async def ready(self) -> dict[str, bool]:
        """The checks of /readyz beyond the application's own."""
        if not self.settings.sip.listen:
            return {}
        return {"sip": self.switch is not None, "media": await self._media_answers()}

    async def _media_answers(self) -> bool:
        try:
            if self.media is not None:
                await self.media.ping()
        except MediaError:
            return False
        return self.media is not None

    def ladder(self, sip_call_ids: Iterable[str]) -> list[dict[str, Any]]:
        """The SIP messages of these dialogs, for the API."""
        return [asdict(traced) for traced in self.trace.ladder(sip_call_ids)]

    def gauges(self) -> dict[str, Callable[[], float]]:
        """What /metrics shows of the softswitch: what is open, and what was turned away so far."""

        def of(name: str) -> Callable[[], float]:
            return lambda: float(self.switch.gauges[name]) if self.switch is not None else 0.0

        def turned_away(name: str) -> Callable[[], float]:
            return lambda: float(self.switch.turned_away[name]) if self.switch is not None else 0.0

        def spare() -> float:
            return float(self.switch.spare_sockets) if self.switch is not None else 0.0

        names = {"open_calls": "calls", "open_legs": "dialogs", "open_transactions": "transactions"}
        return {
            **{shown: of(name) for shown, name in names.items()},
            "open_sip_connections": of("connections"),
            "spare_application_sockets": spare,
            "dropped_messages": turned_away("dropped_messages"),
            "refused_calls": turned_away("refused_calls"),
            "refused_connections": turned_away("refused_connections"),
        }


async def _open_storage(parts: _Parts, stack: AsyncExitStack) -> None:
    """First of all: nothing starts beside a gateway that uses the same database."""
    url = parts.settings.storage.url.get_secret_value()
    try:
        parts.shared = await stack.enter_async_context(open_shared_state(url))
    except StorageError as error:
        raise StartupError(f"storage.url: {error}") from None


async def _start_http(parts: _Parts, stack: AsyncExitStack) -> None:
    settings = parts.settings
    app = make_app(
        settings,
        ready=parts.ready,
        ladder=parts.ladder,
        find_operations=lambda: parts.report,
        gauges=parts.gauges(),
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    try:
        await runner.setup()
    except (StorageError, SQLAlchemyError) as error:
        await runner.cleanup()
        raise StartupError(f"storage.url: {error}") from None
    stack.push_async_callback(runner.cleanup)
    parts.endpoint = app[ENDPOINT]
    listen = settings.http.listen
    address = f"{listen.host}:{listen.port}"
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
    except OSError as error:
        raise StartupError(f"http.listen: {_cannot_listen(address, error)}") from None


async def _start_media(parts: _Parts, stack: AsyncExitStack) -> None:
    settings = parts.settings
    engine, *others = settings.media.engine
    if others:
        raise StartupError("media.engine: only one engine can be used at a time; name one")
    if engine != "builtin":
        _, _, hostport = engine.removeprefix("ng:").partition(":")
        host, _, port = hostport.rpartition(":")
        try:
            client = await RtpengineClient.connect((host.strip("[]"), int(port)), clock=LoopClock())
            stack.push_async_callback(client.close)
            await client.ping()
        except MediaError as error:
            raise StartupError(f"media.engine: {engine} does not answer: {error.text}") from None
        parts.media = client
        return
    options = RelayOptions(
        advertise=str(settings.sip.advertise or "127.0.0.1"),
        listen=_media_host(settings),
        ports=(settings.media.ports.first, settings.media.ports.last),
    )

    def lost() -> None:
        if parts.switch is not None:
            parts.switch.media_lost()

    try:
        relay = await stack.enter_async_context(
            RelayProcess(options, clock=LoopClock(), on_restart=lost)
        )
    except MediaError as error:
        raise StartupError(f"media: the relay cannot start: {error.text}") from None
    parts.media = relay.plane


async def _start_softswitch(parts: _Parts, stack: AsyncExitStack) -> None:
    settings = parts.settings
    assert parts.media is not None, "media is started first"
    assert parts.shared is not None, "storage is opened first"
    trunks = Trunks.of(settings)
    secret = secrets.token_bytes(32)
    clock = LoopClock()
    gatekeeper = Gatekeeper(
        clock,
        trunks,
        settings.sip.realm,
        secret,
        settings.sip.auth,
        settings.sip.bans,
        own=_own_addresses(settings),
    )
    switch = Softswitch(
        clock=clock,
        ids=Ids(),
        media=parts.media,
        trunks=trunks,
        gatekeeper=gatekeeper,
        link=await _link(parts, stack),
        limits=settings.limits,
        sip=settings.sip,
        trace=parts.trace,
        tls=_client_tls(settings),
        binding_store=parts.shared.bindings,
    )
    stack.push_async_callback(switch.close)
    try:
        await switch.registrar.restore()
        if banned := await gatekeeper.bans.restore(parts.shared.bans, clock):
            log.info("bans restored", bans=banned)
    except SQLAlchemyError as error:
        raise StartupError(f"storage.url: {error}") from None
    for listening in listeners(settings.sip):
        try:
            await switch.listen([listening])
        except TlsError as error:
            raise StartupError(f"sip.tls: {error}") from None
        except OSError as error:
            reason = _cannot_listen(listening.endpoint, error)
            raise StartupError(f"sip.listen: {reason}") from None
    switch.start()
    parts.switch = switch
    parts.report = OperatorView(
        settings,
        trunks,
        clock=clock,
        health=switch.health,
        registrations=switch.registrations,
        bindings=switch.bindings,
        bans=gatekeeper.bans,
        calls=switch.dialler.limits.calls,
    )


async def _start_collector(parts: _Parts, stack: AsyncExitStack) -> None:
    switch = parts.switch
    assert switch is not None, "the softswitch is started first"
    quiet = collector.collect_when_quiet(lambda: switch.gauges["calls"] > 0)
    task = asyncio.create_task(quiet, name="collector")

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(stop)


async def _link(parts: _Parts, stack: AsyncExitStack) -> AppLink:
    settings = parts.settings
    application = settings.application
    if application.url == "builtin":
        assert parts.endpoint is not None, "the application is started first"
        return BuiltinLink(parts.endpoint)
    connector = aiohttp.TCPConnector(limit=0)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    password = application.password.get_secret_value() if application.password else None
    address = AppAddress(url=application.url, username=application.username, password=password)
    return WebSocketLink(http, address)


def _client_tls(settings: Settings) -> ClientTls:
    try:
        return client_tls(settings.sip)
    except TlsError as error:
        raise StartupError(f"sip.tls: {error}") from None


def certificates(settings: Settings) -> list[tuple[str, str]]:
    """Each TLS listener and what its certificate says. Raises StartupError for unusable files."""
    _client_tls(settings)
    try:
        return [
            (str(one.endpoint), f"{', '.join(one.tls.names)} until {_day(one.tls.expires_at)}")
            for one in listeners(settings.sip)
            if one.tls is not None
        ]
    except TlsError as error:
        raise StartupError(f"sip.tls: {error}") from None


def _day(epoch: float | None) -> str:
    return "?" if epoch is None else time.strftime("%Y-%m-%d", time.gmtime(epoch))


def _own_addresses(settings: Settings) -> set[str]:
    """Addresses that are ours: nobody but a forger sends from there."""
    ours = {listening.address.host for listening in settings.sip.listen}
    ours |= {str(listening.advertise) for listening in settings.sip.listen if listening.advertise}
    return ours | ({str(settings.sip.advertise)} if settings.sip.advertise else set())


def _media_host(settings: Settings) -> str:
    """Media stays within the machine where signalling does; else any interface may carry it."""
    hosts = {listening.address.host for listening in settings.sip.listen}
    return hosts.pop() if len(hosts) == 1 and all(map(is_loopback, hosts)) else "0.0.0.0"


def _cannot_listen(address: object, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is taken by another program; stop it or choose another port"
        case errno.EADDRNOTAVAIL:
            return f"{address} is no address of this machine"
        case errno.EACCES:
            return f"{address} may not be used by this user; ports below 1024 need privileges"
    return f"cannot listen on {address}: {error.strerror or error}"


def _summary(settings: Settings) -> dict[str, object]:
    return {
        "sip": [str(listening.address) for listening in settings.sip.listen],
        "http": f"{settings.http.listen.host}:{settings.http.listen.port}",
        "trunks": [trunk.name for trunk in settings.trunks],
        "numbers": len(settings.numbers),
    }
