"""Callers handed to people: what our application answers a softswitch that tells of REFERs.

The softswitch is scripted; `tests/softswitch/` and `tests/sipp/` show the same on the wire.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from gateway.calls.planner import Planner
from gateway.http.app_keys import CALLS
from tests.gateway.calls.test_restart import restarted
from tests.gateway.conftest import DIAL_DID, FALLBACK_DID, TRUNK_DID, Gateway, Start
from tests.gateway.peer import Jambonz

Json = dict[str, Any]

MOBILE = "+14155550177"
DIRECTORY: Json = {
    "Sales": {
        "aliases": ["200"],
        "targets": [{"trunk": "pbx", "to": "201"}, {"trunk": "pbx", "to": "202"}],
        "overflow": ["Duty"],
    },
    "Support": {
        "targets": [{"trunk": "pbx", "to": "301"}, {"trunk": "pbx", "to": "302", "ring_s": 12}],
        "strategy": "all",
    },
    "Duty": {"targets": [{"trunk": "second", "to": MOBILE}]},
    "Careful": {
        "targets": [{"trunk": "second", "to": "+14155550178", "confirm": True, "whisper": "w.wav"}]
    },
    "Polite": {"targets": [{"trunk": "pbx", "to": "401", "whisper": "w.wav"}]},
    "Night": {
        "targets": [{"trunk": "pbx", "to": "501"}],
        "schedule": "never",
        "closed": {"announcement": "closed.wav"},
    },
    "Dear": {"targets": [{"trunk": "second", "to": "+19005550100"}]},
}
TRANSFERRING: Json = {
    "directory": DIRECTORY,
    "schedules": {"never": {"time_zone": "UTC", "hours": {}}},
    "transfer": {"ring_s": 20, "announcement": "moment.wav", "ringing": "ring.wav"},
}


def trunks(policy: str, **more: Any) -> list[Json]:
    """Those of the usual configuration; callers come by the first, which has that policy."""
    transfer = {"policy": policy, "refer_to": "tel:{number}", "refer_wait_s": 9, **more}
    return [
        {"name": "carrier", "gateways": ["sip:192.0.2.10"], "transfer": transfer},
        {"name": "second", "gateways": ["sip:192.0.2.11"]},
        {"name": "pbx", "kind": "pbx", "gateways": ["sip:192.0.2.12"]},
    ]


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(**TRANSFERRING)


async def talking(jambonz: Jambonz, to: str = TRUNK_DID) -> None:
    """The caller talks to the agent."""
    await jambonz.new_call(to=to)
    if to == DIAL_DID:
        await jambonz.command()
    await jambonz.answered()


def targets(verbs: list[Json]) -> list[str]:
    """Whom the only dial among the verbs calls."""
    [dial] = [verb for verb in verbs if verb["verb"] == "dial"]
    return [f"{one['trunk']}:{one['number']}" for one in dial["target"]]


def refer_data(jambonz: Jambonz) -> Json:
    """What a REFER of the agent's leg is told as."""
    details = {"sip_refer_to": "sip:200@sip.retellai.com"}
    return {"call_sid": "child", "parent_call_sid": jambonz.call_sid, "refer_details": details}


async def verdict(gateway: Gateway) -> tuple[Any, ...]:
    """What the only transfer came to."""
    [transfer] = (await gateway.record()).transfers
    return tuple(transfer[key] for key in ("outcome", "stage", "target", "code", "attempt"))


# by a call from here


async def test_refer_is_carried_out_by_a_call_to_the_directorys_phone(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        said, dial = await jambonz.refer("<sip:200@sip.retellai.com>")
        assert said == {"verb": "play", "url": "moment.wav", "earlyMedia": False}
        [target] = dial.pop("target")
        assert target["headers"].pop("X-Gateway-Call-Id")
        assert target == {
            "type": "phone",
            "number": "201",
            "trunk": "pbx",
            "headers": {"Diversion": f"<sip:{TRUNK_DID}@192.0.2.12>;reason=unconditional"},
        }
        assert dial == {
            "verb": "dial",
            "answerOnBridge": True,
            "anchorMedia": True,
            "timeout": 20,
            "actionHook": "/transfer-dial",
            "callerId": "+12125550100",
            "dialMusic": "ring.wav",
            "referHook": "/refer",
        }
        await jambonz.target_answered()
        await jambonz.agent_gone()
        await jambonz.leg("completed", 200)
        assert await jambonz.transfer_ended("completed", 200) == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="callee")
    record = await gateway.record()
    assert (record.cause, record.ended_by, record.sip_status) == ("hangup", "callee", 200)
    assert [(each["role"], each["trunk"]) for each in record.attempts] == [
        ("retell", "retell"),
        ("transfer", "pbx"),
    ]
    assert record.b_sip_call_id == jambonz.b_call_id
    assert await verdict(gateway) == ("transferred", "bridge", "201", 200, 1)


