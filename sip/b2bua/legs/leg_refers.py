"""A SIP leg's REFERs: the peer's to us, and ours to it, with the NOTIFYs of both (RFC 3515)."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sip.b2bua.call_events import Headers, Referred
from sip.b2bua.legs.own_refer import OwnRefer
from sip.b2bua.legs.port import ReferPort
from sip.b2bua.legs.referral import SipReferral
from sip.core.message import Headers as Fields
from sip.core.message import Request
from sip.core.refer import PACKAGE, read_refer
from sip.core.sipfrag import KIND, Status, read
from sip.core.subscription import SubscriptionState, parse_event, parse_subscription_state
from sip.errors import ParseError
from sip.ua.server_transaction import ServerTransaction

log = structlog.get_logger(__name__)


class LegRefers:
    """At most one REFER is open each way."""

    __slots__ = ("_asked", "_ours", "_port", "_theirs")

    def __init__(self, port: ReferPort) -> None:
        self._port = port
        #: whether the peer has sent a REFER before: the NOTIFYs of later ones have an id
        self._asked = False
        self._theirs: SipReferral | None = None
        self._ours: OwnRefer | None = None

    # the peer's

    def on_refer(self, transaction: ServerTransaction) -> None:
        """A REFER of the peer: `Referred`, or a refusal."""
        request = transaction.request
        id_ = str(request.cseq.number) if self._asked else None
        self._asked = True
        refusal = self._refusal()
        if refusal is None:
            try:
                asked = read_refer(request)
            except ParseError as error:
                refusal = error.status, error.reason
        if refusal is not None:
            status, reason = refusal
            log.info(
                "refer.refused", sip_call_id=self._port.sip_call_id, status=status, reason=reason
            )
            transaction.respond(self._port.ua.response(request, status, reason))
            return
        self._theirs = SipReferral(self._port, transaction, asked, id_)
        self._port.emit(Referred(at=self._port.ua.clock.now(), referral=self._theirs))

    def _refusal(self) -> tuple[int, str | None] | None:
        """Why the peer may not refer us to anybody now."""
        port = self._port
        if port.gone:
            return 481, None
        if not port.options.takes_refer:
            return 403, "REFER Not Allowed"
        if not port.up:
            return 403, "Transfer Before Answer"
        if self._theirs is not None and self._theirs.open:
            return 491, None
        return None

    # ours

    def refer(
        self, refer_to: str, *, referred_by: str | None, headers: Headers, wait_s: float
    ) -> bool:
        """Send REFER, as `Leg.refer` says. Raises ValueError for what no header can hold."""
        fields = [("Refer-To", _bracketed(refer_to))]
        if referred_by is not None:
            fields.append(("Referred-By", _bracketed(referred_by)))
        return self.ask((*fields, *headers), wait_s)

    def ask(self, headers: Headers, wait_s: float) -> bool:
        """The same with these headers as they stand; the first is Refer-To."""
        if not self._port.up or (self._ours is not None and self._ours.open):
            return False
        Fields(headers)  # it may go out later, where nobody could be told that it cannot
        self._ours = OwnRefer(self._port, headers, wait_s)
        if self._port.confirmed:
            self._ours.send()
        return True

    def confirmed(self) -> None:
        """The peer knows that it is answered: what was asked too early is sent now."""
        if self._ours is not None and self._ours.open:
            self._ours.send()

    def on_notify(self, transaction: ServerTransaction) -> None:
        """A NOTIFY of the peer: 200 where it is of our REFER, which then hears of it."""
        request, ua = transaction.request, self._port.ua
        try:
            refusal, headers = self._misses(request)
            state, status = _state(request), _status(request)
        except ParseError as error:
            transaction.respond(ua.response(request, error.status, error.reason))
            return
        if refusal is not None:
            transaction.respond(ua.response(request, refusal, headers=headers))
            return
        transaction.respond(ua.response(request, 200))
        if self._ours is not None:
            self._ours.notified(status, state)

    def _misses(self, notify: Request) -> tuple[int | None, Headers]:
        """Why a NOTIFY is not of our REFER: status and headers (RFC 6665 4.1.3)."""
        line = notify.headers.get("event")
        event = None if line is None else parse_event(line)
        if event is None or event.package != PACKAGE:
            return 489, (("Allow-Events", PACKAGE),)
        ours = self._ours
        if ours is None or not ours.expects or not ours.is_meant(event.id):
            return 481, ()
        if notify.body and notify.content_type not in ("", KIND):
            return 415, (("Accept", KIND),)
        return None, ()

    # the end

    def before_bye(self, send: Callable[[], None]) -> bool:
        """Whether the peer has to hear first what came of its REFER; `send` is called then."""
        return self._theirs is not None and self._theirs.before(send)

    def end(self) -> None:
        """The leg is over."""
        if self._theirs is not None:
            self._theirs.drop()
        if self._ours is not None:
            self._ours.leg_ended()


def _state(notify: Request) -> SubscriptionState | None:
    line = notify.headers.get("subscription-state")
    return None if line is None else parse_subscription_state(line)


def _status(notify: Request) -> Status | None:
    return read(notify.body) if notify.body.strip() else None


def _bracketed(address: str) -> str:
    """An address as a header has it: a URI alone gets its brackets (RFC 3261 20.10)."""
    return address if "<" in address else f"<{address}>"
