"""Callers handed to people: a house with Asterisk and baresip for phones, the sandbox for Retell.

Each story is proved by what was said: the phone's recording holds the caller's words, the caller's
recording those of the phone.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.asterisk_config import DESK
from tests.interop.harness.baresip import Baresip
from tests.interop.harness.gateway import BY_SIP_URI, PLAIN, Json
from tests.interop.pbx.voices import OTHER, SAME, Voice, hears, likeness
from tests.interop.transfers.conftest import MOBILE, House, calling, phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALK_S = 4.5


class Call:
    """A call from the house to the agent, up.

    Asterisk stands between the caller's phone and us: the phone sees no re-INVITE, after which it
    would record no more.
    """

    def __init__(self, house: House, caller: Baresip, retell_id: str) -> None:
        self.house = house
        self.caller = caller
        self.retell_id = retell_id

    @classmethod
    async def begin(
        cls, house: House, caller: Baresip, number: str = PLAIN, *, referred: bool = False
    ) -> "Call":
        way = house.referred if referred else house.caller
        await caller.dial(house.asterisk.desk_uri(way, number))
        await caller.event("CALL_ESTABLISHED")
        return cls(house, caller, await house.sandbox.called(number))

    async def refer(self, refer_to: str) -> None:
        """The agent transfers the caller by REFER."""
        host = self.house.network.retell.host
        to = refer_to.format(host=host)
        await self.house.sandbox.uses(self.retell_id, kind="refer", refer_to=to)

    async def function(self, to: str) -> str:
        """The agent calls the transfer function; what it is told."""
        url = self.house.function_url
        await self.house.sandbox.uses(self.retell_id, kind="function", url=url, args={"to": to})
        used = await self.house.sandbox.used(self.retell_id)
        assert used["outcome"] == "done", used
        return str(used["told"])

    async def outcome(self) -> list[int]:
        """The status of the REFER, and of the first and the last NOTIFY."""
        used = await self.house.sandbox.used(self.retell_id)
        news = [status for status, _ in used["news"]]
        return [used["status"], *news[:1], *news[-1:]]

    async def end(self) -> Path:
        """The caller hangs up; what it has heard."""
        await self.caller.hangup()
        await newest(self.house)
        return self.caller.heard()

    async def verdict(self) -> tuple[str, str]:
        """What the record says of its one transfer."""
        [one] = await verdict(self.house)
        return one


@pytest_asyncio.fixture(loop_scope="session")
async def caller(house: House, caller_voice: Voice, tmp_path: Path) -> AsyncIterator[Baresip]:
    """The phone that calls out."""
    name, password = DESK
    at, place = calling(house.network), tmp_path / "caller"
    async with Baresip(at, caller_voice.again, place, user=name, password=password) as phone:
        yield phone


async def newest(house: House) -> Json:
    """The record of the newest call, once it is over."""
    async with asyncio.timeout(5):
        while True:
            calls = await house.gateway.calls()
            if calls and calls[0]["ended_at"]:
                return calls[0]
            await asyncio.sleep(0.05)


async def verdict(house: House) -> list[tuple[str, str]]:
    """The transfers of the newest call, once it is over."""
    record = await newest(house)
    return [(told["outcome"], told["stage"]) for told in record["transfers"]]


@pytest_asyncio.fixture(loop_scope="session")
async def phones(
    house: House, desk_voice: Voice, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[list[Baresip]]:
    """The desk phones 1 to 3; those of the mark `answers` answer."""
    answering = request.param
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                phone(house, at, desk_voice, tmp_path, answers=at in answering)
            )
            for at in (1, 2, 3)
        ]


def answering(*numbers: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "phones", [numbers], indirect=True, ids=["-".join(map(str, numbers)) or "nobody"]
    )


async def talked(call: Call, taker: Baresip, caller: Voice, desk: Voice) -> None:
    """The phone and the caller talk for a while; each has heard the other."""
    await taker.event("CALL_ESTABLISHED")
    await asyncio.sleep(TALK_S)
    at_the_caller = await call.end()
    await taker.event("CALL_CLOSED")
    hears(taker.heard(), caller.once, desk.once)
    assert likeness(at_the_caller, desk.once) > SAME


@answering(2)
async def test_in_turn_the_second_desk_answers(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    call = await Call.begin(house, caller)
    await call.refer("sip:support@{host}")
    await phones[0].event("CALL_INCOMING")
    await talked(call, phones[1], caller_voice, desk_voice)
    assert await call.outcome() == [202, 100, 200]
    assert await call.verdict() == ("transferred", "bridge")
    ended = await house.sandbox.ended(call.retell_id)
    assert ended["disconnection_reason"] == "call_transfer"


@answering(3)
async def test_all_at_once_and_the_third_desk_answers(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    call = await Call.begin(house, caller)
    await call.refer("<sip:everybody@{host}>")
    for one in phones[:2]:
        await one.event("CALL_INCOMING")
    await talked(call, phones[2], caller_voice, desk_voice)
    assert await call.outcome() == [202, 100, 200]
    assert await call.verdict() == ("transferred", "bridge")


async def test_nobody_at_the_desks_and_the_mobile_answers(
    house: House, caller: Baresip, caller_voice: Voice, desk_voice: Voice, tmp_path: Path
) -> None:
    """One desk rings, the other is off; the third phone is the mobile, behind a carrier."""
    rings = phone(house, 1, desk_voice, tmp_path, answers=False)
    async with rings, phone(house, 3, desk_voice, tmp_path, user=MOBILE) as mobile:
        call = await Call.begin(house, caller)
        await call.refer("sip:support")
        await talked(call, mobile, caller_voice, desk_voice)
        assert await call.outcome() == [202, 100, 200]
    record = (await house.gateway.calls())[0]
    assert record["attempts"][-1]["trunk"] == "mobile"


async def test_out_of_hours_the_caller_hears_why_and_is_back(
    house: House, caller: Baresip, closed_voice: Voice
) -> None:
    call = await Call.begin(house, caller)
    await call.refer("sip:shut@{host}")
    outcome = await call.outcome()
    assert outcome[-1] == 480
    before = (await house.sandbox.report(call.retell_id))["heard"]["packets"]
    await asyncio.sleep(2)
    after = (await house.sandbox.report(call.retell_id))["heard"]["packets"]
    assert after - before > 50, "the agent hears the caller again"
    assert likeness(await call.end(), closed_voice.once) > SAME


@answering(1)
async def test_a_queue_of_the_pbx(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    call = await Call.begin(house, caller)
    await call.refer("sip:300@{host}")
    await talked(call, phones[0], caller_voice, desk_voice)
    assert await call.outcome() == [202, 100, 200]


async def test_a_queue_of_the_pbx_that_overflows(
    house: House, caller: Baresip, caller_voice: Voice, desk_voice: Voice, tmp_path: Path
) -> None:
    """Asterisk's own queue gives up after a while, and says so: then the mobile is called."""
    rings = phone(house, 1, desk_voice, tmp_path, answers=False)
    async with rings, phone(house, 3, desk_voice, tmp_path, user=MOBILE) as mobile:
        call = await Call.begin(house, caller)
        await call.refer("sip:pair@{host}")
        await rings.event("CALL_INCOMING")
        await talked(call, mobile, caller_voice, desk_voice)
        assert await call.outcome() == [202, 100, 200]
    attempts = [
        one for one in (await house.gateway.calls())[0]["attempts"] if one["role"] != "retell"
    ]
    assert [(one["trunk"], one["code"] < 300) for one in attempts] == [
        (house.caller.name, False),
        ("mobile", True),
    ]