async def test_phones_in_turn_and_then_the_overflow(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert targets(await jambonz.refer("sip:Sales@sip.retellai.com")) == ["pbx:201"]
        assert targets(await jambonz.target_refused(486, status="busy")) == ["pbx:202"]
        assert targets(await jambonz.target_refused(480)) == [f"second:{MOBILE}"]
        await jambonz.target_answered()
        await jambonz.caller_hangs_up()
    assert await verdict(gateway) == ("transferred", "bridge", MOBILE, 200, 3)


async def test_nobody_takes_the_call_and_the_caller_is_back_with_the_agent(
    gateway: Gateway,
) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        assert await jambonz.target_refused(603) is None
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.target_answered()
        await jambonz.caller_hangs_up()
    first, second = (await gateway.record()).transfers
    assert (first["outcome"], first["code"], first["stage"]) == ("failed", 603, "bridge")
    assert second["outcome"] == "transferred"


async def test_a_caller_that_cannot_be_moved_to_who_answered_stays_with_the_agent(
    gateway: Gateway,
) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.target_answered()
        told = await jambonz.transfer_ended("completed", 200, dial_cause="not-joined")
        assert told is None
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()
    first = (await gateway.record()).transfers[0]
    assert (first["outcome"], first["code"]) == ("failed", 488)


async def test_all_phones_ring_at_once_and_one_takes_the_call(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert targets(await jambonz.refer("sip:Support@sip.retellai.com")) == [
            "pbx:301",
            "pbx:302",
        ]
        await jambonz.leg("trying", 100, to="302")
        await jambonz.leg("ringing", 180, to="302")
        await jambonz.leg("in-progress", 200, to="302")
        await jambonz.leg("trying", 100, to="301")
        await jambonz.leg("no-answer", 487, to="301")
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert [(each["target"], each["code"]) for each in record.attempts[1:]] == [
        ("301", 487),
        ("302", 200),
    ]
    assert record.transfers[0]["outcome"] == "transferred"


async def test_phones_that_ring_at_once_count_together(start: Start) -> None:
    mobiles = [{"trunk": "second", "to": f"+1415555017{last}"} for last in (7, 8, 9)]
    crowd = {"Crowd": {"targets": mobiles, "strategy": "all"}}
    guard = {"caps": {"trunk": {"calls": 2}}}
    gateway = await start(**{**TRANSFERRING, "directory": crowd}, outbound={"guard": guard})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert targets(await jambonz.refer("sip:Crowd@sip.retellai.com")) == [
            "second:+14155550177",
            "second:+14155550178",
        ]
        await jambonz.caller_hangs_up()


async def test_a_caller_is_shown_as_the_targets_trunk_takes_it(gateway: Gateway) -> None:
    """A carrier gets a number of ours; who is handed on stands in Diversion."""
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [_, dial] = await jambonz.refer("tel:" + MOBILE)
        assert dial["callerId"] == TRUNK_DID
        headers = dial["target"][0]["headers"]
        assert headers == {"Diversion": "<sip:+12125550100@192.0.2.11>;reason=unconditional"}
        await jambonz.caller_hangs_up()


async def test_a_pbx_gets_the_agents_headers_and_a_carrier_does_not(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        details: Json = {"x_ticket": "7", "x_override_number": "+14155550199", "x_cid": "ours"}
        [_, dial] = await jambonz.refer("sip:200@sip.retellai.com", **details)
        headers = dial["target"][0]["headers"]
        assert sorted(headers) == ["Diversion", "X-Gateway-Call-Id", "X-Ticket"]
        assert await jambonz.target_refused(486) is not None
        await jambonz.caller_hangs_up()


async def test_who_answers_must_press_1(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [_, dial] = await jambonz.refer("sip:Careful@sip.retellai.com")
        assert dial["target"][0]["confirmHook"] == "/transfer-confirm/0"
        await jambonz.target_answered()
        asked = await jambonz.ack(
            await jambonz.send("dial:confirm", {}, hook="/transfer-confirm/0")
        )
        [gather] = asked
        assert gather["play"] == {"url": "w.wav"}
        assert (gather["numDigits"], gather["actionHook"]) == (1, "/transfer-accept/0")
        digits = {"digits": "1", "reason": "dtmfDetected"}
        told = await jambonz.send("verb:hook", digits, hook="/transfer-accept/0")
        assert await jambonz.ack(told) is None
        await jambonz.caller_hangs_up()
    assert await verdict(gateway) == ("transferred", "bridge", "+14155550178", 200, 1)


@pytest.mark.parametrize("digits", ["", "2", "11"])
async def test_who_presses_something_else_does_not_get_the_call(
    gateway: Gateway, digits: str
) -> None:
    """A mobile's voicemail answers, and presses nothing."""
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Careful@sip.retellai.com")
        await jambonz.target_answered()
        await jambonz.ack(await jambonz.send("dial:confirm", {}, hook="/transfer-confirm/0"))
        told = await jambonz.send("verb:hook", {"digits": digits}, hook="/transfer-accept/0")
        assert await jambonz.ack(told) == [{"verb": "hangup"}]
        assert await jambonz.transfer_ended("no-answer", 480) is None
        await jambonz.caller_hangs_up()
    assert await verdict(gateway) == ("failed", "bridge", "+14155550178", 480, 1)


async def test_a_whisper_is_heard_before_the_two_are_joined(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Polite@sip.retellai.com")
        await jambonz.target_answered()
        hook = "/transfer-confirm/0"
        [play] = await jambonz.ack(await jambonz.send("dial:confirm", {}, hook=hook))
        assert (play["verb"], play["url"]) == ("play", "w.wav")
        heard = await jambonz.send("verb:hook", {}, hook=play["actionHook"])
        assert await jambonz.ack(heard) is None
        await jambonz.caller_hangs_up()
    assert await verdict(gateway) == ("transferred", "bridge", "401", 200, 1)


async def test_out_of_hours_the_caller_hears_why_and_is_back_with_the_agent(
    gateway: Gateway,
) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert await jambonz.refer("sip:Night@sip.retellai.com") == [
            {
                "verb": "play",
                "url": "closed.wav",
                "earlyMedia": False,
                "actionHook": "/transfer-said",
            }
        ]
        over = await jambonz.ack(await jambonz.send("verb:hook", {}, hook="/transfer-said"))
        assert over == [{"verb": "sip:decline", "status": 480, "reason": "Temporarily Unavailable"}]
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()
    first, second = (await gateway.record()).transfers
    assert (first["outcome"], first["stage"], first["code"]) == ("failed", "announcement", 480)
    assert (second["outcome"], second["code"]) == ("failed", 487)  # the caller hung up


# by REFER to the carrier


@pytest.mark.parametrize("policy", ["refer", "auto"])
async def test_the_carrier_takes_the_caller(start: Start, policy: str) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks(policy))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert await jambonz.refer("sip:Duty@sip.retellai.com") == [
            {
                "verb": "sip:refer",
                "referTo": MOBILE,
                "actionHook": "/transfer-refer",
                "eventHook": "/transfer-news",
                "referredBy": TRUNK_DID,
            }
        ]
        news = {"event": "transfer-status", "call_status": "180"}
        told = await jambonz.send("verb:hook", news, hook="/transfer-news")
        assert await jambonz.ack(told) is None
        assert await jambonz.refer_ended(202, 200) is None
        await jambonz.leg("completed", 200)
        assert await jambonz.dial_ended("completed", 200) is None
        await jambonz.caller("completed", 200, call_termination_by="jambonz")
    record = await gateway.record()
    assert (record.cause, record.ended_by, record.fault) == ("transferred", "gateway", "nobody")
    assert await verdict(gateway) == ("transferred", "refer", MOBILE, 200, 1)


@pytest.mark.parametrize(
    ("bye", "verbs"),
    [
        ("us", [{"verb": "hangup"}]),
        ("peer", [{"verb": "pause", "length": 5.0}, {"verb": "hangup"}]),
    ],
)
async def test_what_a_carrier_wants_is_said_to_a_jambonz(
    start: Start, bye: str, verbs: list[Json]
) -> None:
    """Of a real jambonz, which knows nothing of what a carrier wants of a REFER."""
    wants = trunks("refer", bye=bye, headers={"X-Key": "k"})
    gateway = await start(**TRANSFERRING, trunks=wants, sip={"listen": []})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [refer] = await jambonz.refer("sip:Duty@sip.retellai.com")
        assert (refer["referTo"], refer["headers"]) == (f"tel:{MOBILE}", {"X-Key": "k"})
        assert await jambonz.refer_ended(202, 200) == verbs
        await jambonz.caller("completed", 200, call_termination_by="caller")
    assert (await gateway.record()).cause == "transferred"


#: What the softswitch tells of the REFER, and what is said where nothing follows it.
FAILURES = [
    ((403, None), 403),
    ((405, None), 405),
    ((603, None), 603),
    ((202, 486), 486),
    ((202, 480), 480),
    ((202, None), 480),
]


@pytest.mark.parametrize(("told", "code"), FAILURES)
async def test_policy_refer_gives_the_caller_back(
    start: Start, told: tuple[int, int | None], code: int
) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks("refer"))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        assert await jambonz.refer_ended(*told) is None
        await jambonz.caller_hangs_up()
    assert (await gateway.record()).cause == "hangup"
    assert await verdict(gateway) == ("failed", "refer", MOBILE, code, 1)


@pytest.mark.parametrize(("told", "_code"), FAILURES)
async def test_policy_auto_calls_the_target_then(
    start: Start, told: tuple[int, int | None], _code: int
) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks("auto"))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        assert targets(await jambonz.refer_ended(*told)) == [f"second:{MOBILE}"]
        await jambonz.target_answered()
        await jambonz.caller_hangs_up()
    assert await verdict(gateway) == ("transferred", "bridge", MOBILE, 200, 2)


@pytest.mark.parametrize("policy", ["refer", "auto"])
async def test_a_bye_before_any_news_is_a_transfer_of_unknown_outcome(
    start: Start, policy: str
) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks(policy))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        assert await jambonz.refer_ended(202, call_status="completed", sip_status=200) is None
        await jambonz.caller("completed", 200, call_termination_by="caller")
    assert (await gateway.record()).cause == "transferred"
    assert await verdict(gateway) == ("unknown", "refer", MOBILE, 202, 1)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("refer", ("failed", "refer", MOBILE, 480, 1)),
        ("auto", ("transferred", "refer", MOBILE, 200, 2)),
    ],
)
async def test_the_carrier_gets_through_when_nobody_waits_any_more(
    start: Start, policy: str, said: tuple[str, str, str, int, int]
) -> None:
    """The caller is with the target: what else is tried is over. A verdict that was told stands."""
    gateway = await start(**TRANSFERRING, trunks=trunks(policy))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.refer_ended(202)
        news = {"event": "transfer-status", "call_status": "200"}
        told = await jambonz.send("verb:hook", news, hook="/transfer-news")
        assert await jambonz.ack(told) is None
        if policy == "auto":
            gone: Json = {"call_status": "completed", "sip_status": 200}
            await jambonz.leg("no-answer", 487)
            assert await jambonz.transfer_ended("no-answer", 487, **gone) is None
        await jambonz.caller("completed", 200, call_termination_by="jambonz")
    assert (await gateway.record()).cause == "transferred"
    assert await verdict(gateway) == said


