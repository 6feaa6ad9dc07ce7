"""Two legs hear each other, until one of them hangs up, is gone, or the time is over."""

import structlog

from sip.b2bua.activities.transferring import Leaving, Transferring
from sip.b2bua.bridge import Bridge, bring_to_host
from sip.b2bua.call_events import Cause, Described, Disconnect, Event, Offer, OfferEnded
from sip.b2bua.call_state import EndedBy
from sip.b2bua.hub import Hub, Parting
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction, Leg
from sip.b2bua.rooms import seat_of_host
from sip.b2bua.rtp_timeout import REASON, RtpTimeout
from sip.clock import Timer
from sip.core.sdp_edits import same_session, still_holds
from sip.media.events import Heard, OneWay, Silent

log = structlog.get_logger(__name__)


class Talking:
    """A host and its guest, joined. At the end the guest is hung up, and the host stays.

    The outcome is the guest's report.
    """

    name = "talking"

    def __init__(
        self, bridge: Bridge, legs: tuple[str, str], sdp: str, *, time_limit_s: float | None = None
    ) -> None:
        """`legs` are the names of host and guest; `sdp` is what the guest answered, for the host.

        A host that has not answered its peer does so with it; one that was told otherwise before,
        or sits in another room, gets a re-INVITE.
        """
        self.legs = legs
        self.host = bridge.host
        self.guest = bridge.guest
        self._bridge = bridge
        self._sdp = sdp
        self._time_limit_s = time_limit_s
        self._limit: Timer | None = None
        self._timeout: RtpTimeout | None = None
        #: why the guest is hung up, if for a reason of its own
        self._parting: Parting | None = None

    def start(self, call: Hub) -> None:
        """Join them."""
        self._call = call
        host, bridge = self.legs[0], self._bridge
        now = call.ua.clock.now()
        if self._time_limit_s is not None:
            self._limit = call.ua.clock.call_later(self._time_limit_s, self._time_over)
        if call.rtp_timeout_s is not None:
            self._timeout = RtpTimeout(call.ua.clock, call.rtp_timeout_s, self._gone)
            for name, leg in zip(self.legs, (self.host, self.guest), strict=True):
                if call.is_silent(name):
                    self._timeout.silent(leg)
        told = self.host.local_sdp if self.host.settled else None
        if self.host.answer(self._sdp):
            call.tell(host, call.reports[host].answered(now))
        bridge.talking = True
        call.joined(*self.legs)
        seat = call.rooms.seat(self.host)
        if seat is None or seat.room is not bridge.seat.room:
            bridge.move_host(self._sdp, self._moved)
        elif told is not None and not self._is_told(told):
            bridge.tell_host(self._sdp)
        for transferring in call.running(Transferring):
            transferring.joined(self.legs)

    def _is_told(self, told: str) -> bool:
        """Whether the host, which was `told` that, knows all that it must of the guest's media.

        One that we placed alone took its codecs of many: where the guest takes them, it does.
        """
        if same_session(self._sdp, told):
            return True
        placed = self.host.direction is Direction.OUTBOUND
        return placed and still_holds(told, self.host.remote_sdp or "", self._sdp)

    def on(self, leg: Leg, event: Event) -> bool:
        """Offers cross; the first to hang up ends it."""
        if leg is not self.host and leg is not self.guest:
            return False
        match event:
            case Offer() | Described():
                if self._timeout is not None:
                    self._timeout.renegotiated()
                self._bridge.negotiate(leg, event)
                return True
            case OfferEnded(status=200):  # of somebody who has given way to this
                self._bridge.set_right(leg)
                return True
            case Silent() | OneWay() | Heard():
                if self._timeout is not None:
                    self._timeout.on(leg, event)
            case Disconnect():
                self._end()
        return False

    def stop(self) -> LegReport:
        """Hang up the guest; something else is wanted of the host."""
        self._part()
        self._call.hang_up_leg(self.legs[1], self.guest, self._parting)
        return self._call.reports[self.legs[1]]

    def give_way(self, staying: Leg) -> None:
        """One stays and gets another to talk to: the other is hung up, at once or after a while.

        Where the one that the call lasts as long as leaves, it lasts as long as the other then.
        """
        call = self._call
        stays, leaves = self.legs if staying is self.host else self.legs[::-1]
        waits = [one.dismiss_s for one in call.running(Transferring) if one.legs[0] == stays]
        self._part()
        if call.root == leaves:
            call.root = stays
        call.follow(self, Leaving(leaves, waits[0] if waits else 0.0, about=self.legs[1]))

    async def renew(self) -> None:
        """The engine has dropped the guest for another that did not come: offer it media anew."""
        brought = await bring_to_host(self._call, self.host, self.guest)
        if brought is not None:
            self._bridge.close()
            self._bridge, _ = brought
            self._bridge.talking = True

    def _part(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None  # each holds the other
        self._bridge.close()
        self._call.parted(*self.legs)

    def change_leg(self, before: Leg, leg: Leg) -> None:
        """`leg` has taken the place of one of the two."""
        if self.host is before:
            self.host = leg
        else:
            self.guest = leg
        if self._timeout is not None:
            self._timeout.forget(before)

    @property
    def bridge(self) -> Bridge:
        """What keeps both in step."""
        return self._bridge

    def _end(self) -> None:
        self._call.finish(self, self.stop())

    def _time_over(self) -> None:
        self._call.hung_up_by(EndedBy.APPLICATION)
        self._end()

    def _gone(self, leg: Leg, silent_s: float) -> None:
        """A leg has sent nothing for too long: it is hung up, and the call ends with the first."""
        call = self._call
        name = self.legs[0] if leg is self.host else self.legs[1]
        log.warning(
            "media.timeout",
            call_sid=call.call_sid,
            leg=name,
            sip_call_id=leg.sip_call_id,
            silent_s=round(silent_s, 1),
        )
        parting = Parting(Cause.RTP_TIMEOUT, REASON)
        call.hung_up_by(EndedBy.APPLICATION)
        if leg is self.guest:
            self._parting = parting
        self._end()
        if leg is self.host:
            call.hang_up_leg(name, leg, parting)
            if name == call.root:
                call.end_all()

    def _moved(self, done: bool) -> None:
        """The host heard of its new room. Where it stays, both hear silence."""
        if done:
            self._call.rooms.sit(self.host, seat_of_host(self._bridge.seat.room))
            self._call.reseated(self.legs)
            self._call.errands.add(self._call.rooms.close_empty)
        else:
            self._end()
