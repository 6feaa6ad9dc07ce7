"""How good a call was: in its record, by the API, and for each trunk on /metrics."""

from typing import Any

from gateway.http.app_keys import CALLS
from tests.gateway.conftest import TRUNK_DID, Gateway, Start
from tests.gateway.http.test_trunks_api import Switch

Json = dict[str, Any]

SAMPLES = {
    "began_ms": 1_800_000_000_000,
    "every_s": 5.0,
    "mos": [4.4, None],
    "loss_percent": [0.0, None],
    "jitter_ms": [1.2, None],
    "round_trip_ms": [None, 31.0],
}


def counted(mos: float | None, **more: Any) -> Json:
    """One leg's counters, as the softswitch sends them."""
    quality = {
        "mos_avg": mos,
        "loss_percent": 1.5,
        "jitter_avg_ms": 12.0,
        "round_trip_ms": 31.0,
        **more,
    }
    return {
        "packets_received": 500,
        "packets_sent": 498,
        "lost": 7,
        "jitter_ms": 11.0,
        "quality": quality,
        "samples": SAMPLES,
    }


async def one_call(gateway: Gateway, media: object) -> str:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.caller_hangs_up(media=media)
    await gateway.app[CALLS].none_left()
    return (await gateway.records())[0].call_id


async def test_the_record_has_the_figures_and_the_api_their_course(start: Start) -> None:
    gateway = await start()
    call_id = await one_call(gateway, {"a": counted(4.2), "b": counted(3.9)})
    record = await gateway.record()
    assert record.media is not None
    assert record.media["a"]["quality"]["mos_avg"] == 4.2
    assert "samples" not in record.media["a"], "a list of calls would be too long"
    status, body = await gateway.get(f"/api/v1/calls/{call_id}/quality")
    assert (status, body["call_id"], body["state"]) == (200, call_id, "ended")
    assert body["legs"]["a"]["packets_received"] == 500
    assert body["legs"]["b"]["quality"]["mos_avg"] == 3.9
    assert body["legs"]["b"]["samples"] == SAMPLES
    assert (await gateway.get("/api/v1/calls/unknown/quality"))[0] == 404


async def test_each_trunks_legs_are_counted(start: Start) -> None:
    gateway = await start()
    await one_call(gateway, {"a": counted(4.2), "b": counted(3.4)})
    page = await gateway.page()
    assert 'gateway_leg_mos_sum{trunk="carrier"} 4.2' in page
    assert 'gateway_leg_mos_sum{trunk="retell"} 3.4' in page
    assert 'gateway_leg_mos_bucket{le="3.5",trunk="retell"} 1.0' in page
    assert 'gateway_leg_loss_ratio_sum{trunk="carrier"} 0.015' in page
    assert 'gateway_leg_jitter_seconds_sum{trunk="carrier"} 0.012' in page
    assert 'gateway_leg_round_trip_seconds_sum{trunk="carrier"} 0.031' in page


async def test_what_was_not_measured_is_not_counted(start: Start) -> None:
    gateway = await start()
    unmeasured = counted(None, round_trip_ms=None, loss_percent="much", jitter_avg_ms=True)
    await one_call(gateway, {"a": unmeasured, "b": {"packets_received": 3}})
    page = await gateway.page()
    assert "gateway_leg_mos_sum{" not in page
    assert "gateway_leg_loss_ratio_sum{" not in page
    assert "gateway_leg_jitter_seconds_sum{" not in page


async def test_counters_of_a_foreign_softswitch_that_are_none_hurt_nothing(start: Start) -> None:
    gateway = await start()
    call_id = await one_call(gateway, {"a": "good", "b": {"samples": [1], "quality": 5}})
    status, body = await gateway.get(f"/api/v1/calls/{call_id}/quality")
    assert status == 200
    assert list(body["legs"]) == ["b"]
    assert body["legs"]["b"]["samples"] is None


async def test_a_call_in_progress_is_looked_at_in_the_softswitch(start: Start) -> None:
    class Measuring(Switch):
        async def media(self, call_sid: str) -> Json | None:
            self.asked.append(call_sid)
            return {"a": counted(4.1)}

    switch = Measuring()
    gateway = await start(make={"find_operations": lambda: switch})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        call = await gateway.until(lambda call: call["answered_at"] is not None)
        _, body = await gateway.get(f"/api/v1/calls/{call['call_id']}/quality")
        assert switch.asked == [call["call_sid"]]
        assert (body["state"], body["legs"]["a"]["quality"]["mos_avg"]) == ("live", 4.1)
        assert body["legs"]["a"]["samples"] == SAMPLES
        await jambonz.callee_hangs_up()


async def test_a_call_without_media_has_no_legs(gateway: Gateway) -> None:
    call_id = await one_call(gateway, None)
    assert (await gateway.get(f"/api/v1/calls/{call_id}/quality"))[1]["legs"] == {}
