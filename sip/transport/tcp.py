"""SIP over TCP: listeners, connections made and accepted, framing (RFC 3261 18.3)."""

import asyncio
import os
import socket
from typing import Protocol, cast

from sip.core.errors import ParseError
from sip.core.stream import PING, StreamFramer
from sip.transport.endpoint import Endpoint

#: RFC 5626 3.5.1: the answer to a double CRLF.
PONG = b"\r\n"
#: How long a connection may take; then the transaction tries its next target.
CONNECT_TIMEOUT_S = 5.0
#: A peer that does not read loses its connection beyond this many queued bytes.
MAX_QUEUED = 1 << 20


class TcpOwner(Protocol):
    """Who gets what happens on connections."""

    def on_tcp_message(self, data: bytes, flow: "TcpFlow") -> None: ...
    def on_tcp_open(self, flow: "TcpFlow", *, accepted: bool) -> None: ...
    def on_tcp_broken(self, flow: "TcpFlow", error: ParseError) -> None: ...
    def on_tcp_lost(self, flow: "TcpFlow", error: Exception | None) -> None: ...


class TcpFlow(asyncio.Protocol):
    """One connection. While it is being made, what is sent waits in a queue."""

    reliable = True
    peer_names: tuple[str, ...] = ()

    def __init__(
        self,
        owner: TcpOwner,
        local: Endpoint,
        remote: Endpoint | None,
        advertise: str | None = None,
    ) -> None:
        """`remote` is None for a connection that a peer makes: it is known once that is there."""
        self.local = local
        self.advertise = advertise
        self.error: str | None = None
        self.remote = remote or Endpoint("tcp", "", 0)
        self._accepted = remote is None
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def send(self, data: bytes) -> None:
        if self._closed:
            return
        if self._transport is None:
            self._queue.append(data)
        elif self._transport.get_write_buffer_size() > MAX_QUEUED:
            self.abort()
        else:
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def keep(self) -> None:
        return None

    def fail(self, error: Exception) -> None:
        """The connection could not be made."""
        self._closed = True
        self.error = f"TCP to {self.remote.hostport}: {_why(error)}"
        self._queue.clear()
        self._owner.on_tcp_lost(self, error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = transport.get_extra_info("peername")
        if peer is None:  # gone before we looked
            self._transport.abort()
            return
        self.remote = Endpoint("tcp", peer[0], peer[1])
        self._owner.on_tcp_open(self, accepted=self._accepted)
        for data in self._queue:
            self._transport.write(data)
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._framer.feed(data)
        except ParseError as error:
            # RFC 3261 18.3: without a believable Content-Length the stream has no next message
            self._owner.on_tcp_broken(self, error)
            self.abort()
            return
        for message in messages:
            if message is PING:
                self.send(PONG)
            else:
                self._owner.on_tcp_message(message, self)
        if self._framer.fault is not None:  # after good messages: those were served first
            self._owner.on_tcp_broken(self, self._framer.fault)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._owner.on_tcp_lost(self, exc)


def _why(error: Exception) -> str:
    """What the operator should make of a connection that could not be made."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_TIMEOUT_S:g} s; is a firewall dropping it?"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; nothing listens there"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


class TcpListener:
    """A listening socket and the connections made on its behalf."""

    def __init__(self, local: Endpoint, owner: TcpOwner, advertise: str | None = None) -> None:
        """Binds at once: raises OSError when the port is taken."""
        self._owner = owner
        self.advertise = advertise
        family = socket.AF_INET6 if ":" in local.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((local.host, local.port))
            self._socket.listen(512)
        except OSError:
            self._socket.close()
            raise
        self.local = Endpoint("tcp", local.host, self._socket.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: TcpFlow(self._owner, self.local, None, self.advertise), sock=self._socket
        )

    def connect(self, remote: Endpoint) -> TcpFlow:
        """A flow to `remote` that is being made; it may be sent on at once."""
        flow = TcpFlow(self._owner, self.local, remote, self.advertise)
        task = asyncio.get_running_loop().create_task(self._connect(flow))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return flow

    async def _connect(self, flow: TcpFlow) -> None:
        # A bound address is also where our connections come from: peers identify us by it.
        source = None if self.local.host in ("0.0.0.0", "::") else (self.local.host, 0)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: flow, flow.remote.host, flow.remote.port, local_addr=source
                )
        except (OSError, TimeoutError) as error:
            flow.fail(error)

    async def close(self) -> None:
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
