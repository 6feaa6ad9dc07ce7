"""A leg is being placed: attempt after attempt, until one answers."""

from collections.abc import Callable
from typing import Final

from sip.b2bua.activities.meanwhile import Meanwhile
from sip.b2bua.activities.waiting import Waiting
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_events import Cause, Connect, Described, Disconnect, Event, Fail, Offer, Ring
from sip.b2bua.hub import Activity, Hub
from sip.b2bua.hunt import Attempt, Attempts, Hunt
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.leg import Direction, Leg
from sip.b2bua.legs.outbound import Invitation, OutboundLeg
from sip.b2bua.media_failure import media_failure
from sip.b2bua.rooms import Room, Seat, seat_of_host
from sip.b2bua.work import Work
from sip.clock import Timer
from sip.core.common_codec import has_common_codec
from sip.core.sdp_crypto import is_accepted
from sip.media.plane import MediaError

#: Makes the activity that follows an answer, from the bridge, the names of host and guest, and
#: the answer for the host.
Successor = Callable[[Bridge, tuple[str, str], str], Activity]


#: What is said of an answer that does not take up our offer.
_MISTAKES: Final = {
    Cause.NO_COMMON_CODEC: (
        "No Common Codec",
        "it answered with no codec of our offer (RFC 3264 6.1)",
    ),
    Cause.NO_ENCRYPTION: (
        "Media Not Encrypted",
        "it answered without a key that takes up our offer (RFC 4568 5.1.3)",
    ),
}


