"""The files that an application may have played, and the ringback tone of callers."""

from pathlib import Path
from typing import Final

from config.settings import Settings
from sip.core.value import frozen
from sip.errors import Fault, SipError
from sip.media.plane import RingbackTone


class SoundError(SipError):
    """A sound cannot be played; the text says which and why."""

    fault = Fault.APPLICATION


@frozen(kw_only=True)
class Sounds:
    """`folder` holds the files; None where there are none. `country` has the ringback tone."""

    folder: Path | None = None
    country: str | None = None

    @staticmethod
    def of(settings: Settings) -> "Sounds":
        """Those of the configuration."""
        country = settings.media.ringback or settings.outbound.default_country
        return Sounds(folder=settings.media.sounds, country=country)

    @property
    def ringback(self) -> RingbackTone:
        """What an answered caller hears while another leg rings."""
        return RingbackTone(self.country or "")

    def file(self, name: str) -> Path:
        """The file of that name in the folder, or below it. Raises SoundError."""
        if self.folder is None:
            raise SoundError(f"{name} cannot be played: media.sounds names no folder")
        folder = self.folder.resolve()
        try:
            path = (folder / name).resolve()
        except (OSError, ValueError):
            raise SoundError(f"{name!r} is no name of a file") from None
        if not path.is_relative_to(folder):
            raise SoundError(f"{name} is not in the folder media.sounds")
        if not path.is_file():
            raise SoundError(f"{name} is not there: media.sounds is {folder}")
        return path


#: Where nothing is configured.
NO_SOUNDS: Final = Sounds()
