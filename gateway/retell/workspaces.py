"""A client of Retell's API for each workspace: a key opens the agents and numbers of one alone."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from config.settings import RetellSettings
from gateway.retell.client import RetellClient


class RetellWorkspaces:
    """The clients. Use as `async with`."""

    def __init__(
        self,
        settings: RetellSettings,
        *,
        clock: Callable[[], float],
        count: Callable[[str, str], None] = lambda operation, outcome: None,
    ) -> None:
        """`clock` and `count` as those of RetellClient."""
        self._settings = settings
        self._clock = clock
        self._count = count
        #: that of the keys of `retell` itself
        self.first = self._client(settings)
        self._others: dict[str, RetellClient] = {}
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> "RetellWorkspaces":
        await self._opened.enter_async_context(self.first)
        await self._open(self._settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def configure(self, settings: RetellSettings) -> None:
        """Ask Retell by these settings; what is under way goes on by the old ones."""
        self._settings = settings
        self.first.configure(settings)
        await self._open(settings)

    async def read_sdk(self) -> None:
        """As `RetellClient.read_sdk`, for each."""
        for client in (self.first, *self._others.values()):
            await client.read_sdk()

    def of(self, workspace: str) -> RetellClient:
        """That of the workspace with this name; the first's where there is no other of it."""
        return self._others.get(workspace, self.first)

    def for_number(self, number: str) -> RetellClient:
        """That of the workspace in which a number (E.164) is imported."""
        return self.of(self._settings.workspace_of(number).name)

    async def _open(self, settings: RetellSettings) -> None:
        """Clients of workspaces that are gone stay open for what is under way."""
        for workspace in settings.workspaces:
            own = settings.as_workspace(workspace)
            client = self._others.get(workspace.name)
            if client is not None:
                client.configure(own)
                continue
            client = self._others[workspace.name] = self._client(own)
            await self._opened.enter_async_context(client)

    def _client(self, settings: RetellSettings) -> RetellClient:
        return RetellClient(settings, clock=self._clock, count=self._count)
