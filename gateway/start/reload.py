"""Reads the configuration anew while calls are up: all of it takes effect, or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from config.problems import ConfigError
from config.reloading import reload
from config.settings import Settings
from gateway.http.ports import Json, ReloadRefusedError
from gateway.start.errors import StartupError

log = structlog.get_logger(__name__)

#: A part that has to wait while it prepares: it starts something.
PrepareSlowly: TypeAlias = Callable[[Settings], Awaitable[Callable[[], Awaitable[None]]]]

#: What a part does with settings that are about to be in force: first it makes everything that can
#: fail (raising StartupError), then, when all parts have, it takes it.
Prepare: TypeAlias = Callable[[Settings], Callable[[], Awaitable[None]]]


class Reloader:
    """Knows what is in force, and every part that has to hear of another."""

    def __init__(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        """`reread` reads the file again. Raises ConfigError."""
        self._settings = settings
        self._reread = reread
        self._parts: list[Prepare] = []
        self._slow_part: PrepareSlowly | None = None
        self._one_at_a_time = asyncio.Lock()
        self._signalled: set[asyncio.Task[None]] = set()

    def add(self, part: Prepare) -> None:
        """Have this part hear of every reload from now on."""
        self._parts.append(part)

    def add_slow(self, part: PrepareSlowly) -> None:
        """The same for the one part that starts something: it prepares last, when no other can
        fail any more, and undoes what it did if it fails itself."""
        self._slow_part = part

    async def reload(self) -> Json:
        """What changed, and what waits for a restart. Raises ReloadRefusedError; then all is as it
        was."""
        async with self._one_at_a_time:
            try:
                # a file of many trunks takes longer to read than a call may wait
                change = reload(self._settings, await asyncio.to_thread(self._reread))
                steps = [prepare(change.settings) for prepare in self._parts]
                if self._slow_part is not None:
                    steps.append(await self._slow_part(change.settings))
            except ConfigError as error:
                raise self._refused(error.problems) from None
            except StartupError as error:
                raise self._refused([str(error)]) from None
            for step in steps:
                await step()
            self._settings = change.settings
            told = {"changed": list(change.changed), "restart": list(change.restart)}
            log.info("gateway.reloaded", **told)
            return told

    def signalled(self) -> None:
        """SIGHUP: as `reload`; what comes of it is in the log."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly(), name="reload")
        self._signalled.add(task)
        task.add_done_callback(self._signalled.discard)

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except ReloadRefusedError:
            pass  # it is in the log
        except Exception:
            log.exception("gateway.reload-broke")

    def _refused(self, problems: list[str]) -> ReloadRefusedError:
        log.error("gateway.reload-refused", problems=problems, now="what was in force stays so")
        return ReloadRefusedError(problems)
