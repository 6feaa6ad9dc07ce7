"""Runs the transaction machines: matches messages to them, starts their timers, sends for them.

RFC 3261 17. The machines themselves are tables in `sip.core.transaction`.
"""

from collections.abc import Callable
from enum import Enum, auto

from sip.clock import Clock
from sip.clock import Timer as Running
from sip.core.header_values import parse_via
from sip.core.message import Headers, Request, Response
from sip.core.parser import reread_request, reread_response
from sip.core.timers import RETRANSMISSION, Timer, Timers
from sip.core.transaction import LINGERING, Action, Input, Kind, Machine, State
from sip.errors import ParseError
from sip.ids import MAGIC_COOKIE
from sip.transport.endpoint import Flow
from sip.ua.lingering import Lingering

ClientKey = tuple[str, str]
ServerKey = tuple[str | int | None, ...]
MergeKey = tuple[str, str, int, str]


class Failure(Enum):
    """Why a client transaction ended without a response."""

    TIMEOUT = auto()
    """no response came in 64*T1 (RFC 3261 8.1.3.1: treat as 408)"""
    UNREACHABLE = auto()
    """the transport failed (treat as 503)"""


class _Transaction:
    """What both sides share: a machine, its running timers, its owner."""

    __slots__ = ("_layer", "_running", "flow", "machine")

    def __init__(self, layer: "TransactionLayer", kind: Kind, flow: Flow) -> None:
        self._layer = layer
        self.flow = flow
        self.machine = Machine(kind, flow.reliable, layer.timers)
        self._running: dict[Timer, Running] = {}

    def _step(self, event: Input | Timer, message: Request | Response | None = None) -> None:
        before = self.machine.state
        actions = self.machine.step(event)
        if self._running and self.machine.state is not before:
            self._stop_timers()
        for action in actions:
            if isinstance(action, Timer):
                self._start(action)
            else:
                self._do(action, message)
        if self.machine.state is State.TERMINATED and before is not State.TERMINATED:
            self._layer.forget(self)

    def _start(self, timer: Timer) -> None:
        delay_s = self.machine.start_s(timer)
        if delay_s is None:
            return
        if timer in LINGERING:
            self._layer.lingering.add(self, timer, delay_s)
        else:
            self._running[timer] = self._layer.clock.call_later(delay_s, self.fire, timer)

    def fire(self, timer: Timer) -> None:
        """The time of `timer` is over."""
        self._running.pop(timer, None)
        self._step(timer)

    def _stop_timers(self) -> None:
        for timer in tuple(self._running):
            if not self.machine.outlives(timer):
                self._running.pop(timer).cancel()

    def _do(self, action: Action, message: Request | Response | None) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """Let go of the user: it holds the transaction, and two that hold each other stay."""
        raise NotImplementedError

    def transport_failed(self) -> None:
        """The flow is lost."""
        self._step(Input.TRANSPORT_ERROR)

    def abandon(self) -> None:
        """Forget everything at once; for closing down."""
        self.machine.state = State.TERMINATED
        self._stop_timers()


