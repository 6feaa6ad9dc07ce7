"""A sound is played to a leg, in the stead of what its other side says."""

from sip.b2bua.call_events import Disconnect, Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Room, Seat
from sip.b2bua.work import Work
from sip.media.events import Played
from sip.media.plane import MediaError, Playable


class Playing:
    """Plays a sound to one leg. The outcome is whether it was played to its end."""

    name = "playing"

    def __init__(self, leg: str, sound: Playable, *, times: int = 1) -> None:
        """`leg` is the name of a leg that sits in a room; the rest as `MediaSession.play` takes."""
        self.legs = (leg,)
        self._sound = sound
        self._times = times
        self._seat: Seat | None = None
        self._play_id: int | None = None
        #: ends of plays that were told before the engine said which play is ours
        self._ended: list[Played] = []

    def start(self, call: Hub) -> None:
        """Ask the engine."""
        self._call = call
        self._leg = call.legs[self.legs[0]]
        self._work = Work(self._on_error)
        self._work.add(self._begin)

    def on(self, leg: Leg, event: Event) -> bool:
        """The end of the play, or of the leg; all else is for others."""
        if leg is not self._leg:
            return False
        if isinstance(event, Disconnect):
            self._call.finish(self, self.stop())
        elif isinstance(event, Played):
            if self._play_id is None:
                self._ended.append(event)
            elif event.play_id == self._play_id:
                self._over(finished=event.finished)
            return True
        return False

    @property
    def room(self) -> Room | None:
        """Where it is played."""
        return self._seat.room if self._seat is not None else None

    def stop(self) -> bool:
        """End the play where it is."""
        self._work.stop()
        # the engine may be playing as soon as it was asked, before its reply is here
        if self._seat is not None and not self._leg.gone:
            self._call.errands.add(self._silence)
        return False

    def lost(self) -> None:
        """The engine is gone, and the play with it."""
        self._over(finished=False)

    async def _begin(self) -> None:
        seat = self._seat = self._call.rooms.seat(self._leg)
        if seat is None:
            raise MediaError("refused", "the leg has no media to play to")
        self._play_id = await seat.room.media.play(seat.tag, self._sound, times=self._times)
        for event in self._ended:
            if event.play_id == self._play_id:
                self._over(finished=event.finished)

    async def _silence(self) -> None:
        if self._seat is None:
            return
        try:
            await self._seat.room.media.stop_play(self._seat.tag)
        except MediaError:
            return  # the engine has given the session up, and the play with it

    def _over(self, *, finished: bool) -> None:
        self._play_id = None
        self._work.stop()
        self._call.finish(self, finished)

    def _on_error(self, error: Exception) -> None:
        self._work.stop()
        self._call.fail(self, error)
