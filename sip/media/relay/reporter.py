"""RTCP between us and one party: what it says is read, and where nobody else does, we report.

What its other side reports passes to the party as it came, as long as the party hears the other
side's stream as it came. Else, and where the other side reports nothing, we do, in the name of the
stream that the party hears.
"""

from __future__ import annotations

import random
from typing import Final

from sip.media import rtcp
from sip.media.relay.outlet import Audio, Outlet
from sip.media.relay.round_trip import UNITS, RoundTrip
from sip.media.relay.rtp import RtpStream
from sip.media.rtcp import (
    Block,
    Bye,
    Echo,
    Echoes,
    ExtendedReport,
    Extension,
    Names,
    Packet,
    ReceiverReport,
    ReceiverTime,
    RtcpError,
    SenderReport,
    VoipMetrics,
)

#: RFC 3550 6.2, 6.3.1: seconds between reports, of which each interval is 0.5 to 1.5 at random,
#: and what makes up for the reconsideration of timers, which we do not do either.
INTERVAL_S: Final = 5.0
_COMPENSATION: Final = 1.21828

#: Where the other side may report, it is waited for: a longest interval, and what a way takes.
PATIENCE_S: Final = 6.5

#: RFC 3611 4.7: grades that are not known.
_UNKNOWN: Final = 127


class _Mean:
    """A mean of what a party reports."""

    __slots__ = ("_count", "_sum")

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        self._sum += value
        self._count += 1

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count else None


