"""The audit: a row and a line of the log for each request that was to change something, whatever
came of it. What was said, digits for instance, is in none of them."""

from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.app_keys import AUDIT
from gateway.http.clients import CLIENTS
from gateway.http.rules.idempotency import REPLAYED
from gateway.http.rules.rates import Rates
from gateway.http.rules.request_ids import REQUEST_ID
from gateway.http.rules.route import ROUTE
from gateway.http.rules.tokens import TOKEN

log = structlog.get_logger(__name__)

#: What only looks.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Who shows no token gets a row and a line in so many seconds: nobody else's shall drown in them.
STRANGERS_S: Final = 60.0
#: What was wanted, in words; without them it is the route's name.
WANTED: Final = web.RequestKey("wanted", str)
STRANGERS: Final = web.AppKey("strangers", Rates)


@web.middleware
async def audited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write down what the request wanted and how it was answered. It stands outside of what makes
    problems of errors, so that refusals have their status."""
    if request.method in _SAFE or not request.path.startswith("/api/"):
        return await handler(request)
    status, again = 500, False
    try:
        response = await handler(request)
        status, again = response.status, REPLAYED in response.headers
        return response
    finally:
        _note(request, status, again)


def _note(request: web.Request, status: int, again: bool) -> None:
    token = request.get(TOKEN)
    client = request.app[CLIENTS].address(request)
    if token is None and request.app[STRANGERS].charge(client, STRANGERS_S) > 0:
        return
    route = request.get(ROUTE)
    what = request.get(WANTED) or ("" if route is None else route.name)
    told = {
        "by": None if token is None else token.name,
        "client": client,
        "method": request.method,
        "path": request.path,
        "request_id": request[REQUEST_ID],
        "status": status,
        "what": f"{what}, sent again" if again else what,
    }
    request.app[AUDIT].note(**told)
    log.info("api.write", **told)
