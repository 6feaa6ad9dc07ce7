"""The session of one dialog: offers and answers both ways, and the session timer.

RFC 3261 14, RFC 3311, RFC 4028. What is offered and answered is the call's business: the peer's
offer becomes an `Offer`, and the call answers it with `accept` or `refuse`. A negotiation knows
SDP as text, and of its dialog only what `Port` says.
"""

from collections.abc import Sequence

from sip.b2bua.call_events import Cause, Described, Headers, Offer, OfferEnded, Side
from sip.b2bua.legs.options import LegOptions
from sip.b2bua.legs.port import NO_DIALOG, Port
from sip.clock import Timer
from sip.core import session_timer
from sip.core.body import session_description
from sip.core.common_codec import has_common_codec
from sip.core.message import Request, Response
from sip.core.offer_answer import OfferAnswer, OfferInput, OfferState
from sip.core.sdp_crypto import is_accepted
from sip.core.sdp_origin import SessionOrigin
from sip.core.session_timer import Agreement, TooSmall, agree_as_uac, agree_as_uas
from sip.ua.server_transaction import ServerTransaction
from sip.ua.session_timer import SessionTimer
from sip.ua.user_agent import UserAgent

#: RFC 3261 14.1: wait this long after a 491, by who owns the Call-ID, in seconds.
GLARE_OWNER_S = (2.1, 4.0)
GLARE_OTHER_S = (0.0, 2.0)
MAX_RETRIES = 3
#: RFC 3311 5.2: an UPDATE has no 100 and is to be answered promptly; after this time, in seconds,
#: it gets 504, lest it ends by its sender's timer.
UPDATE_ANSWER_S = 8.0
#: A refresh that could not be made is tried again after this time, in seconds.
REFRESH_AGAIN_S = (2.0, 4.0)

#: Why we end a session that the peer did not refresh (RFC 3326).
EXPIRED: Headers = (("Reason", 'SIP;cause=408;text="Session timer expired"'),)
#: Why we end a call whose peer refused our offer in its answer.
NO_AUDIO: Headers = (("Reason", 'SIP;cause=488;text="No audio in SDP answer"'),)
#: Why we end a call whose peer did not take up the encryption that we offered.
NO_KEY: Headers = (("Reason", 'SIP;cause=488;text="No usable a=crypto in SDP answer"'),)
#: Why we end a call whose peer never answered our offer.
NO_ANSWER: Headers = (("Reason", 'SIP;cause=400;text="No SDP answer in ACK"'),)


