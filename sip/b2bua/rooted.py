"""A call and the leg that it lasts as long as: how it begins, is answered or refused, and ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from sip.b2bua.activities.idle import Idle, hold
from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.call_state import EndedBy
from sip.b2bua.hub import FIRST, Activity, Hub, Parting
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction, Leg, MakeLeg
from sip.b2bua.moving import Moving
from sip.core.value import changed
from sip.media.plane import MediaPlane, MediaStats
from sip.ua.user_agent import UserAgent

#: This gateway stops, and the call cannot go on elsewhere (RFC 3326).
SHUTTING_DOWN: Headers = (("Reason", 'SIP;cause=503;text="Gateway Is Shutting Down"'),)


class Rooted(Hub):
    """A call's first leg, and what may be done with it.

    It is a leg that came to us, whatever the leg speaks, or one that we place.
    """

    def __init__(
        self,
        ua: UserAgent,
        plane: MediaPlane,
        *,
        on_status: Callable[[LegReport], None],
        first: MakeLeg | None = None,
        rtp_timeout_s: float | None = None,
        call_sid: str | None = None,
    ) -> None:
        """`first(on_event)` makes the leg that came to us; without it, `place` places the first.

        Nothing is sent before `start`.
        """
        direction = Direction.INBOUND if first is not None else Direction.OUTBOUND
        super().__init__(
            ua,
            plane,
            direction=direction,
            on_status=on_status,
            rtp_timeout_s=rtp_timeout_s,
            call_sid=call_sid,
        )
        self.rooms.on_lost = Moving(self, self.hangup).lost
        #: the relay's counters, once the call is over
        self.stats: MediaStats | None = None
        self._lasting: asyncio.Future[Any] | None = None
        if first is not None:
            leg = first(self.handle)
            self.add(FIRST, leg)
            self.note(FIRST, changed(self.status, sip_call_id=leg.sip_call_id))

    def start(self) -> None:
        """Begin: the first leg says that it is here."""
        self._lasting = self.begin(Idle())
        first = self.first
        if first is not None:
            first.start()

    @property
    def first(self) -> Leg | None:
        """The leg that the call lasts as long as; None before it is placed."""
        return self.legs.get(self.root)

    @property
    def ended_by(self) -> EndedBy:
        """Who hung up; the application, where none of the peers did."""
        return self._ended_by or EndedBy.APPLICATION

    async def answer(self) -> None:
        """Answer the first leg although there is no other to talk to yet. Raises MediaError."""
        first = self.first
        if first is None or self.over or first.up:
            return
        if first.answer(await hold(self, first, first.remote_sdp)):
            self.tell(self.root, self.reports[self.root].answered(self.ua.clock.now()))

    def reject(
        self,
        status: int,
        reason: str | None,
        headers: Headers = (),
        cause: Cause = Cause.REJECTED,
    ) -> None:
        """Refuse the first leg; without effect once it is answered."""
        first = self.first
        if first is None or self.over or first.up:
            return
        phrase = first.reject(status, reason, headers)
        now = self.ua.clock.now()
        self.tell(self.root, self.reports[self.root].failed(now, status, phrase, cause))
        self.end_all()

    def unplaced(self, status: int, reason: str, cause: Cause, detail: str | None = None) -> None:
        """The first leg, which we were to place, does not come to be; it is cancelled if it rings.

        `status` and `reason` say so in SIP's words.
        """
        now = self.ua.clock.now()
        self.tell(self.root, self.reports[self.root].failed(now, status, reason, cause, (), detail))
        self.end_all()

    @property
    def _places_first(self) -> bool:
        """Whether the first leg is one that we place, and may still be answered.

        One server may have refused it already, and the next is being looked for.
        """
        report = self.reports[self.root]
        unanswered = report.direction is Direction.OUTBOUND and report.answered_at is None
        return unanswered and (not report.final or bool(self.doing(self.root)))

    def hangup(self, headers: Headers = (), cause: Cause | None = None) -> None:
        """End the first leg, and the call with it: BYE if it is answered, else 603 or CANCEL.

        `cause` is told where it is another than that the application wants it, and the BYEs of all
        legs have the `headers` then.
        """
        if cause is not None:
            self.parting = Parting(cause, headers)
        first = self.first
        if self._places_first:
            self.unplaced(487, "Request Terminated", cause or Cause.CANCELLED)
        elif first is None or self.over:
            self.end_all()
        elif not first.up:
            self.reject(603, None, headers, cause or Cause.REJECTED)
        else:
            first.hangup(headers)
            self.tell(
                self.root, self.reports[self.root].ended(self.ua.clock.now(), self.parting.cause)
            )
            self.end_all()

    def shut_down(self, retry_after_s: int) -> None:
        """End the call because this gateway stops: BYE with a Reason to who talks, and 503 to a
        caller who waits, so that it is tried elsewhere (RFC 3261 21.5.4; a 603 would forbid it).
        """
        first = self.first
        if first is None or self.over or first.up or self._places_first:
            self.hangup(SHUTTING_DOWN, Cause.SHUTDOWN)
        else:
            self.parting = Parting(Cause.SHUTDOWN, SHUTTING_DOWN)
            self.reject(503, None, (("Retry-After", str(retry_after_s)),), Cause.SHUTDOWN)

    async def idle(self) -> None:
        """Wait until the call is over; every leg is attended to by itself."""
        if self._lasting is not None and not self.over:
            await asyncio.shield(self._lasting)

    async def open_early(self) -> bool:
        """Have the first leg hear us before it is answered (RFC 3960 3.2); whether it does.

        One that waits for our offer and takes no reliable response cannot. Raises MediaError.
        """
        first = self.first
        if first is None or self.over:
            return False
        if _hears_us(first):
            return True
        sdp = await hold(self, first, first.remote_sdp)
        first.ring(183, sdp=sdp)
        if not _hears_us(first):
            return False
        now = self.ua.clock.now()
        reason = "Session Progress"
        self.tell(self.root, self.reports[self.root].rang(now, 183, reason, early_media=True))
        return True

    def notice_fax(self, heard: Callable[[], None]) -> None:
        """Have `heard` called, once, if the first leg turns out to be a fax machine.

        Raises MediaError unsupported.
        """
        first = self.first
        if first is not None and not self.over:
            self.rooms.notice_fax(first)
            self.on_fax = heard

    async def close(self) -> None:
        """Give the media ports back and keep the counters; tell the application nothing more."""
        self.fall_silent()
        await self.errands.done()
        self.errands.stop()
        self.stats = self.keys.counted(await self.rooms.close())

    async def _answered(self) -> bool:
        await self.answer()
        return not self.over

    async def _report_of(self, activity: Activity) -> LegReport:
        report: LegReport = await self._outcome_of(activity)
        return report

    async def _outcome_of(self, activity: Activity) -> Any:
        outcome = self.begin(activity)
        try:
            return await outcome
        finally:  # cancelled: something else takes its place
            self.stop_for(outcome)


def _hears_us(leg: Leg) -> bool:
    """Whether the peer knows where our audio comes from."""
    return leg.local_sdp is not None
