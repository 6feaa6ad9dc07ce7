"""The keys (DTMF) of a call's legs: each told once, in whichever form it came, and sent on.

What a leg presses in its media, the media engine tells, and has sent on already where the other
leg has keys in its media as well. Keys that come by signalling, or must go by it, cross here.

Some peers send each key twice, as an event and by INFO. A leg of which that is not known yet waits
for a second with the first key that came by INFO alone. Keys are secrets: they are counted, and
stand in no log.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Protocol

import structlog

from sip.b2bua.call_events import Event, Pressed
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Rooms, Seat
from sip.b2bua.work import Work
from sip.clock import Clock, Timer
from sip.media.events import Digit
from sip.media.plane import Capability, MediaError, MediaStats
from sip.media.terms import KeyForm

log = structlog.get_logger(__name__)

#: Seconds within which the same key in both forms is one.
DOUBT_S: Final = 1.0

#: Keys of a leg's media that are remembered for that long, and keys by INFO that wait: more than
#: anybody presses in a second.
_MAX_KEYS: Final = 32


class KeyCall(Protocol):
    """The call that the legs are of."""

    legs: dict[str, Leg]
    rooms: Rooms
    errands: Work

    def partner(self, name: str) -> str | None:
        """The leg that `name` is joined to."""
        ...

    def handle(self, leg: Leg, event: Event) -> None:
        """What a leg tells."""
        ...


class _Habit(Enum):
    """What is known of a leg that has keys in its media and sends some by INFO."""

    UNKNOWN = "unknown"
    BOTH = "both"
    """each in both forms: those by INFO are left out"""
    INFO_ALONE = "info alone"


@dataclass(slots=True)
class _Count:
    received: int = 0
    sent: int = 0


@dataclass(slots=True)
class _LegKeys:
    """One leg's keys: how many, and what is needed to tell each once."""

    count: _Count = field(default_factory=_Count)
    habit: _Habit = _Habit.UNKNOWN
    #: the newest of its media, with their times
    heard: deque[tuple[str, float]] = field(default_factory=lambda: deque(maxlen=_MAX_KEYS))
    #: those by INFO that may come in its media as well
    waiting: deque[tuple[Pressed, Timer]] = field(default_factory=deque)


