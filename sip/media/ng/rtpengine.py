"""The client of rtpengine (10.5 and later): what it does beside relaying, and how it tells.

- It plays files itself (`play media`) and says beforehand how long that takes. It mixes nothing,
  so that the other side is blocked meanwhile.
- It tells keys in datagrams to an address that it is started with, ``--dtmf-log-dest=HOST:PORT``.
  Without it, it tells none, and the client declares no DIGITS.
- It tells no silence. The client asks for the counters of each call now and then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog

from sip.clock import Clock, LoopClock, Timer
from sip.core.info_keys import KEYS
from sip.media.events import Digit, Heard, Lost, MediaEvent, OneWay, Played, Silent
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.client import TIMEOUT_S, NgClient, play_keys
from sip.media.ng.control_address import ControlAddress
from sip.media.ng.form import Form
from sip.media.ng.key_log import KeyLog
from sip.media.ng.reports import may_send_of, stats_of
from sip.media.plane import (
    SILENCE_S,
    Capability,
    MediaError,
    MediaStats,
    PartyStats,
    Playable,
    RingbackTone,
    call_sid_of,
)
from sip.media.ringback import ringback
from sip.media.silence import Change, Look, Silences, Sound
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling

log = structlog.get_logger(__name__)

#: Calls that are looked at in a second: of more, silences are told later.
LOOKS_PER_S: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpengineOptions:
    """How it was started, and how it is watched.

    `key_log` listens where its ``--dtmf-log-dest`` points. `silence_s` is the silence that counts
    as one, None to tell none; `poll_s` the seconds between two looks, at most `LOOKS_PER_S` calls a
    second.
    """

    key_log: KeyLog = field(default_factory=KeyLog)
    silence_s: float | None = SILENCE_S
    poll_s: float = 0.6


@dataclass(slots=True)
class _Play:
    """What is played to one party, and which party that silences."""

    play_id: int
    timer: Timer
    blocked: str | None


@dataclass(slots=True)
class _Watched:
    """A call's counters as they were last seen, and the times at which they rose."""

    silences: Silences
    looked_at: float
    packets: dict[str, int] = field(default_factory=dict)
    heard_at: dict[str, float] = field(default_factory=dict)


