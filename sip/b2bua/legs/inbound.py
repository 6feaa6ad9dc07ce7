"""The leg of a call that reached us: an INVITE that we ring, answer or refuse."""

from collections.abc import Sequence

from sip.b2bua.call_events import Cause, Headers, Side
from sip.b2bua.legs.leg import Direction, OnEvent
from sip.b2bua.legs.options import DEFAULT, LegOptions, Reliable
from sip.b2bua.legs.sip_leg import SipLeg
from sip.b2bua.legs.state import LegState
from sip.core.body import session_description
from sip.core.common_codec import has_common_codec
from sip.core.dialog import Dialog, is_secure
from sip.core.digest_client import Credentials
from sip.core.message import Request
from sip.core.reliable import TAG, read_rack
from sip.core.sdp_crypto import is_accepted
from sip.core.session_timer import TooSmall, agree_as_uas
from sip.ua.reliable_provisionals import ReliableProvisionals
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent

HeaderList = Sequence[tuple[str, str]]


def refusal(invite: Request, options: LegOptions) -> tuple[int, Headers] | None:
    """Why a leg with these options cannot take `invite` at all: status and headers, or None."""
    if options.reliable is Reliable.OFF and TAG in invite.headers.tokens("require"):
        return 420, (("Unsupported", TAG),)
    agreed = agree_as_uas(options.session_timer, invite)
    if isinstance(agreed, TooSmall):
        return 422, agreed.headers
    return None


