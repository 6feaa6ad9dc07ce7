"""Money and callers, as a softswitch and an operator see them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from gateway.calls import spend_watch
from gateway.calls.guard import Chooser
from gateway.calls.metrics import Metrics
from gateway.calls.outgoing import Outgoing
from gateway.calls.person_routing import PersonWish, person_first, rest_body
from gateway.calls.routing import Dialling
from gateway.calls.spend_watch import SpendWatch
from gateway.http.rules.route import PREFIX
from tests.gateway.callbacks.receiver import receiving
from tests.gateway.conftest import (
    DIAL_DID,
    FALLBACK_DID,
    TOKEN,
    TRUNK_DID,
    Gateway,
    Json,
    Retell,
    Start,
    settings_data,
)

CALLEE = "+13125550177"
RATES = [
    {"prefix": "+1", "per_minute": 0.06, "first_s": 30, "step_s": 6},
    {"prefix": "+1", "trunk": "second", "per_minute": 0.6},
]


def outbound(**spend: Any) -> Json:
    routes = [{"trunks": ["carrier", "second"]}]
    return {"default_country": "US", "routes": routes, "rates": RATES, "spend": spend}


@dataclass
class Time:
    """What the clocks on the wall, and of this machine, show."""

    at: float = 1_796_000_400.0

    def make(self) -> Json:
        return {"now": lambda: self.at, "clock": lambda: self.at}


async def spent(gateway: Gateway, query: str = "") -> Json:
    status, body = await gateway.get(f"{PREFIX}/spend{query}")
    assert status == 200, body
    return body


async def send(gateway: Gateway, method: str, path: str, **more: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{gateway.url}{PREFIX}/{path}"
    async with gateway.http.request(method, url, headers=headers, **more) as response:
        body = await response.json() if response.status != 204 else None
        return response.status, body


# what leaves


async def test_a_call_costs_what_its_carrier_takes(start: Start) -> None:
    time = Time()
    gateway = await start(outbound=outbound(), make=time.make())
    async with gateway.jambonz() as jambonz:
        [dial, _] = await jambonz.new_call(to=CALLEE, user="retell")
        assert "timeLimit" not in dial
        assert (await spent(gateway))["all"]["reserved"] == 0.03
        await jambonz.answered()
        await jambonz.nothing()
        time.at += 40
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert (record.cost_estimate, record.attempts[0]["cost_estimate"]) == (0.042, 0.042)
    told = await spent(gateway)
    row = {"spent": 0.042, "reserved": 0.0, "limit": None, "calls": 1, "talked_s": 40.0}
    assert told["all"] == {"name": "", **row}
    assert told["trunks"] == [{"name": "carrier", **row}]
    assert told["countries"] == [{"name": "US", **row}]
    assert told["prefixes"] == [{"name": "+1", **row}]
    _, call = await gateway.get(f"{PREFIX}/calls/{record.call_id}")
    assert call["cost_estimate"] == 0.042
    page = await gateway.page()
    assert "gateway_spend_today 0.042\n" in page
    assert "gateway_spend_reserved 0.0\n" in page


async def test_failover_between_carriers_of_different_rates(start: Start) -> None:
    time = Time()
    gateway = await start(outbound=outbound(), make=time.make())
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        [dial, _] = await jambonz.refused(503)
        assert dial["target"][0]["trunk"] == "second"
        assert (await spent(gateway))["all"]["spent"] == 0.6
        await jambonz.answered()
        await jambonz.nothing()
        time.at += 61
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert [item["cost_estimate"] for item in record.attempts] == [0.0, 1.2]
    assert record.cost_estimate == 1.2


async def test_the_stop_of_a_day_refuses_the_next_call(start: Start) -> None:
    gateway = await start(outbound=outbound(day=0.05))
    async with gateway.jambonz() as first, gateway.jambonz() as second:
        await first.new_call(to=CALLEE, user="retell")
        with capture_logs() as lines:
            [declined] = await second.new_call(to=CALLEE, user="retell")
        assert (declined["verb"], declined["status"]) == ("sip:decline", 403)
        await second.declined(403)
        barred = [line for line in lines if line["event"] == "call.barred"]
        assert [line["cause"] for line in barred] == ["spend-stop", "spend-stop"]
        assert "outbound.spend.day" in barred[0]["reason"]
        await first.caller("no-answer", 487, call_termination_by="caller")
        await first.hang_up()
    await gateway.app_is_idle()
    causes = {record.cause for record in await gateway.records()}
    assert causes == {"spend-stop", "cancelled"}
    async with gateway.jambonz() as third:  # nobody answered: nothing is spent
        assert (await third.new_call(to=CALLEE, user="retell"))[0]["verb"] == "dial"
        await third.caller("no-answer", 487, call_termination_by="caller")
        await third.hang_up()


async def test_the_stop_of_a_trunk_leaves_the_next_carrier(start: Start) -> None:
    gateway = await start(outbound=outbound(trunk={"carrier": 0.01}))
    async with gateway.jambonz() as jambonz:
        [dial, _] = await jambonz.new_call(to=CALLEE, user="retell")
        assert dial["target"][0]["trunk"] == "second"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()


async def test_what_has_no_rate_does_not_leave_under_a_stop(start: Start) -> None:
    gateway = await start(outbound=outbound(day=50))
    async with gateway.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to="+442079460000", user="retell")
        assert declined["status"] == 403
        await jambonz.declined(403)
    assert (await gateway.record()).cause == "spend-no-rate"


async def test_a_call_ends_before_it_costs_too_much(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a command of ours, and by the dial's own time where we are away."""
    monkeypatch.setattr(spend_watch, "LOOK_S", 0.01)
    time = Time()
    gateway = await start(outbound=outbound(per_call=0.06), make=time.make())
    async with gateway.jambonz() as jambonz:
        [dial, _] = await jambonz.new_call(to=CALLEE, user="retell")
        assert dial["timeLimit"] == 60
        await jambonz.answered()
        await jambonz.nothing()
        time.at += 58
        assert await jambonz.command() == [{"verb": "hangup"}]
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=58)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == ("gateway", "spend-stop", "operator")
    assert (record.sip_status, record.cost_estimate) == (200, 0.06)