@pytest.mark.parametrize("policy", ["refer", "auto"])
async def test_a_phone_that_the_carrier_cannot_reach_is_called_from_here(
    start: Start, policy: str
) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks(policy))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert targets(await jambonz.refer("sip:Sales@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()


@pytest.mark.parametrize("policy", ["refer", "bridge", "auto"])
async def test_the_caller_hangs_up_in_between(start: Start, policy: str) -> None:
    gateway = await start(**TRANSFERRING, trunks=trunks(policy))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        gone: Json = {"call_status": "completed", "sip_status": 200}
        if policy == "bridge":
            await jambonz.leg("trying", 100)
            await jambonz.leg("no-answer", 487)
            assert await jambonz.transfer_ended("no-answer", 487, **gone) is None
        else:
            assert await jambonz.refer_ended(603, **gone) is None
        await jambonz.caller("completed", 200, call_termination_by="caller")
    record = await gateway.record()
    assert (record.cause, record.ended_by) == ("hangup", "caller")
    assert (await verdict(gateway))[0] == "failed"


# what is refused


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("sip:nobody@sip.retellai.com", 404),
        ("sip:200@pbx.example.net", 404),
        (f"tel:{TRUNK_DID}", 482),
        ("sip:Dear@sip.retellai.com", 403),
    ],
)
async def test_refused_and_the_call_goes_on(gateway: Gateway, to: str, status: int) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [declined] = await jambonz.refer(to)
        assert (declined["verb"], declined["status"]) == ("sip:decline", status)
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()
    refused = (await gateway.record()).transfers[0]
    assert (refused["outcome"], refused["stage"], refused["code"]) == ("failed", "asked", status)
    assert 'gateway_transfers_total{code="4xx"' in await gateway.page()