class InboundLeg(SipLeg):
    """A UAS leg.

    An INVITE without SDP (a delayed offer) has us make the offer, in our first reliable response:
    then `answer` and `ring` take the offer, and the peer's answer comes as a `Described` event.
    """

    direction = Direction.INBOUND

    def __init__(
        self,
        ua: UserAgent,
        transaction: ServerTransaction,
        on_event: OnEvent,
        *,
        credentials: Credentials | None = None,
        options: LegOptions = DEFAULT,
    ) -> None:
        invite = transaction.request
        super().__init__(
            ua,
            transaction.flow,
            on_event,
            sip_call_id=invite.call_id,
            credentials=credentials,
            options=options,
        )
        self.invite = invite
        self._transaction = transaction
        self.secure = is_secure(invite)
        offer = session_description(invite)
        #: the peer waits for our offer instead of making one
        self.delayed = offer is None
        if offer is not None:
            self.negotiation.heard_offer(offer)
        self.negotiation.learn_methods(invite)
        hops = invite.max_forwards
        if hops is not None:  # a B2BUA counts down as a proxy does, or calls may go in circles
            self.hops_left = max(hops - 1, 0)
        #: our reliable responses, once there is one
        self._provisionals: ReliableProvisionals | None = None
        self._peer_requires = TAG in invite.headers.tokens("require")
        self._peer_supports = self._peer_requires or TAG in invite.headers.tokens("supported")

    def start(self) -> None:
        """Open the dialog and send 100, so that a carrier does not try its next route."""
        transaction = self._transaction
        self.dialog = Dialog.as_uas(self.invite, self.local_tag)
        transaction.to_tag = self.local_tag
        transaction.on_cancel = self._on_cancel
        self.ua.open_dialog(self.sip_call_id, self.local_tag, self)
        transaction.respond(self.ua.response(self.invite, 100))

    def hangup(self, headers: Headers = ()) -> None:
        """End the leg, whatever its state: BYE if it is answered, else 603 (RFC 3261 21.6.2)."""
        if self.state is LegState.STARTING:
            self.reject(603, None, headers)
        else:
            self.bye(headers)

    def ring(
        self,
        status: int = 180,
        reason: str | None = None,
        *,
        sdp: str | None = None,
        headers: HeaderList = (),
    ) -> None:
        """Send a provisional response; with SDP it opens early media (RFC 3960 3.2).

        Where we are to make the offer, SDP goes out reliably or not at all (RFC 3261 13.2.1).
        """
        if self.state is not LegState.STARTING:
            return
        reliable = self._reliably(with_sdp=sdp is not None)
        if self.settled or (self.delayed and not reliable):
            sdp = None
        if sdp is not None:
            sdp = self.negotiation.say(sdp)
            if reliable:
                self._agree()
        fields = (*self.response_headers(self.flow), *headers)
        response = self.ua.response(
            self.invite, status, reason, to_tag=self.local_tag, headers=fields, sdp=sdp
        )
        if not reliable:
            self._transaction.respond(response)
            return
        if self._provisionals is None:
            self._provisionals = ReliableProvisionals(self.ua, self._transaction, self._no_prack)
        self._provisionals.send(response)

    def _reliably(self, *, with_sdp: bool) -> bool:
        """RFC 3262 3: always where the peer requires it, else where it helps and the peer can."""
        if self._peer_requires or not self._peer_supports:
            return self._peer_requires
        if not with_sdp or self.options.reliable is Reliable.OFF:
            return False
        return self.delayed or self.options.reliable is not Reliable.ACCEPT

    def answer(self, sdp: str, headers: HeaderList = ()) -> bool:
        """Send 200 with our answer; `Confirm` comes with the ACK. False if it is too late.

        What was agreed in reliable provisional responses holds: then the 200 says nothing of the
        session, and `local_sdp` is what the peer knows.
        """
        if self.state is not LegState.STARTING:
            return False
        self.state = LegState.ANSWERED
        if not self.settled:
            sdp = self.negotiation.say(sdp)
        if self._provisionals is None:
            self._answer(sdp, headers)
        else:
            self._provisionals.when_acknowledged(lambda: self._answer(sdp, headers))
        return True

    def _answer(self, sdp: str, headers: HeaderList) -> None:
        body = None if self.settled else sdp
        if not self.settled:
            self._agree()
        fields = (*self.response_headers(self.flow), *self.negotiation.agree_with(self.invite))
        self.answer_2xx(self._transaction, body, to_tag=self.local_tag, headers=(*fields, *headers))

    def _agree(self) -> None:
        """Our SDP goes out in a reliable response: it stands, and no second may follow."""
        self.settled = True
        if self.delayed:
            self.negotiation.made_offer()
        else:
            self.negotiation.made_answer()

    def reject(self, status: int, reason: str | None = None, headers: HeaderList = ()) -> str:
        """Refuse the call with a final status of 300 or above; returns the reason phrase sent."""
        fields = self.explained(self.invite, status, headers)
        response = self.ua.response(
            self.invite, status, reason, to_tag=self.local_tag, headers=fields
        )
        if self.state is LegState.STARTING:
            self._transaction.respond(response)
            self._end()
        return response.reason

    def _on_prack(self, transaction: ServerTransaction) -> None:
        """RFC 3262 3: it acknowledges our provisional response, and may bring SDP."""
        request = transaction.request
        if self._provisionals is None or not self._provisionals.acknowledge(read_rack(request)):
            super()._on_prack(transaction)
            return
        sdp = session_description(request)
        if self.negotiation.awaits_answer:
            transaction.respond(self.ua.response(request, 200))
            if sdp is None:
                self._refuse_late(400, "No SDP Answer In PRACK", Cause.NO_SDP_ANSWER)
            elif not has_common_codec(self.local_sdp or "", sdp):
                self._refuse_late(488, "No Common Codec", Cause.NO_COMMON_CODEC)
            elif not is_accepted(self.local_sdp or "", sdp, self.options.media.encryption):
                self._refuse_late(488, "Media Not Encrypted", Cause.NO_ENCRYPTION)
            else:
                self.negotiation.on_answer(request)
        elif sdp is not None:  # RFC 3262 5: a PRACK may make an offer of its own
            self.negotiation.on_offer(transaction)
        else:
            transaction.respond(self.ua.response(request, 200))

    def _no_prack(self) -> None:
        """RFC 3262 3: the peer sent no PRACK in 64*T1, so the call cannot come up."""
        self._refuse_late(504, "No PRACK", Cause.NO_ACK)

    def _refuse_late(self, status: int, reason: str, cause: Cause) -> None:
        refusal = self.ua.response(self.invite, status, reason, to_tag=self.local_tag)
        self._transaction.respond(refusal)
        self._disconnect(Side.US, cause)

    def _on_cancel(self, _: Request) -> None:
        """RFC 3261 9.2: the caller gave up before our final response was out."""
        if self.state in (LegState.STARTING, LegState.ANSWERED):
            self._cancelled()

    def _cancelled(self) -> None:
        self._transaction.respond(self.ua.response(self.invite, 487, to_tag=self.local_tag))
        self._disconnect(Side.PEER, Cause.CANCELLED)

    def _on_bye(self, transaction: ServerTransaction) -> None:
        """A BYE on the early dialog ends the INVITE as well (RFC 3261 15.1.2)."""
        if self._transaction.answered:
            super()._on_bye(transaction)
        else:
            transaction.respond(self.ua.response(transaction.request, 200))
            self._cancelled()

    def _stop_all(self) -> None:
        super()._stop_all()
        self._transaction.release()
        if self._provisionals is not None:
            self._provisionals.stop()
