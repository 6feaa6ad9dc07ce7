"""The dialogs of one user agent, and who gets their requests."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Protocol

from sip.core.message import Request
from sip.ua.server_transaction import ServerTransaction

#: Call-ID and our tag.
DialogKey = tuple[str, str]


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
        #: dialogs opened since the start
        self.opened = 0
        self._users: dict[DialogKey, tuple[int, DialogUser]] = {}
        self._drained: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[DialogUser]:
        return (user for _, user in self._users.values())

    def open(self, sip_call_id: str, local_tag: str, user: DialogUser) -> None:
        """Requests with this Call-ID and our tag go to `user` from now on."""
        self.opened += 1
        self._users[sip_call_id, local_tag] = self.opened, user

    def close(self, sip_call_id: str, local_tag: str) -> None:
        """Forget a dialog, if it is there."""
        self._users.pop((sip_call_id, local_tag), None)
        if not self._users and self._drained is not None:
            self._drained.set()

    def user_of(self, request: Request) -> DialogUser | None:
        """Who gets `request`; None outside our dialogs."""
        tag = request.to.tag
        return self.find(request.call_id, tag) if tag else None

    def find(self, sip_call_id: str, local_tag: str) -> DialogUser | None:
        """Who gets the requests of this dialog; None where there is no such dialog."""
        found = self._users.get((sip_call_id, local_tag))
        return None if found is None else found[1]

    def drop_since(self, opened: int, sip_call_id: str) -> None:
        """Drop the dialogs of a Call-ID that were opened since `self.opened` was this number."""
        since = [
            key
            for key, (number, _) in self._users.items()
            if number > opened and key[0] == sip_call_id
        ]
        for key in since:
            self._users[key][1].drop()
            self.close(*key)

    def drop_all(self) -> None:
        """Drop every dialog: the user agent closes."""
        for user in list(self):
            user.drop()
        self._users.clear()

    async def drain(self, timeout_s: float) -> None:
        """Wait until no dialog is left, for `timeout_s` seconds at most."""
        drained = self._drained = asyncio.Event()
        if self._users:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await drained.wait()