async def test_a_second_refer_while_one_runs(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:200@sip.retellai.com")
        [declined] = await jambonz.refer("sip:Duty@sip.retellai.com")
        assert (declined["verb"], declined["status"]) == ("sip:decline", 491)
        await jambonz.target_answered()
        await jambonz.caller_hangs_up()
    refused, taken = (await gateway.record()).transfers
    assert (refused["code"], taken["outcome"]) == (491, "transferred")


async def test_an_override_that_is_not_allowed(start: Start) -> None:
    transfer = {**TRANSFERRING["transfer"], "override": {"numbers": ["+1415555*"]}}
    gateway = await start(**{**TRANSFERRING, "transfer": transfer})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [declined] = await jambonz.refer("sip:x@y", x_override_number="+12125550188")
        assert declined["status"] == 403
        number = "+14155550188"
        [unread] = await jambonz.refer("sip:x@y", by_caller=True, x_override_number=number)
        assert unread["status"] == 404
        verbs = await jambonz.refer("sip:x@y", x_override_number=number)
        assert targets(verbs) == ["carrier:+14155550188"]
        await jambonz.target_refused(503)
        await jambonz.caller_hangs_up()


async def test_a_real_jambonz_is_asked_for_nothing_where_nothing_is_to_be_done(
    start: Start,
) -> None:
    """It has answered 202 by then, and hung up nobody."""
    gateway = await start(**TRANSFERRING, sip={"listen": []})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        assert await jambonz.refer("sip:nobody@sip.retellai.com") is None
        await jambonz.caller_hangs_up()


async def test_a_real_jambonz_hangs_up_the_agent_first(start: Start) -> None:
    """So the caller has nobody where the target is busy, and goes to the fallback."""
    gateway = await start(**TRANSFERRING, sip={"listen": []}, trunks=trunks("bridge"))
    async with gateway.jambonz() as jambonz:
        await talking(jambonz, FALLBACK_DID)
        assert targets(await jambonz.refer("sip:Duty@sip.retellai.com")) == [f"second:{MOBILE}"]
        await jambonz.leg("completed", 200)
        assert await jambonz.dial_ended("completed", 200) is None
        verbs = await jambonz.target_refused(486, status="busy")
        assert targets(verbs) == ["pbx:200"]
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert [each["role"] for each in record.attempts] == ["retell", "transfer", "fallback"]


# after it


async def test_the_agent_has_hung_up_and_nobody_takes_the_call(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.leg("completed", 200)
        assert await jambonz.dial_ended("completed", 200) is None
        assert await jambonz.target_refused(486, status="busy") == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="jambonz")
    assert (await verdict(gateway))[0] == "failed"


async def test_the_next_one_after_the_target_has_hung_up(start: Start) -> None:
    transfer = {**TRANSFERRING["transfer"], "after": "next"}
    gateway = await start(**{**TRANSFERRING, "transfer": transfer})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:Sales@sip.retellai.com")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        await jambonz.leg("completed", 200)
        assert targets(await jambonz.transfer_ended("completed", 200)) == ["pbx:202"]
        await jambonz.target_answered()
        await jambonz.leg("completed", 200)
        assert targets(await jambonz.transfer_ended("completed", 200)) == [f"second:{MOBILE}"]
        assert await jambonz.target_refused(486) == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="jambonz")
    assert await verdict(gateway) == ("transferred", "bridge", "201", 200, 1)


