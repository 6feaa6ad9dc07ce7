"""A call waits for what its application wants next: each leg is attended to by itself."""

from sip.b2bua.call_events import Described, Event, Offer, Referred
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import seat_of_host
from sip.media.plane import MediaError


class Idle:
    """What a call does with an event that nothing else takes; it runs as long as the call."""

    name = "idle"
    legs: tuple[str, ...] = ()

    def start(self, call: Hub) -> None:
        """Nothing happens until a leg says something."""
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        """Answer a re-INVITE or UPDATE of a leg that has no other leg to talk to.

        A REFER is the application's.
        """
        if isinstance(event, Offer | Described):
            self._call.errands.add(self._attend, leg, event)
        elif isinstance(event, Referred):
            name = self._call.name_of(leg)
            if name is not None:
                self._call.on_refer(name, event.referral)
        return True

    def stop(self) -> None:
        """Nothing is left to do."""

    async def _attend(self, leg: Leg, event: Offer | Described) -> None:
        call = self._call
        name = call.name_of(leg)
        if name is None or call.partner(name) is not None:
            call.handle(leg, event)  # it has another leg to talk to by now
        elif event.sdp is None:
            leg.accept(leg.local_sdp or "")
        else:
            try:
                sdp = await hold(call, leg, event.sdp)
            except MediaError:
                leg.refuse(488)
            else:
                leg.accept(sdp)
                await call.rooms.close_empty()


async def hold(call: Hub, leg: Leg, sdp: str | None) -> str:
    """What `leg` gets to hear of us while it talks to no other leg: silence. Raises MediaError.

    `sdp` is what it said of itself, None where it waits for our offer.
    """
    room = call.rooms.hosted_by(leg)
    held = await room.media.hold_a(sdp, side=leg.media_side)
    call.rooms.sit(leg, seat_of_host(room))
    return held
