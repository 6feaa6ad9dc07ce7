"""Lines of the log go through a bounded queue to a thread of their own, which alone waits for
whoever reads them: a full disk, a pipe that nobody empties, a terminal that was stopped.

What cannot be written is dropped and counted, and the count is told when a line can be written
again. The thread takes what has gathered for a moment in one write: to be woken costs as much as to
write.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias

STANDARD_ERROR: Final = 2
#: How long lines are gathered, in seconds: a line waits for so long at least, and twice as long at
#: most. A killed process loses as much.
GATHER_S: Final = 0.05
#: Letters that may wait. What is more is dropped.
MOST: Final = 4 << 20
#: How long the rest may take to be written at the end, in seconds.
CLOSE_S: Final = 1.0

#: A line, or what makes it when its turn comes.
Line: TypeAlias = str | Callable[[], str]
#: What a line costs that is not made yet, in letters.
_UNMADE: Final = 1000


class LogQueue:
    """A stream for a logger: `write` never waits and never raises. Use as a context manager.

    `told` makes the line that says how many were dropped, and why the last one was.
    """

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._lines: deque[Line] = deque()
        self._size = 0
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._lock = threading.Lock()
        self._untold = 0
        self._why = ""
        self._cut = False
        #: lines that were dropped so far
        self.dropped = 0
        self.told: Callable[[int, str], str] = lambda count, why: f"{count} lines lost: {why}\n"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._some.set()
        self._thread.join(CLOSE_S)  # a reader that is stuck keeps nobody from ending

    def write(self, line: Line) -> None:
        """Have a line written soon."""
        size = _size(line)
        with self._lock:
            if self._size + size > MOST:
                self._drop(1, "nobody takes them")
                return
            self._size += size
            self._lines.append(line)
        if not self._some.is_set():
            self._some.set()

    def lose(self, why: str) -> None:
        """A line could not even be made."""
        with self._lock:
            self._drop(1, why)

    @property
    def waiting(self) -> int:
        """Lines that no write was tried of yet."""
        return len(self._lines)

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    # the thread

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._lines):
            self._some.wait()
            self._some.clear()
            due = len(self._lines)
            self._closing.wait(GATHER_S)
            with self._lock:
                lines = [self._lines.popleft() for _ in range(due)]
                self._size -= sum(map(_size, lines))
                if self._lines:
                    self._some.set()
            if lines:
                self._put(lines)

    def _put(self, lines: list[Line]) -> None:
        lost, why = self._untold, self._why
        try:
            if lost:
                self._write(self.told(lost, why))
                with self._lock:
                    self._untold -= lost
            self._write("".join(map(_made, lines)))
        except Exception as error:  # the thread goes on, whatever it was
            why = getattr(error, "strerror", None) or repr(error)
            with self._lock:
                self._drop(len(lines), why)

    def _write(self, text: str) -> None:
        """Raises OSError, also after a part."""
        start = "\n" if self._cut else ""  # a full disk took the line before in part
        data = memoryview((start + text).encode(errors="replace"))
        while data:
            try:
                written = os.write(self._descriptor, data)
            except BlockingIOError:  # another program made the pipe so
                select.select([], [self._descriptor], [])
                continue
            self._cut = data[written - 1] != ord("\n")
            data = data[written:]

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        self._untold += count
        self._why = why


def _size(line: Line) -> int:
    return len(line) if isinstance(line, str) else _UNMADE


def _made(line: Line) -> str:
    return line if isinstance(line, str) else line()
