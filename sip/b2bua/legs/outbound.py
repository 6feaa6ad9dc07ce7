"""The leg of a call that we place: an INVITE, its challenges, its forks, its cancelling."""

from sip.b2bua.call_events import Cause, Connect, Fail, Headers, Ring
from sip.b2bua.legs.early_dialogs import EarlyDialog, EarlyDialogs, LateAnswers
from sip.b2bua.legs.endings import failure_status, passing_headers
from sip.b2bua.legs.leg import Direction, OnEvent
from sip.b2bua.legs.options import DEFAULT, LegOptions, Reliable
from sip.b2bua.legs.sip_leg import SipLeg
from sip.b2bua.legs.state import LegState
from sip.core.body import SDP, session_description
from sip.core.dialog import Dialog, is_secure
from sip.core.digest_client import Credentials, Tried
from sip.core.header_values import NameAddr, readable_addresses
from sip.core.message import Headers as Fields
from sip.core.message import Request, Response
from sip.core.reasons import reason_phrase
from sip.core.reliable import TAG, RAck, read_rseq
from sip.core.value import changed, frozen
from sip.transport.endpoint import Flow
from sip.ua.client_transaction import ClientTransaction
from sip.ua.transaction import Failure
from sip.ua.user_agent import UserAgent

#: Seconds without any provisional response: the peer is dead, try another.
NO_RESPONSE_S = 8.0
#: Seconds after 100 in which more must come: the peer does not get through, try another.
POST_DIAL_S = 8.0
#: 422 responses to one INVITE that are obeyed.
MAX_RAISES = 2


@frozen(kw_only=True)
class Invitation:
    """What to dial: Request-URI, identities, offer; `routes` are Route values, first hop first.

    `sip_call_id` is its Call-ID, a new one if there is none.
    """

    uri: str
    caller: NameAddr
    callee: NameAddr
    sdp: str
    headers: Headers = ()
    routes: tuple[str, ...] = ()
    max_forwards: int = 70
    sip_call_id: str | None = None


