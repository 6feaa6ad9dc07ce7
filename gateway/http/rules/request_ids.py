"""The id of a request: in its answer, in a problem, and in every line of the log that it causes."""

import re
from typing import Final
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.log import request_id

HEADER: Final = "X-Request-Id"
REQUEST_ID: Final = web.RequestKey("request_id", str)
#: What of a client's ids is taken over: nothing that needs quoting anywhere.
_SANE: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,64}")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the id that the client gave, if it is one, or make one."""
    given = request.headers.get(HEADER, "")
    own = request[REQUEST_ID] = given if _SANE.fullmatch(given) else uuid4().hex
    if not request.path.startswith(("/api/", "/webhooks/")):
        return await handler(request)  # a jambonz asks once, and goes on for a whole call
    before = request_id.set(own)
    try:
        return await handler(request)
    finally:
        request_id.reset(before)


async def tell_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of the application, before a response."""
    if REQUEST_ID in request:
        response.headers[HEADER] = request[REQUEST_ID]
