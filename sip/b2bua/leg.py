"""One leg: our half of one dialog, from either side, with its offers and its end.

`InboundLeg` and `OutboundLeg` add how a leg comes up; everything after that is here: BYE both ways,
re-INVITE both ways, ACK, digest inside the dialog. A leg knows SDP only as text.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto

from sip.b2bua.call_events import (
    Answer,
    Cause,
    Disconnect,
    Event,
    Headers,
    Offer,
    OfferEnded,
    Origin,
)
from sip.clock import Timer
from sip.core.dialog import Dialog, Order
from sip.core.message import Request, Response
from sip.core.offer_answer import Input, OfferAnswer, State
from sip.transport.endpoint import Flow
from sip.ua.credentials import Credentials
from sip.ua.dialog_client import DialogClient
from sip.ua.success import Success
from sip.ua.transactions import Failure, ServerTransaction
from sip.ua.user_agent import ALLOW, SDP, UserAgent

#: RFC 3261 14.1: wait this long after a 491, by who owns the Call-ID, in seconds.
GLARE_OWNER_S = (2.1, 4.0)
GLARE_OTHER_S = (0.0, 2.0)
MAX_GLARE_RETRIES = 3


class LegState(Enum):
    """A leg's life; `ENDED` is entered once and emits nothing after."""

    STARTING = auto()
    """the INVITE is out or in, no final response yet"""
    ANSWERED = auto()
    """inbound only: our 2xx waits for its ACK"""
    UP = auto()
    LEAVING = auto()
    """our BYE or CANCEL is out; the call does not wait for it"""
    ENDED = auto()