async def test_a_mobile_presses_1_and_has_the_caller(
    house: House,
    caller: Baresip,
    caller_voice: Voice,
    desk_voice: Voice,
    whisper_voice: Voice,
    tmp_path: Path,
) -> None:
    """It is told first; caller and agent hear nothing of it."""
    async with phone(house, 3, desk_voice, tmp_path, user=MOBILE) as mobile:
        call = await Call.begin(house, caller)
        await call.refer("sip:careful@{host}")
        await mobile.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await mobile.press("1")
        await asyncio.sleep(TALK_S)
        at_the_caller = await call.end()
        await mobile.event("CALL_CLOSED")
        assert await call.outcome() == [202, 100, 200]
    hears(mobile.heard(), caller_voice.once, desk_voice.once)
    assert likeness(mobile.heard(), whisper_voice.once) > SAME
    assert likeness(at_the_caller, desk_voice.once) > SAME
    assert likeness(at_the_caller, whisper_voice.once) < OTHER


async def test_a_mailbox_that_presses_nothing_does_not_get_the_caller(
    house: House,
    caller: Baresip,
    caller_voice: Voice,
    desk_voice: Voice,
    whisper_voice: Voice,
    tmp_path: Path,
) -> None:
    """It talks to nobody, and the agent has the caller back."""
    async with phone(house, 3, desk_voice, tmp_path, user=MOBILE) as mailbox:
        call = await Call.begin(house, caller)
        await call.refer("sip:careful@{host}")
        await mailbox.event("CALL_ESTABLISHED")
        await mailbox.event("CALL_CLOSED", timeout=30)
        assert (await call.outcome())[-1] == 480
        await asyncio.sleep(TALK_S)
        at_the_caller = await call.end()
    assert likeness(mailbox.heard(), whisper_voice.once) > SAME
    assert likeness(mailbox.heard(), caller_voice.once) < OTHER
    assert likeness(at_the_caller, desk_voice.once) < OTHER
    assert likeness(at_the_caller, caller_voice.once) > SAME, "the agent echoes"
    assert await call.verdict() == ("failed", "bridge")


IN_VAIN = {"engaged": {486}, "declining": {403, 603}, "desk": {408, 480, 487}}


