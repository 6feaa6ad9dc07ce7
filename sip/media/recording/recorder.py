"""The recorder: takes packets of many calls and writes one encrypted file for each recording.

It is a program of its own, as a disk may be slow, full or gone, and no call may hear of it. The
relay sends what its parties say; what becomes of a recording is told back in one frame.
"""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from sip.media.recording.decoders import Decoder
from sip.media.recording.keys import Keys
from sip.media.recording.timeline import (
    CHANNELS,
    HEADER_SIZE,
    RATE_HZ,
    WINDOW_S,
    Timeline,
    payload_of,
)
from sip.media.recording.vault import SUFFIX, Header, VaultWriter
from sip.media.relay.frames import Codec, Frame, Kind

log = structlog.get_logger(__name__)

#: Seconds of audio in a chunk.
CHUNK_S: Final = 1.0

_AUDIO_HEAD: Final = 2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Tells the relay: a frame.
Tell = Callable[[Frame], None]

#: Tells the operator what became of a recording: its name, call, reason, seconds and octets.
Report = Callable[[dict[str, object]], None]


class Recording:
    """One recording, from its first frame to its end."""

    def __init__(self, vault: VaultWriter, header: Header, began: float) -> None:
        self.header = header
        self.began = began
        self.octets = 0
        self._vault = vault
        self._timeline = Timeline(began)
        self._decoders: dict[tuple[int, Codec], Decoder] = {}
        self._paused = False
        self._written = began

    def hear(self, channel: int, codec: Codec, packet: bytes, now: float) -> None:
        """What a party said. The relay sends nothing in a pause: what comes ends it."""
        if self._paused:
            self.pause(False)
        key = channel, codec
        decoder = self._decoders.get(key)
        if decoder is None:
            decoder = self._decoders[key] = Decoder(codec)
        pcm = decoder.pcm(payload_of(packet))
        self._timeline.put(channel, packet, pcm, decoder.clock_hz, now)

    def pause(self, paused: bool) -> None:
        """What is said from now on is silence in the recording, or is heard again."""
        if self._paused and not paused:
            self._timeline.begin_anew()
        self._paused = paused

    def write(self, now: float, *, last: bool = False) -> None:
        """Writes what nothing late can change any more; everything if it is the last. OSError."""
        until = now if last else now - WINDOW_S
        if not last and until - self._written < CHUNK_S:
            return
        self._written = until
        audio = self._timeline.take(until)
        self._vault.write(audio, last=last)
        self.octets += len(audio)

    def close(self) -> None:
        """Let go of the file."""
        self._vault.close()


class Recorder:
    """The recordings of one relay, which is told by `tell` of their ends, as is `report`."""

    def __init__(self, directory: Path, keys: Keys, tell: Tell, report: Report) -> None:
        self._directory = directory
        self._keys = keys
        self._tell = tell
        self._report = report
        self._recordings: dict[int, Recording] = {}

    def __len__(self) -> int:
        return len(self._recordings)

    def take(self, frame: Frame) -> None:
        """What the relay says. One of a recording that is over, or was never begun, is nothing."""
        recording = self._recordings.get(frame.number)
        match frame.kind:
            case Kind.BEGIN if recording is None:
                self._begin(frame)
            case Kind.AUDIO if recording is not None:
                self._hear(recording, frame)
            case Kind.PAUSE | Kind.RESUME if recording is not None:
                recording.pause(frame.kind is Kind.PAUSE)
            case Kind.END if recording is not None:
                self._end(frame.number, frame.time, frame.body.decode("ascii", "replace"))
            case _:
                pass

    def pass_time(self, now: float) -> None:
        """Writes what is due; to be called a few times a second."""
        for number, recording in list(self._recordings.items()):
            try:
                recording.write(now)
            except OSError as error:
                self._over(number, now, _reason(error))

    def close(self, now: float) -> None:
        """The relay is gone: end what is open."""
        for number in list(self._recordings):
            self._end(number, now, "relay-gone")

    def _begin(self, frame: Frame) -> None:
        try:
            about = json.loads(frame.body)
            name = str(about["recording"])
            header = Header(
                recording=name,
                call_sid=str(about["call_sid"]),
                started_at=float(about["started_at"]),
                key=self._keys.newest,
                salt=secrets.token_hex(16),
                rate_hz=RATE_HZ,
                channels=CHANNELS,
            )
        except (ValueError, KeyError, TypeError):
            log.error("recording.unreadable-begin", number=frame.number)
            self._tell(Frame(Kind.ENDED, frame.number, frame.time))
            return
        try:
            if Path(name).name != name or name.startswith("."):
                raise OSError(errno.EINVAL, "not the name of a file")
            vault = VaultWriter(self._directory / (name + SUFFIX), header, self._keys)
        except OSError as error:
            self._say_ended(frame, header, _reason(error), 0.0, 0)
            return
        self._recordings[frame.number] = Recording(vault, header, frame.time)

    def _hear(self, recording: Recording, frame: Frame) -> None:
        packet = frame.body[_AUDIO_HEAD:]
        if len(packet) < HEADER_SIZE:
            return
        channel, codec = frame.body[:_AUDIO_HEAD]
        if channel < CHANNELS and codec in Codec._value2member_map_:
            recording.hear(channel, Codec(codec), packet, frame.time)

    def _end(self, number: int, now: float, reason: str) -> None:
        try:
            self._recordings[number].write(now, last=True)
        except OSError as error:
            reason = _reason(error)
        self._over(number, now, reason)

    def _over(self, number: int, now: float, reason: str) -> None:
        """What was written stays, and the call goes on."""
        recording = self._recordings.pop(number)
        recording.close()
        frame = Frame(Kind.ENDED, number, now)
        seconds = now - recording.began
        self._say_ended(frame, recording.header, reason, seconds, recording.octets)

    def _say_ended(
        self, frame: Frame, header: Header, reason: str, seconds: float, octets: int
    ) -> None:
        self._tell(Frame(Kind.ENDED, frame.number, frame.time))
        self._report(
            {
                "recording": header.recording,
                "call_sid": header.call_sid,
                "reason": reason,
                "seconds": round(seconds, 1),
                "octets": octets,
            }
        )


def _reason(error: OSError) -> str:
    return "disk-full" if error.errno in _FULL else "write-failed"
