"""A queue over a real database, and somebody who places its tries by a script."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from config.settings import Settings
from gateway.calls.no_way import NoWay
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.events import QueueEvent
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.ports import (
    AgentAnswered,
    Answered,
    Ended,
    News,
    NotNowError,
    Result,
    Ringing,
    Wanted,
)
from gateway.storage.database import open_engine
from gateway.storage.queued_call import OVER, QueueState

#: A Monday, 12:00 in UTC.
MONDAY = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()
FROM = "+14155550100"


def number(index: int, area: str = "415") -> str:
    """One of ten thousand numbers."""
    return f"+1{area}55{index:05d}"


def wanted(to: str = "+14155550123", **more: Any) -> Wanted:
    return Wanted(**{"to_number": to, "from_number": FROM, "agent": "agent_1", **more})


def settings(
    queue: dict[str, Any] | None = None, *, home: str | None = None, **more: Any
) -> Settings:
    """A fast queue; `home` is the default country."""
    fast = {"calls": 1000, "calls_per_second": 50}
    outbound = {"default_country": home, "queue": {**fast, **(queue or {})}}
    return Settings.model_validate(
        {
            "trunks": [{"name": "carrier", "gateways": ["sip:carrier.example.com"]}],
            "outbound": outbound,
            **more,
        }
    )


@dataclass
class Begun:
    """A try that was begun: `at` by the loop's clock, `wall` by that on the wall."""

    at: float
    wall: float
    number: str
    call_id: str
    queued_id: str


#: What becomes of a try of a call, by its wish and by how often it was tried before.
Script = Callable[[Wanted, int], Result]


class Person:
    """A placer: everybody rings for a second, and talks for `talk_s` where they answer."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, list[asyncio.TimerHandle]] = {}
        self._told: dict[str, Callable[[News], None]] = {}
        self.begun: list[Begun] = []
        self.up = 0
        self.most_up = 0
        self.script: Script = lambda wish, before: Result.ANSWERED
        self.talk_s = 5.0
        self.refuses: Callable[[Wanted], NotNowError | Exception | None] = lambda wish: None
        self.forbids: Callable[[Wanted], NoWay | None] = lambda wish: None
        self.routes: Callable[[Wanted], tuple[str, ...]] = lambda wish: ("carrier",)
        self.cancelled: list[str] = []

    async def begin(
        self, call_id: str, queued_id: str, wanted: Wanted, on_news: Callable[[News], None]
    ) -> None:
        if (error := self.refuses(wanted)) is not None:
            raise error
        to = wanted.to_number
        before = sum(one.number == to for one in self.begun)
        self.begun.append(Begun(self._loop.time(), self._now(), to, call_id, queued_id))
        self.up += 1
        self.most_up = max(self.most_up, self.up)
        self._told[call_id] = on_news
        result = self.script(wanted, before)
        timers = self._timers[call_id] = []

        def later(seconds: float, make: Callable[[], News]) -> None:
            timers.append(self._loop.call_later(seconds, lambda: on_news(make())))

        later(0.5, lambda: Ringing(self._now()))
        end_s = 1.0
        if result is Result.ANSWERED:
            later(1.0, lambda: Answered(self._now()))
            later(1.1, lambda: AgentAnswered(self._now()))
            end_s = 1.0 + self.talk_s
        timers.append(self._loop.call_later(end_s, self._end, call_id, result))

    def cancel(self, call_id: str) -> bool:
        self.cancelled.append(call_id)
        if call_id not in self._timers:
            return False
        self._end(call_id, Result.CANCELLED)
        return True

    def judge(self, wanted: Wanted) -> NoWay | None:
        return self.forbids(wanted)

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        return self.routes(wanted)

    def _end(self, call_id: str, result: Result) -> None:
        for timer in self._timers.pop(call_id):
            timer.cancel()
        self.up -= 1
        tell = self._told.pop(call_id)
        tell(Ended(at=self._now(), result=result, cause=result.value, retell_call_id="retell_1"))


class Sink:
    """An outbox in memory. What a transaction that fails noted is gone as well."""

    def __init__(self) -> None:
        self.noted: list[QueueEvent] = []
        self.wakes = 0
        self.error: Exception | None = None

    async def note(self, connection: AsyncConnection, events: Sequence[QueueEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.noted += events

    def wake(self) -> None:
        self.wakes += 1


@dataclass
class Desk:
    queue: CallQueue
    person: Person
    sink: Sink
    now: Callable[[], float]
    registry: CollectorRegistry
    events: list[QueueEvent] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def now_ms(self) -> int:
        return round(self.now() * 1000)

    def kinds(self, queued_id: str | None = None) -> list[str]:
        return [
            event.kind.removeprefix("call.")
            for event in self.events
            if queued_id is None or event.call.queued_id == queued_id
        ]

    async def over(self, *, within_s: float = 86_400 * 30) -> None:
        """Until no call waits and none is under way, by the database."""
        async with asyncio.timeout(within_s):
            while True:
                self.ended.clear()
                if not self.queue.waiting + self.queue.calling:
                    counts = await self.queue.counts()
                    if not counts.get(QueueState.WAITING) and not counts.get(QueueState.CALLING):
                        return
                await self.ended.wait()

    def heard(self, event: QueueEvent) -> None:
        self.events.append(event)
        if event.call.state in OVER:
            self.ended.set()

    async def results(self) -> Counter[str]:
        counts = await self.queue.counts()
        return Counter(
            {
                key.removeprefix("result:"): n
                for key, n in counts.items()
                if key.startswith("result")
            }
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"gateway_queue_{name}", labels) or 0.0


@asynccontextmanager
async def desk(
    url_or_folder: str | Path,
    configured: Settings | None = None,
    *,
    start: float = MONDAY,
    **more: Any,
) -> AsyncIterator[Desk]:
    """A queue that runs, its clock at `start` when the loop began."""
    url = url_or_folder
    if isinstance(url, Path):
        url = f"sqlite:///{url}/gateway.db"
    loop = asyncio.get_running_loop()

    def now() -> float:
        return start + loop.time()

    async with open_engine(url) as engine:
        registry = CollectorRegistry()
        person, sink = Person(now), Sink()
        queue = CallQueue(
            configured or settings(),
            engine,
            person,
            QueueMetrics(registry),
            now=now,
            sink=sink,
            **more,
        )
        made = Desk(queue, person, sink, now, registry)
        queue.on_event(made.heard)
        async with queue.running():
            yield made


def most_in_a_second(times: Sequence[float]) -> int:
    """The most of them in any half-open second."""
    best = begin = 0
    for end in range(len(times)):
        while times[end] - times[begin] >= 1.0:
            begin += 1
        best = max(best, end - begin + 1)
    return best
