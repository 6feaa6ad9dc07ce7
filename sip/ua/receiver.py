"""The way in: from bytes to the transaction, the dialog or the handler that they are for.

Every received message takes the same way: asked about at the door, parsed, checked, matched to a
transaction, refused where RFC 3261 8.2 says so, then given to its dialog or to `on_request`. What
belongs to none of these is dropped and counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from sip.clock import Clock
from sip.core.message import MessageError, Request, Response
from sip.core.parser import parse_message
from sip.core.validation import validate
from sip.errors import ParseError
from sip.log_throttle import Throttle
from sip.trace import Direction
from sip.transport.endpoint import Flow
from sip.transport.layer import TransportLayer
from sip.ua.client_transaction import ClientTransaction
from sip.ua.dialogs import Dialogs, DialogUser
from sip.ua.doorkeeper import Doorkeeper
from sip.ua.refusals import Refusals
from sip.ua.server_transaction import ServerKey, ServerTransaction, server_key
from sip.ua.transactions import TransactionLayer
from sip.ua.way_back import mark_source, way_back

log = structlog.get_logger(__name__)


class Agent(Protocol):
    """The user agent that a receiver works for."""

    @property
    def clock(self) -> Clock: ...

    def response(
        self,
        request: Request,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response:
        """A response that names our product."""
        ...

    def tag_of(self, request: Request) -> str:
        """The To tag of an answer to `request` that was given once and forgotten."""
        ...

    def note(
        self, direction: Direction, flow: Flow, message: Request | Response, data: bytes
    ) -> None:
        """A message, and its bytes, for the ladder of its call."""
        ...


class Receiver:
    """Takes what arrives; nothing that arrives raises through."""

    def __init__(
        self,
        agent: Agent,
        *,
        doorkeeper: Doorkeeper,
        transport: TransportLayer,
        transactions: TransactionLayer,
        dialogs: Dialogs,
        refusals: Refusals,
        on_request: Callable[[ServerTransaction], None],
    ) -> None:
        """`on_request` gets every new request outside a dialog and must answer it."""
        #: messages that went nowhere, by reason: shown as metrics
        self.dropped: Counter[str] = Counter()
        self._agent = agent
        self._doorkeeper = doorkeeper
        self._transport = transport
        self._transactions = transactions
        self._dialogs = dialogs
        self._refusals = refusals
        self._on_request = on_request
        self._throttle = Throttle()

    def receive(self, data: bytes, flow: Flow) -> None:
        """One datagram, or one message as framed from a stream."""
        if not data.strip(b"\r\n\0"):
            return  # a keepalive (RFC 5626 4.4.1) or a NAT pinhole packet
        if not self._doorkeeper.packet(flow):
            self.dropped["unread"] += 1
            flow.abort()
            return
        try:
            message = parse_message(data)
            validate(message)
        except MessageError as error:
            self.refuse(flow, error)
            return
        try:
            if isinstance(message, Request):
                self._on_message(message, flow, data)
            else:
                self._on_response(message, flow, data)
        except ParseError as error:  # in a field that nothing had read before
            self.dropped["malformed"] += 1
            if isinstance(message, Response):
                self._unusable(error, flow)
        except Exception:
            # An error of ours: the connection that it came by, and what follows, go on.
            log.exception("message.broke", peer=str(flow.remote), sip_call_id=message.call_id)

    def refuse(self, flow: Flow, error: MessageError) -> None:
        """Refuse a message that cannot be read, where its sender is known and may hear so."""
        self.dropped["malformed"] += 1
        if not self._doorkeeper.message(None, flow):
            flow.abort()
            return
        request = error.request
        if request is None:
            self._unusable(error, flow)
            return
        self._doorkeeper.refuse(request, flow, error.status)
        mark_source(request, flow)
        response = self._agent.response(request, error.status, error.reason)
        self._way_back(request, flow).send(response.to_bytes())

    def _way_back(self, request: Request, flow: Flow) -> Flow:
        """Where responses to `request` go."""
        if self._doorkeeper.answers_at_source(flow):
            return flow
        return way_back(self._transport, request, flow)

    def _unusable(self, error: ParseError, flow: Flow) -> None:
        """One line about what cannot even be refused: a call may wait for this response."""
        peer = str(flow.remote)
        if self._throttle.is_new(peer, error.reason, self._agent.clock.now()):
            log.warning(
                "message.unusable",
                peer=peer,
                reason=f"{error.reason}: the peer sends what RFC 3261 does not allow; it was "
                "passed over, and a call that needs it waits in vain",
            )

    def _on_response(self, response: Response, flow: Flow, data: bytes) -> None:
        if len(response.headers.get_all("via")) > 1:
            self._stray("misrouted response", flow)  # RFC 3261 8.1.3.3: it is not for us
            return
        transaction = self._transactions.find_client(response)
        if transaction is None:
            self._stray("stray response", flow)
            return
        self._agent.note("in", flow, response, data)
        if response.status in (401, 407) and not self._may_challenge(transaction, flow):
            self.dropped["foreign challenge"] += 1
        else:
            transaction.receive(response)

    def _stray(self, reason: str, flow: Flow) -> None:
        """A response to nothing that we sent, or to nothing that we still remember. From a stranger
        it is an offence; a peer's connection stays."""
        self.dropped[reason] += 1
        self._doorkeeper.message(None, flow)

    def _may_challenge(self, transaction: ClientTransaction, flow: Flow) -> bool:
        """Only the peer that we asked may challenge us; it may have several addresses."""
        asked = transaction.flow.remote.host
        return flow.remote.host == asked or self._doorkeeper.message(None, flow)

    def _on_message(self, request: Request, flow: Flow, data: bytes) -> None:
        mark_source(request, flow)
        key = server_key(request)
        transaction = self._transactions.find_server(key)
        if transaction is not None:
            self._agent.note("in", flow, request, data)
            transaction.receive(request)
            return
        user = self._dialogs.user_of(request)
        if user is not None:
            flow.keep()
        elif request.method == "ACK" and request.to.tag == self._agent.tag_of(request):
            self._agent.note("in", flow, request, data)
            return
        elif not self._doorkeeper.message(request, flow):
            self.dropped["unknown source"] += 1
            flow.abort()
            return
        self._agent.note("in", flow, request, data)
        if request.method == "ACK":
            if user is not None:
                user.on_ack(request)
        elif request.method == "CANCEL":
            self._cancel(request, flow, key)
        else:
            self._take(request, flow, key, user)

    def _cancel(self, request: Request, flow: Flow, key: ServerKey) -> None:
        """RFC 3261 9.2: answer the CANCEL itself, with the To tag of the INVITE, then tell that."""
        invite = self._transactions.find_invite(request)
        way = self._way_back(request, flow)
        transaction = self._transactions.open_server(request, way, key)
        if invite is None:
            transaction.respond(self._agent.response(request, 481))
            return
        transaction.respond(self._agent.response(request, 200, to_tag=invite.to_tag))
        if not invite.answered:
            invite.on_cancel(request)

    def _take(self, request: Request, flow: Flow, key: ServerKey, user: DialogUser | None) -> None:
        """Serve a new request in a transaction of its own. Where that breaks, it is refused and
        leaves no dialog behind."""
        way = self._way_back(request, flow)
        transaction = self._transactions.open_server(request, way, key)
        if transaction.merged:
            transaction.respond(self._agent.response(request, 482))
            return
        opened = self._dialogs.opened
        try:
            self._serve(transaction, user)
            return
        except ParseError as error:  # in a field that nothing had read before
            self.dropped["malformed"] += 1
            status, reason = error.status, error.reason
        except Exception:
            method, sip_call_id = request.method, request.call_id
            log.exception(
                "request.broke", method=method, peer=str(flow.remote), sip_call_id=sip_call_id
            )
            status, reason = 500, None
        if user is None:
            self._dialogs.drop_since(opened, request.call_id)
        if not transaction.answered:
            tag = transaction.to_tag
            transaction.respond(self._agent.response(request, status, reason, to_tag=tag))

    def _serve(self, transaction: ServerTransaction, user: DialogUser | None) -> None:
        request = transaction.request
        refusal = self._refusals.of(request, in_dialog=user is not None)
        if refusal is None and user is None and self._transactions.is_loop(request):
            refusal = (482, ())
        if refusal is not None:
            status, headers = refusal
            if user is None:
                self._doorkeeper.refuse(request, transaction.flow, status)
            transaction.respond(self._agent.response(request, status, headers=headers))
        elif user is not None:
            user.on_request(transaction)
        else:
            self._on_request(transaction)
