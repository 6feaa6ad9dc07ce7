"""Calls that Retell originates: carriers by prefix, the next one only where that is right."""

from typing import Any

import pytest

from tests.gateway.conftest import Gateway, Start

CALLEE = "+13125550177"


def trunk_of(verbs: list[dict[str, Any]]) -> str:
    assert verbs[0]["verb"] == "dial", verbs
    trunk = verbs[0]["target"][0]["trunk"]
    assert isinstance(trunk, str)
    return trunk


async def test_first_carrier_answers(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, from_="+14155550100", trunk=None, user="retell")
        assert verbs == [
            {
                "verb": "dial",
                "target": [{"type": "phone", "number": CALLEE, "trunk": "carrier"}],
                "answerOnBridge": True,
                "anchorMedia": True,
                "timeout": 60,
                "actionHook": "/dial-action",
                "referHook": "/refer",
                "callerId": "+14155550100",
            },
            {"verb": "hangup"},
        ]
        await jambonz.answered()
        await jambonz.caller_hangs_up(headers={"x_outcome": "voicemail"})
    record = await gateway.record()
    assert (record.direction, record.cause, record.ended_by) == ("retell", "hangup", "caller")
    assert record.retell_headers == {"x-outcome": "voicemail"}


async def test_retell_is_known_by_its_trunk_too(gateway: Gateway) -> None:
    """A jambonz SBC that has Retell's addresses whitelisted asks for no digest."""
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, trunk="retell")
        assert trunk_of(verbs) == "carrier"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_another_user_is_not_retell(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, trunk=None, user="softphone")
        assert verbs[0] == {"verb": "sip:decline", "status": 404, "reason": "Not Found"}
        await jambonz.declined(404)
    assert (await gateway.record()).direction == "inbound"


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504, 580])
async def test_next_carrier_after(gateway: Gateway, code: int) -> None:
    async with gateway.jambonz() as jambonz:
        assert trunk_of(await jambonz.new_call(to=CALLEE, user="retell")) == "carrier"
        assert trunk_of(await jambonz.refused(code)) == "second"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert [(a["trunk"], a["code"]) for a in record.attempts] == [
        ("carrier", code),
        ("second", 200),
    ]
    assert record.b_sip_call_id == jambonz.b_call_id


@pytest.mark.parametrize(
    ("status", "code", "back"),
    [
        ("busy", 486, 486),
        ("busy", 600, 600),
        ("failed", 603, 603),
        ("failed", 404, 404),
        ("failed", 403, 403),
        ("failed", 484, 484),
        ("failed", 480, 480),
        ("failed", 488, 488),
        ("failed", 407, 403),  # a challenge means nothing without its header
        ("failed", 302, 480),  # nor does a redirection without its contact
        ("no-answer", 487, 480),  # and 487 is for who cancelled
        ("ringing", 180, 480),
        ("early-media", 183, 480),
    ],
)
async def test_no_other_carrier_after(gateway: Gateway, status: str, code: int, back: int) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.leg("trying", 100)
        verbs = await jambonz.dial_ended(status, code)
        assert [(verb["verb"], verb["status"]) for verb in verbs] == [("sip:decline", back)]
        await jambonz.declined(back)
    record = await gateway.record()
    assert record.sip_status == back
    assert len(record.attempts) == 1


async def test_no_other_carrier_after_early_media(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.leg("trying", 100)
        await jambonz.leg("early-media", 183)
        await jambonz.leg("failed", 503)
        assert (await jambonz.dial_ended("failed", 503))[0]["status"] == 503
        await jambonz.declined(503)
    assert (await gateway.record()).cause == "unavailable"


async def test_early_media_counts_for_its_own_attempt_only(gateway: Gateway) -> None:
    """A late word of the first leg does not stop the hunt at the second."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        assert trunk_of(await jambonz.refused(503)) == "second"
        assert (await jambonz.refused(503))[0]["verb"] == "sip:decline"
        await jambonz.declined(503)
    record = await gateway.record()
    assert [a["early_media"] for a in record.attempts] == [False, False]


async def test_carriers_own_words_go_back(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.leg("trying", 100)
        verbs = await jambonz.dial_ended("failed", 404, dial_sip_reason="Unallocated Number\r\n")
        assert verbs == [{"verb": "sip:decline", "status": 404, "reason": "Unallocated Number"}]
        await jambonz.declined(404)
    assert (await gateway.record()).attempts[0]["reason"] == "Unallocated Number"


async def test_longest_prefix_wins(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        assert trunk_of(await jambonz.new_call(to="+12125550111", user="retell")) == "second"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_number_is_brought_to_e164_before_it_is_routed(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to="3125550177", user="retell")
        assert verbs[0]["target"][0]["number"] == CALLEE
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_no_route(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to="+442079460000", user="retell")
        assert verbs == [{"verb": "sip:decline", "status": 404, "reason": "No Route"}]
        await jambonz.declined(404)
    record = await gateway.record()
    assert (record.direction, record.cause, record.fault) == ("retell", "no-route", "operator")


async def test_only_what_retell_may_set_reaches_the_carrier(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(
            to=CALLEE,
            user="retell",
            headers={
                "X-Campaign": "7",
                "X-Authenticated-Realm": "kept: not a name of jambonz's",
                "X-CID": "ours",
                "diversion": "<sip:+14155550188@192.0.2.10>",
                "user-to-user": "00;encoding=hex",
            },
        )
        assert verbs[0]["headers"] == {
            "X-Campaign": "7",
            "X-Authenticated-Realm": "kept: not a name of jambonz's",
            "user-to-user": "00;encoding=hex",
        }
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_override_of_the_caller_id(start: Start) -> None:
    outbound = {"caller_id": "user-id", "routes": [{"trunks": ["carrier"]}]}
    gateway = await start(outbound=outbound)
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, user="retell")
        assert verbs[0]["callerId"] == "user-id"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_fixed_headers_of_a_trunk_are_ours_to_add_under_a_real_jambonz(start: Start) -> None:
    """With our own softswitch they are its business, and would appear twice."""
    trunks = [{"name": "carrier", "headers": {"X-Telnyx-Username": "gateway"}}]
    outbound = {"routes": [{"trunks": ["carrier"]}]}
    gateway = await start(sip={"listen": []}, trunks=trunks, numbers={"*": {}}, outbound=outbound)
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, user="retell", headers={"X-A": "1"})
        assert verbs[0]["headers"] == {"X-A": "1", "X-Telnyx-Username": "gateway"}
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
