"""A call's conversation with its jambonz application: acks, hooks, and again after a break.

The rules are jambonz's (`docs/architecture.md` names them): 5 s for an ack; a close with 1000 means
silence from then on, any other close means reconnecting with `session:reconnect`. They hold over
every kind of link.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson
import structlog

from sip.ids import Ids
from sip.softswitch.jambonz.link import AppError, AppLink, Socket

log = structlog.get_logger(__name__)

Json = dict[str, Any]

ACK_TIMEOUT_S: Final = 5.0
#: Seconds that a call which is over waits in all for the acks of its application; closing the
#: socket may take as long again.
LAST_ACK_S: Final = 1.0
#: Times that one call may lose its socket and get another.
MAX_RECONNECTS: Final = 5
#: RFC 6455 §7.4.1: the call is over, so that the application says no more either.
NORMAL: Final = 1000


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
        self._first_msgid = ""
        #: the application has been sent `session:new`: it can be reminded of the call
        self._introduced = False
        self._socket: Socket | None = None
        #: the application has taken the call, on the socket that there is now
        self._connected = False
        self._reconnecting: asyncio.Task[None] | None = None
        self._reconnects = 0
        #: what is to be sent once the application has taken the call back
        self._outbox: deque[str] = deque()
        self._acks: dict[str, asyncio.Future[object]] = {}
        #: when the last ack may come, once the call is over
        self._until: float | None = None
        #: the ack of `session:new`
        self._opening: asyncio.Future[object] | None = None
        #: the ack of the last hook that was only told, and when it was
        self._told: asyncio.Future[object] | None = None
        self._told_at = 0.0
        #: nothing more can be sent
        self.gone = False

    async def open(self, session: Json) -> object:
        """Connect and send `session:new`; returns the data of its ack. Raises AppError."""
        await self.connect()
        self.introduce(session)
        return await self.accepted()

    async def connect(self) -> None:
        """Connect, and send what was said before. Raises AppError."""
        self._socket = await self._link.socket()
        self._connected = True
        self._socket.start(self._take, self._closed)
        self._send_waiting(self._socket)

    def introduce(self, session: Json) -> None:
        """Send `session:new`. As in jambonz, what is said before names no call in its envelope."""
        self._first, self._first_msgid = session, self._ids.msgid()
        self._opening = self._expect_ack(self._first_msgid)
        self._introduced = self._connected
        self._put(self._envelope("session:new", self._first_msgid, session))

    async def accepted(self) -> object:
        """The data of the ack to `session:new`, which was sent. Raises AppError."""
        assert self._opening is not None, "an ack is to what was sent"
        return await self._acknowledged("session:new", self._first_msgid, self._opening)

    async def hook(
        self,
        hook: str,
        data: Json,
        *,
        kind: str = "verb:hook",
        within_s: float = ACK_TIMEOUT_S,
    ) -> object:
        """Send `verb:hook`, or another kind; returns the data of its ack, None if it has none.

        Raises AppError when the application is gone or does not acknowledge in time.
        """
        if self.gone:
            raise AppError("the application has left the call")
        msgid = self._ids.msgid()
        acknowledged = self._expect_ack(msgid)
        self._put(self._envelope(kind, msgid, data, hook))
        return await self._acknowledged(kind, msgid, acknowledged, within_s)

    def tell_hook(self, hook: str, data: Json) -> None:
        """Send `verb:hook` about what is over: its ack changes nothing, and only `close` waits."""
        if not self.gone:
            msgid = self._ids.msgid()
            self._told_at = asyncio.get_running_loop().time()
            self._told = self._expect_ack(msgid)
            self._told.add_done_callback(partial(self._heard, msgid))
            self._put(self._envelope("verb:hook", msgid, data, hook))

    def status(self, data: Json) -> None:
        """Send `call:status`, which wants no ack."""
        self._send("call:status", data)

    def error(self, text: str, content: object, *, msg: str = "InvalidMessage") -> None:
        """Tell the application that a message of its made no sense, or what else `msg` says."""
        self._send("jambonz:error", {"msg": msg, "details": text, "content": content})

    def hurry(self) -> None:
        """The call is over: nobody waits for what the application may say, and not for long."""
        if self._until is not None:
            return
        loop = asyncio.get_running_loop()
        self._until = loop.time() + LAST_ACK_S
        for waiting in self._acks.values():
            loop.call_at(self._until, _expire, waiting)

    async def close(self, code: int = NORMAL) -> None:
        """End the conversation: 1000 when the call is over, 1001 when it never began.

        What was said before is sent first, and the ack of a last `tell_hook` is waited for: an
        application that is closed before it can acknowledge takes that for an error.
        """
        left_s = self._told_at + LAST_ACK_S - asyncio.get_running_loop().time()
        if self._told is not None and left_s > 0:
            await asyncio.wait((self._told,), timeout=left_s)
        self.gone = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait((self._reconnecting,))
        if self._socket is not None:
            await self._socket.close(code)
        self._on_command, self._on_gone = _ignore, _nothing
        self._acks.clear()
        self._told = self._opening = None

    # sending

    def _expect_ack(self, msgid: str) -> asyncio.Future[object]:
        acknowledged = self._acks[msgid] = asyncio.get_running_loop().create_future()
        return acknowledged

    async def _acknowledged(
        self,
        kind: str,
        msgid: str,
        acknowledged: asyncio.Future[object],
        within_s: float = ACK_TIMEOUT_S,
    ) -> object:
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        if self._until is not None:
            until = min(until, self._until)
        # a seventh of what asyncio.timeout costs
        late = loop.call_at(until, _expire, acknowledged)
        try:
            return await acknowledged
        except TimeoutError:
            waited = f"{within_s:g} s" if self._until is None else "time: the call is over"
            raise AppError(f"the application did not acknowledge {kind} in {waited}") from None
        finally:
            late.cancel()
            self._acks.pop(msgid, None)
            del acknowledged  # its exception has this frame

    def _heard(self, msgid: str, told: asyncio.Future[object]) -> None:
        self._acks.pop(msgid, None)
        if not told.cancelled():
            told.exception()

    def _send(self, kind: str, data: Json) -> None:
        """Send a message that wants no ack, in order also over a reconnect."""
        if not self.gone:
            self._put(self._envelope(kind, self._ids.msgid(), data))

    def _put(self, text: str) -> None:
        if self._connected and self._socket is not None:
            self._socket.send(text, self._outbox.append)
        else:
            self._outbox.append(text)

    def _envelope(self, kind: str, msgid: str, data: Json, hook: str | None = None) -> str:
        message: Json = {"type": kind, "msgid": msgid, "data": data}
        if self._first:
            message["call_sid"] = self._call_sid
        if hook is not None:
            message["hook"] = hook
        return orjson.dumps(message).decode()

    # receiving

    def _take(self, text: str) -> None:
        if self.gone:
            return
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            self.error("the message is not JSON", text[:200])
            return
        match frame:
            case {"type": "ack", "msgid": str(msgid)}:
                waiting = self._acks.get(msgid)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame.get("data"))
            case {"type": "command", "command": str(), "data": _}:
                self._command(frame)
            case _:
                self.error("the message is neither an ack nor a command with data", frame)

    def _command(self, frame: Json) -> None:
        """An error of ours costs the command, not the conversation."""
        try:
            self._on_command(frame)
        except Exception:
            log.exception("command.failed", call_sid=self._call_sid, command=frame["command"])
            self.error("the softswitch failed to carry out the command", frame)

    def _closed(self, code: int | None) -> None:
        """The socket is closed, by whichever side."""
        was_connected, self._connected, self._socket = self._connected, False, None
        if self.gone:  # it was closed here
            return
        # one that closes instead of taking the call back has left, too
        if code == NORMAL or not was_connected or self._reconnects == MAX_RECONNECTS:
            self._leave()
            return
        self._reconnects += 1
        log.warning("application.disconnected", call_sid=self._call_sid, code=code)
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        """As jambonz does: the original payload again, and an ack within 5 s or the call ends.

        Verbs in that ack are those of `session:new`'s, where the socket took that ack with it. An
        application that was not told of the call yet has nothing to take back.
        """
        try:
            self._socket = socket = await self._link.reconnect()
            socket.start(self._take, self._closed)
            if self._introduced:
                await self._remind(socket)
        except AppError as error:
            log.error(
                "application.lost",
                call_sid=self._call_sid,
                error=str(error),
                fault=error.fault.value,
            )
            self._leave()
            return
        finally:
            self._reconnecting = None
        self._connected = True
        self._introduced = bool(self._first)
        self._send_waiting(socket)

    async def _remind(self, socket: Socket) -> None:
        """`session:reconnect`, and its ack. Raises AppError."""
        msgid = self._ids.msgid()
        acknowledged = self._expect_ack(msgid)
        socket.send(self._envelope("session:reconnect", msgid, self._first), _ignore)
        told = await self._acknowledged("session:reconnect", msgid, acknowledged)
        if told and self._opening is not None and not self._opening.done():
            self._opening.set_result(told)

    def _send_waiting(self, socket: Socket) -> None:
        waiting, self._outbox = self._outbox, deque()
        for text in waiting:
            socket.send(text, self._outbox.append)

    def _leave(self) -> None:
        if self.gone:
            return
        self.gone = True
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(AppError("the application has left the call"))
        self._outbox.clear()
        self._on_gone()


def _expire(acknowledged: asyncio.Future[object]) -> None:
    """The ack is late."""
    if not acknowledged.done():
        acknowledged.set_exception(TimeoutError())


def _ignore(_: object) -> None:
    """Default for what comes too late: a command, a text that could not be sent."""


def _nothing() -> None:
    """Default for a departure after the end."""
