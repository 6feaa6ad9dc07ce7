"""What REST and control share: keys, the bearer check, errors as Retell words them, bodies."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from testkit.sandbox.calls import Calls
from testkit.sandbox.errors import ApiError
from testkit.sandbox.faults import FaultBox
from testkit.sandbox.sip_endpoint import SipEndpoint
from testkit.sandbox.store import Call

log = structlog.get_logger(__name__)

CALLS = web.AppKey("calls", Calls)
FAULTS = web.AppKey("faults", FaultBox)
SIP = web.AppKey("sip", SipEndpoint)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BodyT = TypeVar("BodyT", bound=BaseModel)


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Retell's error body."""
    return web.json_response(
        {"status": "error", "message": message}, status=status, headers=headers
    )


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal, aiohttp's own too, gets Retell's body."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error.status, error.message)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(error.status, error.reason)
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("sandbox.internal-error", path=request.path)
        return error_response(500, "Internal server error")


@web.middleware
async def bearer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 without the key."""
    expected = f"Bearer {request.app[CALLS].settings.api_key}"
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise ApiError(401, "Invalid API key")
    return await handler(request)


async def read(request: web.Request, model: type[BodyT]) -> BodyT:
    """The body as `model`. Raises ApiError(400) naming what is wrong first."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, f"{where}: {first['msg']}" if where else first["msg"]) from error


def call_of(request: web.Request) -> Call:
    """The call that the path names. Raises ApiError(422), as Retell does for an unknown one."""
    call_id = request.match_info["call_id"]
    call = request.app[CALLS].store.call(call_id)
    if call is None:
        raise ApiError(422, f"Call {call_id} not found")
    return call
