"""A new leg takes the place of one that is up (RFC 3891): its peer moved the call to another phone.

Whoever talks to the leg hears of it as of a re-INVITE, or not at all. The new leg is answered once
that is agreed; where it is not, it is refused, and all stays as it was.
"""

from typing import Final

import structlog

from sip.b2bua.activities.capturing import Capturing
from sip.b2bua.activities.collecting import Collecting
from sip.b2bua.activities.idle import hold
from sip.b2bua.activities.playing import Playing
from sip.b2bua.activities.referring import Referring
from sip.b2bua.activities.talking import Talking
from sip.b2bua.call_events import Described, Disconnect, Event, Offer
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg, MakeLeg
from sip.b2bua.media_failure import media_failure
from sip.b2bua.work import Work
from sip.media.plane import MediaError

log = structlog.get_logger(__name__)

#: What goes on with another leg of the same name, and what ends with the leg that it began with.
_BEARING: Final = (Talking, Capturing, Collecting, Playing, Referring)
_ENDING: Final = (Playing, Referring)


class Replacing:
    """Brings in the new leg, under the name of the old one. The outcome is whether it came."""

    name = "replacing"

    def __init__(self, leg: str, make: MakeLeg) -> None:
        """`leg` is the name of a leg that is up; `make` makes the one that calls."""
        self.legs = (leg,)
        self._make = make
        self._in_place = False
        #: offers of who talks to the leg, which wait
        self._kept: list[tuple[Leg, Event]] = []

    def start(self, call: Hub) -> None:
        """Take the call; nothing is said of it before it can be answered."""
        self._call = call
        self._before = call.legs[self.legs[0]]
        self._leg = self._make(self._on_leg)
        self._leg.start()
        self._work = Work(self._on_error)
        self._talking = next(
            (one for one in call.running(Talking) if self._before in (one.host, one.guest)), None
        )
        if self._is_busy():
            self._refuse(491)
        else:
            self._work.add(self._take_place)

    def on(self, leg: Leg, event: Event) -> bool:
        """The old leg may hang up; offers wait until it is clear whom they are for."""
        if leg is self._before:
            if isinstance(event, Disconnect):
                self._call.finish(self, self.stop())
            elif isinstance(event, Offer):
                leg.refuse(491)
                return True
        elif isinstance(event, Offer | Described) and self._talks_to(leg):
            self._kept.append((leg, event))
            return True
        return False

    def stop(self) -> bool:
        """There is no place to take any more."""
        self._work.stop()
        if not self._in_place:
            self._leg.reject(481)
        return self._in_place

    def _on_leg(self, leg: Leg, event: Event) -> None:
        """The new leg speaks: before it is answered, only to say that it gives up."""
        if self._in_place:
            self._call.handle(leg, event)

    def _is_busy(self) -> bool:
        """Whether something is under way that cannot go on with another leg."""
        if self._talking is not None and self._talking.bridge.busy:
            return True
        others = [one for one in self._call.doing(self.legs[0]) if one is not self]
        return not all(isinstance(one, _BEARING) for one in others)

    def _talks_to(self, leg: Leg) -> bool:
        talking = self._talking
        return talking is not None and leg in (talking.host, talking.guest)

    async def _take_place(self) -> None:
        answer, status = await self._negotiate()
        if answer is None:
            self._refuse(status)
        elif self._leg.answer(answer):
            self._replace()
        else:  # its caller gave up meanwhile
            if self._talking is not None:
                await self._talking.bridge.give_back(self._leg, self._before)
            self._over()

    async def _negotiate(self) -> tuple[str | None, int]:
        """What the new leg is answered, or None and the status that refuses it."""
        if self._talking is not None:
            return await self._talking.bridge.succeed(self._before, self._leg)
        try:
            return await hold(self._call, self._leg, self._leg.remote_sdp), 200
        except MediaError as error:
            return None, media_failure(error).status

    def _replace(self) -> None:
        call, name = self._call, self.legs[0]
        for activity in call.doing(name):
            if isinstance(activity, _ENDING):
                call.stop(activity)
        call.change_leg(name, self._leg)
        if self._talking is not None:
            self._talking.change_leg(self._before, self._leg)
        self._in_place = True
        log.info(
            "leg.replaced",
            call_sid=call.call_sid,
            leg=name,
            sip_call_id=self._leg.sip_call_id,
            before=self._before.sip_call_id,
        )
        self._before.hangup()
        self._over()

    def _refuse(self, status: int) -> None:
        log.info(
            "leg.not-replaced",
            call_sid=self._call.call_sid,
            leg=self.legs[0],
            sip_call_id=self._leg.sip_call_id,
            status=status,
        )
        self._leg.reject(status)
        self._over()

    def _over(self) -> None:
        call = self._call
        self._work.stop()
        if not self._in_place:
            call.rooms.leave(self._leg)
        call.finish(self, self._in_place)
        call.errands.add(call.rooms.close_empty)
        kept, self._kept = self._kept, []
        for leg, event in kept:
            call.handle(leg, event)

    def _on_error(self, error: Exception) -> None:
        self._leg.reject(500)
        self._call.broke(error)
