"""What we make of a party's stream, as an extended report tells it to the party (RFC 3611 4.7)."""

from __future__ import annotations

from typing import Final

from sip.media import emodel
from sip.media.relay.losses import MIN_GAP
from sip.media.relay.rtp import RtpStream
from sip.media.rtcp import VoipMetrics

#: The usual length of a packet, in ms.
PACKET_MS: Final = 20

_MOST: Final = 0xFFFF


def graded(stream: RtpStream, round_trip_s: float | None, mos: float | None) -> VoipMetrics | None:
    """The whole call's figures; None of a stream of which nothing came yet."""
    expected, losses = stream.expected, stream.losses
    if stream.ssrc < 0 or expected <= 0:
        return None
    loss = losses.lost / expected
    apart = expected - losses.burst_packets
    listening = emodel.rating(loss=loss)
    heard = (
        listening if round_trip_s is None else emodel.rating(loss=loss, delay_ms=round_trip_s * 500)
    )
    return VoipMetrics(
        stream.ssrc,
        loss_rate=_part(losses.lost, expected),
        discard_rate=_part(losses.late, expected),
        burst_density=_part(losses.burst_lost, losses.burst_packets),
        gap_density=_part(losses.lost - losses.burst_lost, apart),
        burst_ms=_ms(losses.burst_packets, losses.bursts),
        gap_ms=_ms(apart, losses.bursts + 1),
        round_trip_ms=0 if round_trip_s is None else min(round(round_trip_s * 1000), _MOST),
        min_gap=MIN_GAP,
        r_factor=round(min(max(heard, 0.0), 100.0)),
        mos_lq=round(emodel.mos(listening) * 10),
        mos_cq=round((emodel.mos(heard) if mos is None else mos) * 10),
    )


def _part(count: int, of: int) -> int:
    """In 1/256."""
    return min(max(count, 0) * 256 // of, 255) if of > 0 else 0


def _ms(packets: int, periods: int) -> int:
    """The mean length of so many periods."""
    return min(max(packets, 0) * PACKET_MS // periods, _MOST) if periods > 0 else 0
