"""One SIP user agent: sockets below, dialogs and transactions inside, a handler above.

Every received message takes the same way: parse, match to a transaction, check as RFC 3261 8.2
says, then to its dialog or to `on_request`. What nobody explains is dropped and counted.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sip.clock import Clock
from sip.core.body import SDP
from sip.core.message import Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.timers import Timers
from sip.core.uri import Uri, join_hostport
from sip.core.validation import validate
from sip.errors import ParseError
from sip.ids import Ids
from sip.trace import Trace
from sip.transport.address import is_address
from sip.transport.advertise import Advertiser
from sip.transport.endpoint import DEFAULT_PORT, Endpoint, Flow, Target
from sip.transport.layer import TransportLayer
from sip.transport.servers.resolver import Resolver
from sip.transport.stream_limits import StreamLimits
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.ua.long_requests import LongRequests
from sip.ua.refusals import Refusals
from sip.ua.transactions import (
    ClientTransaction,
    Failure,
    ServerKey,
    ServerTransaction,
    TransactionLayer,
    server_key,
)
from sip.ua.via_source import mark_source


class DialogUser(Protocol):
    """Who gets the requests of a dialog: a leg."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """A new in-dialog request; must be answered through `transaction`."""
        ...

    def on_ack(self, ack: Request) -> None:
        """The ACK to our 2xx."""
        ...

    def drop(self) -> None:
        """The user agent closes: stop every timer, say nothing more."""
        ...


class UserAgent:
    """Listens, sends, and keeps transactions and dialogs apart."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        on_request: Callable[[ServerTransaction], None],
        known_source: Callable[[Request | None, Flow], bool] = lambda *_: True,
        may_connect: Callable[[Endpoint], bool] = lambda _: True,
        admit_packet: Callable[[Endpoint], bool] = lambda _: True,
        on_peer: Callable[[Endpoint], None] = lambda _: None,
        timers: Timers | None = None,
        advertise: str | None = None,
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

        `known_source(request, flow)` says whether a stranger's message may be answered at all;
        the request is None where it could not be read; `may_connect(source)` whether it may open a
        connection; `admit_packet(source)` whether what it sends is to be looked at. `on_peer` is
        told whom we send requests to. `advertise` is our address as peers outside this host see
        it. Requests above `tcp_above_bytes` go over TCP where there is any. `methods` are further
        ones that `on_request` serves: REGISTER, for a registrar. `tls`, `stream_limits` and
        `keepalive_s` are as in `TransportLayer`.
        """
        self.clock = clock
        self.ids = ids
        self.timers = timers or Timers()
        self.resolver = resolver or Resolver(clock, ids)
        self.product = product
        self.refusals = Refusals(methods)
        #: messages that went nowhere, by reason: shown as metrics
        self.dropped: Counter[str] = Counter()
        self._on_request = on_request
        self._known_source = known_source
        self._admit_packet = admit_packet
        self._on_peer = on_peer
        self.advertiser = Advertiser(advertise, clock)
        self._trace = trace
        self._dialogs: dict[tuple[str, str], DialogUser] = {}
        self._drained: asyncio.Event | None = None
        self._flow_watchers: list[Callable[[Flow], None]] = []
        self._transport = TransportLayer(
            clock=clock,
            on_message=self._receive,
            on_flow_lost=self._flow_lost,
            on_broken=self._broken,
            admit=may_connect,
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
            reply_flow=self._reply_flow,
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
        """Wait until no dialog is left, but not longer than so many seconds."""
        drained = self._drained = asyncio.Event()
        if self._dialogs:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await drained.wait()

    async def close(self) -> None:
        """Drop every transaction and close every socket."""
        self._transactions.close()
        for user in list(self._dialogs.values()):
            user.drop()
        self._dialogs.clear()
        self.resolver.close()
        await self._transport.close()

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

    def watch_flows(self, on_lost: Callable[[Flow], None]) -> None:
        """Call `on_lost` for every connection that ends, after its transactions were told."""
        self._flow_watchers.append(on_lost)

    def host(self, flow: Flow, policy: str = "auto") -> str:
        """Our address in Via, Contact and SDP towards the peer of `flow`, by its trunk's policy."""
        return self.advertiser.address(policy, flow)

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
    ) -> ClientTransaction:
        """Send `request` in a transaction of its own; adds Via and User-Agent.

        `host` stands in the Via instead of our own address. A request that is too long for UDP
        goes over TCP, and over UDP after all if there is none (RFC 3261 18.1.1).
        """
        branch = self.ids.branch()
        request.headers.prepend("via", self._via(flow, branch, host))
        request.headers.add("user-agent", self.product)
        data = request.to_bytes()
        way = self._wide.way(len(data), flow, self.clock.now())
        if way is flow:
            return self._transactions.send(request, branch, data, flow, on_response, on_failure)

        def failed(failure: Failure) -> None:
            if failure is Failure.TIMEOUT or transaction.flow is flow:
                on_failure(failure)
                return
            self._wide.avoid(flow, self.clock.now())
            request.headers.replace_first("via", self._via(flow, branch, host))
            transaction.restart(flow)

        request.headers.replace_first("via", self._via(way, branch, host))
        data = request.to_bytes()
        transaction = self._transactions.send(request, branch, data, way, on_response, failed)
        return transaction

    def send_ack(self, ack: Request, flow: Flow, *, host: str | None = None) -> bytes:
        """Send the ACK to a 2xx, which is no transaction (RFC 3261 13.2.2.4); answers its bytes."""
        ack.headers.prepend("via", self._via(flow, self.ids.branch(), host))
        ack.headers.add("user-agent", self.product)
        data = ack.to_bytes()
        self._transmit(data, flow, ack)
        return data

    def resend(self, data: bytes, flow: Flow, message: Request | Response) -> None:
        """Send the same bytes again: an ACK, or a 2xx that waits for one."""
        self._transmit(data, flow, message)

    def forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Drop a transaction: its peer never ends it, or gets no answer."""
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
        self._dialogs[sip_call_id, local_tag] = user

    def close_dialog(self, sip_call_id: str, local_tag: str) -> None:
        self._dialogs.pop((sip_call_id, local_tag), None)
        if not self._dialogs and self._drained is not None:
            self._drained.set()

    # receiving

    def _receive(self, data: bytes, flow: Flow) -> None:
        if not data.strip(b"\r\n\0"):
            return  # a keepalive (RFC 5626 4.4.1) or a NAT pinhole packet
        if not self._admit_packet(flow.remote):
            self.dropped["unread"] += 1
            flow.abort()
            return
        try:
            message = parse_message(data)
            validate(message)
            if isinstance(message, Request):
                self._receive_request(message, flow)
            else:
                self._receive_response(message, flow)
        except ParseError as error:
            self._broken(flow, error)

    def _receive_response(self, response: Response, flow: Flow) -> None:
        self._note("in", flow, response)
        if len(response.headers.get_all("via")) > 1:
            self.dropped["misrouted response"] += 1  # RFC 3261 8.1.3.3: it is not for us
            return
        transaction = self._transactions.find_client(response)
        if transaction is None:
            self.dropped["stray response"] += 1
        elif response.status in (401, 407) and not self._may_challenge(transaction, flow):
            self.dropped["foreign challenge"] += 1
        else:
            transaction.receive(response)

    def _may_challenge(self, transaction: ClientTransaction, flow: Flow) -> bool:
        """Only whom we asked may ask for our password; a peer may have several addresses."""
        asked = transaction.flow.remote.host
        return flow.remote.host == asked or self._known_source(None, flow)

    def _receive_request(self, request: Request, flow: Flow) -> None:
        mark_source(request, flow)
        key = server_key(request)
        transaction = self._transactions.find_server(key)
        if transaction is not None:
            self._note("in", flow, request)
            transaction.receive(request)
            return
        tag = request.to.tag
        user = self._dialogs.get((request.call_id, tag)) if tag else None
        if user is not None:
            flow.keep()
        elif not self._known_source(request, flow):
            self.dropped["unknown source"] += 1
            flow.abort()
            return
        self._note("in", flow, request)
        if request.method == "ACK":
            if user is not None:
                user.on_ack(request)
            return
        if request.method == "CANCEL":
            self._cancel(request, flow, key)
            return
        way = self._reply_way(request, flow)
        transaction = self._transactions.open_server(request, way, key)
        if transaction.merged:
            transaction.respond(self.response(request, 482))
            return
        try:
            self._serve(transaction, user)
        except ParseError as error:  # in a field that nobody had read before
            self.dropped["malformed"] += 1
            transaction.respond(self.response(request, error.status, error.reason))

    def _serve(self, transaction: ServerTransaction, user: DialogUser | None) -> None:
        request = transaction.request
        refusal = self.refusals.of(request, in_dialog=user is not None)
        if refusal is None and user is None and self._transactions.is_loop(request):
            refusal = (482, ())
        if refusal is not None:
            status, headers = refusal
            transaction.respond(self.response(request, status, headers=headers))
        elif user is not None:
            user.on_request(transaction)
        else:
            self._on_request(transaction)

    def _cancel(self, request: Request, flow: Flow, key: ServerKey) -> None:
        """RFC 3261 9.2: answer the CANCEL itself, with the To tag of the INVITE, then tell that."""
        invite = self._transactions.find_invite(request)
        transaction = self._transactions.open_server(request, self._reply_way(request, flow), key)
        if invite is None:
            transaction.respond(self.response(request, 481))
            return
        transaction.respond(self.response(request, 200, to_tag=invite.to_tag))
        if not invite.answered:
            invite.on_cancel(request)

    def _broken(self, flow: Flow, error: ParseError) -> None:
        """A message that is none: say so where the sender is known and can be told."""
        self.dropped["malformed"] += 1
        if not self._known_source(None, flow):
            flow.abort()
            return
        request = error.request
        if request is None:
            return
        mark_source(request, flow)
        response = self.response(request, error.status, error.reason)
        self._reply_way(request, flow).send(response.to_bytes())

    def _flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self._transactions.flow_lost(flow)
        for on_lost in self._flow_watchers:
            on_lost(flow)

    # below

    def _transmit(self, data: bytes, flow: Flow, message: Request | Response) -> None:
        self._note("out", flow, message)
        if isinstance(message, Request):
            self._on_peer(flow.remote)
        flow.send(data)

    def _note(self, direction: str, flow: Flow, message: Request | Response) -> None:
        if self._trace is not None:
            self._trace.add(
                self.clock.epoch(),
                "in" if direction == "in" else "out",
                flow.remote,
                flow.local,
                message,
            )

    def _reply_way(self, request: Request, flow: Flow) -> Flow:
        """RFC 3261 18.2.2: without rport (RFC 3581) a UDP response goes to the port in the Via."""
        via = request.via
        port = via.port or DEFAULT_PORT["udp"]
        if flow.reliable or port == flow.remote.port or via.rport is not None:
            return flow
        return self._transport.flow_to(Endpoint("udp", flow.remote.host, port), flow)

    def _reply_flow(self, flow: Flow, response: Response) -> Flow:
        """RFC 3261 18.2.2: a broken connection is opened again to the Via's address."""
        via = response.via
        host = via.received or via.host
        if not is_address(host):
            return flow
        port = via.port or DEFAULT_PORT[flow.remote.transport]
        return self._transport.reply_flow(flow, Endpoint(flow.remote.transport, host, port))

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
