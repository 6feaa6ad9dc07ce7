"""What the agent heard: counters, keys, a recording, and whose melody is in it."""

import asyncio
import io
import wave
from dataclasses import dataclass, field
from typing import Any

from testkit import melody
from testkit.sandbox.g711 import Law

#: A timestamp that leaps further than this starts the recording's clock anew: 5 s.
_MAX_LEAP = 5 * melody.SAMPLE_RATE_HZ
_MASK = 0xFFFFFFFF


@dataclass(slots=True)
class Heard:
    """One call's hearing. The recording is G.711, placed by RTP timestamps, gaps as silence."""

    law: Law
    limit: int
    """bytes that are recorded, from the first packet on"""
    packets: int = 0
    octets: int = 0
    foreign: int = 0
    """packets from elsewhere than the SDP said: dropped"""
    malformed: int = 0
    unexpected: int = 0
    """packets with a payload type that was not agreed"""
    digits: str = ""
    first_at: float | None = None
    last_at: float | None = None
    last_voice_at: float | None = None
    recording: bytearray | None = field(default_factory=bytearray)
    _ssrc: int | None = None
    _zero: int = 0
    """the timestamp of the recording's first byte"""
    _scores: tuple[int, melody.Match, melody.Match] | None = None

    def take(self, ssrc: int, timestamp: int, payload: bytes) -> None:
        """Record one packet's audio."""
        recording = self.recording
        if recording is None:
            return
        at = (timestamp - self._zero) & _MASK
        late = (len(recording) - at) & _MASK
        known = ssrc == self._ssrc
        if not known or (at - len(recording) > _MAX_LEAP and late > _MAX_LEAP):
            # another stream, or its clock leapt: go on where the recording ends
            self._ssrc = ssrc
            at = len(recording)
            self._zero = (timestamp - at) & _MASK
        if at > _MASK // 2 or at + len(payload) > self.limit:
            return
        if at > len(recording):
            recording.extend(self.law.silence * (at - len(recording)))
        recording[at : at + len(payload)] = payload

    def wav(self) -> bytes | None:
        """The recording as a WAV file of 8 kHz, mono, 16 bits; None if it is no longer kept."""
        if self.recording is None:
            return None
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(melody.SAMPLE_RATE_HZ)
            writer.writeframes(self.law.decode(bytes(self.recording)))
        return file.getvalue()

    def forget(self) -> None:
        """Give up the recording; counters and known scores stay."""
        self.recording = None

    async def to_json(self) -> dict[str, Any]:
        """Counters, and how well either melody was heard; searched in a thread, once a length."""
        if self.recording is not None and (
            self._scores is None or self._scores[0] != len(self.recording)
        ):
            recorded = bytes(self.recording)
            self._scores = await asyncio.to_thread(_search, self.law, recorded)
        report: dict[str, Any] = {
            "codec": self.law.name,
            "packets": self.packets,
            "octets": self.octets,
            "foreign": self.foreign,
            "malformed": self.malformed,
            "unexpected": self.unexpected,
            "dtmf": self.digits,
            "melodies": None,
        }
        if self._scores is not None:
            length, agent, caller = self._scores
            report["recorded_ms"] = length * 1000 // melody.SAMPLE_RATE_HZ
            report["melodies"] = {"caller": _shown(caller), "agent": _shown(agent)}
        return report


def _search(law: Law, recorded: bytes) -> tuple[int, melody.Match, melody.Match]:
    pcm = law.decode(recorded)
    agent = melody.find(melody.AGENT, pcm)
    return len(recorded), agent, melody.find(melody.CALLER, pcm)


def _shown(match: melody.Match) -> dict[str, Any]:
    return {"heard": match.heard, "score": round(match.score, 3), "at_ms": match.at_ms}
