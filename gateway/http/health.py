"""/healthz, /readyz and /metrics."""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from gateway.calls.metrics import CONTENT_TYPE
from gateway.http.app_keys import METRICS, READY, STORE

log = structlog.get_logger(__name__)

#: A check that takes longer is not passed: load balancers ask every few seconds.
CHECK_S: Final = 2.0


async def healthz(_: web.Request) -> web.Response:
    """Alive: this process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Takes calls: 200 when every check is passed, else 503, with the checks either way."""
    checks = await _checks(request.app)
    ready = all(checks.values())
    return web.json_response({"ready": ready, "checks": checks}, status=200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    page = request.app[METRICS]
    page.records_waiting.set(request.app[STORE].waiting)
    return web.Response(body=page.page(), headers={"Content-Type": CONTENT_TYPE})


async def _checks(app: web.Application) -> dict[str, bool]:
    checks = {"storage": await _storage(app)}
    if READY in app:
        try:
            async with asyncio.timeout(CHECK_S):
                checks |= await app[READY]()
        except Exception as error:
            log.warning("ready.check-failed", error=repr(error))
            checks["softswitch"] = False
    return checks


async def _storage(app: web.Application) -> bool:
    try:
        async with asyncio.timeout(CHECK_S):
            return await app[STORE].ok()
    except TimeoutError:
        return False
