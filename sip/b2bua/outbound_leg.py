"""The leg of a call that we place: an INVITE, its challenges, its forks, its cancelling."""

from collections.abc import Callable
from dataclasses import dataclass

from sip.b2bua.call_events import Cause, Connect, Event, Fail, Headers, Ring
from sip.b2bua.leg import Leg, LegState, failure_status, passing_headers
from sip.core.dialog import Dialog
from sip.core.headers import NameAddr
from sip.core.message import Headers as Fields
from sip.core.message import Request, Response
from sip.core.offer_answer import Input
from sip.transport.endpoint import Flow
from sip.ua.credentials import Credentials
from sip.ua.transactions import ClientTransaction, Failure
from sip.ua.user_agent import ALLOW, SDP, UserAgent

#: No provisional response at all for so long: the peer is dead, try another.
NO_RESPONSE_S = 8.0
#: A digest challenge is answered once, and once more if the nonce was stale (RFC 7616 3.3).
MAX_CHALLENGES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What to dial: Request-URI, identities, offer."""

    uri: str
    caller: NameAddr
    callee: NameAddr
    sdp: str
    headers: Headers = ()
    max_forwards: int = 70


class OutboundLeg(Leg):
    """A UAC leg. Emits `Ring`s, then one of `Connect` and `Fail`."""

    owns_call_id = True

    def __init__(
        self,
        ua: UserAgent,
        invitation: Invitation,
        flow: Flow,
        on_event: Callable[[Leg, Event], None],
        *,
        credentials: Credentials | None = None,
        no_response_s: float = NO_RESPONSE_S,
    ) -> None:
        super().__init__(ua, on_event, credentials=credentials)
        self._invitation = invitation
        self._flow = flow
        self._no_response_s = no_response_s
        self._sip_call_id = ua.ids.sip_call_id()
        self._tag = ua.ids.tag()
        self._cseq = ua.ids.cseq()
        self._challenges = 0
        self._transaction: ClientTransaction | None = None
        self._provisional = False
        self._cancelled = False
        #: the SDP of the newest provisional response: the answer, if the 2xx brings none
        self.early_sdp: str | None = None
        self.local_sdp = invitation.sdp

    @property
    def sip_call_id(self) -> str:
        return self._sip_call_id

    @property
    def local_tag(self) -> str:
        return self._tag

    @property
    def flow(self) -> Flow:
        return self._flow

    def start(self) -> None:
        """Send the INVITE."""
        self.ua.open_dialog(self._sip_call_id, self._tag, self)
        self._offers.step(Input.SEND_OFFER)
        self._start("no response", self._no_response_s, self._on_silence)
        self._send_invite()

    def hangup(self) -> None:
        """End the leg whatever its state: CANCEL before the answer, BYE after it."""
        self.cancel()
        self.bye()

    def cancel(self) -> None:
        """Give the attempt up; emits nothing more. RFC 3261 9.1: CANCEL waits for a provisional."""
        if self.state is not LegState.STARTING:
            return
        self._leave()
        if self._provisional:
            self._send_cancel()
        elif self._transaction is not None:
            self._transaction.stop_resending()

    # INVITE

    def _send_invite(self, proof: tuple[str, str] | None = None) -> None:
        wanted = self._invitation
        fields = Fields()
        fields.add("max-forwards", str(wanted.max_forwards))
        fields.add("from", str(wanted.caller.with_param("tag", self._tag)))
        fields.add("to", str(wanted.callee))
        fields.add("call-id", self._sip_call_id)
        fields.add("cseq", f"{self._cseq} INVITE")
        fields.add("contact", self.ua.contact(self._flow))
        fields.add("allow", ALLOW)
        for name, value in wanted.headers:
            fields.add(name, value)
        if proof is not None:
            fields.add(*proof)
        fields.add("content-type", SDP)
        request = Request("INVITE", wanted.uri, fields, wanted.sdp.encode())
        self._transaction = self.ua.send(
            request,
            self._flow,
            lambda response: self._on_response(request, response),
            self._on_failure,
        )

    def _on_response(self, request: Request, response: Response) -> None:
        self._stop("no response")
        if response.status < 200:
            self._on_provisional(request, response)
        elif response.status < 300:
            self._on_success(request, response)
        elif not self._answer_challenge(request, response):
            self._on_rejection(response)

    def _on_provisional(self, request: Request, response: Response) -> None:
        first, self._provisional = not self._provisional, True
        if self.state is LegState.LEAVING:
            if first:
                self._send_cancel()
            return
        if response.status == 100 or self.state is not LegState.STARTING:
            return
        if response.to.tag:
            self.dialog = Dialog.as_uac(request, response)
        sdp = _sdp_of(response)
        self.early_sdp = sdp or self.early_sdp
        self._emit(
            Ring(at=self.ua.clock.now(), status=response.status, reason=response.reason, sdp=sdp)
        )

    def _on_success(self, request: Request, response: Response) -> None:
        confirmed = self.dialog is not None and self.dialog.confirmed
        if confirmed and self.dialog is not None and response.to.tag == self.dialog.remote_tag:
            self._in_dialog.resend_ack(request.cseq.number)
            return
        if confirmed or self.state is LegState.ENDED:
            self._drop_fork(request, response)
            return
        self.dialog = Dialog.as_uac(request, response)
        self._in_dialog.ack(request, self._lost)
        if self.state is LegState.LEAVING:  # RFC 3261 9.1: the answer crossed our CANCEL
            self._stop_all()
            self._send_bye()
            return
        self.state = LegState.UP
        self._offers.step(Input.RECEIVE_ANSWER)
        self.remote_sdp = _sdp_of(response) or self.early_sdp
        self._emit(Connect(at=self.ua.clock.now(), sdp=self.remote_sdp))

    def _drop_fork(self, request: Request, response: Response) -> None:
        """A second answer to a forked INVITE (RFC 3261 13.2.2.4): acknowledge it and hang it up."""
        dialog = Dialog.as_uac(request, response)
        ack = dialog.request("ACK", cseq=request.cseq.number)
        try:
            flow = self.ua.flow_now(dialog.next_hop()) or self._flow
        except OSError:
            flow = self._flow
        self.ua.send_ack(ack, flow)
        self.ua.send(dialog.request("BYE"), flow, lambda _: None)

    def _on_rejection(self, response: Response) -> None:
        unauthorised = response.status in (401, 407)
        self._failed(
            Fail(
                at=self.ua.clock.now(),
                status=response.status,
                reason=response.reason,
                cause=Cause.UNAUTHORISED if unauthorised else Cause.REJECTED,
                headers=passing_headers(response),
            )
        )

    def _answer_challenge(self, request: Request, response: Response) -> bool:
        if self.credentials is None or self.state is not LegState.STARTING:
            return False
        if self._challenges == MAX_CHALLENGES:
            return False
        if self._challenges == 1 and not _stale(response):
            return False  # the same credentials would be refused again
        proof = self.credentials.answer(request, response, self.ua.ids)
        if proof is None:
            return False
        self._challenges += 1
        self._cseq += 1
        self._provisional = False
        self._start("no response", self._no_response_s, self._on_silence)
        self._send_invite(proof)
        return True

    def _on_failure(self, failure: Failure) -> None:
        status, reason, cause = failure_status(failure)
        self._failed(Fail(at=self.ua.clock.now(), status=status, reason=reason, cause=cause))

    def _on_silence(self) -> None:
        """Nothing came back: tell the call, and clean up quietly if the peer wakes up after all."""
        self._leave()
        if self._transaction is not None:
            self._transaction.stop_resending()
        status, reason, cause = failure_status(Failure.TIMEOUT)
        self._emit(Fail(at=self.ua.clock.now(), status=status, reason=reason, cause=cause))

    def _failed(self, event: Fail) -> None:
        self._end(event if self.state is LegState.STARTING else None)

    # CANCEL

    def _send_cancel(self) -> None:
        if self._cancelled or self._transaction is None:
            return
        self._cancelled = True
        self._transaction.cancel((), lambda _: None)
        self._start("cancelled", self.ua.timers.give_up_s, self._abandon)

    def _abandon(self) -> None:
        """RFC 3261 9.1: a peer that never ends the cancelled INVITE is given up after 64*T1."""
        if self._transaction is not None:
            self.ua.forget(self._transaction)
        self._end()


def _sdp_of(response: Response) -> str | None:
    if response.content_type != SDP or not response.body:
        return None
    return response.body.decode(errors="replace")


def _stale(response: Response) -> bool:
    names = ("www-authenticate", "proxy-authenticate")
    values = [value for name in names for value in response.headers.get_all(name)]
    return any("stale=true" in value.lower().replace('"', "").replace(" ", "") for value in values)