@answering()
@pytest.mark.parametrize("name", IN_VAIN)
async def test_the_agent_hears_why_nobody_came(
    house: House, caller: Baresip, phones: list[Baresip], name: str
) -> None:
    """Busy, declined, no answer; and it has the caller still."""
    call = await Call.begin(house, caller)
    await call.refer(f"sip:{name}@{{host}}")
    accepted, first, last = await call.outcome()
    assert (accepted, first) == (202, 100)
    assert last in IN_VAIN[name]
    assert (await house.sandbox.report(call.retell_id))["call"]["call_status"] == "ongoing"
    await call.end()
    assert await call.verdict() == ("failed", "bridge")


async def test_the_pbx_is_asked_to_do_it(
    house: House, caller: Baresip, caller_voice: Voice, desk_voice: Voice, tmp_path: Path
) -> None:
    """REFER to Asterisk's leg: it calls its own extension, and takes the caller from us."""
    async with phone(house, 2, desk_voice, tmp_path) as target:
        call = await Call.begin(house, caller, referred=True)
        await call.refer("sip:next-door")
        await talked(call, target, caller_voice, desk_voice)
        assert (await call.outcome())[-1] == 200
    assert await call.verdict() == ("transferred", "refer")


@answering(2)
async def test_the_pbx_hands_the_caller_on(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    """Whom we bridged to sends REFER itself: Asterisk's Transfer()."""
    call = await Call.begin(house, caller)
    await call.refer("sip:switchboard@{host}")
    assert await call.outcome() == [202, 100, 200]
    await talked(call, phones[1], caller_voice, desk_voice)
    assert await verdict(house) == [("transferred", "bridge")] * 2


@answering(1)
async def test_the_pbx_hands_the_caller_to_whom_it_has_asked(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    """Attended: its REFER names the dialog that our INVITE is to replace."""
    colleague, asking = phones[0], phones[2]
    await asking.dial(f"sip:207@{house.caller.pbx}")
    await colleague.event("CALL_ESTABLISHED")
    call = await Call.begin(house, caller)
    await call.refer("sip:consulted@{host}")
    await asking.event("CALL_CLOSED")
    await asyncio.sleep(TALK_S)
    at_the_caller = await call.end()
    await colleague.event("CALL_CLOSED")
    assert likeness(at_the_caller, desk_voice.once) > SAME
    assert likeness(colleague.heard(), caller_voice.once) > SAME
    assert await verdict(house) == [("transferred", "bridge")] * 2


async def test_retells_own_second_call(
    house: House, caller: Baresip, caller_voice: Voice, desk_voice: Voice, tmp_path: Path
) -> None:
    """A warm transfer: Retell calls the mobile in the caller's name and bridges the two itself. One
    record has both; the carrier, which takes no foreign number, sees ours."""
    async with phone(house, 3, desk_voice, tmp_path, user=MOBILE) as mobile:
        call = await Call.begin(house, caller)
        await house.sandbox.uses(call.retell_id, kind="warm", number=MOBILE)
        await talked(call, mobile, caller_voice, desk_voice)
    record = await newest(house)
    assert record["to"] == PLAIN
    [second] = record["related"]
    assert second["certainty"] == "certain", second
    assert PLAIN in mobile.log()


# method 2: no REFER, a function


@answering(2)
async def test_the_function_transfers(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice, desk_voice: Voice
) -> None:
    call = await Call.begin(house, caller, BY_SIP_URI)
    told = asyncio.create_task(call.function("desk"))
    await talked(call, phones[1], caller_voice, desk_voice)
    assert says(await told, "connected", "transferred")
    assert await call.verdict() == ("transferred", "bridge")


@answering()
async def test_the_function_says_that_nobody_answers(
    house: House, caller: Baresip, phones: list[Baresip], caller_voice: Voice
) -> None:
    call = await Call.begin(house, caller, BY_SIP_URI)
    await asyncio.sleep(2)
    assert says(await call.function("desk"), "answer")
    await asyncio.sleep(TALK_S)
    assert (await house.sandbox.report(call.retell_id))["call"]["call_status"] == "ongoing"
    # the agent, who has said its greeting, echoes
    assert likeness(await call.end(), caller_voice.once) > SAME
    assert await call.verdict() == ("failed", "bridge")


async def test_the_function_says_that_the_target_is_busy(house: House, caller: Baresip) -> None:
    call = await Call.begin(house, caller, BY_SIP_URI)
    assert says(await call.function("engaged"), "busy")
    await asyncio.sleep(TALK_S)
    assert (await house.sandbox.report(call.retell_id))["call"]["call_status"] == "ongoing"
    await call.end()
    assert await call.verdict() == ("failed", "bridge")


async def test_the_function_says_that_there_is_nobody_of_that_name(
    house: House, caller: Baresip
) -> None:
    call = await Call.begin(house, caller, BY_SIP_URI)
    assert says(await call.function("the king"), "nobody")
    await call.end()


def says(told: str, *words: str) -> bool:
    """Whether one of the words is in what the agent reads."""
    text = json.dumps(told).lower()
    assert any(word in text for word in words), told
    return True
