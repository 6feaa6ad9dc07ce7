"""Who had the gateway do what: /api/v1/audit."""

from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import AUDIT
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Moment, Time
from gateway.iso import iso
from gateway.storage.audit import AuditQuery as Query
from gateway.storage.audit import Write


class AuditQuery(StoredQuery):
    """Which requests."""

    by: str | None = Field(None, description="the name of a token")
    since: Moment | None = Field(None, description="a time such as 2026-11-20T08:00:00Z")
    until: Moment | None = Field(None, description="a time such as 2026-11-20T08:00:00Z")


class AuditEntry(Shape):
    """A request that was to change something."""

    audit_id: str
    at: Time
    by: str | None = Field(description="the name of the token; null where none was shown")
    client: str = Field(description="the address that it came from")
    method: str
    path: str
    request_id: str
    status: int = Field(description="what it was answered with")
    what: str = Field(description="what was wanted; empty where that is unknown")


async def list_audit(request: web.Request) -> Page[AuditEntry]:
    """Newest first, those that were refused too."""
    query = asked(request, AuditQuery)
    wanted = Query(
        limit=query.limit,
        before=query.cursor,
        by=query.by,
        since_ms=query.since,
        until_ms=query.until,
    )
    found = await request.app[AUDIT].page(wanted)
    cursor = found[-1].audit_id if len(found) == query.limit else None
    return Page(items=[_shown(write) for write in found], next=cursor)


def _shown(write: Write) -> AuditEntry:
    return AuditEntry(
        audit_id=write.audit_id,
        at=iso(write.at_ms),
        by=write.by,
        client=write.client,
        method=write.method,
        path=write.path,
        request_id=write.request_id,
        status=write.status,
        what=write.what,
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/audit",
        handler=list_audit,
        summary="Who had the gateway do what, the latest first",
        role="admin",
        query=AuditQuery,
        answer=Page[AuditEntry],
    ),
)
