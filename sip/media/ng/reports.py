"""The counters of a query or delete reply, ours or rtpengine's, as `MediaStats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sip.media.ng.bencode import Decoded
from sip.media.ng.qualities import course_of, numbers_of, quality_of
from sip.media.plane import MediaStats, PartyStats

_Dict = Mapping[str, Decoded]


def stats_of(reply: _Dict, epoch: float) -> MediaStats:
    """Reads `tags`. What is missing or of another type counts as 0: it is only statistics.

    `epoch` (seconds since 1970) turns rtpengine's "last packet" into a silence.
    """
    qualities = _dict(reply.get("SSRC"))
    parties: dict[str, PartyStats] = {}
    inbound_only = False
    for tag, value in _dict(reply.get("tags")).items():
        entry = _dict(value)
        # rtpengine lists a party that was offered but never answered under no tag, and keeps
        # one that was replaced by hunting, without subscriptions.
        if not entry.get("tag") or entry.get("subscriptions") == []:
            continue
        rtp, rtcp = _streams(entry)
        parties[tag] = _party(rtp, rtcp, qualities, epoch)
        inbound_only |= "packets sent" not in _dict(rtp.get("stats"))
    if inbound_only and len(parties) == 2:
        # rtpengine counts what comes in: what one party sent, the other was sent.
        (one, first), (other, second) = parties.items()
        parties = {one: _with_sent(first, second), other: _with_sent(second, first)}
    return MediaStats(parties=parties)


def may_send_of(reply: _Dict) -> frozenset[str]:
    """The tags of rtpengine's `tags` whose party its description lets send, not being on hold."""
    sending: set[str] = set()
    for tag, value in _dict(reply.get("tags")).items():
        medias = _list(_dict(value).get("medias"))
        flags = _list(_dict(medias[0]).get("flags")) if medias else []
        rtp, _ = _streams(_dict(value))
        address = _address(_dict(rtp.get("endpoint")))
        if "recv" in flags and address is not None and address[0] not in ("0.0.0.0", "::"):
            sending.add(tag)
    return frozenset(sending)


def _party(rtp: _Dict, rtcp: _Dict, qualities: _Dict, epoch: float) -> PartyStats:
    stats, rtcp_stats = _dict(rtp.get("stats")), _dict(rtcp.get("stats"))
    numbers = numbers_of(stats)
    counted = numbers.get
    packets = counted("packets", 0)
    silent_s: float | None = None
    if packets:
        silent_s = max(0.0, epoch - _int(rtp, "last packet"))
        if "silent ms" in numbers:
            silent_s = counted("silent ms", 0) / 1000
    quality = _dict(qualities.get(str(_int(rtp, "SSRC"))))
    average = _dict(quality.get("average MOS"))
    return PartyStats(
        address=_address(_dict(rtp.get("endpoint"))),
        packets_received=packets,
        octets_received=counted("bytes", 0),
        packets_sent=counted("packets sent", 0),
        octets_sent=counted("bytes sent", 0),
        lost=counted("lost", 0) or _int(quality, "cumulative loss"),
        jitter_ms=counted("jitter us", 0) / 1000 or float(_int(average, "jitter")),
        foreign=counted("foreign", 0),
        refused=counted("refused", 0),
        payload_type=counted("payload type", 0) if "payload type" in numbers else None,
        silent_s=silent_s,
        crypto_suite=_words(rtp.get("crypto suite")),
        rtcp_received=_int(rtcp_stats, "packets"),
        rtcp_sent=_int(rtcp_stats, "packets sent"),
        quality=quality_of(numbers, quality),
        samples=course_of(stats, quality, epoch),
    )


def _with_sent(party: PartyStats, other: PartyStats) -> PartyStats:
    return replace(
        party,
        packets_sent=other.packets_received,
        octets_sent=other.octets_received,
        rtcp_sent=other.rtcp_received,
    )


def _streams(entry: _Dict) -> tuple[_Dict, _Dict]:
    """The RTP and the RTCP stream of the party's first medium."""
    medias = _list(entry.get("medias"))
    streams = _list(_dict(medias[0]).get("streams")) if medias else []
    rtp: _Dict = _dict(streams[0]) if streams else {}
    rtcp: _Dict = _dict(streams[1]) if len(streams) > 1 else {}
    return rtp, rtcp


def _address(endpoint: _Dict) -> tuple[str, int] | None:
    host = endpoint.get("address")
    return (host, _int(endpoint, "port")) if isinstance(host, str) else None


def _words(value: Decoded | None) -> str | None:
    return value if isinstance(value, str) else None


def _dict(value: Decoded | None) -> _Dict:
    return value if isinstance(value, dict) else {}


def _list(value: Decoded | None) -> list[Decoded]:
    return value if isinstance(value, list) else []


def _int(entry: _Dict, key: str) -> int:
    value = entry.get(key, 0)
    return value if isinstance(value, int) else 0
