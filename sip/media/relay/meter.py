"""How good a party's leg is: its stream measured, its RTCP read and, where needed, written."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Protocol

from sip.core.sdp import Media
from sip.media import emodel
from sip.media.emodel import G711
from sip.media.ng.bencode import Encodable
from sip.media.relay.endpoint import RtpEndpoint
from sip.media.relay.grades import graded
from sip.media.relay.loudness import Loudness
from sip.media.relay.measuring import LOOK_S, Measuring
from sip.media.relay.rtcp_endpoint import RtcpEndpoint
from sip.media.relay.timers import Timer, Timers
from sip.media.rtcp import VoipMetrics


class Meter:
    """One party's."""

    __slots__ = (
        "_grades",
        "_measuring",
        "_over",
        "_rtcp",
        "_rtp",
        "_silenced",
        "loudness",
        "one_way_s",
    )

    def __init__(self, rtp: RtpEndpoint, rtcp: RtcpEndpoint, now: float) -> None:
        self._rtp = rtp
        self._rtcp = rtcp
        self._measuring = Measuring(rtp.stream, now)
        #: Whether it asked for our grades of what it says, and for no RTCP at all.
        self._grades = self._silenced = False
        #: Of what it says, where that is decoded.
        self.loudness = Loudness()
        self._over = False
        #: Seconds for which it should have been heard and was not.
        self.one_way_s = 0.0

    def described(self, audio: Media | None) -> None:
        """Another description of the party's is in force.

        ``a=rtcp-xr:voip-metrics`` asks for our grades (RFC 3611 5.1), ``b=RS:0`` with ``b=RR:0``
        for no RTCP (RFC 3556 2).
        """
        offered = "" if audio is None else audio.attribute("rtcp-xr") or ""
        self._grades = "voip-metrics" in offered
        other = () if audio is None else audio.other
        self._silenced = {("b", "RS:0"), ("b", "RR:0")} <= set(other)

    def look(self, now: float) -> bool:
        """To be called each second; true if `sample` is to be called, too."""
        rtcp = self._rtcp
        if now >= rtcp.reporter.due and rtcp.remote is not None and not self._silenced:
            grades = self._graded() if self._grades else None
            report = rtcp.reporter.due_report(self._rtp.stream, self._rtp.outlet, now, grades)
            if report is not None:
                rtcp.send(report)
        return self._measuring.look(now)

    def _graded(self) -> VoipMetrics | None:
        trip_s = self._rtcp.reporter.round_trip.last_s
        return graded(self._rtp.stream, trip_s, self._measuring.mos_avg)

    def sample(self, codec: str, now: float) -> None:
        """Judges the last interval. `codec` is what the party speaks, by its name in SDP."""
        judged = emodel.CODECS.get(codec, G711)
        self._measuring.sample(now, codec=judged, round_trip_ms=self._round_trip_ms)

    def end(self, codec: str, now: float) -> None:
        """The party leaves: it is told so, where it was told anything. Only once."""
        if self._over:
            return
        self._over = True
        self._rtp.stream.end()
        judged = emodel.CODECS.get(codec, G711)
        self._measuring.close(now, codec=judged, round_trip_ms=self._round_trip_ms)
        if self._silenced:
            return
        bye = self._rtcp.reporter.bye(self._rtp.stream, self._rtp.outlet.audio(now), now)
        if bye is not None:
            self._rtcp.send(bye)

    def stats(self, now: float) -> dict[str, Encodable]:
        """Whole numbers for a reply; what is not known is left out."""
        measuring, reporter = self._measuring, self._rtcp.reporter
        losses = self._rtp.stream.losses
        trip = reporter.round_trip
        told: dict[str, Encodable] = {
            "expected": self._rtp.stream.expected,
            "reordered": losses.reordered,
            "late": losses.late,
            "duplicates": losses.duplicates,
            "bursts": losses.bursts,
            "burst packets": losses.burst_packets,
            "burst lost": losses.burst_lost,
            "one-way ms": round(self.one_way_s * 1000),
        }
        known = (
            ("jitter average us", measuring.jitter_avg_ms, 1000),
            ("jitter maximum us", measuring.jitter_max_ms or None, 1000),
            ("round-trip time us", trip.avg_s, 1e6),
            ("round-trip time maximum us", trip.max_s, 1e6),
            ("average MOS", measuring.mos_avg, 1000),
            ("lowest MOS", measuring.mos_min, 1000),
            ("clock drift ppb", measuring.clock_drift_ppm, 1000),
            ("heard loss ppm", reporter.heard_loss, 1e6),
            ("heard jitter us", reporter.heard_jitter_ms, 1000),
            ("heard MOS", reporter.heard_mos, 1000),
            ("clipped ppm", self.loudness.clipped, 1e6),
            ("quiet ppm", self.loudness.quiet, 1e6),
        )
        told |= {name: round(value * scale) for name, value, scale in known if value is not None}
        if len(measuring.samples):
            told["samples"] = {
                "age ms": round(measuring.began_s_ago(now) * 1000),
                "interval ms": round(measuring.samples.every_s * 1000),
                "columns": [list(column) for column in measuring.samples.columns()],
            }
        return told

    @property
    def _round_trip_ms(self) -> float | None:
        last_s = self._rtcp.reporter.round_trip.last_s
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
        rng: random.Random,
        now: float,
    ) -> None:
        self._parties = parties
        self._timers = timers
        # Calls that began together are not all looked at together.
        self._timer: Timer = timers.at(now + LOOK_S * rng.uniform(0.5, 1.0), self._look)

    def close(self) -> None:
        """The call is over."""
        self._timer.cancel()

    def _look(self, now: float) -> None:
        # Began anew from now: what a loop that was held up missed cannot be seen any more.
        self._timer = self._timers.at(now + LOOK_S, self._look)
        for party in self._parties():
            party.look(now)
