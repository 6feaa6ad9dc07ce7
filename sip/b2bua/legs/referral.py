"""The peer's REFER to us, from its answer to the last NOTIFY (RFC 3515 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from sip.b2bua.legs.port import ReferPort
from sip.core.message import Response
from sip.core.reasons import reason_phrase
from sip.core.refer import PACKAGE, Refer
from sip.core.sipfrag import Status, write
from sip.core.subscription import ACTIVE, TERMINATED, EventType, SubscriptionState
from sip.ua.server_transaction import ServerTransaction

#: Seconds that the call has to say what becomes of a REFER; then it is refused with 603.
ANSWER_S: Final = 2.5
#: Seconds for which the peer is kept informed at most.
LASTS_S: Final = 600.0
#: Seconds that a BYE of ours waits at most for the peer to hear of the outcome.
HEARS_S: Final = 2.0
#: Refusals of a NOTIFY that say that nobody listens any more (RFC 6665 4.2.2).
_DEAF: Final = frozenset({404, 405, 408, 410, 416, *range(480, 486), 489, 501, 604})
_TIMER: Final = "referral"


class _State(Enum):
    ASKED = auto()
    ACCEPTED = auto()
    OVER = auto()


class SipReferral:
    """What the peer wishes, and what it hears of it.

    Each NOTIFY waits for the answer to the one before, and of those that wait only the newest is
    sent: it says how far things are now.
    """

    __slots__ = ("_event", "_listens", "_newest", "_out", "_port", "_state", "_then",
                 "_transaction", "_until", "_waiting", "asked")  # fmt: skip

    def __init__(
        self, port: ReferPort, transaction: ServerTransaction, asked: Refer, id_: str | None
    ) -> None:
        """`id_` tells its NOTIFYs from those of another REFER of the dialog (RFC 3515 2.4.6)."""
        self.asked = asked
        self._port = port
        self._transaction = transaction
        self._event = EventType(PACKAGE, id_)
        self._state = _State.ASKED
        #: whether the peer wants to hear what becomes of it
        self._listens = asked.subscribes
        self._until = 0.0
        #: what the peer was told last, or will be
        self._newest: Status | None = None
        #: whether a NOTIFY is out, and the news that wait, with why they are the last
        self._out = False
        self._waiting: tuple[Status, str | None] | None = None
        #: what is to be done once no NOTIFY is out
        self._then: Callable[[], None] | None = None
        port.start_timer(_TIMER, ANSWER_S, self._unanswered)

    @property
    def open(self) -> bool:
        """Whether it is not decided yet, or under way."""
        return self._state is not _State.OVER

    def accept(self) -> None:
        """202, and a NOTIFY of 100."""
        if self._state is not _State.ASKED:
            return
        self._state = _State.ACCEPTED
        port, transaction = self._port, self._transaction
        headers = port.response_headers(transaction.flow)
        if not self._listens:
            headers = (*headers, ("Refer-Sub", "false"))
        transaction.respond(port.ua.response(transaction.request, 202, headers=headers))
        self._until = port.ua.clock.now() + LASTS_S
        port.start_timer(_TIMER, LASTS_S, self._expired)
        self._tell(100, None)

    def refuse(self, status: int, reason: str | None = None) -> None:
        """A final status of 300 or above; nothing follows."""
        if self._state is not _State.ASKED:
            return
        self._over()
        transaction = self._transaction
        transaction.respond(self._port.ua.response(transaction.request, status, reason))

    def progress(self, status: int, reason: str | None = None) -> None:
        """A NOTIFY of a provisional status, if it is another than the last."""
        assert status < 200, "a final status ends a referral"
        if self._state is _State.ACCEPTED:
            self._tell(status, reason)

    def end(self, status: int, reason: str | None = None) -> None:
        """The last NOTIFY."""
        assert status >= 200, "a provisional status ends nothing"
        if self._state is _State.ACCEPTED:
            self._over()
            self._tell(status, reason, last="noresource")

    def before(self, then: Callable[[], None]) -> bool:
        """Whether `then` has to wait until the peer has heard the news; it is called after that."""
        if not self._out or self._then is not None:
            return self._out
        self._then = then
        self._port.start_timer(_TIMER, HEARS_S, self._heard_enough)
        return True

    def drop(self) -> None:
        """The leg is over: what has no answer gets one, and nothing is said any more."""
        self.refuse(487)
        self._over()
        self._listens = False
        self._waiting = self._then = None

    def _over(self) -> None:
        self._state = _State.OVER
        self._port.stop_timer(_TIMER)

    def _unanswered(self) -> None:
        self.refuse(603)

    def _expired(self) -> None:
        self._over()
        self._tell(408, None, last="timeout")

    def _tell(self, status: int, reason: str | None, last: str | None = None) -> None:
        news = Status(status, reason or reason_phrase(status))
        if news == self._newest and last is None:
            return
        self._newest = news
        self._waiting = news, last
        if not self._out:
            self._next()

    def _next(self) -> None:
        self._out = self._listens and self._waiting is not None
        if not self._out or self._waiting is None:
            self._heard_enough()
            return
        (status, last), self._waiting = self._waiting, None
        left_s = max(1, round(self._until - self._port.ua.clock.now()))
        state = SubscriptionState(
            state=ACTIVE if last is None else TERMINATED,
            expires_s=left_s if last is None else None,
            reason=last,
        )
        headers = ("Event", str(self._event)), ("Subscription-State", str(state))
        self._port.request("NOTIFY", body=write(status), headers=headers, on_end=self._heard)

    def _heard_enough(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

    def _heard(self, response: Response | None) -> None:
        if response is None or response.status in _DEAF:
            self._listens = False
        self._next()