async def test_a_restart_begins_no_day_anew(start: Start) -> None:
    first = await start(outbound=outbound(day=0.05))
    async with first.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await first.app_is_idle()
    await first.stop()
    second = await start(outbound=outbound(day=0.05))
    async with second.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=CALLEE, user="retell")
        assert declined["status"] == 403
        await jambonz.declined(403)
    told = await spent(second)
    assert told["all"]["limit"] == 0.05
    assert (await spent(second, f"?day={told['day']}"))["all"]["spent"] == 0.03
    assert (await spent(second, "?day=2020-01-01"))["all"]["spent"] == 0.0
    status, _ = await second.get(f"{PREFIX}/spend?day=yesterday")
    assert status == 400


async def test_a_call_that_outlives_the_application_is_not_paid_twice(start: Start) -> None:
    time = Time()
    first = await start(outbound=outbound(), make=time.make())
    jambonz = first.jambonz()
    await jambonz.connect()
    await jambonz.new_call(to=CALLEE, user="retell")
    await jambonz.answered()
    await jambonz.nothing()
    reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
    await asyncio.gather(first.stop(), reading)
    second = await start(outbound=outbound(), make=time.make())
    assert (await spent(second))["all"]["spent"] == 0.03
    jambonz.move_to(second.http, f"{second.url}/retell")
    async with jambonz:
        assert await jambonz.ack(await jambonz.send("session:reconnect", jambonz.session)) is None
        call = await second.until(lambda call: call["state"] == "live")
        assert call["cost_estimate"] == 0.03
        told = (await spent(second))["all"]
        assert (told["spent"], told["reserved"], told["calls"]) == (0.03, 0.03, 1)
        time.at += 40
        await jambonz.caller_hangs_up()
    record = await second.record()
    assert (record.cost_estimate, (await spent(second))["all"]["spent"]) == (0.042, 0.042)


