"""Two talk, and one of them is being brought to somebody else: until then the other stays.

From the first leg on that is placed for it the two do not hear each other. Where it comes to
nothing they do again; where it succeeds the guest gets some time to hang up by itself, since it may
still have to hear of it (RFC 5589 6.1).
"""

from sip.b2bua.call_events import Disconnect, Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Seat
from sip.clock import Timer
from sip.media.plane import Capability, MediaError, Withheld


class Transferring:
    """A host that is to get another guest. The outcome is whether it has one."""

    name = "transferring"

    def __init__(self, legs: tuple[str, str], *, dismiss_s: float) -> None:
        """`legs` are the names of host and guest, which talk. The guest may stay for `dismiss_s`
        once another has taken its place."""
        self.legs = legs
        self.dismiss_s = dismiss_s
        #: where those sit who do not hear each other
        self._seats: dict[str, Seat] = {}

    def start(self, call: Hub) -> None:
        """Nothing changes until a leg is placed."""
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        """The guest may leave: then nothing is kept from the host any more."""
        if isinstance(event, Disconnect) and leg is self._call.legs.get(self.legs[1]):
            self._let_pass()
        return False

    def part(self) -> None:
        """The two do not hear each other from now on."""
        call = self._call
        if self._seats or call.partner(self.legs[0]) != self.legs[1]:
            return
        for name in self.legs:
            seat = call.rooms.seat(call.legs[name])
            if seat is not None:
                self._seats[name] = seat
        call.errands.add(_keep_apart, tuple(self._seats.values()), True)

    def joined(self, legs: tuple[str, str]) -> None:
        """A host has a guest: perhaps the one that was wanted."""
        if legs[0] == self.legs[0] and legs[1] != self.legs[1]:
            self._let_pass()  # the host may have stayed where it was
            self._call.finish(self, True)

    def stop(self) -> bool:
        """The two hear each other again, if they still talk."""
        self._let_pass()
        return False

    def _let_pass(self) -> None:
        seats, self._seats = tuple(self._seats.values()), {}
        if seats:
            self._call.errands.add(_keep_apart, seats, False)


class Leaving:
    """A leg that talks to nobody any more, and may hang up by itself."""

    name = "leaving"

    def __init__(self, leg: str, within_s: float, *, about: str) -> None:
        """It is hung up after `within_s`; the outcome is the report of the leg `about`."""
        self.legs = (leg,)
        self._within_s = within_s
        self._about = about
        self._timer: Timer | None = None

    def start(self, call: Hub) -> None:
        """Wait, if there is anything to wait for."""
        self._call = call
        self._leg = call.legs[self.legs[0]]
        if self._within_s > 0:
            self._timer = call.ua.clock.call_later(self._within_s, self._over)
        else:
            self._over()

    def on(self, leg: Leg, event: Event) -> bool:
        """It hung up; what it wants meanwhile, `Idle` answers."""
        if leg is self._leg and isinstance(event, Disconnect):
            self._over()
        return False

    def stop(self) -> object:
        """Hang it up."""
        if self._timer is not None:
            self._timer.cancel()
        self._call.hang_up_leg(self.legs[0], self._leg)
        self._call.errands.add(self._call.rooms.close_empty)
        return self._call.reports[self._about]

    def _over(self) -> None:
        self._call.finish(self, self.stop())


async def _keep_apart(seats: tuple[Seat, ...], apart: bool) -> None:
    """Whether those who sit there are kept from hearing each other."""
    for seat in seats:
        media = seat.room.media
        if Capability.WITHHOLD not in media.capabilities:
            continue
        withhold = media.withhold if apart else media.let_pass
        try:
            await withhold(seat.tag, Withheld.SILENCED)
        except MediaError:
            return  # the engine is gone, and what it passed on with it