class ClientTransaction(_Transaction):
    """A request of ours and what came back for it, which goes to `on_response`.

    Once it has its final response it remembers, for half a minute, no more than the bytes of what
    it sent: a message is some thirty objects, which the garbage collector would have to walk.
    """

    __slots__ = ("_data", "_on_failure", "_request", "key", "on_response")

    def __init__(
        self,
        layer: "TransactionLayer",
        request: Request,
        branch: str,
        data: bytes,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
    ) -> None:
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        super().__init__(layer, kind, flow)
        self._request: Request | None = request
        self.key: ClientKey = (branch, request.method)
        self._data = data
        self.on_response = on_response
        self._on_failure = on_failure

    @property
    def request(self) -> Request:
        """What we asked; after its final response it is read again from its bytes."""
        return self._request or reread_request(self._data)

    def start(self) -> None:
        self._step(Input.START)

    def receive(self, response: Response) -> None:
        if response.status < 200:
            self._step(Input.PROVISIONAL, response)
            return
        self._step(Input.SUCCESS if response.status < 300 else Input.FAILURE, response)
        self._request = None
        self._on_failure = _ignore
        if self.machine.state is State.COMPLETED:  # nothing more is passed on
            self.on_response = _ignore

    def restart(self, flow: Flow) -> None:
        """Send the request, whose Via has changed, anew over `flow`: the way before failed."""
        self.flow = flow
        self.machine = Machine(self.machine.kind, flow.reliable, self._layer.timers)
        self._data = self.request.to_bytes()
        self.start()

    def stop_resending(self) -> None:
        """The request is withdrawn: leave a peer asleep that has slept until now."""
        for timer in RETRANSMISSION & self._running.keys():
            self._running.pop(timer).cancel()

    def cancel(
        self, headers: tuple[tuple[str, str], ...], on_failure: Callable[[Failure], None]
    ) -> None:
        """Send CANCEL for this INVITE (RFC 3261 9.1); only after a provisional response."""
        request = self._hop_by_hop("CANCEL", self.request.headers.get("to") or "")
        for name, value in headers:
            request.headers.add(name, value)
        branch, _ = self.key
        self._layer.send(request, branch, request.to_bytes(), self.flow, _ignore, on_failure)

    def _do(self, action: Action, message: Request | Response | None) -> None:
        match action:
            case Action.SEND:
                self._layer.transmit(self._data, self.flow, self.request)
            case Action.ACK:
                if isinstance(message, Response):
                    ack = self._hop_by_hop("ACK", message.headers.get("to") or "")
                    self._layer.transmit(ack.to_bytes(), self.flow, ack)
            case Action.PASS:
                if isinstance(message, Response):
                    self.on_response(message)
            case Action.TIMEOUT:
                self._on_failure(Failure.TIMEOUT)
            case Action.UNREACHABLE:
                self._on_failure(Failure.UNREACHABLE)

    def release(self) -> None:
        self.on_response = _ignore
        self._on_failure = _ignore

    def _hop_by_hop(self, method: str, to: str) -> Request:
        """ACK to a failure (RFC 3261 17.1.1.3) or CANCEL (9.1): same branch, route, From."""
        invite = self.request
        headers = Headers()
        headers.add("via", invite.headers.get("via") or "")
        for route in invite.headers.get_all("route"):
            headers.add("route", route)
        headers.add("max-forwards", "70")
        headers.add("from", invite.headers.get("from") or "")
        headers.add("to", to)
        headers.add("call-id", invite.call_id)
        headers.add("cseq", f"{invite.cseq.number} {method}")
        return Request(method, invite.uri, headers)


class ServerTransaction(_Transaction):
    """A request of a peer and our answers to it.

    `on_cancel` is called when the peer cancels this INVITE, `on_ack` for an ACK to our 2xx that
    came in this transaction (an RFC 2543 peer's; others send it in the dialog). `to_tag` is the tag
    that the answers bear, once it is known. `merged` says that the same request reached us by
    another path before (RFC 3261 8.2.2.2).
    """

    __slots__ = ("_last", "_request", "key", "merge_key", "merged", "on_ack", "on_cancel", "to_tag")

    def __init__(
        self, layer: "TransactionLayer", request: Request, flow: Flow, key: ServerKey
    ) -> None:
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        super().__init__(layer, kind, flow)
        self._request: Request | None = request
        self.key = key
        self.merge_key = _merge_key(request)
        self.merged = False
        self.on_cancel: Callable[[Request], None] = _ignore
        self.on_ack: Callable[[Request], None] = _ignore
        self.to_tag: str | None = None
        self._last = b""

    @property
    def request(self) -> Request:
        """What the peer asked, until it has its final response.

        From then on a transaction remembers, for half a minute, no more than what it would send
        again: a flood of requests is to cost little.
        """
        assert self._request is not None, "the request has its final response"
        return self._request

    @property
    def answered(self) -> bool:
        """Whether a final response was sent."""
        return self.machine.state not in (State.TRYING, State.PROCEEDING)

    def respond(self, response: Response) -> None:
        """Send `response`; ignored when a final one went out before (a 2xx may be repeated)."""
        if self.answered and self.machine.state is not State.ACCEPTED:
            return
        self._last = response.to_bytes()
        self.to_tag = self.to_tag or response.to.tag
        if response.status < 200:
            self._step(Input.PROVISIONAL, response)
            return
        self._request = None
        self._step(Input.SUCCESS if response.status < 300 else Input.FAILURE, response)

    def receive(self, request: Request) -> None:
        """The request again, or the ACK to our failure."""
        self._step(Input.ACK if request.method == "ACK" else Input.REQUEST, request)

    def release(self) -> None:
        self.on_cancel = _ignore
        self.on_ack = _ignore

    def _do(self, action: Action, message: Request | Response | None) -> None:
        if action is Action.SEND and self._last:
            response = message if isinstance(message, Response) else reread_response(self._last)
            if self.flow.closed:
                self.flow = self._layer.reply_flow(self.flow, response)
            self._layer.transmit(self._last, self.flow, response)
        elif action is Action.PASS and isinstance(message, Request):
            self.on_ack(message)


