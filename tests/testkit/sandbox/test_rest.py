"""The REST twin, through the real Retell client and, where that would not go, by hand."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from retell import (
    APIConnectionError,
    AsyncRetell,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    RateLimitError,
    UnprocessableEntityError,
)

from testkit.sandbox.settings import Agent
from tests.testkit.sandbox.stage import AGENT, NUMBER, Stage, number, stage


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage(preset_numbers=(number(),)) as one:
        yield one


async def test_registering_a_call_answers_the_documented_object(on: Stage) -> None:
    call = await on.retell.call.register_phone_call(
        agent_id="agent_1",
        agent_version="prod",
        direction="outbound",
        from_number="+14155550123",
        to_number="+14155550199",
        metadata={"order": 7, "nested": {"a": [1]}},
        retell_llm_dynamic_variables={"plan": "gold"},
    )
    assert re.fullmatch(r"call_[0-9a-f]{27}", call.call_id)
    assert (call.call_type, call.call_status, call.direction) == (
        "phone_call",
        "registered",
        "outbound",
    )
    assert (call.agent_id, call.agent_version) == ("agent_1", 0)
    assert (call.from_number, call.to_number) == ("+14155550123", "+14155550199")
    assert call.metadata == {"order": 7, "nested": {"a": [1]}}
    assert call.retell_llm_dynamic_variables == {"plan": "gold"}
    again = await on.retell.call.retrieve(call.call_id)
    assert again.model_dump() == call.model_dump()


async def test_each_registration_is_a_call_of_its_own(on: Stage) -> None:
    """No idempotency key exists here: a repeated request makes a second call."""
    calls = [await on.retell.call.register_phone_call(agent_id=AGENT) for _ in range(3)]
    assert len({call.call_id for call in calls}) == 3


async def test_a_wrong_key_is_401_with_the_documented_body(on: Stage) -> None:
    stranger = AsyncRetell(api_key="wrong", base_url=on.sandbox.base_url, max_retries=0)
    with pytest.raises(AuthenticationError) as caught:
        await stranger.call.register_phone_call(agent_id=AGENT)
    await stranger.close()
    assert caught.value.body == {"status": "error", "message": "Invalid API key"}
    status, _ = await on.ask("GET", "/sandbox/calls", key="wrong")
    assert status == 401


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "agent_id"),
        ({"agent_id": 5}, "agent_id"),
        ({"agent_id": "a", "direction": "sideways"}, "direction"),
        ({"agent_id": "a", "retell_llm_dynamic_variables": {"n": 1}}, "retell_llm_dynamic_var"),
        ({"agent_id": "a", "metadata": "text"}, "metadata"),
        (
            {"agent_id": "a", "agent_override": {"agent": {"max_call_duration_ms": 59_999}}},
            "max_call_duration_ms",
        ),
        ([1], "object"),
    ],
)
async def test_a_body_of_the_wrong_type_is_400_and_names_the_field(
    on: Stage, body: Any, named: str
) -> None:
    status, answer = await on.ask("POST", "/v2/register-phone-call", body)
    assert status == 400
    assert answer["status"] == "error"
    assert named in answer["message"]


async def test_metadata_over_50_kb_is_400(on: Stage) -> None:
    with pytest.raises(BadRequestError):
        await on.retell.call.register_phone_call(agent_id=AGENT, metadata={"x": "y" * 50_000})


async def test_unknown_things_are_422(on: Stage) -> None:
    for asked in (
        on.retell.call.retrieve("call_000000000000000000000000000"),
        on.retell.call.stop("call_000000000000000000000000000"),
        on.retell.phone_number.retrieve("+14155550177"),
        on.retell.call.create_phone_call(from_number="+14155550177", to_number="+14155550199"),
    ):
        with pytest.raises(UnprocessableEntityError):
            await asked


async def test_unknown_agents_are_422_where_agents_are_named() -> None:
    async with stage(known_agents=frozenset({"agent_1"})) as on:
        await on.retell.call.register_phone_call(agent_id="agent_1")
        with pytest.raises(UnprocessableEntityError):
            await on.retell.call.register_phone_call(agent_id="agent_2")


async def test_an_unknown_path_has_the_error_body_too(on: Stage) -> None:
    assert await on.ask("POST", "/v2/list-calls", {}) == (
        404,
        {"status": "error", "message": "Not Found"},
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
    ],
)
async def test_a_fault_happens_as_often_as_it_was_armed(
    on: Stage, status: int, error: type[Exception]
) -> None:
    fault = {"operation": "register-phone-call", "status": status, "count": 2}
    assert (await on.ask("PUT", "/sandbox/faults", fault))[0] == 200
    for _ in range(2):
        with pytest.raises(error):
            await on.retell.call.register_phone_call(agent_id=AGENT)
    await on.retell.call.register_phone_call(agent_id=AGENT)


async def test_402_is_a_fault_as_well(on: Stage) -> None:
    await on.ask("PUT", "/sandbox/faults", {"status": 402, "message": "Trial has ended"})
    assert await on.ask("POST", "/v2/register-phone-call", {"agent_id": AGENT}) == (
        402,
        {"status": "error", "message": "Trial has ended"},
    )


async def test_a_fault_without_count_lasts_until_it_is_cleared(on: Stage) -> None:
    fault = {"operation": "get-concurrency", "status": 500, "count": None}
    await on.ask("PUT", "/sandbox/faults", fault)
    for _ in range(3):
        assert (await on.ask("GET", "/get-concurrency"))[0] == 500
    assert (await on.ask("DELETE", "/sandbox/faults"))[0] == 204
    assert (await on.ask("GET", "/get-concurrency"))[0] == 200


async def test_faults_can_delay_drop_and_ask_to_retry_later(on: Stage) -> None:
    loop = asyncio.get_running_loop()
    await on.ask("PUT", "/sandbox/faults", {"operation": "get-concurrency", "delay_ms": 80})
    begun_s = loop.time()
    await on.retell.concurrency.retrieve()
    assert loop.time() - begun_s >= 0.08

    await on.ask("PUT", "/sandbox/faults", {"operation": "get-concurrency", "drop": True})
    with pytest.raises(APIConnectionError):
        await on.retell.concurrency.retrieve()

    await on.ask("PUT", "/sandbox/faults", {"status": 429, "retry_after_s": 0.01})
    patient = on.retell.with_options(max_retries=1)
    assert (await patient.concurrency.retrieve()).concurrency_limit == 20


async def test_a_fault_for_an_operation_that_does_not_exist_is_refused(on: Stage) -> None:
    status, answer = await on.ask("PUT", "/sandbox/faults", {"operation": "call", "status": 500})
    assert status == 400
    assert "register-phone-call" in answer["message"]


async def test_a_number_is_imported_read_changed_and_deleted(on: Stage) -> None:
    made = await on.retell.phone_number.import_(
        phone_number="+14155550150",
        termination_uri="trunk.example.com:5080",
        sip_trunk_auth_username="user",
        sip_trunk_auth_password="hidden-word",
        codecs=["PCMA"],
        inbound_agents=[
            {"agent_id": "a", "weight": 0.25},
            {"agent_id": "b", "weight": 0.75, "agent_version": "latest"},
        ],
        nickname="desk",
    )
    assert made.phone_number_type == "custom"
    trunk = made.sip_outbound_trunk_config
    assert trunk is not None
    assert (trunk.termination_uri, trunk.auth_username) == ("trunk.example.com:5080", "user")
    assert (trunk.transport, trunk.codecs) == ("TCP", ["PCMA"])
    assert "hidden-word" not in made.model_dump_json()

    changed = await on.retell.phone_number.update(
        "+14155550150",
        transport="UDP",
        auth_username="other",
        inbound_agents=None,
        fallback_number="+14155550199",
    )
    assert changed.inbound_agents == []
    assert changed.nickname == "desk"
    assert changed.fallback_number == "+14155550199"
    trunk = changed.sip_outbound_trunk_config
    assert trunk is not None
    assert (trunk.transport, trunk.auth_username) == ("UDP", "other")

    listed = await on.retell.phone_number.list()
    assert [one.phone_number for one in listed.items] == [NUMBER, "+14155550150"]
    await on.retell.phone_number.delete("+14155550150")
    with pytest.raises(UnprocessableEntityError):
        await on.retell.phone_number.retrieve("+14155550150")


@pytest.mark.parametrize(
    "body",
    [
        {"termination_uri": "t"},
        {"phone_number": "+14155550150"},
        {"phone_number": "+14155550150", "termination_uri": "t", "transport": "SCTP"},
        {"phone_number": "200", "termination_uri": "t", "ignore_e164_validation": False},
        {"phone_number": "200", "termination_uri": "t", "ignore_e164_validation": "true"},
        {"phone_number": NUMBER, "termination_uri": "again"},
        {
            "phone_number": "+14155550150",
            "termination_uri": "t",
            "inbound_agents": [{"agent_id": "a", "weight": 0.5}],
        },
    ],
)
async def test_an_import_that_retell_would_refuse_is_400(on: Stage, body: Any) -> None:
    assert (await on.ask("POST", "/import-phone-number", body))[0] == 400


async def test_a_pseudo_number_may_be_imported(on: Stage) -> None:
    """Unlike in the call APIs, E.164 validation is off here unless it is asked for."""
    made = await on.retell.phone_number.import_(phone_number="200", termination_uri="pbx:5060")
    assert made.phone_number == "200"


async def test_a_number_is_not_its_own_fallback(on: Stage) -> None:
    with pytest.raises(BadRequestError):
        await on.retell.phone_number.update(NUMBER, fallback_number=NUMBER)


async def test_a_number_that_is_no_e164_is_not_dialled(on: Stage) -> None:
    with pytest.raises(BadRequestError):
        await on.retell.call.create_phone_call(from_number=NUMBER, to_number="4155550199")


async def test_a_number_without_outbound_agent_needs_an_override() -> None:
    async with stage(preset_numbers=(number(outbound_agents=()),)) as on:
        with pytest.raises(UnprocessableEntityError):
            await on.retell.call.create_phone_call(from_number=NUMBER, to_number="+14155550199")
        call = await on.retell.call.create_phone_call(
            from_number=NUMBER, to_number="+14155550199", override_agent_id="agent_9"
        )
        assert call.agent_id == "agent_9"


async def test_a_country_that_is_not_allowed_is_not_dialled(on: Stage) -> None:
    await on.retell.phone_number.update(NUMBER, allowed_outbound_country_list=["DE"])
    with pytest.raises(UnprocessableEntityError):
        await on.retell.call.create_phone_call(from_number=NUMBER, to_number="+14155550199")


async def test_the_same_idempotency_key_makes_one_call(on: Stage) -> None:
    async def create(key: str) -> str:
        call = await on.retell.call.create_phone_call(
            from_number=NUMBER, to_number="+14155550199", idempotency_key=key
        )
        return call.call_id

    first = await create("key-1")
    assert await create("key-1") == first
    assert await create("key-2") != first


async def test_an_idempotency_key_is_forgotten_in_the_end() -> None:
    async with stage(preset_numbers=(number(),), idempotency_s=0.02) as on:
        body = {"from_number": NUMBER, "to_number": "+14155550199", "idempotency_key": "k"}
        _, first = await on.ask("POST", "/v2/create-phone-call", body)
        await asyncio.sleep(0.03)
        _, second = await on.ask("POST", "/v2/create-phone-call", body)
        assert first["call_id"] != second["call_id"]


async def test_concurrency_is_shown_and_outbound_calls_over_it_are_rejected() -> None:
    async with stage(
        preset_numbers=(number(),), concurrency_limit=1, register_holds_concurrency=True
    ) as on:
        before = await on.retell.concurrency.retrieve()
        assert (before.current_concurrency, before.concurrency_limit) == (0, 1)
        await on.retell.call.register_phone_call(agent_id=AGENT)
        assert (await on.retell.concurrency.retrieve()).current_concurrency == 1
        with pytest.raises(RateLimitError):
            await on.retell.call.create_phone_call(from_number=NUMBER, to_number="+14155550199")


async def test_burst_allows_three_times_the_limit() -> None:
    async with stage(concurrency_limit=2, burst=True, register_holds_concurrency=True) as on:
        shown = await on.retell.concurrency.retrieve()
        assert (shown.concurrency_burst_enabled, shown.concurrency_burst_limit) == (True, 6)
        for _ in range(6):
            await on.retell.call.register_phone_call(agent_id=AGENT)
        with pytest.raises(RateLimitError):
            await on.retell.call.register_phone_call(agent_id=AGENT)


async def test_a_registered_call_can_be_stopped(on: Stage) -> None:
    call = await on.retell.call.register_phone_call(agent_id=AGENT)
    await on.retell.call.stop(call.call_id)
    stopped = await on.retell.call.retrieve(call.call_id)
    assert (stopped.call_status, stopped.disconnection_reason) == ("ended", "manual_stopped")
    with pytest.raises(UnprocessableEntityError):
        await on.retell.call.stop(call.call_id)


async def test_a_registered_call_that_nobody_dials_ends_in_error() -> None:
    async with stage(registered_call_ttl_s=0.02) as on:
        call = await on.retell.call.register_phone_call(agent_id=AGENT)
        ended = await on.call(call.call_id, "error")
        assert ended["disconnection_reason"] == "registered_call_timeout"


async def test_calls_are_listed_by_filter_and_page_by_page(on: Stage) -> None:
    ids = [
        (
            await on.retell.call.register_phone_call(
                agent_id=f"agent_{at % 2}", to_number=f"+1415555010{at}"
            )
        ).call_id
        for at in range(5)
    ]
    page = await on.retell.call.list(limit=2, sort_order="ascending", include_total=True)
    assert [one.call_id for one in page.items] == ids[:2]
    assert (page.has_more, page.total) == (True, 5)
    assert page.pagination_key is not None
    rest = await on.retell.call.list(
        limit=5, sort_order="ascending", pagination_key=page.pagination_key
    )
    assert [one.call_id for one in rest.items] == ids[2:]
    assert rest.has_more is False

    found = await on.retell.call.list(
        filter_criteria={
            "agent": [{"agent_id": "agent_1"}],
            "to_number": {"type": "string", "op": "ew", "value": "3"},
        }
    )
    assert [one.call_id for one in found.items] == [ids[3]]
    nothing = await on.retell.call.list(
        filter_criteria={"call_status": {"type": "enum", "op": "in", "value": ["ongoing"]}}
    )
    assert nothing.items == []


async def test_a_filter_that_the_sandbox_lacks_is_refused_not_ignored(on: Stage) -> None:
    status, answer = await on.ask(
        "POST", "/v3/list-calls", {"filter_criteria": {"in_voicemail": {"type": "boolean"}}}
    )
    assert status == 400
    assert "in_voicemail" in answer["message"]
    status, _ = await on.ask("POST", "/v3/list-calls", {"skip": 1, "pagination_key": "after-1"})
    assert status == 400


async def test_the_key_can_be_checked(on: Stage) -> None:
    assert (await on.retell.identity.retrieve()).org_name == "Sandbox"


async def test_an_agent_is_described_by_the_sandboxes_own_path(on: Stage) -> None:
    described = Agent(agent_version=4, hangup_after_s=1.5).model_dump()
    status, answer = await on.ask("PUT", "/sandbox/agents/agent_4", described)
    assert (status, answer["hangup_after_s"]) == (200, 1.5)
    call = await on.retell.call.register_phone_call(agent_id="agent_4")
    assert call.agent_version == 4
    assert (await on.ask("PUT", "/sandbox/agents/agent_4", {"hangup": 1}))[0] == 400
