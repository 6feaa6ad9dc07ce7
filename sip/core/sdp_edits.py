"""Edits of a session description's text that a back-to-back user agent needs (RFC 3264).

Text in, text out; each raises ParseError for a description that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sip.core.sdp import DIRECTIONS, Media, parse
from sip.core.sdp_codecs import OURS, name_of
from sip.core.sdp_lines import Attribute, Codec, Connection

#: Codec name of DTMF as events (RFC 4733).
TELEPHONE_EVENT: Final = "telephone-event"

#: A party that is still to say what it takes: G.711 and keys, at no address (RFC 3264 8.4).
UNKNOWN: Final = "\r\n".join(
    [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=-",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "m=audio 9 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
)


def sent_to(sdp: str, address: str) -> str:
    """`sdp` with `address` as the place of all its media, in the stead of a hold's zeroes."""
    connection = Connection("IP6" if ":" in address else "IP4", address)
    described = parse(sdp)
    media = tuple(
        part.replace(connection=connection) if part.connection is not None else part
        for part in described.media
    )
    return described.replace(connection=connection, media=media).to_string()


def on_hold(sdp: str) -> bool:
    """Whether the sender of `sdp` does not want to hear: sendonly, inactive, or c=0.0.0.0."""
    described = parse(sdp)
    audio = described.audio
    if audio is None:
        return False
    connection = described.connection_of(audio)
    unspecified = connection is not None and connection.unspecified
    return unspecified or audio.direction in ("sendonly", "inactive")


def sends(sdp: str) -> bool:
    """Whether the sender of `sdp` may send audio, and holds by no c=0.0.0.0 (RFC 3264 8.4)."""
    described = parse(sdp)
    audio = described.audio
    if audio is None:
        return False
    connection = described.connection_of(audio)
    unspecified = connection is not None and connection.unspecified
    return not unspecified and audio.direction in ("sendrecv", "sendonly")


def off_hold(sdp: str) -> str:
    """`sdp` with audio that goes both ways."""
    described = parse(sdp)
    media = tuple(
        part.directed("sendrecv") if part is described.audio else part for part in described.media
    )
    return described.replace(attributes=_undirected(described.attributes), media=media).to_string()


def heard_hold(sdp: str, address: str) -> str:
    """A hold made one in which something is heard, from `address`; else `sdp` as it is."""
    if not on_hold(sdp):
        return sdp
    described = parse(sent_to(sdp, address))
    media = tuple(
        part.directed("sendonly") if part is described.audio else part for part in described.media
    )
    return described.replace(attributes=_undirected(described.attributes), media=media).to_string()


def answer_to(offer: str, answer: str) -> str:
    """`answer` made to fit `offer`: its media in number and order, in directions that it has."""
    return parse(answer).answering(parse(offer)).to_string()


def silent_answer(offer: str) -> str:
    """An answer that takes the first codec and keys, and names no address to send to.

    Such a party is silent and has no address (c=0.0.0.0, RFC 3264 8.4). It stands for the
    peer to come, so that the offerer can be heard and played to meanwhile.
    """
    audio = parse(offer).audio
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0"]
    if audio is None:
        lines.append("m=audio 9 RTP/AVP 0")
    else:
        lines += _silent_media(audio)
    return "\r\n".join([*lines, "a=sendrecv", ""])


def same_session(left: str | None, right: str | None) -> bool:
    """Whether two descriptions differ in nothing but their origin line (RFC 3264 8)."""
    if left is None or right is None:
        return left is right
    return _without_origin(left) == _without_origin(right)


def still_holds(told: str, answered: str, wanted: str) -> bool:
    """Whether a peer need not hear of `wanted`, which was offered `told` and `answered` it.

    It may have been offered more codecs; each that it took is among those of `wanted`. Where it
    sends, in which directions, and the keys are what it was told (RFC 3264 8, RFC 4568).
    """
    before, after, heard = parse(told), parse(wanted), parse(answered)
    if len(before.media) != len(after.media) or before.audio is None or after.audio is None:
        return False
    if heard.audio is None or before.connection != after.connection:
        return False
    return (
        set(heard.audio.formats) <= set(after.audio.formats)
        and _goes_on(before.audio, after.audio)
        and all(
            old == new
            for old, new in zip(before.media, after.media, strict=True)
            if old is not before.audio
        )
    )


def _goes_on(told: Media, wanted: Media) -> bool:
    """Whether audio that was `told` of covers what is `wanted`."""
    same = (told.port, told.protocol, told.connection, told.direction)
    codecs, known = wanted.rtpmap(), told.rtpmap()
    return (
        same == (wanted.port, wanted.protocol, wanted.connection, wanted.direction)
        and set(wanted.formats) <= set(told.formats)
        and set(wanted.values("crypto")) <= set(told.values("crypto"))
        and all(number in known and _same_codec(codecs[number], known[number]) for number in codecs)
        and all(
            wanted.fmtp(number) == told.fmtp(number)
            for number, codec in codecs.items()
            if codec.name.lower() != TELEPHONE_EVENT
        )
    )


def _same_codec(left: Codec, right: Codec) -> bool:
    return (name_of(left), left.rate) == (name_of(right), right.rate)


def _silent_media(audio: Media) -> Iterable[str]:
    """A codec that we can speak, G.711 if there is any, else the first format; and the first
    telephone-event of its clock rate with its parameters."""
    codecs = audio.rtpmap()
    ours = [(OURS.index(name_of(c)) > 1, str(n)) for n, c in codecs.items() if name_of(c) in OURS]
    first = min(ours, key=lambda each: each[0])[1] if ours else audio.formats[0]
    numbers = [int(first)] if first.isdigit() else []
    codec = codecs.get(numbers[0]) if numbers else None
    if codec is not None:
        numbers += [
            number
            for number, other in codecs.items()
            if other.name.lower() == TELEPHONE_EVENT and other.rate == codec.rate
        ][:1]
    formats = " ".join([first, *map(str, numbers[1:])])
    yield f"m=audio 9 RTP/AVP {formats}"
    for number in numbers:
        if number in codecs:
            yield f"a=rtpmap:{number} {codecs[number]}"
        parameters = audio.fmtp(number)
        if parameters is not None and number != numbers[0]:
            yield f"a=fmtp:{number} {parameters}"


def _undirected(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    return tuple(attribute for attribute in attributes if attribute[0] not in DIRECTIONS)


def _without_origin(sdp: str) -> list[str]:
    return [line for line in sdp.splitlines() if not line.startswith("o=")]
