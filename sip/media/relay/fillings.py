"""What fills a gap: silence, as the party's codec says it, or what is heard on hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple

from sip.core.sdp_lines import Codec
from sip.media.relay.gaps import Filling, Frame
from sip.media.relay.player import Voice
from sip.media.relay.wav import FRAME_MS, FRAME_SAMPLES, Clip

#: RFC 6716 3.1: 20 ms of the full band, one channel, and CELT's word for silence.
_OPUS: Final = b"\xf8\xff\xfe"

#: RFC 3389 3: noise of -127 dBov, which is none.
_COMFORT_NOISE: Final = b"\x7f"

#: By codec's name and clock rate: the octets of 20 ms.
_SILENCE: Final[Mapping[tuple[str, int], bytes]] = {
    ("PCMU", 8000): b"\xff" * 160,
    ("PCMA", 8000): b"\xd5" * 160,
    ("L16", 8000): bytes(320),
    ("L16", 16000): bytes(640),
    ("OPUS", 48000): _OPUS,
    ("CN", 8000): _COMFORT_NOISE,
    ("CN", 16000): _COMFORT_NOISE,
}


class HoldSound(NamedTuple):
    """What a party that is put on hold hears: what its holder sends, else `music`, or silence.

    `passed` is true where a hold in which nothing is sent is passed on as one.
    """

    passed: bool = True
    music: Clip | None = None


#: Holds are the two sides' own affair.
PASSED: Final = HoldSound()


def silence(codecs: Mapping[int, Codec], heard: int) -> Filling | None:
    """In the codec that the party heard last, `heard`; else in its first that has a silence.

    Comfort noise (RFC 3389) stands for codecs whose silence is not known here. None where there
    is no way at all.
    """
    frames = [_frame(number, codec) for number, codec in codecs.items()]
    known = [frame for frame in frames if frame is not None]
    noise = [frame for frame in known if frame.payload == _COMFORT_NOISE]
    same = [frame for frame in known if frame.payload_type == heard]
    for frame in (*same, *[frame for frame in known if frame not in noise], *noise):
        return lambda: frame
    return None


def music(clip: Clip, voice: Callable[[], Voice | None]) -> Filling:
    """A clip, from its beginning and again and again; `voice` is how the party takes G.711."""
    return _loop(clip, voice).__next__


def _loop(clip: Clip, voice: Callable[[], Voice | None]) -> Iterator[Frame]:
    for index in count():
        taken = voice()
        assert taken is not None, "who takes no G.711 gets another filling"
        payload = clip.frame(index % clip.frames, taken.law)
        yield Frame(taken.payload_type, payload, FRAME_SAMPLES)


def _frame(number: int, codec: Codec) -> Frame | None:
    payload = _SILENCE.get((codec.name, codec.rate))
    return None if payload is None else Frame(number, payload, codec.rate * FRAME_MS // 1000)