class RtpengineClient(NgClient):
    """Made by `connect`; close it with `close`."""

    def __init__(
        self, clock: Clock, timeout_s: float, form: Form, options: RtpengineOptions
    ) -> None:
        super().__init__(clock, timeout_s, form)
        self._options = options
        #: the other side of each party: by call, then by the party's tag
        self._peers: dict[str, dict[str, str]] = {}
        self._plays: dict[tuple[str, str], _Play] = {}
        self._watched: dict[str, _Watched] = {}
        self._next_look: Timer | None = None
        self._work: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        address: ControlAddress,
        *,
        clock: Clock | None = None,
        timeout_s: float = TIMEOUT_S,
        form: Form = Form.BENCODE,
        options: RtpengineOptions | None = None,
    ) -> RtpengineClient:
        """See `NgClient.connect`."""
        client = cls(clock or LoopClock(), timeout_s, form, options or RtpengineOptions())
        await client.retarget(address)
        client._options.key_log.add(client.key_logged)
        return client

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `MediaPlane.capabilities`."""
        has = {Capability.PLAY, Capability.WITHHOLD, Capability.SUBSCRIBE}
        if self._options.key_log.listens:
            has.add(Capability.DIGITS)
        if self._options.silence_s is not None:
            has.add(Capability.SILENCE)
        return frozenset(has)

    def _sdp_keys(
        self,
        sdp: str,
        media_address: str | None,
        received_from: Signalling | None,
        sender: MediaTerms,
        reader: MediaTerms,
    ) -> dict[str, Encodable]:
        """One on another host is told to peers by the address that it has there."""
        here = media_address if _is_here(self.address) else None
        return super()._sdp_keys(sdp, here, received_from, sender, reader)

    async def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        sdp: str,
        *,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """See `MediaPlane.answer`."""
        told = await super().answer(
            call_id,
            from_tag,
            to_tag,
            sdp,
            media_address=media_address,
            received_from=received_from,
            sender=sender,
            reader=reader,
        )
        self._watch(call_id)
        for tag, peer in ((from_tag, to_tag), (to_tag, from_tag)):
            self._peers.setdefault(call_id, {})[tag] = peer
            play = self._plays.get((call_id, tag))
            if play is not None and play.blocked != peer:  # another party came meanwhile
                play.blocked = await self._block(call_id, peer)
        return told

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        """See `MediaPlane.play`."""
        if isinstance(sound, RingbackTone):
            sound = ringback(sound.country).wav()
        keys = {"call-id": call_id, "from-tag": tag, **play_keys(sound, times)}
        try:
            reply = await self.request("play media", keys)
        except MediaError as error:
            if "Failed to start media playback" in error.text:
                raise MediaError("bad-audio", error.text) from None
            raise
        duration = reply.get("duration")
        if not isinstance(duration, int):
            raise MediaError("refused", "rtpengine does not say how long it plays")
        before = self._plays.pop((call_id, tag), None)
        timer = self._clock.call_later(times * duration / 1000, self._finished, call_id, tag)
        play = self._plays[call_id, tag] = _Play(play_id, timer, before.blocked if before else None)
        if before is not None:
            before.timer.cancel()
            self._tell_played(call_id, tag, before, finished=False)
        peer = self._peers.get(call_id, {}).get(tag)
        if peer is not None and play.blocked != peer:
            play.blocked = await self._block(call_id, peer)

    async def stop_play(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.stop_play`."""
        play = self._plays.pop((call_id, tag), None)
        if play is None:
            return
        play.timer.cancel()
        await self.request("stop media", {"call-id": call_id, "from-tag": tag})
        await self._unblock(call_id, play)
        self._tell_played(call_id, tag, play, finished=False)

    async def close(self) -> None:
        """See `MediaPlane.close`."""
        await super().close()
        self._options.key_log.remove(self.key_logged)
        if self._next_look is not None:
            self._next_look.cancel()
        for call_id in {call_id for call_id, _ in self._plays}:
            self._forget(call_id)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def delete(self, call_id: str) -> MediaStats:
        """See `MediaPlane.delete`."""
        watched = self._watched.get(call_id)
        return self._with_one_way(await super().delete(call_id), watched)

    async def query(self, call_id: str) -> MediaStats:
        """See `MediaPlane.query`."""
        return self._with_one_way(await super().query(call_id), self._watched.get(call_id))

    def _with_one_way(self, stats: MediaStats, watched: _Watched | None) -> MediaStats:
        """With what we ourselves saw of silences."""
        if watched is None:
            return stats
        now = self._clock.now()
        parties: dict[str, PartyStats] = {}
        for tag, party in stats.parties.items():
            one_way_s = watched.silences.one_way_s(tag, now)
            parties[tag] = replace(party, quality=replace(party.quality, one_way_s=one_way_s))
        return MediaStats(parties=parties)

    def _forget(self, call_id: str) -> None:
        super()._forget(call_id)
        self._watched.pop(call_id, None)
        for key in [key for key in self._plays if key[0] == call_id]:
            self._plays.pop(key).timer.cancel()
        self._peers.pop(call_id, None)

    # playing

    def _finished(self, call_id: str, tag: str) -> None:
        play = self._plays.pop((call_id, tag))
        self._spawn(self._end(call_id, tag, play))

    async def _end(self, call_id: str, tag: str, play: _Play) -> None:
        await self._unblock(call_id, play)
        self._tell_played(call_id, tag, play, finished=True)

    async def _block(self, call_id: str, tag: str) -> str | None:
        """Withholds what `tag` says; None if that fails, and both are heard at once."""
        try:
            await self.request("block media", {"call-id": call_id, "from-tag": tag})
        except MediaError as error:
            log.warning(
                "rtpengine.block-failed", call_sid=call_sid_of(call_id), leg=tag, error=str(error)
            )
            return None
        return tag

    async def _unblock(self, call_id: str, play: _Play) -> None:
        if play.blocked is None:
            return
        try:
            await self.request("unblock media", {"call-id": call_id, "from-tag": play.blocked})
        except MediaError as error:
            log.warning(
                "rtpengine.unblock-failed",
                call_sid=call_sid_of(call_id),
                leg=play.blocked,
                error=str(error),
            )

    def _tell_played(self, call_id: str, tag: str, play: _Play, *, finished: bool) -> None:
        now = self._clock.now()
        self._tell(call_id, Played(party=tag, play_id=play.play_id, finished=finished, at=now))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # keys

    def key_logged(self, datagram: bytes) -> None:
        """A line of rtpengine's DTMF log: a JSON object."""
        try:
            entry = json.loads(datagram)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or entry.get("type") != "DTMF":
            log.warning("rtpengine.dtmf-unreadable", entry=datagram[:200])
            return
        call_id, tag, number = entry.get("callid"), entry.get("source_tag"), entry.get("event")
        duration = entry.get("duration")
        if not (isinstance(call_id, str) and isinstance(tag, str) and isinstance(number, int)):
            log.warning("rtpengine.dtmf-incomplete", entry=entry)
        elif 0 <= number < len(KEYS):
            self._tell(
                call_id,
                Digit(
                    party=tag,
                    digit=KEYS[number],
                    duration_ms=duration if isinstance(duration, int) else 0,
                    at=self._clock.now(),
                ),
            )

    # silence

    def _watch(self, call_id: str) -> None:
        """Looks at a call from now on, if it has a listener."""
        silence_s = self._options.silence_s
        if silence_s is None or call_id not in self._listeners or call_id in self._watched:
            return
        self._watched[call_id] = _Watched(Silences(silence_s), self._clock.now())
        if self._next_look is None:
            self._next_look = self._clock.call_later(self._pause_s, self._look)

    @property
    def _pause_s(self) -> float:
        return max(self._options.poll_s, len(self._watched) / LOOKS_PER_S)

    def _look(self) -> None:
        self._next_look = None
        if self._watched:
            self._spawn(self._look_at_all())

    async def _look_at_all(self) -> None:
        for call_id, watched in list(self._watched.items()):
            try:
                reply = await self.request("query", {"call-id": call_id})
            except MediaError as error:
                if error.slug == "unknown-call" and self._watched.pop(call_id, None) is not None:
                    self._tell(call_id, Lost(at=self._clock.now()))
                continue
            if call_id in self._watched:
                for change in _changes(watched, reply, self._clock.now()):
                    self._tell(call_id, _event(change, self._clock.now()))
        if self._watched and self._next_look is None:
            self._next_look = self._clock.call_later(self._pause_s, self._look)


