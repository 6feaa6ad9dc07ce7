"""Bodies that are files: received into a file of their own, not into memory, a few at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from gateway.http.door import let_wait
from gateway.http.problems import ProblemError

#: Bytes of a file that stay in memory.
IN_MEMORY: Final = 1 << 20
#: Seconds for all of it to come, and for the answer after it.
RECEIVE_S: Final = 120.0
ANSWER_S: Final = 300.0
#: Files that are received or worked on at a time.
AT_A_TIME: Final = 2
UPLOADS: Final = web.AppKey("uploads", asyncio.Semaphore)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a route takes: its types of content, with the model of those that are JSON, and how many
    bytes."""

    types: Mapping[str, type[BaseModel] | None]
    most: int


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came. `digest` is that of its bytes."""

    content_type: str
    file: "SpooledTemporaryFile[bytes]"
    digest: bytes


UPLOADED: Final = web.RequestKey("uploaded", Received)


@asynccontextmanager
async def received(request: web.Request, upload: Upload) -> AsyncIterator[Received]:
    """The body of `request`, whose client may have something done. Raises ProblemError: 408, 413,
    415 or 503."""
    if request.content_type not in upload.types:
        detail = f"Content-Type must be {' or '.join(upload.types)}"
        raise ProblemError(415, "bad-content-type", detail, {"Connection": "close"})
    turns = request.app[UPLOADS]
    if turns.locked():
        detail = "other files are being worked on; send it again"
        raise ProblemError(503, "busy", detail, {"Retry-After": "5", "Connection": "close"})
    async with turns:
        let_wait(request, RECEIVE_S + ANSWER_S)
        with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            digest = await _receive(request, upload.most, file)
            file.seek(0)
            yield Received(request.content_type, file, digest)


def _write(file: "SpooledTemporaryFile[bytes]", chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        detail = f"there is no room for the file: {error.strerror or error}"
        raise ProblemError(503, "no-disk", detail, {"Connection": "close"}) from None


async def _receive(request: web.Request, most: int, file: "SpooledTemporaryFile[bytes]") -> bytes:
    digest, size = hashlib.sha256(), 0
    try:
        async with asyncio.timeout(RECEIVE_S):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > most:
                    detail = f"the body has more than {most} bytes"
                    raise ProblemError(413, "too-large", detail, {"Connection": "close"})
                digest.update(chunk)
                _write(file, chunk)
    except TimeoutError:
        detail = f"the body was not complete after {RECEIVE_S:g} s"
        raise ProblemError(408, "too-slow", detail, {"Connection": "close"}) from None
    return digest.digest()
