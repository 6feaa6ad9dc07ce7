"""Paths under `/sandbox/`, which Retell does not have: faults, agents, and what was heard."""

from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import Field

from testkit.sandbox.errors import ApiError
from testkit.sandbox.faults import FaultOrder, RestFault
from testkit.sandbox.http import CALLS, FAULTS, SIP, call_of, read
from testkit.sandbox.outcomes import Ending
from testkit.sandbox.settings import Agent, Model, Tool
from testkit.sandbox.store import Call


class Hangup(Model):
    """`POST /sandbox/calls/{call_id}/hangup`: what the agent's `end_call` tool would do."""

    headers: dict[str, str] = Field(default_factory=dict)
    """`X-` headers for the BYE"""


class UseTool(Model):
    """`POST /sandbox/calls/{call_id}/tool`: the agent uses this tool now."""

    tool: Tool


def add_routes(app: web.Application) -> None:
    """The sandbox's own paths."""
    app.router.add_get("/sandbox", get_overview)
    app.router.add_get("/sandbox/faults", get_faults)
    app.router.add_put("/sandbox/faults", put_faults)
    app.router.add_delete("/sandbox/faults", delete_faults)
    app.router.add_get("/sandbox/calls", get_calls)
    app.router.add_get("/sandbox/calls/{call_id}", get_call)
    app.router.add_get("/sandbox/calls/{call_id}/recording", get_recording)
    app.router.add_post("/sandbox/calls/{call_id}/hangup", hang_up)
    app.router.add_post("/sandbox/calls/{call_id}/tool", use_tool)
    app.router.add_post("/sandbox/calls/{call_id}/expire", expire)
    app.router.add_get("/sandbox/webhooks", get_webhooks)
    app.router.add_put("/sandbox/agents/{agent_id}", put_agent)


async def get_overview(request: web.Request) -> web.StreamResponse:
    """What is open now: all gauges are zero when no call is."""
    calls = request.app[CALLS]
    return web.json_response(
        {
            "numbers": sorted(calls.store.numbers),
            "calls": len(calls.store),
            "ongoing": len(calls.slots),
            "gauges": request.app[SIP].gauges,
        }
    )


async def get_faults(request: web.Request) -> web.StreamResponse:
    """The faults that have not happened yet."""
    return web.json_response(request.app[FAULTS].to_json())


async def put_faults(request: web.Request) -> web.StreamResponse:
    """Arm a fault behind those that are armed."""
    order = await read(request, FaultOrder)
    if order.sip is not None:
        request.app[FAULTS].arm(order.sip)
    else:
        request.app[FAULTS].arm(RestFault(**order.model_dump(exclude={"sip"})))
    return web.json_response(request.app[FAULTS].to_json())


async def delete_faults(request: web.Request) -> web.StreamResponse:
    """Everything works again."""
    request.app[FAULTS].clear()
    return web.Response(status=204)


async def get_calls(request: web.Request) -> web.StreamResponse:
    """All calls, newest first; `?sip_call_id=` or `?to_number=` narrow them down."""
    wanted = request.query
    found = [
        call
        for call in reversed(list(request.app[CALLS].store.calls()))
        if wanted.get("to_number") in (None, call.to_number)
        and wanted.get("sip_call_id") in (None, call.sip.sip_call_id if call.sip else "")
    ]
    return web.json_response({"items": [_brief(call) for call in found]})


async def get_call(request: web.Request) -> web.StreamResponse:
    """One call with its SIP side and what the agent heard."""
    call = call_of(request)
    report = _brief(call)
    report["heard"] = await call.heard.to_json() if call.heard is not None else None
    for use, shown in zip(call.tools, report["tools"], strict=True):
        shown["heard"] = await use.heard.to_json() if use.heard is not None else None
    return web.json_response(report)


async def get_recording(request: web.Request) -> web.StreamResponse:
    """What the agent has heard in this call so far, as WAV."""
    call = call_of(request)
    recording = call.heard.wav() if call.heard is not None else None
    if recording is None:
        raise ApiError(404, f"There is no recording of call {call.call_id}")
    return web.Response(body=recording, content_type="audio/wav")


async def hang_up(request: web.Request) -> web.StreamResponse:
    """The agent ends the call."""
    call = call_of(request)
    body = await read(request, Hangup)
    line = request.app[CALLS].line(call)
    if line is None:
        raise ApiError(422, f"Call {call.call_id} is not ongoing")
    line.hang_up(Ending.AGENT_HANGUP, body.headers)
    return web.Response(status=204)


async def use_tool(request: web.Request) -> web.StreamResponse:
    """The agent transfers the caller, or calls a function; what comes of it is in the report."""
    call = call_of(request)
    body = await read(request, UseTool)
    line = request.app[CALLS].line(call)
    if line is None:
        raise ApiError(422, f"Call {call.call_id} is not ongoing")
    return web.json_response(line.use(body.tool).to_json(), status=202)


async def expire(request: web.Request) -> web.StreamResponse:
    """The registered call's five minutes are over now."""
    request.app[CALLS].expire(call_of(request))
    return web.Response(status=204)


async def get_webhooks(request: web.Request) -> web.StreamResponse:
    """Deliveries, oldest first; `?call_id=` narrows them down."""
    wanted = request.query.get("call_id")
    deliveries = request.app[CALLS].webhooks.deliveries
    found = [asdict(one) for one in deliveries if wanted in (None, one.call_id)]
    return web.json_response({"items": found})


async def put_agent(request: web.Request) -> web.StreamResponse:
    """Describe an agent; calls that exist already keep the agent that they have."""
    agent = await read(request, Agent)
    request.app[CALLS].agents[request.match_info["agent_id"]] = agent
    return web.json_response(agent.model_dump())


def _brief(call: Call) -> dict[str, Any]:
    return {
        "call": call.to_json(),
        "way": call.way.value,
        "sip": asdict(call.sip) if call.sip is not None else None,
        "tools": [use.to_json() for use in call.tools],
    }