def test_a_person_who_is_called_first_is_talked_to_for_what_each_carrier_takes() -> None:
    settings = Settings.model_validate(settings_data(outbound=outbound(per_call=0.3)))
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    watch = SpendWatch(settings, Metrics(), lambda: now)
    judges = Outgoing(settings, now.timestamp, watch, stop=lambda call, words: None)
    assert judges.judge(CALLEE, "carrier", Chooser.API) is None
    no_way = judges.judge(CALLEE, "second", Chooser.API)
    assert no_way is not None  # a minute of it costs more than a call may
    assert (no_way.refusal.cause, "per_call" in no_way.words) == ("spend-too-dear", True)
    wish = PersonWish(to_number=CALLEE, from_number=TRUNK_DID, time_limit_s=400)
    plan = person_first(settings, wish, "call-1", ("carrier",))
    assert isinstance(plan, Dialling)
    bounded = judges.bounded(plan)
    assert bounded.person is not None
    [attempt] = bounded.person.attempts
    assert rest_body(bounded, attempt, "call-1")["timeLimit"] == 300


async def test_alarms_go_to_log_and_metrics(start: Start) -> None:
    gateway = await start(outbound=outbound(trunk={"carrier": 0.03}))
    with capture_logs() as lines:
        async with gateway.jambonz() as jambonz:
            await jambonz.new_call(to=CALLEE, user="retell")
            await jambonz.caller("no-answer", 487, call_termination_by="caller")
            await jambonz.hang_up()
    [line] = [line for line in lines if line["event"] == "spend.alarm"]
    assert (line["kind"], line["about"]) == ("spend-threshold", "carrier")
    page = await gateway.page()
    assert 'gateway_spend_alarms_total{kind="spend-threshold"} 1.0' in page


def test_no_sum_keeps_anybody_from_an_emergency_service() -> None:
    guard = {"emergency": {"trunk": "carrier"}}
    spend = {"day": 0, "per_call": 0, "end_calls": True}
    data = settings_data(outbound={**outbound(**spend), "guard": guard})
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    settings = Settings.model_validate(data)
    watch = SpendWatch(settings, Metrics(), lambda: now)
    judges = Outgoing(settings, now.timestamp, watch, stop=lambda call, words: None)
    assert judges.judge("911", "carrier", Chooser.OPERATOR) is None
    no_way = judges.judge(CALLEE, "carrier", Chooser.OPERATOR)
    assert no_way is not None
    assert no_way.refusal.cause == "spend-too-dear"


async def test_alarms_are_told_to_a_url(start: Start) -> None:
    async with receiving() as receiver:
        callbacks = {"url": receiver.url, "secret": "s3cret", "hosts": ["127.0.0.1"]}
        gateway = await start(outbound={**outbound(day=0.6), "callbacks": callbacks})
        async with gateway.jambonz() as jambonz:
            await jambonz.new_call(to=CALLEE, user="retell")
            await jambonz.refused(503)  # the next carrier's minute is all that there is
            await receiver.until(lambda: receiver.kinds("spend") == ["spend.threshold"])
            await jambonz.caller("no-answer", 487, call_termination_by="caller")
            await jambonz.hang_up()
        [post] = receiver.posts
        assert post.body["data"] == {
            "day": post.body["data"]["day"],
            "trunk": None,
            "percent": 100,
            "spent": 0.6,
            "limit": 0.6,
            "currency": "USD",
            "text": post.body["data"]["text"],
        }


# what comes


async def test_a_blocked_caller_costs_no_agent(start: Start, retell: Retell) -> None:
    gateway = await start(inbound={"block": ["+1212*"]})
    async with gateway.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=DIAL_DID)
        assert (declined["verb"], declined["status"]) == ("sip:decline", 603)
        await jambonz.declined(603)
    record = await gateway.record()
    assert (record.cause, record.fault, record.attempts) == ("caller-blocked", "caller", [])
    assert retell.requests == []
    assert 'cause="caller-blocked"' in await gateway.page()


async def test_an_anonymous_caller_is_told_why(start: Start) -> None:
    gateway = await start(inbound={"block": ["anonymous"]})
    async with gateway.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=TRUNK_DID, from_="anonymous")
        assert (declined["status"], declined["reason"]) == (433, "Anonymity Disallowed")
        await jambonz.declined(433)


