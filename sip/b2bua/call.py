"""One call: an A-leg, at most one B-leg at a time, and the media between them.

`Call` joins the two by call events alone. What happens next is decided above, by whoever runs it;
`Call` says through `on_status` what happened to either leg. Its coroutines (`dial`, `answer`,
`idle`) run one at a time: each reads the events of both legs while it lasts.
"""

import asyncio
from collections.abc import Callable

from sip.b2bua.attempt import Attempt, Attempts, Hunt
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_events import (
    Answer,
    Cause,
    Connect,
    Disconnect,
    Event,
    Fail,
    Headers,
    Offer,
    OfferEnded,
    Origin,
    Ring,
    TimeOver,
)
from sip.b2bua.inbound_leg import InboundLeg
from sip.b2bua.inbox import Inbox
from sip.b2bua.leg import Leg
from sip.b2bua.leg_options import DEFAULT, LegOptions
from sip.b2bua.outbound_leg import Invitation, OutboundLeg
from sip.b2bua.status import LegStatus, Progress, progress_of
from sip.core.digest_client import Credentials
from sip.core.sdp_edits import same_session
from sip.media.plane import MediaError, MediaPlane, MediaStats
from sip.media.session import MediaSession
from sip.ua.transactions import ServerTransaction
from sip.ua.user_agent import UserAgent


