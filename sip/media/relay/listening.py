"""Who wants to hear of a call, and what: keys, silences, ends of plays, faxes, who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sip.media.detection.found import Found
from sip.media.ng.detections import keys_of_found
from sip.media.relay.dtmf import Press
from sip.media.relay.notices import Client, Event, Notices
from sip.media.relay.timers import Timer, Timers
from sip.media.silence import Look, Silences


class Wish(NamedTuple):
    """What a client asked for with an offer. `silence_s` is None where it asked for no silences.

    `fax` is the tag of the party whose calling tone of a fax it wants to hear of, if of any.
    """

    client: Client
    silence_s: float | None = None
    fax: str | None = None


class Listening:
    """One call that a client listens to. `looks` says what is known of its parties.

    Silences are looked for from `renew` on.
    """

    __slots__ = (
        "_call_id",
        "_looks",
        "_notices",
        "_silences",
        "_since",
        "_timer",
        "_timers",
        "wish",
    )

    def __init__(
        self,
        call_id: str,
        wish: Wish,
        notices: Notices,
        timers: Timers,
        looks: Callable[[], Mapping[str, Look]],
    ) -> None:
        self.wish = wish
        self._call_id = call_id
        self._notices = notices
        self._timers = timers
        self._looks = looks
        self._timer: Timer | None = None
        self._silences = None if wish.silence_s is None else Silences(wish.silence_s)
        #: Until the first look: from when on who may speak might have been heard.
        self._since: float | None = None

    def key(self, tag: str, press: Press, now: float) -> None:
        """The party let go of a key."""
        self._tell("digit", tag, now, {"digit": press.key, "duration": press.duration_ms})

    def played(self, tag: str, play_id: int, finished: bool, now: float) -> None:
        """What was played to the party is over."""
        self._tell("played", tag, now, {"play-id": play_id, "finished": int(finished)})

    def fax_tone(self, tag: str, now: float) -> None:
        """The party is a fax machine that calls."""
        self._tell("fax-tone", tag, now, {})

    def detected(self, tag: str, detection: int, found: Found, now: float) -> None:
        """Something was found of who the party is."""
        self._tell("detected", tag, now, {"detection": detection, **keys_of_found(found)})

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
        silences = self._silences
        if silences is None:
            return
        self.close()
        if silences.looked:
            self._look(now)
        else:  # most calls are heard by then, and many over
            self._since = now
            self._timer = self._timers.at(now + silences.limit_s, self._look)

    def _look(self, now: float) -> None:
        assert self._silences is not None
        since, self._since = self._since, None
        for change in self._silences.look(self._looks(), now, since):
            since_ms = round(change.since_s * 1000)
            self._tell(change.sound.value, change.tag, now, {"since": since_ms})
        self._timer = self._timers.at(self._silences.next_look(now), self._look)

    def _tell(self, event: str, tag: str, now: float, more: Event) -> None:
        self._notices.tell(
            self.wish.client, {"event": event, "call-id": self._call_id, "tag": tag, **more}, now
        )
