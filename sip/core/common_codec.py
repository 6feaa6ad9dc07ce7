"""Whether an answer takes up what was offered (RFC 3264 6.1)."""

from __future__ import annotations

from typing import Final

from sip.core.sdp import Media, parse
from sip.core.sdp_edits import TELEPHONE_EVENT
from sip.errors import ParseError

#: Formats that carry no speech.
_BESIDE_SPEECH: Final = frozenset({TELEPHONE_EVENT, "cn", "red"})


def has_common_codec(offer: str, answer: str | None) -> bool:
    """Whether there is audio that both sides can speak: a medium that is not refused, with a codec
    of the offer. An answer that is missing, or cannot be read, has none."""
    try:
        offered = [media for media in parse(offer).media if media.kind == "audio"]
    except ParseError:
        return True  # that is for others to judge
    try:
        answered = [media for media in parse(answer or "").media if media.kind == "audio"]
        return any(
            theirs.active and not _codecs(ours, ours).isdisjoint(_codecs(theirs, ours))
            for theirs in answered
            for ours in offered
        )
    except ParseError:
        return False


def _codecs(media: Media, offer: Media) -> set[tuple[str, int] | str]:
    """Name and clock of each codec for speech; one that is not named is what `offer` calls so, or
    stands for itself."""
    known = offer.rtpmap() | media.rtpmap()
    found: set[tuple[str, int] | str] = set()
    for text in media.formats:
        codec = known.get(int(text)) if text.isdecimal() and len(text) < 4 else None
        if codec is None:
            found.add(text)
        elif codec.name.lower() not in _BESIDE_SPEECH:
            found.add((codec.name.lower(), codec.rate))
    return found
