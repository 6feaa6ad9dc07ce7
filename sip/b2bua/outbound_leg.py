"""The leg of a call that we place: an INVITE, its challenges, its forks, its cancelling."""

from collections.abc import Callable
from dataclasses import dataclass

from sip.b2bua.call_events import Cause, Connect, Event, Fail, Headers, Ring
from sip.b2bua.leg import Leg, LegState, failure_status, passing_headers
from sip.b2bua.leg_options import DEFAULT, LegOptions, Reliable
from sip.core.body import SDP, session_description
from sip.core.dialog import Dialog, is_secure
from sip.core.digest_client import Credentials
from sip.core.header_values import NameAddr, parse_name_addrs
from sip.core.message import Headers as Fields
from sip.core.message import Request, Response
from sip.core.offer_answer import Input
from sip.core.reliable import TAG, InOrder, RAck, read_rseq
from sip.errors import ParseError
from sip.transport.endpoint import Flow
from sip.ua.dialog_client import DialogClient
from sip.ua.refusals import ALLOW
from sip.ua.transactions import ClientTransaction, Failure
from sip.ua.user_agent import UserAgent

#: No provisional response at all for so long: the peer is dead, try another.
NO_RESPONSE_S = 8.0
#: 422 is obeyed so often.
MAX_RAISES = 2
#: Early dialogs of one INVITE; who forks wider is not believed.
MAX_FORKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What to dial: Request-URI, identities, offer; `routes` are Route values, first hop first."""

    uri: str
    caller: NameAddr
    callee: NameAddr
    sdp: str
    headers: Headers = ()
    routes: tuple[str, ...] = ()
    max_forwards: int = 70


@dataclass(slots=True)
class _Early:
    """One early dialog of a (perhaps forked) INVITE: its reliable responses and its session.

    `answer` is what a reliable response said: it stands. `preview` came unreliably.
    """

    dialog: Dialog
    order: InOrder
    answer: str | None = None
    preview: str | None = None


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
        options: LegOptions = DEFAULT,
        no_response_s: float = NO_RESPONSE_S,
    ) -> None:
        super().__init__(
            ua,
            on_event,
            sip_call_id=ua.ids.sip_call_id(),
            credentials=credentials,
            options=options,
        )
        self._invitation = invitation
        self._flow = flow
        self._no_response_s = no_response_s
        self._cseq = ua.ids.cseq()
        self._challenged: set[int] = set()
        self._raises = 0
        self._early: dict[str, _Early] = {}
        self._forks: dict[str, DialogClient] = {}
        self._transaction: ClientTransaction | None = None
        self._provisional = False
        self._cancelled = False
        self.local_sdp = self.origin.stamp(invitation.sdp)

    @property
    def flow(self) -> Flow:
        return self._flow

    def start(self) -> None:
        """Send the INVITE."""
        self.ua.open_dialog(self.sip_call_id, self.local_tag, self)
        self.offers.step(Input.SEND_OFFER)
        self.start_timer("no response", self._no_response_s, self._on_silence)
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

    def _send_invite(self) -> None:
        wanted = self._invitation
        host = self.host(self._flow)
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
        contact = self.ua.contact(self._flow, host, secure=self.secure)
        supported = self.options.supported
        fields.extend((("contact", contact), ("allow", ALLOW), ("supported", supported)))
        if self.options.reliable is Reliable.REQUIRE:
            fields.add("require", TAG)
        fields.extend(self.session.request_headers())
        fields.extend(wanted.headers)
        if self.proofs is not None:
            fields.extend(
                self.proofs.headers("INVITE", wanted.uri, self.ua.ids.cnonce, request.body)
            )
        fields.add("content-type", SDP)
        self._transaction = self.ua.send(
            request,
            self._flow,
            lambda response: self._on_response(request, response),
            self._on_failure,
            host=host,
        )

    def _on_response(self, request: Request, response: Response) -> None:
        self._stop("no response")
        if response.status < 200:
            self._on_provisional(request, response)
        elif response.status < 300:
            self._on_success(request, response)
        elif not (self._raise_interval(response) or self._answer_challenge(response)):
            self._on_rejection(response)

    def _on_provisional(self, request: Request, response: Response) -> None:
        first, self._provisional = not self._provisional, True
        if self.state is LegState.LEAVING:
            if first:
                self._send_cancel()
            return
        if response.status == 100 or self.state is not LegState.STARTING:
            return
        sdp = session_description(response)
        early = self._early_dialog(request, response)
        if early is not None:
            rseq = read_rseq(response)
            if rseq is not None and not self._acknowledge(early, rseq, response, sdp):
                return
            if early.answer is None:
                early.preview = sdp or early.preview
            elif rseq is None:
                sdp = None  # the answer stands already
        self.remote_sdp = sdp or self.remote_sdp
        self.emit(
            Ring(at=self.ua.clock.now(), status=response.status, reason=response.reason, sdp=sdp)
        )

    def _early_dialog(self, request: Request, response: Response) -> _Early | None:
        """The early dialog that `response` belongs to; every fork has its own (RFC 3261 12.1)."""
        tag = response.to.tag
        if not tag:
            return None
        self.learn_methods(response)
        early = self._early.get(tag)
        if early is None:
            if len(self._early) >= MAX_FORKS:
                return None
            early = self._early[tag] = _Early(Dialog.as_uac(request, response), InOrder())
        self.dialog = early.dialog
        return early

    def _acknowledge(self, early: _Early, rseq: int, response: Response, sdp: str | None) -> bool:
        """PRACK a reliable response (RFC 3262 4); False for one that came before, or too early."""
        if not early.order.take(rseq):
            return False
        if early.answer is None and sdp is not None:
            early.answer = sdp
            self.offers.step(Input.RECEIVE_ANSWER)
        rack = RAck(rseq, response.cseq.number, response.cseq.method)
        self.client.request("PRACK", headers=[("RAck", str(rack))], on_end=lambda _: None)
        return True

    def _on_success(self, request: Request, response: Response) -> None:
        confirmed = self.dialog is not None and self.dialog.confirmed
        if confirmed and self.dialog is not None and response.to.tag == self.dialog.remote_tag:
            self.client.resend_ack(request.cseq.number)
            return
        if confirmed or self.state is LegState.ENDED:
            self._drop_fork(request, response)
            return
        early = self._early.pop(response.to.tag or "", None)
        self.dialog = early.dialog if early is not None else Dialog.as_uac(request, response)
        self.dialog.learn(response)
        self.client.ack(request, self.lost)
        if self.state is LegState.LEAVING:  # RFC 3261 9.1: the answer crossed our CANCEL
            self._stop_all()
            self._send_bye()
            return
        self.state = LegState.UP
        self.learn_methods(response)
        self.session.agreed(response)
        self.offers.step(Input.RECEIVE_ANSWER)
        self.remote_sdp = session_description(response)
        if early is not None:
            self.remote_sdp = early.answer or self.remote_sdp or early.preview
        self.emit(Connect(at=self.ua.clock.now(), sdp=self.remote_sdp))

    def _dialog_of(self, request: Request) -> Dialog | None:
        """While the INVITE is out, the peer may speak in any of its early dialogs."""
        if self.state is LegState.STARTING and self._early:
            early = self._early.get(request.from_.tag or "")
            return early.dialog if early is not None else None
        return super()._dialog_of(request)

    def _drop_fork(self, request: Request, response: Response) -> None:
        """A second answer to a forked INVITE (RFC 3261 13.2.2.4): acknowledge it and hang it up."""
        tag = response.to.tag or ""
        known = self._forks.get(tag)
        if known is not None:
            known.resend_ack(request.cseq.number)
        elif len(self._forks) < MAX_FORKS:
            early = self._early.pop(tag, None)
            dialog = early.dialog if early is not None else Dialog.as_uac(request, response)
            dialog.learn(response)
            fork = self._forks[tag] = self._client_in(dialog)
            fork.ack(request, lambda: None)
            fork.request("BYE", on_end=lambda _: None)

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
        if not self.session.raised(response):
            return False
        self._raises += 1
        self._challenged.clear()
        self._again()
        return True

    def _answer_challenge(self, response: Response) -> bool:
        if self.proofs is None or self.state is not LegState.STARTING:
            return False
        if not self.proofs.learn(response, anew=response.status not in self._challenged):
            return False
        self._challenged.add(response.status)
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

    def _failure(self, status: int, reason: str, cause: Cause) -> Fail:
        """No response said so: the way to the peer, or its silence, did."""
        way = self._transaction.flow if self._transaction is not None else self._flow
        return Fail(
            at=self.ua.clock.now(), status=status, reason=reason, cause=cause, detail=way.error
        )

    def _failed(self, event: Fail) -> None:
        self._end(event if self.state is LegState.STARTING else None)

    # CANCEL

    def _send_cancel(self) -> None:
        if self._cancelled or self._transaction is None:
            return
        self._cancelled = True
        self._transaction.cancel((), lambda _: None)
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
    try:
        found = parse_name_addrs(response.headers.get_all("contact"))
    except ParseError:
        return ()
    ranked = sorted(found, key=lambda contact: -_preference(contact))
    return tuple(str(contact.uri) for contact in ranked)


def _preference(contact: NameAddr) -> float:
    try:
        return float(contact.param("q") or 1.0)
    except ValueError:
        return 0.0
