"""The dialogs of one user agent, and who gets their requests."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Protocol

from sip.core.message import Request
from sip.ua.transactions import ServerTransaction

DialogKey = tuple[str, str]
"""Call-ID and our tag."""


class DialogUser(Protocol):
    """Who gets the requests of a dialog: a leg."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """A new in-dialog request; must be answered through `transaction`."""
        ...

    def on_ack(self, ack: Request) -> None:
        """The ACK to our 2xx."""
        ...

    def drop(self) -> None:
        """The user agent closes, or the request that made this dialog broke: stop every timer,
        say nothing more."""
        ...


class Dialogs:
    """Dialog users by Call-ID and our tag."""

    def __init__(self) -> None:
        self._users: dict[DialogKey, DialogUser] = {}
        self._drained: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[DialogUser]:
        return iter(self._users.values())

    def open(self, sip_call_id: str, local_tag: str, user: DialogUser) -> None:
        """Requests with this Call-ID and our tag go to `user` from now on."""
        self._users[sip_call_id, local_tag] = user

    def close(self, sip_call_id: str, local_tag: str) -> None:
        """Forget a dialog; none of that name is fine."""
        self._users.pop((sip_call_id, local_tag), None)
        if not self._users and self._drained is not None:
            self._drained.set()

    def user_of(self, request: Request) -> DialogUser | None:
        """Who gets `request`; None outside our dialogs."""
        tag = request.to.tag
        return self._users.get((request.call_id, tag)) if tag else None

    @property
    def newest(self) -> DialogKey | None:
        """The dialog that was opened last of those that are open."""
        return next(reversed(self._users), None)

    def drop_newer(self, than: DialogKey | None, sip_call_id: str) -> None:
        """Drop the dialogs of a Call-ID that were opened after the dialog `than`."""
        opened: list[DialogKey] = []
        for key in reversed(self._users):
            if key == than:
                break
            if key[0] == sip_call_id:
                opened.append(key)
        for key in opened:
            self._users[key].drop()
            self.close(*key)

    def drop_all(self) -> None:
        """Drop every dialog: the user agent closes."""
        for user in list(self._users.values()):
            user.drop()
        self._users.clear()

    async def drain(self, timeout_s: float) -> None:
        """Wait until no dialog is left, for `timeout_s` seconds at most."""
        drained = self._drained = asyncio.Event()
        if self._users:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await drained.wait()
