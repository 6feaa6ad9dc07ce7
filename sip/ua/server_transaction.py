"""A request of a peer, and our answers to it (RFC 3261 17.2)."""

from collections.abc import Callable

from sip.core.message import Request, Response
from sip.core.parser import reread_response
from sip.core.transaction import Action, Input, Kind, State
from sip.ids import MAGIC_COOKIE
from sip.transport.endpoint import Flow
from sip.ua.transaction import Layer, Transaction, ignore

ServerKey = tuple[str | int | None, ...]
MergeKey = tuple[str, str, int, str]


class ServerTransaction(Transaction):
    """A request of a peer and our answers to it.

    `on_cancel` is called when the peer cancels this INVITE, `on_ack` for an ACK to our 2xx that
    came in this transaction (an RFC 2543 peer's; others send it in the dialog). `to_tag` is the tag
    that the answers bear, once it is known. `merged` says that the same request reached us by
    another path before (RFC 3261 8.2.2.2).
    """

    __slots__ = ("_last", "_request", "key", "merge_key", "merged", "on_ack", "on_cancel", "to_tag")

    def __init__(self, layer: Layer, request: Request, flow: Flow, key: ServerKey) -> None:
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        super().__init__(layer, kind, flow)
        self._request: Request | None = request
        self.key = key
        self.merge_key = _merge_key(request)
        self.merged = False
        self.on_cancel: Callable[[Request], None] = ignore
        self.on_ack: Callable[[Request], None] = ignore
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
        self.to_tag = self.to_tag or response.to_tag
        if response.status < 200:
            self._step(Input.PROVISIONAL, response)
            return
        self._request = None
        self._step(Input.SUCCESS if response.status < 300 else Input.FAILURE, response)

    def receive(self, request: Request) -> None:
        """The request again, or the ACK to our failure."""
        self._step(Input.ACK if request.method == "ACK" else Input.REQUEST, request)

    def release(self) -> None:
        self.on_cancel = ignore
        self.on_ack = ignore

    def _do(self, action: Action, message: Request | Response | None) -> None:
        if action is Action.SEND and self._last:
            response = message if isinstance(message, Response) else reread_response(self._last)
            if self.flow.closed:
                self.flow = self._layer.reply_flow(self.flow, response)
            self._layer.transmit(self._last, self.flow, response)
        elif action is Action.PASS and isinstance(message, Request):
            self.on_ack(message)


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
