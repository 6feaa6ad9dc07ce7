"""A SIP leg: our half of one dialog, from either side, from its beginning to its end.

`InboundLeg` and `OutboundLeg` add how a leg comes up; everything after that is here and in
`Negotiation`: BYE both ways, offers both ways, ACK, digest inside the dialog. A leg knows SDP only
as text.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from sip.b2bua.call_events import Cause, Confirm, Disconnect, Event, Headers, Pressed, Side
from sip.b2bua.legs.endings import passing_headers
from sip.b2bua.legs.leg import Direction, OnEvent, unheard
from sip.b2bua.legs.leg_keys import LegKeys
from sip.b2bua.legs.leg_refers import LegRefers
from sip.b2bua.legs.negotiation import Negotiation
from sip.b2bua.legs.options import DEFAULT, LegOptions
from sip.b2bua.legs.state import LegState
from sip.clock import Timer
from sip.core.body import Body, session_description
from sip.core.dialog import Dialog, Order
from sip.core.digest_client import Credentials
from sip.core.message import Request, Response
from sip.core.uri import Uri
from sip.core.warning import EXPLAINED, warning
from sip.media.terms import MediaSide, Signalling
from sip.transport.endpoint import DEFAULT_PORT, Flow
from sip.ua.dialog_client import DialogClient
from sip.ua.refusals import CAPABILITIES
from sip.ua.server_transaction import ServerTransaction
from sip.ua.unacked_2xx import Unacked2xx
from sip.ua.user_agent import UserAgent


class SipLeg(ABC):
    """What inbound and outbound legs share."""

    direction: Direction
    #: Max-Forwards of an INVITE that follows from this leg (RFC 7332)
    hops_left = 70
    #: whether the peer has SDP from us that stands: another needs an offer of its own
    settled = False

    def __init__(
        self,
        ua: UserAgent,
        flow: Flow,
        on_event: OnEvent,
        *,
        sip_call_id: str,
        credentials: Credentials | None = None,
        options: LegOptions = DEFAULT,
    ) -> None:
        """Sends nothing; `start` does. `flow` is the way to the peer that the leg comes up on."""
        self.ua = ua
        self.flow = flow
        self.sip_call_id = sip_call_id
        self.local_tag = ua.ids.tag()
        self.state = LegState.STARTING
        self.dialog: Dialog | None = None
        #: what our requests prove of us, as far as the peer has asked
        self.proofs = credentials.proofs() if credentials is not None else None
        self.options = options
        #: whether our Contact is a sips URI
        self.secure = False
        #: our host in the session descriptions that the peer gets
        self.media_address = ua.media_host(flow, options.advertise)
        self.negotiation = Negotiation(
            ua, self, options, owns_call_id=self.direction is Direction.OUTBOUND
        )
        self._emit_to = on_event
        #: the peer's keys, as far as they cross by signalling
        self.keys = LegKeys(self, options.media.dtmf)
        #: REFERs, once there is one
        self._refers: LegRefers | None = None
        self._bye_when_acked: Headers | None = None
        self._timers: dict[str, Timer] = {}
        self._success: Unacked2xx | None = None
        self._client: DialogClient | None = None
        #: what we said of ourselves last, and on which flow
        self._said: tuple[Flow, str, Headers] | None = None

    @property
    def media_side(self) -> MediaSide:
        """What the media of the call must know of it."""
        terms = self.options.media
        if self.negotiation.allows("INFO"):
            terms = replace(terms, takes_info=True)
        return MediaSide(self.media_address, self._source, terms)

    @property
    def _source(self) -> Signalling:
        """Where its descriptions come from."""
        remote = self.flow.remote
        if self.dialog is None or remote.transport != "udp":
            return Signalling(remote.host)
        contact = Uri.parse(self.dialog.target)
        named = contact.host, contact.port or DEFAULT_PORT["udp"]
        return Signalling(remote.host, direct=named == (remote.host, remote.port))

    @property
    def local_sdp(self) -> str | None:
        """Our newest session description."""
        return self.negotiation.local_sdp

    @property
    def remote_sdp(self) -> str | None:
        """The peer's newest session description."""
        return self.negotiation.remote_sdp

    @property
    def takes_reinvites(self) -> bool:
        """Whether the peer may be offered another session in the call."""
        return self.options.reinvites

    @property
    def gone(self) -> bool:
        """Whether it is over, or about to be; its last event may not have been read yet."""
        return self.state in (LegState.LEAVING, LegState.ENDED)

    @property
    def up(self) -> bool:
        return self.state in (LegState.ANSWERED, LegState.UP)

    @property
    def confirmed(self) -> bool:
        """Answered, and acknowledged: both sides may send requests."""
        return self.state is LegState.UP

    @property
    def unconfirmed(self) -> bool:
        """A 2xx of ours waits for its ACK: RFC 3261 14.1 allows no INVITE of ours before that."""
        return self.state is LegState.ANSWERED or self._success is not None

    def host(self, flow: Flow) -> str:
        """Our host in Via and Contact towards the peer."""
        if self.options.contact_domain is not None:
            return self.options.contact_domain
        return self.ua.host(flow, self.options.advertise)

    # what the call may do

    @abstractmethod
    def start(self) -> None:
        """Open the dialog and send what begins it."""

    @abstractmethod
    def ring(self, status: int = 180, reason: str | None = None, *, sdp: str | None = None) -> None:
        """Tell a peer that waits for our answer how far we are; with SDP, early media."""

    @abstractmethod
    def answer(self, sdp: str) -> bool:
        """Answer a peer that waits for it. False where it is too late, or where none does."""

    @abstractmethod
    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> str:
        """Refuse a peer that waits for our answer; returns the reason phrase."""

    @abstractmethod
    def hangup(self, headers: Headers = ()) -> None:
        """End the leg, whatever its state."""

    def bye(self, headers: Headers = ()) -> None:
        """Hang up an answered leg. RFC 3261 15: never before the ACK to our 2xx came."""
        if self.state is LegState.ANSWERED:
            self._bye_when_acked = headers
        elif self.state is LegState.UP:
            send = partial(self._send_bye, headers)
            if self._refers is None or not self._refers.before_bye(send):
                send()

    def reoffer(self, sdp: str) -> bool:
        """Send a re-INVITE; its outcome comes as `OfferEnded`. False if an offer is open."""
        return self.negotiation.reoffer(sdp)

    def accept(self, sdp: str) -> bool:
        """Answer the peer's open offer (re-INVITE, UPDATE); False where it is open no more."""
        return self.negotiation.accept(sdp)

    def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the peer's open offer; the session stays as it was (RFC 3261 14.2)."""
        self.negotiation.refuse(status, headers)

    def refer(
        self, refer_to: str, *, referred_by: str | None, headers: Headers, wait_s: float
    ) -> bool:
        """Ask the peer to call somebody else; what becomes of it comes as `ReferNews`."""
        if not self.up:
            return False
        return self.refers.refer(refer_to, referred_by=referred_by, headers=headers, wait_s=wait_s)

    def send(
        self,
        method: str,
        *,
        body: Body | None,
        headers: Headers,
        told: Callable[[int | None], None],
    ) -> bool:
        """Send the peer a request that leaves the session as it is."""
        if not self.confirmed:
            return False

        def ended(response: Response | None) -> None:
            told(response.status if response is not None else None)

        self.request(method, body=body, headers=headers, on_end=ended)
        return True

    @property
    def refers(self) -> LegRefers:
        """REFERs and their NOTIFYs, both ways."""
        if self._refers is None:
            self._refers = LegRefers(self)
        return self._refers

    # what the user agent brings

    def on_request(self, transaction: ServerTransaction) -> None:
        """A new request in our dialog."""
        request = transaction.request
        dialog = self._dialog_of(request)
        if dialog is None:
            transaction.respond(self.ua.response(request, 481))
        elif dialog.receive(request) is Order.OLD:
            transaction.respond(self.ua.response(request, 500))  # RFC 3261 12.2.2
        elif request.method == "BYE":
            self._on_bye(transaction)
        elif request.method in ("INVITE", "UPDATE"):
            self.negotiation.learn_methods(request)
            self.negotiation.on_offer(transaction)
        elif request.method == "PRACK":
            self._on_prack(transaction)
        elif request.method == "INFO":
            self._on_info(transaction)
        elif request.method == "REFER":
            self.refers.on_refer(transaction)
        elif request.method == "NOTIFY":
            self.refers.on_notify(transaction)
        else:
            headers = (*self.response_headers(transaction.flow), *CAPABILITIES)
            transaction.respond(self.ua.response(request, 200, headers=headers))

    def _dialog_of(self, request: Request) -> Dialog | None:
        """The dialog of ours that `request` is sent in."""
        dialog = self.dialog
        if dialog is None or (dialog.remote_tag and request.from_.tag != dialog.remote_tag):
            return None
        return dialog

    def on_ack(self, ack: Request) -> None:
        """The ACK to one of our 2xx."""
        success = self._success
        if success is None or success.cseq != ack.cseq.number:
            return
        success.stop()
        self._success = None
        if self.state is LegState.ANSWERED:
            self.state = LegState.UP
            if self._refers is not None:
                self._refers.confirmed()
            self.emit(Confirm(at=self.ua.clock.now()))
        if self.state is not LegState.UP:  # the call hung up as soon as it heard of it
            return
        if self._bye_when_acked is not None:
            self._send_bye(self._bye_when_acked)
            return
        if self.negotiation.awaits_answer:
            # RFC 3261 13.2.2.4: our 2xx made the offer, so its answer is in the ACK
            self.negotiation.on_answer(ack)
        self.negotiation.confirmed()

    def drop(self) -> None:
        """Forget the leg at once; the other side will find out."""
        self._emit_to = unheard
        self._end()
        if self._client is not None:
            self._client.close()

    def _on_bye(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        transaction.respond(self.ua.response(request, 200))
        self.refuse(487)  # RFC 3261 15.1.2: pending requests get 487
        if self.state in (LegState.LEAVING, LegState.ENDED):
            return  # both hung up at once
        self._disconnect(Side.PEER, Cause.BYE, passing_headers(request))

    def _on_info(self, transaction: ServerTransaction) -> None:
        """RFC 6086: 200 at once, whatever becomes of the key."""
        request = transaction.request
        transaction.respond(self.ua.response(request, 200))
        found = self.keys.read(request)
        if found is not None and not self.gone:
            self.emit(Pressed(at=self.ua.clock.now(), key=found.key, duration_ms=found.duration_ms))

    def _on_prack(self, transaction: ServerTransaction) -> None:
        """RFC 3262 3: nothing of ours waits for it."""
        transaction.respond(self.ua.response(transaction.request, 481))

    # requests of ours

    def request(
        self,
        method: str,
        *,
        sdp: str | None = None,
        body: Body | None = None,
        headers: Headers = (),
        on_end: Callable[[Response | None], None],
    ) -> None:
        """Send a request in the dialog; `on_end` gets its final response, None without one."""
        self.client.request(method, sdp=sdp, body=body, headers=headers, on_end=on_end)

    def allows(self, method: str) -> bool:
        """Whether the peer takes requests of this method."""
        return self.negotiation.allows(method)

    @property
    def next_cseq(self) -> int:
        """The CSeq of the next request of ours in the dialog."""
        return self.client.dialog.local_cseq + 1

    def refresh_target(self, request: Request) -> None:
        """The peer's Contact may have moved (RFC 3261 12.2.2)."""
        if self.dialog is not None:
            self.dialog.refresh_target(request)

    def _send_bye(self, headers: Headers = ()) -> None:
        self._leave()
        self.client.request("BYE", headers=headers, on_end=lambda _: self._end())

    @property
    def client(self) -> DialogClient:
        """What sends our requests in the present dialog."""
        assert self.dialog is not None, "a leg sends nothing in a dialog that it does not have"
        if self._client is None or self._client.dialog is not self.dialog:
            self._client = DialogClient(
                self.ua,
                self.dialog,
                self.flow,
                self.proofs,
                advertise=self.options.advertise,
                domain=self.options.contact_domain,
                supported=self.options.supported,
                allow=self.options.allow,
                symmetric=self.options.symmetric,
                secure=self.secure,
            )
        return self._client

    def response_headers(self, flow: Flow) -> Headers:
        """What every dialog-making response and every 2xx says of us (RFC 3261 13.2.1)."""
        host = self.host(flow)
        if self._said is None or self._said[0] is not flow or self._said[1] != host:
            contact = self.ua.contact(flow, host, secure=self.secure)
            allow, supported = self.options.allow, self.options.supported
            fields = ("Contact", contact), ("Allow", allow), ("Supported", supported)
            self._said = flow, host, fields
        return self._said[2]

    def explained(
        self, request: Request, status: int, headers: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[str, str]]:
        """`headers` of a refusal; where the offer is to blame, with a Warning that says why."""
        offer = session_description(request) if status in EXPLAINED else None
        if offer is None or any(name.lower() == "warning" for name, _ in headers):
            return headers
        return (
            *headers,
            ("Warning", warning(offer, self.ua.product, self.options.media.encryption)),
        )

    # our 2xx until it is acknowledged

    def answer_2xx(
        self,
        transaction: ServerTransaction,
        sdp: str | None,
        *,
        to_tag: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send 200 and repeat it until the ACK comes (RFC 3261 13.3.1.4, over TCP too)."""
        response = self.ua.response(
            transaction.request, 200, to_tag=to_tag, headers=headers, sdp=sdp
        )
        transaction.on_ack = self.on_ack
        if self._success is not None:  # whoever sends another INVITE has our 2xx to the one before
            self._success.stop()
        self._success = Unacked2xx(self.ua, transaction, response, self._no_ack)
        self._success.start()

    def _no_ack(self) -> None:
        """RFC 3261 13.3.1.4: no ACK came to our 2xx, so hang up."""
        self._success = None
        if not self.up:
            return
        if self._bye_when_acked is not None:  # the call is done with this leg already
            self._send_bye(self._bye_when_acked)
            return
        self._send_bye()
        self.emit(Disconnect(at=self.ua.clock.now(), by=Side.US, cause=Cause.NO_ACK))

    # the end

    def give_up(self, by: Side, cause: Cause, headers: Headers = ()) -> None:
        """The dialog cannot go on: hang up with `headers`, and tell the call."""
        if self.state is LegState.UP:
            self._send_bye(headers)
            self.emit(Disconnect(at=self.ua.clock.now(), by=by, cause=cause))

    def lost(self) -> None:
        """The peer no longer answers in this dialog."""
        self.give_up(Side.PEER, Cause.DIALOG_LOST)

    def _disconnect(self, by: Side, cause: Cause, headers: Headers = ()) -> None:
        self._end(Disconnect(at=self.ua.clock.now(), by=by, cause=cause, headers=headers))

    def _leave(self) -> None:
        self.state = LegState.LEAVING
        self._stop_all()
        if self._refers is not None:
            self._refers.end()

    def _end(self, event: Event | None = None) -> None:
        """The last thing a leg does, with its last word.

        Its transactions are remembered for 32 s more, and the leg by them: let the call go at once.
        """
        self.state = LegState.ENDED
        self._stop_all()
        self.negotiation.end()
        self.keys.end()
        self.ua.close_dialog(self.sip_call_id, self.local_tag)
        if self._refers is not None:
            self._refers.end()
            self._refers = None
        if event is not None:
            self.emit(event)
        self._emit_to = unheard

    def emit(self, event: Event) -> None:
        """Tell the call."""
        self._emit_to(self, event)

    def start_timer(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` after `delay_s`, unless the leg ends before."""
        self.stop_timer(name)
        self._timers[name] = self.ua.clock.call_later(delay_s, callback)

    def stop_timer(self, name: str) -> None:
        """Forget that timer, if it runs."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _stop_all(self) -> None:
        if self._success is not None:
            self._success.stop()
            self._success = None
        self.negotiation.stop()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
