"""Runs the transaction machines: matches messages to them, starts their timers, sends for them.

RFC 3261 17. The machines themselves are tables in `sip.core.transaction`.
"""

from collections.abc import Callable
from enum import Enum, auto

from sip.clock import Clock
from sip.clock import Timer as Running
from sip.core.header_values import parse_via
from sip.core.message import Headers, Request, Response
from sip.core.parser import reread
from sip.core.timers import RETRANSMISSION, Timer, Timers
from sip.core.transaction import FIRST_STATE, Action, Input, Kind, Machine, State
from sip.errors import ParseError
from sip.ids import MAGIC_COOKIE
from sip.transport.endpoint import Endpoint, Flow

ClientKey = tuple[str, str]
ServerKey = tuple[str | int | None, ...]
MergeKey = tuple[str, str, int, str]
#: From the flow that failed to the one to try instead.
AnotherWay = Callable[[Flow], Flow | None]
_OPEN = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})


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
        if delay_s is not None:
            self._running[timer] = self._layer.clock.call_later(delay_s, self._fire, timer)

    def _fire(self, timer: Timer) -> None:
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
    """A request of ours and what came back for it."""

    __slots__ = (
        "_another_way",
        "_data",
        "_on_failure",
        "_on_response",
        "key",
        "problem",
        "request",
    )

    def __init__(
        self,
        layer: "TransactionLayer",
        request: Request,
        branch: str,
        data: bytes,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
        another_way: AnotherWay | None,
    ) -> None:
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        super().__init__(layer, kind, flow)
        self.request = request
        self.key: ClientKey = (branch, request.method)
        self._data = data
        self._on_response = on_response
        self._on_failure = on_failure
        self._another_way = another_way
        #: a sentence: why the transport failed, where it was not a connection that did
        self.problem: str | None = None

    def start(self) -> None:
        self._step(Input.START)

    def receive(self, response: Response) -> None:
        if response.status < 200:
            self._step(Input.PROVISIONAL, response)
        elif response.status < 300:
            self._step(Input.SUCCESS, response)
        else:
            self._step(Input.FAILURE, response)

    @property
    def _open(self) -> bool:
        """Whether it still waits for its final response."""
        return self.machine.state in _OPEN

    @property
    def begins_a_call(self) -> bool:
        return self.request.method == "INVITE" and not self.request.to.tag

    @property
    def unheard(self) -> bool:
        """Whether no response has come yet."""
        return self.machine.state in FIRST_STATE.values()

    def transport_failed(self) -> None:
        if not (self._open and self._go_another_way()):
            super().transport_failed()

    def fell_silent(self) -> None:
        """Nothing came by the connection since the request went out."""
        if self.unheard:
            self._go_another_way()

    def _go_another_way(self) -> bool:
        """Send the request once more by another way, where there is one that was not tried."""
        another_way, self._another_way = self._another_way, None
        flow = another_way(self.flow) if another_way is not None else None
        if flow is None:
            return False
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()
        self.flow = flow
        self.machine = Machine(self.machine.kind, flow.reliable, self._layer.timers)
        self._data = self.request.to_bytes()
        self.start()
        self._layer.watch(self)
        return True

    def stop_resending(self) -> None:
        """The request is withdrawn: leave a peer asleep that has slept until now."""
        self._another_way = None
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
                    self._on_response(message)
            case Action.TIMEOUT:
                self._on_failure(Failure.TIMEOUT)
            case Action.UNREACHABLE:
                self._on_failure(Failure.UNREACHABLE)

    def release(self) -> None:
        self._on_response = _ignore
        self._on_failure = _ignore
        self._another_way = None

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

    @property
    def ongoing(self) -> bool:
        """Whether it waits for its final response, or has begun a call. What was refused, or has
        had all that it asked for, may be asked again with the same identifiers."""
        return not self.answered or self.machine.state is State.ACCEPTED

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
            response = message if isinstance(message, Response) else reread(self._last)
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
        another_way: AnotherWay | None = None,
    ) -> ClientTransaction:
        """Start a client transaction for `request`, whose top Via is ours with this `branch`.

        `data` is its text. Where its connection fails, or falls silent, `another_way` is asked
        once: it gets that flow, and gives the one to use instead, for which it has changed the Via
        of `request`, or None.
        """
        transaction = ClientTransaction(
            self, request, branch, data, flow, on_response, on_failure, another_way
        )
        self._clients[transaction.key] = transaction
        transaction.start()
        self.watch(transaction)
        return transaction

    def watch(self, transaction: ClientTransaction) -> None:
        """Its flow may have broken, or not have come up, before the transaction was known."""
        if transaction.flow.closed:
            self.clock.call_later(0.0, transaction.transport_failed)

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
        ongoing = self._merges.get(transaction.merge_key)
        transaction.merged = ongoing is not None and ongoing.ongoing and not request.to.tag
        self._servers[key] = transaction
        if not transaction.merged:
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

    def flow_deaf(self, flow: Flow) -> None:
        """Nothing came by a connection since a request went out."""
        for client in [client for client in self._clients.values() if client.flow is flow]:
            client.fell_silent()

    def unreachable(self, remote: Endpoint, why: str) -> None:
        """RFC 3261 18.4: nothing can be sent to `remote` over UDP.

        An INVITE that begins a call fails at once, as there may be another server. All others are
        sent again as ever: a peer that restarts is to lose no call, and no registration.
        """
        for client in [
            client
            for client in self._clients.values()
            if client.flow.remote == remote and client.unheard and client.begins_a_call
        ]:
            client.problem = why
            client.transport_failed()

    def close(self) -> None:
        """Drop all transactions and their timers."""
        for transaction in (*self._clients.values(), *self._servers.values()):
            transaction.abandon()
            transaction.release()
        self._clients.clear()
        self._servers.clear()
        self._merges.clear()


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
