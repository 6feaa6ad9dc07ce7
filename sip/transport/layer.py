"""All listeners and connections of one user agent: in come messages with their flow."""

from collections.abc import Callable
from typing import TypeVar

from sip.core.errors import ParseError
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.tcp import TcpFlow, TcpListener
from sip.transport.udp import UdpListener

Listener = TypeVar("Listener", UdpListener, TcpListener)


class TransportLayer:
    """Opens sockets, finds the flow to a peer, reuses connections.

    `on_message(data, flow)` gets every datagram and every framed message;
    `on_flow_lost(flow, error)` a connection that ended or could not be made;
    `on_broken(flow, error)` a stream that lost framing.
    """

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_flow_lost: Callable[[Flow, Exception | None], None],
        on_broken: Callable[[Flow, ParseError], None],
        admit: Callable[[Endpoint], bool] = lambda _: True,
    ) -> None:
        """`admit` decides whether a peer may make a connection to us at all."""
        self._on_message = on_message
        self._on_flow_lost = on_flow_lost
        self._on_broken = on_broken
        self._admit = admit
        self._udp: list[UdpListener] = []
        self._tcp: list[TcpListener] = []
        self._connections: dict[Endpoint, TcpFlow] = {}

    async def listen(self, local: Endpoint, *, advertise: str | None = None) -> Endpoint:
        """Open a listener; answers the bound endpoint. Raises OSError when it cannot.

        `advertise` is the address that peers are told instead of the listener's own.
        """
        if local.transport == "udp":
            udp = UdpListener(local, self._on_message, advertise)
            self._udp.append(udp)
            udp.start()
            return udp.local
        if local.transport == "tcp":
            tcp = TcpListener(local, self, advertise)
            self._tcp.append(tcp)
            await tcp.start()
            return tcp.local
        raise OSError(f"no transport {local.transport!r}")

    @property
    def listening(self) -> list[Endpoint]:
        """The endpoints that are open."""
        return [udp.local for udp in self._udp] + [tcp.local for tcp in self._tcp]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def reaches(self, transport: str, version: int) -> bool:
        """Whether we have a socket for this transport and address family (4 or 6)."""
        return any(
            (local.transport, local.version) == (transport, version) for local in self.listening
        )

    def flow_to(self, to: Target | Endpoint) -> Flow:
        """The way to a server or an address: the live connection if there is one.

        Raises OSError without a listener of its transport and address family.
        """
        remote = to.endpoint if isinstance(to, Target) else to
        if remote.transport == "udp":
            return _same_family(self._udp, remote).flow(remote)
        if remote.transport == "tcp":
            connection = self._connections.get(remote)
            if connection is None or connection.closed:
                connection = _same_family(self._tcp, remote).connect(remote)
                self._connections[remote] = connection
            return connection
        raise OSError(f"no {remote.transport} listener is configured, so {remote} is out of reach")

    def reply_flow(self, flow: Flow, via: Endpoint) -> Flow:
        """Where a response goes: back on its flow, or to `via` if the connection is gone.

        RFC 3261 18.2.2.
        """
        return flow if not flow.closed else self.flow_to(via)

    async def close(self) -> None:
        """Close every socket and connection."""
        for udp in self._udp:
            udp.close()
        for tcp in self._tcp:
            await tcp.close()
        for connection in list(self._connections.values()):
            connection.abort()

    # TcpOwner

    def on_tcp_open(self, flow: TcpFlow, *, accepted: bool) -> None:
        if accepted and not self._admit(flow.remote):
            flow.abort()
            return
        self._connections[flow.remote] = flow

    def on_tcp_message(self, data: bytes, flow: TcpFlow) -> None:
        self._on_message(data, flow)

    def on_tcp_broken(self, flow: TcpFlow, error: ParseError) -> None:
        self._on_broken(flow, error)

    def on_tcp_lost(self, flow: TcpFlow, error: Exception | None) -> None:
        if self._connections.get(flow.remote) is flow:
            del self._connections[flow.remote]
        self._on_flow_lost(flow, error)


def _same_family(listeners: list[Listener], remote: Endpoint) -> Listener:
    """The listener to reach `remote` from: the first of its address family."""
    for listener in listeners:
        if listener.local.version == remote.version:
            return listener
    raise OSError(
        f"no {remote.transport} listener over IPv{remote.version}, so {remote} is out of reach"
    )
