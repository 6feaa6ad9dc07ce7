"""Several legs ring for one host at once: the first that answers, and accepts, is joined to it.

Each rings in a room of its own, so that the host's port is no matter while they do. The host hears
that it rings, once, or what it is played; it hears none of them before they are joined.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

import structlog

from sip.b2bua.activities.meanwhile import Meanwhile
from sip.b2bua.activities.ringing import Ringing
from sip.b2bua.activities.waiting import Waiting
from sip.b2bua.best_failure import best_failure
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_events import Cause
from sip.b2bua.hub import Hub, Parting
from sip.b2bua.hunt import Attempts
from sip.b2bua.leg_report import LegReport, Progress
from sip.core.value import changed
from sip.media.plane import MediaError

log = structlog.get_logger(__name__)

#: Why the other legs are given up (RFC 3326 2, RFC 3261 9.1): so that no phone says "missed".
COMPLETED_ELSEWHERE: Final = Parting(
    headers=(("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)
)

#: Asked of a leg that has answered, by its name: whether it takes the call.
Accept = Callable[[str], Coroutine[Any, Any, bool]]


class Audience(Meanwhile):
    """What the host of several legs that ring is told and hears: the same however many they are."""

    _rang = False

    def rings(self) -> None:
        """One of them rings."""
        host = self._call.legs[self._host]
        if not self._rang:
            self._rang = True
            host.ring(180)
        super().rings()

    def over(self) -> None:
        """One of them rings no more: the others may."""

    def leave(self) -> None:
        """All is heard."""
        super().over()

    def stay(self) -> None:
        """After `leave`: it goes on."""
        self.dialled()
        if self._rang:
            super().rings()


class Race:
    """The legs that ring for one host; `run` places one of them."""

    def __init__(
        self, call: Hub, host: str, audience: Audience, *, time_limit_s: float | None
    ) -> None:
        """`host` is the name of a leg; it may talk to the first for `time_limit_s` seconds."""
        self._call = call
        self._host = host
        self._audience = audience
        self._time_limit_s = time_limit_s
        self._running: dict[str, asyncio.Future[LegReport]] = {}
        #: one at a time has the host change over
        self._turn = asyncio.Lock()
        self._winner: str | None = None

    @property
    def decided(self) -> bool:
        """Whether one of the legs was joined to the host: no other need be placed."""
        return self._winner is not None

    async def run(
        self,
        attempts: Attempts,
        leg: str,
        *,
        timeout_s: float,
        accept: Accept | None = None,
    ) -> LegReport:
        """Place `leg`, a name of `new_leg`; returns its report when it is over.

        It may ring for `timeout_s` seconds. One that has answered is asked whether it accepts,
        while the others ring on; one that does not is hung up.
        """
        call = self._call
        answered: asyncio.Future[Waiting] = asyncio.get_running_loop().create_future()

        def wait(bridge: Bridge, legs: tuple[str, str], _: str) -> Waiting:
            waiting = Waiting(bridge, legs)
            answered.set_result(waiting)
            return waiting

        ringing = Ringing(
            attempts,
            leg=leg,
            host=self._host,
            timeout_s=timeout_s,
            successor=wait,
            meanwhile=self._audience,
            apart=True,
        )
        over = self._running[leg] = call.begin(ringing)
        try:
            await asyncio.wait((over, answered), return_when=asyncio.FIRST_COMPLETED)
            if answered.done() and not over.done():
                waiting = answered.result()
                taken = accept is None or await _accepted(accept, leg, waiting, over)
                if not taken or not await self._take(leg, waiting):
                    call.stop_for(over)
            report: LegReport = await over
            return report
        finally:
            call.stop_for(over)
            del self._running[leg]
            if not self._running:
                self._audience.leave()

    def outcome(self, legs: Iterable[str]) -> LegReport:
        """What came of `legs`: the report of the one that was joined, else the best failure."""
        reports = self._call.reports
        if self._winner is not None:
            return reports[self._winner]
        return best_failure(_failed(reports[leg]) for leg in legs if leg in reports)

    async def _take(self, leg: str, waiting: Waiting) -> bool:
        """Join a leg to the host, and give up the others; whether it was the first."""
        if self._turn.locked():  # another is being joined: the host shall hear that one alone
            with suppress(MediaError):
                await waiting.hush()
        async with self._turn:
            if self._winner is not None:
                return False
            self._audience.leave()
            try:
                joined = await waiting.join(time_limit_s=self._time_limit_s)
            except MediaError as error:
                joined = False
                log.warning(
                    "race.not-joined", call_sid=self._call.call_sid, leg=leg, error=str(error)
                )
            if not joined:
                self._audience.stay()
                if leg in self._call.legs:
                    self._call.hang_up_leg(leg, self._call.legs[leg], Parting(Cause.NOT_JOINED))
                return False
            self._winner = leg
        for other, over in tuple(self._running.items()):
            if other != leg:
                self._give_up(other, over)
        return True

    def _give_up(self, name: str, over: asyncio.Future[LegReport]) -> None:
        leg = self._call.legs.get(name)
        if leg is not None:
            self._call.hang_up_leg(name, leg, COMPLETED_ELSEWHERE)
        self._call.stop_for(over)


async def _accepted(
    accept: Accept, leg: str, waiting: Waiting, over: asyncio.Future[LegReport]
) -> bool:
    """Whether a leg takes the call, which may be over before it says so."""
    try:
        await waiting.hush()
    except MediaError:
        return False  # the engine is gone, and nothing could be played to the leg
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(accept(leg))
        await asyncio.wait((over, asked), return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return asked.result()
        asked.cancel()
    return False


def _failed(report: LegReport) -> LegReport:
    """A leg that answered and was not joined did not accept, or went before it could."""
    if report.answered_at is None:
        return report
    return changed(
        report,
        sip_status=480,
        sip_reason="Temporarily Unavailable",
        cause=Cause.REJECTED,
        detail="it answered and did not accept the call",
        progress=Progress.FAILED,
    )
