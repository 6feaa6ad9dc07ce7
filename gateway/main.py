"""The composition root: with `gateway.start`, the one place that knows both halves.

`serve` starts everything or nothing: a part that cannot start is a `StartupError` of one line, and
what was started before it is stopped again.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType

import structlog

from config.settings import Settings
from gateway.jambonz.rest import JambonzRest
from gateway.log import reconfigure
from gateway.start.addresses import OurAddresses
from gateway.start.drain import Drain
from gateway.start.http import start_http
from gateway.start.jambonz_switch import JambonzSwitch
from gateway.start.link import open_link
from gateway.start.media import start_media
from gateway.start.outbound import Outbound
from gateway.start.recording import start_recording
from gateway.start.reload import Reloader
from gateway.start.shown import Shown
from gateway.start.softswitch import start_softswitch
from gateway.start.storage import open_storage
from gateway.start.streams import open_streams
from gateway.start.switch import OwnSwitch
from gateway.start.trace import make_trace
from gateway.twilio.stream_door import StreamDoor
from sip import collector

log = structlog.get_logger(__name__)


async def serve(
    settings: Settings,
    *,
    reread: Callable[[], Settings] | None = None,
    about: Mapping[str, str] = MappingProxyType({}),
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run the gateway until SIGINT or SIGTERM, and until its calls are over or their time is; a
    second signal ends them at once. SIGHUP takes other settings over. Raises StartupError.

    `about` is what the log shall say of the program: its version, and its file of settings.
    `reread` reads the settings again (None: they stay as they are), and raises ConfigError.
    `on_ready` is called once calls are taken.
    """
    drain = Drain(settings.limits.drain_s)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, drain.signalled)
    reloader = Reloader(settings, reread or (lambda: settings))
    reloader.add(_reconfigure_log)
    loop.add_signal_handler(signal.SIGHUP, reloader.signalled)
    async with (
        running(settings, drain, reloader),
        collector.spared(lambda: drain.open_calls > 0),
    ):
        log.info("gateway.ready", **about, **_summary(settings))
        on_ready()
        await drain.over()
        log.info("gateway.stopping", calls=drain.open_calls)


@asynccontextmanager
async def running(
    settings: Settings,
    drain: Drain | None = None,
    reloader: Reloader | None = None,
    streams: StreamDoor | None = None,
) -> AsyncIterator[None]:
    """The gateway, taking calls from entering to leaving. Raises StartupError on entering.

    `streams` lets in media streams, by itself where it is not given.

    What is started later is stopped first.
    """
    drain = drain or Drain(settings.limits.drain_s)
    reloader = reloader or Reloader(settings, lambda: settings)
    reloader.add(drain.configure)
    async with AsyncExitStack() as stack:
        shown = Shown(expected=bool(settings.sip.listen), drain=drain, trace=make_trace(settings))
        shared = await open_storage(settings.storage, stack)
        recordings = await start_recording(settings, stack, reloader)
        outbound = Outbound(settings, time.time)
        reloader.add(outbound.prepare)
        door = streams or StreamDoor()
        endpoint = await start_http(settings, shown, stack, reloader, recordings, outbound, door)
        if settings.sip.listen:
            addresses = OurAddresses(settings)
            await addresses.start(stack)
            recorder = None if recordings is None else recordings.socket
            shown.media = await start_media(settings, stack, reloader, recorder)
            link = await open_link(settings.application, endpoint, stack)
            softswitch = await start_softswitch(
                settings,
                shown,
                stack,
                shared=shared,
                media=shown.media,
                link=link,
                addresses=addresses,
                reloader=reloader,
            )
            reloader.add(open_streams(door, softswitch, settings).prepare)
            if settings.application.url == "builtin":
                outbound.place_by(OwnSwitch(softswitch))
        elif settings.jambonz is not None:
            rest = await stack.enter_async_context(JambonzRest(settings.jambonz))
            outbound.place_by(JambonzSwitch(rest))
        yield


def _reconfigure_log(settings: Settings) -> Callable[[], Awaitable[None]]:
    async def take() -> None:
        reconfigure(settings.log.level, settings.log.format, watch=settings.log.watch)

    return take


def _summary(settings: Settings) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "sip": [str(listening.address) for listening in settings.sip.listen],
        "http": f"{settings.http.listen.host}:{settings.http.listen.port}",
        "trunks": [trunk.name for trunk in settings.trunks],
        "numbers": len(settings.numbers),
    }
