"""What fills a gap: silence, as the party's codec says it, or what is heard on hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple

from sip.core.sdp_codecs import name_of
from sip.core.sdp_lines import Codec
from sip.media.relay.gaps import Filling, Frame
from sip.media.relay.noise import QUIETEST, Noise
from sip.media.relay.voice import Voice
from sip.media.relay.wav import FRAME_MS, FRAME_SAMPLES, Clip

#: RFC 6716 3.1: 20 ms of the full band, one channel, and CELT's word for silence.
_OPUS: Final = b"\xf8\xff\xfe"

#: By codec's name and clock rate: the octets of 20 ms, where they are always the same. Comfort
#: noise (RFC 3389) is of -127 dBov, which is none.
_SILENCE: Final[Mapping[tuple[str, int], bytes]] = {
    ("PCMU", 8000): b"\xff" * 160,
    ("PCMA", 8000): b"\xd5" * 160,
    ("OPUS", 48000): _OPUS,
    ("L16", 8000): bytes(320),
    ("L16", 16000): bytes(640),
    ("CN", 8000): b"\x7f",
    ("CN", 16000): b"\x7f",
}

_PCM: Final = bytes(2 * FRAME_SAMPLES)


class HoldSound(NamedTuple):
    """What a party that is put on hold hears: what its holder sends, else `music`, or silence.

    `passed` is true where a hold in which nothing is sent is passed on as one.
    """

    passed: bool = True
    music: Clip | None = None


#: Holds are the two sides' own affair.
PASSED: Final = HoldSound()


def silence(voice: Voice | None, codecs: Iterable[tuple[int, Codec]]) -> Filling | None:
    """By `voice`, which is how we speak to the party; else by another codec that it takes.

    Comfort noise stands for codecs that are spoken elsewhere. None where there is no way at all.
    """
    spoken = [] if voice is None else [(voice.payload_type, voice.codec)]
    others = sorted(codecs, key=lambda each: name_of(each[1]) == "CN")
    for number, codec in spoken or others:
        payload = _SILENCE.get((name_of(codec), codec.rate))
        if payload is not None:
            frame = Frame(number, payload, codec.rate * FRAME_MS // 1000)
            return lambda: frame
    return None if voice is None else lambda: voice.says_pcm(_PCM)


def noise(voice: Voice, level: Callable[[], int | None], rng: random.Random) -> Filling:
    """The noise of the room that the other side told of (RFC 3389), at its present level."""
    source = Noise(rng)
    return lambda: voice.says_pcm(source.pcm(FRAME_SAMPLES, level() or QUIETEST))


def music(clip: Clip, voice: Callable[[], Voice | None]) -> Filling:
    """A clip, from its beginning and again and again; `voice` is how we speak to the party."""
    return _loop(clip, voice).__next__


def _loop(clip: Clip, voice: Callable[[], Voice | None]) -> Iterator[Frame]:
    for index in count():
        taken = voice()
        assert taken is not None, "whom we cannot speak to gets another filling"
        yield taken.says(clip, index % clip.frames)
