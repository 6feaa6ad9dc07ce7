"""/healthz, /readyz and /metrics."""

import asyncio
import json
import time
from typing import Final

import structlog
from aiohttp import web

from config.settings import MetricsSettings
from gateway.calls.metrics import CONTENT_TYPE
from gateway.http import problems
from gateway.http.app_keys import METRICS, READY, STORE
from gateway.http.clients import PROVEN
from gateway.http.rules.tokens import bears

log = structlog.get_logger(__name__)

#: A check that takes longer is not passed: load balancers ask every few seconds.
CHECK_S: Final = 2.0
#: Of the time, making the page of /metrics takes no more than this part.
METRICS_SHARE: Final = 0.1


async def healthz(_: web.Request) -> web.Response:
    """Alive: this process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Takes calls: 200 when every check is passed, else 503, with the checks either way."""
    checks = await _checks(request.app)
    ready = all(checks.values())
    shown = {"ready": ready, "checks": checks}
    if ready:
        return web.json_response(shown)
    failed = ", ".join(name for name, passed in checks.items() if not passed)
    problem = json.loads(problems.document(503, "not-ready", f"not passed: {failed}", "/readyz"))
    return web.json_response(problem | shown, status=503, content_type=problems.CONTENT_TYPE)


class MetricsPage:
    """/metrics of the application `app`: Prometheus text.

    However often it is asked for, making it takes a tenth of the time at most: in between the page
    as it was is shown again, some milliseconds old.
    """

    def __init__(self, app: web.Application, settings: MetricsSettings) -> None:
        self._app = app
        self._token = settings.token
        self._page = b""
        self._fresh_until = float("-inf")

    async def handle(self, request: web.Request) -> web.Response:
        """The aiohttp handler. Raises ProblemError."""
        if self._token is not None:
            if not bears(request, self._token):
                detail = "send Authorization: Bearer with http.metrics.token"
                challenge = {"WWW-Authenticate": "Bearer"}
                raise problems.ProblemError(401, "unauthorized", detail, challenge)
            request[PROVEN] = True
        return web.Response(body=self._text(), headers={"Content-Type": CONTENT_TYPE})

    def _text(self) -> bytes:
        began = time.monotonic()
        if began >= self._fresh_until:
            page = self._app[METRICS]
            page.records_waiting.set(self._app[STORE].waiting)
            self._page = page.page()
            done = time.monotonic()
            self._fresh_until = done + (done - began) / METRICS_SHARE
        return self._page


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
