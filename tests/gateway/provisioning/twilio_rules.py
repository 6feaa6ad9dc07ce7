"""The rules of Twilio's two APIs, each with its source; "strict" as in the double."""

import re
from base64 import b64encode
from typing import Any

from aiohttp import web

from tests.gateway.provisioning.stage import AUTH, SID

Resource = dict[str, Any]

TRUNK = ("DomainName", "Secure", "TransferMode", "TransferCallerId")
URL = ("SipUrl", "Priority", "Weight", "Enabled")


@web.middleware
async def authorized(request: web.Request, handler: Any) -> web.StreamResponse:
    login = b64encode(f"{SID}:{AUTH}".encode()).decode()
    if request.headers.get("Authorization") != f"Basic {login}":
        return refused(401, "Authenticate", 20003)
    return await handler(request)  # type: ignore[no-any-return]


async def form_of(request: web.Request, *known: str) -> dict[str, str]:
    """Parameters are form-encoded; strict: one that is not known is an error of ours."""
    assert request.content_type == "application/x-www-form-urlencoded", request.content_type
    form = {name: str(value) for name, value in (await request.post()).items()}
    assert {*form} <= {*known}, f"{request.path} knows no { ({*form} - {*known}) }"
    return form


def told_of(form: dict[str, str]) -> Resource:
    """Parameters as properties: numbers and booleans are no texts there."""
    values: dict[str, Any] = {snake(k): v for k, v in form.items() if k in (*TRUNK, *URL)}
    for name in ("secure", "enabled"):
        if name in values:
            values[name] = values[name] == "true"
    return values | {n: int(values[n]) for n in ("priority", "weight") if n in values}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def wrong_url(form: dict[str, str]) -> web.Response | None:
    """originationurl-resource: a sip: URI, priority 0 to 65535, weight 1 to 65535."""
    if not form.get("SipUrl", "sip:").startswith("sip:"):
        return refused(400, "SipUrl must be a sip: URI")
    if not 0 <= int(form.get("Priority", "10")) <= 65535:
        return refused(400, "Priority is out of range")
    if not 1 <= int(form.get("Weight", "10")) <= 65535:
        return refused(400, "Weight is out of range")
    return None


def weak(password: str) -> web.Response | None:
    """sip-credential-resource: 12 characters at least, a digit, small and capital letters."""
    kinds = (r"[a-z]", r"[A-Z]", r"[0-9]")
    if len(password) < 12 or not all(re.search(kind, password) for kind in kinds):
        return refused(400, f"Password {password} is too weak")
    return None


def refused(status: int, message: str, code: int | None = None) -> web.Response:
    """twilio.com/docs/usage/twilios-response#errors."""
    body: Resource = {"status": status, "message": message}
    if code is not None:
        body["code"] = code
    return web.json_response(body, status=status)