@pytest.mark.parametrize("number", [TRUNK_DID, DIAL_DID])
async def test_back_to_the_agent_after_the_target_has_hung_up(start: Start, number: str) -> None:
    transfer = {**TRANSFERRING["transfer"], "after": "agent"}
    gateway = await start(**{**TRANSFERRING, "transfer": transfer})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz, number)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        await jambonz.leg("completed", 200)
        verbs = await jambonz.transfer_ended("completed", 200)
        if number == DIAL_DID:  # Retell wants the call registered anew
            assert verbs == [{"verb": "config"}]
            verbs = await jambonz.command()
        assert [verb["verb"] for verb in verbs] == ["dial", "hangup"]
        assert verbs[0]["actionHook"] == "/dial-action"
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    roles = [each["role"] for each in (await gateway.record()).attempts]
    assert roles == ["retell", "transfer", "retell"]


# an agent's leg that is cut off


@pytest.mark.parametrize(
    "lost",
    [
        {"cause": "dialog-lost"},
        {"cause": "session-expired"},
        {"cause": "rtp-timeout"},
        {"cause": "bye", "headers": {"reason": 'SIP;cause=500;text="internal"'}},
    ],
)
async def test_a_caller_whose_agent_is_lost_goes_to_the_fallback(start: Start, lost: Json) -> None:
    gateway = await start()
    async with gateway.jambonz() as jambonz:
        await talking(jambonz, FALLBACK_DID)
        await jambonz.leg("completed", 200, **lost)
        assert targets(await jambonz.dial_ended("completed", 200)) == ["pbx:200"]
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    assert [each["role"] for each in (await gateway.record()).attempts] == ["retell", "fallback"]


