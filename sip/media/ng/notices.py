"""What our relay tells of its own accord (`sip.media.relay.notices`), read into events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import structlog

from sip.media.events import Detected, Digit, FaxTone, Heard, MediaEvent, OneWay, Played, Silent
from sip.media.ng.bencode import Decoded
from sip.media.ng.detections import found_of_keys

log = structlog.get_logger(__name__)

#: How a notice's cookie begins.
COOKIE: Final = b"notice-"

_Dict = Mapping[str, Decoded]


class NoticeReader:
    """Takes each event once and in order, however often and in what order notices arrive."""

    def __init__(self) -> None:
        self._run: Decoded = ""
        #: The number of the last event taken, to be acknowledged.
        self.last = 0

    def take(self, notice: _Dict, now: float) -> Iterator[tuple[str, MediaEvent]]:
        """The new events of a notice, each with its call-id."""
        run = notice.get("notify")
        if run != self._run:  # another relay, or the same one started again
            self._run = run if run is not None else ""
            self.last = 0
        events = notice.get("events")
        for event in events if isinstance(events, list) else []:
            if not isinstance(event, dict):
                continue
            number = _int(event, "number")
            if number <= self.last:
                continue
            self.last = number
            read = _read(event, now)
            if read is None:
                log.warning("relay.event-unknown", media_event=event.get("event"))
            else:
                yield _text(event, "call-id"), read


def _read(event: _Dict, now: float) -> MediaEvent | None:
    party = _text(event, "tag")
    since_s = _int(event, "since") / 1000
    match event.get("event"):
        case "digit":
            return Digit(
                party=party,
                digit=_text(event, "digit"),
                duration_ms=_int(event, "duration"),
                at=now,
            )
        case "played":
            return Played(
                party=party,
                play_id=_int(event, "play-id"),
                finished=bool(_int(event, "finished")),
                at=now,
            )
        case "silent":
            return Silent(party=party, since_s=since_s, at=now)
        case "one-way":
            return OneWay(party=party, since_s=since_s, at=now)
        case "heard":
            return Heard(party=party, at=now)
        case "fax-tone":
            return FaxTone(party=party, at=now)
        case "detected":
            found = found_of_keys(event)
            if found is None:
                return None
            return Detected(party=party, detection=_int(event, "detection"), found=found, at=now)
        case _:
            return None


def _text(event: _Dict, key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


def _int(event: _Dict, key: str) -> int:
    value = event.get(key)
    return value if isinstance(value, int) else 0
