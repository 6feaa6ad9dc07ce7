"""A call's counters as a reply tells them, in rtpengine's shape as far as our client reads it."""

from __future__ import annotations

from sip.media.ng.bencode import Encodable
from sip.media.relay.party import Party
from sip.media.relay.sessions import Call


def of_call(call: Call, now: float) -> dict[str, Encodable]:
    """The keys of the reply: what is counted of each party, by its tag."""
    return {"tags": {tag: _of_party(party, now) for tag, party in call.parties.items()}}


def _of_party(party: Party, now: float) -> Encodable:
    rtp, rtcp = party.rtp, party.rtcp
    sent = rtp.outlet.sent
    stats: dict[str, Encodable] = {
        **rtp.stream.stats(now),
        "packets sent": sent.packets,
        "bytes sent": sent.octets,
        "foreign": rtp.foreign + rtcp.foreign,
        "refused": rtp.refused + rtcp.refused,
        **party.meter.stats(now),
    }
    rtp_report: dict[str, Encodable] = {"stats": stats}
    if party.crypto.suite is not None:
        rtp_report["crypto suite"] = party.crypto.suite.value[0]
    address = rtp.source or rtp.latch.expected
    if address is not None:
        rtp_report["endpoint"] = {"address": address[0], "port": address[1]}
    rtcp_report = {"stats": {"packets": rtcp.packets, "packets sent": rtcp.packets_sent}}
    return {"tag": party.tag, "medias": [{"streams": [rtp_report, rtcp_report]}]}
