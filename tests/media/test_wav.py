"""WAV files as the relay reads them, and what it says of those that it cannot play."""

import audioop
import io
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.media.plane import MediaError
from sip.media.relay.wav import FRAME_SAMPLES, MAX_FILE, Coding, read

PCM = b"".join(struct.pack("<h", 50 * n) for n in range(400))


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    length = len(data) if size is None else size
    return name + struct.pack("<I", length) + data + b"\0" * (len(data) % 2)


def fmt(tag: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16) -> bytes:
    block = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * block, block, bits)
    )


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def written(*, channels: int = 1, width: int = 2, rate_hz: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(PCM)
    return file.getvalue()


def test_pcm_is_read_and_framed() -> None:
    clip = read(written())
    assert (clip.coding, clip.frames, clip.duration_ms) == (Coding.PCM16, 3, 50)
    assert clip.frame(0, Coding.PCMU) == audioop.lin2ulaw(PCM[:320], 2)
    assert clip.frame(1, Coding.PCMA) == audioop.lin2alaw(PCM[320:640], 2)
    last = clip.frame(2, Coding.PCMU)
    assert len(last) == FRAME_SAMPLES
    assert last[80:] == b"\xff" * 80, "filled up with silence"


@pytest.mark.parametrize(("tag", "coding"), [(6, Coding.PCMA), (7, Coding.PCMU)])
def test_g711_is_read(tag: int, coding: Coding) -> None:
    other = Coding.PCMU if coding is Coding.PCMA else Coding.PCMA
    samples = bytes(range(256))[:160]
    clip = read(riff(fmt(tag, bits=8), chunk(b"data", samples)))
    assert clip.coding is coding
    assert clip.frame(0, coding) == samples
    assert clip.frame(0, other) != samples
    assert len(clip.frame(0, other)) == FRAME_SAMPLES


def test_two_channels_become_one() -> None:
    """Half of each: a sound that is on one side alone is heard at half its height."""
    left = b"".join(PCM[n : n + 2] + bytes(2) for n in range(0, len(PCM), 2))
    clip = read(riff(fmt(channels=2), chunk(b"data", left)))
    assert clip.duration_ms == 50
    assert clip.frame(1, Coding.PCM16)[:4] == struct.pack("<2h", 50 * 160 // 2, 50 * 161 // 2)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_another_rate_is_played_at_8_khz(rate_hz: int) -> None:
    step = 2 * math.pi * 440 / rate_hz
    sound = [round(8000 * math.sin(step * n)) for n in range(rate_hz)]
    clip = read(riff(fmt(rate_hz=rate_hz), chunk(b"data", struct.pack(f"<{rate_hz}h", *sound))))
    assert (clip.frames, clip.duration_ms) == (50, 1000)
    heard = struct.unpack("<160h", clip.frame(7, Coding.PCM16))
    told = [8000 * math.sin(2 * math.pi * 440 * (7 * 160 + n) / 8000) for n in range(160)]
    assert max(abs(one - other) for one, other in zip(heard, told, strict=True)) < 80
    assert clip.frame(7, Coding.PCMU) == audioop.lin2ulaw(clip.frame(7, Coding.PCM16), 2)


def test_other_chunks_are_passed_over() -> None:
    data = riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"1234"), chunk(b"data", PCM))
    assert read(data).data == PCM


def test_a_length_that_the_writer_did_not_know_is_to_the_end() -> None:
    assert read(riff(fmt(), chunk(b"data", PCM, 0xFFFFFFFF))).data == PCM


def test_an_extensible_format_says_its_coding_further_on() -> None:
    head = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 16000, 2, 16)
    extension = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    assert read(riff(chunk(b"fmt ", head + extension), chunk(b"data", PCM))).coding is Coding.PCM16


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (written(rate_hz=9000), "9000 Hz is none of 8000, .*sox"),
        (written(channels=3), "3 channels.*sox"),
        (riff(fmt(7, rate_hz=16000, bits=8), chunk(b"data", PCM)), "16000 Hz.*sox"),
        (written(width=1), "format 1 of 8 bits.*sox"),
        (riff(fmt(tag=85, bits=0), chunk(b"data", PCM)), "format 85"),
        (b"ID3 an MP3", "no WAV"),
        (b"", "no WAV"),
        (riff(fmt()), "no samples"),
        (riff(fmt(), chunk(b"data", b"")), "no samples"),
        (riff(chunk(b"data", PCM), fmt()), "before its samples"),
        (riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", PCM)), "cut short"),
        (written()[:-10], "cut short"),
        (written() + bytes(MAX_FILE), "longer than"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words) as bad:
        read(data)
    assert bad.value.slug == "bad-audio"


@given(data=st.binary(max_size=80), head=st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", riff(fmt())]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    try:
        clip = read(head + data)
    except MediaError:
        return
    assert clip.frames >= 1
