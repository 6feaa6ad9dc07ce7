"""The connections of one user agent: those that came, those that we made, and their end."""

import functools
from collections import Counter
from collections.abc import Callable

import structlog

from sip.clock import Clock, Timer
from sip.core.message import MessageError
from sip.log_throttle import Throttle
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.stranger_quota import StrangerQuota
from sip.transport.stream import StreamFlow
from sip.transport.stream_limits import ConnectionClock, StreamLimits
from sip.transport.stream_sockets import Connector, StreamListener
from sip.transport.tls.certificate import covers
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.transport.tls.session import TlsSession

log = structlog.get_logger(__name__)

#: Seconds between two looks at what is due on the connections.
SWEEP_S = 1.0
#: Most names of TLS servers that are remembered, as they proved them.
MAX_NAMES = 1024


class Connections:
    """Makes, takes, finds and ends connections; owns every `StreamFlow` (`StreamOwner`).

    The callbacks are those of `TransportLayer`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_message: Callable[[bytes, Flow], None],
        on_flow_lost: Callable[[Flow, Exception | None], None],
        on_flow_deaf: Callable[[Flow], None],
        on_broken: Callable[[Flow, MessageError], None],
        admit: Callable[[Flow], bool],
        tls: ClientTls | None,
        limits: StreamLimits | None,
        keepalive_s: float | None,
    ) -> None:
        self.clock = clock
        #: connections that strangers were refused or lost, by reason: shown as metrics
        self.refused: Counter[str] = Counter()
        self._on_message = on_message
        self._on_flow_lost = on_flow_lost
        self._on_flow_deaf = on_flow_deaf
        self._on_broken = on_broken
        self._admit = admit
        self._tls = tls or ClientTls()
        self._limits = limits or StreamLimits()
        self._keepalive_s = keepalive_s
        self._connector = Connector()
        self._flows: set[StreamFlow] = set()
        self._by_endpoint: dict[Endpoint, StreamFlow] = {}
        self._by_name: dict[Target, StreamFlow] = {}
        self._names: dict[Endpoint, str] = {}
        self._quota = StrangerQuota(self._limits)
        self._throttle = Throttle()
        self._sweeper: Timer | None = None

    def __len__(self) -> int:
        return len(self._flows)

    async def close(self) -> None:
        """Give up what is being connected, and end every connection in good order."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await self._connector.close()
        for flow in list(self._flows):
            flow.end()

    def as_known(self, to: Target | Endpoint) -> Target | Endpoint:
        """A TLS server by the name that it proved here, where only its address is known."""
        if isinstance(to, Target) and to.name == to.endpoint.host and to.endpoint in self._names:
            return Target(to.endpoint, self._names[to.endpoint])
        return to

    def accept(self, listener: StreamListener, tls: ServerTls | None) -> StreamFlow:
        """The flow of a connection that `listener` takes; `tls` is its certificate."""
        unknown = Endpoint(listener.local.transport, "", 0)  # known once it is connected
        session = None
        if tls is not None:
            session = functools.partial(_server_session, tls, self.clock.epoch)
        return StreamFlow(
            self,
            listener.local,
            unknown,
            self._connection_clock(ours=False),
            accepted=True,
            tls=session,
            advertise=listener.advertise,
        )

    def live(self, to: Target | Endpoint, remote: Endpoint) -> StreamFlow | None:
        """The open connection to `remote`, which serves the name of `to`; None without one.

        One that has fallen silent after a request of ours is left to itself: a connection may
        vanish without a word, such as behind a NAT that was restarted.
        """
        flow = self._by_endpoint.get(remote)
        if isinstance(to, Target) and remote.transport == "tls" and to.name != remote.host:
            # the address alone is no proof of a name: others may share it behind one NAT
            proven = flow is not None and flow.accepted and covers(flow.peer_names, to.name)
            flow = flow if proven else self._by_name.get(Target(remote, to.name.lower()))
        return None if flow is None or flow.closed or flow.deaf else flow

    def dial(
        self, remote: Endpoint, name: str, host: str, listener: StreamListener | None
    ) -> StreamFlow:
        """A flow to `remote` that is being made; it may be sent on at once.

        It leaves from `host`, and shows the port of `listener` to the peer if there is one. Raises
        OSError.
        """
        name = name.lower()
        secure = remote.transport == "tls"

        def session() -> TlsSession:
            return TlsSession(self._tls.context(), name=name, epoch=self.clock.epoch)

        connection = self._connector.bind(host, known_port=listener is None)
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
        self._connector.dial(flow, connection)
        return flow

    # what happens on connections

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

    def on_stream_deaf(self, flow: StreamFlow) -> None:
        self._on_flow_deaf(flow)

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

    def _tell(self, flow: StreamFlow) -> None:
        """One line about a connection that we or the peer would not have."""
        kind = flow.refusal
        about = flow.remote.host if flow.accepted else str(flow.remote)
        if kind is None or (kind == "idle" and not flow.accepted):
            return
        if flow.accepted:
            self.refused[kind] += 1
        if self._throttle.is_new(about, kind, self.clock.now()):
            event = "connection.refused" if flow.accepted else "connection.failed"
            log.warning(event, peer=str(flow.remote), reason=flow.error)


def _server_session(tls: ServerTls, epoch: Callable[[], float]) -> TlsSession:
    return TlsSession(tls.context(), name=None, epoch=epoch)
