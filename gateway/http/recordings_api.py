"""Recordings: /api/v1/recordings, and /api/v1/calls/{call_id}/recording for a call that is up."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Literal, ParamSpec, TypeVar

import structlog
from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import CALLS, RECORDINGS, STORE
from gateway.http.calls_api import call_of
from gateway.http.problems import ProblemError
from gateway.http.rules.audit import WANTED
from gateway.http.rules.route import Route, asked, sent
from gateway.http.rules.shapes import Page, PageQuery, Shape, cut
from gateway.http.rules.times import Time
from gateway.iso import iso
from gateway.recordings.store import NoRecordingError, RecordingStore, Stored, UnreadableError
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: Calls that are read at a time to find those of one person.
PAGE: Final = 500

#: What may be done to the recording of a call that is up, and jambonz's words for it.
ACTIONS: Final = {
    "start": "startCallRecording",
    "pause": "pauseCallRecording",
    "resume": "resumeCallRecording",
    "stop": "stopCallRecording",
}


class RecordingsQuery(PageQuery):
    """Which recordings."""

    call_id: str | None = Field(None, description="our id of the call")
    caller: str | None = Field(None, description="the number of one of the two who talk")


class EraseQuery(Shape):
    """Whose recordings."""

    caller: str = Field(min_length=1, description="a person's number: ?caller=%2B14155550199")


class Recording(Shape):
    """A recording on disk."""

    name: str
    call_sid: str
    started_at: Time
    duration_s: float
    octets: int


class Erased(Shape):
    """What is gone."""

    deleted: list[str] = Field(description="names of recordings")


class RecordingWish(Shape):
    """What shall become of the recording of a call that is up."""

    action: Literal["start", "pause", "resume", "stop"] = Field(
        description="start, pause, resume or stop"
    )


async def list_recordings(request: web.Request) -> Page[Recording]:
    """Newest first; `call_id` or `caller` choose among them."""
    store, query = _store(request), asked(request, RecordingsQuery)
    sids = None
    if query.call_id is not None:
        record = await request.app[STORE].get(query.call_id)
        sids = {record.call_sid} if record is not None else set()
    if query.caller is not None:
        theirs = await _calls_of(request, query.caller)
        sids = theirs if sids is None else sids & theirs
    found = await _in_thread(store.listed)
    chosen = [_shown(one) for one in found if sids is None or one.call_sid in sids]
    return cut(chosen, query, lambda one: one.name)


async def get_recording(request: web.Request) -> Recording:
    """One recording."""
    store = _store(request)
    return _shown(await _in_thread(store.get, request.match_info["name"]))


async def get_recording_audio(request: web.Request) -> web.StreamResponse:
    """Decrypted, a WAV file of two channels."""
    store, name = _store(request), request.match_info["name"]
    octets, parts = await _in_thread(store.wav, name)
    response = web.StreamResponse(
        headers={
            "Content-Type": "audio/wav",
            "Content-Length": str(octets),
            "Content-Disposition": f'attachment; filename="{name}.wav"',
            "Cache-Control": "no-store",
        }
    )
    log.info("recording.read", recording=name, client=request.remote)
    try:
        first = await _in_thread(_next, parts)
        head = await _in_thread(_next, parts)  # a wrong key is told before anything is sent
        await response.prepare(request)
        await response.write(first)
        while head:
            await response.write(head)
            head = await _in_thread(_next, parts)
    finally:
        parts.close()
    await response.write_eof()
    return response


async def delete_recording(request: web.Request) -> None:
    """Delete one."""
    store, name = _store(request), request.match_info["name"]
    await _in_thread(store.delete, name)
    log.info("recording.deleted", recording=name, client=request.remote)


async def erase_recordings(request: web.Request) -> Erased:
    """Delete all recordings of calls with a person."""
    store = _store(request)
    sids = await _calls_of(request, asked(request, EraseQuery).caller)
    deleted = []
    for one in await _in_thread(store.listed):
        if one.call_sid in sids:
            try:
                await _in_thread(store.delete, one.name)
            except ProblemError:
                continue  # deleted meanwhile
            deleted.append(one.name)
    log.info("recordings.erased", recordings=len(deleted), client=request.remote)
    request[WANTED] = f"erase {len(deleted)} recordings of a person"  # not of whom: it is erased
    return Erased(deleted=deleted)


async def control_recording(request: web.Request) -> None:
    """Start, pause, resume or stop the recording of a call that is up."""
    _store(request)
    record = await call_of(request)
    action = sent(request, RecordingWish).action
    request[WANTED] = f"{action} the recording"
    wish = {"action": ACTIONS[action]}
    if action == "start":
        wish["recordingID"] = record.call_id  # as a recording of the configuration is named
    if not request.app[CALLS].command(record.call_id, "record", wish):
        raise ProblemError(409, "not-live", f"call {record.call_id} is over")
    log.info("recording.asked", call_id=record.call_id, action=action)


def _store(request: web.Request) -> RecordingStore:
    if RECORDINGS not in request.app:
        detail = "nothing is recorded: the configuration has no recording: section"
        raise ProblemError(409, "no-recording", detail)
    return request.app[RECORDINGS]


async def _calls_of(request: web.Request, person: str) -> set[str]:
    """The calls in which this person's number is one of the two."""
    sids: set[str] = set()
    for column in ("from_number", "to_number"):
        before: str | None = None
        while True:
            query = Query(limit=PAGE, before=before, equal={column: person})
            records: list[CallRecord] = list(await request.app[STORE].page(query))
            sids.update(record.call_sid for record in records)
            if len(records) < PAGE:
                break
            before = records[-1].call_id
    return sids


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The disk may be slow. Raises ProblemError."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except NoRecordingError as error:
        raise ProblemError(404, "no-such-recording", f"there is no recording {error}") from None
    except UnreadableError as error:
        log.error("recording.unreadable", error=str(error))
        raise ProblemError(500, "unreadable-recording", str(error)) from None
    except OSError as error:
        log.error("recording.unreadable", error=str(error))
        raise ProblemError(503, "no-disk", f"the recordings cannot be read: {error}") from None


