"""Digits that a peer enters, and sequences of keys that are listened for."""

import asyncio
from itertools import product

import pytest

from sip.b2bua.activities.collecting import Collecting
from sip.b2bua.call import Call
from sip.b2bua.digits import Collected, Digits, Input, State, Wanted
from sip.media.events import Digit
from tests.b2bua.stage import Stage, sdp_at, staged
from tests.ladder import Peer

PIN = Wanted(least=2, most=4, finish="#", first_s=10, between_s=3)


# the machine


def entered(keys: str, wanted: Wanted = PIN) -> Digits:
    digits = Digits(wanted)
    for key in keys:
        digits.press(key)
    return digits


@pytest.mark.parametrize(
    ("keys", "state", "wait_s"),
    [
        ("", State.EMPTY, 10),
        ("1", State.SHORT, 3),
        ("12", State.ENOUGH, 3),
        ("123", State.ENOUGH, 3),
        ("1234", State.COMPLETE, None),
        ("12345", State.COMPLETE, None),
        ("12#", State.COMPLETE, None),
        ("#", State.COMPLETE, None),
        ("*1", State.ENOUGH, 3),
    ],
)
def test_keys(keys: str, state: State, wait_s: float | None) -> None:
    digits = entered(keys)
    assert (digits.state, digits.wait_s) == (state, wait_s)
    assert digits.collected == Collected(keys.rstrip("#")[:4], state is State.COMPLETE)


@pytest.mark.parametrize(
    ("keys", "complete"), [("", False), ("1", False), ("12", True), ("123", True)]
)
def test_the_time_is_over(keys: str, complete: bool) -> None:
    digits = entered(keys)
    digits.time_over()
    assert digits.over
    assert digits.collected == Collected(keys, complete)
    digits.press("9")
    assert digits.collected == Collected(keys, complete)


def test_while_it_is_prompted_no_time_runs_and_keys_count() -> None:
    digits = Digits(PIN, prompted=True)
    assert (digits.state, digits.wait_s) == (State.PROMPTED, None)
    digits.prompt_over()
    assert digits.wait_s == 10
    digits = Digits(PIN, prompted=True)
    digits.press("1")
    digits.prompt_over()
    assert digits.state is State.SHORT


def test_every_pair_has_its_outcome() -> None:
    """What is over stays so; in an open state each key leads on, and time or giving up ends it."""
    for state, what in product(State, Input):
        digits = Digits(PIN)
        digits.state = state
        digits._step(what)
        if state in (State.COMPLETE, State.TIMED_OUT):
            assert digits.state is state
        elif what in (Input.LAST, Input.FINISH):
            assert digits.state is State.COMPLETE
        elif what is Input.GIVEN_UP:
            assert digits.state is State.TIMED_OUT
        elif what in (Input.TOO_FEW, Input.SUFFICES):
            assert digits.state is (State.SHORT if what is Input.TOO_FEW else State.ENOUGH)
        elif what is Input.TIME_OVER:
            ends = {State.EMPTY: State.TIMED_OUT, State.SHORT: State.TIMED_OUT}
            ends |= {State.ENOUGH: State.COMPLETE, State.PROMPTED: State.PROMPTED}
            assert digits.state is ends[state]
        else:
            assert digits.state is (State.EMPTY if state is State.PROMPTED else state)


# in a call


async def answered(stage: Stage) -> tuple[Call, Peer]:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    [call] = stage.calls
    await call.answer()
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.silence(0.1)
    return call, carrier


def press(stage: Stage, keys: str, party: str = "a") -> None:
    now = asyncio.get_running_loop().time()
    [session] = stage.media.open_calls
    for key in keys:
        stage.media.tell(session, Digit(party=party, digit=key, duration_ms=100, at=now))


@staged
async def test_a_caller_enters_digits(stage: Stage) -> None:
    """The time begins anew with each; what was enough when it is over counts."""
    call, carrier = await answered(stage)
    loop = asyncio.get_running_loop()
    began = loop.time()
    collecting = asyncio.create_task(call.collect(PIN))
    await asyncio.sleep(9)
    press(stage, "1")
    await asyncio.sleep(2.5)
    press(stage, "2")
    assert [doing.activity for doing in call.state.doing] == ["idle", "collecting"]
    assert await collecting == Collected("12", complete=True)
    assert loop.time() - began == pytest.approx(14.5, abs=0.2)
    await carrier.hang_up()


