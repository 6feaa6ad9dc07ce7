"""Whom a caller can be handed to, at a given time: a plan of phones to ring, or why there is none.

Pure: from the configuration, what an agent or a REFER asked for, and the time. Whether the phones
that are numbers may be called is the guard's business (`gateway/calls/guard.py`), asked of each.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from config.directory_settings import ClosedSettings, DirectoryTargetSettings, EntrySettings
from config.settings import NumberSettings, Settings
from config.transfer_settings import After
from gateway.calls.carriers import carriers_for
from gateway.calls.endings import CLOSED, Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.calls.own_hosts import OwnHosts
from gateway.calls.schedule import open_at
from gateway.calls.targets import Asked, asked_for, key_of
from gateway.value import frozen

UNKNOWN: Final = Refusal(404, "Not Found", "target-not-listed", Fault.CALLER)
LOOP: Final = Refusal(482, "Loop Detected", "target-is-ours", Fault.CALLER)


@frozen(kw_only=True)
class Place:
    """One phone: what is dialled, and the trunks for it, of which the next is for a trunk that
    cannot carry the call. `confirm`: who answers must press 1 before the caller is put through,
    having heard the sound `whisper`."""

    trunks: tuple[str, ...]
    to: str
    confirm: bool = False
    whisper: str | None = None


@frozen(kw_only=True)
class Step:
    """Places that ring at the same time, for `ring_s` seconds.

    The caller hears the sound `announcement` first, then `ringing`, None being a tone. `after` is
    what happens when who answered hangs up. A step without places is its announcement alone.
    `named`: the places are those that an agent or a REFER named, and not the configuration's.
    """

    entry: str | None
    places: tuple[Place, ...]
    ring_s: float
    announcement: str | None
    ringing: str | None
    after: After
    named: bool = False


@frozen
class TransferPlan:
    """The steps, tried one after another until one is answered; at least one."""

    steps: tuple[Step, ...]


class Directory:
    """The entries of one configuration, found by every name that they have."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._country = settings.outbound.default_country
        self._hosts = OwnHosts(settings)
        self._names = self._index()

    def plan(
        self, text: str, now: datetime, ours: str = "", pick: float = 0.0
    ) -> TransferPlan | NoWay:
        """What is done for a caller who is to be handed to `text`: a name, an alias, an extension,
        a number, or a URI of one of these at a host of ours, of Retell's or of a trunk. `ours` is
        the number that the caller had called, `pick` that of `carriers_for`."""
        asked = asked_for(text)
        name = self.entry_of(asked)
        if name is not None:
            return self._planned(name, now)
        number = e164(asked.user, self._country) if self.is_here(asked) else None
        if number is not None and number in self._settings.numbers:
            words = f"{number} is a number of this gateway: the call would come back to it"
            return NoWay(LOOP, words)
        if number is not None and self._settings.transfer.targets == "guarded":
            return self._guarded(number, ours, pick)
        words = f"{asked.user!r} is no entry of directory"
        if number is not None:
            words += ", and transfer.targets is listed"
        return NoWay(UNKNOWN, words)

    def out_of_hours(self, entry: NumberSettings, now: datetime) -> TransferPlan | NoWay | None:
        """Where a call for one of our numbers goes while it is closed; None while it is open."""
        if self._is_open(entry.schedule, now):
            return None
        steps = tuple(self._closed(entry.closed, None, now, set()))
        words = f"it is closed by schedule {entry.schedule}, and closed: names nobody who is there"
        return TransferPlan(steps) if steps else NoWay(CLOSED, words)

    def entry_of(self, asked: Asked) -> str | None:
        """The name of the entry that is asked for."""
        by_uri = self._names.get(f"{asked.user.casefold()}@{asked.host}") if asked.host else None
        if by_uri is not None or not self.is_here(asked):
            return by_uri
        return self._names.get(key_of(asked.user, self._country))

    def is_here(self, asked: Asked) -> bool:
        """Whether its host, if any, is one at which names mean the same as here."""
        return asked.host is None or asked.host in self._hosts

    def _index(self) -> dict[str, str]:
        """Every name with its entry. A name counts before an alias, and both before a phone; a
        phone of several entries means that which has the fewest."""
        entries = self._settings.directory
        found: dict[str, str] = {}
        for name in entries:
            found.setdefault(key_of(name, self._country), name)
        for name, entry in entries.items():
            for alias in entry.aliases:
                found.setdefault(key_of(alias, self._country), name)
        for name, entry in sorted(entries.items(), key=lambda item: len(item[1].targets)):
            for target in entry.targets:
                found.setdefault(self._phone_key(target), name)
        return found

    def _phone_key(self, target: DirectoryTargetSettings) -> str:
        asked = asked_for(target.to)
        if asked.host is not None:
            return f"{asked.user.casefold()}@{asked.host}"
        trunk = self._settings.trunk(target.trunk)
        return key_of(asked.user, (trunk and trunk.country) or self._country)

    def _planned(self, name: str, now: datetime) -> TransferPlan | NoWay:
        steps = list(self._steps(name, now, set()))
        if not steps:
            schedule = self._settings.directory[name].schedule
            words = f"{name} is closed by schedule {schedule}, and its closed: names nobody there"
            return NoWay(CLOSED, words)
        return TransferPlan((self._announced(steps[0]), *steps[1:]))

    def _announced(self, step: Step) -> Step:
        """The first step: what every transfer announces, unless the entry has its own words."""
        if step.announcement is None and step.places:
            step = _with_announcement(step, self._settings.transfer.announcement)
        return step

    def _steps(self, name: str, now: datetime, seen: set[str]) -> Iterator[Step]:
        """Those of an entry, then those of its overflow; each entry once."""
        if name in seen:
            return
        seen.add(name)
        entry = self._settings.directory[name]
        if not self._is_open(entry.schedule, now):
            yield from self._closed(entry.closed, name, now, seen)
            return
        yield from self._rung(name, entry)
        for other in entry.overflow:
            yield from self._steps(other, now, seen)

    def _closed(
        self, closed: ClosedSettings | None, name: str | None, now: datetime, seen: set[str]
    ) -> Iterator[Step]:
        if closed is None:
            return
        steps: list[Step] = []
        if closed.entry is not None:
            steps = list(self._steps(closed.entry, now, seen))
        elif closed.trunk is not None and closed.to is not None:
            steps = [self._step(name, (Place(trunks=(closed.trunk,), to=closed.to),))]
        if closed.announcement is not None:
            if steps and steps[0].announcement is None:
                steps[0] = _with_announcement(steps[0], closed.announcement)
            else:
                steps.insert(0, self._step(name, (), announcement=closed.announcement))
        yield from steps

    def _rung(self, name: str, entry: EntrySettings) -> Iterator[Step]:
        """An entry's own phones, one after another or all at once."""
        usual = self._settings.transfer.ring_s
        rings = [(_place(target), target.ring_s or usual) for target in entry.targets]
        if entry.strategy == "all":
            places = tuple(place for place, _ in rings)
            steps = [self._step(name, places, ring_s=max(ring_s for _, ring_s in rings))]
        else:
            steps = [self._step(name, (place,), ring_s=ring_s) for place, ring_s in rings]
        yield _with_announcement(steps[0], entry.announcement)
        yield from steps[1:]

    def _step(
        self,
        name: str | None,
        places: tuple[Place, ...],
        *,
        ring_s: float | None = None,
        announcement: str | None = None,
    ) -> Step:
        transfer = self._settings.transfer
        entry = None if name is None else self._settings.directory[name]
        return Step(
            entry=name,
            places=places,
            ring_s=transfer.ring_s if ring_s is None else ring_s,
            announcement=announcement,
            ringing=(entry and entry.ringing) or transfer.ringing,
            after=(entry and entry.after) or transfer.after,
        )

    def _guarded(self, number: str, ours: str, pick: float) -> TransferPlan | NoWay:
        """A number that is not listed goes out as one that Retell calls would."""
        trunks = carriers_for(self._settings, number, ours, pick=pick)
        if isinstance(trunks, NoWay):
            return trunks
        place = Place(trunks=trunks, to=number)
        step = replace(self._step(None, (place,)), named=True)
        return TransferPlan((self._announced(step),))

    def _is_open(self, schedule: str | None, now: datetime) -> bool:
        return schedule is None or open_at(self._settings.schedules[schedule], now)


def _place(target: DirectoryTargetSettings) -> Place:
    return Place(
        trunks=(target.trunk,), to=target.to, confirm=target.confirm, whisper=target.whisper
    )


def _with_announcement(step: Step, announcement: str | None) -> Step:
    return step if announcement is None else replace(step, announcement=announcement)
