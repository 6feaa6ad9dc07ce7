"""Sound in files, how loud it is, and how like one recording is to another.

PCM16, little-endian, mono, 8 kHz throughout, as in testkit.melody.
"""

import audioop
import math
import wave
from operator import mul
from pathlib import Path

from testkit.melody import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Match, to_samples

FRAME_BYTES = 2 * FRAME_SAMPLES
#: A frame louder than this is sound; the silence of a telephone line is quieter.
SOUND_DBFS = -50.0

REFERENCE_MS = 5000  # this much of a played file is enough to know it again

_BANDS = [range(low, low + 300, 100) for low in range(300, 3300, 300)]
_BAND_FLOOR = 1e6  # energy under which a band counts as silent
_WAVES = {
    hz: (
        [math.cos(2 * math.pi * hz * n / SAMPLE_RATE_HZ) for n in range(FRAME_SAMPLES)],
        [math.sin(2 * math.pi * hz * n / SAMPLE_RATE_HZ) for n in range(FRAME_SAMPLES)],
    )
    for band in _BANDS
    for hz in band
}


class AudioError(Exception):
    """A sound file that cannot be used; the text names the file and the reason, in one line."""


def read_wav(path: Path) -> bytes:
    """Any PCM WAV, brought to 8 kHz mono."""
    try:
        with wave.open(str(path)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not a PCM WAV ({error})"
        raise AudioError(f"{path}: {reason}") from error
    if channels > 2:
        raise AudioError(f"{path}: {channels} channels; one or two can be played")
    if width == 1:
        frames = audioop.bias(frames, 1, -128)  # 8-bit WAV is unsigned
    pcm = audioop.lin2lin(frames, width, 2)
    if channels == 2:
        pcm = audioop.tomono(pcm, 2, 0.5, 0.5)
    if rate != SAMPLE_RATE_HZ:
        pcm, _ = audioop.ratecv(pcm, 2, 1, rate, SAMPLE_RATE_HZ, None)
    if not sound_ms(pcm):
        raise AudioError(f"{path}: nothing but silence")
    return pcm


def write_wav(path: Path, pcm: bytes) -> None:
    try:
        with path.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(pcm)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror}") from error


def level_dbfs(pcm: bytes) -> float:
    """Mean level against full scale; -inf for digital silence."""
    rms = audioop.rms(pcm, 2)
    return 20 * math.log10(rms / 32768) if rms else -math.inf


def sound_ms(pcm: bytes) -> int:
    """How long there was sound, in all."""
    whole = len(pcm) - len(pcm) % FRAME_BYTES
    loud = (
        level_dbfs(pcm[at : at + FRAME_BYTES]) > SOUND_DBFS for at in range(0, whole, FRAME_BYTES)
    )
    return FRAME_MS * sum(loud)


def similarity(reference: bytes, recording: bytes) -> Match:
    """How like the reference the likest stretch of the recording is, and where that starts.

    Both become pictures of energy by band and time, in dB, each band about its own mean; the
    score is the pictures' correlation. The same speech through G.711 scores above 0.9; other
    speech stays under 0.5. A reference longer than five seconds is judged by its first five.
    """
    wanted = _picture(_trimmed(reference)[: 16 * REFERENCE_MS])
    heard = _picture(recording)
    bands = len(_BANDS)
    length = len(wanted) // bands
    if not length:
        return Match(score=0.0, at_ms=0)
    # A recording that ends early still shows the start: pad it with silence.
    silence = [math.log10(_BAND_FLOOR)] * (bands * (length // 2))
    heard = [*heard, *silence]
    if len(heard) < len(wanted):
        heard = [*heard, *[math.log10(_BAND_FLOOR)] * (len(wanted) - len(heard))]
    means = [sum(wanted[band::bands]) / length for band in range(bands)]
    centred = [value - means[i % bands] for i, value in enumerate(wanted)]
    norm = math.sqrt(sum(map(mul, centred, centred)))
    squares = [value * value for value in heard]
    best = Match(score=0.0, at_ms=0)
    for frame in range(len(heard) // bands - length + 1):
        start, end = frame * bands, (frame + length) * bands
        window = heard[start:end]
        # The centred reference sums to nothing in each band, so the window's own means drop out
        # of the product; they count in its energy only.
        product = sum(map(mul, centred, window))
        if product <= 0:
            continue
        energy = sum(squares[start:end]) - sum(
            sum(window[band::bands]) ** 2 / length for band in range(bands)
        )
        score = product / (norm * math.sqrt(energy)) if energy > 1e-9 and norm else 0.0
        if score > best.score:
            best = Match(score=min(1.0, score), at_ms=frame * FRAME_MS)
    return best


def _trimmed(pcm: bytes) -> bytes:
    """Without the silence at its start."""
    at = 0
    while at < len(pcm) and level_dbfs(pcm[at : at + FRAME_BYTES]) <= SOUND_DBFS:
        at += FRAME_BYTES
    return pcm[at:]


def _picture(pcm: bytes) -> list[float]:
    """Energy by frame and band, flattened, as log10 with a floor."""
    samples = to_samples(pcm)
    values: list[float] = []
    for start in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        frame = samples[start : start + FRAME_SAMPLES]
        for band in _BANDS:
            energy = 0.0
            for hz in band:
                cosine, sine = _WAVES[hz]
                real: float = sum(map(mul, frame, cosine))
                imaginary: float = sum(map(mul, frame, sine))
                energy += real * real + imaginary * imaginary
            values.append(math.log10(max(energy, _BAND_FLOOR)))
    return values
