"""Keeps a media relay running while the gateway runs.

    async with RelayProcess(options, clock=clock, on_end=lost) as relay:
        sdp = await relay.plane.offer(...)

The relay is a process of its own, so that a pause of ours leaves no gap in the audio. It ends
when its standard input does, that is when we do, however that happens.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

import structlog

from sip.clock import Clock, LoopClock
from sip.media.ng.client import TIMEOUT_S
from sip.media.ng.control_address import checked_path, written
from sip.media.ng.relay import RelayClient
from sip.media.plane import SILENCE_S, MediaError
from sip.media.relay import __name__ as relay_program
from sip.media.relay_lines import pass_on

log = structlog.get_logger(__name__)

#: Seconds for a new relay to say that it is ready.
START_TIMEOUT_S = 10.0

#: Seconds that a relay has to end after its standard input did.
STOP_TIMEOUT_S = 3.0

#: Seconds between two questions to a relay whether it answers, and those that it may take to.
#: Another one starts in half a second: its calls hear nothing for three seconds at most.
PING_EVERY_S = 0.5
PING_S = 1.2

#: A question that took so much longer was held up by ourselves, and says nothing of the relay.
OUR_STALL_S = 0.3

#: Seconds before the first restart, doubled with each failure up to the second figure.
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 10.0

#: A relay that lived this long died of something new: the back-off begins afresh.
STABLE_S = 30.0

#: The name of the control's socket in its folder.
CONTROL = "control"

#: What Python needs of our environment. The rest is not the relay's: our secrets are there.
_NEEDED = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
_NEEDED_BEGIN = ("LC_", "PYTHON")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The relay's command line. Ports are inclusive."""

    advertise: str
    listen: str = "0.0.0.0"
    ports: tuple[int, int] = (20000, 29999)
    drain_s: float | None = None
    #: socket of the recorder; None: nothing is recorded
    recorder: str | None = None
    #: Told by the relay's client to calls that listen; no option of the command line.
    silence_s: float | None = SILENCE_S

    def arguments(self, control: Path) -> list[str]:
        """As `python -m sip.media.relay` takes them; `control` is the path of its socket."""
        arguments = ["--parent", "--control", written(control), "--listen", self.listen]
        arguments += ["--advertise", self.advertise, "--ports", f"{self.ports[0]}-{self.ports[1]}"]
        if self.drain_s is not None:
            arguments += ["--drain", f"{self.drain_s:g}"]
        if self.recorder is not None:
            arguments += ["--recorder", self.recorder]
        return arguments


def _nothing() -> None:
    """Default for who need not hear of it."""


