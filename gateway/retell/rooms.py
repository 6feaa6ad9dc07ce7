"""What room there is at Retell, of each workspace: each has a limit of calls of its own."""

import asyncio
from collections.abc import Callable, Iterator

from config.settings import RetellSettings
from gateway.retell.room import RetellRoom
from gateway.retell.workspaces import RetellWorkspaces


class RetellRooms:
    """The rooms by the names of their workspaces. Close it to end what it started."""

    def __init__(
        self, settings: RetellSettings, retell: RetellWorkspaces, *, clock: Callable[[], float]
    ) -> None:
        """`clock` is monotonic seconds."""
        self._retell = retell
        self._clock = clock
        self._rooms: dict[str, RetellRoom] = {}
        self.configure(settings)

    def configure(self, settings: RetellSettings) -> None:
        """Go on by these."""
        self._settings = settings
        for workspace in settings.every_workspace():
            room = self._rooms.get(workspace.name)
            if room is None:
                client = self._retell.of(workspace.name)
                self._rooms[workspace.name] = RetellRoom(
                    client, settings.concurrency, clock=self._clock
                )
            else:
                room.configure(settings.concurrency)
            self._rooms[workspace.name].watch(on=settings.when_full != "ring")

    def of(self, workspace: str) -> RetellRoom:
        """That of the workspace with this name; of one that is gone, the first's."""
        return self._rooms.get(workspace) or self._rooms[self._settings.trunk]

    def for_number(self, number: str) -> RetellRoom:
        """That of the workspace in which a number (E.164) is imported."""
        return self.of(self._settings.workspace_of(number).name)

    def each(self) -> Iterator[tuple[str, RetellRoom]]:
        """Those of the configuration, the first workspace's first."""
        for workspace in self._settings.every_workspace():
            yield workspace.name, self.of(workspace.name)

    def free(self) -> int | None:
        """How many calls more any of them would take; None where one has no limit that is known.
        Whoever places a call asks that of its own number besides."""
        found = [room.free() for _, room in self.each()]
        known = [free for free in found if free is not None]
        return max(known) if len(known) == len(found) else None

    def took(self) -> None:
        """Some workspace has a call of ours from now on: each has one less until it says how many
        it has."""
        for _, room in self.each():
            room.took()

    async def close(self) -> None:
        """Ask no more."""
        await asyncio.gather(*(room.close() for room in self._rooms.values()))
