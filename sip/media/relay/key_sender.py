"""Sends keys to one party, each as one clean event (RFC 4733) or as one tone, one after another.

An event's packets come every 20 ms and have the timestamp of its beginning; the first is marked,
the last has the exact duration and is sent three times (RFC 4733 2.5.1). The party hears nothing
else meanwhile, which 2.5.1.2 allows: a receiver plays the key itself.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from sip.core.info_keys import KEYS, LEAST_MS, USUAL_MS
from sip.media.key_tones import FREQUENCIES_HZ
from sip.media.relay.dtmf import SEGMENT
from sip.media.relay.timers import Timer, Timers
from sip.media.relay.voice import Voice
from sip.media.relay.wav import FRAME_SAMPLES
from sip.media.tones import RATE_HZ, stretch

#: Seconds between two packets.
PACKET_S: Final = 0.020
#: Times that an event's end is sent.
ENDS: Final = 3

#: Milliseconds of the pause after a key where it is not said; and the seconds of the shortest one
#: that a receiver takes for one, as of the shortest key (ITU-T Q.24).
PAUSE_MS: Final = 100
LEAST_S: Final = LEAST_MS / 1000

#: Level of a key, in dB below 0 dBm0.
VOLUME: Final = 8

#: Keys that wait for the ones before; more are refused. A PIN, or a number with an extension.
MAX_WAITING: Final = 64

#: A loop that was held up sends on from now, instead of what it missed.
_MAX_LATE_S: Final = 0.1

_EVENT: Final = struct.Struct("!BBH")
_END: Final = 0x80


class KeyVoice(NamedTuple):
    """How a party takes keys as events: their payload type, and its clock."""

    payload_type: int
    rate_hz: int = RATE_HZ


class Keystroke(NamedTuple):
    """A key that is to be sent. `volume` is its level in dB below 0 dBm0."""

    key: str
    duration_s: float = USUAL_MS / 1000
    pause_s: float = PAUSE_MS / 1000
    volume: int = VOLUME


class Way(Protocol):
    """What a party hears (`outlet.Outlet`)."""

    def speak_tone(self, payload_type: int, payload: bytes, ticks: int, now: float) -> bool:
        """A packet of a key's tone."""
        ...

    def speak_key(self, payload_type: int, payload: bytes, step: int | None, now: float) -> bool:
        """A packet of a key. `step` 0 begins a key, n a segment of it that many ticks later."""
        ...

    def keying(self, keying: bool, now: float) -> None:
        """Keys are sent from now on, and nothing else; or they are all sent."""
        ...


class Held:
    """A key that is sent while its sender still holds it. All times are seconds."""

    __slots__ = ("ended_s", "heard_s", "key", "pause_s", "volume")

    def __init__(self, key: str, heard_s: float = 0.0) -> None:
        self.key = key
        #: How long it was down so far, as far as we heard: no more is sent of it.
        self.heard_s = heard_s
        self.ended_s: float | None = None
        self.pause_s = LEAST_S
        self.volume = VOLUME

    def lasts(self, heard_s: float) -> None:
        """It is still down, after so long."""
        self.heard_s = max(self.heard_s, heard_s)

    def end(self, held_s: float) -> None:
        """It is up, after so long."""
        self.ended_s = held_s


