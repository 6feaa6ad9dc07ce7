"""Which legs talk and are not heard, for the operator's log.

The media plane tells of every party that may send and sends nothing, once a silence. It does not
know why: a leg that rings, waits or hears a file may be silent, one that talks with another may
not. So a silence that began before counts from when the leg talks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from sip.b2bua.leg_report import LegReport
from sip.clock import Clock, Timer
from sip.media.events import Heard, OneWay, Silent
from sip.media.plane import SILENCE_S

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Silence:
    """What the media plane said of a leg, and whether the operator knows."""

    event: Silent | OneWay
    logged: bool = False
    timer: Timer | None = None


class Hearing:
    """The silences of one call's legs, by name."""

    __slots__ = ("_call_sid", "_clock", "_pairs", "_reports", "_silences")

    def __init__(
        self,
        clock: Clock,
        call_sid: str,
        reports: Mapping[str, LegReport],
        pairs: Sequence[tuple[str, str]],
    ) -> None:
        """`reports` are the legs' and `pairs` are those that talk, both as they change."""
        self._clock = clock
        self._call_sid = call_sid
        self._reports = reports
        self._pairs = pairs
        self._silences: dict[str, _Silence] = {}

    def on(self, name: str, event: Silent | OneWay | Heard) -> None:
        """The media plane speaks of a leg."""
        before = self._silences.get(name)
        if isinstance(event, Heard):
            self.forget(name)
            if before is not None and before.logged:
                log.info("media.heard-again", **self._ids(name))
        elif before is not None and not before.logged and before.timer is not None:
            before.event = event  # the time since it talks is running
        else:
            silence = self._silences[name] = _Silence(event, before is not None and before.logged)
            if any(name in pair for pair in self._pairs):
                self._log(name, silence)

    def is_silent(self, name: str) -> bool:
        """Whether a leg was told to be silent and was not heard since."""
        return name in self._silences

    def joined(self, *names: str) -> None:
        """Two legs talk from now on; one that was silent before has as long again to be heard."""
        if not self._silences:
            return
        for name in names:
            silence = self._silences.get(name)
            if silence is not None and not silence.logged:
                silence.timer = self._clock.call_later(SILENCE_S, self._log, name, silence)

    def parted(self, *names: str) -> None:
        """They talk no more."""
        for name in names:
            silence = self._silences.get(name)
            if silence is not None and silence.timer is not None:
                silence.timer.cancel()
                silence.timer = None

    def forget(self, name: str) -> None:
        """The leg is heard again, or is gone."""
        silence = self._silences.pop(name, None)
        if silence is not None and silence.timer is not None:
            silence.timer.cancel()

    def _log(self, name: str, silence: _Silence) -> None:
        silence.logged, silence.timer = True, None
        event = silence.event
        slug = "media.one-way" if isinstance(event, OneWay) else "media.silent"
        silent_s = round(event.since_s + self._clock.now() - event.at, 1)
        log.warning(slug, silent_s=silent_s, **self._ids(name))

    def _ids(self, name: str) -> dict[str, str | None]:
        sip_call_id = self._reports[name].sip_call_id
        return {"call_sid": self._call_sid, "leg": name, "sip_call_id": sip_call_id}
