"""Bodies of requests: read within a time, a size, and a budget that all of them share."""

import asyncio
from collections import Counter
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.problems import ProblemError

#: Bytes of one body. A call's whole transcript is in Retell's call_ended.
MAX_BODY: Final = 8 << 20
#: Bytes of all bodies that are being read, and of those of one client.
BUDGET: Final = 32 << 20
CLIENT_BUDGET: Final = 12 << 20
#: Seconds for a whole body.
BODY_S: Final = 10.0


class Bodies:
    """Reads bodies, and knows how many bytes of unfinished ones are held."""

    def __init__(self) -> None:
        self.held = 0
        self._of: Counter[str] = Counter()

    async def read(self, request: web.Request, client: str) -> bytes:
        """The body of `request`, sent by `client`. Raises ProblemError: 408, 413 or 503."""
        announced = request.content_length
        if announced is not None and announced > MAX_BODY:
            raise _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.content.iter_any():
                    if len(body) + len(chunk) > MAX_BODY:
                        raise _too_large()
                    self._hold(client, len(chunk))
                    body += chunk
        except TimeoutError:
            detail = f"the body was not complete after {BODY_S:g} s"
            raise ProblemError(408, "too-slow", detail, {"Connection": "close"}) from None
        finally:
            self._let_go(client, len(body))
        return bytes(body)

    def _hold(self, client: str, size: int) -> None:
        if self.held + size > BUDGET or self._of[client] + size > CLIENT_BUDGET:
            detail = "too many bodies are being sent at once; send it again"
            headers = {"Retry-After": "1", "Connection": "close"}
            raise ProblemError(503, "busy", detail, headers)
        self.held += size
        self._of[client] += size

    def _let_go(self, client: str, size: int) -> None:
        self.held -= size
        self._of[client] -= size
        if not self._of[client]:
            del self._of[client]


@web.middleware
async def plain_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take no body that is packed (RFC 9110 8.4): what is signed are the bytes as they came, and to
    unpack is work for whoever asks for it."""
    packed = request.headers.get("Content-Encoding", "").strip().lower()
    if packed not in ("", "identity"):
        detail = "send the body as it is, without Content-Encoding"
        raise ProblemError(415, "bad-content-encoding", detail, {"Connection": "close"})
    return await handler(request)


BODIES: Final = web.AppKey("bodies", Bodies)


def _too_large() -> ProblemError:
    detail = f"the body has more than {MAX_BODY} bytes"
    return ProblemError(413, "too-large", detail, {"Connection": "close"})
