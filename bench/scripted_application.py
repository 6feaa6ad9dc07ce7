"""A jambonz application of three lines, in the softswitch's own process.

It stands where the gateway's own application stands, at the other end of the link in memory, and
takes and gives the same JSON texts. What is left is the softswitch alone.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

_DIAL_TIMEOUT_S = 60


class ScriptedLink:
    """The softswitch's way to the script: a new conversation for every call."""

    spare = 0

    def __init__(self, trunk: str) -> None:
        self._trunk = trunk

    async def socket(self) -> "ScriptedSocket":
        """A conversation for a call."""
        return ScriptedSocket(self._trunk)

    async def reconnect(self) -> "ScriptedSocket":
        """The script never breaks off."""
        raise AssertionError("the script has closed no conversation")

    async def close(self) -> None:
        """Nothing waits for a call."""


class ScriptedSocket:
    """One call's conversation: dial what was dialled, then have no further wishes."""

    def __init__(self, trunk: str) -> None:
        self._trunk = trunk
        self._on_text: Callable[[str], None] | None = None

    def start(
        self, on_text: Callable[[str], None], _on_closed: Callable[[int | None], None]
    ) -> None:
        """See `sip.softswitch.jambonz.link.Socket`. The script itself closes nothing."""
        self._on_text = on_text

    def send(self, text: str, _lost: Callable[[str], None]) -> None:
        """See `sip.softswitch.jambonz.link.Socket`."""
        frame = json.loads(text)
        match frame:
            case {"type": "session:new", "msgid": str(msgid), "data": {"to": str(number)}}:
                self._answer(msgid, self._dial(number))
            case {"type": "verb:hook", "msgid": str(msgid)}:
                self._answer(msgid, [])
            case {"type": "call:status"}:
                pass
            case _:
                raise ValueError(f"the script has no answer to {text[:200]}")

    async def close(self, _code: int) -> None:
        """See `sip.softswitch.jambonz.link.Socket`."""
        self._on_text = None

    def _dial(self, number: str) -> list[dict[str, Any]]:
        return [
            {
                "verb": "dial",
                "target": [{"type": "phone", "number": number, "trunk": self._trunk}],
                "answerOnBridge": True,
                "timeout": _DIAL_TIMEOUT_S,
                "actionHook": "/dial-action",
            }
        ]

    def _answer(self, msgid: str, data: list[dict[str, Any]]) -> None:
        if self._on_text is not None:
            text = json.dumps({"type": "ack", "msgid": msgid, "data": data})
            asyncio.get_running_loop().call_soon(self._on_text, text)