async def test_an_agent_that_hangs_up_is_not_lost(start: Start) -> None:
    gateway = await start()
    async with gateway.jambonz() as jambonz:
        await talking(jambonz, FALLBACK_DID)
        await jambonz.callee_hangs_up(cause="bye", headers={"reason": "Q.850;cause=16"})
    assert (await gateway.record()).ended_by == "callee"


async def test_the_agent_anew_twice_at_most(start: Start) -> None:
    gateway = await start(transfer={"agent_lost": "agent"})
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        for _ in range(2):
            await jambonz.leg("completed", 200, cause="dialog-lost")
            verbs = await jambonz.dial_ended("completed", 200)
            assert [verb["verb"] for verb in verbs] == ["dial", "hangup"]
            await jambonz.answered()
        await jambonz.leg("completed", 200, cause="dialog-lost")
        assert await jambonz.dial_ended("completed", 200) is None  # its hangup follows
        await jambonz.caller("completed", 200, call_termination_by="jambonz")
    assert len((await gateway.record()).attempts) == 3


# who was asked by the softswitch and did not answer in time


async def test_an_ack_that_cannot_be_sent_leaves_everything_as_it_was(gateway: Gateway) -> None:
    """The softswitch refuses the REFER after 2 s; verbs that came later would end the talk."""
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.nothing()
        [call] = gateway.app[CALLS]._calls.values()
        gateway.app[CALLS].hook(call, "/refer", refer_data(jambonz))
        gateway.app[CALLS].untold(call)
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()
    late, taken = (await gateway.record()).transfers
    assert (late["outcome"], late["code"]) == ("failed", 603)
    assert taken["code"] == 487