def _is_here(control: ControlAddress) -> bool:
    """Whether an engine is on our own host, by where its control is."""
    if isinstance(control, Path):
        return True
    try:
        return ip_address(control[0]).is_loopback
    except ValueError:
        return control[0] == "localhost"


def _changes(watched: _Watched, reply: Mapping[str, Decoded], now: float) -> list[Change]:
    """What changed since the last look.

    A party whose counter rose was heard between the two, for all that is known in the middle.
    """
    may_send = may_send_of(reply)
    looks: dict[str, Look] = {}
    for tag, party in stats_of(reply, 0.0).parties.items():
        if party.packets_received > watched.packets.get(tag, 0):
            watched.packets[tag] = party.packets_received
            watched.heard_at[tag] = (watched.looked_at + now) / 2
        looks[tag] = Look(tag in may_send, watched.heard_at.get(tag))
    watched.looked_at = now
    return watched.silences.look(looks, now)


def _event(change: Change, now: float) -> MediaEvent:
    match change.sound:
        case Sound.SILENT:
            return Silent(party=change.tag, since_s=change.since_s, at=now)
        case Sound.ONE_WAY:
            return OneWay(party=change.tag, since_s=change.since_s, at=now)
        case Sound.HEARD:
            return Heard(party=change.tag, at=now)
