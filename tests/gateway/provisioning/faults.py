"""What goes wrong between us and an API, as the doubles of the APIs play it."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


@dataclass
class Faults:
    """`cut_at`: the answer to that request (from 0 on) is lost, though it was done, and nothing
    gets through afterwards, as if we were killed. `statuses` are answers in place of doing it, by
    request; `after` the same once it was done."""

    cut_at: int | None = None
    statuses: dict[int, int] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    seen: int = 0
    #: method and path of all that changes something and was done
    done: list[str] = field(default_factory=list)

    def middleware(self) -> Middleware:
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            here, self.seen = self.seen, self.seen + 1
            if self.cut_at is not None and here > self.cut_at:
                return await _lost(request)
            if (status := self.statuses.get(here)) is not None:
                headers = {"Retry-After": "7"} if status == 429 else {}
                told = {"message": "as the test wants it"}
                return web.json_response(told, status=status, headers=headers)
            answer = await handler(request)
            if request.method != "GET" and answer.status < 300:
                self.done.append(f"{request.method} {request.path}")
            if here == self.cut_at:
                return await _lost(request)
            if (status := self.after.get(here)) is not None:
                return web.json_response({"message": "as the test wants it"}, status=status)
            return answer

        return around


async def _lost(request: web.Request) -> web.StreamResponse:
    """The connection breaks before an answer."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()
