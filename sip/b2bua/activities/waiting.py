"""A leg has answered and waits to be joined to the leg that it was placed for."""

from sip.b2bua.activities.talking import Talking
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_events import Described, Disconnect, Event, Offer
from sip.b2bua.hub import Hub
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import seat_of_host


class Waiting:
    """A guest whose host may be talking elsewhere. The outcome is the guest's report."""

    name = "waiting"

    def __init__(self, bridge: Bridge, legs: tuple[str, str]) -> None:
        """`legs` are the names of host and guest."""
        self.legs = legs
        self._bridge = bridge

    def start(self, call: Hub) -> None:
        """Nothing happens until they are joined, or one of them is gone."""
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        """The guest's offers are answered with what the host said last."""
        if isinstance(event, Disconnect) and leg in (self._bridge.host, self._bridge.guest):
            self._call.finish(self, self.stop())
            return False
        if leg is not self._bridge.guest:
            return False
        if isinstance(event, Offer | Described):
            self._bridge.negotiate(leg, event)
        return True

    def stop(self) -> LegReport:
        """Hang up the guest."""
        self._bridge.close()
        self._call.hang_up_leg(self.legs[1], self._bridge.guest)
        return self._call.reports[self.legs[1]]

    @property
    def bridge(self) -> Bridge:
        """What joins guest and host once the host comes."""
        return self._bridge

    async def join(self) -> bool:
        """Have the host change to the guest's room; whoever it talked to is hung up.

        False where it does not change, or one of them is gone: then all stays as it was. Raises
        MediaError.
        """
        call, bridge = self._call, self._bridge
        if not await bridge.bring_host() or self not in call.running(Waiting):
            return False
        for talking in call.running(Talking):
            if talking.host is bridge.host:
                call.stop(talking)
        call.rooms.sit(bridge.host, seat_of_host(bridge.seat.room))
        call.follow(self, Talking(bridge, self.legs, bridge.host.local_sdp or ""))
        await call.rooms.close_empty()
        return True
