"""All sockets of one user agent: its listeners, and the way to a peer by one of them."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import structlog

from sip.clock import Clock
from sip.core.message import MessageError
from sip.log_throttle import Throttle
from sip.transport.connections import Connections
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.source_address import Routes
from sip.transport.stream import StreamFlow
from sip.transport.stream_limits import StreamLimits
from sip.transport.stream_sockets import StreamListener
from sip.transport.tls.certificate import day
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.transport.udp import UdpFlow, UdpListener

log = structlog.get_logger(__name__)

#: Seconds before the end of a certificate of ours that are worth a warning: two weeks.
EXPIRY_WARNING_S = 14 * 86_400.0
STREAMS = ("tcp", "tls")

Listener = TypeVar("Listener", UdpListener, StreamListener, UdpListener | StreamListener)


class TransportLayer:
    """Opens sockets, finds the flow to a peer, reuses connections.

    `on_message(data, flow)` gets every datagram and every framed message;
    `on_flow_lost(flow, error)` a connection that ended or could not be made, `flow.error` says why;
    `on_flow_deaf(flow)` one on which nothing came since a request went out; `on_unreachable(remote,
    why)` a peer that nothing can be sent to over UDP, by the network's word (RFC 3261 18.4);
    `on_broken(flow, error)` a stream that lost framing.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_message: Callable[[bytes, Flow], None],
        on_flow_lost: Callable[[Flow, Exception | None], None],
        on_flow_deaf: Callable[[Flow], None] = lambda _: None,
        on_unreachable: Callable[[Endpoint, str], None] = lambda _, __: None,
        on_broken: Callable[[Flow, MessageError], None],
        admit: Callable[[Flow], bool] = lambda _: True,
        tls: ClientTls | None = None,
        limits: StreamLimits | None = None,
        keepalive_s: float | None = None,
    ) -> None:
        """`admit` decides whether a peer may make a connection to us at all.

        `tls` is how we judge servers (None: by the system's roots). Connections that we open are
        pinged after `keepalive_s` seconds of silence (RFC 5626 4.4.1).
        """
        self._clock = clock
        self._on_message = on_message
        self._on_unreachable = on_unreachable
        self._connections = Connections(
            clock=clock,
            on_message=on_message,
            on_flow_lost=on_flow_lost,
            on_flow_deaf=on_flow_deaf,
            on_broken=on_broken,
            admit=admit,
            tls=tls,
            limits=limits,
            keepalive_s=keepalive_s,
        )
        self._udp: list[UdpListener] = []
        self._udp_by_version: dict[int, list[UdpListener]] = {4: [], 6: []}
        self._listeners: list[StreamListener] = []
        self._throttle = Throttle()
        self._routes = Routes(clock)

    async def listen(
        self, local: Endpoint, *, tls: ServerTls | None = None, advertise: str | None = None
    ) -> Endpoint:
        """Open a listener; returns the endpoint that it is bound to. Raises OSError.

        `tls` is the certificate of a TLS listener; `advertise` the address that peers see
        instead of the listener's own.
        """
        if local.transport == "udp":
            udp = UdpListener(
                local, self._on_message, self._unsent, self._on_unreachable, advertise
            )
            self._udp.append(udp)
            self._udp_by_version[udp.local.version].append(udp)
            udp.start()
            return udp.local
        if local.transport not in STREAMS:
            raise OSError(f"no transport {local.transport!r}")
        if local.transport == "tls" and tls is None:
            raise OSError(f"{local} needs a certificate: set sip.tls.certificate and sip.tls.key")
        listener = StreamListener(local, advertise)
        self._listeners.append(listener)
        await listener.start(lambda at: self._connections.accept(at, tls))
        if tls is not None:
            self._check_expiry(tls)
        return listener.local

    @property
    def listening(self) -> list[Endpoint]:
        """The endpoints that are open."""
        return [one.local for one in self._everything()]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def refused(self) -> Counter[str]:
        """Connections that strangers were refused or lost, by reason: shown as metrics."""
        return self._connections.refused

    def serves(self, transport: str) -> bool:
        """Whether we listen on this transport: it may be chosen where a URI leaves it open."""
        return any(local.transport == transport for local in self.listening)

    def reaches(self, transport: str, family: int) -> bool:
        """Whether we can send over this transport and address family (4 or 6).

        A connection can be dialled without a listener of its transport, over a family that some
        listener has.
        """
        return any(
            local.version == family and (transport in STREAMS or local.transport == transport)
            for local in self.listening
        )

    def flow_to(self, to: Target | Endpoint, beside: Flow | None = None) -> Flow:
        """The way to a server or an address: the live connection if there is one.

        Over UDP it leaves by the listener of `beside` if it can: the peer of a dialog, and the
        firewalls before it, know us by that.

        A TLS connection serves the name that its certificate was checked for, and no other; but a
        server that told us its bare address, as in a Contact, is still who it was before. Raises
        OSError without a listener of the address family, and over UDP or to an address alone
        without one of the transport.
        """
        remote = to.endpoint if isinstance(to, Target) else to
        if remote.transport == "udp":
            return self._udp_to(remote, beside)
        to = self._connections.as_known(to)
        if remote.transport not in STREAMS:
            raise OSError(f"there is no transport {remote.transport}, so {remote} is out of reach")
        flow = self._connections.live(to, remote)
        if flow is not None:
            flow.keep()
            return flow
        if isinstance(to, Target):
            return self._dial(remote, to.name)
        if self.serves(remote.transport):
            return self._dial(remote, remote.host)
        raise OSError(f"no {remote.transport} listener is configured, so {remote} is out of reach")

    def flow_anew(self, flow: Flow) -> Flow | None:
        """Another connection to where `flow`, which we made, leads; None where there is none."""
        if not isinstance(flow, StreamFlow) or flow.accepted:
            return None
        try:
            anew = self.flow_to(Target(flow.remote, flow.name or flow.remote.host))
        except OSError:
            return None
        return None if anew is flow else anew

    def reply_flow(self, flow: Flow, via: Endpoint) -> Flow:
        """Where a response goes: back on its flow, or to `via` if the connection is gone.

        RFC 3261 18.2.2.
        """
        return flow if not flow.closed else self.flow_to(via)

    async def close(self) -> None:
        """Close every socket and connection."""
        for udp in self._udp:
            udp.close()
        for listener in self._listeners:
            listener.close()
        await self._connections.close()

    # below

    def _check_expiry(self, tls: ServerTls) -> None:
        """Warn of a certificate that peers refuse, now or soon."""
        ends = tls.expires_at
        if ends is not None and ends < self._clock.epoch() + EXPIRY_WARNING_S:
            event = "tls.expired" if ends < self._clock.epoch() else "tls.expires-soon"
            log.warning(event, names=tls.names, until=day(ends))

    def _dial(self, remote: Endpoint, name: str) -> Flow:
        listener = self._best([one for one in self._listeners if _alike(one.local, remote)], remote)
        host = listener.local.host if listener else self._own_host(remote)
        return self._connections.dial(remote, name, host, listener)

    def _udp_to(self, remote: Endpoint, beside: Flow | None) -> UdpFlow:
        listeners = self._udp_by_version[remote.version]
        if len(listeners) > 1 and isinstance(beside, UdpFlow) and beside.listener in listeners:
            if remote.host == beside.remote.host:
                return beside.listener.flow_from(remote.host, remote.port)
            listeners = sorted(listeners, key=lambda one: one is not beside.listener)
        best = self._best(listeners, remote)
        if best is None:
            raise OSError(f"no udp listener over IPv{remote.version}, so {remote} is out of reach")
        return best.flow_from(remote.host, remote.port)

    def _own_host(self, remote: Endpoint) -> str:
        """Where to dial from without a listener of the transport: where others of it are."""
        family = [one for one in self._everything() if one.local.version == remote.version]
        best = self._best(family, remote)
        if best is None:
            raise OSError(f"no listener over IPv{remote.version}, so {remote} is out of reach")
        return best.local.host

    def _best(self, listeners: list[Listener], remote: Endpoint) -> Listener | None:
        """The listener to reach `remote` from: the one that the kernel's route leaves by."""
        if len(listeners) < 2:
            return listeners[0] if listeners else None
        try:
            source = self._routes.source(remote)
        except OSError:
            return listeners[0]
        fitting = [one for one in listeners if one.local.host in (source, "0.0.0.0", "::")]
        return (fitting or listeners)[0]

    def _everything(self) -> list[UdpListener | StreamListener]:
        return [*self._udp, *self._listeners]

    def _unsent(self, remote: Endpoint, error: OSError) -> None:
        """One line about a peer that the kernel cannot send to: no route, or a firewall of ours."""
        if self._throttle.is_new(str(remote), str(error.errno), self._clock.now()):
            log.warning("send.failed", peer=str(remote), error=error.strerror)


def _alike(local: Endpoint, remote: Endpoint) -> bool:
    return (local.transport, local.version) == (remote.transport, remote.version)
