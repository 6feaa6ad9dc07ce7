"""Both ways from a softswitch to the application, with one face, for the contract's tests."""

import asyncio
import json
from typing import Any, Protocol

from gateway.http.app_keys import ENDPOINT
from gateway.jambonz.memory import MemorySocket
from gateway.start.link import BuiltinLink
from sip.softswitch.jambonz.link import AppLink, Socket
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocket, WebSocketLink
from tests.gateway.conftest import Gateway

Json = dict[str, Any]

#: A text needs less over loopback.
ARRIVED_S = 0.05


class Line:
    """A softswitch's end of a conversation, as a test holds it."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self.closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.lost: list[str] = []
        socket.start(self.texts.put_nowait, self.closed.set_result)

    def say(self, frame: Json) -> None:
        self.socket.send(json.dumps(frame), self.lost.append)

    async def hear(self) -> Json:
        """The next frame."""
        async with asyncio.timeout(5):
            frame = json.loads(await self.texts.get())
        assert isinstance(frame, dict)
        return frame

    async def close(self, code: int = 1000) -> None:
        await self.socket.close(code)

    async def close_code(self) -> int | None:
        """Once it is closed."""
        async with asyncio.timeout(5):
            return await self.closed


class Links(Protocol):
    """One kind of link to the application of a test."""

    link: AppLink

    async def open(self, path: str = "/retell") -> Line:
        """A new conversation."""
        ...

    async def cut(self, line: Line) -> None:
        """The application's end breaks, without a word; what was said before has arrived."""
        ...

    async def close(self) -> None: ...


class WebSockets:
    """By WebSocket over loopback."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.link: AppLink = self._to("/retell")

    def _to(self, path: str) -> WebSocketLink:
        return WebSocketLink(self._gateway.http, AppAddress(url=self._gateway.url + path))

    async def open(self, path: str = "/retell") -> Line:
        return Line(await self._to(path)._connect(0.0))  # which makes no spare one

    async def cut(self, line: Line) -> None:
        await asyncio.sleep(ARRIVED_S)
        assert isinstance(line.socket, WebSocket)
        connection = line.socket._ws._conn  # aiohttp offers no other way to be rude
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()

    async def close(self) -> None:
        await self.link.close()


class InMemory:
    """As `application.url: builtin` does."""

    def __init__(self, gateway: Gateway) -> None:
        self.link: AppLink = BuiltinLink(gateway.app[ENDPOINT])

    async def open(self, path: str = "/retell") -> Line:
        return Line(await self.link.socket())

    async def cut(self, line: Line) -> None:
        await asyncio.sleep(ARRIVED_S)
        assert isinstance(line.socket, MemorySocket)
        assert line.socket._other is not None
        line.socket._other._fail(1006)

    async def close(self) -> None:
        await self.link.close()
