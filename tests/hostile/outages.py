"""Troubles around a gateway under which honest calls go on: its database is stopped, its disk is
full, nobody reads its log. One class a story, in `OUTAGES`."""

import asyncio
import os
import resource
import select
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.gateway.storage import postgres
from tests.hostile.under_attack import Outcome, compared
from tests.hostile.victim import Victim

Json = dict[str, Any]
#: Seconds after the trouble until all is stored and told.
OVER_S: Final = 30.0


class Outage:
    """What is around the gateway, entered before it starts."""

    #: events that the log has to tell, and those that are errors, and right
    told: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    #: where the gateway's output goes, if it is no file
    output: int | None = None

    def __init__(self, directory: Path) -> None:
        """`directory` is the gateway's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left."""

    def configure(self, settings: Json) -> None:
        """What the gateway is to use."""

    async def begin(self, victim: Victim) -> None:
        """The trouble begins."""
        raise NotImplementedError

    async def end(self, victim: Victim) -> None:
        """And is over."""
        raise NotImplementedError


class DatabaseStopped(Outage):
    """PostgreSQL is killed, and started again."""

    told = ("records.store-failed", "records.stored-again")
    errors = ("records.store-failed", "ladders.store-failed", "samples.store-failed")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        programs = postgres.programs()
        assert programs is not None, "PostgreSQL is not installed (Debian package postgresql)"
        self._server = self._stack.enter_context(postgres.server(programs))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()

    def configure(self, settings: Json) -> None:
        settings["storage"] = {"url": self._server.new_database()}

    async def begin(self, _: Victim) -> None:
        await asyncio.to_thread(self._server.stop)

    async def end(self, _: Victim) -> None:
        await asyncio.to_thread(self._server.start)


class DiskFull(Outage):
    """No file of the gateway's may grow, its database and its log among them."""

    told = ("log.dropped", "records.stored-again")
    errors = ("log.dropped", "records.store-failed", "ladders.store-failed", "samples.store-failed")

    def configure(self, settings: Json) -> None:
        settings["log"] |= {"sip": True}

    async def begin(self, victim: Victim) -> None:
        self._limit(victim, 0)

    async def end(self, victim: Victim) -> None:
        self._limit(victim, resource.RLIM_INFINITY)

    def _limit(self, victim: Victim, size_bytes: int) -> None:
        _, hard = resource.prlimit(victim.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


class LogReaderStalled(Outage):
    """The gateway's output is a pipe, whose reader stops: a pager, a stopped terminal, a shipper
    that hangs."""

    errors = ("log.dropped",)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._file = directory / "gateway.log"
        self._goes_on = threading.Event()
        self._reader, self._writer = os.pipe()
        self.output = self._writer
        self._thread = threading.Thread(target=self._pass_on, daemon=True)

    async def __aenter__(self) -> Self:
        self._goes_on.set()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._goes_on.set()
        with suppress(OSError):
            os.close(self._writer)
        await asyncio.to_thread(self._thread.join)
        os.close(self._reader)

    def configure(self, settings: Json) -> None:
        settings["log"] |= {"sip": True, "level": "debug"}  # 64 kB within a second

    async def begin(self, _: Victim) -> None:
        self._goes_on.clear()

    async def end(self, _: Victim) -> None:
        takes_more = select.select([], [self._writer], [], 0)[1]
        assert not takes_more, "the pipe was never full"
        self._goes_on.set()

    def _pass_on(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            while data := os.read(self._reader, 4096):
                file.write(data)
                self._goes_on.wait()


OUTAGES: Final[dict[str, type[Outage]]] = {
    "database stopped": DatabaseStopped,
    "disk full": DiskFull,
    "log reader stalled": LogReaderStalled,
}


async def through(directory: Path, name: str, seconds: float) -> tuple[Outcome, list[str]]:
    """The story of that name: `seconds` of quiet, and as many of trouble; what went wrong.

    No honest call fails, every one of them has its record when the trouble is over, and the log
    told of the trouble.
    """
    async with OUTAGES[name](directory) as outage:
        victim = Victim(directory, limits=None, change=outage.configure, output=outage.output)
        async with victim:
            outcome = await compared(victim, name, seconds, _lasting(outage, victim))
            problems = outcome.problems() + await _over(victim, outcome)
        if outage.output is not None:
            os.close(outage.output)
            await asyncio.sleep(0.2)  # what is left in the pipe is read
    problems += victim.problems(but=outage.errors)
    return outcome, problems + [
        f"{name}: the log does not tell {event}"
        for event in outage.told
        if f'"{event}"' not in victim.log()
    ]


@asynccontextmanager
async def _lasting(outage: Outage, victim: Victim) -> AsyncIterator[None]:
    await outage.begin(victim)
    try:
        yield
    finally:
        await outage.end(victim)


async def _over(victim: Victim, outcome: Outcome) -> list[str]:
    made = outcome.quiet.made + outcome.attacked.made
    problems = ["nothing was looked at"]
    with suppress(TimeoutError):
        async with asyncio.timeout(OVER_S):
            while problems:
                await asyncio.sleep(0.5)
                problems = [] if await victim.ready() else ["/readyz says no"]
                problems = problems or await victim.unrecorded(made)
    return problems
