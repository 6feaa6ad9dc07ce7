"""A jambonz application that does as the test says, and remembers what it was told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]
Answer = Callable[[Json], object]


@dataclass
class FakeApplication:
    """`verbs` answers `session:new`, `again` `session:reconnect`; `hooks` maps a hook to the
    function that answers it.

    An answer of None acknowledges without data; NO_ACK leaves the message unacknowledged.
    """

    verbs: Answer = field(default=lambda _: [{"verb": "sip:decline", "status": 404}])
    again: Answer = field(default=lambda _: None)
    hooks: dict[str, Answer] = field(default_factory=dict)
    frames: list[Json] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)
    url: str = ""
    #: sockets made so far, and those that are open now
    connected: int = 0
    open: set[web.WebSocketResponse] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    NO_ACK = object()

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/app", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/app"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def command(self, command: str, data: object, **more: object) -> None:
        frame = {"type": "command", "command": command, "data": data, **more}
        await self._sockets[-1].send_json(frame)

    async def say(self, text: str) -> None:
        await self._sockets[-1].send_str(text)

    async def drop(self, code: int = 1011) -> None:
        await self._sockets[-1].close(code=code)

    def told(self, kind: str) -> list[Json]:
        """The frames of one type, or of one hook, in order."""
        return [f for f in self.frames if f["type"] == kind or f.get("hook") == kind]

    def statuses(self, *, child: bool = False) -> list[tuple[str, int]]:
        """(call_status, sip_status) of the A-leg, or of its B-legs."""
        return [
            (f["data"]["call_status"], f["data"]["sip_status"])
            for f in self.told("call:status")
            if ("parent_call_sid" in f["data"]) is child
        ]

    async def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Wait until `condition` holds; looked at whenever a frame or a close comes."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("ws.jambonz.org",))
        await socket.prepare(request)
        self.connected += 1
        self.open.add(socket)
        try:
            await self._serve(socket)
        finally:
            self.open.discard(socket)
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._take(socket, message.json())
        if socket in self._sockets:  # a spare one, which no call ever had, is not missed
            self.close_codes.append(socket.close_code)
            self._news.set()

    async def _take(self, socket: web.WebSocketResponse, frame: Json) -> None:
        self.frames.append(frame)
        if socket not in self._sockets:
            self._sockets.append(socket)
        answer: object = self.NO_ACK
        match frame["type"]:
            case "session:new":
                answer = self.verbs(frame["data"])
            case "session:reconnect":
                answer = self.again(frame["data"])
            case "verb:hook" | "session:redirect" | "dial:confirm":
                hook = self.hooks.get(frame["hook"])
                answer = None if hook is None else hook(frame["data"])
        if answer is not self.NO_ACK:
            ack: Json = {"type": "ack", "msgid": frame["msgid"]}
            if answer is not None:
                ack["data"] = answer
            await socket.send_json(ack)
        self._news.set()
