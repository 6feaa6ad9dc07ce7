"""What gateways of one cluster share, as ports: bindings, bans, live calls, slots and leases.

A port is a protocol, its records are frozen and flat, and times in them are milliseconds since
1970, because they outlive the process and its clock. The implementations here live in memory and
are the default. Those that last are the application's; the composition root passes them in.
Nothing that a packet or a call's set-up waits for is a coroutine.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeAlias, TypeVar

Key: TypeAlias = tuple[str, ...]


class Keyed(Protocol):
    """A record that has a key."""

    @property
    def key(self) -> Key:
        """What no other record of its store has."""
        ...


R = TypeVar("R", bound=Keyed)


class RecordStore(Protocol[R]):
    """Keeps records of one kind over a restart; `save` and `delete` return at once."""

    async def load(self) -> list[R]:
        """Every record that is kept, in any order."""
        ...

    def save(self, record: R) -> None:
        """Keep `record` in place of an earlier one with the same key."""
        ...

    def delete(self, *key: str) -> None:
        """Drop the record with that key; it is fine if there is none."""
        ...


class MemoryStore(Generic[R]):
    """A `RecordStore` that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[Key, R] = {}

    async def load(self) -> list[R]:
        return list(self._records.values())

    def save(self, record: R) -> None:
        self._records[record.key] = record

    def delete(self, *key: str) -> None:
        self._records.pop(key, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRecord:
    """A contact that a peer registered (RFC 3261 10.3).

    `contact` and `params` are as received. `source` is an endpoint as text
    (`udp:192.0.2.7:5060`); `path` has one Path value a line (RFC 3327).
    """

    trunk: str
    aor: str
    contact: str
    params: str
    q: float
    instance: str
    source: str
    path: str
    sip_call_id: str
    cseq: int
    user_agent: str
    registered_ms: int
    expires_ms: int

    @property
    def key(self) -> Key:
        return self.trunk, self.aor, self.contact


@dataclass(frozen=True, slots=True, kw_only=True)
class BanRecord:
    """A ban of an address, or of an IPv6 network of 64 bits. `bans` counts all of its
    bans until now: the next one lasts longer, even after this one is over."""

    address: str
    reason: str
    strikes: int
    bans: int
    since_ms: int
    until_ms: int

    @property
    def key(self) -> Key:
        return (self.address,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSnapshot:
    """A call in progress as it was at a transition. `state` is its `CallState` as JSON text,
    `owner` the process that runs it."""

    call_id: str
    owner: str
    state: str
    saved_ms: int

    @property
    def key(self) -> Key:
        return (self.call_id,)


BindingStore: TypeAlias = RecordStore[BindingRecord]
BanStore: TypeAlias = RecordStore[BanRecord]
SnapshotStore: TypeAlias = RecordStore[CallSnapshot]


class Slots(Protocol):
    """The calls of each trunk, counted over the whole cluster.

    What other gateways carry may be known a moment late; the counts of this one are exact.
    """

    def taken(self, trunk: str) -> int:
        """How many calls the trunk carries now."""
        ...

    def take(self, trunk: str) -> None:
        """One more call of this gateway's."""
        ...

    def give_back(self, trunk: str) -> None:
        """One call fewer, which this gateway had taken."""
        ...


class MemorySlots:
    """The `Slots` of a gateway that shares its trunks with no other."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def taken(self, trunk: str) -> int:
        return self._calls[trunk]

    def take(self, trunk: str) -> None:
        self._calls[trunk] += 1

    def give_back(self, trunk: str) -> None:
        self._calls[trunk] -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A role that one process has until `expires_ms`. `term` is higher for each new owner, so that
    a late act of the former one can be told."""

    name: str
    owner: str
    term: int
    expires_ms: int


class Leases(Protocol):
    """Roles that only one process of a cluster may have at a time."""

    async def take(
        self, name: str, owner: str, lasts_s: float, *, instead_of: Lease | None = None
    ) -> Lease | None:
        """Take the role, or keep it for `lasts_s` more seconds; None while another process has it.

        `instead_of` is a lease whose owner is known to be dead: it need not expire first.
        """
        ...

    async def holder(self, name: str) -> Lease | None:
        """The lease that holds now."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the role back. Another process's lease stays."""
        ...


class MemoryLeases:
    """The `Leases` of a gateway that is a cluster of its own."""

    def __init__(self, epoch: Callable[[], float]) -> None:
        """`epoch` is the time in seconds since 1970 (`sip.clock.Clock.epoch`)."""
        self._epoch = epoch
        self._leases: dict[str, Lease] = {}

    async def take(
        self, name: str, owner: str, lasts_s: float, *, instead_of: Lease | None = None
    ) -> Lease | None:
        now_ms = round(self._epoch() * 1000)
        old = self._leases.get(name)
        free = old is None or old.expires_ms <= now_ms or old.owner == owner
        same = old is not None and instead_of is not None and _are_one(old, instead_of)
        if not free and not same:
            return None
        term = 1 if old is None else old.term + (old.owner != owner)
        expires_ms = now_ms + round(lasts_s * 1000)
        lease = Lease(name=name, owner=owner, term=term, expires_ms=expires_ms)
        self._leases[name] = lease
        return lease

    async def holder(self, name: str) -> Lease | None:
        lease = self._leases.get(name)
        return lease if lease is not None and lease.expires_ms > self._epoch() * 1000 else None

    async def release(self, lease: Lease) -> None:
        held = self._leases.get(lease.name)
        if held is not None and _are_one(held, lease):
            self._leases[lease.name] = replace(held, expires_ms=0)  # its term goes on


def _are_one(one: Lease, other: Lease) -> bool:
    """Whether both are the same term of the same owner, whenever renewed."""
    return (one.owner, one.term) == (other.owner, other.term)
