"""The leg of a call that reached us: an INVITE that we ring, answer or refuse."""

from collections.abc import Callable, Sequence

from sip.b2bua.call_events import Cause, Confirm, Event, Origin
from sip.b2bua.leg import Leg, LegState
from sip.core.dialog import Dialog
from sip.core.message import Request
from sip.core.offer_answer import Input
from sip.transport.endpoint import Flow
from sip.ua.credentials import Credentials
from sip.ua.transactions import ServerTransaction
from sip.ua.user_agent import ALLOW, UserAgent

HeaderList = Sequence[tuple[str, str]]


class InboundLeg(Leg):
    """A UAS leg. It answers 100 at once, so that a carrier does not try its next route."""

    def __init__(
        self,
        ua: UserAgent,
        transaction: ServerTransaction,
        on_event: Callable[[Leg, Event], None],
        *,
        credentials: Credentials | None = None,
    ) -> None:
        super().__init__(ua, on_event, credentials=credentials)
        self.invite: Request = transaction.request
        self._transaction = transaction
        self._tag = ua.ids.tag()
        self.dialog = Dialog.as_uas(self.invite, self._tag)
        if self.invite.body:
            self.remote_sdp = self.invite.body.decode(errors="replace")
            self._offers.step(Input.RECEIVE_OFFER)
        transaction.on_cancel = self._on_cancel
        ua.open_dialog(self.sip_call_id, self._tag, self)
        transaction.respond(ua.response(self.invite, 100))

    @property
    def sip_call_id(self) -> str:
        return self.invite.call_id

    @property
    def local_tag(self) -> str:
        return self._tag

    @property
    def flow(self) -> Flow:
        return self._transaction.flow

    def ring(
        self,
        status: int = 180,
        reason: str | None = None,
        *,
        sdp: str | None = None,
        headers: HeaderList = (),
    ) -> None:
        """Send a provisional response; with SDP it opens early media (RFC 3960 3.2)."""
        if self.state is not LegState.STARTING:
            return
        if sdp is not None:
            self.local_sdp = sdp
        fields = [("Contact", self.ua.contact(self.flow)), ("Allow", ALLOW), *headers]
        self._transaction.respond(
            self.ua.response(self.invite, status, reason, to_tag=self._tag, headers=fields, sdp=sdp)
        )

    def answer(self, sdp: str, headers: HeaderList = ()) -> bool:
        """Send 200 with our answer; `Confirm` comes with the ACK. False if it is too late."""
        if self.state is not LegState.STARTING:
            return False
        self.state = LegState.ANSWERED
        self._offers.step(Input.SEND_ANSWER)
        self._answer_2xx(self._transaction, sdp, to_tag=self._tag, headers=headers)
        return True

    def reject(self, status: int, reason: str | None = None, headers: HeaderList = ()) -> str:
        """Refuse the call with a final status of 300 or above; answers the reason phrase sent."""
        response = self.ua.response(self.invite, status, reason, to_tag=self._tag, headers=headers)
        if self.state is LegState.STARTING:
            self._transaction.respond(response)
            self._end()
        return response.reason

    def _on_confirmed(self) -> None:
        self._emit(Confirm(at=self.ua.clock.now()))

    def _on_cancel(self, _: Request) -> None:
        """RFC 3261 9.2: the caller gave up."""
        if self.state is LegState.STARTING:
            self._give_up()

    def _give_up(self) -> None:
        self._transaction.respond(self.ua.response(self.invite, 487, to_tag=self._tag))
        self._disconnect(Origin.PEER, Cause.CANCELLED)

    def _on_bye(self, transaction: ServerTransaction) -> None:
        """A BYE on the early dialog ends the INVITE as well (RFC 3261 15.1.2)."""
        if self.state is LegState.STARTING:
            transaction.respond(self.ua.response(transaction.request, 200))
            self._give_up()
        else:
            super()._on_bye(transaction)
