"""What a call needs of the way to its application: sockets, one a call.

A socket carries JSON texts both ways, in order, until one side closes it. Two kinds of link make
them: `web_socket.WebSocketLink` to an application anywhere, and the link in memory to the one in
this process. Neither decides anything: acks, hooks and reconnects are `AppSocket`'s.
"""

from collections.abc import Callable
from typing import Protocol

from sip.errors import Fault, SipError


class AppError(SipError):
    """The application cannot be reached, or did not answer in time."""

    fault = Fault.APPLICATION


class Socket(Protocol):
    """One conversation with the application, on any link."""

    def start(
        self, on_text: Callable[[str], None], on_closed: Callable[[int | None], None]
    ) -> None:
        """Deliver from now on: each text, then the close code, once and last, whichever side
        closed. None or 1006 where the connection broke."""
        ...

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """Hand over a text. `lost(text)` is called if it cannot be, at once or later, in the order
        of sending and before `on_closed`."""
        ...

    async def close(self, code: int) -> None:
        """Send what waits, then close. Returns when both sides have."""
        ...


class AppLink(Protocol):
    """Makes the sockets to one application."""

    @property
    def spare(self) -> int:
        """Sockets that wait for a call."""
        ...

    async def socket(self) -> Socket:
        """A socket for a new call. Raises AppError."""
        ...

    async def reconnect(self) -> Socket:
        """A socket for a call whose own broke; the application may only be restarting.

        Raises AppError.
        """
        ...

    async def close(self) -> None:
        """Give up what waits for a call; the sockets of calls are theirs."""
        ...