async def test_verbs_that_the_softswitch_cannot_use(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:200@sip.retellai.com")
        await jambonz.send("jambonz:error", {"msg": "InvalidMessage", "details": "dial"})
        await jambonz.nothing()
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()


async def test_a_mistake_of_ours_does_not_end_the_talk(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        with monkeypatch.context() as patched:
            patched.setattr(Planner, "transfer", broken)
            assert await jambonz.refer("sip:200@sip.retellai.com") is None
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller_hangs_up()


# the application starts anew


@pytest.mark.parametrize("taken", [True, False])
async def test_a_restart_while_the_target_rings(start: Start, taken: bool) -> None:
    async def story(jambonz: Jambonz) -> None:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)

    async with restarted(partial(start, **TRANSFERRING), story) as (gateway, jambonz):
        if taken:
            await jambonz.leg("in-progress", 200)
            await jambonz.leg("completed", 200)
            assert await jambonz.transfer_ended("completed", 200) == [{"verb": "hangup"}]
        else:
            await jambonz.leg("busy", 486)
            assert await jambonz.transfer_ended("busy", 486) is None
        await jambonz.caller("completed", 200, call_termination_by="caller", duration=3)
    expected = ("transferred", 200) if taken else ("failed", 486)
    assert (await verdict(gateway))[::3] == expected


@pytest.mark.parametrize("gone", [True, False])
async def test_a_restart_while_the_caller_talks_to_the_target(start: Start, gone: bool) -> None:
    """The agent's leg is hung up before or after it."""

    async def story(jambonz: Jambonz) -> None:
        await talking(jambonz)
        await jambonz.refer("sip:Duty@sip.retellai.com")
        await jambonz.target_answered()
        if gone:
            await jambonz.agent_gone()
        await jambonz.nothing()

    async with restarted(partial(start, **TRANSFERRING), story) as (gateway, jambonz):
        if not gone:
            agent = {"call_sid": f"{jambonz.call_sid}-child-1"}
            agent["call_id"] = f"b-leg-1-{jambonz.call_sid}@192.0.2.20"
            await jambonz.leg("completed", 200, **agent)
        assert targets(await jambonz.refer("sip:200@sip.retellai.com")) == ["pbx:201"]
        await jambonz.caller("completed", 200, call_termination_by="caller", duration=3)
    first, second = (await gateway.record()).transfers
    assert (first["outcome"], second["code"]) == ("transferred", 487)


# a number that is closed


def closed(**closed: Any) -> Json:
    entry = {"agent": "agent_1", "schedule": "never", "closed": closed or None}
    return {**TRANSFERRING, "numbers": {TRUNK_DID: entry}}


async def test_out_of_hours_a_call_goes_to_the_pbx(start: Start) -> None:
    gateway = await start(**closed(trunk="pbx", to="200", announcement="closed.wav"))
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID)
        assert (verbs[0]["verb"], verbs[0]["url"]) == ("play", "closed.wav")
        assert targets(verbs) == ["pbx:200"]
        await jambonz.answered()
        await jambonz.leg("completed", 200)
        assert await jambonz.transfer_ended("completed", 200) == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="callee", duration=3)
    record = await gateway.record()
    assert (record.cause, record.ended_by) == ("hangup", "callee")
    assert (record.transfers[0]["by"], record.transfers[0]["outcome"]) == (
        "schedule",
        "transferred",
    )


async def test_out_of_hours_a_call_goes_abroad_as_the_file_says(start: Start) -> None:
    """The operator chose the phone, no agent did: the countries of an agent are none of its."""
    gateway = await start(**closed(trunk="second", to="+442012345678"))
    async with gateway.jambonz() as jambonz:
        assert targets(await jambonz.new_call(to=TRUNK_DID)) == ["second:+442012345678"]
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_out_of_hours_nobody_is_there_either(start: Start) -> None:
    gateway = await start(**closed(trunk="pbx", to="200"))
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        [declined] = await jambonz.target_refused(486, status="busy")
        assert (declined["verb"], declined["status"]) == ("sip:decline", 486)
        await jambonz.declined(486)
    record = await gateway.record()
    assert (record.cause, record.sip_status, record.answered_ms) == ("busy", 486, None)


async def test_out_of_hours_the_caller_gives_up(start: Start) -> None:
    gateway = await start(**closed(trunk="pbx", to="200"))
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
    record = await gateway.record()
    assert (record.cause, record.ended_by, record.sip_status) == ("cancelled", "caller", 487)


