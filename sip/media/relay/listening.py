"""Who wants to hear of a call, and what: keys, silences, ends of plays, faxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sip.media.relay.dtmf import Press
from sip.media.relay.notices import Client, Event, Notices
from sip.media.relay.timers import Timer, Timers
from sip.media.silence import Look, Silences


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client asked for with an offer. `silence_s` is None where it asked for no silences.

    `fax` is the tag of the party whose calling tone of a fax it wants to hear of, if of any.
    """

    client: Client
    silence_s: float | None = None
    fax: str | None = None


class Listening:
    """One call that a client listens to. `looks` says what is known of its parties."""

    __slots__ = ("_call_id", "_looks", "_notices", "_silences", "_timer", "_timers", "wish")

    def __init__(
        self,
        call_id: str,
        wish: Wish,
        notices: Notices,
        timers: Timers,
        looks: Callable[[], Mapping[str, Look]],
        now: float,
    ) -> None:
        self.wish = wish
        self._call_id = call_id
        self._notices = notices
        self._timers = timers
        self._looks = looks
        self._timer: Timer | None = None
        self._silences: Silences | None = None
        if wish.silence_s is not None:
            self._silences = Silences(wish.silence_s)
            self._look(now)

    def key(self, tag: str, press: Press, now: float) -> None:
        """The party let go of a key."""
        self._tell("digit", tag, now, {"digit": press.key, "duration": press.duration_ms})

    def played(self, tag: str, play_id: int, finished: bool, now: float) -> None:
        """What was played to the party is over."""
        self._tell("played", tag, now, {"play-id": play_id, "finished": int(finished)})

    def fax_tone(self, tag: str, now: float) -> None:
        """The party is a fax machine that calls."""
        self._tell("fax-tone", tag, now, {})

    def one_way_s(self, tag: str, now: float) -> float:
        """Seconds for which the party should have been heard and was not."""
        return 0.0 if self._silences is None else self._silences.one_way_s(tag, now)

    def close(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def renew(self, now: float) -> None:
        """Who may speak has perhaps changed: time runs from now."""
        if self._silences is not None:
            self.close()
            self._look(now)

    def _look(self, now: float) -> None:
        assert self._silences is not None
        for change in self._silences.look(self._looks(), now):
            since_ms = round(change.since_s * 1000)
            self._tell(change.sound.value, change.tag, now, {"since": since_ms})
        self._timer = self._timers.at(self._silences.next_look(now), self._look)

    def _tell(self, event: str, tag: str, now: float, more: Event) -> None:
        self._notices.tell(
            self.wish.client, {"event": event, "call-id": self._call_id, "tag": tag, **more}, now
        )