class Keys:
    """The keys of one call, which is named each time: it is let go as soon as it is over."""

    __slots__ = ("_call_sid", "_clock", "_counts", "_legs")

    def __init__(self, call_sid: str, clock: Clock) -> None:
        self._call_sid = call_sid
        self._clock = clock
        self._legs: dict[str, _LegKeys] = {}
        #: by the tag that a leg has in the media
        self._counts: dict[str, _Count] = {}

    def on(self, call: KeyCall, name: str, leg: Leg, event: Digit | Pressed) -> Digit | None:
        """A key of a leg: as the call is told of it, None where it is not to be."""
        keys = self._legs.setdefault(name, _LegKeys())
        if isinstance(event, Pressed):
            if not self._believed(call, keys, leg, event):
                return None
            digit = Digit(party=name, digit=event.key, duration_ms=event.duration_ms, at=event.at)
        elif leg.keys.wish.by_info:
            return None
        else:
            self._heard(keys, event)
            digit = event
        keys.count.received += 1
        self._of_media(call, leg).received += 1
        self._send_on(call, name, leg, digit, by_media=isinstance(event, Digit))
        return digit

    async def press(self, call: KeyCall, name: str, key: str, duration_ms: int) -> None:
        """Send a leg's peer a key of ours. Raises MediaError where it cannot be sent."""
        leg = call.legs.get(name)
        seat = call.rooms.seat(leg) if leg is not None else None
        if leg is None or seat is None:
            raise MediaError("refused", "the leg has no media to send keys to")
        if leg.keys.form.by_info:
            if not leg.keys.press(key, duration_ms):
                raise MediaError("refused", "the leg is not up, or too many keys wait")
        else:
            await seat.room.media.press(_facing(call, name, seat), key, duration_ms)
        self._sent(call, name, leg)

    def forget(self, name: str) -> None:
        """The leg is over."""
        keys = self._legs.pop(name, None)
        if keys is None:
            return
        for _, timer in keys.waiting:
            timer.cancel()
        received, sent = keys.count.received, keys.count.sent
        if received or sent:
            log.info(
                "keys.counted",
                call_sid=self._call_sid,
                leg=name,
                received=received,
                sent=sent,
            )

    def counted(self, stats: MediaStats | None) -> MediaStats | None:
        """The media's counters with those of the keys."""
        if stats is None or not self._counts:
            return stats
        parties = dict(stats.parties)
        for tag, count in self._counts.items():
            if tag in parties:
                parties[tag] = replace(
                    parties[tag], keys_received=count.received, keys_sent=count.sent
                )
        return MediaStats(parties=parties)

    # in which form it came

    def _believed(self, call: KeyCall, keys: _LegKeys, leg: Leg, event: Pressed) -> bool:
        """Whether a key by INFO counts; it may come again when it is known whether it does."""
        wish = leg.keys.wish
        if wish is not KeyForm.AUTO or leg.keys.form.by_info:
            return wish is KeyForm.AUTO or wish.by_info
        if keys.habit is not _Habit.UNKNOWN:
            return keys.habit is _Habit.INFO_ALONE
        since = event.at - DOUBT_S
        if any(key == event.key and at >= since for key, at in keys.heard):
            self._sends_both(keys)
        elif len(keys.waiting) < _MAX_KEYS:
            timer = self._clock.call_later(DOUBT_S, self._sure, call, keys, leg)
            keys.waiting.append((event, timer))
        return False

    def _heard(self, keys: _LegKeys, digit: Digit) -> None:
        """A key came in the media."""
        keys.heard.append((digit.digit, digit.at))
        if any(event.key == digit.digit for event, _ in keys.waiting):
            self._sends_both(keys)

    @staticmethod
    def _sends_both(keys: _LegKeys) -> None:
        keys.habit = _Habit.BOTH
        for _, timer in keys.waiting:
            timer.cancel()
        keys.waiting.clear()

    def _sure(self, call: KeyCall, keys: _LegKeys, leg: Leg) -> None:
        """The first key that waits did not come in the media."""
        keys.habit = _Habit.INFO_ALONE
        waiting = list(keys.waiting)
        keys.waiting.clear()
        for event, timer in waiting:
            timer.cancel()
            call.handle(leg, event)

    # to the other leg

    def _send_on(self, call: KeyCall, name: str, leg: Leg, digit: Digit, *, by_media: bool) -> None:
        partner = call.partner(name)
        other = call.legs.get(partner) if partner is not None else None
        if partner is None or other is None:
            return
        form = other.keys.form
        if form.by_info:
            if other.keys.press(digit.digit, digit.duration_ms):
                self._sent(call, partner, other)
        elif by_media:
            seat = call.rooms.seat(leg)
            if seat is not None and (form is KeyForm.EVENTS or _converts(seat.room.media)):
                self._sent(call, partner, other)
        else:
            call.errands.add(self._press, call, leg, partner, other, digit)

    async def _press(self, call: KeyCall, leg: Leg, partner: str, other: Leg, digit: Digit) -> None:
        seat = call.rooms.seat(leg)
        if seat is None:
            return
        try:
            await seat.room.media.press(seat.tag, digit.digit, digit.duration_ms)
        except MediaError as error:
            log.warning("keys.unsent", call_sid=self._call_sid, leg=partner, reason=str(error))
            return
        self._sent(call, partner, other)

    def _sent(self, call: KeyCall, name: str, leg: Leg) -> None:
        self._legs.setdefault(name, _LegKeys()).count.sent += 1
        self._of_media(call, leg).sent += 1

    def _of_media(self, call: KeyCall, leg: Leg) -> _Count:
        seat = call.rooms.seat(leg)
        return self._counts.setdefault(seat.tag if seat is not None else "", _Count())


def _facing(call: KeyCall, name: str, seat: Seat) -> str:
    """The tag of whom a leg hears: the other leg in its room, or nobody's."""
    partner = call.partner(name)
    other = call.rooms.seat(call.legs[partner]) if partner in call.legs else None
    if other is not None and other.room is seat.room:
        return other.tag
    return seat.room.media.facing(seat.tag)


class _Media(Protocol):
    @property
    def capabilities(self) -> frozenset[Capability]: ...


def _converts(media: _Media) -> bool:
    return Capability.KEYS in media.capabilities