class Negotiation:
    """One dialog's session: both descriptions, whose offer is open, when it must be refreshed."""

    def __init__(
        self, ua: UserAgent, port: Port, options: LegOptions, *, owns_call_id: bool
    ) -> None:
        """`owns_call_id`: we sent the first INVITE, and wait longer after glare."""
        #: the newest session descriptions of both sides
        self.local_sdp: str | None = None
        self.remote_sdp: str | None = None
        self._ua = ua
        self._port = port
        self._policy = options.session_timer
        self._encryption = options.media.encryption
        self._glare_s = GLARE_OWNER_S if owns_call_id else GLARE_OTHER_S
        self._offers = OfferAnswer()
        self._origin = SessionOrigin(ua.ids.session_id())
        #: what the peer says it takes (Allow), in lower case
        self._peer_methods: frozenset[str] = frozenset()
        self._open: ServerTransaction | None = None
        #: an offer of ours that waits for the ACK to our 2xx
        self._deferred: str | None = None
        self._retry: Timer | None = None
        #: until the peer's UPDATE must have its answer
        self._urgent: Timer | None = None
        self._min_se_s = 0
        #: None where no timer was agreed on
        self._timer: SessionTimer | None = None

    def stop(self) -> None:
        """The dialog is on its way out: refresh and retry no more. What the peer has open is
        refused (RFC 3261 15.1.2)."""
        self.refuse(487)
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def end(self) -> None:
        """The dialog is over: what is still asked of it has no effect."""
        self.stop()
        self._deferred = None
        self._port = NO_DIALOG

    def learn_methods(self, message: Request | Response) -> None:
        """What the peer allows, if it says so now."""
        self._peer_methods = message.headers.tokens("allow") or self._peer_methods

    def allows(self, method: str) -> bool:
        """Whether the peer said that it takes requests of this method."""
        return method.lower() in self._peer_methods

    # the first exchange, in the INVITE and its responses

    def say(self, sdp: str) -> str:
        """`sdp` as our newest description, with the o= line of this dialog."""
        self.local_sdp = self._origin.stamp(sdp)
        return self.local_sdp

    def made_offer(self) -> None:
        """Our description went out as an offer."""
        self._offers.step(OfferInput.SEND_OFFER)

    def made_answer(self) -> None:
        """Our description went out as the answer."""
        self._offers.step(OfferInput.SEND_ANSWER)

    def heard_offer(self, sdp: str) -> None:
        """The peer's INVITE brought an offer."""
        self._offers.step(OfferInput.RECEIVE_OFFER)
        self.remote_sdp = sdp

    def heard_answer(self, sdp: str | None) -> None:
        """A response of the peer brought the answer to our offer, if it has not come before."""
        self._offers.step(OfferInput.RECEIVE_ANSWER)
        self.remote_sdp = sdp or self.remote_sdp

    @property
    def awaits_answer(self) -> bool:
        """Whether an offer of ours is open."""
        return self._offers.state is OfferState.OFFERED

    # offers of ours

    def reoffer(self, sdp: str) -> bool:
        """Send a re-INVITE; its outcome comes as `OfferEnded`. False if an offer is open."""
        if self._port.unconfirmed:
            self._deferred = sdp
            return True
        if self._retry is not None:  # one is to be made again
            return False
        if not self._port.confirmed or not self._offers.step(OfferInput.SEND_OFFER):
            return False
        self._send_offer(sdp, 0)
        return True

    def confirmed(self) -> None:
        """The dialog is up: what waited for that may go."""
        sdp, self._deferred = self._deferred, None
        if sdp is not None and not self.reoffer(sdp):
            self._offer_ended(491)

    def _send_offer(self, sdp: str, attempt: int) -> None:
        sdp = self._origin.stamp(sdp)

        def ended(response: Response | None) -> None:
            if response is not None and response.status == 491 and attempt < MAX_RETRIES:
                self._offers.step(OfferInput.CLOSE)
                delay_s = self._ua.ids.backoff_s(*self._glare_s)
                self._retry = self._ua.clock.call_later(delay_s, retry)
            elif self.raised(response) and attempt < MAX_RETRIES:
                self._send_offer(sdp, attempt + 1)
            elif response is None or response.status in (408, 481):
                # RFC 3261 12.2.1.2: the peer no longer has this dialog
                self._offers.step(OfferInput.CLOSE)
                self._port.give_up(Side.PEER, Cause.DIALOG_LOST)
            elif response.status < 300:
                self._offers.step(OfferInput.RECEIVE_ANSWER)
                self.local_sdp = sdp
                answer = session_description(response)
                self.remote_sdp = answer or self.remote_sdp
                self.agreed(response)
                self._offer_ended(200, answer)
            else:
                self._offers.step(OfferInput.CLOSE)
                self._offer_ended(response.status)

        def retry() -> None:
            self._retry = None
            if self._port.confirmed and self._offers.step(OfferInput.SEND_OFFER):
                self._send_offer(sdp, attempt + 1)
            else:
                self._offer_ended(491)

        self._port.request("INVITE", sdp=sdp, headers=self.request_headers(), on_end=ended)

    def _offer_ended(self, status: int, sdp: str | None = None) -> None:
        self._port.emit(OfferEnded(at=self._ua.clock.now(), status=status, sdp=sdp))

    # offers of the peer

    def on_offer(self, transaction: ServerTransaction) -> None:
        """A re-INVITE or UPDATE: a new offer, a refresh, or a request for an offer. Or a PRACK."""
        request = transaction.request
        agreed = agree_as_uas(self._policy, request)
        if isinstance(agreed, TooSmall) and request.method != "PRACK":
            transaction.respond(self._ua.response(request, 422, headers=agreed.headers))
            return
        sdp = session_description(request)
        if request.method == "UPDATE" and sdp is None:
            self._respond(transaction, None)
            return
        if request.method == "INVITE" and not self._port.confirmed:
            transaction.respond(self._ua.response(request, 491 if self._port.up else 481))
            return
        if not self._offers.step(OfferInput.RECEIVE_OFFER):
            self._refuse_glare(transaction)
            return
        self._open = transaction
        if request.method == "INVITE":
            transaction.respond(self._ua.response(request, 100))
            transaction.on_cancel = lambda _: self.refuse(487)
        elif request.method == "UPDATE":
            self._urgent = self._ua.clock.call_later(UPDATE_ANSWER_S, self.refuse, 504)
        self._port.emit(Offer(at=self._ua.clock.now(), sdp=sdp))

    def accept(self, sdp: str) -> bool:
        """Answer the peer's open offer; where it asked for one, make ours. False where it was
        refused or withdrawn meanwhile."""
        transaction = self._close()
        if transaction is None:
            return False
        sdp = self.say(sdp)
        offered = session_description(transaction.request)
        if offered is not None:
            self._offers.step(OfferInput.SEND_ANSWER)
            self.remote_sdp = offered
        else:
            self._offers.step(OfferInput.CLOSE)
            self._offers.step(OfferInput.SEND_OFFER)
        self._respond(transaction, sdp)
        return True

    def _close(self) -> ServerTransaction | None:
        """The peer's open offer, which is no longer open."""
        if self._urgent is not None:
            self._urgent.cancel()
            self._urgent = None
        transaction, self._open = self._open, None
        return transaction

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the peer's open offer; the session stays as it was (RFC 3261 14.2)."""
        transaction = self._close()
        if transaction is not None:
            self._offers.step(OfferInput.CLOSE)
            request = transaction.request
            fields = self._port.explained(request, status, headers)
            transaction.respond(self._ua.response(request, status, headers=fields))

    def _respond(self, transaction: ServerTransaction, sdp: str | None) -> None:
        request = transaction.request
        if request.method == "PRACK":  # RFC 3262 5: it has an answer, and moves no target
            transaction.respond(self._ua.response(request, 200, sdp=sdp))
            return
        self._port.refresh_target(request)
        headers = self._port.response_headers(transaction.flow) + self.agree_with(request)
        if request.method == "INVITE":
            self._port.answer_2xx(transaction, sdp, headers=headers)
            return
        transaction.respond(self._ua.response(request, 200, headers=headers, sdp=sdp))

    def _refuse_glare(self, transaction: ServerTransaction) -> None:
        """RFC 3261 14.2, RFC 3311 5.2: our own offer is open, or their earlier one."""
        request = transaction.request
        if self._offers.state is OfferState.OFFERED:
            transaction.respond(self._ua.response(request, 491))
            return
        retry = str(int(self._ua.ids.backoff_s(1, 10)))
        refusal = self._ua.response(request, 500, headers=[("Retry-After", retry)])
        transaction.respond(refusal)

    def on_answer(self, message: Request) -> None:
        """An ACK or PRACK brings the answer to the offer that our response made."""
        sdp, first = session_description(message), self.remote_sdp is None
        if sdp is None and not first:
            # a re-INVITE asked for an offer and did not answer it: the session stays as it was
            self._offers.step(OfferInput.CLOSE)
            return
        self.heard_answer(sdp)
        if sdp is None:  # RFC 3261 13.2.2.4: without an answer there is no session
            self._port.give_up(Side.US, Cause.NO_SDP_ANSWER, NO_ANSWER)
            return
        if first and not has_common_codec(self.local_sdp or "", sdp):
            self._port.give_up(Side.US, Cause.NO_COMMON_CODEC, NO_AUDIO)
            return
        if not is_accepted(self.local_sdp or "", sdp, self._encryption):
            self._port.give_up(Side.US, Cause.NO_ENCRYPTION, NO_KEY)
            return
        self._port.emit(Described(at=self._ua.clock.now(), sdp=sdp))

    # the session timer

    def request_headers(self) -> Headers:
        """What a refreshing request of ours says of the session timer."""
        return session_timer.request_headers(
            self._policy,
            min_se_s=self._min_se_s,
            current=self._timer.agreement if self._timer is not None else None,
        )

    def agree_with(self, request: Request) -> Headers:
        """Start the timer that our 2xx to `request` agrees on; returns what the 2xx says of it."""
        if not self._port.up:  # an UPDATE in an early dialog refreshes nothing yet
            return ()
        agreed = agree_as_uas(self._policy, request)
        agreement = agreed if isinstance(agreed, Agreement) else None
        self._agree(agreement)
        return session_timer.response_headers(agreement, request)

    def agreed(self, response: Response) -> None:
        """The 2xx to a refreshing request of ours: the timer begins anew."""
        self._agree(agree_as_uac(self._policy, response))

    def _agree(self, agreement: Agreement | None) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if agreement is not None:
            self._timer = SessionTimer(
                self._ua.clock, agreement, refresh=self._refresh, expired=self._expired
            )

    def _expired(self) -> None:
        """RFC 4028 10: the session was not refreshed in time."""
        self._port.give_up(Side.US, Cause.SESSION_EXPIRED, EXPIRED)

    def raised(self, response: Response | None) -> bool:
        """Whether `response` demands a longer interval (422), which the next request will have."""
        if response is None or response.status != 422:
            return False
        self._min_se_s = max(self._min_se_s, session_timer.min_se(response))
        return True

    def _refresh(self, attempt: int = 0) -> None:
        if not self._port.confirmed:
            return
        if self._port.unconfirmed or self._offers.state is not OfferState.STABLE:
            self._refresh_later()
            return
        update = self.allows("UPDATE")
        if not update:
            self._offers.step(OfferInput.SEND_OFFER)

        def ended(response: Response | None) -> None:
            if not update:  # an UPDATE offered nothing: what is open now is the peer's
                self._offers.step(OfferInput.CLOSE)
            if response is None or response.status in (408, 481):
                self._port.give_up(Side.PEER, Cause.DIALOG_LOST)
            elif response.status < 300:
                self._refreshed(response)
            elif self.raised(response) and attempt < MAX_RETRIES:
                self._refresh(attempt + 1)
            elif update and response.status in (405, 501) and attempt < MAX_RETRIES:
                self._peer_methods -= {"update"}
                self._refresh(attempt + 1)
            else:  # RFC 4028 7.4: the session lives on until it expires
                self._refresh_later()

        self._port.request(
            "UPDATE" if update else "INVITE",
            sdp=None if update else self.local_sdp,
            headers=self.request_headers(),
            on_end=ended,
        )

    def _refreshed(self, response: Response) -> None:
        self.agreed(response)
        sdp = session_description(response)
        if sdp is not None and sdp != self.remote_sdp:
            self.remote_sdp = sdp
            self._port.emit(Described(at=self._ua.clock.now(), sdp=sdp))

    def _refresh_later(self) -> None:
        if self._timer is not None:
            self._timer.again(self._ua.ids.backoff_s(*REFRESH_AGAIN_S))
