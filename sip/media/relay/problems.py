"""The relay's log: one line per class of problem, then silence and a count.

Lines are `key=value` on standard error. Where that is a pipe it is written without waiting: a
parent that does not read must not stop the audio.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable

#: Seconds between two lines of one class.
INTERVAL_S = 10.0


#: Longest value written; what was received may be long.
MAX_VALUE = 200


def _quoted(value: object) -> str:
    text = str(value)[:MAX_VALUE]
    if text and text.isascii() and text.isprintable() and not set(text) & set(' ="\\'):
        return text
    return json.dumps(text)


class ProblemLog:
    """Writes `level=… event=… key=value…`; `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float], fd: int | None = None) -> None:
        self._now = now
        self._fd = sys.stderr.fileno() if fd is None else fd
        self._next: dict[str, float] = {}
        self._held_back: dict[str, int] = {}
        if stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            os.set_blocking(self._fd, False)

    def line(self, level: str, event: str, **fields: object) -> None:
        """Writes unconditionally."""
        text = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
        try:
            os.write(self._fd, f"level={level} event={event}{text}\n".encode())
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
