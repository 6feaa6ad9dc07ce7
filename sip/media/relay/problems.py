"""The relay's log: one line per class of problem, then silence and a count.

A line is a JSON object with `level`, `event` (a dotted slug), and facts as keys, on standard error.
Where that is a pipe it is written without waiting: a parent that does not read must not stop the
audio.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Final

#: Seconds between two lines of one class.
INTERVAL_S: Final = 10.0

#: Longest value written, in characters; what was received may be long.
MAX_VALUE: Final = 200


def _short(value: object) -> object:
    return value if isinstance(value, int) else str(value)[:MAX_VALUE]


class ProblemLog:
    """Writes lines; `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float], fd: int | None = None) -> None:
        self._now = now
        self._fd = sys.stderr.fileno() if fd is None else fd
        self._next: dict[str, float] = {}
        self._held_back: dict[str, int] = {}
        if stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            os.set_blocking(self._fd, False)

    def line(self, level: str, event: str, **fields: object) -> None:
        """Writes unconditionally."""
        facts = {key: _short(value) for key, value in fields.items()}
        line = json.dumps({"level": level, "event": event, **facts}).replace("\x7f", "\\u007f")
        try:
            os.write(self._fd, line.encode() + b"\n")
        except OSError:
            # The pipe's reader is gone, or the disk is full; the calls go on.
            return

    def problem(self, event: str, **fields: object) -> None:
        """Writes at most one line of this `event` in `INTERVAL_S` and the number held back."""
        now = self._now()
        if now < self._next.get(event, float("-inf")):
            self._held_back[event] = self._held_back.get(event, 0) + 1
            return
        self._next[event] = now + INTERVAL_S
        held_back = self._held_back.pop(event, 0)
        if held_back:
            fields["held_back"] = held_back
        self.line("warning", event, **fields)
