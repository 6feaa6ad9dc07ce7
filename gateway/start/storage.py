"""Starts the storage, first of all: nothing starts beside a gateway that uses the same database."""

from contextlib import AsyncExitStack

from config.settings import StorageSettings
from gateway.start.errors import StartupError
from gateway.storage.errors import StorageError
from gateway.storage.shared_state import SharedState, open_shared_state


async def open_storage(storage: StorageSettings, stack: AsyncExitStack) -> SharedState:
    """What the softswitch keeps in the database. Raises StartupError."""
    url = storage.url.get_secret_value()
    try:
        return await stack.enter_async_context(open_shared_state(url, storage.spool))
    except StorageError as error:
        raise StartupError(f"storage.url: {error}") from None
