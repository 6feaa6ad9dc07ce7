"""Looks at what is spent while calls are up, and tells an operator what there is to know."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from config.settings import Settings
from gateway.calls.metrics import Metrics
from gateway.calls.rates import amount
from gateway.calls.spend import Spend
from gateway.calls.spend_alarms import EVENTS, Alarm
from gateway.storage.spend import SpendStore

log = structlog.get_logger("gateway.spend")

#: How often it is looked at, in seconds; less than `LEAD_S` of `spend.py`.
LOOK_S: Final = 1.0
#: What all alarms are about: they are told in their order.
SUBJECT: Final = "spend"


class AlarmSink(Protocol):
    """Tells somebody outside: the outbox of callbacks."""

    def post(self, kind: str, subject: str, data: Mapping[str, Any]) -> object:
        """Have it told, at least once; returns at once. `subject` is what it is about."""
        ...


class SpendWatch:
    """The sums, the timer that has them grow, and where alarms go. Close it at the end."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        now: Callable[[], datetime],
        store: SpendStore | None = None,
        sink: AlarmSink | None = None,
    ) -> None:
        """`now` has a time zone; without a `store` a restart begins the day anew."""
        self._metrics = metrics
        self._now = now
        self._sink = sink
        self._timer: asyncio.TimerHandle | None = None
        if store is None:
            self.spend = Spend(settings, tell=self._tell)
        else:
            self.spend = Spend(
                settings, store.kept, store.save, countries=store.countries, tell=self._tell
            )
        metrics.add({"spend_today": self._spent, "spend_reserved": self._reserved})

    def note(self) -> None:
        """A leg may have left: look at it until it is over."""
        if self._timer is None and self.spend.busy:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        try:
            self.spend.look(self._now())
        finally:
            self.note()

    def _spent(self) -> float:
        sums = self.spend.sums(self.spend.today(self._now()))
        return next((amount(each.micros) for each in sums if each.scope == "all"), 0.0)

    def _reserved(self) -> float:
        day = self.spend.today(self._now())
        return amount(self.spend.reserved(day).get(("all", ""), 0))

    def _tell(self, alarm: Alarm) -> None:
        log.warning("spend.alarm", kind=alarm.kind, about=alarm.about, reason=alarm.words)
        self._metrics.spend_alarms.labels(alarm.kind).inc()
        if self._sink is not None:
            data = {**alarm.data, "text": alarm.words}
            self._sink.post(EVENTS[alarm.kind], SUBJECT, data)
