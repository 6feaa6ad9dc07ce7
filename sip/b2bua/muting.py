"""Which of a call's peers are kept from being heard by whoever they talk to."""

from collections.abc import Iterable, Mapping

import structlog

from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Rooms
from sip.b2bua.work import Work
from sip.media.plane import MediaError, Withheld

log = structlog.get_logger(__name__)


class Muting:
    """The muted legs of one call; they stay so when they come to another room or engine."""

    def __init__(self, call_sid: str, legs: Mapping[str, Leg], rooms: Rooms, errands: Work) -> None:
        self._call_sid = call_sid
        self._legs = legs
        self._rooms = rooms
        self._errands = errands
        self._muted: set[str] = set()

    async def set(self, name: str, *, muted: bool) -> None:
        """Whether what the leg's peer says is kept from others. Raises MediaError."""
        if muted:
            self._muted.add(name)
        elif name in self._muted:
            self._muted.discard(name)
        else:
            return
        await self._apply(name)

    def forget(self, name: str) -> None:
        """The leg is over."""
        self._muted.discard(name)

    def follow(self, names: Iterable[str]) -> None:
        """These legs have other media than before."""
        for name in self._muted.intersection(names):
            self._errands.add(self._again, name)

    async def _again(self, name: str) -> None:
        try:
            await self._apply(name)
        except MediaError as error:
            log.warning("mute.failed", call_sid=self._call_sid, leg=name, error=str(error))

    async def _apply(self, name: str) -> None:
        leg = self._legs.get(name)
        seat = self._rooms.seat(leg) if leg is not None else None
        if seat is None:
            return  # it is muted where it sits down
        media = seat.room.media
        if name in self._muted:
            await media.withhold(seat.tag, Withheld.BLOCKED)
        else:
            await media.let_pass(seat.tag, Withheld.BLOCKED)
