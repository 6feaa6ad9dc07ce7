"""How good a call's legs are: /api/v1/calls/{call_id}/quality."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from gateway.calls.quality import LEGS, Media, media_of
from gateway.http.app_keys import OPERATIONS, SAMPLES
from gateway.http.calls_api import call_of
from gateway.http.rules.route import Route
from gateway.http.rules.shapes import Shape
from gateway.storage.call_records import CallRecord


class LegQuality(Shape):
    """How good one leg is, or was; docs/media.md says what the figures are."""

    packets_received: int | None
    packets_sent: int | None
    lost: int | None
    jitter_ms: float | None
    silent_s: float | None
    quality: dict[str, Any] | None = Field(description="the figures of the whole call")
    samples: dict[str, Any] | None = Field(description="their course: lists of equal length")


class CallQuality(Shape):
    """How good a call's legs are, or were."""

    call_id: str
    state: str = Field(description="live, ended or interrupted")
    legs: dict[str, LegQuality] = Field(description="by leg: a is the caller's, b the other")


async def get_quality(request: web.Request) -> Mapping[str, Any]:
    """Of each leg the figures, and their course."""
    record = await call_of(request)
    media = await _now(request, record) if record.state == "live" else None
    if media is None:
        samples = await request.app[SAMPLES].get(record.call_id)
        media = Media(record.media, samples or {})
    legs = {leg: _leg(media, leg) for leg in LEGS if _counted(media, leg)}
    return {"call_id": record.call_id, "state": record.state, "legs": legs}


async def _now(request: web.Request, record: CallRecord) -> Media | None:
    """Of a call in progress; None where its softswitch is elsewhere, or has no media for it."""
    operations = request.app[OPERATIONS]()
    if operations is None:
        return None
    counters = await operations.media(record.call_sid)
    return None if counters is None else media_of(counters)


def _counted(media: Media, leg: str) -> Mapping[str, Any]:
    counted = (media.figures or {}).get(leg)
    return counted if isinstance(counted, dict) else {}


def _leg(media: Media, leg: str) -> dict[str, Any]:
    counted = _counted(media, leg)
    names = ("packets_received", "packets_sent", "lost", "jitter_ms", "silent_s")
    return {
        **{name: counted.get(name) for name in names},
        "quality": quality if isinstance(quality := counted.get("quality"), dict) else None,
        "samples": media.samples.get(leg),
    }


ROUTES: Final = (
    Route(
        method="GET",
        path="/calls/{call_id}/quality",
        handler=get_quality,
        summary="How good each leg of a call is, or was",
        role="read",
        answer=CallQuality,
        refusals={404: "no-such-call"},
    ),
)
