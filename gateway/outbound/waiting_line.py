"""The calls that wait, in memory: of each no more than what decides about its turn.

Those that are not due yet lie in a heap by time. Those that are lie in lanes: of one campaign, and
by the same trunks, so that what one trunk has no room for holds up nobody else. By which trunks a
call goes is found out when its turn is near: until then it is in its campaign's first lane.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

#: Entries that are gone and still in a heap, before the heaps are made anew.
_MOST_GONE: Final = 2000

#: Priority, time, age: the smaller, the earlier.
Order: TypeAlias = tuple[int, int, int, str]


@dataclass(slots=True, eq=False)
class Entry:
    """One call that waits; times are milliseconds since 1970. `gone`: it does not, any more."""

    queued_id: str
    order: Order
    due_ms: int
    expires_ms: int
    window: str | None
    zones: tuple[str, ...]
    campaign: str | None
    #: the id of its next call, once that may be stored
    call_id: str | None = None
    gone: bool = False

    def __lt__(self, other: "Entry") -> bool:
        """A heap asks where a call's former entry is still in it: the one that is gone first."""
        return self.gone and not other.gone


class Lane:
    """Calls of one campaign that go by the same trunks, or (None) by trunks not known yet."""

    def __init__(self, campaign: str | None, trunks: tuple[str, ...] | None) -> None:
        self.campaign = campaign
        self.trunks = trunks
        #: monotonic seconds: nothing of it is tried before
        self.held_until = float("-inf")
        self._heap: list[tuple[Order, Entry]] = []

    def head(self) -> Entry | None:
        """Whose turn is first."""
        while self._heap:
            entry = self._heap[0][1]
            if not entry.gone:
                return entry
            heappop(self._heap)
        return None

    def push(self, entry: Entry) -> None:
        heappush(self._heap, (entry.order, entry))

    def pop(self, most: int) -> list[Entry]:
        """Take the first ones out."""
        found: list[Entry] = []
        while len(found) < most and self.head() is not None:
            found.append(heappop(self._heap)[1])
        return found

    def sweep(self) -> None:
        """Forget those that are gone."""
        self._heap = [item for item in self._heap if not item[1].gone]
        heapify(self._heap)


class WaitingLine:
    """Every call that waits. Whoever takes an entry out of a lane puts it back, or drops it."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._later: list[tuple[int, Order, Entry]] = []
        self._expiring: list[tuple[int, Order, Entry]] = []
        self._lanes: dict[tuple[str | None, tuple[str, ...] | None], Lane] = {}
        #: lanes whose trunks are not known any more
        self._former: list[Lane] = []
        self._gone = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, queued_id: str) -> Entry | None:
        """The entry of that call."""
        return self._entries.get(queued_id)

    def add(self, entry: Entry) -> None:
        """It waits from now on, until it is due."""
        self._register(entry)
        self.put_off(entry, entry.due_ms)

    def add_due(self, entry: Entry, trunks: tuple[str, ...]) -> Lane:
        """It waits from now on, and is due; into which lane it went."""
        self._register(entry)
        return self.put_back(entry, trunks)

    def watch(self, entry: Entry) -> None:
        """Name it when its time is over."""
        heappush(self._expiring, (entry.expires_ms, entry.order, entry))

    def put_off(self, entry: Entry, due_ms: int) -> None:
        """An entry that was taken out waits until then."""
        entry.due_ms = due_ms
        heappush(self._later, (due_ms, entry.order, entry))

    def put_back(self, entry: Entry, trunks: tuple[str, ...] | None) -> Lane:
        """An entry that was taken out is due; into which lane it went."""
        lane = self._lane(entry.campaign, trunks)
        lane.push(entry)
        return lane

    def drop(self, entry: Entry) -> None:
        """It waits no more."""
        if entry.gone:
            return
        entry.gone = True
        self._gone += 1
        del self._entries[entry.queued_id]
        if self._gone > max(_MOST_GONE, len(self._entries)):
            self._sweep()

    def ripen(self, now_ms: int, most: int) -> bool:
        """Bring what is due into the lanes, so many at a time; whether there is more."""
        for _ in range(most):
            if not self._later or self._later[0][0] > now_ms:
                return False
            entry = heappop(self._later)[2]
            if not entry.gone:
                self.put_back(entry, None)
        return True

    def expired(self, now_ms: int, most: int) -> list[Entry]:
        """Entries whose time is over; each is named once."""
        found: list[Entry] = []
        while self._expiring and self._expiring[0][0] <= now_ms and len(found) < most:
            entry = heappop(self._expiring)[2]
            if not entry.gone:
                found.append(entry)
        return found

    def next_ms(self) -> int | None:
        """When the next entry is due or expires."""
        heads = [heap[0][0] for heap in (self._later, self._expiring) if heap]
        return min(heads, default=None)

    def lanes(self, now: float) -> Iterator[tuple[Lane, Entry]]:
        """Every lane that has a call, with the first one. Empty lanes that nothing holds are
        forgotten."""
        for key, lane in list(self._lanes.items()):
            head = lane.head()
            if head is not None:
                yield lane, head
            elif lane.held_until <= now:
                del self._lanes[key]
        self._former = [lane for lane in self._former if lane.head() is not None]
        for lane in self._former:
            if (head := lane.head()) is not None:
                yield lane, head

    def forget_trunks(self) -> None:
        """Find out anew by which trunks each call goes, when its turn is near."""
        for key, lane in list(self._lanes.items()):
            if lane.trunks is not None:
                lane.trunks = None
                self._former.append(lane)
                del self._lanes[key]

    def find(self, wanted: Callable[[Entry], bool]) -> Sequence[Entry]:
        """All entries of which that is true."""
        return [entry for entry in self._entries.values() if wanted(entry)]

    def _register(self, entry: Entry) -> None:
        if (old := self._entries.get(entry.queued_id)) is not None:
            self.drop(old)
        self._entries[entry.queued_id] = entry
        self.watch(entry)

    def _lane(self, campaign: str | None, trunks: tuple[str, ...] | None) -> Lane:
        lane = self._lanes.get((campaign, trunks))
        if lane is None:
            lane = self._lanes[campaign, trunks] = Lane(campaign, trunks)
        return lane

    def _sweep(self) -> None:
        self._gone = 0
        self._later = [item for item in self._later if not item[2].gone]
        self._expiring = [item for item in self._expiring if not item[2].gone]
        heapify(self._later)
        heapify(self._expiring)
        for lane in (*self._lanes.values(), *self._former):
            lane.sweep()
