"""SIP over TCP and TLS: one connection, framed (RFC 3261 18.3) and kept alive (RFC 5626)."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Protocol, cast

from sip.clock import Clock
from sip.core.framing import PING, PONG, StreamFramer
from sip.core.message import MessageError
from sip.transport.endpoint import Endpoint
from sip.transport.stream_limits import ConnectionClock, Deaf, End, Ping
from sip.transport.tls.contexts import TlsError
from sip.transport.tls.session import TlsSession, TlsSessionError

#: Seconds that connecting may take; then the transaction tries its next target.
CONNECT_TIMEOUT_S = 5.0
#: Bytes queued for a peer beyond which it loses its connection: it does not read.
MAX_QUEUED = 1 << 20
#: How what wants no response begins: responses, ACKs and keepalives; and OPTIONS, which many peers
#: ignore.
_UNANSWERED = (b"SIP/", b"ACK ", b"OPTIONS ", b"\r\n")
#: Milliseconds that the kernel may wait for an acknowledgement of what we sent (tcp(7)).
USER_TIMEOUT_MS = 30_000
#: Seconds of silence after which the kernel asks whether the peer's host is still there.
PROBE_AFTER_S = 120


class StreamOwner(Protocol):
    """Who gets what happens on connections."""

    @property
    def clock(self) -> Clock: ...

    def on_stream_open(self, flow: "StreamFlow") -> bool:
        """Connected, nothing read yet; False to drop it."""
        ...

    def on_stream_message(self, data: bytes, flow: "StreamFlow") -> None: ...
    def on_stream_proven(self, flow: "StreamFlow") -> None:
        """A first whole message came: the connection works."""
        ...

    def on_stream_deaf(self, flow: "StreamFlow") -> None:
        """Nothing came since a request went out."""
        ...

    def on_stream_kept(self, flow: "StreamFlow") -> None: ...
    def on_stream_broken(self, flow: "StreamFlow", error: MessageError) -> None: ...
    def on_stream_lost(self, flow: "StreamFlow", error: Exception | None) -> None: ...


class StreamFlow(asyncio.Protocol):
    """One connection. While it is being made, what is sent waits in a queue."""

    reliable = True

    def __init__(
        self,
        owner: StreamOwner,
        local: Endpoint,
        remote: Endpoint,
        connection_clock: ConnectionClock,
        *,
        accepted: bool,
        tls: Callable[[], TlsSession] | None = None,
        name: str | None = None,
        advertise: str | None = None,
    ) -> None:
        """`tls` makes the session of a TLS connection; `name` is what a server was called."""
        self.local = local
        self.remote = remote
        self.advertise = advertise
        self.accepted = accepted
        self.name = name
        self.error: str | None = None
        self.standing: object = None
        #: in a word to count by, why we or the peer would not have this connection
        self.refusal: str | None = None
        #: a request went out, and nothing came since
        self.deaf = False
        #: a first whole message came: there is a SIP element at the other end
        self.proven = False
        self.connection_clock = connection_clock
        self._owner = owner
        self._clock = owner.clock
        self._make_tls = tls
        self._tls: TlsSession | None = None
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued = 0
        self._closed = False
        self._told = False

    def __repr__(self) -> str:
        way = "from" if self.accepted else "to"
        return f"<{self.remote.transport} {way} {self.remote.hostport}>"

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def peer_names(self) -> tuple[str, ...]:
        return () if self._tls is None else self._tls.peer_names

    def send(self, data: bytes) -> None:
        if self._closed:
            return
        if not data.startswith(_UNANSWERED):
            self.connection_clock.asked(self._clock.now())
        if self._transport is None:
            self._queue.append(data)
            self._queued += len(data)
            if self._queued > MAX_QUEUED:
                self.abort()
        elif self._transport.get_write_buffer_size() > MAX_QUEUED:
            self.refuse("deaf", "it does not read what it is sent")
        elif self._tls is None:
            self._transport.write(data)
        else:
            self._tls.send(data)
            self._flush()

    def keep(self) -> None:
        if not self.connection_clock.kept:
            self.connection_clock.kept = True
            self._owner.on_stream_kept(self)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closed = True
        self._queue.clear()
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close it in good order: what was sent before still arrives."""
        self._closed = True
        if self._transport is None:  # it is still being made, and will be dropped
            self._lose(None, "given up")
            return
        if self._tls is not None:
            self._tls.end()
            self._flush()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # the peer does not read; there is nothing to wait for
        else:
            self._transport.close()

    def fail(self, error: Exception) -> None:
        """The connection could not be made."""
        self.refusal = "unreachable"
        self._lose(error, _why(error))

    def check(self, now: float) -> None:
        """Ping, or end a connection that is out of its limits; called from time to time."""
        match self.connection_clock.due(now):
            case Ping():
                self.send(PING)
                self.connection_clock.pinged(now)
            case Deaf():
                self.deaf = True
                self._owner.on_stream_deaf(self)
            case End(kind, text):
                self.refuse(kind, text)

    def refuse(self, kind: str, text: str) -> None:
        """We will not have this connection: drop it, for a reason in a word and in a sentence."""
        self.refusal = kind
        self.error = self._sentence(text)
        self.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _tune(transport.get_extra_info("socket"))
        peer, ours = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not ours or self._closed:  # gone before we looked
            self.abort()
            return
        if self.accepted:
            self.remote = Endpoint(self.local.transport, peer[0], peer[1])
            self.local = Endpoint(self.local.transport, ours[0], self.local.port)
        if not self._owner.on_stream_open(self):
            self.abort()
            return
        queue, self._queue = self._queue, []
        if self._make_tls is None:
            self.connection_clock.established = True
        elif not self._start_tls(self._make_tls):
            return
        for data in queue:
            self.send(data)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        if self._tls is None:
            self._read(data)
            return
        try:
            data = self._tls.receive(data)
        except TlsSessionError as error:
            self._flush()  # the alert that tells the peer
            self.refusal = error.why.kind
            self.error = self._sentence(error.why.text)
            self.end()
            return
        self.connection_clock.established = self._tls.established
        self._flush()
        if data:
            self._read(data)
        if self._tls.ended:
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        why = "the peer closed the connection" if exc is None else _why(exc)
        fault = None if self._tls is None or self.error else self._tls.cut_short
        if fault is not None:
            self.refusal, why = fault.kind, fault.text
        self._lose(exc, why)
        self._transport = None  # it holds us, and the garbage collector rarely runs

    # below

    def _start_tls(self, make: Callable[[], TlsSession]) -> bool:
        try:
            self._tls = make()
            if not self.accepted:
                self._tls.start()
        except (TlsSessionError, TlsError) as error:
            self.refuse("our files" if isinstance(error, TlsError) else "wrong name", str(error))
            return False
        self._flush()
        return True

    def _read(self, data: bytes) -> None:
        framer, now = self._framer, self._clock.now()
        is_pong = data.startswith(PONG) and not data.startswith(PING)
        pong = is_pong and self.connection_clock.awaits_pong
        try:
            # two pongs in a row would read as a ping
            messages = framer.feed(data[len(PONG) :] if pong else data)
        except MessageError as error:
            self._break(error)
            return
        whole = False
        for message in messages:
            if self._closed:  # it was not to go on
                return
            if message is PING:
                self.send(PONG)
            else:
                whole = True
                self._owner.on_stream_message(message, self)
        self.deaf = False
        if whole and not self.proven:
            self.proven = True
            self._owner.on_stream_proven(self)
        self.connection_clock.heard(now, pong=pong, messages=whole, waiting=framer.waiting)
        if framer.error is not None:  # after good messages: those were served first
            self._break(framer.error)

    def _break(self, error: MessageError) -> None:
        # RFC 3261 18.3: without a believable Content-Length the stream has no next message
        self._owner.on_stream_broken(self, error)
        self.error = self._sentence(f"what it sends cannot be read: {error.reason}")
        self.end()

    def _flush(self) -> None:
        if self._tls is not None and self._transport is not None:
            data = self._tls.outgoing()
            if data:
                self._transport.write(data)

    def _lose(self, error: Exception | None, why: str) -> None:
        self._closed = True
        self._queue.clear()
        if self.error is None:
            self.error = self._sentence(why)
        if not self._told:
            self._told = True
            self._owner.on_stream_lost(self, error)

    def _sentence(self, text: str) -> str:
        at = self.remote.hostport
        who = at if self.name in (None, self.remote.host) else f"{self.name} ({at})"
        way = "from" if self.accepted else "to"
        return f"{self.remote.transport.upper()} {way} {who}: {text}"


def _why(error: Exception) -> str:
    """What the operator should make of a connection that could not be made, or broke."""
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {CONNECT_TIMEOUT_S:g} s; does a firewall drop it?"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def _tune(connection: socket.socket) -> None:
    """Small messages at once, and dead peers found by the kernel."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", PROBE_AFTER_S),
        ("TCP_KEEPINTVL", 15),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        option = getattr(socket, name, None)  # Linux has them all
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