class Call:
    """The B2BUA of one inbound call."""

    def __init__(
        self,
        ua: UserAgent,
        transaction: ServerTransaction,
        plane: MediaPlane,
        *,
        on_status: Callable[[LegStatus], None],
        credentials: Credentials | None = None,
        options: LegOptions = DEFAULT,
    ) -> None:
        """Answers 100 at once. `credentials` and `options` are those of the A-leg's trunk."""
        self.ua = ua
        self.status = LegStatus(ua.ids.sid())
        #: who ended the call: "caller", "callee", or "jambonz" for the application's own decision
        self.ended_by = "jambonz"
        #: the relay's counters, once the call is over
        self.stats: MediaStats | None = None
        self._plane_call = MediaSession(plane, self.status.call_sid)
        self._bridge: Bridge | None = None
        self._on_status = on_status
        self._inbox = Inbox()
        self.a = InboundLeg(
            ua, transaction, self._inbox.put, credentials=credentials, options=options
        )
        self.status.sip_call_id = self.a.sip_call_id
        self._a_address = ua.host(self.a.flow, options.advertise)

    @property
    def over(self) -> bool:
        """Whether the A-leg is gone."""
        return self.status.final

    # what the application's verbs do

    async def answer(self) -> None:
        """Answer the A-leg although nobody is there to talk to yet. Raises MediaError."""
        if self.over or self.a.up:
            return
        self._answer_a(await self._hold(self.a.remote_sdp))

    def refused(self, status: int, reason: str) -> LegStatus:
        """The status of a B-leg that could not even be tried."""
        child = LegStatus(self.ua.ids.sid())
        self._fail(child, status, reason, Cause.UNREACHABLE)
        return child

    def reject(self, status: int, reason: str | None, headers: Headers = ()) -> None:
        """Refuse the A-leg; without effect once it is answered."""
        self._catch_up()
        if self.over or self.a.up:
            return
        response = self.a.reject(status, reason, headers)
        self.status.end(self.ua.clock.now(), Progress.FAILED, status, response, Cause.REJECTED)
        self._on_status(self.status)

    def hangup(self, headers: Headers = ()) -> None:
        """End the A-leg: BYE if it is answered, else 603 (RFC 3261 21.6.2)."""
        self._catch_up()
        if self.over:
            return
        if not self.a.up:
            self.reject(603, None, headers)
            return
        self.a.bye(headers)
        self.status.end(self.ua.clock.now(), Progress.COMPLETED, 200, "OK", Cause.BYE)
        self._on_status(self.status)

    async def idle(self) -> None:
        """Attend to the A-leg alone, until it is gone."""
        while not self.over:
            leg, event = await self._inbox.get()
            if leg is self.a and isinstance(event, (Offer, Answer)):
                await self._attend_alone(event)
            else:
                self._notice(leg, event)

    async def dial(
        self,
        attempts: Attempts,
        *,
        answer_on_bridge: bool,
        timeout_s: float,
        time_limit_s: float | None,
    ) -> LegStatus:
        """Place a B-leg and join it to the A-leg; returns when the B-leg is over.

        The attempts are servers of one trunk: the next is tried where the one before is dead.
        The result never stays at a provisional status.
        """
        status = LegStatus(self.ua.ids.sid())
        hunt = Hunt(self.ua, attempts)
        try:
            if not answer_on_bridge:
                await self.answer()
            async with asyncio.timeout(timeout_s) as limit:
                while (attempt := await hunt.next()) is not None and not self.a.gone:
                    fail = await self._try(attempt, hunt, status, limit, time_limit_s)
                    if fail is not None:
                        await hunt.failed(attempt, fail, early_media=status.early_media)
            if not status.final:  # the caller gave up while a server was looked for
                self._catch_up()
                self._fail(status, 487, "Request Terminated", Cause.CANCELLED)
        except TimeoutError:
            self._fail(status, 487, "Request Terminated", Cause.CANCELLED)
        except MediaError as error:
            status.detail = error.text
            self._fail(status, *media_failure(error), Cause.MEDIA)
        except asyncio.CancelledError:  # other verbs take this one's place
            if not status.final:
                self._fail(status, 487, "Request Terminated", Cause.CANCELLED)
            raise
        return status

    def media_lost(self, on_failure: Callable[[], None]) -> None:
        """The media engine began anew and knows nothing of this call.

        A call that talks gets new media; one that still rings notices at its answer.
        """
        if self._bridge is not None:
            self._bridge.rebuild(on_failure)

    async def close(self) -> None:
        """Give the media ports back and keep the counters."""
        self._on_status = _nobody
        try:
            self.stats = await self._plane_call.close()
        except MediaError:
            self.stats = None  # the engine is gone, and its counters with it

    # placing a B-leg

    async def _try(
        self,
        attempt: Attempt,
        hunt: Hunt,
        status: LegStatus,
        limit: asyncio.Timeout,
        time_limit_s: float | None,
    ) -> Fail | None:
        """One attempt, through to its end; its failure, if it was never answered."""
        b_tag, offer = await self._plane_call.offer_to_b(
            self.a.remote_sdp,
            address=attempt.media_address,
            source=self.a.flow.remote.host,
        )
        b = self._invite(attempt, offer)
        try:
            status.begin(b.sip_call_id)
            self._on_status(status)
            bridge = Bridge(self.a, b, b_tag, self._plane_call, self._a_address, attempt)
            try:
                answer = await self._ring(bridge, b, b_tag, status)
                if not isinstance(answer, str):
                    return answer
                hunt.answered(attempt)
                limit.reschedule(None)
                self._answer_a(answer, bridge)
                self._bridge = bridge
                bridge.talking = True
                await self._talk(bridge, status, time_limit_s)
            finally:
                self._bridge = None
                await bridge.close()
        finally:
            b.hangup()
        return None

    @property
    def _hops_left(self) -> int:
        """RFC 7332: a B2BUA counts hops down as a proxy does, or calls may go in circles."""
        hops = self.a.invite.max_forwards
        return 70 if hops is None else max(hops - 1, 0)

    def _invite(self, attempt: Attempt, offer: str) -> OutboundLeg:
        invitation = Invitation(
            uri=attempt.uri,
            caller=attempt.caller,
            callee=attempt.callee,
            sdp=offer,
            headers=attempt.headers,
            routes=attempt.routes,
            max_forwards=self._hops_left,
        )
        leg = OutboundLeg(
            self.ua,
            invitation,
            attempt.flow,
            self._inbox.put,
            credentials=attempt.credentials,
            options=attempt.options,
            no_response_s=attempt.no_response_s,
        )
        leg.start()
        return leg

    async def _ring(
        self, bridge: Bridge, b: OutboundLeg, b_tag: str, status: LegStatus
    ) -> str | Fail | None:
        """Until the B-leg is answered: then the SDP for the A-leg.

        Its failure, if it will not be; None if the caller is gone before.
        """
        while True:
            leg, event = await self._inbox.get()
            if isinstance(event, (Offer, OfferEnded, Answer)):
                bridge.negotiate(leg, event)
            elif leg is b:
                match event:
                    case Ring():
                        await self._pass_ringing(event, b, b_tag, status)
                    case Connect():
                        sdp = await self._answer_of(b, b_tag, event.sdp or "")
                        status.answer(event.at)
                        self._on_status(status)
                        return sdp
                    case Fail():
                        status.detail = event.detail
                        self._fail(status, event.status, event.reason, event.cause, event.headers)
                        return event
            else:
                self._notice(leg, event)
                if self.over:
                    self._fail(status, 487, "Request Terminated", Cause.CANCELLED)
                    return None

    async def _hold(self, a_sdp: str | None) -> str:
        return await self._plane_call.hold_a(
            a_sdp, address=self._a_address, source=self.a.flow.remote.host
        )

    async def _answer_of(self, b: OutboundLeg, b_tag: str, sdp: str) -> str:
        return await self._plane_call.answer_to_a(
            b_tag, sdp, address=self._a_address, source=b.flow.remote.host
        )

    async def _pass_ringing(
        self, event: Ring, b: OutboundLeg, b_tag: str, status: LegStatus
    ) -> None:
        sdp = None
        if event.sdp is not None:
            sdp = await self._answer_of(b, b_tag, event.sdp)
        self.a.ring(event.status, event.reason, sdp=sdp)
        progress = Progress.RINGING if sdp is None else Progress.EARLY_MEDIA
        if status.progress is not progress:
            status.ring(progress, event.status, event.reason)
            self._on_status(status)

    def _answer_a(self, sdp: str, bridge: Bridge | None = None) -> None:
        told = self.a.local_sdp if self.a.settled else None
        if self.a.answer(sdp):
            self.status.answer(self.ua.clock.now())
            self._on_status(self.status)
        if bridge is not None and told is not None and not same_session(sdp, told):
            bridge.tell_a(sdp)

    async def _talk(self, bridge: Bridge, status: LegStatus, time_limit_s: float | None) -> None:
        """Until either side hangs up, or the time is over."""
        limit = None
        if time_limit_s is not None:
            over = TimeOver(at=self.ua.clock.now() + time_limit_s)
            limit = self.ua.clock.call_later(time_limit_s, self._inbox.put, bridge.b, over)
        try:
            while not self.over:
                leg, event = await self._inbox.get()
                match event:
                    case Offer() | OfferEnded() | Answer():
                        bridge.negotiate(leg, event)
                    case Disconnect() if leg is bridge.b:
                        status.headers = event.headers
                        self.ended_by = "callee" if event.by is Origin.PEER else "jambonz"
                        break
                    case TimeOver() if leg is bridge.b:
                        self.ended_by = "jambonz"
                        break
                    case _:
                        self._notice(leg, event)
        finally:
            if limit is not None:
                limit.cancel()
        status.end(self.ua.clock.now(), Progress.COMPLETED, 200, "OK", Cause.BYE)
        self._on_status(status)

    # events

    def _catch_up(self) -> None:
        """Notice what already happened, so that who hung up first is told right."""
        while (happened := self._inbox.take()) is not None:
            self._notice(*happened)

    def _notice(self, leg: Leg, event: Event) -> None:
        """What concerns nobody in particular: above all, that the caller is gone."""
        if leg is not self.a or not isinstance(event, Disconnect) or self.over:
            return
        now = self.ua.clock.now()
        self.status.headers = event.headers
        self.ended_by = "caller" if event.by is Origin.PEER else "jambonz"
        if self.status.answered_at is None:
            self.status.end(now, Progress.NO_ANSWER, 487, "Request Terminated", event.cause)
        else:
            self.status.end(now, Progress.COMPLETED, 200, "OK", event.cause)
        self._on_status(self.status)

    async def _attend_alone(self, event: Offer | Answer) -> None:
        """A re-INVITE, or an answer to our offer, while nobody is on the other side."""
        if event.sdp is None:
            self.a.accept(self.a.local_sdp or "")
            return
        try:
            sdp = await self._hold(event.sdp)
        except MediaError:
            self.a.refuse(488)
        else:
            self.a.accept(sdp)

    def _fail(
        self, status: LegStatus, code: int, reason: str, cause: Cause, headers: Headers = ()
    ) -> None:
        status.headers = headers
        status.end(self.ua.clock.now(), progress_of(code), code, reason, cause)
        self._on_status(status)


def _nobody(_: LegStatus) -> None:
    """Whom a closed call tells."""


def media_failure(error: MediaError) -> tuple[int, str]:
    """The SIP status for what the media plane could not do: 488 is the offer's fault, 503 ours."""
    if error.slug == "bad-sdp":
        return 488, "Not Acceptable Here"
    return 503, "Media Unavailable"