class KeySender:
    """One party's keys. `voice` is asked at the beginning of each: a re-INVITE may change it."""

    __slots__ = ("_due", "_sending", "_timer", "_timers", "_voice", "_waiting", "_way", "sent")

    def __init__(
        self, way: Way, voice: Callable[[], KeyVoice | Voice | None], timers: Timers
    ) -> None:
        self._way = way
        self._voice = voice
        self._timers = timers
        self._waiting: deque[Held] = deque()
        self._sending: _Event | _Tone | None = None
        self._timer: Timer | None = None
        self._due = 0.0
        #: Keys that were sent, to their ends.
        self.sent = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is sent, or waits."""
        return self._timer is None

    def press(self, stroke: Keystroke, now: float) -> bool:
        """Sends a key whose length is known; false if too many wait."""
        held = Held(stroke.key)
        held.end(stroke.duration_s)
        held.pause_s = stroke.pause_s
        held.volume = stroke.volume
        return self.send(held, now)

    def send(self, held: Held, now: float) -> bool:
        """Sends a key; false if too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(held)
        if self._timer is None:
            self._due = now
            self._way.keying(True, now)
            self._tick(now)
        return True

    def close(self) -> None:
        """The party is gone: no packet more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._sending = None

    def _tick(self, now: float) -> None:
        self._timer = None
        if self._sending is None:
            self._sending = self._next()
            if self._sending is None:
                self._way.keying(False, now)
                return
        wait_s = PACKET_S
        if self._sending.step(self._way, now):
            self.sent += 1
            wait_s = max(PACKET_S, self._sending.pause_s) if self._waiting else PACKET_S
            self._sending = None
        self._due = max(self._due + wait_s, now - _MAX_LATE_S)
        self._timer = self._timers.at(self._due, self._tick)

    def _next(self) -> _Event | _Tone | None:
        """The next key that the party can be sent."""
        while self._waiting:
            held = self._waiting.popleft()
            voice = self._voice()
            if voice is not None:
                return _Event(held, voice) if isinstance(voice, KeyVoice) else _Tone(held, voice)
        return None


class _Event:
    """A key as RTP packets of an event. Times are ticks of the payload type's clock."""

    __slots__ = ("_elapsed", "_ends", "_held", "_number", "_segment", "_step", "_told", "_voice")

    def __init__(self, held: Held, voice: KeyVoice) -> None:
        self._held = held
        self._voice = voice
        self._number = KEYS.index(held.key)
        #: What the next packet does to the timestamp; where its segment began.
        self._step: int | None = 0
        self._segment = 0
        self._elapsed = 0
        #: The duration that was told last.
        self._told = 0
        self._ends = ENDS

    @property
    def pause_s(self) -> float:
        """Seconds until the next key's first packet, which tells of a packet's time that is over.

        The repeated ends took their part already.
        """
        return self._held.pause_s - (ENDS - 2) * PACKET_S

    def step(self, way: Way, now: float) -> bool:
        """Sends the next packet; whether it was the last one."""
        rate_hz, held = self._voice.rate_hz, self._held
        self._elapsed += round(rate_hz * PACKET_S)
        ended = None if held.ended_s is None else max(1, round(held.ended_s * rate_hz))
        limit = round(held.heard_s * rate_hz) if ended is None else ended
        duration = max(self._told, min(self._elapsed, limit), 1)
        if duration - self._segment > SEGMENT:
            self._send(way, SEGMENT, 0, now)
            self._segment += SEGMENT
            self._step = SEGMENT
        over = ended is not None and duration >= ended
        self._told = duration
        self._send(way, duration - self._segment, _END if over else 0, now)
        self._ends -= over
        return not self._ends

    def _send(self, way: Way, duration: int, end: int, now: float) -> None:
        payload = _EVENT.pack(self._number, end | self._held.volume, duration)
        way.speak_key(self._voice.payload_type, payload, self._step, now)
        self._step = None


class _Tone:
    """A key as a tone, in whole frames."""

    __slots__ = ("_frames", "_held", "_voice")

    def __init__(self, held: Held, voice: Voice) -> None:
        self._held = held
        self._voice = voice
        self._frames = 0

    @property
    def pause_s(self) -> float:
        """Seconds until the next key."""
        return self._held.pause_s

    def step(self, way: Way, now: float) -> bool:
        """Sends the next frame; whether it was the last one."""
        held = self._held
        pcm = stretch(
            FREQUENCIES_HZ[held.key],
            self._frames * FRAME_SAMPLES,
            FRAME_SAMPLES,
            level_dbm0=-held.volume,
        )
        self._frames += 1
        way.speak_tone(*self._voice.says_pcm(pcm), now)
        limit_s = held.ended_s
        return limit_s is not None and self._frames * PACKET_S >= limit_s - 1e-9
