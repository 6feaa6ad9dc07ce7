"""Keeps a recorder running while the gateway runs, and hears what became of each recording."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from sip.media.plane import MediaError
from sip.media.recording import __name__ as recorder_program
from sip.media.relay_lines import pass_on
from sip.media.supervisor import environment

log = structlog.get_logger(__name__)

#: Seconds for a recorder to say that it is ready, and to end after it was told to.
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 5.0

#: Seconds before one that ended is started again.
RESTART_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a recording. `reason` is a word: ended, disk-full, …"""

    recording: str
    call_sid: str
    reason: str
    seconds: float
    octets: int


@asynccontextmanager
async def recorder(
    socket: Path, directory: Path, keys: Path, on_ended: Callable[[Ended], None]
) -> AsyncIterator[None]:
    """A recorder that listens at `socket`, from entering to leaving. MediaError if it cannot start.

    One that dies is started again; what it was recording ends where it was.
    """
    process = await _start(socket, directory, keys)
    keeper = asyncio.create_task(_keep(process, socket, directory, keys, on_ended))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


async def _keep(
    process: asyncio.subprocess.Process,
    socket: Path,
    directory: Path,
    keys: Path,
    on_ended: Callable[[Ended], None],
) -> None:
    try:
        while True:
            await _listen(process, on_ended)
            code = await process.wait()
            log.error("recorder.ended", code=code, now="recordings end; it is started again")
            while True:
                await asyncio.sleep(RESTART_S)
                try:
                    process = await _start(socket, directory, keys)
                    break
                except MediaError as error:
                    log.error("recorder.restart-failed", error=error.text)
    finally:
        await _stop(process, on_ended)


async def _start(socket: Path, directory: Path, keys: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", recorder_program),
        *("--socket", str(socket), "--directory", str(directory), "--keys", str(keys)),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    lines = asyncio.create_task(pass_on(process.stderr), name="recorder-log")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            if await process.stdout.readline() == b"ready\n":
                return process
            await process.wait()
            raise MediaError("refused", f"the recorder cannot start: {await lines}")
    except TimeoutError:
        process.kill()
        raise MediaError("refused", "the recorder does not start") from None


async def _listen(process: asyncio.subprocess.Process, on_ended: Callable[[Ended], None]) -> None:
    """Until the recorder ends."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        try:
            said: dict[str, Any] = json.loads(line)
            ended = Ended(**said)
        except (ValueError, TypeError):
            log.warning("recorder.unreadable", line=line[:200].decode("utf-8", "replace"))
            continue
        level = log.info if ended.reason == "ended" else log.error
        level(
            "recording.ended",
            call_sid=ended.call_sid,
            recording=ended.recording,
            reason=ended.reason,
            seconds=ended.seconds,
        )
        on_ended(ended)


async def _stop(process: asyncio.subprocess.Process, on_ended: Callable[[Ended], None]) -> None:
    """The recorder ends when its standard input does, and writes what it has first."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await _listen(process, on_ended)
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
