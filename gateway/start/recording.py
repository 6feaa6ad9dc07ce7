"""Starts the recorder, and deletes recordings that are older, or more, than is wanted."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from config.settings import RecordingSettings, Settings
from gateway.recordings.store import RecordingStore, delete_old
from gateway.start.errors import StartupError
from gateway.start.reload import Reloader
from sip.media.plane import MediaError
from sip.media.recording.process import Ended, recorder

log = structlog.get_logger(__name__)

#: How often recordings are deleted, in seconds.
EVERY_S: Final = 3600.0

_MB: Final = 1_000_000


class Recordings(Collector):
    """Where the recorder listens, what it has written, and how recordings ended."""

    def __init__(self, socket: Path, store: RecordingStore) -> None:
        self.socket = socket
        self.store = store
        self._ended: Counter[str] = Counter()
        self._seconds = 0.0

    def ended(self, ended: Ended) -> None:
        """A recording is over."""
        self._ended[ended.reason] += 1
        self._seconds += ended.seconds

    def collect(self) -> Iterator[Metric]:
        """For /metrics."""
        ended = CounterMetricFamily(
            "gateway_recordings", "Recordings that ended, by why", labels=["reason"]
        )
        for reason, count in self._ended.items():
            ended.add_metric([reason], count)
        yield ended
        yield CounterMetricFamily(
            "gateway_recorded_seconds", "Seconds of calls recorded", value=self._seconds
        )


async def start_recording(
    settings: Settings, stack: AsyncExitStack, reloader: Reloader
) -> Recordings | None:
    """The recorder, where the configuration has a `recording` section. Raises StartupError."""
    wanted = settings.recording
    if wanted is None:
        return None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="recorder-"))
    store = RecordingStore(wanted.directory, wanted.key_file)
    recordings = Recordings(Path(folder, "socket"), store)
    try:
        await stack.enter_async_context(
            recorder(recordings.socket, wanted.directory, wanted.key_file, recordings.ended)
        )
    except MediaError as error:
        raise StartupError(f"recording: {error.text}") from None
    keeper = _Keeper(store, wanted)
    task = asyncio.create_task(keeper.run(), name="recordings' retention")

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(stop)
    reloader.add(keeper.configure)
    return recordings


class _Keeper:
    """Deletes what is not to be kept, an hour late at most."""

    def __init__(self, store: RecordingStore, settings: RecordingSettings) -> None:
        self._store = store
        self._settings = settings

    def configure(self, settings: Settings) -> Callable[[], Awaitable[None]]:
        """Keep as other settings say."""

        async def take() -> None:
            self._settings = settings.recording or self._settings

        return take

    async def run(self) -> None:
        """Does it once an hour."""
        while True:
            await asyncio.to_thread(self._delete)
            await asyncio.sleep(EVERY_S)

    def _delete(self) -> None:
        keep = self._settings
        try:
            deleted, octets = delete_old(
                self._store,
                keep_days=keep.keep_days,
                max_octets=keep.max_mb * _MB,
                now=time.time(),
            )
        except OSError as error:
            log.error("recordings.not-deleted", error=str(error))
            return
        if deleted:
            log.info("recordings.deleted", recordings=deleted, octets=octets, days=keep.keep_days)
