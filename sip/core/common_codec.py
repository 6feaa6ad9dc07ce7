"""Whether an answer takes up what was offered (RFC 3264 6.1).

Every call asks, so the text is looked at, not parsed: what else is in a description is for others
to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from sip.core.sdp import STATIC_CODECS
from sip.core.sdp_codecs import AUDIO, BESIDE_SPEECH

_STATIC: Final = {str(pt): (codec.name.upper(), codec.rate) for pt, codec in STATIC_CODECS.items()}
_RTPMAP: Final = re.compile(r"^a=rtpmap:([0-9]{1,3})[ \t]++([^\s/]++)/([0-9]{1,9})", re.M)

#: Name and clock; a payload type that stands for nothing known.
_Codec = tuple[str, int] | str


def has_common_codec(offer: str, answer: str | None) -> bool:
    """Whether there is audio that both sides can speak: a medium that is not refused, with a codec
    of the offer. An answer that is missing, or has no audio, has none."""
    offered = AUDIO.findall(offer)
    return any(
        int(port) and not _codecs(formats, lines, ours).isdisjoint(_codecs(wanted, ours, ""))
        for port, formats, lines in AUDIO.findall(answer or "")
        for _, wanted, ours in offered
    )


@lru_cache(maxsize=512)
def _codecs(formats: str, lines: str, offered_lines: str) -> frozenset[_Codec]:
    """The codecs for speech; one that has no name in `lines` is what the offer calls so."""
    known: dict[str, tuple[str, int]] = dict(_STATIC)
    for text in (offered_lines, lines):
        known |= {pt: (name.upper(), int(rate)) for pt, name, rate in _RTPMAP.findall(text)}
    found: Iterator[_Codec] = (known.get(pt, pt) for pt in formats.split())
    return frozenset(codec for codec in found if codec[0] not in BESIDE_SPEECH)
