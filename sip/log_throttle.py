"""Log lines that would repeat: the first is written, the same again only after a while."""

from collections import OrderedDict

#: Seconds until the same line about the same source is worth writing again.
REPEAT_S = 3600.0
MAX_REMEMBERED = 4096


class Throttle:
    """Says whether a line is news; remembers 4096 lines, the oldest are forgotten first."""

    def __init__(self, repeat_s: float = REPEAT_S) -> None:
        """The same line is news again after `repeat_s` seconds."""
        self._repeat_s = repeat_s
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_new(self, about: str, kind: str, now: float) -> bool:
        """Whether no line of this kind `about` it was written of late; now it is."""
        logged = self._logged.get((about, kind))
        if logged is not None and now - logged < self._repeat_s:
            return False
        self._logged[about, kind] = now
        self._logged.move_to_end((about, kind))
        if len(self._logged) > MAX_REMEMBERED:
            self._logged.popitem(last=False)
        return True

    def forget(self, about: str) -> None:
        """It works: the next failure is news again."""
        for key in [key for key in self._logged if key[0] == about]:
            del self._logged[key]
