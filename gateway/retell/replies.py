"""Replies of Retell's API, as long as they may be: what answers there may be somebody else's."""

from collections.abc import AsyncIterator
from typing import Final

import httpx

#: Bytes of a reply: registering a call brings some kilobytes.
MAX_REPLY: Final = 256 << 10
#: The same of a compressed one, which unpacks to a thousand times as many.
MAX_COMPRESSED: Final = 16 << 10


class ReplyTooLongError(Exception):
    """The reply has more bytes than it may have. `status` is what it began with."""

    def __init__(self, status: int, limit: int) -> None:
        super().__init__(f"its reply has more than {limit >> 10} kB")
        self.status = status


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, status: int, limit: int) -> None:
        self._stream = stream
        self._status = status
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._limit:
                raise ReplyTooLongError(self._status, self._limit)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bounded(response: httpx.Response) -> None:
    """A hook of httpx's, before a body is read. Raises ReplyTooLongError, then or while reading."""
    plain = response.headers.get("Content-Encoding", "identity") == "identity"
    limit = MAX_REPLY if plain else MAX_COMPRESSED
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise ReplyTooLongError(response.status_code, limit)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Bounded(response.stream, response.status_code, limit)
