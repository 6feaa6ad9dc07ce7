"""A socket without a socket: two ends in one process, which keep the manners of a WebSocket.

Texts arrive in order, in a later turn of the event loop and never in the sender's own; the close
comes after the texts that were sent before it, and what is sent after it is lost. An end whose
owner fails closes with 1011, so that an error of one half never unwinds the other. There is
neither handshake nor ping nor task: a delivery is a call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from gateway.jambonz.messages import MAX_FRAME
from gateway.jambonz.session import OnClosed, OnText

log = structlog.get_logger("gateway.jambonz")

#: Texts that may wait for an end that takes none; one more, and the conversation is closed.
MAX_WAITING: Final = 256
#: Characters in one text, as on the WebSocket.
MAX_FROM_SOFTSWITCH: Final = 1_048_576

#: RFC 6455 §7.4.1
_NO_PATIENCE: Final = 1008
_TOO_BIG: Final = 1009
_FAILED: Final = 1011


class MemorySocket:
    """One end of a conversation; see `pair`."""

    __slots__ = ("_busy", "_inbox", "_longest", "_on_closed", "_on_text", "_other", "_owner")

    def __init__(self, owner: str, longest: int) -> None:
        """`owner` is for the log; `longest`: characters in a text that this end takes."""
        self._owner = owner
        self._longest = longest
        self._other: MemorySocket | None = None
        #: texts to deliver, then the close code
        self._inbox: deque[str | int] = deque()
        #: a delivery is due, or is waited for: not started yet, or at work on a text
        self._busy = True
        self._on_text: OnText = _ignore
        self._on_closed: OnClosed = _ignore

    def start(self, on_text: OnText, on_closed: OnClosed) -> None:
        """Deliver from now on: each text, then the close code, once and last.

        What `on_text` returns is awaited before the next text is delivered.
        """
        self._on_text, self._on_closed = on_text, on_closed
        self._busy = False
        self._wake()

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """Hand over a text; `lost(text)` is called at once where the conversation is over."""
        other = self._other
        if other is None:
            lost(text)
        elif len(other._inbox) < MAX_WAITING:
            other._inbox.append(text)
            other._wake()
        else:
            lost(text)
            log.error("jambonz.peer-too-slow", peer=other._owner, texts=MAX_WAITING)
            self._part(other, _NO_PATIENCE)
            self._inbox.append(_NO_PATIENCE)
            self._wake()

    async def close(self, code: int) -> None:
        """Close: this end hears nothing more but the code, the other end what was sent, then it."""
        other = self._other
        if other is not None:
            self._part(other, code)
            self._inbox.clear()
            self._end(code)

    def _part(self, other: "MemorySocket", code: int) -> None:
        """Neither end can send any more; the other will be told."""
        self._other = other._other = None
        other._inbox.append(code)
        other._wake()

    def _wake(self) -> None:
        if not self._busy and self._inbox:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        inbox = self._inbox
        while inbox:
            item = inbox.popleft()
            if isinstance(item, int):
                self._end(item)
                return
            if len(item) > self._longest:
                self._fail(_TOO_BIG)
                return
            try:
                work = self._on_text(item)
            except Exception:
                log.exception("jambonz.conversation-failed", owner=self._owner)
                self._fail(_FAILED)
                return
            if work is not None:
                task = asyncio.get_running_loop().create_task(work)
                task.add_done_callback(self._worked)
                return
        self._busy = False

    def _worked(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._fail(_FAILED)
        elif (error := task.exception()) is not None:
            log.error("jambonz.conversation-failed", owner=self._owner, exc_info=error)
            self._fail(_FAILED)
        else:
            self._deliver()

    def _fail(self, code: int) -> None:
        """Close because this end's owner cannot go on."""
        self._inbox.clear()
        if self._other is not None:
            self._part(self._other, code)
        self._end(code)

    def _end(self, code: int) -> None:
        """Tell the owner, once, and let go of it."""
        on_closed, self._on_text, self._on_closed = self._on_closed, _ignore, _ignore
        try:
            on_closed(code)
        except Exception:
            log.exception("jambonz.conversation-failed", owner=self._owner)


def pair() -> tuple[MemorySocket, MemorySocket]:
    """The two ends of a new conversation: the softswitch's and the application's."""
    softswitch = MemorySocket("softswitch", MAX_FRAME)
    application = MemorySocket("application", MAX_FROM_SOFTSWITCH)
    softswitch._other, application._other = application, softswitch
    return softswitch, application


def _ignore(_: object) -> None:
    """Default for what comes after the end."""
