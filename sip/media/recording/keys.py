"""The keys that recordings are encrypted with: a file of lines, ``NAME BASE64-OF-32-OCTETS``.

The first key encrypts; all of them decrypt, so that a new one is put on top and the old ones stay
for as long as there are recordings that were made with them.
"""

from __future__ import annotations

import base64
import binascii
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sip.errors import Fault, SipError

KEY_OCTETS: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class KeyFileError(SipError):
    """The file of keys cannot be used; the text says where and why."""

    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by name; `newest` is the name of the one that encrypts."""

    newest: str
    by_name: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Keys:
        """The keys of a file that is its owner's alone. Raises KeyFileError."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise KeyFileError(f"{path}: {reason}") from None
        if mode & 0o077:
            raise KeyFileError(f"{path}: others may read it (mode {mode:04o}); chmod 600 {path}")
        keys = dict(_entries(path, text))
        if not keys:
            raise KeyFileError(f"{path}: it holds no key; `recordings new-key` prints one")
        return cls(next(iter(keys)), keys)


def new_key(name: str, octets: bytes) -> str:
    """A line of the file. `octets` are 32 random ones. Raises ValueError for a bad name."""
    if not _NAME.fullmatch(name) or len(octets) != KEY_OCTETS:
        raise ValueError(f"{name!r} is no name of a key: letters, digits, '_', '.', '-', up to 32")
    return f"{name} {base64.b64encode(octets).decode()}\n"


def _entries(path: Path, text: str) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, encoded = line.strip().partition(" ")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            key = b""
        if not _NAME.fullmatch(name) or len(key) != KEY_OCTETS:
            raise KeyFileError(f"{path}:{number}: not a name and {KEY_OCTETS} octets in base64")
        yield name, key
