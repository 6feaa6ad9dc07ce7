"""Starts the HTTP server, and the application within it."""

from contextlib import AsyncExitStack

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from gateway.calls.live_calls import LiveCall
from gateway.http.app import make_app
from gateway.http.app_keys import ENDPOINT
from gateway.jambonz.endpoint import JambonzEndpoint
from gateway.start.errors import StartupError, cannot_listen
from gateway.start.shown import Shown
from gateway.storage.errors import StorageError


async def start_http(
    settings: Settings, shown: Shown, stack: AsyncExitStack
) -> JambonzEndpoint[LiveCall]:
    """The application's end of conversations with a softswitch. Raises StartupError."""
    app = make_app(
        settings,
        ready=shown.ready,
        messages=shown if settings.sip.listen else None,
        find_operations=lambda: shown.report,
        gauges=shown.gauges(),
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    try:
        await runner.setup()
    except (StorageError, SQLAlchemyError) as error:
        await runner.cleanup()
        raise StartupError(f"storage.url: {error}") from None
    stack.push_async_callback(runner.cleanup)
    listen = settings.http.listen
    address = f"{listen.host}:{listen.port}"
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
    except OSError as error:
        raise StartupError(f"http.listen: {cannot_listen(address, error)}") from None
    return app[ENDPOINT]