class OutboundLeg(SipLeg):
    """A UAC leg. Emits `Ring`s, then one of `Connect` and `Fail`."""

    direction = Direction.OUTBOUND

    def __init__(
        self,
        ua: UserAgent,
        invitation: Invitation,
        flow: Flow,
        on_event: OnEvent,
        *,
        credentials: Credentials | None = None,
        options: LegOptions = DEFAULT,
        no_response_s: float = NO_RESPONSE_S,
        post_dial_s: float = POST_DIAL_S,
    ) -> None:
        super().__init__(
            ua,
            flow,
            on_event,
            sip_call_id=invitation.sip_call_id or ua.ids.sip_call_id(),
            credentials=credentials,
            options=options,
        )
        self._invitation = invitation
        self._no_response_s = no_response_s
        self._post_dial_s = post_dial_s
        self._cseq = ua.ids.cseq()
        self._tried = Tried()
        self._raises = 0
        self._early = EarlyDialogs()
        self._transaction: ClientTransaction | None = None
        self._provisional = False
        self._cancelled = False
        self._parting: Headers = ()
        self.negotiation.say(invitation.sdp)

    def start(self) -> None:
        """Send the INVITE."""
        self.ua.open_dialog(self.sip_call_id, self.local_tag, self)
        self.negotiation.made_offer()
        self.start_timer("no response", self._no_response_s, self._on_silence)
        self._send_invite()

    def ring(self, status: int = 180, reason: str | None = None, *, sdp: str | None = None) -> None:
        """Without effect: its peer does not wait to hear how far we are."""

    def answer(self, sdp: str) -> bool:
        """False: its peer answers, not we."""
        return False

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> str:
        """Give the attempt up: there is nothing to refuse. Returns the reason phrase."""
        self.cancel()
        return reason or reason_phrase(status)

    def hangup(self, headers: Headers = ()) -> None:
        """End the leg, whatever its state: CANCEL before the answer, BYE after it."""
        self.cancel(headers)
        self.bye(headers)

    def cancel(self, headers: Headers = ()) -> None:
        """Give the attempt up; emits nothing more. RFC 3261 9.1: CANCEL waits for a provisional.

        `headers` say why (RFC 3326), in the CANCEL or in the BYE to an answer that crosses it.
        """
        if self.state is not LegState.STARTING:
            return
        self._parting = headers
        self._leave()
        if self._provisional:
            self._send_cancel()
        elif self._transaction is not None:
            self._transaction.stop_resending()

    # INVITE

    def _send_invite(self) -> None:
        wanted = self._invitation
        host = self.host(self.flow)
        lines = (
            *[("route", route) for route in wanted.routes],
            ("max-forwards", str(wanted.max_forwards)),
            ("from", wanted.caller.with_param("tag", self.local_tag).text),
            ("to", wanted.callee.text),
            ("call-id", self.sip_call_id),
            ("cseq", f"{self._cseq} INVITE"),
        )
        fields = Fields(lines)
        request = Request("INVITE", wanted.uri, fields, (self.local_sdp or "").encode())
        self.secure = is_secure(request)
        contact = self.ua.contact(self.flow, host, secure=self.secure)
        allow, supported = self.options.allow, self.options.supported
        fields.extend((("contact", contact), ("allow", allow), ("supported", supported)))
        if self.options.reliable is Reliable.REQUIRE:
            fields.add("require", TAG)
        fields.extend(self.negotiation.request_headers())
        fields.extend(wanted.headers)
        if self.proofs is not None:
            fields.extend(
                self.proofs.headers("INVITE", wanted.uri, self.ua.ids.cnonce, request.body)
            )
        fields.add("content-type", SDP)
        self._transaction = self.ua.send(
            request,
            self.flow,
            self._on_response,
            self._on_failure,
            host=host,
        )

    def _on_response(self, response: Response) -> None:
        assert self._transaction is not None, "a response answers an INVITE"
        self.stop_timer("no response")
        if response.status > 100:
            self.stop_timer("no progress")
        if response.status < 200:
            self._on_provisional(self._transaction.request, response)
        elif response.status < 300:
            self._on_success(self._transaction, response)
        elif not (self._raise_interval(response) or self._answer_challenge(response)):
            self._on_rejection(response)

    def _on_provisional(self, request: Request, response: Response) -> None:
        first, self._provisional = not self._provisional, True
        if self.state is LegState.LEAVING:
            if first:
                self._send_cancel()
            return
        if response.status == 100 and first:
            self.start_timer("no progress", self._post_dial_s, self._on_no_progress)
        if response.status == 100 or self.state is not LegState.STARTING:
            return
        sdp = session_description(response)
        early = self._early.open(request, response)
        if early is not None:
            self.dialog = early.dialog
            self.negotiation.learn_methods(response)
            rseq = read_rseq(response)
            if rseq is not None and not self._acknowledge(early, rseq, response, sdp):
                return
            if early.answer is None:
                early.preview = sdp or early.preview
            elif rseq is None:
                sdp = None  # the answer stands already
        self.negotiation.remote_sdp = sdp or self.remote_sdp
        self.emit(
            Ring(at=self.ua.clock.now(), status=response.status, reason=response.reason, sdp=sdp)
        )

    def _acknowledge(
        self, early: EarlyDialog, rseq: int, response: Response, sdp: str | None
    ) -> bool:
        """PRACK a reliable response (RFC 3262 4); False for one that came before, or too early."""
        if not early.in_turn(rseq):
            return False
        if early.answer is None and sdp is not None:
            early.answer = sdp
            self.negotiation.heard_answer(sdp)
        rack = RAck(rseq, response.cseq.number, response.cseq.method)
        self.client.request("PRACK", headers=[("RAck", str(rack))], on_end=lambda _: None)
        return True

    def _on_success(self, transaction: ClientTransaction, response: Response) -> None:
        self.dialog, early = self._early.confirm(transaction.request, response)
        self.client.ack(transaction.request, self.lost)
        transaction.on_response = LateAnswers(transaction, self._early, self.client).take
        if self.state is LegState.LEAVING:  # RFC 3261 9.1: the answer crossed our CANCEL
            self._stop_all()
            self._send_bye(self._parting)
            return
        self.state = LegState.UP
        self.settled = True
        self.negotiation.learn_methods(response)
        self.negotiation.agreed(response)
        sdp = session_description(response)
        sdp = early.final(sdp) if early is not None else sdp
        self.negotiation.heard_answer(sdp)
        self.negotiation.remote_sdp = sdp  # not what another fork said
        self.emit(Connect(at=self.ua.clock.now(), sdp=sdp))

    def _dialog_of(self, request: Request) -> Dialog | None:
        """While the INVITE is out, the peer may speak in any of its early dialogs."""
        if self.state is LegState.STARTING and self._early:
            return self._early.of(request)
        return super()._dialog_of(request)

    def _on_rejection(self, response: Response) -> None:
        unauthorised = response.status in (401, 407)
        self._failed(
            Fail(
                at=self.ua.clock.now(),
                status=response.status,
                reason=response.reason,
                cause=Cause.UNAUTHORISED if unauthorised else Cause.REJECTED,
                headers=passing_headers(response),
                contacts=_contacts(response),
            )
        )

    def _raise_interval(self, response: Response) -> bool:
        """RFC 4028 7.3: the peer wants a longer session interval; ask again."""
        if self.state is not LegState.STARTING or self._raises == MAX_RAISES:
            return False
        if not self.negotiation.raised(response):
            return False
        self._raises += 1
        self._tried.clear()
        self._again()
        return True

    def _answer_challenge(self, response: Response) -> bool:
        if self.proofs is None or self.state is not LegState.STARTING:
            return False
        if not self.proofs.learn(response, self._tried):
            return False
        self._again()
        return True

    def _again(self) -> None:
        """The INVITE anew, in a transaction of its own (RFC 3261 8.1.3.5)."""
        self._cseq += 1
        self._provisional = False
        self._early.clear()
        self.dialog = None
        self.start_timer("no response", self._no_response_s, self._on_silence)
        self._send_invite()

    def _on_failure(self, failure: Failure) -> None:
        status, reason, cause = failure_status(failure)
        self._failed(self._failure(status, reason, cause))

    def _on_silence(self) -> None:
        """Nothing came back: tell the call, and clean up quietly if the peer wakes up after all."""
        self._leave()
        if self._transaction is not None:
            self._transaction.stop_resending()
        status, reason, cause = failure_status(Failure.TIMEOUT)
        self.emit(self._failure(status, reason, cause))

    def _on_no_progress(self) -> None:
        """The peer took the call, and gets nowhere with it."""
        self.cancel()
        text = f"100 and nothing more for {self._post_dial_s:g} s (post_dial_s)"
        event = self._failure(408, "Request Timeout", Cause.NO_PROGRESS)
        self.emit(changed(event, detail=text))

    def _failure(self, status: int, reason: str, cause: Cause) -> Fail:
        """No response said so: the way to the peer, or its silence, did."""
        sent = self._transaction
        detail = self.flow.error if sent is None else sent.problem or sent.flow.error
        return Fail(
            at=self.ua.clock.now(), status=status, reason=reason, cause=cause, detail=detail
        )

    def _failed(self, event: Fail) -> None:
        self._end(event if self.state is LegState.STARTING else None)

    # CANCEL

    def _send_cancel(self) -> None:
        if self._cancelled or self._transaction is None:
            return
        self._cancelled = True
        self._transaction.cancel(self._parting, lambda _: None)
        self.start_timer("cancelled", self.ua.timers.give_up_s, self._abandon)

    def _abandon(self) -> None:
        """RFC 3261 9.1: a peer that never ends the cancelled INVITE is given up after 64*T1."""
        if self._transaction is not None:
            self.ua.forget(self._transaction)
        self._end()


def _contacts(response: Response) -> tuple[str, ...]:
    """Where a 3xx points to, best first (RFC 3261 8.1.3.4, 20.10)."""
    if not 300 <= response.status < 400:
        return ()
    found = readable_addresses(response.headers.get_all("contact"))
    ranked = sorted(found, key=lambda contact: -_preference(contact))
    return tuple(str(contact.uri) for contact in ranked)


def _preference(contact: NameAddr) -> float:
    try:
        return float(contact.param("q") or 1.0)
    except ValueError:
        return 0.0
