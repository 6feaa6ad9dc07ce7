"""Why an offer was not acceptable: the Warning of a 488 or 606 (RFC 3261 20.43, 21.4.26)."""

from typing import Final

from sip.core.sdp import SessionDescription
from sip.core.sdp_codecs import OURS, speech_of
from sip.core.sdp_crypto import Encryption, choose_audio, why_not
from sip.errors import ParseError

#: Statuses that are to say why (RFC 3261 13.3.1.3, 21.6.4).
EXPLAINED: Final = frozenset({488, 606})


def warning(offer: str, agent: str, encryption: Encryption = Encryption.OFF) -> str:
    """The value of the Warning header; `agent` is the token that we are known by.

    `encryption` is what is wanted of the offer's media.
    """
    code, text = _reason(offer, encryption)
    return f'{code} {agent} "{text}"'


def _reason(offer: str, encryption: Encryption) -> tuple[int, str]:
    try:
        description = SessionDescription.parse(offer)
    except ParseError as error:
        return 399, f"Session description not understood: {error.reason}"
    if choose_audio(description, encryption) is None:
        return why_not(description, encryption)
    names = [name for part in description.media if part.kind == "audio" for name in speech_of(part)]
    if not any(name in OURS for name in names):
        told = ", ".join(dict.fromkeys(names)) or "no codec for speech"
        ours = "PCMU, PCMA, G722, opus are taken"
        return 305, f"Incompatible media format: only {told} offered; {ours}"
    return 305, "Incompatible media format"
