"""Each queued call is placed by whoever places those of its mode."""

from collections.abc import Callable, Mapping
from typing import Protocol

from config.settings import Settings
from gateway.calls.no_way import NoWay
from gateway.outbound.news import News
from gateway.outbound.ports import Placer
from gateway.storage.wanted import Mode, Wanted


class ModePlacer(Placer, Protocol):
    """A `Placer` of one mode."""

    def configure(self, settings: Settings) -> None:
        """Place calls by these settings from now on."""
        ...

    async def close(self) -> None:
        """Begin nothing more."""
        ...


class Modes:
    """The queue's `Placer`."""

    def __init__(self, placers: Mapping[Mode, ModePlacer]) -> None:
        self._placers = placers

    def configure(self, settings: Settings) -> None:
        """Place calls by these settings from now on."""
        for placer in self._placers.values():
            placer.configure(settings)

    async def begin(
        self, call_id: str, queued_id: str, wanted: Wanted, on_news: Callable[[News], None]
    ) -> None:
        """As `Placer.begin`."""
        await self._placers[wanted.mode].begin(call_id, queued_id, wanted, on_news)

    def cancel(self, call_id: str) -> bool:
        """As `Placer.cancel`."""
        return any(placer.cancel(call_id) for placer in self._placers.values())

    def judge(self, wanted: Wanted) -> NoWay | None:
        """As `Placer.judge`."""
        return self._placers[wanted.mode].judge(wanted)

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        """As `Placer.trunks`."""
        return self._placers[wanted.mode].trunks(wanted)

    async def close(self) -> None:
        """Begin nothing more."""
        for placer in self._placers.values():
            await placer.close()
