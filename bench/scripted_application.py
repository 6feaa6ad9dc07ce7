"""A jambonz application of three lines, in the softswitch's own process.

It stands where the softswitch opens its WebSocket, and takes and gives the same JSON texts; only
the socket between is missing. What is left is the softswitch alone.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

_DIAL_TIMEOUT_S = 60


class ScriptedApplication:
    """What the softswitch needs of an `aiohttp.ClientSession`."""

    def __init__(self, trunk: str) -> None:
        self._trunk = trunk

    async def ws_connect(self, url: str, **_options: object) -> "ScriptedSocket":
        """One conversation; the address does not matter."""
        del url
        return ScriptedSocket(self._trunk)


class ScriptedSocket:
    """One call's conversation: dial what was dialled, then have no further wishes."""

    close_code: int | None = None

    def __init__(self, trunk: str) -> None:
        self._trunk = trunk
        self._answers: asyncio.Queue[aiohttp.WSMessage | None] = asyncio.Queue()

    async def send_str(self, text: str) -> None:
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
        text = json.dumps({"type": "ack", "msgid": msgid, "data": data})
        self._answers.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None))

    def get_extra_info(self, _name: str) -> str:
        """Where the peer is; the softswitch asks whether it still is."""
        return "here"

    async def receive(self) -> aiohttp.WSMessage:
        message = await self._answers.get()
        return message or aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[aiohttp.WSMessage]:
        while (message := await self._answers.get()) is not None:
            yield message

    async def close(self, *, code: int = aiohttp.WSCloseCode.OK) -> bool:
        self.close_code = code
        self._answers.put_nowait(None)
        return True
