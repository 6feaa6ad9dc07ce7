"""Bans: sources that offend too often get nothing for a while, and longer each further time.

One mechanism for all offences: requests that nothing explains, failed digests, scanners, floods.
Whose addresses are never banned is decided before a strike is reported here
(`sip.softswitch.admission.known_peers`). Bans are kept in memory, and noted in a store so that they
hold over a restart of the gateway.
"""

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import structlog

from config.settings import BanSettings
from sip.clock import Clock
from sip.softswitch.shared import BanRecord, BanStore

log = structlog.get_logger(__name__)

#: Offenders and bans remembered; of each the oldest are forgotten first.
MAX_REMEMBERED = 10_000
#: Seconds without an offence after which an offender begins anew.
FORGIVEN_AFTER_S = 3600.0
#: Lines about bans in any ten minutes: beyond that the counters say enough.
MAX_LINES = 100
LINES_PER_S = 600.0


class Offence(Enum):
    """What a strike is for; the text is the ban's reason in the log and the API."""

    STRANGER = "requests that no trunk, login or registration explains"
    DIGEST = "wrong passwords"
    SCANNER = "a scanner's User-Agent"
    FLOOD = "more packets per second than sip.bans.packets_per_second"


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban that holds. `since` and `until` are in seconds of the clock that strikes came by;
    `address` is a network of 64 bits where it is IPv6: a host has all of those."""

    address: str
    since: float
    until: float
    reason: str
    strikes: int


@dataclass(slots=True)
class _Record:
    """What is known against one address."""

    last: float
    strikes: dict[Offence, int] = field(default_factory=dict)
    bans: int = 0


class Bans:
    """Counts strikes and bans; bounded in memory whatever arrives."""

    def __init__(self, settings: BanSettings) -> None:
        self._settings = settings
        self._limits = {
            Offence.STRANGER: settings.strangers,
            Offence.DIGEST: settings.wrong_passwords,
            Offence.SCANNER: 1,
            # a whole second's worth beyond what is let through
            Offence.FLOOD: settings.packets_per_second,
        }
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._bans: OrderedDict[str, Ban] = OrderedDict()
        self._lines: list[float] = []
        #: where bans outlive this process, once `restore` has named it
        self._store: BanStore | None = None
        self._epoch_at_zero = 0.0
        #: bans since the start, by reason
        self.counts: Counter[Offence] = Counter()

    def __len__(self) -> int:
        return len(self._bans)

    async def restore(self, store: BanStore, clock: Clock) -> int:
        """Take over the bans of the run before, and note ours in `store` from now on.

        Returns how many hold. Raises what loading raises.
        """
        records = sorted(await store.load(), key=lambda record: record.until_ms)
        now = clock.now()
        self._store, self._epoch_at_zero = store, clock.epoch() - now
        for stored in records:
            until = stored.until_ms / 1000 - self._epoch_at_zero
            record = _Record(until, bans=stored.bans)
            if until < now - self._memory_s(record):
                store.delete(stored.address)
                continue
            self._remember(stored.address, record)
            if until > now:
                since = stored.since_ms / 1000 - self._epoch_at_zero
                ban = Ban(stored.address, since, until, stored.reason, stored.strikes)
                self._bans[stored.address] = ban
        return len(self._bans)

    def strike(self, host: str, now: float, offence: Offence) -> Ban | None:
        """Count an offence of `host`; the ban that it leads to, if it does."""
        address = banned_as(host)
        if self._holding(address, now) is not None:
            return None
        record = self._records.get(address)
        if record is None or record.last < now - self._memory_s(record):
            record = _Record(now)
            self._remember(address, record)
        self._records.move_to_end(address)
        record.last = now
        strikes = record.strikes[offence] = record.strikes.get(offence, 0) + 1
        if strikes < self._limits[offence]:
            return None
        return self._ban(address, record, offence, now)

    def banned(self, host: str, now: float) -> bool:
        """Whether nothing of `host` is to be heard now."""
        return bool(self._bans) and self._holding(banned_as(host), now) is not None

    def forgive(self, host: str) -> None:
        """`host` has proved itself: its strikes are forgiven."""
        record = self._records.get(banned_as(host))
        if record is not None:
            record.strikes.clear()

    def list(self, now: float) -> Sequence[Ban]:
        """The bans that hold, oldest first."""
        return [ban for ban in self._bans.values() if ban.until > now]

    def lift(self, address: str) -> bool:
        """End the ban of `address`, as it is listed or one within it; False if there is none.

        What led to it is forgotten too.
        """
        try:
            key = banned_as(address.partition("/")[0])
        except ValueError:
            return False
        self._records.pop(key, None)
        lifted = self._bans.pop(key, None) is not None
        self._forget(key)
        if lifted:
            log.info("source.unbanned", address=key)
        return lifted

    def _holding(self, address: str, now: float) -> Ban | None:
        ban = self._bans.get(address)
        if ban is not None and ban.until <= now:
            del self._bans[address]
            self._forget(address)
            return None
        return ban

    def _memory_s(self, record: _Record) -> float:
        """How long a record outlives its last strike: a ban is remembered to be doubled."""
        return self._settings.longest_s if record.bans else FORGIVEN_AFTER_S

    def _ban(self, address: str, record: _Record, offence: Offence, now: float) -> Ban:
        # bounded exponent: a float holds no more, and longest_s ends it long before
        wanted_s = self._settings.first_s * 2.0 ** min(record.bans, 64)
        lasts_s = max(self._settings.first_s, min(wanted_s, self._settings.longest_s))
        strikes = sum(record.strikes.values())
        ban = Ban(address, now, now + lasts_s, offence.value, strikes)
        record.bans += 1
        record.last = ban.until
        record.strikes.clear()
        self._bans[address] = ban
        self._bans.move_to_end(address)
        if len(self._bans) > MAX_REMEMBERED:
            self._forget(self._bans.popitem(last=False)[0])
        self._note(ban, record)
        self.counts[offence] += 1
        self._tell(ban, lasts_s, now)
        return ban

    def _note(self, ban: Ban, record: _Record) -> None:
        if self._store is None:
            return
        self._store.save(
            BanRecord(
                address=ban.address,
                reason=ban.reason,
                strikes=ban.strikes,
                bans=record.bans,
                since_ms=round((ban.since + self._epoch_at_zero) * 1000),
                until_ms=round((ban.until + self._epoch_at_zero) * 1000),
            )
        )

    def _remember(self, address: str, record: _Record) -> None:
        self._records[address] = record
        if len(self._records) > MAX_REMEMBERED:
            self._forget(self._records.popitem(last=False)[0])

    def _forget(self, address: str) -> None:
        """The store has what memory has: an address goes when nothing is known against it."""
        known = address in self._bans or address in self._records
        if self._store is not None and not known:
            self._store.delete(address)

    def _tell(self, ban: Ban, lasts_s: float, now: float) -> None:
        self._lines = [told for told in self._lines if told > now - LINES_PER_S]
        if len(self._lines) >= MAX_LINES:
            return
        self._lines.append(now)
        log.warning(
            "source.banned",
            address=ban.address,
            for_s=round(lasts_s),
            reason=ban.reason,
            strikes=ban.strikes,
            lift=f"retell-sip-gateway unban {ban.address}",
        )


def banned_as(host: str) -> str:
    """The address that stands for `host` in bans and rates: IPv6 hosts change the lower 64 bits
    of theirs at will, and an IPv4 host may come to an IPv6 socket. Raises ValueError."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