async def test_out_of_hours_an_announcement_and_no_more(start: Start) -> None:
    gateway = await start(**closed(announcement="closed.wav"))
    async with gateway.jambonz() as jambonz:
        [play] = await jambonz.new_call(to=TRUNK_DID)
        assert (play["verb"], play["url"], play["earlyMedia"]) == ("play", "closed.wav", False)
        await jambonz.caller("in-progress", 200)
        over = await jambonz.ack(await jambonz.send("verb:hook", {}, hook=play["actionHook"]))
        assert over == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=3)
    record = await gateway.record()
    assert (record.cause, record.ended_by, record.sip_status) == ("target-closed", "gateway", 200)


async def test_out_of_hours_and_nothing_is_said_of_it(start: Start) -> None:
    gateway = await start(**closed())
    async with gateway.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=TRUNK_DID)
        assert declined["status"] == 480
        await jambonz.declined(480)
    assert (await gateway.record()).cause == "target-closed"


# by a phone of a PBX


@asynccontextmanager
async def with_a_phone(gateway: Gateway) -> AsyncIterator[Jambonz]:
    """The agent has gone, and the caller talks to a phone of the PBX."""
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:200@sip.retellai.com")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        yield jambonz
        await jambonz.caller("completed", 200, call_termination_by="caller")


@pytest.mark.parametrize(
    ("to", "called"),
    [
        ("<sip:299@192.0.2.12>", "pbx:299"),  # of the PBX's own, which needs no entry
        ("<sip:Duty@192.0.2.12>", f"second:{MOBILE}"),
        ("<sip:202@192.0.2.12?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db>", "pbx:202"),
        ("<sip:209@192.0.2.12?Replaces=x@192.0.2.12;to-tag=a;from-tag=b>", "pbx:209"),
    ],
)
async def test_a_phone_hands_the_caller_on(gateway: Gateway, to: str, called: str) -> None:
    async with with_a_phone(gateway) as jambonz:
        assert targets(await jambonz.refer(to)) == [called]


@pytest.mark.parametrize(
    "to",
    [
        "<sip:299@192.0.2.99>",
        "tel:+13125550177",
        "<sip:@192.0.2.12>",
        # what a dialplan behind the trunk may read as a telephone number
        "<sip:00493012345678@192.0.2.12>",
        "<sip:9011493012345678@192.0.2.12>",
        "<sip:9-555-0100@192.0.2.12>",
        "<sip:%2B493012345678@192.0.2.12>",
        "<sip:0049%203012345678@192.0.2.12>",
        "<sip:00493012345678;ext=7@192.0.2.12>",
        "tel:00493012345678;phone-context=example.com",
        # what would be called as a URI
        "tel:sip%3Athief%40thief.example.com",
        "sip:sips%3Athief%40thief.example.com",
    ],
)
async def test_a_phone_may_not_call_the_world(gateway: Gateway, to: str) -> None:
    async with with_a_phone(gateway) as jambonz:
        [declined] = await jambonz.refer(to)
        assert declined["status"] == 404


async def test_an_agent_may_not_call_any_extension(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        [declined] = await jambonz.refer("<sip:299@192.0.2.12>")
        assert declined["status"] == 404
        await jambonz.caller_hangs_up()


async def test_a_phone_that_handed_the_caller_on_has_no_say_any_more(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.refer("sip:200@sip.retellai.com")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        first = f"{jambonz.call_sid}-child-2"
        assert targets(await jambonz.refer("<sip:299@192.0.2.12>")) == ["pbx:299"]
        await jambonz.target_answered()
        await jambonz.leg("completed", 200, call_sid=first)
        assert await jambonz.transfer_ended("completed", 200, dial_call_sid=first) is None
        [declined] = await jambonz.refer("<sip:nobody@192.0.2.99>")
        assert declined["status"] == 404
        await jambonz.leg("completed", 200)
        assert await jambonz.transfer_ended("completed", 200) == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="callee")
    transfers = (await gateway.record()).transfers
    assert [(each["target"], each["outcome"]) for each in transfers] == [
        ("201", "transferred"),
        ("299", "transferred"),
        ("nobody", "failed"),
    ]
