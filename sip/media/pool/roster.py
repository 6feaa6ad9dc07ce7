"""The engines of a pool: which there are, how each does, and which one gets a new call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from typing import Final, NamedTuple

import structlog

from sip.clock import Clock
from sip.media.plane import Capability, MediaError
from sip.media.pool.member import Engine, Health, Member
from sip.media.pool.watch import watch

log = structlog.get_logger(__name__)

#: Seconds for which a new call waits where no engine answers, and those between two looks.
BACK_S: Final = 2.0
LOOK_S: Final = 0.05


class EngineState(NamedTuple):
    """One engine, for metrics and the API."""

    name: str
    health: Health
    calls: int
    retiring: bool


class Roster:
    """Watches engines from `start` to `close`.

    `on_fall` is told of an engine that is gone, `on_return` of one that is back.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_fall: Callable[[Engine], None],
        on_return: Callable[[Engine], Coroutine[None, None, None]],
    ) -> None:
        self._clock = clock
        self._on_fall = on_fall
        self._on_return = on_return
        self._engines: dict[str, Engine] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._tidying: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._started = False

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._engines.values())

    @property
    def in_use(self) -> list[Engine]:
        """Those that do not retire."""
        return [engine for engine in self if not engine.retiring]

    @property
    def some_up(self) -> bool:
        """Whether one answers that takes calls, if it has room."""
        return any(engine.health is Health.UP for engine in self.in_use)

    @property
    def states(self) -> list[EngineState]:
        """Every engine as it is now."""
        return [EngineState(e.name, e.health, len(e.calls), e.retiring) for e in self]

    def choose(
        self, tried: Collection[Engine] = (), wanted: frozenset[Capability] = frozenset()
    ) -> Engine | None:
        """The least loaded that takes calls: by how full each is where all tell, else by calls.

        Of those that take calls, ones that can do what is `wanted` come first.
        """
        now = self._clock.now()
        free = [e for e in self if e.takes_calls(now) and e not in tried]
        free = [e for e in free if wanted <= e.plane.capabilities] or free
        if not free:
            return None
        if any(engine.capacity is None for engine in free):
            return min(free, key=lambda engine: len(engine.calls))
        return min(free, key=lambda engine: len(engine.calls) / (engine.capacity or 1))

    async def some_back(self) -> bool:
        """Whether one answers after none did; waits for `BACK_S` at most, not if one does now."""
        if self.some_up:
            return False
        end, back = self._clock.now() + BACK_S, False
        while not back and self._clock.now() < end:
            waited = asyncio.Event()
            self._clock.call_later(LOOK_S, waited.set)
            await waited.wait()
            back = any(engine.health is Health.UP for engine in self.in_use)
        return back

    def start(self) -> None:
        """Begin to watch."""
        self._started = True
        for engine in self:
            self._watch(engine)

    def configure(self, wanted: Collection[str], new: Sequence[Member]) -> None:
        """Go on with the `wanted` engines, of which `new` are not known yet. One that is not wanted
        keeps its calls until they end."""
        for member in new:
            self.add(member)
        for engine in tuple(self):
            if engine.name in wanted:
                engine.retiring = False
            else:
                self.retire(engine.name)

    def __contains__(self, name: str) -> bool:
        """Whether there is an engine of that name, though it may retire."""
        return name in self._engines

    def add(self, member: Member) -> None:
        """One more engine, whose name is new."""
        if member.name in self._engines:
            raise ValueError(f"there is an engine {member.name} already")
        engine = self._engines[member.name] = Engine(member)
        if self._started:
            log.info("media.engine-added", engine=engine.name)
            self._watch(engine)

    def retire(self, name: str) -> None:
        """An engine gets no new calls, and is closed when its last one is over."""
        engine = self._engines[name]
        if not engine.retiring:
            engine.retiring = True
            log.info("media.engine-retires", engine=name, calls=len(engine.calls))
        self.close_if_idle(engine)

    def fallen(self, name: str) -> None:
        """Whoever runs an engine has seen it end."""
        engine = self._engines.get(name)
        if engine is not None and engine.health is not Health.DOWN:
            self._change(engine, Health.DOWN)

    def close_if_idle(self, engine: Engine) -> None:
        """One that retires goes when it is empty."""
        if not engine.retiring or engine.calls or self._engines.get(engine.name) is not engine:
            return
        del self._engines[engine.name]
        watcher = self._watchers.pop(engine.name, None)
        if watcher is not None:
            watcher.cancel()
        log.info("media.engine-retired", engine=engine.name)
        _spawn(_closed(engine), self._closing)

    async def close(self) -> None:
        """Closes every engine, whatever is in it."""
        tasks = (*self._watchers.values(), *self._tidying)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._closing, *map(_closed, self))
        self._engines.clear()

    def _watch(self, engine: Engine) -> None:
        self._watchers[engine.name] = asyncio.create_task(
            watch(engine, self._clock, self._change), name=f"media-engine-{engine.name}"
        )

    def _change(self, engine: Engine, health: Health) -> None:
        before, engine.health = engine.health, health
        calls = len(engine.calls)
        if health is Health.DOWN:
            log.error("media.engine-down", engine=engine.name, calls=calls)
            engine.fall()
            self._on_fall(engine)
            self.close_if_idle(engine)
        elif health is Health.DOUBTFUL:
            log.warning("media.engine-silent", engine=engine.name, calls=calls)
        elif before is Health.DOWN:
            log.warning("media.engine-up", engine=engine.name)
            _spawn(self._on_return(engine), self._tidying)
        else:
            log.info("media.engine-answers", engine=engine.name, calls=calls)


async def _closed(engine: Engine) -> None:
    try:
        await engine.member.close()
    except MediaError as error:
        log.warning("media.engine-unclosed", engine=engine.name, error=str(error))


def _spawn(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
