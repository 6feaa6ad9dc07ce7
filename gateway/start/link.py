"""Makes the softswitch's way to its application: in memory to ours, by WebSocket to any other."""

from contextlib import AsyncExitStack

import aiohttp

from config.settings import ApplicationSettings
from gateway.calls.live_call import LiveCall
from gateway.jambonz import memory
from gateway.jambonz.endpoint import JambonzEndpoint
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocketLink


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


async def open_link(
    application: ApplicationSettings, endpoint: JambonzEndpoint[LiveCall], stack: AsyncExitStack
) -> AppLink:
    """The way to the application of `application.url`; `endpoint` is that of our own."""
    if application.url == "builtin":
        return BuiltinLink(endpoint)
    connector = aiohttp.TCPConnector(limit=0)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    password = application.password.get_secret_value() if application.password else None
    address = AppAddress(url=application.url, username=application.username, password=password)
    return WebSocketLink(http, address)
