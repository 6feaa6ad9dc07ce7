"""Every error of the HTTP side, as one form: a problem of RFC 9457.

    HTTP/1.1 404 Not Found
    Content-Type: application/problem+json

    {"type": "about:blank", "title": "Not Found", "status": 404, "code": "no-such-call",
     "detail": "there is no call 42", "instance": "/api/v1/calls/42"}

`detail` is a sentence for people; `code` is for programs, and stays.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.storage.errors import StorageError

log = structlog.get_logger(__name__)

#: Seconds after which a store that is away may be asked again.
RETRY_AFTER_S: Final = 5
CONTENT_TYPE: Final = "application/problem+json"
#: What aiohttp itself refuses, by status.
_CODES: Final = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    426: "not-a-websocket",
}


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
    except Exception:
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
    text = document(status, code, detail, request.path, more)
    return web.Response(status=status, text=text, content_type=CONTENT_TYPE, headers=headers)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
