"""One call as its application sees it: what it may ask of the legs, and what it hears of them.

A call begins with a leg that came to us, whatever the leg speaks, or with one that we place; it
has any number of legs, by name, and lasts as long as its first. The coroutines here are a thin
face over activities: each starts one and waits for its outcome, and to cancel it stops the
activity, so that something else takes its place.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from sip.b2bua.activities.idle import Idle, hold
from sip.b2bua.activities.meanwhile import Meanwhile
from sip.b2bua.activities.playing import Playing
from sip.b2bua.activities.ringing import Ringing
from sip.b2bua.activities.talking import Talking
from sip.b2bua.activities.waiting import Waiting
from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.call_state import EndedBy
from sip.b2bua.hub import FIRST, Activity, Hub, Parting
from sip.b2bua.hunt import Attempts
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction, Leg, MakeLeg
from sip.b2bua.media_failure import media_failure
from sip.b2bua.moving import Moving
from sip.core.value import changed
from sip.media.plane import MediaError, MediaPlane, MediaStats, Playable, RingbackTone
from sip.ua.user_agent import UserAgent

#: This gateway stops, and the call cannot go on elsewhere (RFC 3326).
SHUTTING_DOWN: Headers = (("Reason", 'SIP;cause=503;text="Gateway Is Shutting Down"'),)


class Call(Hub):
    """A call and what may be done with it."""

    def __init__(
        self,
        ua: UserAgent,
        plane: MediaPlane,
        *,
        on_status: Callable[[LegReport], None],
        first: MakeLeg | None = None,
        rtp_timeout_s: float | None = None,
    ) -> None:
        """`first(on_event)` makes the leg that came to us; without it, `place` places the first.

        Nothing is sent before `start`.
        """
        direction = Direction.INBOUND if first is not None else Direction.OUTBOUND
        super().__init__(
            ua, plane, direction=direction, on_status=on_status, rtp_timeout_s=rtp_timeout_s
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
        return self.legs.get(FIRST)

    @property
    def over(self) -> bool:
        """Whether the first leg is gone."""
        return self.status.final

    @property
    def ended_by(self) -> EndedBy:
        """Who hung up; the application, where none of the peers did."""
        return self._ended_by or EndedBy.APPLICATION

    # what the application asks

    async def answer(self) -> None:
        """Answer the first leg although there is no other to talk to yet. Raises MediaError."""
        first = self.first
        if first is None or self.over or first.up:
            return
        if first.answer(await hold(self, first, first.remote_sdp)):
            self.tell(FIRST, self.status.answered(self.ua.clock.now()))

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
        self.tell(FIRST, self.status.failed(now, status, phrase, cause))
        self.end_all()

    def hangup(self, headers: Headers = (), cause: Cause | None = None) -> None:
        """End the first leg, and the call with it: BYE if it is answered, else 603 or CANCEL.

        `cause` is told where it is another than that the application wants it, and the BYEs of all
        legs have the `headers` then.
        """
        if cause is not None:
            self.parting = Parting(cause, headers)
        first = self.first
        if first is None or self.over:
            self.end_all()
        elif not first.up:
            self.reject(603, None, headers, cause or Cause.REJECTED)
        else:
            first.hangup(headers)
            self.tell(FIRST, self.status.ended(self.ua.clock.now(), self.parting.cause))
            self.end_all()

    def shut_down(self, retry_after_s: int) -> None:
        """End the call because this gateway stops: BYE with a Reason to who talks, and 503 to a
        caller who waits, so that it is tried elsewhere (RFC 3261 21.5.4; a 603 would forbid it).
        """
        first = self.first
        if first is None or self.over or first.up:
            self.hangup(SHUTTING_DOWN, Cause.SHUTDOWN)
        else:
            self.parting = Parting(Cause.SHUTDOWN, SHUTTING_DOWN)
            self.reject(503, None, (("Retry-After", str(retry_after_s)),), Cause.SHUTDOWN)

    def refused(
        self,
        status: int,
        reason: str,
        cause: Cause = Cause.UNREACHABLE,
        detail: str | None = None,
    ) -> LegReport:
        """The report of a leg that could not even be tried."""
        now = self.ua.clock.now()
        leg = LegReport(call_sid=self.ua.ids.sid(), direction=Direction.OUTBOUND, since=now)
        report = leg.failed(now, status, reason, cause, (), detail)
        self.tell(self.new_leg(), report)
        return report

    async def idle(self) -> None:
        """Wait until the call is over; every leg is attended to by itself."""
        if self._lasting is not None and not self.over:
            await asyncio.shield(self._lasting)

    async def dial(
        self,
        attempts: Attempts,
        *,
        answer_on_bridge: bool,
        timeout_s: float,
        time_limit_s: float | None,
        leg: str | None = None,
        while_ringing: Playable | None = None,
        ringback: RingbackTone | None = None,
    ) -> LegReport:
        """Place a leg and join it to the first; returns its report when it is over.

        Whoever cancels this finds the report in `reports`, by the name `leg` (of `new_leg`).
        Until the leg is heard or answers, the first hears `while_ringing`, as early media where it
        is not answered; without it, once the leg rings and we are what the first hears, `ringback`.
        """
        try:
            if not answer_on_bridge:
                await self.answer()
            elif while_ringing is not None:
                await self.open_early()
        except MediaError as error:
            failure = media_failure(error)
            return self.refused(failure.status, failure.reason, failure.cause, error.text)
        ringing = Ringing(
            attempts,
            leg=leg or self.new_leg(),
            host=FIRST,
            timeout_s=timeout_s,
            successor=partial(Talking, time_limit_s=time_limit_s),
            meanwhile=Meanwhile(self, FIRST, while_ringing, ringback),
        )
        return await self._report_of(ringing)

    async def place(
        self, attempts: Attempts, *, timeout_s: float, host: str | None = None
    ) -> tuple[str, LegReport]:
        """Place a leg that waits, once it has answered; returns its name and report.

        `host` is the leg that it may be joined to, which may be talking; without one the leg is
        the call's first, where there is none yet.
        """
        name = FIRST if self.first is None else self.new_leg()
        ringing = Ringing(attempts, leg=name, host=host, timeout_s=timeout_s)
        return name, await self._report_of(ringing)

    async def join(self, guest: str) -> bool:
        """Join a leg that was placed and waits to its host, and hang up the guest before it.

        False where the host does not change over: then it goes on as it was. Raises MediaError.
        """
        for waiting in self.running(Waiting):
            if waiting.legs[1] == guest:
                return await waiting.join()
        return False

    async def play(
        self, sound: Playable, *, leg: str = FIRST, times: int = 1, early: bool = False
    ) -> bool:
        """Play a sound to a leg, so many times; True at its end.

        A first leg that is not answered yet is, or gets early media if `early`. False where the leg
        is gone, cannot get early media, or something else is played to it before the end. Raises
        MediaError.
        """
        if leg == FIRST and not await (self.open_early() if early else self._answered()):
            return False
        if self.over or leg not in self.legs:
            return False
        finished: bool = await self._outcome_of(Playing(leg, sound, times=times))
        return finished

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
        self.tell(FIRST, self.status.rang(now, 183, reason, early_media=True))
        return True

    async def _answered(self) -> bool:
        await self.answer()
        return not self.over

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
