"""Why an offer was not acceptable: the Warning of a 488 or 606 (RFC 3261 20.43, 21.4.26)."""

from typing import Final

from sip.core.sdp import SessionDescription
from sip.core.sdp_codecs import OURS, speech_of
from sip.errors import ParseError

#: Statuses that are to say why (RFC 3261 13.3.1.3, 21.6.4).
EXPLAINED: Final = frozenset({488, 606})
_IN_THE_CLEAR: Final = frozenset({"RTP/AVP", "RTP/AVPF"})


def warning(offer: str, agent: str) -> str:
    """The value of the Warning header; `agent` is the token that we are known by."""
    code, text = _reason(offer)
    return f'{code} {agent} "{text}"'


def _reason(offer: str) -> tuple[int, str]:
    try:
        media = SessionDescription.parse(offer).media
    except ParseError as error:
        return 399, f"Session description not understood: {error.reason}"
    audio = [part for part in media if part.kind == "audio" and part.active]
    if not audio:
        return 304, "Media type not available: only audio is"
    if not any(part.protocol.upper() in _IN_THE_CLEAR for part in audio):
        return 302, "Incompatible transport protocol: only RTP/AVP is available"
    names = [name for part in audio for name in speech_of(part)]
    if not any(name in OURS for name in names):
        told = ", ".join(dict.fromkeys(names)) or "no codec for speech"
        return (
            305,
            f"Incompatible media format: only {told} offered; PCMU, PCMA, G722, opus are taken",
        )
    return 305, "Incompatible media format"
