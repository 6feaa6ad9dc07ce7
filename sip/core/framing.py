"""Messages out of a byte stream (RFC 3261 18.3, keepalives RFC 5626 4.4.1)."""

from __future__ import annotations

import re
from typing import Final

from sip.core.message import MessageError
from sip.core.parser import MAX_BODY, MAX_HEAD, best_effort

#: What a peer sends to see whether the connection lives; it expects PONG.
PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

_CRLF: Final = b"\r\n"
_END_OF_HEAD: Final = b"\r\n\r\n"
_CONTENT_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:\s*+([^\r\n]*+)(?!\r\n[ \t])", re.IGNORECASE
)


class StreamFramer:
    """Cuts what arrives on one connection into messages, however it was cut on the way.

    `max_head` and `max_body` are in bytes. A head without a believable Content-Length hides
    where the next message begins: the stream is then useless and is to be closed.
    """

    def __init__(self, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = bytearray()
        self._searched = 0
        self.error: MessageError | None = None
        """Why the stream cannot be read on; None while it can."""

    @property
    def waiting(self) -> bool:
        """Whether a message has begun that is not complete yet."""
        return not PING.startswith(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Takes what was read and returns the messages now complete, PING among them.

        Raises MessageError when the stream cannot be read on. Messages complete before that point
        are returned first: then `error` is set and the next call raises it.
        """
        if self.error is None:
            self._buffer += data
            messages = self._take_all()
            if messages or self.error is None:
                return messages
        raise self.error

    def _take_all(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while (message := self._take()) is not None:
                messages.append(message)
        except MessageError as error:
            self.error = error
            self._buffer.clear()
        return messages

    def _take(self) -> bytes | None:
        """The next message or PING, None when more bytes are needed."""
        buffer = self._buffer
        while buffer.startswith(_CRLF):
            if buffer.startswith(PING):
                del buffer[: len(PING)]
                return PING
            if PING.startswith(buffer):
                return None
            del buffer[: len(_CRLF)]  # a PONG, or an empty line before a message
        end = buffer.find(_END_OF_HEAD, self._searched)
        reached = end if end >= 0 else len(buffer) - len(_END_OF_HEAD) + 1
        if reached > self._max_head:
            raise MessageError("Message Too Large", 513)
        if end < 0:
            self._searched = max(0, reached)
            return None
        size = end + len(_END_OF_HEAD) + self._body_length(end)
        if len(buffer) < size:
            self._searched = end
            return None
        message = bytes(buffer[:size])
        del buffer[:size]
        self._searched = 0
        return message

    def _body_length(self, end: int) -> int:
        """What the head that ends at `end` announces; it must, on a stream (RFC 3261 20.14)."""
        found = {match.strip() for match in _CONTENT_LENGTH.findall(self._buffer, 0, end)}
        value = found.pop() if len(found) == 1 else b""
        if not value.isdigit() or len(value) > 64:
            raise self._refusal(end, "Missing Or Malformed Content-Length", 400)
        if int(value) > self._max_body:
            raise self._refusal(end, "Request Entity Too Large", 413)
        return int(value)

    def _refusal(self, end: int, reason: str, status: int) -> MessageError:
        return MessageError(reason, status, best_effort(bytes(self._buffer[:end])))
