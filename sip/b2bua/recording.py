"""Records what two legs of a call say to each other, from when they are joined until they part.

What an application wants is kept with the call: it may say so before there is anybody to record.
A leg that talks to another one later goes into a file of its own.
"""

from collections.abc import Coroutine
from enum import Enum
from typing import Any

import structlog

from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Room, Rooms
from sip.b2bua.work import Work
from sip.media.plane import MediaError

log = structlog.get_logger(__name__)


class Wish(Enum):
    """What an application wants of the recording."""

    NONE = "none"
    RECORD = "record"
    PAUSE = "pause"


class Recording:
    """The recording of one call, of which at most two legs talk with the first at a time."""

    def __init__(self, rooms: Rooms, call_sid: str, work: Work) -> None:
        """`work` does one thing after another."""
        self._rooms = rooms
        self._call_sid = call_sid
        self._work = work
        self._wish = Wish.NONE
        self._name = call_sid
        self._begun = 0
        self._guest: Leg | None = None
        #: what is recorded now
        self._room: Room | None = None
        self._paused = False

    def begin(self, name: str) -> None:
        """Record from now on, or from when there is something to record, or go on after a pause.

        `name` is the recording's; without a file yet, a later one takes its place.
        """
        if self._begun == 0:
            self._name = name or self._call_sid
        self._want(Wish.RECORD)

    def pause(self) -> None:
        """Leave out what is said from now on; nothing where nothing is to be recorded."""
        if self._wish is Wish.RECORD:
            self._want(Wish.PAUSE)

    def end(self) -> None:
        """Record no more."""
        self._want(Wish.NONE)

    def joined(self, guest: Leg) -> None:
        """The first leg and `guest` talk."""
        self._guest = guest
        if self._wish is not Wish.NONE:
            self._work.add(self._follow)

    def parted(self, guest: Leg) -> None:
        """They talk no more."""
        if self._guest is guest:
            self._guest = None
            if self._room is not None:
                self._work.add(self._follow)

    def change_leg(self, before: Leg, leg: Leg) -> None:
        """`leg` has taken the place of `before`, and goes into the same file."""
        if self._guest is before:
            self._guest = leg

    def lost(self, room: Room) -> None:
        """The engine of a room is gone, and its recording ends where it is."""
        if self._room is room:
            self._room = None

    def moved(self) -> None:
        """A room has another engine: what is said from now on goes into a file of its own, or from
        the end of a pause on."""
        if self._room is None and self._wish is Wish.RECORD:
            self._work.add(self._follow)

    def _want(self, wish: Wish) -> None:
        if wish is not self._wish:
            self._wish = wish
            self._work.add(self._follow)

    async def _follow(self) -> None:
        """Have the engine do what is wanted now."""
        guest = self._guest
        seat = None if guest is None or self._wish is Wish.NONE else self._rooms.seat(guest)
        room = None if seat is None else seat.room
        if self._room is not None and self._room is not room:
            before, self._room = self._room, None
            await self._ask(before.media.stop_recording())
        if room is None:
            return
        if self._room is None:
            self._begun += 1
            name = self._name if self._begun == 1 else f"{self._name}-{self._begun}"
            if not await self._ask(room.media.record(name)):
                return
            self._room, self._paused = room, False
        paused = self._wish is Wish.PAUSE
        if paused is not self._paused:
            self._paused = paused
            media = room.media
            await self._ask(media.pause_recording() if paused else media.record(self._name))

    async def _ask(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the engine did it. The call goes on without its recording."""
        try:
            await work
        except MediaError as error:
            if error.slug != "unknown-call":  # else its media is gone, and the recording with it
                log.error(
                    "recording.failed",
                    call_sid=self._call_sid,
                    recording=self._name,
                    error=str(error),
                    fault=error.fault.value,
                )
            return False
        return True
