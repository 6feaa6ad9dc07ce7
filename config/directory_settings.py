"""Whom a caller may be handed to: the entries of `directory`, and where calls go out of hours."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.texts import Name, SoundName
from config.transfer_settings import After
from config.values import Model, Seconds


class DirectoryTargetSettings(Model):
    """One phone of an entry. `confirm`: who answers must press 1 to take the call, after having
    heard `whisper`. `ring_s` is in place of `transfer.ring_s`."""

    trunk: Name
    to: Name
    confirm: bool = False
    whisper: SoundName | None = None
    ring_s: Seconds | None = None


class ClosedSettings(Model):
    """Where callers go out of hours: an announcement, then an entry of `directory`, or a phone."""

    announcement: SoundName | None = None
    entry: Name | None = None
    trunk: Name | None = None
    to: Name | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.trunk is None) != (self.to is None):
            raise ValueError("trunk and to belong together")
        if self.entry is not None and self.trunk is not None:
            raise ValueError("has two ways: entry, and trunk with to; take one of them out")
        if self.entry is None and self.trunk is None and self.announcement is None:
            raise ValueError("says nothing: give announcement, entry, or trunk and to")
        return self


class EntrySettings(Model):
    """A name that callers can be handed to: phones that ring `in-turn` or `all` at once.

    `aliases` are its other names: extensions, numbers. Without a `schedule` it is always open.
    `overflow` names the entries that are tried next where none of its phones took the call.
    """

    aliases: tuple[Name, ...] = ()
    targets: Annotated[tuple[DirectoryTargetSettings, ...], Field(min_length=1, max_length=10)]
    strategy: Literal["in-turn", "all"] = "in-turn"
    schedule: Name | None = None
    closed: ClosedSettings | None = None
    overflow: tuple[Name, ...] = ()
    announcement: SoundName | None = None
    ringing: SoundName | None = None
    after: After | None = None
