"""The REST API under /api/v1: JSON in and out, bearer token."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

from gateway.http.app_keys import CALLS, SETTINGS, STORE
from gateway.http.clients import PROVEN
from gateway.http.problems import ProblemError
from gateway.storage.call_records import CallRecord, Query

PREFIX: Final = "/api/v1"
MAX_PAGE: Final = 1000

#: Query parameter -> column that must equal it.
_FILTERS: Final = {
    "direction": "direction",
    "trunk": "trunk",
    "from": "from_number",
    "to": "to_number",
    "state": "state",
    "cause": "cause",
    "fault": "fault",
    "agent": "agent",
    "retell_call_id": "retell_call_id",
    "sip_status": "sip_status",
}
_PARAMETERS: Final = (*_FILTERS, "limit", "cursor", "since", "until")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only the operator into /api."""
    if request.path.startswith("/api/"):
        _authorize(request)
        request[PROVEN] = True
    return await handler(request)


async def list_calls(request: web.Request) -> web.Response:
    """`GET /api/v1/calls`: newest first, a page at a time."""
    query = _query(request.query)
    records = await request.app[STORE].page(query)
    cursor = records[-1].call_id if len(records) == query.limit else None
    current = request.app[CALLS].current
    calls = [shown(current(record)) for record in records]
    return web.json_response({"calls": calls, "next_cursor": cursor})


async def get_call(request: web.Request) -> web.Response:
    """`GET /api/v1/calls/{call_id}`."""
    return web.json_response(shown(await call_of(request)))


def shown(record: CallRecord) -> dict[str, Any]:
    """A call as the API shows it: times in ISO 8601 UTC, null where nothing is known."""
    return {
        "call_id": record.call_id,
        "call_sid": record.call_sid,
        "direction": record.direction,
        "state": record.state,
        "trunk": record.trunk,
        "from": record.from_number,
        "to": record.to_number,
        "method": record.method,
        "agent": record.agent,
        "retell_call_id": record.retell_call_id,
        "a_sip_call_id": record.a_sip_call_id,
        "b_sip_call_id": record.b_sip_call_id,
        "attempts": record.attempts,
        "started_at": iso(record.started_ms),
        "answered_at": iso(record.answered_ms),
        "ended_at": iso(record.ended_ms),
        "duration_s": record.duration_s,
        "ended_by": record.ended_by,
        "cause": record.cause,
        "sip_status": record.sip_status,
        "fault": record.fault,
        "media": record.media,
        "retell_headers": record.retell_headers,
        "disconnection_reason": record.disconnection_reason,
    }


def same_secret(given: str, secret: SecretStr) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), secret.get_secret_value().encode())


def bears(request: web.Request, token: SecretStr) -> bool:
    """Whether the request carries this token (RFC 6750 2.1)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same_secret(given.strip(), token)


def _authorize(request: web.Request) -> None:
    token = request.app[SETTINGS].settings.http.admin_token
    if token is None:
        message = "the API is off: set http.admin_token in the configuration"
        raise ProblemError(403, "api-off", message)
    if not bears(request, token):
        detail = "send Authorization: Bearer with the admin token"
        raise ProblemError(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


async def call_of(request: web.Request) -> CallRecord:
    """The call that the path names, as it is now. Raises ProblemError."""
    call_id = request.match_info["call_id"]
    record = await request.app[STORE].get(call_id)
    if record is None:
        raise ProblemError(404, "no-such-call", f"there is no call {call_id}")
    return request.app[CALLS].current(record)


def _query(given: Mapping[str, str]) -> Query:
    for name in given:
        if name not in _PARAMETERS:
            near = get_close_matches(name, _PARAMETERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ProblemError(400, "bad-parameter", f"unknown parameter {name}{hint}")
    equal: dict[str, str | int] = {
        _FILTERS[name]: value for name, value in given.items() if name in _FILTERS
    }
    if "sip_status" in equal:
        equal["sip_status"] = _integer("sip_status", given["sip_status"], 100, 699)
    return Query(
        limit=_integer("limit", given.get("limit", "50"), 1, MAX_PAGE),
        before=given.get("cursor"),
        since_ms=_moment("since", given.get("since")),
        until_ms=_moment("until", given.get("until")),
        equal=equal,
    )


def _integer(name: str, text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ProblemError(400, "bad-parameter", f"{name} must be a number from {least} to {most}")
    return int(text)


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{name} must be a time such as 2026-11-20T08:00:00Z"
        raise ProblemError(400, "bad-parameter", message) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def iso(ms: int | None) -> str | None:
    """A time in ISO 8601, UTC, of milliseconds since 1970."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
