"""Puts in order what may come late, twice or not at all: numbered pieces of audio."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: How long a missing piece is waited for, in seconds.
WAIT_S: Final = 0.05
#: A jump by more than this, either way, is another numbering.
MAX_JUMP: Final = 500


class Mending(Generic[T]):
    """The pieces of one stream; time is passed in, in monotonic seconds."""

    __slots__ = ("_next", "_waiting", "late", "missing")

    def __init__(self, first: int | None = None) -> None:
        """`first` is the number of the first piece, where that is known: it may come late, too."""
        self._next = first
        self._waiting: dict[int, tuple[float, T]] = {}
        #: pieces that came twice or too late; pieces that never came in time
        self.late = self.missing = 0

    def take(self, number: int, piece: T, now: float) -> list[T]:
        """What may go on, in order, now that this piece is here."""
        expected = self._next
        if expected is None or number == expected:
            self._next = number + 1
            return [piece, *self._run()] if self._waiting else [piece]
        ahead = number - expected
        if abs(ahead) > MAX_JUMP:
            gone = self._all()
            self._next = number + 1
            return [*gone, piece]
        if ahead < 0 or number in self._waiting:
            self.late += 1
            return []
        self._waiting[number] = now, piece
        return []

    @property
    def due(self) -> float | None:
        """When `overdue` is to be asked; None while nothing waits."""
        if not self._waiting:
            return None
        return min(at for at, _ in self._waiting.values()) + WAIT_S

    def overdue(self, now: float) -> list[T]:
        """What has waited long enough for those before it, and what follows that."""
        gone: list[T] = []
        while self._waiting and self._next is not None:
            first = min(self._waiting)
            since = min(at for at, _ in self._waiting.values())
            if now - since < WAIT_S - 0.001:
                break
            self.missing += first - self._next
            self._next = first
            gone += self._run()
        return gone

    def _run(self) -> list[T]:
        """The pieces that follow without a gap."""
        gone = []
        while self._next in self._waiting:
            gone.append(self._waiting.pop(self._next)[1])
            self._next += 1
        return gone

    def _all(self) -> list[T]:
        gone = [self._waiting[number][1] for number in sorted(self._waiting)]
        self._waiting.clear()
        return gone