class TransactionLayer:
    """All live transactions of one user agent."""

    def __init__(
        self,
        *,
        clock: Clock,
        timers: Timers,
        transmit: Callable[[bytes, Flow, Request | Response], None],
        reply_flow: Callable[[Flow, Response], Flow],
    ) -> None:
        """`transmit` sends; `reply_flow` finds the way for a response whose connection is gone."""
        self.clock = clock
        self.timers = timers
        self.transmit = transmit
        self.reply_flow = reply_flow
        self._clients: dict[ClientKey, ClientTransaction] = {}
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._merges: dict[MergeKey, ServerTransaction] = {}
        self.lingering = Lingering(clock)

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def send(
        self,
        request: Request,
        branch: str,
        data: bytes,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
    ) -> ClientTransaction:
        """Start a client transaction for `request`, whose top Via is ours with this `branch`.

        `data` is its text.
        """
        transaction = ClientTransaction(self, request, branch, data, flow, on_response, on_failure)
        self._clients[transaction.key] = transaction
        transaction.start()
        if flow.closed:  # it broke, or could not be made, before the transaction was known
            self.clock.call_later(0.0, transaction.transport_failed)
        return transaction

    def find_client(self, response: Response) -> ClientTransaction | None:
        """The request of ours that `response` answers (RFC 3261 17.1.3)."""
        return self._clients.get((response.branch or "", response.cseq.method))

    def find_server(self, key: ServerKey) -> ServerTransaction | None:
        """The transaction that the request with this `key` repeats or acknowledges."""
        return self._servers.get(key)

    def find_invite(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that `cancel` cancels (RFC 3261 9.2)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def is_loop(self, request: Request) -> bool:
        """RFC 3261 16.3: a request of ours, still open, that came back to us."""
        below = request.headers.get_all("via")[1:]
        return bool(below) and any((_branch(via), request.method) in self._clients for via in below)

    def open_server(self, request: Request, flow: Flow, key: ServerKey) -> ServerTransaction:
        """A new server transaction, for a request whose `key` is new."""
        transaction = ServerTransaction(self, request, flow, key)
        transaction.merged = transaction.merge_key in self._merges and not request.to.tag
        self._servers[key] = transaction
        self._merges[transaction.merge_key] = transaction
        return transaction

    def forget(self, transaction: _Transaction) -> None:
        """Called by a transaction that has terminated."""
        transaction.release()
        if isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
        elif isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            if self._merges.get(transaction.merge_key) is transaction:
                del self._merges[transaction.merge_key]

    def flow_lost(self, flow: Flow) -> None:
        """Tell the client transactions on a broken connection."""
        for client in [client for client in self._clients.values() if client.flow is flow]:
            client.transport_failed()

    def close(self) -> None:
        """Drop all transactions and their timers."""
        for transaction in (*self._clients.values(), *self._servers.values()):
            transaction.abandon()
            transaction.release()
        self._clients.clear()
        self._servers.clear()
        self._merges.clear()
        self.lingering.stop()


def _ignore(_: object) -> None:
    """A callback of which nothing is expected any more."""


def server_key(request: Request, method: str | None = None) -> ServerKey:
    """RFC 3261 17.2.3: branch, sent-by and method; the ACK belongs to its INVITE.

    A branch without the magic cookie comes from an RFC 2543 element: match by the older rules.
    """
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.via
    branch = via.branch or ""
    if branch.startswith(MAGIC_COOKIE):
        return (branch, via.host.lower(), via.port, method)
    return (
        request.uri,
        request.from_.tag or "",
        request.call_id,
        request.cseq.number,
        request.headers.get("via") or "",
        method,
    )


def _merge_key(request: Request) -> MergeKey:
    """What a merged request shares with the one that came first."""
    cseq = request.cseq
    return (request.call_id, request.from_.tag or "", cseq.number, cseq.method)


def _branch(via: str) -> str:
    """The branch of a Via below the topmost, which `validate` lets pass unread."""
    try:
        return parse_via(via.strip()).branch or ""
    except ParseError:
        return ""