class RelayProcess:
    """The relay, from entering to leaving the context.

    Entering raises `MediaError` refused with the relay's own words if it cannot start, for
    instance because a port is taken. A relay that dies later is started again, its calls being
    lost: `on_end` is called as soon as it is seen, `on_restart` when the new one serves, and
    `plane` speaks to that one. A request gives up after `timeout_s`; one that is under way during
    a restart goes to the new relay. A relay that hangs is as good as dead: it is killed. `name` is
    what the log calls it.
    """

    def __init__(
        self,
        options: RelayOptions,
        *,
        name: str = "builtin",
        clock: Clock | None = None,
        on_end: Callable[[], None] = _nothing,
        on_restart: Callable[[], None] = _nothing,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self._options = options
        self._on_end = on_end
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._plane: RelayClient | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._logger: asyncio.Task[str] | None = None
        self._folder: Path | None = None
        self.restarts = 0

    @property
    def plane(self) -> RelayClient:
        """The client of the running relay, the same one through restarts."""
        if self._plane is None:
            raise MediaError("refused", "the media relay is not running")
        return self._plane

    @property
    def pid(self) -> int:
        """The relay's process id."""
        if self._process is None:
            raise MediaError("refused", "the media relay is not running")
        return self._process.pid

    async def __aenter__(self) -> Self:
        clock = self._clock or LoopClock()
        self._clock = clock
        try:
            address = await self._start()
            self._plane = await RelayClient.connect(
                address,
                clock=clock,
                timeout_s=self._timeout_s,
                silence_s=self._options.silence_s,
                records=self._options.recorder is not None,
            )
            await self._plane.ping()
        except BaseException:
            await self._stop()
            raise
        self._watcher = asyncio.create_task(self._watch(clock), name="media-relay-watch")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the relay, whatever calls are in it; twice does no harm."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        await self._stop()

    async def _start(self) -> Path:
        """Starts the relay and returns where its control is: a socket in a folder of ours."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = own_folder()
        control = self._folder / CONTROL
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            relay_program,
            *self._options.arguments(control),
            env=environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self._logger = asyncio.create_task(pass_on(process.stderr), name="media-relay-log")
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = (await process.stdout.readline()).decode().strip()
                if not line:
                    await process.wait()
                    last = await self._logger
                    raise MediaError("refused", f"the media relay cannot start: {last}")
        except TimeoutError:
            raise MediaError("refused", "the media relay does not start") from None
        return control

    async def _watch(self, clock: Clock) -> None:
        """Starts the relay again whenever it ends."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            assert self._process is not None
            started = clock.now()
            code = await self._ended(self._process, clock)
            if clock.now() - started > STABLE_S:
                backoff_s = FIRST_BACKOFF_S
            now = "its calls have no audio; it is started again"
            log.error("relay.ended", relay=self.name, code=code, now=now)
            self._announce(self._on_end)
            await self._restart(clock, backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
            self.restarts += 1
            log.warning("relay.restarted", relay=self.name, pid=self._process.pid)
            self.plane.lost()
            self._announce(self._on_restart)

    def _announce(self, listener: Callable[[], None]) -> None:
        try:
            listener()
        except Exception:
            # The listener's fault; the relay must be watched all the same.
            log.exception("relay.unannounced", relay=self.name)

    async def _ended(self, process: asyncio.subprocess.Process, clock: Clock) -> int:
        """The exit code, once the relay has ended; one that answers no ping is made to."""
        ended = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait((ended,), timeout=PING_EVERY_S))[0]:
                if not await self._answers(clock) and not ended.done():
                    log.error(
                        "relay.hangs",
                        relay=self.name,
                        pid=process.pid,
                        unanswered_s=PING_S,
                        now="killed",
                    )
                    process.kill()
                    break
            return await ended
        finally:
            ended.cancel()

    async def _answers(self, clock: Clock) -> bool:
        """Whether the relay answers a ping; also true where it was not given the time, where it
        is busy with what was asked before, and where nobody listens any more: then it ends."""
        asked = clock.now()
        try:
            async with asyncio.timeout(PING_S):
                await self.plane.ping()
        except (TimeoutError, MediaError) as error:
            if isinstance(error, MediaError) and error.slug == "refused":
                return True
            if (self.plane.heard_at or 0.0) > asked:
                return True
            return clock.now() - asked > PING_S + OUR_STALL_S
        return True

    async def _restart(self, clock: Clock, backoff_s: float) -> None:
        while True:
            waited = asyncio.Event()
            clock.call_later(backoff_s, waited.set)
            await waited.wait()
            await self._stop_process()
            try:
                address = await self._start()
                await self.plane.retarget(address)
                await self.plane.ping()
            except (MediaError, OSError) as error:
                backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
                log.error(
                    "relay.restart-failed",
                    relay=self.name,
                    error=str(error),
                    retry_in_s=round(backoff_s, 1),
                )
            else:
                return

    async def _stop(self) -> None:
        if self._plane is not None:
            await self._plane.close()
            self._plane = None
        await self._stop_process()
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def _stop_process(self) -> None:
        """Ends the process, if need be by force, and collects it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._logger is not None:
            await asyncio.wait([self._logger])
            self._logger = None


def own_folder() -> Path:
    """A new folder that only this user may enter: of its runtime's, else of temporary files.

    Raises `MediaError` refused where none can be made, or its path is too long for a socket.
    """
    tried = []
    for base in (os.environ.get("XDG_RUNTIME_DIR"), None, "/tmp"):
        try:
            folder = Path(mkdtemp(prefix="media-relay-", dir=base))
        except OSError as error:
            tried.append(f"{base or 'TMPDIR'}: {error.strerror}")
            continue
        try:
            checked_path(folder / CONTROL)
        except ValueError as error:
            folder.rmdir()
            tried.append(str(error))
        else:
            return folder
    raise MediaError("refused", f"no folder for the relay's control socket: {'; '.join(tried)}")


def environment() -> dict[str, str]:
    """Ours without what is no business of the programs that handle media."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_BEGIN)
    }
