"""Who places calls for us, as jambonz's REST API has it: our own softswitch, or a jambonz."""

from collections.abc import Mapping
from typing import Any, Protocol


class NotPlacedError(Exception):
    """No INVITE went out. `code` is the SIP status that it comes to and `cause` a slug; where it is
    only a matter of time, `retry_after_s` says how much."""

    def __init__(
        self, text: str, *, code: int, cause: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.cause = cause
        self.retry_after_s = retry_after_s


class Switch(Protocol):
    """Places calls, and gives up those that are not answered."""

    async def place(self, body: Mapping[str, Any], call_sid: str) -> str:
        """Call somebody as the `body` of `POST Accounts/{sid}/Calls` says; the id of the call,
        which is `call_sid` where the softswitch takes one. Raises NotPlacedError."""
        ...

    async def give_up(self, call_sid: str) -> None:
        """End a call that is not answered yet; it is told as any other end."""
        ...
