"""One SIP user agent: sockets below, dialogs and transactions inside, a handler above.

Here is what it sends; the way in is `sip.ua.receiver`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sip.clock import Clock
from sip.core.body import SDP
from sip.core.message import MessageError, Request, Response, make_response
from sip.core.parser import reread_request
from sip.core.timers import Timers
from sip.core.uri import Uri, join_hostport
from sip.ids import Ids
from sip.message_log import MessageLog
from sip.trace import Direction, Trace
from sip.transport.advertise import Advertiser, Public
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.layer import TransportLayer
from sip.transport.servers.resolver import Resolver
from sip.transport.stream_limits import StreamLimits
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.ua.client_transaction import ClientTransaction
from sip.ua.dialogs import Dialogs, DialogUser
from sip.ua.doorkeeper import Doorkeeper, OpenDoor
from sip.ua.long_requests import LongRequests
from sip.ua.receiver import Receiver
from sip.ua.refusals import Refusals
from sip.ua.server_transaction import ServerTransaction
from sip.ua.transaction import Failure
from sip.ua.transactions import TransactionLayer
from sip.ua.way_back import way_back_anew


class UserAgent:
    """Listens, sends, and keeps transactions and dialogs apart."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        on_request: Callable[[ServerTransaction], None],
        doorkeeper: Doorkeeper | None = None,
        timers: Timers | None = None,
        public: Public | None = None,
        product: str = "retell-sip-gateway",
        trace: Trace | None = None,
        resolver: Resolver | None = None,
        tcp_above_bytes: int = 1300,
        methods: Iterable[str] = (),
        tls: ClientTls | None = None,
        stream_limits: StreamLimits | None = None,
        keepalive_s: float | None = None,
    ) -> None:
        """`on_request` gets every new request outside a dialog and must answer it.

        `doorkeeper` says what is heard at all (None: everything). `public` are our addresses as
        peers outside this host see them. Requests above `tcp_above_bytes` go over TCP where there
        is any. `methods` are further ones that `on_request` serves: REGISTER, for a registrar.
        `tls`, `stream_limits` and `keepalive_s` are as in `TransportLayer`.
        """
        self.clock = clock
        self.ids = ids
        self.timers = timers or Timers()
        self.resolver = resolver or Resolver(clock, ids)
        self.product = product
        self.refusals = Refusals(methods)
        self._doorkeeper = doorkeeper or OpenDoor()
        self.advertiser = Advertiser(public or Public(), clock)
        self._trace = trace
        #: where messages are logged, if anybody wants to see them
        self.message_log: MessageLog | None = None
        self._dialogs = Dialogs()
        self._flow_watchers: list[Callable[[Flow], None]] = []
        self._transport = TransportLayer(
            clock=clock,
            on_message=self._receive,
            on_flow_lost=self._flow_lost,
            on_flow_deaf=self._flow_deaf,
            on_unreachable=self._unreachable,
            on_broken=self._refuse,
            admit=self._doorkeeper.connection,
            tls=tls,
            limits=stream_limits,
            keepalive_s=keepalive_s,
        )
        self.resolver.reaches = self._transport.reaches
        self.resolver.serves = self._transport.serves
        self._wide = LongRequests(tcp_above_bytes, self._transport.flow_to)
        self._transactions = TransactionLayer(
            clock=clock,
            timers=self.timers,
            transmit=self._transmit,
            reply_flow=self._way_back_anew,
        )
        self._receiver = Receiver(
            self,
            doorkeeper=self._doorkeeper,
            transport=self._transport,
            transactions=self._transactions,
            dialogs=self._dialogs,
            refusals=self.refusals,
            on_request=on_request,
        )

    # life

    async def listen(
        self, local: Endpoint, *, tls: ServerTls | None = None, advertise: str | None = None
    ) -> Endpoint:
        """Open a listener. Raises OSError, for instance when the port is taken."""
        return await self._transport.listen(local, tls=tls, advertise=advertise)

    @property
    def listening(self) -> list[Endpoint]:
        return self._transport.listening

    async def drain(self, timeout_s: float) -> None:
        """Wait until no dialog is left, for `timeout_s` seconds at most."""
        await self._dialogs.drain(timeout_s)

    async def close(self) -> None:
        """Drop every transaction and close every socket."""
        self._transactions.close()
        self._dialogs.drop_all()
        self.resolver.close()
        await self._transport.close()

    @property
    def dropped(self) -> Counter[str]:
        """Messages that went nowhere, by reason: shown as metrics."""
        return self._receiver.dropped

    @property
    def refused_connections(self) -> Counter[str]:
        """Connections of others that came to nothing, by reason in a word: expired, slow, …"""
        return self._transport.refused

    @property
    def gauges(self) -> dict[str, int]:
        """What is open now: all zero when no call is."""
        return {
            "transactions": len(self._transactions),
            "dialogs": len(self._dialogs),
            "connections": self._transport.open_connections,
        }

    # sending

    async def flow_to(self, uri: Uri, beside: Flow | None = None) -> Flow:
        """The flow to the first server of `uri`, or to that of `beside` if it is one of them.

        Raises ResolveError, or OSError.
        """
        targets = await self.resolver.resolve(uri)
        return self._transport.flow_to(_nearest(targets, beside), beside)

    def flow_now(self, uri: Uri, beside: Flow | None = None) -> Flow | None:
        """The same where no name must be looked up, else None. Raises OSError."""
        targets = self.resolver.known(uri)
        if targets is None:
            return None
        return self._transport.flow_to(_nearest(targets, beside), beside)

    def flow_at(self, target: Target) -> Flow:
        """The flow to one server of a name. Raises OSError without a listener of its transport."""
        return self._transport.flow_to(target)

    def flow_anew(self, flow: Flow) -> Flow | None:
        """Another connection to where `flow`, which we made, leads; None where there is none."""
        return self._transport.flow_anew(flow)

    def watch_flows(self, on_lost: Callable[[Flow], None]) -> None:
        """Call `on_lost` for every connection that ends, after its transactions were told."""
        self._flow_watchers.append(on_lost)

    def host(self, flow: Flow, policy: str = "auto") -> str:
        """Our address in Via and Contact towards the peer of `flow`, by its trunk's policy."""
        return self.advertiser.address(policy, flow)

    def media_host(self, flow: Flow, policy: str) -> str:
        """The same, for session descriptions."""
        return self.advertiser.media_address(policy, flow)

    def contact(self, flow: Flow, host: str | None = None, *, secure: bool = False) -> str:
        """Our Contact towards the peer of `flow` (RFC 3261 8.1.1.8), `host` instead of our own.

        `secure` where the request was for a sips URI; a peer that breaks that rule itself, and
        does not come over TLS, is told where it can reach us.
        """
        hostport = self._hostport(flow, host)
        if secure and flow.remote.transport == "tls":
            return f"<sips:{hostport}>"
        return f"<sip:{hostport}{_transport_param(flow)}>"

    def send(
        self,
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None] = lambda _: None,
        *,
        host: str | None = None,
        elsewhere: Callable[[], Flow | None] | None = None,
    ) -> ClientTransaction:
        """Send `request` in a transaction of its own; adds Via and User-Agent.

        `host` stands in the Via instead of our own address. A request that is too long for UDP
        goes over TCP, and over UDP after all if the peer takes none (RFC 3261 18.1.1). Where a
        connection has vanished that worked before, the request goes once more over a new one: to
        the same address, or where `elsewhere` finds the peer, if the connection was the peer's.
        """
        branch = self.ids.branch()
        request.headers.prepend("via", self._via(flow, branch, host))
        request.headers.add("user-agent", self.product)
        data = request.to_bytes()
        way = self._wide.way(len(data), flow, self.clock.now())
        if not way.reliable:
            return self._transactions.send(request, branch, data, flow, on_response, on_failure)

        def another_way(failed: Flow) -> Flow | None:
            if failed.proven:
                found = self._transport.flow_anew(failed)
                if found is None and elsewhere is not None:
                    found = elsewhere()
            elif failed is flow:
                return None  # it never worked: another server may
            else:
                self._wide.avoid(flow, self.clock.now())
                found = flow
            if found is not None and found is not failed:
                request.headers.replace_first("via", self._via(found, branch, host))
                return found
            return None

        if way is not flow:
            request.headers.replace_first("via", self._via(way, branch, host))
            data = request.to_bytes()
        return self._transactions.send(
            request, branch, data, way, on_response, on_failure, another_way
        )

    def send_ack(self, ack: Request, flow: Flow, *, host: str | None = None) -> bytes:
        """Send the ACK to a 2xx, which is no transaction (RFC 3261 13.2.2.4); returns its bytes."""
        ack.headers.prepend("via", self._via(flow, self.ids.branch(), host))
        ack.headers.add("user-agent", self.product)
        data = ack.to_bytes()
        self._transmit(data, flow, ack)
        return data

    def resend_ack(self, data: bytes, flow: Flow) -> None:
        """Send the same ACK again."""
        self._transmit(data, flow, reread_request(data))

    def answer_once(
        self, transaction: ServerTransaction, status: int, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer a request and forget it (RFC 3261 8.2.7): if that gets lost, the peer asks again.

        For what anybody can have us say: nothing is kept, and nothing is sent that was not asked
        for. The ACK that follows is known by its tag.
        """
        request = transaction.request
        response = self.response(request, status, to_tag=self.tag_of(request), headers=headers)
        self._transmit(response.to_bytes(), transaction.flow, response)
        self.forget(transaction)

    def tag_of(self, request: Request) -> str:
        """The To tag of `answer_once`; the INVITE and its ACK have the same."""
        via, cseq = request.via, request.cseq
        sender = request.from_.tag or ""
        return self.ids.tag_of(via.branch or "", request.call_id, sender, str(cseq.number))

    def forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Drop a transaction that its peer never ends, or that is to stay without a response."""
        transaction.abandon()
        self._transactions.forget(transaction)

    def response(
        self,
        request: Request,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        sdp: str | None = None,
    ) -> Response:
        """A response that names our product, with SDP as its body if given.

        Every final response has a To tag (RFC 3261 8.2.6.2); `to_tag` where it matters which.
        """
        if to_tag is None and status >= 200:
            to_tag = self.ids.tag()
        return make_response(
            request,
            status,
            reason,
            to_tag=to_tag,
            headers=(*headers, ("Server", self.product)),
            body=sdp.encode() if sdp else b"",
            content_type=SDP if sdp else None,
        )

    # dialogs

    def open_dialog(self, sip_call_id: str, local_tag: str, user: DialogUser) -> None:
        """Requests with this Call-ID and our tag go to `user` from now on."""
        self._dialogs.open(sip_call_id, local_tag, user)

    def dialog_user(self, sip_call_id: str, local_tag: str) -> DialogUser | None:
        """Who gets the requests of this dialog; None where there is no such dialog."""
        return self._dialogs.find(sip_call_id, local_tag)

    def close_dialog(self, sip_call_id: str, local_tag: str) -> None:
        """Forget a dialog, if it is there."""
        self._dialogs.close(sip_call_id, local_tag)

    def note(
        self, direction: Direction, flow: Flow, message: Request | Response, data: bytes
    ) -> None:
        """Put a message into the trace, for the ladder of its call, and into the log."""
        if self.message_log is not None and self.message_log.wanted:
            self.message_log.add(direction, flow.remote, flow.local, message)
        if self._trace is not None:
            self._trace.add(self.clock, direction, flow.remote, flow.local, message, data)

    # below

    def _receive(self, data: bytes, flow: Flow) -> None:
        self._receiver.receive(data, flow)

    def _refuse(self, flow: Flow, error: MessageError) -> None:
        self._receiver.refuse(flow, error)

    def _flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self._transactions.flow_lost(flow)
        for on_lost in self._flow_watchers:
            on_lost(flow)

    def _flow_deaf(self, flow: Flow) -> None:
        self._transactions.flow_deaf(flow)

    def _unreachable(self, remote: Endpoint, why: str) -> None:
        self._transactions.unreachable(remote, why)

    def _transmit(self, data: bytes, flow: Flow, message: Request | Response) -> None:
        self.note("out", flow, message, data)
        if isinstance(message, Request):
            self._doorkeeper.met(flow.remote)
        flow.send(data)

    def _way_back_anew(self, flow: Flow, response: Response) -> Flow:
        return way_back_anew(self._transport, flow, response)

    def _via(self, flow: Flow, branch: str, host: str | None) -> str:
        transport = flow.remote.transport.upper()
        return f"SIP/2.0/{transport} {self._hostport(flow, host)};rport;branch={branch}"

    def _hostport(self, flow: Flow, host: str | None = None) -> str:
        return join_hostport(self.host(flow) if host is None else host, flow.local.port)


def _nearest(targets: Sequence[Target], beside: Flow | None) -> Target:
    """The first of several servers, or that of `beside` if it is among them."""
    for target in targets[1:]:
        if beside is not None and target.endpoint == beside.remote:
            return target
    return targets[0]


def _transport_param(flow: Flow) -> str:
    return "" if flow.remote.transport == "udp" else f";transport={flow.remote.transport}"
