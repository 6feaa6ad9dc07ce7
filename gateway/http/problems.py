"""Every error of the HTTP side, as one form: a problem of RFC 9457.

    HTTP/1.1 404 Not Found
    Content-Type: application/problem+json

    {"type": "about:blank", "title": "Not Found", "status": 404, "code": "no-such-call",
     "detail": "there is no call 42", "instance": "/api/v1/calls/42", "request_id": "5f0c…"}

`detail` is a sentence for people; `code` is for programs, and stays; by `request_id` the lines of
the log are found that the request left.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field

from gateway.http.rules.request_ids import REQUEST_ID
from gateway.storage.errors import StorageError

log = structlog.get_logger(__name__)

#: Seconds after which a store that is away may be asked again.
RETRY_AFTER_S: Final = 5
CONTENT_TYPE: Final = "application/problem+json"
#: What aiohttp makes of a byte that is no UTF-8.
_HALF: Final = re.compile("[\ud800-\udfff]")
#: What aiohttp itself refuses, by status.
_CODES: Final = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    426: "not-a-websocket",
}


class Problem(BaseModel):
    """A problem as it is sent; some have members of their own beside these."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str = Field(description="the status in words")
    status: int
    code: str = Field(description="which problem it is, for programs")
    detail: str = Field(description="what happened and what to do, for people")
    instance: str = Field(description="the path that was asked for")
    request_id: str | None = Field(None, description="of the lines in the log")


class ProblemError(Exception):
    """A request that gets no result, and what its sender is told."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """`more` are members beside those that every problem has (RFC 9457 3.2)."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.more = more or {}


def document(
    status: int,
    code: str,
    detail: str,
    instance: str,
    more: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """The problem's JSON. `instance` is the path that was asked for."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": _title(status),
            "status": status,
            "code": code,
            "detail": detail,
            "instance": instance,
            **more,
        }
    )


def no_text(request: web.BaseRequest) -> str | None:
    """The name of a header whose value is no UTF-8: its odd bytes are half characters here, which
    no answer can have in it."""
    odd = (name for name, value in request.headers.items() if _HALF.search(value))
    return next(odd, None)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem; one of ours is logged and told without its inside."""
    try:
        return await handler(request)
    except ProblemError as error:
        return _response(request, error.status, error.code, str(error), error.headers, error.more)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"use {allowed}"
        return _response(request, 405, _CODES[405], detail, {"Allow": allowed})
    except web.HTTPNotFound:
        return _response(request, 404, _CODES[404], f"there is no {request.path}", {})
    except web.HTTPError as error:
        code = _CODES.get(error.status, "refused")
        kept = {"WWW-Authenticate", "Retry-After"} & error.headers.keys()
        headers = {name: error.headers[name] for name in kept}
        return _response(request, error.status, code, error.text or error.reason, headers)
    except StorageError as error:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return _response(request, 503, "no-storage", f"the store is away: {error}", headers)
    except Exception as error:
        odd = no_text(request)
        if odd is not None and isinstance(error, UnicodeEncodeError):
            return _response(request, 400, "not-text", f"header {odd} is no UTF-8", {})
        if request.transport is None or request.transport.is_closing():
            log.debug("http.client-left", method=request.method, path=request.path)
            return web.Response(status=400)  # nobody reads it
        log.exception("http.request-broke", method=request.method, path=request.path)
        detail = "an error of this gateway; its log says more"
        return _response(request, 500, "internal", detail, {})


def _response(
    request: web.Request,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str],
    more: Mapping[str, object] = MappingProxyType({}),
) -> web.Response:
    if REQUEST_ID in request:
        more = {"request_id": request[REQUEST_ID], **more}
    text = document(status, code, detail, request.path, more)
    return web.Response(status=status, text=text, content_type=CONTENT_TYPE, headers=headers)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
