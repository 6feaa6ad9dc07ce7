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
    for path, name in (*_of_durations(settings), *_of_transfers(settings)):
        yield path, folder / name


def _of_durations(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """What callers hear whose time is over."""
    if settings.inbound.announcement is not None:
        yield ("inbound", "announcement"), settings.inbound.announcement
    for number, entry in settings.numbers.items():
        if entry.inbound is not None and entry.inbound.announcement is not None:
            yield ("numbers", number, "inbound", "announcement"), entry.inbound.announcement


def _of_transfers(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """What callers, and those who are called for them, hear."""
    found: list[tuple[KeyPath, str | None]] = [
        (("transfer", "announcement"), settings.transfer.announcement),
        (("transfer", "ringing"), settings.transfer.ringing),
    ]
    for number, ours in settings.numbers.items():
        if ours.closed is not None:
            found.append((("numbers", number, "closed", "announcement"), ours.closed.announcement))
    for name, entry in settings.directory.items():
        path: KeyPath = ("directory", name)
        found.append(((*path, "announcement"), entry.announcement))
        found.append(((*path, "ringing"), entry.ringing))
        if entry.closed is not None:
            found.append(((*path, "closed", "announcement"), entry.closed.announcement))
        for index, target in enumerate(entry.targets):
            found.append(((*path, "targets", index, "whisper"), target.whisper))
    yield from ((path, name) for path, name in found if name is not None)
