"""How good a party's leg is: its stream measured, its RTCP read and, where needed, written."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from sip.core.sdp import Media
from sip.media import emodel
from sip.media.emodel import G711
from sip.media.ng.bencode import Encodable
from sip.media.relay.grades import graded
from sip.media.relay.loudness import Loudness
from sip.media.relay.measuring import LOOK_S, Measuring
from sip.media.relay.rtcp_endpoint import RtcpEndpoint
from sip.media.relay.rtp_endpoint import RtpEndpoint
from sip.media.relay.timers import Timer, Timers
from sip.media.rtcp import VoipMetrics

#: The lines by which a party wants no RTCP (RFC 3556 2).
_NO_RTCP: Final = frozenset({("b", "RS:0"), ("b", "RR:0")})


class Meter:
    """One party's."""

    __slots__ = (
        "_grades",
        "_loudness",
        "_measuring",
        "_over",
        "_rtcp",
        "_rtp",
        "_silenced",
        "_since",
        "one_way_s",
    )

    def __init__(self, rtp: RtpEndpoint, rtcp: RtcpEndpoint, now: float) -> None:
        self._rtp = rtp
        self._rtcp = rtcp
        #: Made when the party is first looked at, and was heard; its time begins at `_since`.
        self._measuring: Measuring | None = None
        self._since = now
        #: Whether it asked for our grades of what it says, and for no RTCP at all.
        self._grades = self._silenced = False
        self._loudness: Loudness | None = None
        self._over = False
        #: Seconds for which it should have been heard and was not.
        self.one_way_s = 0.0

    @property
    def loudness(self) -> Loudness:
        """Of what it says, where that is decoded."""
        if self._loudness is None:
            self._loudness = Loudness()
        return self._loudness

    def described(self, audio: Media | None) -> None:
        """Another description of the party's is in force.

        ``a=rtcp-xr:voip-metrics`` asks for our grades (RFC 3611 5.1), ``b=RS:0`` with ``b=RR:0``
        for no RTCP (RFC 3556 2).
        """
        offered = "" if audio is None else audio.attribute("rtcp-xr") or ""
        self._grades = "voip-metrics" in offered
        self._silenced = audio is not None and _NO_RTCP.issubset(audio.other)

    def look(self, now: float) -> bool:
        """To be called each second; true if `sample` is to be called, too."""
        rtcp = self._rtcp
        reporter = rtcp.reporting()
        if now >= reporter.due and rtcp.remote is not None and not self._silenced:
            grades = self._graded() if self._grades else None
            report = reporter.due_report(self._rtp.stream, self._rtp.outlet, now, grades)
            if report is not None:
                rtcp.send(report)
        if self._rtp.stream.heard_at is None:  # its time begins when it first speaks
            self._since = now
            return False
        return self._measured().look(now)

    def _measured(self) -> Measuring:
        if self._measuring is None:
            self._measuring = Measuring(self._rtp.stream, self._since)
        return self._measuring

    def _graded(self) -> VoipMetrics | None:
        mos = None if self._measuring is None else self._measuring.mos_avg
        return graded(self._rtp.stream, self._round_trip_s, mos)

    def sample(self, codec: str, now: float) -> None:
        """Judges the last interval. `codec` is what the party speaks, by its name in SDP."""
        judged = emodel.CODECS.get(codec, G711)
        self._measured().sample(now, codec=judged, round_trip_ms=self._round_trip_ms)

    def end(self, codec: str, now: float) -> None:
        """The party leaves: it is told so, where it was told anything. Only once."""
        if self._over:
            return
        self._over = True
        stream, reporter = self._rtp.stream, self._rtcp.reporter
        stream.end()
        if stream.heard_at is not None:
            judged = emodel.CODECS.get(codec, G711)
            self._measured().close(now, codec=judged, round_trip_ms=self._round_trip_ms)
        if self._silenced or reporter is None:
            return
        bye = reporter.bye(stream, self._rtp.outlet.audio(now), now)
        if bye is not None:
            self._rtcp.send(bye)

    def stats(self, now: float) -> dict[str, Encodable]:
        """Whole numbers for a reply; what is not known is left out."""
        known = self._known()
        told: dict[str, Encodable] = {
            name: round(value * scale) for name, value, scale in known if value is not None
        }
        measuring = self._measuring
        if measuring is not None and len(measuring.samples):
            told["samples"] = {
                "age ms": round(measuring.began_s_ago(now) * 1000),
                "interval ms": round(measuring.samples.every_s * 1000),
                "columns": [list(column) for column in measuring.samples.columns()],
            }
        return told

    def _known(self) -> Iterator[tuple[str, float | None, float]]:
        """What may be known, by whom it is: name, value, and how many make one of its unit."""
        yield "one-way ms", self.one_way_s or None, 1000
        measuring, reporter, loudness = self._measuring, self._rtcp.reporter, self._loudness
        if measuring is not None:
            yield "jitter average us", measuring.jitter_avg_ms, 1000
            yield "jitter maximum us", measuring.jitter_max_ms or None, 1000
            yield "average MOS", measuring.mos_avg, 1000
            yield "lowest MOS", measuring.mos_min, 1000
            yield "clock drift ppb", measuring.clock_drift_ppm, 1000
        if reporter is not None:
            yield "round-trip time us", reporter.round_trip.avg_s, 1e6
            yield "round-trip time maximum us", reporter.round_trip.max_s, 1e6
            yield "heard loss ppm", reporter.heard_loss, 1e6
            yield "heard jitter us", reporter.heard_jitter_ms, 1000
            yield "heard MOS", reporter.heard_mos, 1000
        if loudness is not None:
            yield "clipped ppm", loudness.clipped, 1e6
            yield "quiet ppm", loudness.quiet, 1e6

    @property
    def _round_trip_s(self) -> float | None:
        reporter = self._rtcp.reporter
        return None if reporter is None else reporter.round_trip.last_s

    @property
    def _round_trip_ms(self) -> float | None:
        last_s = self._round_trip_s
        return None if last_s is None else last_s * 1000


class Watched(Protocol):
    """A party of a call."""

    def look(self, now: float) -> None:
        """To be called each second."""
        ...


class Watch:
    """Looks at the parties of a call each second, from now on until it is closed."""

    __slots__ = ("_parties", "_timer", "_timers")

    def __init__(
        self,
        parties: Callable[[], Iterable[Watched]],
        timers: Timers,
        jitter: random.Random,
        now: float,
    ) -> None:
        self._parties = parties
        self._timers = timers
        # Calls that began together are not all looked at together.
        wait_s = LOOK_S * (0.5 + 0.5 * jitter.random())
        self._timer: Timer = timers.at(now + wait_s, self._look)

    def close(self) -> None:
        """The call is over."""
        self._timer.cancel()

    def _look(self, now: float) -> None:
        # Began anew from now: what a loop that was held up missed cannot be seen any more.
        self._timer = self._timers.at(now + LOOK_S, self._look)
        for party in self._parties():
            party.look(now)
