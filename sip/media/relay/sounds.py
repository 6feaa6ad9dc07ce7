"""Sounds that are played again and again: files that were read, and ringback tones.

A file is read anew when it was changed. What is kept is bounded; what was not played for longest
goes first.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from sip.media.plane import MediaError
from sip.media.relay.wav import MAX_FILE, Clip, Coding, read
from sip.media.ringback import Ringback

#: Octets of files that are kept, and how many files at most.
MAX_KEPT: Final = 64_000_000
MAX_FILES: Final = 256


class _Read(NamedTuple):
    """A clip, and what tells whether its file is still the same."""

    version: tuple[int, int, int]
    clip: Clip


class Sounds:
    """What the relay plays from."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, _Read] = OrderedDict()
        self._tones: dict[Ringback, Clip] = {}

    def file(self, path: Path) -> Clip:
        """A WAV file of this host. Raises `MediaError` bad-audio."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # to open a pipe could hold up every call
                raise MediaError("bad-audio", f"{path}: no such file")
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            kept = self._files.get(path)
            if kept is None or kept.version != version:
                kept = self._files[path] = _Read(version, _read(path))
        except (OSError, ValueError) as error:
            words = (
                os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            )
            raise MediaError("bad-audio", f"{path}: {words}") from None
        self._files.move_to_end(path)
        self._let_go()
        return kept.clip

    def ringback(self, ringback: Ringback) -> Clip:
        """A cycle of a ringback tone; there are few of them."""
        clip = self._tones.get(ringback)
        if clip is None:
            clip = self._tones[ringback] = Clip(Coding.PCM16, ringback.cycle())
        return clip

    def _let_go(self) -> None:
        kept = sum(len(one.clip.data) for one in self._files.values())
        while len(self._files) > 1 and (kept > MAX_KEPT or len(self._files) > MAX_FILES):
            kept -= len(self._files.popitem(last=False)[1].clip.data)


def _read(path: Path) -> Clip:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    try:
        return read(data)
    except MediaError as error:
        raise MediaError("bad-audio", f"{path}: {error.text}") from None