class Ringing:
    """Places a leg for another one, its host, or for no leg at all: then it is offered silence.

    What rings is passed on to a host that waits for our answer. The attempts are servers of one
    trunk: the next is tried where the one before is dead. The outcome is the new leg's report,
    which never stays at a provisional status.
    """

    name = "ringing"

    def __init__(
        self,
        attempts: Attempts,
        *,
        leg: str,
        host: str | None,
        timeout_s: float,
        successor: Successor | None = None,
        meanwhile: Meanwhile | None = None,
        apart: bool = False,
    ) -> None:
        """`leg` is the name of the new leg; an answer has to come within `timeout_s` in all.

        With a `successor` that is what goes on after the answer, and has the outcome; without one
        the leg waits, and the outcome is there with its answer. `meanwhile` is what a host hears
        that talks to no other. `apart` is for a leg that rings beside others for the same host: it
        gets a room of its own, and `meanwhile` alone tells the host how far they are.
        """
        self.legs = (leg,) if host is None else (host, leg)
        self._attempts = attempts
        self._name = leg
        self._host_name = host
        self._timeout_s = timeout_s
        self._successor = successor
        self._meanwhile = meanwhile
        self._apart = apart
        #: this attempt is heard, though it has not answered
        self._heard = False
        self._attempt: Attempt | None = None
        self._leg: Leg | None = None
        self._host: Leg | None = None
        self._room: Room | None = None
        self._bridge: Bridge | None = None
        #: what the legs said that has to wait: the host's offers between two attempts, and the
        #: new leg's hanging up while its answer is worked on
        self._kept: list[tuple[Leg, Event]] = []

    def start(self, call: Hub) -> None:
        """Look for the first server."""
        self._call = call
        now = call.ua.clock.now()
        if self._name not in call.reports:
            sid = call.ua.ids.sid()
            report = LegReport(call_sid=sid, direction=Direction.OUTBOUND, since=now)
            call.note(self._name, report)
        if self._host_name is not None:
            self._host = call.legs[self._host_name]
        self._hunt = Hunt(call.ua, self._attempts)
        self._work = Work(self._on_error)
        self._limit: Timer = call.ua.clock.call_later(self._timeout_s, self._time_over)
        self._work.add(self._try_next)

    def on(self, leg: Leg, event: Event) -> bool:
        """The new leg's progress; its host's offers, and whether it is still there."""
        if leg is self._leg:
            self._on_new_leg(leg, event)
            return True
        if leg is not self._host:
            return False
        if isinstance(event, Disconnect):
            self._give_up()
        elif isinstance(event, Offer | Described) and self._host_is_here:
            if self._bridge is not None:
                self._bridge.negotiate(leg, event)
            else:
                self._kept.append((leg, event))
            return True
        return False

    def stop(self) -> LegReport:
        """Give it up: something else is wanted."""
        report = self._report
        if not report.final:
            self._fail(487, "Request Terminated", Cause.CANCELLED)
        self._leave()
        if self._leg is not None:
            self._call.hang_up_leg(self._name, self._leg)
        return self._report

    @property
    def room(self) -> Room | None:
        """Where the new leg and its host meet, once a server is being tried."""
        return self._room

    # what comes from the new leg

    def _on_new_leg(self, leg: Leg, event: Event) -> None:
        match event:
            case Ring(sdp=None) if self._work.idle:
                self._pass_ringing(event, None)
            case Ring():
                self._work.add(self._ring, event)
            case Connect():
                self._work.add(self._connect, event)
            case Fail():
                self._call.remove(leg)
                self._fail(event.status, event.reason, event.cause, event.headers, event.detail)
                self._work.add(self._after, event)
            case Disconnect():
                self._kept.append((leg, event))
            case Offer() | Described() if self._bridge is not None:
                self._bridge.negotiate(leg, event)
            case Offer():
                leg.refuse(488)

    async def _ring(self, event: Ring) -> None:
        sdp = None
        bridge = None if self._apart else self._bridge  # of several that ring, none is heard
        if event.sdp is not None and self._mistake(event.sdp) is None:
            # with another engine there is media again once the leg can be told of it
            if bridge is not None and not bridge.lost:
                sdp = await bridge.answer(event.sdp)
            elif await self._describe_alone(event.sdp):
                sdp = event.sdp
        self._pass_ringing(event, sdp)

    def _pass_ringing(self, event: Ring, sdp: str | None) -> None:
        early_media = sdp is not None
        talks = self._host_talks
        self._heard = self._heard or (early_media and not talks)
        if self._host is not None and not talks and not self._apart:
            self._host.ring(event.status, event.reason, sdp=sdp)
        if self._meanwhile is not None and not self._heard:
            self._meanwhile.rings()
        if self._meanwhile is not None and self._heard:
            self._meanwhile.over()
        progress = Progress.EARLY_MEDIA if early_media else Progress.RINGING
        if self._report.progress is not progress:
            now = self._call.ua.clock.now()
            rang = self._report.rang(now, event.status, event.reason, early_media=early_media)
            self._call.tell(self._name, rang)

    async def _connect(self, event: Connect) -> None:
        bridge, attempt = self._bridge, self._attempt
        assert attempt is not None, "a leg was placed by an attempt"
        mistake = self._mistake(event.sdp)
        if mistake is not None:
            await self._misunderstood(event, mistake)
            return
        if self._meanwhile is not None:
            self._meanwhile.over()
        sdp, described = "", True
        if bridge is not None:
            sdp = await (bridge.renew() if bridge.lost else bridge.answer(event.sdp or ""))
        else:
            described = await self._describe_alone(event.sdp or "")
        self._call.tell(self._name, self._report.answered(event.at))
        self._hunt.answered(attempt)
        self._limit.cancel()
        if bridge is None or self._host_name is None:
            self._call.finish(self, self._report)
            if not described and self._room is not None:
                self._call.rooms.on_lost(self._room)  # now that it can be told of another
        elif self._successor is not None:
            following = self._successor(bridge, (self._host_name, self._name), sdp)
            self._call.follow(self, following)
        else:
            self._call.begin(Waiting(bridge, (self._host_name, self._name)))
            self._call.finish(self, self._report)
        self._work.stop()
        self._pass_kept()

    def _mistake(self, answer: str | None) -> Cause | None:
        """Why the new leg's answer does not take up our offer (RFC 3264 6.1, RFC 4568 5.1.3)."""
        leg = self._leg
        offer = leg.local_sdp if leg is not None else None
        if leg is None or offer is None:
            return None
        if not has_common_codec(offer, answer):
            return Cause.NO_COMMON_CODEC
        if not is_accepted(offer, answer or "", leg.media_side.terms.encryption):
            return Cause.NO_ENCRYPTION
        return None

    async def _misunderstood(self, event: Connect, cause: Cause) -> None:
        """It answered, and nobody could speak: hang it up, and treat it as a failure of its own."""
        reason, detail = _MISTAKES[cause]
        fail = Fail(at=event.at, status=502, reason=reason, cause=cause, detail=detail)
        self._fail(fail.status, fail.reason, fail.cause, fail.headers, fail.detail)
        if self._leg is not None:
            self._leg.hangup()
            self._call.remove(self._leg)
        await self._after(fail)

    async def _describe_alone(self, sdp: str) -> bool:
        """What a leg that was placed for no other one answered: its party is known by it.

        False where there is another, or the engine is gone that made the offer.
        """
        leg, room = self._leg, self._room
        if self._host_name is not None or leg is None or room is None or room.media.lost:
            return False
        await room.media.answer_of_a(sdp, side=leg.media_side)
        return True

    async def _after(self, event: Fail) -> None:
        """An attempt failed: go on hunting, if that may help."""
        attempt, bridge = self._attempt, self._bridge
        assert attempt is not None, "an attempt failed"
        self._leg = self._bridge = None
        if bridge is not None:
            bridge.close()
        if self._host is None:  # the next one that is offered something is another party
            self._room = None
            self._call.errands.add(self._call.rooms.close_empty)
        await self._hunt.failed(attempt, event, early_media=self._report.early_media)
        await self._try_next()

    # attempts

    async def _try_next(self) -> None:
        call = self._call
        attempt = await self._hunt.next()
        if attempt is None or (self._host is not None and self._host.gone):
            self._give_up()
            return
        self._attempt = attempt
        self._heard = False
        if not call.errands.idle:
            await call.errands.done()
        leg = self._leg = await self._new_leg(attempt)
        call.note(
            self._name, self._report.tried(call.ua.clock.now(), leg.sip_call_id, attempt.detail)
        )
        leg.start()
        if self._meanwhile is not None:
            self._meanwhile.dialled()
        if self._leg is leg and not self._report.final:  # it may have failed on the spot
            call.tell(self._name, self._report)
            self._pass_kept()

    async def _new_leg(self, attempt: Attempt) -> OutboundLeg:
        """The leg of an attempt, with what it is offered; it has its seat."""
        if self._host is None:
            return await self._new_host(attempt)
        call, host = self._call, self._host
        room = self._room = self._room or self._find_room(host)
        tag, offer = await room.media.offer_to_b(
            host.remote_sdp, sender=host.media_side, reader=attempt.media_side
        )
        leg, seat = self._make_leg(attempt, offer), Seat(room, tag)
        call.add(self._name, leg)
        call.rooms.sit(leg, seat)
        self._bridge = Bridge(call, host, leg, seat)
        return leg

    async def _new_host(self, attempt: Attempt) -> OutboundLeg:
        """One that is placed for no other: others may come to its room."""
        room = self._room = self._call.rooms.open(None)
        offer = await room.media.offer_to_a(reader=attempt.media_side)
        leg = room.host = self._make_leg(attempt, offer)
        self._call.add(self._name, leg)
        self._call.rooms.sit(leg, seat_of_host(room))
        return leg

    def _find_room(self, host: Leg) -> Room:
        if self._apart or self._host_talks:  # that room has a guest, or may have another
            return self._call.rooms.open(host)
        return self._call.rooms.hosted_by(host)

    def _make_leg(self, attempt: Attempt, offer: str) -> OutboundLeg:
        invitation = Invitation(
            uri=attempt.uri,
            caller=attempt.caller,
            callee=attempt.callee,
            sdp=offer,
            headers=attempt.headers,
            routes=attempt.routes,
            max_forwards=self._host.hops_left if self._host is not None else 70,
            sip_call_id=attempt.sip_call_id,
        )
        return OutboundLeg(
            self._call.ua,
            invitation,
            attempt.flow,
            self._call.handle,
            credentials=attempt.credentials,
            options=attempt.options,
            no_response_s=attempt.no_response_s,
            post_dial_s=attempt.post_dial_s,
        )

    # the end

    @property
    def _report(self) -> LegReport:
        return self._call.reports[self._name]

    @property
    def _host_talks(self) -> bool:
        host = self._host_name
        return host is not None and self._call.partner(host) is not None

    @property
    def _host_is_here(self) -> bool:
        """Whether the host sits in the room that the new leg comes to, and nowhere else."""
        if self._host is None or self._apart:
            return False
        if self._room is None:
            return not self._host_talks
        seat = self._call.rooms.seat(self._host)
        return seat is not None and seat.room is self._room

    def _fail(
        self,
        status: int,
        reason: str,
        cause: Cause,
        headers: tuple[tuple[str, str], ...] = (),
        detail: str | None = None,
    ) -> None:
        now = self._call.ua.clock.now()
        self._call.tell(
            self._name, self._report.failed(now, status, reason, cause, headers, detail)
        )

    def _give_up(self) -> None:
        """No server is left, the time is over, or the host is gone."""
        self._call.finish(self, self.stop())
        self._pass_kept()

    def _time_over(self) -> None:
        self._fail(487, "Request Terminated", Cause.CANCELLED)
        self._give_up()

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, MediaError):
            self._call.broke(error)
            return
        failure = media_failure(error)
        self._fail(failure.status, failure.reason, failure.cause, detail=error.text)
        self._give_up()

    def _leave(self) -> None:
        self._limit.cancel()
        self._work.stop()
        if self._meanwhile is not None:
            self._meanwhile.over()
        if self._bridge is not None:
            self._bridge.close()
        if self._room is not None and not self._host_is_here:
            self._call.errands.add(self._call.rooms.close_empty)

    def _pass_kept(self) -> None:
        kept, self._kept = self._kept, []
        for leg, event in kept:
            self._call.handle(leg, event)
