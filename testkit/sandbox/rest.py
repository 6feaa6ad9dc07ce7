"""The REST twin: Retell's paths, bodies, statuses (retell.com, API reference)."""

import asyncio
import functools
from collections.abc import Callable

import structlog
from aiohttp import web

from testkit.sandbox import countries
from testkit.sandbox.errors import ApiError
from testkit.sandbox.faults import RestFault
from testkit.sandbox.http import CALLS, FAULTS, SIP, Handler, call_of, error_response, read
from testkit.sandbox.list_calls import list_calls
from testkit.sandbox.models import (
    METADATA_BYTES,
    CreatePhoneCall,
    ImportPhoneNumber,
    ListCalls,
    NumberFields,
    RegisterPhoneCall,
    UpdatePhoneNumber,
    is_e164,
    json_size,
)
from testkit.sandbox.store import Number, pick

log = structlog.get_logger(__name__)


def operation(name: str) -> Callable[[Handler], Handler]:
    """Marks a handler; a fault that is armed for `name` happens instead."""

    def mark(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def faulty(request: web.Request) -> web.StreamResponse:
            fault = request.app[FAULTS].take_rest(name)
            if fault is not None:
                log.info("sandbox.fault", operation=name, status=fault.status)
                failed = await _fail(request, fault)
                if failed is not None:
                    return failed
            return await handler(request)

        return faulty

    return mark


async def _fail(request: web.Request, fault: RestFault) -> web.Response | None:
    """The fault's answer; None where it was only a delay."""
    if fault.delay_ms:
        await asyncio.sleep(fault.delay_ms / 1000)
    if fault.drop and request.transport is not None:
        request.transport.close()
        return web.Response(status=500)
    if fault.status is None:
        return None
    headers = {} if fault.retry_after_s is None else {"Retry-After": f"{fault.retry_after_s:g}"}
    return error_response(fault.status, fault.message, headers)


def add_routes(app: web.Application) -> None:
    """Retell's paths."""
    app.router.add_post("/v2/register-phone-call", register_phone_call)
    app.router.add_post("/v2/create-phone-call", create_phone_call)
    app.router.add_get("/v2/get-call/{call_id}", get_call)
    app.router.add_post("/v3/list-calls", post_list_calls)
    app.router.add_post("/v2/stop-call/{call_id}", stop_call)
    app.router.add_post("/import-phone-number", import_phone_number)
    app.router.add_get("/get-phone-number/{number}", get_phone_number)
    app.router.add_get("/v2/list-phone-numbers", list_phone_numbers)
    app.router.add_patch("/update-phone-number/{number}", update_phone_number)
    app.router.add_delete("/delete-phone-number/{number}", delete_phone_number)
    app.router.add_get("/get-concurrency", get_concurrency)
    app.router.add_get("/get-api-key-info", get_api_key_info)


# calls


@operation("register-phone-call")
async def register_phone_call(request: web.Request) -> web.StreamResponse:
    body = await read(request, RegisterPhoneCall)
    _check_metadata(body.metadata)
    call = request.app[CALLS].register(body)
    return web.json_response(call.to_json(), status=201)


@operation("create-phone-call")
async def create_phone_call(request: web.Request) -> web.StreamResponse:
    body = await read(request, CreatePhoneCall)
    calls = request.app[CALLS]
    now_s = calls.clock.now()
    if body.idempotency_key is not None:
        made = calls.store.by_key(body.idempotency_key, now_s)
        if made is not None:
            return web.json_response(made.to_json(), status=201)
    _check_metadata(body.metadata)
    number = calls.store.numbers.get(body.from_number)
    if not is_e164(body.to_number) or not (
        is_e164(body.from_number) or body.ignore_e164_validation
    ):
        raise ApiError(400, "from_number and to_number must be in E.164 format")
    if number is None:
        raise ApiError(422, f"Phone number {body.from_number} not found")
    if not countries.allowed(body.to_number, number.allowed_outbound_country_list):
        raise ApiError(422, f"Calls to the country of {body.to_number} are not allowed")
    bound = pick(number.outbound_agents, calls.ids.fraction())
    agent_id = body.override_agent_id or (bound.agent_id if bound else None)
    if agent_id is None:
        raise ApiError(422, f"No outbound agent is set for {body.from_number}")
    version = body.override_agent_version
    if version is None and bound is not None and agent_id == bound.agent_id:
        version = bound.agent_version
    call = calls.dial_out(body, agent_id, version)
    if body.idempotency_key is not None:
        until_s = now_s + calls.settings.idempotency_s
        calls.store.remember_key(body.idempotency_key, call.call_id, until_s)
    answer = web.json_response(call.to_json(), status=201)
    request.app[SIP].dial(call, number)
    return answer


@operation("get-call")
async def get_call(request: web.Request) -> web.StreamResponse:
    return web.json_response(call_of(request).to_json())


@operation("list-calls")
async def post_list_calls(request: web.Request) -> web.StreamResponse:
    body = await read(request, ListCalls)
    return web.json_response(list_calls(request.app[CALLS].store.calls(), body))


@operation("stop-call")
async def stop_call(request: web.Request) -> web.StreamResponse:
    request.app[CALLS].stop(call_of(request))
    return web.Response(status=204)


# numbers


@operation("import-phone-number")
async def import_phone_number(request: web.Request) -> web.StreamResponse:
    body = await read(request, ImportPhoneNumber)
    calls = request.app[CALLS]
    if not body.ignore_e164_validation and not is_e164(body.phone_number):
        raise ApiError(400, "phone_number must be in E.164 format")
    if body.phone_number in calls.store.numbers:
        raise ApiError(400, f"Phone number {body.phone_number} is imported already")
    number = Number(
        phone_number=body.phone_number,
        termination_uri=body.termination_uri,
        modified_ms=calls.now_ms(),
        auth_username=body.sip_trunk_auth_username,
        auth_password=body.sip_trunk_auth_password,
    )
    _set_shared(number, body)
    calls.store.numbers[number.phone_number] = number
    return web.json_response(number.to_json(), status=201)


@operation("get-phone-number")
async def get_phone_number(request: web.Request) -> web.StreamResponse:
    return web.json_response(_number_of(request).to_json())


@operation("list-phone-numbers")
async def list_phone_numbers(request: web.Request) -> web.StreamResponse:
    numbers = request.app[CALLS].store.numbers.values()
    return web.json_response({"items": [number.to_json() for number in numbers], "has_more": False})


@operation("update-phone-number")
async def update_phone_number(request: web.Request) -> web.StreamResponse:
    number = _number_of(request)
    body = await read(request, UpdatePhoneNumber)
    _set_shared(number, body)
    given = body.model_fields_set
    if body.termination_uri is not None:
        number.termination_uri = body.termination_uri
    if "auth_username" in given:
        number.auth_username = body.auth_username
    if "auth_password" in given:
        number.auth_password = body.auth_password
    if "fallback_number" in given:
        number.fallback_number = _fallback(request, number, body.fallback_number)
    number.modified_ms = request.app[CALLS].now_ms()
    return web.json_response(number.to_json())


@operation("delete-phone-number")
async def delete_phone_number(request: web.Request) -> web.StreamResponse:
    del request.app[CALLS].store.numbers[_number_of(request).phone_number]
    return web.Response(status=204)


def _number_of(request: web.Request) -> Number:
    text = request.match_info["number"]
    number = request.app[CALLS].store.numbers.get(text)
    if number is None:
        raise ApiError(422, f"Phone number {text} not found")
    return number


def _set_shared(number: Number, body: NumberFields) -> None:
    """Fields that were given; null empties a list and takes the transport back to its default."""
    for name in body.model_fields_set & set(NumberFields.model_fields):
        value = getattr(body, name)
        if name == "transport":
            number.transport = value or "TCP"
        elif isinstance(getattr(number, name), list):
            setattr(number, name, list(value or []))
        else:
            setattr(number, name, value)


def _fallback(request: web.Request, number: Number, wanted: str | None) -> str | None:
    """Not itself, and no number that has a fallback of its own (no nested forwarding)."""
    if wanted is None:
        return None
    other = request.app[CALLS].store.numbers.get(wanted)
    if wanted == number.phone_number or (other is not None and other.fallback_number):
        raise ApiError(400, f"{wanted} cannot be the fallback of {number.phone_number}")
    return wanted


# the workspace


@operation("get-concurrency")
async def get_concurrency(request: web.Request) -> web.StreamResponse:
    slots = request.app[CALLS].slots
    return web.json_response(
        {
            "current_concurrency": len(slots),
            "concurrency_limit": slots.limit,
            "base_concurrency": slots.limit,
            "purchased_concurrency": 0,
            "concurrency_purchase_limit": 0,
            "remaining_purchase_limit": 0,
            "reserved_inbound_concurrency": slots.reserved_inbound,
            "concurrency_burst_enabled": slots.burst,
            "concurrency_burst_limit": slots.burst_limit,
        }
    )


@operation("get-api-key-info")
async def get_api_key_info(request: web.Request) -> web.StreamResponse:
    return web.json_response(
        {"api_key_name": "sandbox", "org_id": "org_sandbox", "org_name": "Sandbox"}
    )


def _check_metadata(metadata: dict[str, object] | None) -> None:
    if metadata is not None and json_size(metadata) > METADATA_BYTES:
        raise ApiError(400, f"metadata is larger than {METADATA_BYTES} bytes")
