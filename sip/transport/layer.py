"""All listeners and connections of one user agent: in come messages with their flow."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import structlog

from sip.clock import Clock, Timer
from sip.core.message import MessageError
from sip.log_throttle import Throttle
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.source_address import Routes
from sip.transport.stranger_quota import StrangerQuota
from sip.transport.stream import StreamFlow
from sip.transport.stream_limits import ConnectionClock, StreamLimits
from sip.transport.stream_sockets import Connector, StreamListener
from sip.transport.tls.certificate import covers, day
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.transport.tls.session import TlsSession
from sip.transport.udp import UdpFlow, UdpListener

log = structlog.get_logger(__name__)

#: Seconds before its end that a certificate of ours is worth a warning: two weeks.
EXPIRY_WARNING_S = 14 * 86_400.0
#: How often connections are looked after, in seconds.
SWEEP_S = 2.0
#: Names that TLS servers proved are remembered for so many of them.
MAX_NAMES = 1024
STREAMS = ("tcp", "tls")

Listener = TypeVar("Listener", UdpListener, StreamListener, UdpListener | StreamListener)


class TransportLayer:
    """Opens sockets, finds the flow to a peer, reuses connections.

    `on_message(data, flow)` gets every datagram and every framed message;
    `on_flow_lost(flow, error)` a connection that ended or could not be made, `flow.error` says why;
    `on_broken(flow, error)` a stream that lost framing.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_message: Callable[[bytes, Flow], None],
        on_flow_lost: Callable[[Flow, Exception | None], None],
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
        self.clock = clock
        #: connections that strangers were refused or lost, by reason: shown as metrics
        self.refused: Counter[str] = Counter()
        self._on_message = on_message
        self._on_flow_lost = on_flow_lost
        self._on_broken = on_broken
        self._admit = admit
        self._tls = tls or ClientTls()
        self._limits = limits or StreamLimits()
        self._keepalive_s = keepalive_s
        self._udp: list[UdpListener] = []
        self._udp_by_version: dict[int, list[UdpListener]] = {4: [], 6: []}
        self._listeners: list[StreamListener] = []
        self._dialler = Connector()
        self._flows: set[StreamFlow] = set()
        self._by_endpoint: dict[Endpoint, StreamFlow] = {}
        self._by_name: dict[Target, StreamFlow] = {}
        self._names: dict[Endpoint, str] = {}
        self._quota = StrangerQuota(self._limits)
        self._throttle = Throttle()
        self._routes = Routes(clock)
        self._sweeper: Timer | None = None

    async def listen(
        self, local: Endpoint, *, tls: ServerTls | None = None, advertise: str | None = None
    ) -> Endpoint:
        """Open a listener; answers the bound endpoint. Raises OSError when it cannot.

        `tls` is the certificate of a TLS listener; `advertise` the address that peers are told
        instead of the listener's own.
        """
        if local.transport == "udp":
            udp = UdpListener(local, self._on_message, self._unsent, advertise)
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
        await listener.start(lambda at: self._accept(at, tls))
        if tls is not None:
            self._look_at(tls)
        return listener.local

    @property
    def listening(self) -> list[Endpoint]:
        """The endpoints that are open."""
        return [one.local for one in self._everything()]

    @property
    def open_connections(self) -> int:
        return len(self._flows)

    def serves(self, transport: str) -> bool:
        """Whether we listen on this transport: it may be chosen where a URI leaves it open."""
        return any(local.transport == transport for local in self.listening)

    def reaches(self, transport: str, family: int) -> bool:
        """Whether we can send over this transport and address family (4 or 6).

        A connection can be dialled without a listener, but not over a family that nobody
        configured.
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
        to = self._as_known(to)
        if remote.transport not in STREAMS:
            raise OSError(f"there is no transport {remote.transport}, so {remote} is out of reach")
        flow = self._live(to, remote)
        if flow is not None:
            flow.keep()
            return flow
        if isinstance(to, Target):
            return self._dial(remote, to.name)
        if self.serves(remote.transport):
            return self._dial(remote, remote.host)
        raise OSError(f"no {remote.transport} listener is configured, so {remote} is out of reach")

    def reply_flow(self, flow: Flow, via: Endpoint) -> Flow:
        """Where a response goes: back on its flow, or to `via` if the connection is gone.

        RFC 3261 18.2.2.
        """
        return flow if not flow.closed else self.flow_to(via)

    async def close(self) -> None:
        """Close every socket and connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for udp in self._udp:
            udp.close()
        for listener in self._listeners:
            listener.close()
        await self._dialler.close()
        for flow in list(self._flows):
            flow.end()

    # StreamOwner

    def on_stream_open(self, flow: StreamFlow) -> bool:
        if not flow.accepted:
            return True
        if not self._admit(flow):
            return False
        if not self._quota.enter(flow.remote.host):
            flow.refuse("too many", "strangers hold too many connections")
            self._tell(flow)
            return False
        self._add(flow)
        self._by_endpoint[flow.remote] = flow
        return True

    def on_stream_message(self, data: bytes, flow: StreamFlow) -> None:
        self._on_message(data, flow)

    def on_stream_proven(self, flow: StreamFlow) -> None:
        if flow.accepted:
            return
        self._throttle.forget(str(flow.remote))
        if flow.remote.transport == "tls" and flow.name is not None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            self._names[flow.remote] = flow.name

    def on_stream_kept(self, flow: StreamFlow) -> None:
        if flow in self._flows:
            self._quota.leave(flow.remote.host)

    def on_stream_broken(self, flow: StreamFlow, error: MessageError) -> None:
        self._on_broken(flow, error)

    def on_stream_lost(self, flow: StreamFlow, error: Exception | None) -> None:
        if flow not in self._flows:
            return
        self._flows.discard(flow)
        if self._by_endpoint.get(flow.remote) is flow:
            del self._by_endpoint[flow.remote]
        target = Target(flow.remote, flow.name or "")
        if self._by_name.get(target) is flow:
            del self._by_name[target]
        if flow.accepted and not flow.connection_clock.kept:
            self._quota.leave(flow.remote.host)
        self._tell(flow)
        self._on_flow_lost(flow, error)

    # below

    def _look_at(self, tls: ServerTls) -> None:
        """A certificate that nobody will accept, now or soon, is worth a line."""
        ends = tls.expires_at
        if ends is not None and ends < self.clock.epoch() + EXPIRY_WARNING_S:
            word = "has expired" if ends < self.clock.epoch() else "expires soon"
            log.warning(f"TLS certificate {word}", names=tls.names, until=day(ends))

    def _as_known(self, to: Target | Endpoint) -> Target | Endpoint:
        """A TLS server by the name that it proved here, where only its address is known."""
        if isinstance(to, Target) and to.name == to.endpoint.host and to.endpoint in self._names:
            return Target(to.endpoint, self._names[to.endpoint])
        return to

    def _accept(self, listener: StreamListener, tls: ServerTls | None) -> StreamFlow:
        nobody = Endpoint(listener.local.transport, "", 0)  # known once it is connected
        session = None
        if tls is not None:
            session = functools.partial(_server_session, tls, self.clock.epoch)
        return StreamFlow(
            self,
            listener.local,
            nobody,
            self._connection_clock(ours=False),
            accepted=True,
            tls=session,
            advertise=listener.advertise,
        )

    def _live(self, to: Target | Endpoint, remote: Endpoint) -> StreamFlow | None:
        flow = self._by_endpoint.get(remote)
        if isinstance(to, Target) and remote.transport == "tls" and to.name != remote.host:
            # the address alone is no proof of a name: others may share it behind one NAT
            proven = flow is not None and flow.accepted and covers(flow.peer_names, to.name)
            flow = flow if proven else self._by_name.get(Target(remote, to.name.lower()))
        return None if flow is None or flow.closed else flow

    def _dial(self, remote: Endpoint, name: str) -> StreamFlow:
        """A flow to `remote` that is being made; it may be sent on at once."""
        name = name.lower()
        secure = remote.transport == "tls"

        def session() -> TlsSession:
            return TlsSession(self._tls.context(), name=name, epoch=self.clock.epoch)

        listener = self._best([one for one in self._listeners if _alike(one.local, remote)], remote)
        host = listener.local.host if listener else self._own_host(remote)
        connection = self._dialler.bind(host, known_port=listener is None)
        port = listener.local.port if listener else connection.getsockname()[1]
        flow = StreamFlow(
            self,
            Endpoint(remote.transport, host, port),
            remote,
            self._connection_clock(ours=True),
            accepted=False,
            tls=session if secure else None,
            name=name,
            advertise=listener.advertise if listener else None,
        )
        self._add(flow)
        self._by_endpoint[remote] = flow
        if secure:
            self._by_name[Target(remote, name)] = flow
        self._dialler.dial(flow, connection)
        return flow

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

    def _add(self, flow: StreamFlow) -> None:
        self._flows.add(flow)
        if self._sweeper is None:
            self._sweeper = self.clock.call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.clock.now()
        for flow in list(self._flows):
            flow.check(now)
        if self._flows:
            self._sweeper = self.clock.call_later(SWEEP_S, self._sweep)

    def _connection_clock(self, *, ours: bool) -> ConnectionClock:
        return ConnectionClock(
            self.clock.now(), ours=ours, limits=self._limits, keepalive_s=self._keepalive_s
        )

    def _unsent(self, remote: Endpoint, error: OSError) -> None:
        """One line about a peer to whom the kernel sends nothing: no route, a firewall of ours."""
        if self._throttle.is_new(str(remote), str(error.errno), self.clock.now()):
            log.warning("cannot send", peer=str(remote), reason=error.strerror)

    def _tell(self, flow: StreamFlow) -> None:
        """One line about a connection that we or the peer would not have."""
        kind = flow.refusal
        about = flow.remote.host if flow.accepted else str(flow.remote)
        if kind is None or (kind == "idle" and not flow.accepted):
            return
        if flow.accepted:
            self.refused[kind] += 1
        if self._throttle.is_new(about, kind, self.clock.now()):
            what = "connection refused" if flow.accepted else "connection failed"
            log.warning(what, peer=str(flow.remote), reason=flow.error)


def _server_session(tls: ServerTls, epoch: Callable[[], float]) -> TlsSession:
    return TlsSession(tls.context(), name=None, epoch=epoch)


def _alike(local: Endpoint, remote: Endpoint) -> bool:
    return (local.transport, local.version) == (remote.transport, remote.version)