class Reporter:
    """The RTCP of one party. Times are monotonic seconds."""

    __slots__ = (
        "_cname",
        "_echo",
        "_expected",
        "_jitter_ms",
        "_loss",
        "_mark",
        "_mark_at",
        "_mos",
        "_name",
        "_received",
        "_rng",
        "due",
        "round_trip",
        "sent",
    )  # fmt: skip

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        #: When our next report is due; 0.0 as long as nobody has asked for one.
        self.due = 0.0
        #: Whose reports ours are: the stream's that the party last heard.
        self._name = rng.getrandbits(32)
        self._cname = f"{rng.getrandbits(64):016x}"  # RFC 7022 4.2: random, of this call alone
        self.round_trip = RoundTrip()
        #: Reports of ours that left.
        self.sent = 0
        #: Of the party's last sender report, and of its last receiver's time.
        self._mark = 0
        self._mark_at = 0.0
        self._echo: tuple[int, int, float] | None = None
        #: What was expected and received at our last report.
        self._expected = self._received = 0
        self._loss = _Mean()
        self._jitter_ms = _Mean()
        self._mos: float | None = None

    @property
    def heard_loss(self) -> float | None:
        """The part (0-1) of what it is sent that the party misses, by its own reports."""
        return self._loss.value

    @property
    def heard_jitter_ms(self) -> float | None:
        """The jitter of what the party hears, by its own reports."""
        return self._jitter_ms.value

    @property
    def heard_mos(self) -> float | None:
        """The party's own grade of what it hears (RFC 3611 4.7.5)."""
        return self._mos

    def heard(self, compound: bytes, audio: Audio | None, now: float) -> None:
        """RTCP of the party, which hears `audio`. What cannot be read tells nothing."""
        try:
            packets = rtcp.read(compound)
        except RtcpError:
            return
        for packet in packets:
            match packet:
                case SenderReport():
                    self._mark, self._mark_at = rtcp.middle(packet.ntp), now
                    self._take_blocks(packet.blocks, audio, now)
                case ReceiverReport():
                    self._take_blocks(packet.blocks, audio, now)
                case ExtendedReport():
                    self._take_extensions(packet, now)

    def passed(self, compound: bytes, now: float) -> None:
        """RTCP of the other side went to the party as it came."""
        self.due = now + PATIENCE_S
        try:
            packets = rtcp.read(compound)
        except RtcpError:
            return
        for packet in packets:
            if isinstance(packet, SenderReport):
                self.round_trip.sent(rtcp.middle(packet.ntp), now)

    def due_report(
        self, stream: RtpStream, outlet: Outlet, now: float, grades: VoipMetrics | None = None
    ) -> bytes | None:
        """Our report, once `due` is over: what the party is sent, and how its `stream` is heard.

        `grades` go along. The first time, nothing is said, and the time begins to run.
        """
        begins, instead = self.due == 0.0, outlet.forwards
        wait_s = PATIENCE_S * self._rng.uniform(0.85, 1.0) if instead else self._interval_s()
        if begins and not instead:  # RFC 3550 6.3.1: the first comes after half the time
            wait_s /= 2
        self.due = now + wait_s
        return None if begins else self._compound(stream, outlet.audio(now), now, grades)

    def _compound(
        self, stream: RtpStream, audio: Audio | None, now: float, grades: VoipMetrics | None
    ) -> bytes:
        packets = self._report(stream, audio, now)
        extensions: list[Extension] = [] if grades is None else [grades]
        if self._echo is not None:
            ssrc, mark, at = self._echo
            self._echo = None
            extensions.append(Echoes((Echo(ssrc, mark, _units(now - at)),)))
        if extensions:
            packets.append(ExtendedReport(self._name, tuple(extensions)))
        self.sent += 1
        return rtcp.write(packets)

    def bye(self, stream: RtpStream, audio: Audio | None, now: float) -> bytes | None:
        """The last word, if there was one before (RFC 3550 6.3.7)."""
        if not self.sent:
            return None
        return rtcp.write([*self._report(stream, audio, now), Bye((self._name,))])

    def _report(self, stream: RtpStream, audio: Audio | None, now: float) -> list[Packet]:
        blocks = self._blocks(stream, now)
        report: Packet
        if audio is None:
            report = ReceiverReport(self._name, blocks)
        else:
            ntp = rtcp.ntp_of(now)
            self.round_trip.sent(rtcp.middle(ntp), now)
            self._name = audio.ssrc
            report = SenderReport(
                self._name, ntp, audio.rtp_time, audio.packets, audio.payload_octets, blocks
            )
        return [report, Names(((self._name, self._cname),))]

    def _blocks(self, stream: RtpStream, now: float) -> tuple[Block, ...]:
        """RFC 3550 6.4.1, A.3: of the party's stream, if anything came of it since the last."""
        expected, received = stream.expected, stream.packets
        more, came = expected - self._expected, received - self._received
        self._expected, self._received = expected, received
        if stream.ssrc < 0 or came <= 0:
            return ()
        missing = max(0, more - came)
        return (
            Block(
                stream.ssrc,
                fraction=min(255, missing * 256 // more) if more > 0 else 0,
                lost=min(max(expected - received, -0x800000), 0x7FFFFF),
                highest=stream.highest & 0xFFFFFFFF,
                jitter=round(stream.jitter_ms / 1000 / stream.tick_s),
                last_report=self._mark,
                delay=_units(now - self._mark_at) if self._mark else 0,
            ),
        )

    def _take_blocks(self, blocks: tuple[Block, ...], audio: Audio | None, now: float) -> None:
        for block in blocks:
            if block.last_report:
                self.round_trip.echoed(block.last_report, block.delay, now)
            if audio is not None and block.ssrc == audio.ssrc:
                self._loss.add(block.fraction / 256)
                self._jitter_ms.add(block.jitter * 1000 / audio.rate_hz)

    def _take_extensions(self, report: ExtendedReport, now: float) -> None:
        for block in report.blocks:
            match block:
                case ReceiverTime():
                    self._echo = (report.ssrc, rtcp.middle(block.ntp), now)
                case VoipMetrics():
                    grade = block.mos_cq if block.mos_cq != _UNKNOWN else block.mos_lq
                    if 10 <= grade <= 50:
                        self._mos = grade / 10
                case Echoes():
                    for echo in block.echoes:
                        self.round_trip.echoed(echo.last_report, echo.delay, now)

    def _interval_s(self) -> float:
        return INTERVAL_S * (0.5 + self._rng.random()) / _COMPENSATION


def _units(seconds: float) -> int:
    return min(round(max(seconds, 0.0) * UNITS), 0xFFFFFFFF)
