"""The session in a leg's dialog: re-INVITE and UPDATE both ways, and the session timer.

RFC 3261 14, RFC 3311, RFC 4028. What is offered and answered is the call's business: the peer's
offer is told as `Offer`, and the call answers it with `accept` or `refuse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sip.b2bua.call_events import Answer, Headers, Offer, OfferEnded
from sip.core import session_timer
from sip.core.body import session_description
from sip.core.message import Request, Response
from sip.core.offer_answer import Input, State
from sip.core.session_timer import Agreement, TooSmall, agree_as_uac, agree_as_uas
from sip.ua.session_timer import SessionTimer
from sip.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from sip.b2bua.leg import Leg

#: RFC 3261 14.1: wait this long after a 491, by who owns the Call-ID, in seconds.
GLARE_OWNER_S = (2.1, 4.0)
GLARE_OTHER_S = (0.0, 2.0)
MAX_RETRIES = 3
#: A refresh that could not be made is tried again after so many seconds.
REFRESH_AGAIN_S = (2.0, 4.0)


class LegSession:
    """One leg's session: whose offer is open, and when it must be refreshed."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._open: ServerTransaction | None = None
        #: an offer of ours that waits for the ACK to our 2xx
        self._deferred: str | None = None
        self._min_se_s = 0
        #: None where no timer was agreed on
        self._timer: SessionTimer | None = None

    def stop(self) -> None:
        """The leg is leaving: refresh no more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    # offers of ours

    def reoffer(self, sdp: str) -> bool:
        """Send a re-INVITE; its outcome comes as `OfferEnded`. False if an offer is open."""
        leg = self._leg
        if leg.unconfirmed:
            self._deferred = sdp
            return True
        if not leg.confirmed or not leg.offers.step(Input.SEND_OFFER):
            return False
        self._send_offer(sdp, 0)
        return True

    def confirmed(self) -> None:
        """The leg is up: what waited for that may go."""
        sdp, self._deferred = self._deferred, None
        if sdp is not None and not self.reoffer(sdp):
            self._leg.emit(OfferEnded(at=self._leg.ua.clock.now(), status=491, sdp=None))

    def _send_offer(self, sdp: str, attempt: int) -> None:
        leg = self._leg
        sdp = leg.origin.stamp(sdp)

        def ended(response: Response | None) -> None:
            if response is not None and response.status == 491 and attempt < MAX_RETRIES:
                leg.offers.step(Input.CLOSE)
                window = GLARE_OWNER_S if leg.owns_call_id else GLARE_OTHER_S
                leg.start_timer("glare", leg.ua.ids.backoff_s(*window), retry)
            elif self.raised(response) and attempt < MAX_RETRIES:
                self._send_offer(sdp, attempt + 1)
            elif response is None or response.status in (408, 481):
                # RFC 3261 12.2.1.2: the peer no longer has this dialog
                leg.offers.step(Input.CLOSE)
                leg.lost()
            elif response.status < 300:
                leg.offers.step(Input.RECEIVE_ANSWER)
                leg.local_sdp = sdp
                answer = session_description(response)
                leg.remote_sdp = answer or leg.remote_sdp
                self.agreed(response)
                leg.emit(OfferEnded(at=leg.ua.clock.now(), status=200, sdp=answer))
            else:
                leg.offers.step(Input.CLOSE)
                ended = OfferEnded(at=leg.ua.clock.now(), status=response.status, sdp=None)
                leg.emit(ended)

        def retry() -> None:
            if leg.confirmed and leg.offers.step(Input.SEND_OFFER):
                self._send_offer(sdp, attempt + 1)
            else:
                leg.emit(OfferEnded(at=leg.ua.clock.now(), status=491, sdp=None))

        leg.client.request("INVITE", sdp=sdp, headers=self.request_headers(), on_end=ended)

    # offers of the peer

    def on_offer(self, transaction: ServerTransaction) -> None:
        """A re-INVITE or UPDATE: a new offer, a refresh, or a request for an offer. Or a PRACK."""
        leg, request = self._leg, transaction.request
        agreed = agree_as_uas(leg.options.session_timer, request)
        if isinstance(agreed, TooSmall) and request.method != "PRACK":
            refusal = leg.ua.response(request, 422, headers=agreed.headers)
            transaction.respond(refusal)
            return
        sdp = session_description(request)
        if request.method == "UPDATE" and sdp is None:
            self._respond(transaction, None)
            return
        if request.method == "INVITE" and not leg.confirmed:
            transaction.respond(leg.ua.response(request, 491 if leg.up else 481))
            return
        if not leg.offers.step(Input.RECEIVE_OFFER):
            self._refuse_glare(transaction)
            return
        self._open = transaction
        if request.method == "INVITE":
            transaction.respond(leg.ua.response(request, 100))
            transaction.on_cancel = lambda _: self.refuse(487)
        leg.emit(Offer(at=leg.ua.clock.now(), sdp=sdp))

    def accept(self, sdp: str) -> None:
        """Answer the peer's open offer; where it asked for one, make ours."""
        leg = self._leg
        transaction, self._open = self._open, None
        if transaction is None:
            return
        sdp = leg.origin.stamp(sdp)
        offered = session_description(transaction.request)
        if offered is not None:
            leg.offers.step(Input.SEND_ANSWER)
            leg.remote_sdp = offered
        else:
            leg.offers.step(Input.CLOSE)
            leg.offers.step(Input.SEND_OFFER)
        self._respond(transaction, sdp)

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the peer's open offer; the session stays as it was (RFC 3261 14.2)."""
        leg = self._leg
        transaction, self._open = self._open, None
        if transaction is not None:
            leg.offers.step(Input.CLOSE)
            request = transaction.request
            fields = leg.explained(request, status, headers)
            transaction.respond(leg.ua.response(request, status, headers=fields))

    def _respond(self, transaction: ServerTransaction, sdp: str | None) -> None:
        leg, request = self._leg, transaction.request
        if request.method == "PRACK":  # RFC 3262 5: it has an answer, and moves no target
            leg.local_sdp = sdp or leg.local_sdp
            transaction.respond(leg.ua.response(request, 200, sdp=sdp))
            return
        if leg.dialog is not None:
            leg.dialog.refresh_target(request)
        headers = leg.response_headers(transaction.flow) + self.agree_with(request)
        if request.method == "INVITE":
            leg.answer_2xx(transaction, sdp or "", headers=headers)
            return
        if sdp is not None:
            leg.local_sdp = sdp
        transaction.respond(leg.ua.response(request, 200, headers=headers, sdp=sdp))

    def _refuse_glare(self, transaction: ServerTransaction) -> None:
        """RFC 3261 14.2, RFC 3311 5.2: our own offer is open, or their earlier one."""
        leg, request = self._leg, transaction.request
        if leg.offers.state is State.OFFERED:
            transaction.respond(leg.ua.response(request, 491))
            return
        retry = str(int(leg.ua.ids.backoff_s(1, 10)))
        refusal = leg.ua.response(request, 500, headers=[("Retry-After", retry)])
        transaction.respond(refusal)

    def on_answer(self, message: Request) -> None:
        """An ACK or PRACK brings the answer to the offer that our response made."""
        leg = self._leg
        leg.offers.step(Input.RECEIVE_ANSWER)
        sdp = session_description(message)
        if sdp is None:  # RFC 3261 13.2.2.4: without an answer there is no session
            leg.no_answer()
            return
        leg.remote_sdp = sdp
        leg.emit(Answer(at=leg.ua.clock.now(), sdp=sdp))

    # the session timer

    def request_headers(self) -> Headers:
        """What a refreshing request of ours says of the session timer."""
        return session_timer.request_headers(
            self._leg.options.session_timer,
            min_se_s=self._min_se_s,
            current=self._timer.agreement if self._timer is not None else None,
        )

    def agree_with(self, request: Request) -> Headers:
        """Start the timer that our 2xx to `request` agrees on; answers what the 2xx says of it."""
        if not self._leg.up:  # an UPDATE in an early dialog refreshes nothing yet
            return ()
        agreed = agree_as_uas(self._leg.options.session_timer, request)
        agreement = agreed if isinstance(agreed, Agreement) else None
        self._agree(agreement)
        return session_timer.response_headers(agreement, request)

    def agreed(self, response: Response) -> None:
        """The 2xx to a refreshing request of ours: the timer begins anew."""
        self._agree(agree_as_uac(self._leg.options.session_timer, response))

    def _agree(self, agreement: Agreement | None) -> None:
        self.stop()
        if agreement is not None:
            leg = self._leg
            self._timer = SessionTimer(
                leg.ua.clock, agreement, refresh=self._refresh, expired=leg.session_expired
            )

    def raised(self, response: Response | None) -> bool:
        """Whether `response` demands a longer interval (422), which the next request will have."""
        if response is None or response.status != 422:
            return False
        self._min_se_s = max(self._min_se_s, session_timer.min_se(response))
        return True

    def _refresh(self, attempt: int = 0) -> None:
        leg = self._leg
        if not leg.confirmed:
            return
        if leg.unconfirmed or leg.offers.state is not State.STABLE:
            self._refresh_later()
            return
        update = "update" in leg.peer_methods
        if not update:
            leg.offers.step(Input.SEND_OFFER)

        def ended(response: Response | None) -> None:
            leg.offers.step(Input.CLOSE)
            if response is None or response.status in (408, 481):
                leg.lost()
            elif response.status < 300:
                self._refreshed(response)
            elif self.raised(response) and attempt < MAX_RETRIES:
                self._refresh(attempt + 1)
            elif update and response.status in (405, 501) and attempt < MAX_RETRIES:
                leg.peer_methods -= {"update"}
                self._refresh(attempt + 1)
            else:  # RFC 4028 7.4: the session lives on until it expires
                self._refresh_later()

        leg.client.request(
            "UPDATE" if update else "INVITE",
            sdp=None if update else leg.local_sdp,
            headers=self.request_headers(),
            on_end=ended,
        )

    def _refreshed(self, response: Response) -> None:
        leg = self._leg
        self.agreed(response)
        sdp = session_description(response)
        if sdp is not None and sdp != leg.remote_sdp:
            leg.remote_sdp = sdp
            leg.emit(Answer(at=leg.ua.clock.now(), sdp=sdp))

    def _refresh_later(self) -> None:
        if self._timer is not None:
            self._timer.again(self._leg.ua.ids.backoff_s(*REFRESH_AGAIN_S))


class _NoSession(LegSession):
    """What an ended leg has: nothing can be offered, and nothing waits for an answer."""

    def __init__(self) -> None:
        """It has no leg."""

    def stop(self) -> None:
        return None

    def reoffer(self, sdp: str) -> bool:
        return False

    def accept(self, sdp: str) -> None:
        return None

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        return None


NO_SESSION = _NoSession()
