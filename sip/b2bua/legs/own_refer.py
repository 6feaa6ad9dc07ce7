"""A REFER of ours, until it is known what came of it (RFC 3515 2.4)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from sip.b2bua.call_events import Headers, ReferNews, Stage
from sip.b2bua.legs.port import ReferPort
from sip.core.message import Response
from sip.core.refer import says_no_subscription
from sip.core.sipfrag import Status
from sip.core.subscription import SubscriptionState

_TIMER: Final = "refer"


class _State(Enum):
    ASKED = auto()
    ACCEPTED = auto()
    GIVEN_UP = auto()
    """nobody waits for its outcome any more, which may come all the same"""
    OVER = auto()


class OwnRefer:
    """The peer is asked to call somebody else; what it says of that becomes `ReferNews`."""

    __slots__ = ("_agreed", "_cseq", "_headers", "_newest", "_port", "_state", "_wait_s", "expects")

    def __init__(self, port: ReferPort, headers: Headers, wait_s: float) -> None:
        """`headers` begin with Refer-To; `wait_s` is how long the outcome is waited for once the
        peer has accepted, and again whenever it is said to be further on."""
        self._port = port
        self._headers = headers
        self._wait_s = wait_s
        self._state = _State.ASKED
        #: the status that the peer accepted it with, 0 before
        self._agreed = 0
        #: the highest provisional status of a NOTIFY
        self._newest = 0
        self._cseq = 0
        #: whether NOTIFYs of it may still come
        self.expects = True

    @property
    def open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self._state in (_State.ASKED, _State.ACCEPTED)

    def send(self) -> None:
        """Ask."""
        self._cseq = self._port.next_cseq
        self._port.request("REFER", headers=self._headers, on_end=self._answered)

    def is_meant(self, id_: str | None) -> bool:
        """Whether a NOTIFY with this id is of this REFER.

        RFC 3515 2.4.6: the id is the CSeq of the REFER, or of its repetition with a digest.
        """
        if id_ is None:
            return True
        return id_.isascii() and id_.isdecimal() and len(id_) < 12 and int(id_) >= self._cseq

    def notified(self, status: Status | None, state: SubscriptionState | None) -> None:
        """A NOTIFY of it came, before or after the answer to the REFER."""
        last = state is not None and state.over
        self.expects = not last
        if self._state is _State.GIVEN_UP and status is not None and status.final:
            self._end(Stage.DONE, status.status, status.reason)
        if not self.open:
            return
        self._accepted(202)
        if status is not None and status.final:
            self._end(Stage.DONE, status.status, status.reason)
        elif last:
            why = state.reason if state is not None else None
            self._end(
                Stage.UNKNOWN, self._agreed, f"Subscription Ended: {why or 'no reason given'}"
            )
        elif status is not None:
            if status.status > self._newest:
                self._newest = status.status
                self._port.start_timer(_TIMER, self._wait_s, self._waited)
            self._tell(Stage.PROGRESS, status.status, status.reason)

    def leg_ended(self) -> None:
        """The leg is over; who was referred goes on without us."""
        self.expects = False
        if self.open:
            self._end(Stage.UNKNOWN, self._agreed, "Hung Up")

    def _answered(self, response: Response | None) -> None:
        if not self.open:
            return
        if response is None:
            if self._state is _State.ASKED:
                self.expects = False
                self._end(Stage.REFUSED, 408, "Request Timeout")
        elif response.status >= 300:
            self.expects = False
            self._end(Stage.REFUSED, response.status, response.reason)
        else:
            self._accepted(response.status)
            if says_no_subscription(response):  # RFC 4488: nobody will tell what came of it
                self.expects = False
                self._tell(Stage.ACCEPTED, response.status, response.reason)
                self._end(Stage.UNKNOWN, self._agreed, "No Subscription")
            else:
                self._tell(Stage.ACCEPTED, response.status, response.reason)

    def _accepted(self, status: int) -> None:
        if self._state is _State.ASKED:
            self._agreed = status
            self._state = _State.ACCEPTED
            self._port.start_timer(_TIMER, self._wait_s, self._waited)

    def _waited(self) -> None:
        self._end(Stage.UNKNOWN, self._agreed, "No Final NOTIFY", _State.GIVEN_UP)

    def _end(self, stage: Stage, status: int, reason: str, state: _State = _State.OVER) -> None:
        self._state = state
        self._port.stop_timer(_TIMER)
        self._tell(stage, status, reason)

    def _tell(self, stage: Stage, status: int, reason: str) -> None:
        at = self._port.ua.clock.now()
        self._port.emit(ReferNews(at=at, stage=stage, status=status, reason=reason))
