"""The composition root: with `gateway.start`, the one place that knows both halves.

`serve` starts everything or nothing: a part that cannot start is a `StartupError` of one line, and
what was started before it is stopped again.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from config.settings import Settings
from gateway.start.http import start_http
from gateway.start.link import open_link
from gateway.start.media import start_media
from gateway.start.shown import Shown
from gateway.start.softswitch import start_softswitch
from gateway.start.storage import open_storage
from gateway.start.trace import make_trace
from sip import collector

log = structlog.get_logger(__name__)


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
    """The gateway, taking calls from entering to leaving. Raises StartupError on entering.

    What is started later is stopped first.
    """
    async with AsyncExitStack() as stack:
        shown = Shown(expected=bool(settings.sip.listen), trace=make_trace(settings))
        shared = await open_storage(settings.storage, stack)
        endpoint = await start_http(settings, shown, stack)
        if settings.sip.listen:
            shown.media = await start_media(settings, stack, on_loss=shown.media_lost)
            link = await open_link(settings.application, endpoint, stack)
            await start_softswitch(
                settings, shown, stack, shared=shared, media=shown.media, link=link
            )
        log.info("gateway.ready", **_summary(settings))
        yield


def _summary(settings: Settings) -> dict[str, object]:
    return {
        "sip": [str(listening.address) for listening in settings.sip.listen],
        "http": f"{settings.http.listen.host}:{settings.http.listen.port}",
        "trunks": [trunk.name for trunk in settings.trunks],
        "numbers": len(settings.numbers),
    }
