"""The media engine of a room is gone: its legs hear of another by re-INVITE (RFC 3261 14).

Legs that talk, wait or are alone move at once. A leg that rings cannot be told yet: it moves when
it answers (`Ringing`). Where there is no media to be had, or a peer refuses, the call ends.
"""

from typing import Protocol

import structlog

from sip.b2bua.activities.idle import hold
from sip.b2bua.activities.playing import Playing
from sip.b2bua.activities.ringing import Ringing
from sip.b2bua.activities.talking import Talking
from sip.b2bua.activities.waiting import Waiting
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Room
from sip.media.plane import MediaError

log = structlog.get_logger(__name__)

#: What peers are told of a call that ends because its media could not move (RFC 3326).
NO_MEDIA: Headers = (("Reason", 'SIP;cause=503;text="Media Engine Lost"'),)


class HangUp(Protocol):
    """How a call is ended (`Call.hangup`)."""

    def __call__(self, headers: Headers = (), cause: Cause | None = None) -> None: ...


class Moving:
    """What a call does about rooms that its engine lost."""

    def __init__(self, call: Hub, hang_up: HangUp) -> None:
        self._call = call
        self._hang_up = hang_up

    def lost(self, room: Room) -> None:
        """Bring everybody in `room` to another engine."""
        call = self._call
        call.recording.lost(room)
        call.detections.lost(room)
        for playing in call.running(Playing):
            if playing.room is room:
                playing.lost()
        bridges: list[tuple[Bridge, bool]] = [(one.bridge, True) for one in call.running(Talking)]
        bridges += [(one.bridge, False) for one in call.running(Waiting)]
        here = [(bridge, talks) for bridge, talks in bridges if bridge.seat.room is room]
        for bridge, talks in here:
            self._move(bridge, talks=talks)
        if here or any(ringing.room is room for ringing in call.running(Ringing)):
            return
        for leg in call.rooms.seated(room):
            if leg.up:
                call.errands.add(self._hold_anew, leg)

    def _move(self, bridge: Bridge, *, talks: bool) -> None:
        for leg in (bridge.guest, bridge.host) if talks else (bridge.guest,):
            if not leg.takes_reinvites:  # then the other need not be troubled
                self._moved(leg, 488)
                return
        bridge.rebuild(self._moved, host=talks)

    async def _hold_anew(self, leg: Leg) -> None:
        """A leg that talks to no other hears silence, and may be heard, from another engine."""
        try:
            answer, status = await self._call.ask(leg, await hold(self._call, leg, leg.remote_sdp))
        except MediaError:
            self._moved(None, 503)
            return
        self._moved(leg if answer is None else None, 0 if answer is not None else status)
        await self._call.rooms.close_empty()

    def _moved(self, refusing: Leg | None, status: int) -> None:
        """What came of it; a leg that is gone meanwhile ends its call by itself."""
        ids = {"call_sid": self._call.call_sid}
        if not status:
            log.info("media.moved", **ids)
            self._call.recording.moved()
            self._call.reseated(self._call.legs)
            return
        if refusing is None:
            log.error("media.not-moved", reason="no engine takes the call", **ids)
            self._hang_up(NO_MEDIA, Cause.MEDIA)
        elif not refusing.gone:
            name = self._call.name_of(refusing)
            reason = (
                f"the peer refuses the re-INVITE with {status}"
                if refusing.takes_reinvites
                else "the peer takes no re-INVITE: media.reinvite of its trunk"
            )
            log.error("media.not-moved", leg=name, status=status, reason=reason, **ids)
            self._hang_up(NO_MEDIA, Cause.MEDIA_NOT_MOVED)
