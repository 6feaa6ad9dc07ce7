"""Which sides of a call are encrypted by SRTP, and the keys of a description (RFC 4568)."""

import base64
import binascii
from dataclasses import dataclass

from bench.errors import BenchError

CLEAR = "clear"
SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
SHA1_32 = "AES_CM_128_HMAC_SHA1_32"
GCM = "AEAD_AES_128_GCM"

KEY_BYTES = {SHA1_80: 30, SHA1_32: 30, GCM: 28}
"""Of master key and salt together."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The suite of each side of a call; `share` is what a packet may cost, as a share of plain."""

    key: str
    label: str
    caller: str
    agent: str
    share: float | None = None


PLAIN = Seal("plain", "RTP", CLEAR, CLEAR)
ONE_LEG = Seal("one-leg", "SRTP on one leg", SHA1_80, CLEAR, 1.3)
BOTH_LEGS = Seal("both-legs", "SRTP on both legs", SHA1_80, SHA1_32, 1.6)
"""One suite on both sides would be no work for rtpengine: it gives each the other's key then."""
GCM_ONE_LEG = Seal("gcm-one-leg", "SRTP (GCM) on one leg", GCM, CLEAR)

ALONE = Seal("alone", "SRTP on both sides", SHA1_80, SHA1_80)
"""Of the generator, whose parties are joined directly."""

SEALS = (PLAIN, ONE_LEG, BOTH_LEGS, GCM_ONE_LEG)


def protocol(suite: str) -> str:
    """What is written in the line of the audio."""
    return "RTP/AVP" if suite == CLEAR else "RTP/SAVP"


def crypto_line(suite: str, key: bytes, tag: str = "1") -> str:
    """A line of a description; nothing for a side in the clear."""
    if suite == CLEAR:
        return ""
    return f"a=crypto:{tag} {suite} inline:{base64.b64encode(key).decode()}\r\n"


def told_key(sdp: str, suite: str) -> tuple[str, bytes]:
    """Tag and key of the engine's line with `suite`; nothing for a side in the clear.

    Raises `BenchError` where the engine does not encrypt as it was asked to.
    """
    lines = [line.split() for line in sdp.splitlines() if line.startswith("a=crypto:")]
    if suite == CLEAR:
        if lines:
            raise BenchError(f"the engine encrypts what was to be in the clear: {sdp!r}")
        return "", b""
    for words in lines:
        if len(words) > 2 and words[1] == suite and words[2].startswith("inline:"):
            text = words[2].removeprefix("inline:").partition("|")[0]
            try:
                key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except binascii.Error:
                break
            return words[0].removeprefix("a=crypto:"), key
    raise BenchError(f"the engine's description has no key of {suite}: {sdp!r}")
