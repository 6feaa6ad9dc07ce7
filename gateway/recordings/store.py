"""The recordings of this gateway: encrypted files in one folder, read, listed and deleted.

The folder is the only list of them: what is there can be played, and what was deleted is gone.
Everything here reads the disk, so that the HTTP side has it done in a thread.
"""

import re
import secrets
import struct
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from sip.media.recording import keys
from sip.media.recording.keys import KeyFileError, Keys
from sip.media.recording.vault import SAMPLE_OCTETS, SUFFIX, Header, VaultError, VaultReader

log = structlog.get_logger(__name__)

#: A recording's name, which is its file's without the suffix.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

_PCM: Final = 1
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")


class NoRecordingError(LookupError):
    """There is no recording of that name."""


class UnreadableError(Exception):
    """The recording, or the file of keys, is not as it was written; the text says how."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording on disk. `octets` are the file's, `started_at` seconds since 1970."""

    name: str
    call_sid: str
    started_at: float
    seconds: float
    octets: int


class RecordingStore:
    """The recordings in `folder`; `key_file` is read anew for each that is played."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        self.folder = folder
        self._key_file = key_file

    def listed(self) -> list[Stored]:
        """All of them, the newest first. A file that cannot be read is logged and left out."""
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            try:
                found.append(self._stored(path))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except (VaultError, OSError) as error:
                log.warning("recording.unreadable", file=path.name, error=str(error))
        return sorted(found, key=lambda one: (one.started_at, one.name), reverse=True)

    def get(self, name: str) -> Stored:
        """One of them. Raises NoRecordingError and UnreadableError."""
        try:
            return self._stored(self._path(name))
        except FileNotFoundError:
            raise NoRecordingError(name) from None
        except VaultError as error:
            raise UnreadableError(str(error)) from None

    def delete(self, name: str) -> None:
        """Delete it, also while its call is being recorded. Raises NoRecordingError."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise NoRecordingError(name) from None

    def wav(self, name: str) -> tuple[int, Generator[bytes, None, None]]:
        """It as a WAV file: how long that is, and its parts.

        Raises NoRecordingError and UnreadableError, as do the parts, of which the first is the
        file's header: what came before is as it was recorded.
        """
        try:
            reader = VaultReader.open(self._path(name))
        except FileNotFoundError:
            raise NoRecordingError(name) from None
        except VaultError as error:
            raise UnreadableError(str(error)) from None
        try:
            known = Keys.read(self._key_file)
            octets = reader.octets
        except KeyFileError as error:
            reader.close()
            raise UnreadableError(str(error)) from None
        return _WAV.size + octets, _parts(reader, known, octets)

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise NoRecordingError(name)
        return self.folder / (name + SUFFIX)

    def _stored(self, path: Path) -> Stored:
        with closing(VaultReader.open(path)) as reader:
            header, octets = reader.header, reader.octets
        second = header.rate_hz * header.channels * SAMPLE_OCTETS
        return Stored(
            name=path.name.removesuffix(SUFFIX),
            call_sid=header.call_sid,
            started_at=header.started_at,
            seconds=round(octets / second, 1),
            octets=path.stat().st_size,
        )


def new_key(name: str) -> str:
    """A line for the file of keys, with a new key. Raises ValueError for a bad name."""
    return keys.new_key(name, secrets.token_bytes(keys.KEY_OCTETS))


def delete_old(
    store: RecordingStore, *, keep_days: int, max_octets: int, now: float
) -> tuple[int, int]:
    """Delete what is too old, then the oldest until no more than `max_octets` are left; 0 for all.

    Returns how many were deleted, and their octets. `now` is in seconds since 1970.
    """
    deleted = octets = 0
    recordings = store.listed()
    room = max_octets or sum(one.octets for one in recordings)
    for one in recordings:
        room -= one.octets
        if room >= 0 and not (keep_days and one.started_at < now - keep_days * 86_400):
            continue
        with suppress(NoRecordingError):
            store.delete(one.name)
            deleted += 1
            octets += one.octets
    return deleted, octets


def _parts(reader: VaultReader, known: Keys, octets: int) -> Generator[bytes, None, None]:
    with closing(reader):
        yield _wav_header(reader.header, octets)
        try:
            yield from reader.chunks(known)
        except VaultError as error:
            raise UnreadableError(str(error)) from None


def _wav_header(header: Header, octets: int) -> bytes:
    """RIFF, PCM of 16 bits."""
    block = header.channels * SAMPLE_OCTETS
    rate = header.rate_hz
    return _WAV.pack(
        b"RIFF", _WAV.size - 8 + octets, b"WAVE", b"fmt ", 16, _PCM, header.channels, rate,
        rate * block, block, 8 * SAMPLE_OCTETS, b"data", octets,
    )  # fmt: skip
