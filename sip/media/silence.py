"""When a party that may send is not heard: the rule, whichever engine measures.

A party is looked at again and again. It is *silent* once it has sent nothing for a time although
both descriptions let it send; its call is *one-way* if the other party is heard meanwhile. Each is
news once, as is that the party is heard again. A party on hold makes no news, and afterwards the
time begins anew.

Some send nothing while they have nothing to say. One that said so, by comfort noise (RFC 3389), is
given `REST_S`; one that did so more than `PAUSES` times, and spoke again, `PAUSE_S`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

#: Seconds that a party may be silent which told that it would be.
REST_S: Final = 30.0

#: After so many silences that ended, one is news only when it is as long as this, in seconds.
PAUSES: Final = 2
PAUSE_S: Final = 10.0

#: Seconds between two looks at a party that is silent, to see whether it is heard again.
AGAIN_S: Final = 0.5

#: Two looks are never nearer than this, in seconds.
MIN_LOOK_S: Final = 0.05


class Sound(Enum):
    """What was last told of a party."""

    HEARD = "heard"
    SILENT = "silent"
    ONE_WAY = "one-way"


class Look(NamedTuple):
    """What is known of one party now. `heard_at` is the time of its last packet, if it had one;
    `rests` is true if that was comfort noise."""

    may_send: bool
    heard_at: float | None
    rests: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """News of one party; `since_s` is the time since it was heard, or could have been."""

    tag: str
    sound: Sound
    since_s: float


class _Party:
    __slots__ = ("pauses", "rests", "since", "spoke", "told")

    def __init__(self, now: float) -> None:
        #: The time from which a silence is measured: it may send since then, or was heard.
        self.since = now
        self.told = Sound.HEARD
        #: Whether it was ever heard, and how often it fell silent and was heard again.
        self.spoke = False
        self.pauses = 0
        self.rests = False

    def heard(self, at: float) -> None:
        """It sent a packet at that time."""
        if self.told is not Sound.HEARD and self.spoke:
            self.pauses += 1
        self.spoke = True
        self.since = at

    def limit_s(self, limit_s: float) -> float:
        """How long it may be silent, where one that is always heard may be for `limit_s`."""
        if self.rests:
            return max(limit_s, REST_S)
        return max(limit_s, PAUSE_S) if self.pauses >= PAUSES else limit_s


class Silences:
    """The parties of one call. A silence lasts `limit_s` or more; `now` monotonic seconds."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        #: Whether there was a look.
        self.looked = False
        self._parties: dict[str, _Party] = {}
        #: By party: the seconds of its silences that were told as one-way, and are over.
        self._one_way_s: dict[str, float] = {}

    def look(
        self, looks: Mapping[str, Look], now: float, since: float | None = None
    ) -> list[Change]:
        """What changed since the last look. A party that is not looked at is forgotten.

        One that was not looked at before may send since `since`, or since now.
        """
        self.looked = True
        began = now if since is None else since
        may_send = [tag for tag, look in looks.items() if look.may_send]
        for tag in self._parties.keys() - may_send:
            self._end_one_way(tag, now)
        self._parties = {tag: self._parties.get(tag) or _Party(began) for tag in may_send}
        for tag, party in self._parties.items():
            heard_at = looks[tag].heard_at
            if heard_at is not None and heard_at > party.since:
                self._end_one_way(tag, heard_at)
                party.heard(heard_at)
            party.rests = looks[tag].rests
        changes: list[Change] = []
        for tag, party in self._parties.items():
            sound = self._judge(tag, party, now)
            if sound is not party.told:
                party.told = sound
                changes.append(Change(tag, sound, now - party.since))
        return changes

    def one_way_s(self, tag: str, now: float) -> float:
        """Seconds for which the party was not heard although it might have sent, and the other
        party was: all of each such silence, from its last packet to the look that found it heard
        again."""
        total = self._one_way_s.get(tag, 0.0)
        party = self._parties.get(tag)
        if party is not None and party.told is Sound.ONE_WAY:
            total += now - party.since
        return total

    def _end_one_way(self, tag: str, now: float) -> None:
        self._one_way_s[tag] = self.one_way_s(tag, now)

    def next_look(self, now: float) -> float:
        """When there may be news."""
        due = now + self.limit_s
        for party in self._parties.values():
            told = party.told is not Sound.HEARD
            due = min(due, now + AGAIN_S if told else party.since + party.limit_s(self.limit_s))
        return max(due, now + MIN_LOOK_S)

    def _judge(self, tag: str, party: _Party, now: float) -> Sound:
        if now - party.since < party.limit_s(self.limit_s):
            return Sound.HEARD
        # Once one-way is told, the other's falling silent is its own news.
        heard = any(
            now - other.since < other.limit_s(self.limit_s)
            for name, other in self._parties.items()
            if name != tag
        )
        return Sound.ONE_WAY if heard or party.told is Sound.ONE_WAY else Sound.SILENT
