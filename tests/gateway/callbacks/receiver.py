"""Whoever is told of events: a server on loopback that answers as it is told, and remembers."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.gateway.conftest import serve


@dataclass
class Post:
    """One request that came."""

    headers: dict[str, str]
    raw: bytes
    status: int

    @property
    def body(self) -> dict[str, Any]:
        found = json.loads(self.raw)
        assert isinstance(found, dict)
        return found


@dataclass
class Receiver:
    """`answer` says which status a body gets; None: no answer at all, until the end."""

    answer: Callable[[dict[str, Any]], int | None] = lambda _: 204
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            status = self.answer(json.loads(raw))
            self.posts.append(Post(dict(request.headers), raw, status or 0))
            self._changed.set()
            if status is None:
                await self.over.wait()
                status = 500
        finally:
            self.at_once -= 1
        return web.Response(status=status, headers=self.headers)

    async def until(self, holds: Callable[[], bool], within_s: float = 10) -> None:
        """Wait for something to be so after a request."""
        async with asyncio.timeout(within_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def ids(self) -> Counter[str]:
        """How often each event was heard, which is answered with 2xx."""
        return Counter(post.body["id"] for post in self.posts if 200 <= post.status < 300)

    def kinds(self, subject: str) -> list[str]:
        """What was told of one subject, in this order."""
        return [post.body["kind"] for post in self.posts if post.body["subject"] == subject]


@asynccontextmanager
async def receiving(**how: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**how)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner, url = await serve(app)
    receiver.url = f"{url}/hook"
    try:
        yield receiver
    finally:
        receiver.over.set()
        await runner.cleanup()
