"""A request of ours: sent, sent again, sent another way, and what came back (RFC 3261 17.1)."""

from collections.abc import Callable
from typing import Final

from sip.core.message import Headers, Request, Response
from sip.core.parser import reread_request
from sip.core.timers import RETRANSMISSION
from sip.core.transaction import FIRST_STATE, Action, Input, Kind, Machine, State
from sip.transport.endpoint import Flow
from sip.ua.transaction import Failure, Layer, Transaction, ignore

#: Branch and method.
ClientKey = tuple[str, str]
#: From the flow that failed to the one to try instead.
AnotherWay = Callable[[Flow], Flow | None]
_OPEN: Final = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})
_UNHEARD: Final = frozenset(FIRST_STATE.values())


class ClientTransaction(Transaction):
    """A request of ours and what came back for it, which goes to `on_response`.

    Once it has its final response it remembers, for half a minute, no more than the bytes of what
    it sent: a message is some thirty objects, which the garbage collector would have to walk.
    """

    __slots__ = (
        "_another_way",
        "_data",
        "_on_failure",
        "_request",
        "key",
        "on_response",
        "problem",
    )

    def __init__(
        self,
        layer: Layer,
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
        self._request: Request | None = request
        self.key: ClientKey = (branch, request.method)
        self._data = data
        self.on_response = on_response
        self._on_failure = on_failure
        self._another_way = another_way
        #: a sentence: why the transport failed, where it was not a connection that did
        self.problem: str | None = None

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
        self._request = self._another_way = None
        self._on_failure = ignore
        if self.machine.state is State.COMPLETED:  # nothing more is passed on
            self.on_response = ignore

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
        return self.machine.state in _UNHEARD

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
        self._layer.send(request, branch, request.to_bytes(), self.flow, ignore, on_failure)

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
        self.on_response = ignore
        self._on_failure = ignore
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
