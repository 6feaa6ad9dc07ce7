"""Keys in the bodies of INFO requests: ``application/dtmf-relay`` and ``application/dtmf``.

No RFC defines them. The first has lines, ``Signal=5`` and ``Duration=160`` in milliseconds; the
second is the key alone. Peers write them in many ways, so that reading is lenient.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RELAY: Final = "application/dtmf-relay"
ALONE: Final = "application/dtmf"
#: The Content-Types that are read here.
KINDS: Final = frozenset({RELAY, ALONE})

#: Keys in the order of their numbers (RFC 4733 3.2).
KEYS: Final = "0123456789*#ABCD"

#: Milliseconds that a key is held where it is not said, and the least and most that are believed.
USUAL_MS: Final = 250
LEAST_MS: Final = 40
MOST_MS: Final = 5000

_SIGNAL: Final = re.compile(r"^[ \t]*Signal[ \t]*[=:][ \t]*(\S+)[ \t]*\r?$", re.I | re.M)
_DURATION: Final = re.compile(r"^[ \t]*Duration[ \t]*[=:][ \t]*(\d{1,9})[ \t]*\r?$", re.I | re.M)


class InfoKey(NamedTuple):
    """A key, one of 0-9, ``*``, ``#``, A-D, and how long it was held."""

    key: str
    duration_ms: int


def read(content_type: str, body: bytes) -> InfoKey | None:
    """The key in a body of one of the `KINDS`; None where there is none, such as a hook flash."""
    text = body.decode("ascii", "replace")
    duration_ms = USUAL_MS
    if content_type == RELAY:
        signal = _SIGNAL.search(text)
        held = _DURATION.search(text)
        if held is not None:
            duration_ms = min(max(int(held[1]), LEAST_MS), MOST_MS)
        word = signal[1] if signal is not None else ""
    else:
        word = text.strip()
    key = _key(word)
    return None if key is None else InfoKey(key, duration_ms)


def write(content_type: str, key: InfoKey) -> bytes:
    """A body of one of the `KINDS`."""
    if content_type == ALONE:
        return key.key.encode()
    return f"Signal={key.key}\r\nDuration={key.duration_ms}\r\n".encode()


def _key(word: str) -> str | None:
    """A key by its sign, or by its number where that has two digits."""
    sign = word.upper()
    if len(sign) == 1 and sign in KEYS:
        return sign
    if len(word) == 2 and word.isascii() and word.isdigit() and int(word) < len(KEYS):
        return KEYS[int(word)]
    return None
