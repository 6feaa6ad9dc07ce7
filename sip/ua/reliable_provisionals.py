"""Our provisional responses that a PRACK must acknowledge: RFC 3262 3.

One at a time: the next one, and the 2xx, wait until the one before is acknowledged.
"""

from collections.abc import Callable

from sip.clock import Timer
from sip.core.message import Response
from sip.core.reliable import TAG, RAck
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent


class ReliableProvisionals:
    """The reliable provisional responses to one INVITE."""

    def __init__(
        self, ua: UserAgent, transaction: ServerTransaction, on_give_up: Callable[[], None]
    ) -> None:
        """`on_give_up` is called when no PRACK came in 64*T1: the INVITE is to be refused."""
        self._ua = ua
        self._transaction = transaction
        self._on_give_up = on_give_up
        self._rseq = 0
        self._waiting: list[Response] = []
        self._open: Response | None = None
        self._then: Callable[[], None] | None = None
        self._resend: Timer | None = None
        self._give_up: Timer | None = None
        self._interval_s = 0.0

    def send(self, response: Response) -> None:
        """Send `response` reliably, after those before it."""
        self._rseq = self._rseq or self._ua.ids.cseq()
        self._waiting.append(response)
        if self._open is None and len(self._waiting) == 1:
            self._next()

    def when_acknowledged(self, then: Callable[[], None]) -> None:
        """Call `then` once nothing is open: RFC 3262 3 has a 2xx wait for the session's PRACK.

        What still waits to be sent and brings no session is outdated, and left out.
        """
        self._waiting = [response for response in self._waiting if response.body]
        if self._open is None and not self._waiting:
            then()
        else:
            self._then = then

    def acknowledge(self, rack: RAck | None) -> bool:
        """A PRACK came. False if it acknowledges nothing that is open: answer it 481."""
        invite = self._transaction.request
        if self._open is None or rack != RAck(self._rseq, invite.cseq.number, invite.method):
            return False
        self._stop_timers()
        self._open = None
        self._rseq += 1
        # after the PRACK has its own response
        self._resend = self._ua.clock.call_later(0.0, self._go_on)
        return True

    def _go_on(self) -> None:
        if self._open is not None:
            return
        if self._waiting:
            self._next()
        elif self._then is not None:
            then, self._then = self._then, None
            then()

    def stop(self) -> None:
        """The INVITE has its final response, or its leg is over."""
        self._stop_timers()
        self._waiting.clear()
        self._open = self._then = None
        self._on_give_up = _ignore

    def _next(self) -> None:
        response = self._open = self._waiting.pop(0)
        response.headers.add("require", TAG)
        response.headers.add("rseq", str(self._rseq))
        self._interval_s = self._ua.timers.t1_s
        self._transaction.respond(response)
        self._resend = self._ua.clock.call_later(self._interval_s, self._again)
        self._give_up = self._ua.clock.call_later(self._ua.timers.give_up_s, self._end)

    def _again(self) -> None:
        if self._open is None:
            return
        self._transaction.respond(self._open)
        self._interval_s *= 2  # RFC 3262 3: doubles without the limit of T2
        self._resend = self._ua.clock.call_later(self._interval_s, self._again)

    def _end(self) -> None:
        give_up = self._on_give_up
        self.stop()
        give_up()

    def _stop_timers(self) -> None:
        for timer in (self._resend, self._give_up):
            if timer is not None:
                timer.cancel()


def _ignore() -> None:
    """Default for `on_give_up`, once the INVITE is over."""
