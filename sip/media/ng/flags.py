"""The NG keys that make rtpengine do what our relay does by itself, and SDP that only we refuse.

Read together with rtpengine's docs/ng_control_protocol.md; our relay looks at `received-from`,
`media-address` and `transport-protocol` only, and at `direct`, a key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sip.core.sdp import MAX_SDP, SessionDescription, parse
from sip.core.sdp_codecs import AS_IT_CAME, NoCodecError, wanted
from sip.core.sdp_crypto import CLEAR, Chosen, Encryption, choose_audio, why_not
from sip.core.sdp_lines import Attribute
from sip.errors import ParseError
from sip.media.ng.bencode import Encodable
from sip.media.plane import MediaError
from sip.media.terms import MediaTerms

#: rtpengine: use the SDP's address rather than the signalling's; after learning drop packets
#: from elsewhere; keep our ports when a peer's address changes.
FLAGS: Final[list[Encodable]] = ["trust-address", "strict-source", "port-latching"]

#: What rtpengine is told with every description.
ENGINE_KEYS: Final[Mapping[str, Encodable]] = {
    "replace": ["origin", "session-connection"],
    "ICE": "remove",
    "rtcp-mux": ["demux", "reject"],
    "DTLS": "off",
    "flags": FLAGS,
}

#: Attributes that hold keys or lead to some (RFC 4567, RFC 4568, RFC 5763).
_KEY_WORDS: Final = ("crypto", "fingerprint", "setup", "key-mgmt", "tls-id")

#: Fax that is not refused, in what `relayable` returns.
_FAX_LINE = re.compile(r"^m=image [1-9]", re.MULTILINE)
_MEDIA_LINE = re.compile(r"^m=(\S+) (\d+)(\S*) (\S+)", re.MULTILINE)


def sdp_keys(
    sdp: str,
    media_address: str | None,
    received_from: str | None,
    engine_keys: Mapping[str, Encodable] = ENGINE_KEYS,
    encryption: Encryption = Encryption.OFF,
) -> dict[str, Encodable]:
    """The keys of an offer or answer beside its tags; `encryption` is its sender's.

    Raises `MediaError` bad-sdp.
    """
    if engine_keys:  # our relay reads what rtpengine would refuse for an odd line
        sdp = _straight(sdp)
    keys: dict[str, Encodable] = {"sdp": relayable(sdp, encryption), **engine_keys}
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


def offer_keys(keys: Mapping[str, Encodable], encryption: Encryption) -> dict[str, Encodable]:
    """By what an offer's reader is offered audio; nothing where that is in the clear, as it came.

    `keys` are those of `sdp_keys`, `encryption` the reader's. Raises `MediaError` bad-sdp for fax
    to who must have everything encrypted.
    """
    sdp = str(keys["sdp"])
    if _FAX_LINE.search(sdp):
        _check_fax(encryption)
        return {}
    if encryption is not Encryption.OFF:
        return {"transport-protocol": "RTP/SAVP"}
    return {"transport-protocol": "RTP/AVP"} if "a=crypto:" in sdp else {}


def relayable(sdp: str, encryption: Encryption = Encryption.OFF) -> str:
    """`sdp` with every medium but the audio that is to be used refused (port 0).

    Keys that are not used are left out. Without audio, fax by T.38 (RFC 3362) takes its place. The
    relay does this too; rtpengine would relay video and pass keys on, and our calls are to come out
    the same with either. Raises `MediaError` bad-sdp where no audio may be used under its sender's
    `encryption`.
    """
    if not sdp.startswith("v=0"):
        raise MediaError("bad-sdp", "does not begin with v=0")
    if len(sdp) > MAX_SDP:  # an engine could not even be asked: it would not fit a datagram
        raise MediaError("bad-sdp", f"longer than {MAX_SDP} characters")
    plain = not any(word in sdp for word in _KEY_WORDS) and sdp.count("\nm=") == 1
    if plain and encryption is not Encryption.REQUIRED:
        only = _MEDIA_LINE.match(sdp, sdp.index("\nm=") + 1)
        if only is not None and only[1] == "audio" and only[2] != "0" and only[4] in CLEAR:
            return sdp  # as nearly all are: there is nothing to refuse
    try:
        description = parse(sdp)
    except ParseError as error:
        raise MediaError("bad-sdp", error.reason) from None
    used = choose_audio(description, encryption)
    if used is None and description.audio is not None:
        raise MediaError("bad-sdp", why_not(description, encryption)[1])
    if description.fax is not None:
        _check_fax(encryption)
        used = Chosen(description.fax, ())
    return _only(description, used).to_string()


def _check_fax(encryption: Encryption) -> None:
    if encryption is Encryption.REQUIRED:
        raise MediaError("bad-sdp", "fax by T.38 cannot be encrypted")


def _only(description: SessionDescription, used: Chosen | None) -> SessionDescription:
    """The description with that audio alone, and the keys of it that are used."""
    media = []
    for each in description.media:
        if used is None or each is not used.media:
            media.append(each.refused)
            continue
        keys = tuple([("crypto", line.value) for line in used.lines])
        media.append(each.replace(attributes=_without_keys(each.attributes) + keys))
    attributes = _without_keys(description.attributes)
    return description.replace(attributes=attributes, media=tuple(media))


def _without_keys(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    return tuple([attribute for attribute in attributes if attribute[0] not in _KEY_WORDS])


def _straight(sdp: str) -> str:
    """The description without what we do not read of it. Raises `MediaError` bad-sdp."""
    try:
        return parse(sdp).to_string()
    except ParseError as error:
        raise MediaError("bad-sdp", error.reason) from None
