"""Our 2xx to an INVITE, sent again until its ACK comes: RFC 3261 13.3.1.4, over TCP as well."""

from collections.abc import Callable

import structlog

from sip.clock import Timer
from sip.core.message import Response
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent

log = structlog.get_logger(__name__)

#: Seconds of resending after which an ACK that is not there will hardly come.
MISSED_S = 3.5


class Unacked2xx:
    """One 2xx on its way to be acknowledged."""

    def __init__(
        self,
        ua: UserAgent,
        transaction: ServerTransaction,
        response: Response,
        on_give_up: Callable[[], None],
    ) -> None:
        """`on_give_up` is called when no ACK came in 64*T1 seconds."""
        self.cseq = transaction.request.cseq.number
        self._ua = ua
        self._transaction = transaction
        self._response = response
        self._on_give_up = on_give_up
        self._waited_s = 0.0
        self._interval_s = ua.timers.t1_s
        self._timer: Timer | None = None

    def start(self) -> None:
        """Send it for the first time."""
        self._transaction.respond(self._response)
        self._timer = self._wait(self._interval_s)

    def stop(self) -> None:
        """It was acknowledged, or its call is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> Timer:
        """Wait until it is time to send it again, or to give up: the one timer there is."""
        left_s = self._ua.timers.give_up_s - self._waited_s
        self._waited_s += seconds
        if left_s <= seconds:
            return self._ua.clock.call_later(left_s, self._on_give_up)
        return self._ua.clock.call_later(seconds, self._again)

    def _again(self) -> None:
        self._transaction.respond(self._response)
        if self._waited_s - self._interval_s < MISSED_S <= self._waited_s:
            self._warn()
        self._interval_s = min(2 * self._interval_s, self._ua.timers.t2_s)
        self._timer = self._wait(self._interval_s)

    def _warn(self) -> None:
        """The commonest cause of calls that drop after half a minute: say it while it happens."""
        log.warning(
            "ack.missing",
            sip_call_id=self._response.call_id,
            peer=str(self._transaction.flow.remote),
            contact=self._response.headers.get("contact"),
            reason="the peer does not get our 200, or cannot reach this Contact: is sip.advertise, "
            "or the trunk's advertise, an address that it can reach?",
        )
