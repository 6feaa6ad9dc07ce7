"""Which leg sits in which media session of its call.

A media session is a room with a host, whose description was offered first, and one guest after
another: a hunt tries guests for a host whose port never moves. A leg that is to hear one leg while
it talks to another has a room for each; it changes rooms by a re-INVITE, whatever the engine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from sip.b2bua.legs.leg import Leg
from sip.media.events import Lost, MediaEvent, PartyEvent
from sip.media.plane import (
    NO_DETECTION,
    Capability,
    MediaError,
    MediaPlane,
    MediaStats,
    PartyStats,
    session_id,
)
from sip.media.quality import joined
from sip.media.session import A_TAG, MediaSession


@dataclass(slots=True, eq=False)
class Room:
    """One media session. `host` is None until the leg is made that is offered it."""

    host: Leg | None
    media: MediaSession = field(init=False)


@dataclass(frozen=True, slots=True)
class Seat:
    """A leg's place in a room: its tag there, as the media plane knows it."""

    room: Room
    tag: str


def seat_of_host(room: Room) -> Seat:
    """The place of a room's host."""
    return Seat(room, A_TAG)


class Rooms:
    """The media sessions of one call. Raises MediaError where the engine does."""

    def __init__(
        self, plane: MediaPlane, call_sid: str, on_media: Callable[[Leg, PartyEvent], None]
    ) -> None:
        """`on_media` hears what the engine says of a leg."""
        #: hears that the engine of a room is gone, or has forgotten it
        self.on_lost: Callable[[Room], None] = _no_matter
        self._plane = plane
        self._on_media = on_media
        #: the leg that may be a fax machine
        self._fax: Leg | None = None
        #: whether legs will be listened to for who they are
        self._detects = False
        self._call_sid = call_sid
        self._made = 0
        self._open: list[Room] = []
        self._seats: dict[Leg, Seat] = {}
        self._stats: MediaStats | None = None

    def seat(self, leg: Leg) -> Seat | None:
        """Where `leg` sits."""
        return self._seats.get(leg)

    def seated(self, room: Room) -> list[Leg]:
        """Who sits in `room`."""
        return [leg for leg, seat in self._seats.items() if seat.room is room]

    def sit(self, leg: Leg, seat: Seat) -> None:
        """`leg` takes `seat`, and leaves the one that it had."""
        self._seats[leg] = seat

    def change_leg(self, before: Leg, leg: Leg) -> None:
        """`leg` takes the place of `before`, unless it has one of its own already."""
        seat = self._seats.pop(before, None)
        if seat is not None and leg not in self._seats:
            self._seats[leg] = seat
        for room in self._open:
            if room.host is before:
                room.host = leg
        if self._fax is before:
            self._fax = leg

    def leave(self, leg: Leg) -> None:
        """`leg` is over."""
        self._seats.pop(leg, None)

    def open(self, host: Leg | None) -> Room:
        """A new room."""
        call_id = session_id(self._call_sid, self._made)
        self._made += 1
        room = Room(host)
        room.media = MediaSession(self._plane, call_id, on_event=partial(self._said, room))
        self._open.append(room)
        if host is not None and host is self._fax:
            room.media.notice_fax()
        if self._detects:
            room.media.expect_detection()
        return room

    def expect_detection(self) -> None:
        """Have media of an engine that can tell who a party is, where there are several: at once
        where there is no media yet. Raises MediaError unsupported where there is no such engine.
        """
        if Capability.DETECTION not in self._plane.capabilities:
            raise MediaError("unsupported", NO_DETECTION)
        self._detects = True
        for room in self._open:
            room.media.expect_detection()

    def notice_fax(self, leg: Leg) -> None:
        """Have `FaxTone` told of `leg` where it is a fax machine: at once where it has no media
        yet, else from its next description on.
        """
        if Capability.FAX_TONE not in self._plane.capabilities:
            raise MediaError("unsupported", "this media engine cannot hear a fax's calling tone")
        self._fax = leg
        for room in self._open:
            if room.host is leg:
                room.media.notice_fax()

    def hosted_by(self, leg: Leg) -> Room:
        """The room in which `leg` is the host: where it sits, or a new one."""
        seat = self._seats.get(leg)
        if seat is not None and seat.room.host is leg:
            return seat.room
        room = self.open(leg)
        if seat is None:
            self._seats[leg] = seat_of_host(room)
        return room

    async def close_empty(self) -> None:
        """Give back the ports of rooms that no leg sits in any more."""
        taken = {id(seat.room) for seat in self._seats.values()}
        for room in [room for room in self._open if id(room) not in taken]:
            await self._close(room)

    async def query(self) -> MediaStats | None:
        """The counters so far, of all rooms, as `close` gives them. Raises MediaError."""
        stats = self._stats
        for room in tuple(self._open):
            more = await room.media.query()
            if more is not None:
                stats = more if stats is None else added(stats, more)
        return stats

    async def close(self) -> MediaStats | None:
        """Give all ports back; the counters of all rooms, None where there never was media."""
        self._on_media, self.on_lost = _unheard, _no_matter
        for room in tuple(self._open):
            await self._close(room)
        self._seats.clear()
        return self._stats

    def _said(self, room: Room, event: MediaEvent) -> None:
        """The engine speaks of a party, or is gone."""
        if isinstance(event, Lost):
            self.on_lost(room)
            return
        for leg, seat in self._seats.items():
            if seat.room is room and seat.tag == event.party:
                self._on_media(leg, event)
                return

    async def _close(self, room: Room) -> None:
        self._open.remove(room)  # first: whoever else closes must not wait for it
        try:
            stats = await room.media.close()
        except MediaError:
            return  # the engine is gone, and its counters with it
        if stats is not None:
            self._stats = stats if self._stats is None else added(self._stats, stats)


def _unheard(_: Leg, __: PartyEvent) -> None:
    """Default for `on_media` of rooms that are closed."""


def _no_matter(_: Room) -> None:
    """Default for `on_lost`, and of rooms that are closed."""


_SUMS = tuple(field.name for field in fields(PartyStats) if field.type == "int")


def added(earlier: MediaStats, later: MediaStats) -> MediaStats:
    """The counters of two rooms as one call's: packets and octets add up, by tag.

    Quality is that of both, and what it was over time the longer one's. Everything else (address,
    jitter, payload type, silence) is the later room's.
    """
    parties = dict(earlier.parties)
    for tag, stats in later.parties.items():
        before = parties.get(tag)
        parties[tag] = stats if before is None else _both(before, stats)
    return MediaStats(parties=parties, moves=earlier.moves + later.moves)


def _both(before: PartyStats, stats: PartyStats) -> PartyStats:
    sums: dict[str, Any] = {name: getattr(before, name) + getattr(stats, name) for name in _SUMS}
    packets = before.packets_received + stats.packets_received
    share = before.packets_received / packets if packets else 0.5
    longer = max(before, stats, key=lambda each: each.packets_received)
    return replace(
        stats,
        quality=joined(before.quality, stats.quality, share),
        samples=longer.samples,
        **sums,
    )
