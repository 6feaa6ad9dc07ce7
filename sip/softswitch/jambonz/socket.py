"""The WebSocket to a jambonz application: one a call, with acks, and again after it broke.

The rules are jambonz's (`docs/architecture.md` names them): 5 s for an ack; a close with 1000 means
silence from then on, any other close means reconnecting with `session:reconnect`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import structlog

from sip.ids import Ids
from sip.softswitch.jambonz.link import BACKOFF_S, AppError, AppLink, Socket

log = structlog.get_logger(__name__)

Json = dict[str, Any]

ACK_TIMEOUT_S = 5.0
#: How long a closing call waits for its last messages to be sent.
FLUSH_TIMEOUT_S = 1.0
#: Times that one call may lose its socket and get another.
MAX_RECONNECTS = 5


class AppSocket:
    """One call's conversation with its application.

    `on_command(message)` gets every command; `on_gone()` is called once when the application has
    left for good: it closed with 1000, or could not be reached again.
    """

    def __init__(
        self,
        link: AppLink,
        ids: Ids,
        *,
        call_sid: str,
        on_command: Callable[[Json], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._link = link
        self._ids = ids
        self._call_sid = call_sid
        self._on_command = on_command
        self._on_gone = on_gone
        self._first: Json = {}
        self._socket: Socket | None = None
        self._connected = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._outbox: deque[str] = deque()
        #: the writer has something to do: a message, a new socket, the end
        self._stirred = asyncio.Event()
        self._acks: dict[str, asyncio.Future[object]] = {}
        #: nothing more can be sent
        self.gone = False

    async def open(self, session: Json) -> object:
        """Connect and send `session:new`; answers the data of its ack. Raises AppError."""
        self._first = session
        self._socket = await self._link.socket()
        self._connected = True
        loop = asyncio.get_running_loop()
        self._tasks = (loop.create_task(self._read()), loop.create_task(self._write()))
        return await self._ask("session:new", session)

    async def hook(self, hook: str, data: Json) -> object:
        """Send `verb:hook`; answers the data of its ack, None if it brings none.

        Raises AppError when the application is gone or does not acknowledge in time.
        """
        return await self._ask("verb:hook", data, hook=hook)

    def status(self, data: Json) -> None:
        """Send `call:status`, which nobody acknowledges."""
        self._send("call:status", data)

    def error(self, text: str, content: object) -> None:
        """Tell the application that a message of its made no sense."""
        data = {"msg": "InvalidMessage", "details": text, "content": content}
        self._send("jambonz:error", data)

    async def close(self, code: int = aiohttp.WSCloseCode.OK) -> None:
        """End the conversation: 1000 when the call is over, 1001 when it never began.

        What was said before is sent first. Both tasks then end by themselves: one that is
        cancelled stays behind, held by the traceback of its own error, until it is collected.
        """
        self.gone = True
        self._stirred.set()
        if self._socket is not None:
            reader, writer = self._tasks
            await asyncio.wait((writer,), timeout=FLUSH_TIMEOUT_S)
            await self._socket.close(code=code)
            if not self._connected:  # the reader waits for another socket
                reader.cancel()
            _, late = await asyncio.wait(self._tasks, timeout=FLUSH_TIMEOUT_S)
            for task in late:
                task.cancel()
        self._on_command, self._on_gone = _ignore, _nothing

    # sending

    async def _ask(self, kind: str, data: Json, *, hook: str | None = None) -> object:
        if self.gone:
            raise AppError("the application has left the call")
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[object] = loop.create_future()
        msgid = self._send(kind, data, hook=hook)
        self._acks[msgid] = acknowledged
        # a seventh of what asyncio.timeout costs
        late = loop.call_later(ACK_TIMEOUT_S, _expire, acknowledged)
        try:
            return await acknowledged
        except TimeoutError:
            raise AppError(f"the application did not acknowledge {kind} in 5 s") from None
        finally:
            late.cancel()
            self._acks.pop(msgid, None)

    def _send(self, kind: str, data: Json, *, hook: str | None = None) -> str:
        """Queue a message, in order also over a reconnect; answers its msgid."""
        msgid = self._ids.msgid()
        if not self.gone:
            self._outbox.append(self._envelope(kind, msgid, data, hook))
            self._stirred.set()
        return msgid

    def _envelope(self, kind: str, msgid: str, data: Json, hook: str | None = None) -> str:
        message: Json = {"type": kind, "msgid": msgid, "call_sid": self._call_sid, "data": data}
        if hook is not None:
            message["hook"] = hook
        return orjson.dumps(message).decode()

    async def _write(self) -> None:
        """Until all has been sent and no more will come."""
        while True:
            while self._outbox and self._connected:
                text = self._outbox.popleft()
                if not await self._put(text):
                    self._outbox.appendleft(text)
                    self._connected = False  # the reader finds out why and connects again
            if self.gone:
                return
            self._stirred.clear()
            await self._stirred.wait()

    async def _put(self, text: str) -> bool:
        assert self._socket is not None
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError, RuntimeError):
            return False
        return True

    # receiving

    async def _read(self) -> None:
        """Until the application is gone for good."""
        reconnects = 0
        while True:
            assert self._socket is not None
            async for message in self._socket:
                self._take(message)
            if self.gone:  # it was closed here
                return
            self._connected = False
            code = self._socket.close_code
            if code == aiohttp.WSCloseCode.OK or reconnects == MAX_RECONNECTS:
                break
            reconnects += 1
            log.warning("application socket lost", call_sid=self._call_sid, code=code)
            if not await self._reconnect():
                break
        self._leave()

    async def _reconnect(self) -> bool:
        """As jambonz does: the original payload again, and an ack within 5 s or the call ends."""
        try:
            self._socket = await self._link.connect(first_wait_s=BACKOFF_S[0])
        except AppError as error:
            log.error("application lost", call_sid=self._call_sid, error=str(error))
            return False
        msgid = self._ids.msgid()
        again = self._envelope("session:reconnect", msgid, self._first)
        if not await self._put(again):
            return False
        acknowledged = self._acks[msgid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ACK_TIMEOUT_S):
                while not acknowledged.done():
                    message = await self._socket.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return False
                    self._take(message)
        except TimeoutError:
            log.error("application did not take the call back", call_sid=self._call_sid)
            return False
        finally:
            self._acks.pop(msgid, None)
        self._connected = True
        self._stirred.set()
        return True

    def _take(self, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        try:
            frame = orjson.loads(message.data)
        except orjson.JSONDecodeError:
            self.error("the message is not JSON", message.data[:200])
            return
        match frame:
            case {"type": "ack", "msgid": str(msgid)}:
                waiting = self._acks.get(msgid)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame.get("data"))
            case {"type": "command", "command": str(), **rest} if "data" in rest:
                self._on_command(frame)
            case _:
                self.error("the message is neither an ack nor a command with data", frame)

    def _leave(self) -> None:
        self.gone = True
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(AppError("the application has left the call"))
        self._outbox.clear()
        self._stirred.set()
        self._on_gone()


def _expire(acknowledged: asyncio.Future[object]) -> None:
    """Nobody acknowledged in time."""
    if not acknowledged.done():
        acknowledged.set_exception(TimeoutError())


def _ignore(_: Json) -> None:
    """A command that comes too late."""


def _nothing() -> None:
    """A departure that matters to nobody any more."""
