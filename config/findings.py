"""What `check` says of a configuration that can be used: good, doubtful and bad."""

from dataclasses import dataclass
from enum import StrEnum

from config.problems import KeyPath


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """calls fail, or anybody may place them"""
    WARNING = "warning"
    """it works, and hardly as the operator wants it"""
    NOTE = "note"
    """as configured, and good to know"""
    FINE = "fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found. `code` is a slug of docs/operating.md, `path` the key that it is about,
    `text` a clause that says what is so, `fix` what to do about it."""

    code: str
    level: Level
    path: KeyPath
    text: str
    fix: str = ""
