"""The files that the configuration has played: whether each can be."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from config.problems import KeyPath
from config.settings import Settings
from gateway.start.errors import StartupError
from sip.media.plane import MediaError
from sip.media.relay.sounds import Sounds

#: Where it is named, the file, and why it cannot be played, if it cannot.
Sound: TypeAlias = tuple[KeyPath, Path, str | None]


def sounds(settings: Settings) -> Iterator[Sound]:
    """Each file that is named, read as our relay reads it; an rtpengine reads more kinds."""
    if not settings.sip.listen:
        return
    read = Sounds()
    for path, file in _named(settings):
        try:
            if "builtin" in settings.media.engine:
                read.file(file)
            elif not file.is_file():
                raise MediaError("bad-audio", f"{file}: no such file")
        except MediaError as error:
            yield path, file, error.text
        else:
            yield path, file, None


def check_sounds(settings: Settings) -> None:
    """Raises StartupError for the first that cannot be played."""
    for path, _, reason in sounds(settings):
        if reason is not None:
            raise StartupError(f"{'.'.join(map(str, path))}: {reason}")


def _named(settings: Settings) -> Iterator[tuple[KeyPath, Path]]:
    if settings.media.hold_music is not None:
        yield ("media", "hold_music"), settings.media.hold_music
    folder = settings.media.sounds
    if folder is None:
        return
    for number, entry in settings.numbers.items():
        if entry.announcement is not None:
            yield ("numbers", number, "announcement", "file"), folder / entry.announcement.file
        if entry.ringing is not None:
            yield ("numbers", number, "ringing"), folder / entry.ringing
