"""The API: every route of it, and the document that describes them."""

import asyncio
from functools import cache
from typing import Any, Final

from aiohttp import web

from gateway.http import (
    audit_api,
    blocked_callers_api,
    callbacks_api,
    calls_api,
    calls_export,
    campaigns_api,
    do_not_call_api,
    events_api,
    ladders_api,
    lifecycle_api,
    live_calls_api,
    numbers_api,
    quality_api,
    queue_api,
    recordings_api,
    registrations_api,
    rest_calls_api,
    retell_api,
    retell_events_api,
    spend_api,
    timeline_api,
    trunks_api,
)
from gateway.http.rules.openapi import describe
from gateway.http.rules.route import Route, bind
from gateway.version import version


async def get_openapi(_: web.Request) -> dict[str, Any]:
    """This description."""
    return await asyncio.to_thread(document)  # it takes a while, and calls do not wait


ROUTES: Final = (
    *calls_api.ROUTES,
    *calls_export.ROUTES,
    *live_calls_api.ROUTES,
    *queue_api.ROUTES,
    *campaigns_api.ROUTES,
    *do_not_call_api.ROUTES,
    *callbacks_api.ROUTES,
    *events_api.ROUTES,
    *rest_calls_api.ROUTES,
    *timeline_api.ROUTES,
    *quality_api.ROUTES,
    *ladders_api.ROUTES,
    *recordings_api.ROUTES,
    *trunks_api.ROUTES,
    *registrations_api.ROUTES,
    *numbers_api.ROUTES,
    *retell_api.ROUTES,
    *retell_events_api.ROUTES,
    *lifecycle_api.ROUTES,
    *spend_api.ROUTES,
    *blocked_callers_api.ROUTES,
    *audit_api.ROUTES,
    Route(
        method="GET",
        path="/openapi.json",
        handler=get_openapi,
        summary="This description, in OpenAPI 3.1",
        role="read",
        answer="application/json",
    ),
)


@cache
def document() -> dict[str, Any]:
    """The description, made once."""
    return describe(ROUTES, version())


def routes() -> list[web.RouteDef]:
    """For aiohttp's router."""
    return [bind(route) for route in ROUTES]
