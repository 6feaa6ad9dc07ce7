"""Recordings: /api/v1/recordings, and /api/v1/calls/{call_id}/recording for a call that is up."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, ParamSpec, TypeVar

import structlog
from aiohttp import web

from gateway.http.app_keys import CALLS, RECORDINGS, STORE
from gateway.http.calls_api import call_of, iso
from gateway.http.problems import ProblemError
from gateway.recordings.store import NoRecordingError, RecordingStore, Stored, UnreadableError
from gateway.storage.call_records import CallRecord, Query

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


async def list_recordings(request: web.Request) -> web.Response:
    """`GET /api/v1/recordings`: newest first; `call_id` or `caller` choose among them."""
    store = _store(request)
    for name in request.query:
        if name not in ("call_id", "caller"):
            raise ProblemError(400, "bad-parameter", f"unknown parameter {name}")
    sids = None
    if "call_id" in request.query:
        record = await request.app[STORE].get(request.query["call_id"])
        sids = {record.call_sid} if record is not None else set()
    if "caller" in request.query:
        theirs = await _calls_of(request, request.query["caller"])
        sids = theirs if sids is None else sids & theirs
    found = await _in_thread(store.listed)
    chosen = [_shown(one) for one in found if sids is None or one.call_sid in sids]
    return web.json_response({"recordings": chosen})


async def get_recording(request: web.Request) -> web.Response:
    """`GET /api/v1/recordings/{name}`."""
    store = _store(request)
    return web.json_response(_shown(await _in_thread(store.get, request.match_info["name"])))


async def get_audio(request: web.Request) -> web.StreamResponse:
    """`GET /api/v1/recordings/{name}/audio`: decrypted, a WAV file of two channels."""
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


async def delete_recording(request: web.Request) -> web.Response:
    """`DELETE /api/v1/recordings/{name}`."""
    store, name = _store(request), request.match_info["name"]
    await _in_thread(store.delete, name)
    log.info("recording.deleted", recording=name, client=request.remote)
    return web.Response(status=204)


async def erase(request: web.Request) -> web.Response:
    """`DELETE /api/v1/recordings?caller=+1…`: all recordings of calls with this person."""
    caller = request.query.get("caller")
    if not caller or len(request.query) != 1:
        raise ProblemError(400, "bad-parameter", "say whose: ?caller=%2B14155550199")
    store = _store(request)
    sids = await _calls_of(request, caller)
    deleted = []
    for one in await _in_thread(store.listed):
        if one.call_sid in sids:
            try:
                await _in_thread(store.delete, one.name)
            except ProblemError:
                continue  # deleted meanwhile
            deleted.append(one.name)
    log.info("recordings.erased", recordings=len(deleted), client=request.remote)
    return web.json_response({"deleted": deleted})


async def command(request: web.Request) -> web.Response:
    """`POST /api/v1/calls/{call_id}/recording` with `{"action": "start|pause|resume|stop"}`."""
    _store(request)
    record = await call_of(request)
    body = await _json(request)
    action = ACTIONS.get(str(body.get("action")))
    if action is None or len(body) != 1:
        detail = f'the body must be {{"action": …}} with one of {", ".join(ACTIONS)}'
        raise ProblemError(400, "bad-body", detail)
    wish = {"action": action}
    if body["action"] == "start":
        wish["recordingID"] = record.call_id  # as a recording of the configuration is named
    if not request.app[CALLS].command(record.call_id, "record", wish):
        raise ProblemError(409, "not-live", f"call {record.call_id} is over")
    log.info("recording.asked", call_id=record.call_id, action=body["action"])
    return web.Response(status=202)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ProblemError(400, "bad-body", "the body must be a JSON object")
    return body


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


def _shown(one: Stored) -> dict[str, Any]:
    return {
        "name": one.name,
        "call_sid": one.call_sid,
        "started_at": iso(round(one.started_at * 1000)),
        "duration_s": one.seconds,
        "octets": one.octets,
    }