class Leg:
    """What inbound and outbound legs share."""

    #: whether we sent the first INVITE, so that the Call-ID is ours
    owns_call_id = False

    def __init__(
        self,
        ua: UserAgent,
        on_event: Callable[["Leg", Event], None],
        *,
        credentials: Credentials | None = None,
    ) -> None:
        self.ua = ua
        self.state = LegState.STARTING
        self.dialog: Dialog | None = None
        self.credentials = credentials
        #: the newest session descriptions of both sides
        self.local_sdp: str | None = None
        self.remote_sdp: str | None = None
        self._emit_to = on_event
        self._offers = OfferAnswer()
        self._reinvite: ServerTransaction | None = None
        self._bye_when_acked: Headers | None = None
        self._timers: dict[str, Timer] = {}
        self._success: Success | None = None
        self._client: DialogClient | None = None

    # identity

    @property
    def sip_call_id(self) -> str:
        raise NotImplementedError

    @property
    def local_tag(self) -> str:
        raise NotImplementedError

    @property
    def flow(self) -> Flow:
        """The way to the peer that the leg came up on."""
        raise NotImplementedError

    @property
    def up(self) -> bool:
        return self.state in (LegState.ANSWERED, LegState.UP)

    # what the call may do

    def bye(self, headers: Headers = ()) -> None:
        """Hang up an answered leg. RFC 3261 15: never before the ACK to our 2xx came."""
        if self.state is LegState.ANSWERED:
            self._bye_when_acked = headers
        elif self.state is LegState.UP:
            self._send_bye(headers)

    def reoffer(self, sdp: str) -> bool:
        """Send a re-INVITE; its outcome comes as `OfferEnded`. False if an offer is open."""
        if self.state is not LegState.UP or not self._offers.step(Input.SEND_OFFER):
            return False
        self._send_reinvite(sdp, 0)
        return True

    def accept(self, sdp: str) -> None:
        """Answer the peer's re-INVITE."""
        transaction, self._reinvite = self._reinvite, None
        if transaction is None or not self.up:
            return
        if self.dialog is not None:
            self.dialog.refresh_target(transaction.request)
        if transaction.request.body:
            self._offers.step(Input.SEND_ANSWER)
            self.remote_sdp = transaction.request.body.decode(errors="replace")
        else:
            self._offers.step(Input.CLOSE)
            self._offers.step(Input.SEND_OFFER)
        self._answer_2xx(transaction, sdp)

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the peer's re-INVITE; the session stays as it was (RFC 3261 14.2)."""
        transaction, self._reinvite = self._reinvite, None
        self._offers.step(Input.CLOSE)
        if transaction is not None:
            transaction.respond(self.ua.response(transaction.request, status, headers=headers))

    # what the user agent brings

    def on_request(self, transaction: ServerTransaction) -> None:
        """A new request in our dialog."""
        request = transaction.request
        dialog = self.dialog
        if dialog is None or (dialog.remote_tag and request.from_.tag != dialog.remote_tag):
            transaction.respond(self.ua.response(request, 481))
        elif dialog.receive(request) is Order.OLD:
            transaction.respond(self.ua.response(request, 500))  # RFC 3261 12.2.2
        elif request.method == "BYE":
            self._on_bye(transaction)
        elif request.method == "INVITE":
            self._on_reinvite(transaction)
        else:
            transaction.respond(
                self.ua.response(request, 200, headers=[("Allow", ALLOW), ("Accept", SDP)])
            )

    def on_ack(self, ack: Request) -> None:
        """The ACK to one of our 2xx."""
        success = self._success
        if success is None or success.cseq != ack.cseq.number:
            return
        success.stop()
        self._success = None
        if self.state is LegState.ANSWERED:
            self.state = LegState.UP
            self._on_confirmed()
        if self._bye_when_acked is not None and self.state is LegState.UP:
            self._send_bye(self._bye_when_acked)
        elif self._offers.state is State.OFFERED:
            # RFC 3261 13.2.2.4: our 2xx made the offer, so its answer is in the ACK
            self._offers.step(Input.RECEIVE_ANSWER)
            if ack.body:
                self.remote_sdp = ack.body.decode(errors="replace")
                self._emit(Answer(at=self.ua.clock.now(), sdp=self.remote_sdp))

    def drop(self) -> None:
        """Forget the leg at once; the other side will find out."""
        self._end()
        if self._client is not None:
            self._client.close()

    def _on_confirmed(self) -> None:
        """Our first 2xx was acknowledged."""

    def _on_bye(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        transaction.respond(self.ua.response(request, 200))
        if self._reinvite is not None:  # RFC 3261 15.1.2: pending requests get 487
            self.refuse(487)
        if self.state in (LegState.LEAVING, LegState.ENDED):
            return  # both hung up at once
        self._disconnect(Origin.PEER, Cause.BYE, passing_headers(request))

    def _on_reinvite(self, transaction: ServerTransaction) -> None:
        """RFC 3261 14.2; also the target refresh of a peer's session timer."""
        request = transaction.request
        if self.state is not LegState.UP:
            refusal = self.ua.response(request, 491 if self.up else 481)
            transaction.respond(refusal)
            return
        if not self._offers.step(Input.RECEIVE_OFFER):
            if self._offers.state is State.OFFERED:
                transaction.respond(self.ua.response(request, 491))
            else:
                retry = str(int(self.ua.ids.backoff_s(1, 10)))
                headers = [("Retry-After", retry)]
                transaction.respond(self.ua.response(request, 500, headers=headers))
            return
        transaction.respond(self.ua.response(request, 100))
        self._reinvite = transaction
        transaction.on_cancel = lambda _: self.refuse(487)
        sdp = request.body.decode(errors="replace") if request.body else None
        self._emit(Offer(at=self.ua.clock.now(), sdp=sdp))

    # requests of ours

    def _send_bye(self, headers: Headers = ()) -> None:
        self._leave()
        self._in_dialog.request("BYE", headers=headers, on_end=lambda _: self._end())

    def _send_reinvite(self, sdp: str, attempt: int) -> None:
        def ended(response: Response | None) -> None:
            if response is None or response.status in (408, 481):
                # RFC 3261 12.2.1.2: the peer no longer has this dialog
                self._offers.step(Input.CLOSE)
                self._lost()
            elif response.status == 491 and attempt < MAX_GLARE_RETRIES:
                self._offers.step(Input.CLOSE)
                window = GLARE_OWNER_S if self.owns_call_id else GLARE_OTHER_S
                self._start("glare", self.ua.ids.backoff_s(*window), retry)
            elif response.status < 300:
                self._offers.step(Input.RECEIVE_ANSWER)
                self.local_sdp = sdp
                answer = response.body.decode(errors="replace") or None
                self.remote_sdp = answer or self.remote_sdp
                self._emit(OfferEnded(at=self.ua.clock.now(), status=200, sdp=answer))
            else:
                self._offers.step(Input.CLOSE)
                self._emit(OfferEnded(at=self.ua.clock.now(), status=response.status, sdp=None))

        def retry() -> None:
            if self.state is LegState.UP and self._offers.step(Input.SEND_OFFER):
                self._send_reinvite(sdp, attempt + 1)

        self._in_dialog.request("INVITE", sdp=sdp, on_end=ended)

    @property
    def _in_dialog(self) -> DialogClient:
        """What sends our requests in the present dialog."""
        assert self.dialog is not None, "a leg sends nothing in a dialog that it does not have"
        if self._client is None or self._client.dialog is not self.dialog:
            self._client = DialogClient(self.ua, self.dialog, self.flow, self.credentials)
        return self._client

    # our 2xx until it is acknowledged

    def _answer_2xx(
        self,
        transaction: ServerTransaction,
        sdp: str,
        *,
        to_tag: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send 200 and repeat it until the ACK comes (RFC 3261 13.3.1.4, over TCP too)."""
        self.local_sdp = sdp
        fields = [("Contact", self.ua.contact(transaction.flow)), ("Allow", ALLOW), *headers]
        response = self.ua.response(
            transaction.request, 200, to_tag=to_tag, headers=fields, sdp=sdp
        )
        transaction.on_ack = self.on_ack
        self._success = Success(self.ua, transaction, response, self._no_ack)

    def _no_ack(self) -> None:
        """RFC 3261 13.3.1.4: nobody acknowledged our 2xx, so hang up."""
        self._success = None
        if not self.up:
            return
        if self._bye_when_acked is not None:  # the call is done with this leg already
            self._send_bye(self._bye_when_acked)
            return
        self._send_bye()
        self._emit(Disconnect(at=self.ua.clock.now(), by=Origin.US, cause=Cause.NO_ACK))

    # the end

    def _lost(self) -> None:
        """The peer no longer answers in this dialog."""
        if self.state is LegState.UP:
            self._send_bye()
            self._emit(Disconnect(at=self.ua.clock.now(), by=Origin.PEER, cause=Cause.DIALOG_LOST))

    def _disconnect(self, by: Origin, cause: Cause, headers: Headers = ()) -> None:
        self._end(Disconnect(at=self.ua.clock.now(), by=by, cause=cause, headers=headers))

    def _leave(self) -> None:
        self.state = LegState.LEAVING
        self._stop_all()

    def _end(self, event: Event | None = None) -> None:
        """The last thing a leg does, with its last word.

        Its transactions are remembered for 32 s more, and the leg by them: let the call go at once.
        """
        self.state = LegState.ENDED
        self._stop_all()
        self.ua.close_dialog(self.sip_call_id, self.local_tag)
        if event is not None:
            self._emit(event)
        self._emit_to = _nobody

    def _emit(self, event: Event) -> None:
        self._emit_to(self, event)

    def _start(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        self._stop(name)
        self._timers[name] = self.ua.clock.call_later(delay_s, callback)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _stop_all(self) -> None:
        if self._success is not None:
            self._success.stop()
            self._success = None
        for name in list(self._timers):
            self._stop(name)


def _nobody(_: Leg, event: Event) -> None:
    """Whom an ended leg tells."""


def passing_headers(message: Request | Response) -> Headers:
    """Headers that tell the application why a leg ended: X-*, Reason (RFC 3326), Retry-After."""
    return tuple(
        (name, value)
        for name, value in message.headers
        if name[:2].lower() == "x-" or name.lower() in ("reason", "retry-after")
    )


def failure_status(failure: Failure) -> tuple[int, str, Cause]:
    """RFC 3261 8.1.3.1: what no response at all counts as."""
    match failure:
        case Failure.TIMEOUT:
            return 408, "Request Timeout", Cause.SILENT
        case Failure.UNREACHABLE:
            return 503, "Service Unavailable", Cause.UNREACHABLE
