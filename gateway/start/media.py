"""Starts our media relay, or the client of an rtpengine that runs elsewhere."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from config.settings import MediaSettings, Settings
from gateway.start.errors import StartupError, cannot_listen
from sip.clock import LoopClock
from sip.media.ng.rtpengine import RtpengineClient, RtpengineOptions
from sip.media.plane import Capability, MediaError, MediaPlane
from sip.media.supervisor import RelayOptions, RelayProcess
from sip.transport.address import is_loopback

log = structlog.get_logger(__name__)


async def start_media(
    settings: Settings, stack: AsyncExitStack, *, on_loss: Callable[[], None]
) -> MediaPlane:
    """The engine of `media.engine`. Raises StartupError.

    `on_loss` is called whenever it begins anew, and knows nothing of any call.
    """
    engine, *others = settings.media.engine
    if others:
        raise StartupError("media.engine: only one engine can be used at a time; name one")
    if engine != "builtin":
        return await _reach_rtpengine(engine, settings.media, stack)
    host = _host(settings)
    options = RelayOptions(
        advertise="::1" if ":" in host else "127.0.0.1",  # each call says which address it tells
        listen=host,
        ports=(settings.media.ports.first, settings.media.ports.last),
    )
    try:
        relay = await stack.enter_async_context(
            RelayProcess(options, clock=LoopClock(), on_restart=on_loss)
        )
    except MediaError as error:
        raise StartupError(f"media: the relay cannot start: {error.text}") from None
    return relay.plane


async def _reach_rtpengine(
    engine: str, media: MediaSettings, stack: AsyncExitStack
) -> RtpengineClient:
    host, _, port = engine.removeprefix("ng:udp:").rpartition(":")
    keys = media.rtpengine.dtmf_log
    options = RtpengineOptions(dtmf_log=(keys.host, keys.port) if keys is not None else None)
    try:
        client = await RtpengineClient.connect(
            (host.strip("[]"), int(port)), clock=LoopClock(), options=options
        )
        stack.push_async_callback(client.close)
        await client.ping()
    except MediaError as error:
        raise StartupError(f"media.engine: {engine} does not answer: {error.text}") from None
    except OSError as error:
        address = f"{keys.host}:{keys.port}" if keys is not None else ""
        raise StartupError(f"media.rtpengine.dtmf_log: {cannot_listen(address, error)}") from None
    if Capability.DIGITS not in client.capabilities:
        log.info("media.no-digits", engine=engine, key="media.rtpengine.dtmf_log")
    return client


def _host(settings: Settings) -> str:
    """Media stays within the machine where signalling does; else any interface may carry it."""
    hosts = {listening.address.host for listening in settings.sip.listen}
    return hosts.pop() if len(hosts) == 1 and all(map(is_loopback, hosts)) else "0.0.0.0"
