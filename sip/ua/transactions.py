"""The transaction layer: matches messages to transactions (RFC 3261 17).

The machines are tables in `sip.core.transaction`; `client_transaction` and `server_transaction` run
them.
"""

from collections.abc import Callable

from sip.clock import Clock
from sip.core.header_values import parse_via
from sip.core.message import Request, Response
from sip.core.timers import Timers
from sip.errors import ParseError
from sip.transport.endpoint import Endpoint, Flow
from sip.ua.client_transaction import AnotherWay, ClientKey, ClientTransaction
from sip.ua.lingering import Lingering
from sip.ua.server_transaction import MergeKey, ServerKey, ServerTransaction, server_key
from sip.ua.transaction import Failure, Transaction


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

    def watch(self, transaction: Transaction) -> None:
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

    def forget(self, transaction: Transaction) -> None:
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
        self.lingering.stop()


def _branch(via: str) -> str:
    """The branch of a Via below the topmost, which `validate` lets pass unread."""
    try:
        return parse_via(via.strip()).branch or ""
    except ParseError:
        return ""
