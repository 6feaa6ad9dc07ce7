"""A server's answer that comes in two parts, as a network may bring it."""

import asyncio
import json
from typing import Any

from aiohttp import web

#: Turns of the event loop after which whoever reads has seen the first part.
_TURNS = 50


async def json_in_parts(request: web.Request, body: Any, status: int) -> web.StreamResponse:
    """The same as `web.json_response`, to whoever waits for the rest."""
    text = json.dumps(body).encode()
    response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(text[:20])
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    await response.write(text[20:])
    await response.write_eof()
    return response
