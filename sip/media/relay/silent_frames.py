"""What a codec sends while nobody says anything: frames that every receiver plays as silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sip.core.sdp_lines import Codec

#: Milliseconds of a frame, whatever the codec: what every receiver takes (RFC 3551 4.2).
FRAME_MS: Final = 20

#: RFC 6716 3.1: 20 ms of the full band, one channel, and CELT's word for silence.
_OPUS: Final = b"\xf8\xff\xfe"

#: RFC 3389 3: a noise of -127 dBov, which is none.
_COMFORT_NOISE: Final = b"\x7f"


class SilentFrame(NamedTuple):
    """A packet's payload type and payload, and the ticks of its clock for which it lasts."""

    payload_type: int
    payload: bytes
    ticks: int


#: By codec's name and clock rate: the octets of a frame.
_FRAMES: Final[Mapping[tuple[str, int], bytes]] = {
    ("PCMU", 8000): b"\xff" * 160,
    ("PCMA", 8000): b"\xd5" * 160,
    ("L16", 8000): bytes(320),
    ("L16", 16000): bytes(640),
    ("OPUS", 48000): _OPUS,
}


def silent_frame(payload_type: int, codec: Codec) -> SilentFrame | None:
    """A codec's; None for one whose silence is not known here.

    Comfort noise stands for a codec that is spoken elsewhere.
    """
    ticks = codec.rate * FRAME_MS // 1000
    if codec.name == "CN":
        return SilentFrame(payload_type, _COMFORT_NOISE, ticks)
    payload = _FRAMES.get((codec.name, codec.rate))
    return None if payload is None else SilentFrame(payload_type, payload, ticks)