def _next(parts: Iterator[bytes]) -> bytes:
    return next(parts, b"")


def _shown(one: Stored) -> Recording:
    return Recording(
        name=one.name,
        call_sid=one.call_sid,
        started_at=iso(round(one.started_at * 1000)),
        duration_s=one.seconds,
        octets=one.octets,
    )


_NONE: Final = {409: "no-recording"}

ROUTES: Final = (
    Route(
        method="POST",
        path="/calls/{call_id}/recording",
        handler=control_recording,
        summary="Start, pause, resume or stop a call's recording",
        role="operate",
        body=RecordingWish,
        answer=None,
        status=202,
        refusals={404: "no-such-call", 409: "no-recording, not-live"},
    ),
    Route(
        method="GET",
        path="/recordings",
        handler=list_recordings,
        summary="Recordings, the newest first",
        role="read",
        query=RecordingsQuery,
        answer=Page[Recording],
        refusals=_NONE,
    ),
    Route(
        method="DELETE",
        path="/recordings",
        handler=erase_recordings,
        summary="Delete all recordings of calls with a person",
        role="admin",
        query=EraseQuery,
        answer=Erased,
        refusals=_NONE,
    ),
    Route(
        method="GET",
        path="/recordings/{name}",
        handler=get_recording,
        summary="One recording",
        role="read",
        answer=Recording,
        refusals={404: "no-such-recording", **_NONE},
    ),
    Route(
        method="DELETE",
        path="/recordings/{name}",
        handler=delete_recording,
        summary="Delete a recording",
        role="admin",
        answer=None,
        status=204,
        refusals={404: "no-such-recording", **_NONE},
    ),
    Route(
        method="GET",
        path="/recordings/{name}/audio",
        handler=get_recording_audio,
        summary="A recording as a WAV file",
        role="operate",
        answer="audio/wav",
        refusals={404: "no-such-recording", **_NONE},
    ),
)