async def test_caps_hold_while_calls_are_up(start: Start) -> None:
    gateway = await start(inbound={"caller": {"calls": 1}})
    async with gateway.jambonz() as first, gateway.jambonz() as second:
        await first.new_call(to=TRUNK_DID)
        [declined] = await second.new_call(to=FALLBACK_DID)
        assert declined["status"] == 486
        await second.declined(486)
        await first.answered()
        await first.caller_hangs_up()
    await gateway.app_is_idle()
    async with gateway.jambonz() as third:
        assert (await third.new_call(to=TRUNK_DID))[0]["verb"] == "dial"
        await third.caller("no-answer", 487, call_termination_by="caller")
        await third.hang_up()


async def test_the_calls_of_a_day_are_counted_over_a_restart(start: Start) -> None:
    inbound = {"number": {"calls_per_day": 1}}
    first = await start(inbound=inbound)
    async with first.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await first.app_is_idle()
    await first.stop()
    second = await start(inbound=inbound)
    async with second.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=TRUNK_DID)
        assert declined["status"] == 480
        await jambonz.declined(480)


async def test_retells_own_calls_are_none_of_it(start: Start) -> None:
    gateway = await start(outbound=outbound(), inbound={"block": ["+1212*"]})
    async with gateway.jambonz() as jambonz:
        assert (await jambonz.new_call(to=CALLEE, user="retell"))[0]["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()


@pytest.mark.parametrize("said", [None, "over.wav"])
async def test_a_call_that_lasts_too_long_ends(start: Start, tmp_path: Any, said: Any) -> None:
    inbound = {"max_duration_s": 0.05, "announcement": said}
    gateway = await start(inbound=inbound, media={"sounds": str(tmp_path)})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        verbs = await jambonz.command()
        assert [verb["verb"] for verb in verbs] == (["play"] if said else []) + ["hangup"]
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=1)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("gateway", "max-duration", 200)


# blocks while it runs


async def test_an_operator_blocks_a_caller_and_lets_it_through_again(start: Start) -> None:
    gateway = await start()
    wish = {"caller": "(212) 555-0100", "note": "calls at night"}
    status, block = await send(gateway, "POST", "blocked-callers", json=wish)
    assert (status, block["caller"], block["by"]) == (201, "+12125550100", "admin")
    async with gateway.jambonz() as jambonz:
        with capture_logs() as lines:
            [declined] = await jambonz.new_call(to=TRUNK_DID)
        assert declined["status"] == 603
        await jambonz.declined(603)
    [line] = [line for line in lines if line["event"] == "call.no-way"]
    assert "which admin has blocked: calls at night" in line["reason"]
    await gateway.app_is_idle()
    await gateway.stop()
    again = await start()  # it is stored
    _, listed = await again.get(f"{PREFIX}/blocked-callers")
    assert listed["items"] == [block]
    path = f"blocked-callers/{block['block_id']}"
    assert [(await send(again, "DELETE", path))[0] for _ in range(2)] == [204, 404]
    async with again.jambonz() as jambonz:
        assert (await jambonz.new_call(to=TRUNK_DID))[0]["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()


async def test_a_block_may_be_for_one_number_and_for_a_time(start: Start) -> None:
    time = Time()
    gateway = await start(make=time.make())
    until = "2027-01-01T00:00:00Z"
    wish = {"caller": "+1212*", "number": TRUNK_DID, "until": until}
    assert (await send(gateway, "POST", "blocked-callers", json=wish))[0] == 201

    async def reaches(number: str) -> bool:
        async with gateway.jambonz() as jambonz:
            [first, *_] = await jambonz.new_call(to=number)
            await jambonz.caller("no-answer", 487, call_termination_by="caller")
            await jambonz.hang_up()
        return bool(first["verb"] == "dial")

    assert not await reaches(TRUNK_DID)
    assert await reaches(FALLBACK_DID)
    time.at = 1_798_761_600.0  # then
    assert await reaches(TRUNK_DID)


@pytest.mark.parametrize("wish", [{}, {"caller": ""}, {"caller": "a b"}, {"caller": "+1*2"}])
async def test_what_is_no_caller_is_refused_in_words(start: Start, wish: Json) -> None:
    gateway = await start()
    status, problem = await send(gateway, "POST", "blocked-callers", json=wish)
    assert (status, problem["code"]) == (400, "bad-body")
    assert "a number, the beginning of one and a *" in problem["detail"]
