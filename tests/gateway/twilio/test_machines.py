"""Answering machines: what becomes of a call of Twilio's that one took."""

import pytest

from tests.gateway.conftest import DIAL_DID, Retell
from tests.gateway.twilio.conftest import StartTwilio
from tests.gateway.twilio.vendor import SUB, SUB_TOKEN, Api, Twilio, call_of, read, sid

MESSAGE = {"then": "message", "message": "Call us & us alone."}
HANGUP = {"Status": "completed"}


async def amd(twilio: Twilio, who: str, *, token: str = "token-main", **fields: str) -> None:
    told = call_of(AnsweredBy=who, MachineDetectionDuration="2100", **fields)
    status, body = await twilio.request("/webhooks/twilio/amd", told, token=token)
    assert status == 204, body


@pytest.mark.parametrize("who", ["machine_start", "machine_end_beep", "machine_end_other", "fax"])
async def test_a_machine_is_hung_up_on_once(twilio: Twilio, api: Api, who: str) -> None:
    await amd(twilio, who)
    await amd(twilio, who)
    assert api.updates == [(sid(), HANGUP)]


@pytest.mark.parametrize("who", ["human", "unknown", "nonsense", ""])
async def test_a_person_talks_on(twilio: Twilio, api: Api, who: str) -> None:
    await amd(twilio, who)
    assert api.updates == []


async def test_a_message_is_left_behind_the_greeting(start_twilio: StartTwilio, api: Api) -> None:
    twilio = await start_twilio(machine=MESSAGE)
    await amd(twilio, "machine_end_beep")
    ((_, form),) = api.updates
    say, hangup = read(form["Twiml"])
    assert (say.name, say.text, hangup.name) == ("Say", MESSAGE["message"], "Hangup")
    await amd(twilio, "machine_start", CallSid=sid(2))  # it still speaks: nothing is said into it
    await amd(twilio, "fax", CallSid=sid(3))
    assert api.updates[1:] == [(sid(2), HANGUP), (sid(3), HANGUP)]


async def test_the_agent_may_talk_to_machines(start_twilio: StartTwilio, api: Api) -> None:
    twilio = await start_twilio(machine={"then": "agent"})
    await amd(twilio, "machine_end_beep")
    assert api.updates == []


async def test_a_call_that_is_over_is_no_error(twilio: Twilio, api: Api) -> None:
    api.over.add(sid())
    await amd(twilio, "fax")
    assert api.updates == []


async def test_twilio_is_asked_again_after_a_passing_failure(twilio: Twilio, api: Api) -> None:
    api.broken = 1
    await amd(twilio, "fax")
    assert api.updates == [(sid(), HANGUP)]


async def test_what_twilio_did_not_do_is_done_at_the_next_callback(
    twilio: Twilio, api: Api
) -> None:
    api.broken = 2
    await amd(twilio, "fax")
    assert api.updates == []
    await amd(twilio, "fax")
    assert api.updates == [(sid(), HANGUP)]


async def test_a_subaccounts_call_is_changed_with_its_own_token(twilio: Twilio, api: Api) -> None:
    await amd(twilio, "fax", token=SUB_TOKEN, AccountSid=SUB)
    assert api.updates == [(sid(), HANGUP)]


@pytest.mark.parametrize(
    ("machine", "who", "verbs"),
    [
        ({}, "machine_start", ["Hangup"]),
        (MESSAGE, "machine_end_beep", ["Say", "Hangup"]),
        ({"then": "agent"}, "machine_end_beep", ["Dial"]),
        ({}, "human", ["Dial"]),
    ],
)
async def test_what_is_known_with_the_voice_webhook_costs_no_agent(
    start_twilio: StartTwilio, retell: Retell, machine: dict[str, str], who: str, verbs: list[str]
) -> None:
    """Without asynchronous detection Twilio asks only when it knows."""
    twilio = await start_twilio(machine=machine)
    ours = {"From": DIAL_DID, "To": "+12125550123", "Direction": "outbound-api"}
    found = await twilio.voice(DIAL_DID, AnsweredBy=who, **ours)
    assert [verb.name for verb in found] == verbs
    assert len(retell.requests) == (verbs == ["Dial"])
