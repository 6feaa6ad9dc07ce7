"""Keys as events (telephone-event, RFC 4733) in a session description: whether, and which.

Text in, text out. What changes a description raises ParseError for one that cannot be read.
"""

from __future__ import annotations

import re
from typing import Final

from sip.core.sdp import Media, SessionDescription, parse
from sip.core.sdp_edits import TELEPHONE_EVENT
from sip.core.sdp_lines import Attribute, Codec

#: The keys 0-9, *, #, A-D; an event is offered by no less (RFC 4733 2.4.1).
EVENTS: Final = "0-15"

#: The payload type that nearly all use, and those that come after it.
_NUMBERS: Final = (101, *range(96, 128))
_RATE_HZ: Final = 8000

_RTPMAP: Final = re.compile(r"^a=rtpmap:(\d+)[ \t]+telephone-event/", re.MULTILINE | re.IGNORECASE)
_AUDIO: Final = re.compile(r"^m=audio [1-9]\S* \S+([^\r\n]*)", re.MULTILINE)


def has_keys(sdp: str) -> bool:
    """Whether the audio takes keys as events. It is asked for every description, so not parsed."""
    numbers = _RTPMAP.findall(sdp)
    audio = _AUDIO.search(sdp) if numbers else None
    return audio is not None and not set(numbers).isdisjoint(audio[1].split())


def with_keys(sdp: str, like: str | None = None) -> str:
    """`sdp` whose audio takes keys; by the numbers of `like`, where it has some that are free."""
    described = parse(sdp)
    audio = described.audio
    if audio is None or _keys(audio):
        return sdp
    theirs = parse(like).audio if like is not None else None
    lines: list[Attribute] = []
    formats = list(audio.formats)
    for number, codec in (_keys(theirs) if theirs is not None else {}).items():
        if str(number) not in formats:
            formats.append(str(number))
            lines += _lines(number, codec, (theirs.fmtp(number) if theirs else None) or EVENTS)
    if not lines:
        free = [number for number in _NUMBERS if str(number) not in formats]
        if not free:
            return sdp
        formats.append(str(free[0]))
        lines += _lines(free[0], Codec(TELEPHONE_EVENT, _rate_hz(audio)), EVENTS)
    told = audio.replace(formats=tuple(formats), attributes=_inserted(audio.attributes, lines))
    return _replaced(described, audio, told)


def without_keys(sdp: str) -> str:
    """`sdp` whose audio takes no events."""
    described = parse(sdp)
    audio = described.audio
    gone = {str(number) for number in _keys(audio)} if audio is not None else set()
    if audio is None or not gone or gone == set(audio.formats):
        return sdp
    told = audio.replace(
        formats=tuple([number for number in audio.formats if number not in gone]),
        attributes=tuple(
            [
                (name, value)
                for name, value in audio.attributes
                if name not in ("rtpmap", "fmtp") or (value or "").partition(" ")[0] not in gone
            ]
        ),
    )
    return _replaced(described, audio, told)


def _keys(audio: Media) -> dict[int, Codec]:
    return {n: codec for n, codec in audio.rtpmap().items() if _is_keys(codec)}


def _is_keys(codec: Codec) -> bool:
    return codec.name.lower() == TELEPHONE_EVENT


def _rate_hz(audio: Media) -> int:
    """RFC 4733 2.5.1.1: the clock of the audio beside which they are sent."""
    return next((codec.rate for codec in audio.rtpmap().values()), _RATE_HZ)


def _lines(number: int, codec: Codec, fmtp: str) -> list[Attribute]:
    return [("rtpmap", f"{number} {codec}"), ("fmtp", f"{number} {fmtp}")]


def _inserted(before: tuple[Attribute, ...], lines: list[Attribute]) -> tuple[Attribute, ...]:
    """The lines behind the last of their kinds."""
    at = max(
        (index + 1 for index, (name, _) in enumerate(before) if name in ("rtpmap", "fmtp")),
        default=0,
    )
    return (*before[:at], *lines, *before[at:])


def _replaced(described: SessionDescription, audio: Media, told: Media) -> str:
    media = tuple([told if part is audio else part for part in described.media])
    return described.replace(media=media).to_string()
