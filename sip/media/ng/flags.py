"""The NG keys that make rtpengine do what our relay does by itself, and SDP that only we refuse.

Read together with rtpengine's docs/ng_control_protocol.md; our relay looks at `received-from`
and `media-address` only, and at `direct`, a key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sip.core.sdp import MAX_SDP, parse
from sip.core.sdp_codecs import AS_IT_CAME, NoCodecError, wanted
from sip.errors import ParseError
from sip.media.ng.bencode import Encodable
from sip.media.plane import MediaError
from sip.media.terms import MediaTerms

#: rtpengine: use the SDP's address rather than the signalling's; after learning drop packets
#: from elsewhere; keep our ports when a peer's address changes; offer no keys of its own.
FLAGS: Final[list[Encodable]] = ["trust-address", "strict-source", "port-latching", "SDES-off"]

#: What rtpengine is told with every description.
ENGINE_KEYS: Final[Mapping[str, Encodable]] = {
    "replace": ["origin", "session-connection"],
    "ICE": "remove",
    "rtcp-mux": ["demux", "reject"],
    "flags": FLAGS,
}

#: Keys in a description that is relayed in the clear (RFC 4568, RFC 5763).
_KEY_LINE = re.compile(r"^a=(?:crypto|fingerprint|setup|key-mgmt|tls-id)\b[^\n]*\n?", re.MULTILINE)

#: A word of each attribute above: without any, no line has to be looked at.
_KEY_WORDS: Final = ("crypto", "fingerprint", "setup", "key-mgmt", "tls-id")

_MEDIA_LINE = re.compile(r"^m=(\S+) (\d+)(\S*) (\S+)", re.MULTILINE)

_PLAIN: Final = ("RTP/AVP", "RTP/AVPF")


def sdp_keys(
    sdp: str,
    media_address: str | None,
    received_from: str | None,
    engine_keys: Mapping[str, Encodable] = ENGINE_KEYS,
) -> dict[str, Encodable]:
    """The keys of an offer or answer beside its tags. Raises `MediaError` bad-sdp."""
    if engine_keys:  # our relay reads what rtpengine would refuse for an odd line
        sdp = _straight(sdp)
    keys: dict[str, Encodable] = {"sdp": relayable(sdp), **engine_keys}
    if media_address is not None:
        keys["media-address"] = media_address
    if received_from is not None:
        family = "IP6" if ":" in received_from else "IP4"
        keys["received-from"] = [family, received_from]
    return keys


def codec_keys(sdp: str, sender: MediaTerms, reader: MediaTerms) -> dict[str, Encodable]:
    """What an offer asks for beside relaying: codecs and packet times, by rtpengine's keys.

    Raises `MediaError` bad-sdp where the two parties can have no audio.
    """
    try:
        wish = wanted(sdp, sender.codecs, reader.codecs)
    except NoCodecError as error:
        raise MediaError("bad-sdp", str(error)) from None
    keys: dict[str, Encodable] = {}
    if wish != AS_IT_CAME:
        lists = ("strip", wish.strip), ("mask", wish.mask), ("offer", wish.first)
        codec: dict[str, Encodable] = {key: list(names) for key, names in lists if names}
        if wish.convert:
            codec["transcode"] = list(wish.convert)
        keys["codec"] = codec
    if reader.packet_time_ms is not None:
        keys["ptime"] = reader.packet_time_ms
    if sender.packet_time_ms is not None:
        keys["ptime-reverse"] = sender.packet_time_ms
    return keys


def relayable(sdp: str) -> str:
    """`sdp` with every medium but the first audio in the clear refused (port 0), and without keys.

    The relay does this too; rtpengine would relay video, terminate SRTP and pass keys on, and
    our calls are to come out the same with either. A phone to which encryption is optional offers
    audio twice. Raises `MediaError` bad-sdp where all audio is encrypted.
    """
    if not sdp.startswith("v=0"):
        raise MediaError("bad-sdp", "does not begin with v=0")
    if len(sdp) > MAX_SDP:  # an engine could not even be asked: it would not fit a datagram
        raise MediaError("bad-sdp", f"longer than {MAX_SDP} characters")
    if not any(word in sdp for word in _KEY_WORDS) and sdp.count("\nm=") == 1:
        only = _MEDIA_LINE.match(sdp, sdp.index("\nm=") + 1)
        if only is not None and only[1] == "audio" and only[2] != "0" and only[4] in _PLAIN:
            return sdp  # as nearly all are: there is nothing to refuse
    audio = [m for m in _MEDIA_LINE.finditer(sdp) if m[1] == "audio" and m[2] != "0"]
    plain = [m.start() for m in audio if m[4].upper() in _PLAIN]
    if audio and not plain:
        raise MediaError("bad-sdp", f"audio by {audio[0][4]} is not supported")

    def refuse(match: re.Match[str]) -> str:
        if match.start() in plain[:1]:
            return match[0]
        kind, _, rest, protocol = match.groups()
        return f"m={kind} 0{rest} {protocol}"

    return _KEY_LINE.sub("", _MEDIA_LINE.sub(refuse, sdp))


def _straight(sdp: str) -> str:
    """The description without what we do not read of it. Raises `MediaError` bad-sdp."""
    try:
        return parse(sdp).to_string()
    except ParseError as error:
        raise MediaError("bad-sdp", error.reason) from None
