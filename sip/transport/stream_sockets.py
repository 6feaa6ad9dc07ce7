"""The sockets under connections: one that listens, and those that are dialled."""

import asyncio
import socket
import sys
from collections.abc import Callable

from sip.transport.endpoint import Endpoint
from sip.transport.stream import CONNECT_TIMEOUT_S, StreamFlow

#: Linux: choose the port only on connecting, so that one may serve several peers (ip(7)).
_BIND_ADDRESS_NO_PORT = 24
_BACKLOG = 512
_ANY = {4: "0.0.0.0", 6: "::"}


class StreamListener:
    """A listening TCP socket; each connection becomes what `make_flow` makes."""

    def __init__(self, local: Endpoint, advertise: str | None) -> None:
        """Binds at once: raises OSError when the port is taken."""
        self.advertise = advertise
        self._socket = _stream_socket(local.version)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((local.host, local.port))
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.local = Endpoint(local.transport, local.host, self._socket.getsockname()[1])
        self._server: asyncio.Server | None = None

    async def start(self, make_flow: Callable[["StreamListener"], StreamFlow]) -> None:
        """Begin to accept."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: make_flow(self), sock=self._socket, backlog=_BACKLOG
        )

    def close(self) -> None:
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()


class Connector:
    """Makes connections, from the address that peers know us by."""

    def __init__(self) -> None:
        self._dialling: set[asyncio.Task[None]] = set()
        #: those whose socket is not connected yet: they may be given up
        self._waiting: set[asyncio.Task[None]] = set()

    def bind(self, host: str, *, known_port: bool) -> socket.socket:
        """A socket to dial from at `host`, "0.0.0.0" or "::" for any. Raises OSError.

        `known_port`: its port goes into a message to the peer before it is connected.
        """
        dialling = _stream_socket(6 if ":" in host else 4)
        try:
            if known_port or host not in _ANY.values():
                if not known_port and sys.platform == "linux":
                    dialling.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                dialling.bind((host, 0))
        except OSError:
            dialling.close()
            raise
        return dialling

    def dial(self, flow: StreamFlow, connection: socket.socket) -> None:
        """Connect `flow`, which hears of a failure."""
        task = asyncio.get_running_loop().create_task(self._connect(flow, connection))
        self._dialling.add(task)
        self._waiting.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._dialling.discard(task)
            self._waiting.discard(task)
            if task.cancelled():
                connection.close()

        task.add_done_callback(done)

    async def _connect(self, flow: StreamFlow, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.sock_connect(connection, (flow.remote.host, flow.remote.port))
        except (OSError, TimeoutError) as error:
            connection.close()
            flow.fail(error)
            return
        task = asyncio.current_task()
        if task is not None:  # from here on it is the flow's to end
            self._waiting.discard(task)
        await loop.create_connection(lambda: flow, sock=connection)

    async def close(self) -> None:
        """Give up what is still being connected."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)


def _stream_socket(version: int) -> socket.socket:
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    if version == 6:  # an IPv4 peer is an IPv4 peer: it has a listener of its own
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