@staged
async def test_a_caller_that_is_not_answered_is(stage: Stage) -> None:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    [call] = stage.calls
    collecting = asyncio.create_task(call.collect(PIN))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.silence(9)
    assert await collecting == Collected("", complete=False)
    await carrier.hang_up()


@staged
async def test_a_caller_that_hangs_up_entered_what_it_did(stage: Stage) -> None:
    call, carrier = await answered(stage)
    collecting = asyncio.create_task(call.collect(PIN))
    await asyncio.sleep(1)
    press(stage, "123")
    await carrier.hang_up()
    assert await collecting == Collected("123", complete=False)
    assert await call.collect(PIN) == Collected("", complete=False)


@staged
async def test_the_time_begins_with_the_end_of_the_prompt(stage: Stage) -> None:
    call, carrier = await answered(stage)
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await call.collect(PIN, prompt=lambda: asyncio.sleep(60))
    assert outcome == Collected("", complete=False)
    assert loop.time() - began == pytest.approx(70, abs=0.2)
    await carrier.hang_up()


@pytest.mark.parametrize(("barge_in", "cancelled"), [(True, True), (False, False)])
def test_a_key_ends_the_prompt_where_it_may(barge_in: bool, cancelled: bool) -> None:
    @staged
    async def story(stage: Stage) -> None:
        call, carrier = await answered(stage)
        saying = asyncio.Event()

        async def prompt() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                saying.set()
                raise

        collecting = asyncio.create_task(call.collect(PIN, prompt=prompt, barge_in=barge_in))
        await asyncio.sleep(1)
        press(stage, "1")
        await asyncio.sleep(1)
        assert saying.is_set() is cancelled
        press(stage, "23#")
        assert await collecting == Collected("123", complete=True)
        assert saying.is_set()
        await carrier.hang_up()

    story()


@staged
async def test_what_is_wanted_instead_ends_it(stage: Stage) -> None:
    call, carrier = await answered(stage)
    collecting = asyncio.create_task(call.collect(PIN, prompt=lambda: asyncio.sleep(60)))
    await asyncio.sleep(1)
    collecting.cancel()
    await asyncio.sleep(0.1)
    assert not list(call.running(Collecting))
    await carrier.hang_up()


@staged
async def test_a_leg_that_waits_enters_digits_of_its_own(stage: Stage) -> None:
    """The keys of one leg are no other's."""
    call, carrier = await answered(stage)
    person = stage.peer("person")
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.answer_call(sdp=sdp_at(43000))
    name, _ = await placing
    collecting = asyncio.create_task(call.collect(Wanted(most=1, first_s=5), leg=name))
    await asyncio.sleep(1)
    press(stage, "9")
    await asyncio.sleep(1)
    assert not collecting.done()
    press(stage, "1", party="b2")  # b1 was the silence
    assert await collecting == Collected("1", complete=True)
    await carrier.hang_up()
    await person.is_hung_up()


@staged
async def test_sequences_of_keys_are_heard_while_two_talk(stage: Stage) -> None:
    """Each leg has its own; a pause of more than 3 s parts them; they are for the other leg too."""
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    [call] = stage.calls
    heard: list[tuple[str, str]] = []
    with call.capturing(
        {"a": ("*9",), "b1": ("#1", "77")}, lambda leg, keys: heard.append((leg, keys))
    ):
        dialling = stage.dial(call, "agent")
        await agent.answer_call(sdp=sdp_at(42000))
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await asyncio.sleep(1)
        press(stage, "1*9#1")
        press(stage, "*")
        await asyncio.sleep(4)
        press(stage, "9")
        press(stage, "#1*9", party="b1")
        press(stage, "777", party="b1")
        assert heard == [("a", "*9"), ("b1", "#1"), ("b1", "77")]
        press(stage, "7", party="b1")
    press(stage, "*9")
    assert heard == [("a", "*9"), ("b1", "#1"), ("b1", "77"), ("b1", "77")]
    await carrier.hang_up()
    await agent.is_hung_up()
    await dialling
