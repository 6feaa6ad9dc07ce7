"""The one reader of a call's events: their order, re-entrance, and errors of ours."""

import asyncio

import pytest

from sip.b2bua.call import Call
from sip.b2bua.call_events import Confirm, Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from tests.b2bua.stage import Stage, staged
from tests.fakes.stream_leg import StreamLeg
from tests.ladder import PCMU


class Listening:
    """An activity that notes what it hears; `then` is what it does about it."""

    name = "listening"
    legs = ("a",)

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.stopped = 0

    def start(self, call: Hub) -> None:
        self.call = call

    def on(self, leg: Leg, event: Event) -> bool:
        self.heard.append(f"begin {type(event).__name__}")
        self.then(leg, event)
        self.heard.append(f"end {type(event).__name__}")
        return True

    def then(self, leg: Leg, event: Event) -> None:
        """Nothing."""

    def stop(self) -> str:
        self.stopped += 1
        return "stopped"


class Nesting(Listening):
    def then(self, leg: Leg, event: Event) -> None:
        if isinstance(event, Confirm) and isinstance(leg, StreamLeg):
            leg.peer_offers(PCMU)


class Failing(Listening):
    def then(self, leg: Leg, event: Event) -> None:
        raise ZeroDivisionError


def a_stream(stage: Stage) -> tuple[Call, StreamLeg]:
    call = stage.call(lambda on_event: StreamLeg(stage.ua.clock, PCMU, on_event))
    assert isinstance(call.first, StreamLeg)
    return call, call.first


@staged
async def test_an_event_waits_until_the_one_before_it_is_done_with(stage: Stage) -> None:
    """A leg may speak at once when it is asked for something: no activity is entered twice."""
    call, leg = a_stream(stage)
    activity = Nesting()
    outcome = call.begin(activity)
    call.handle(leg, Confirm(at=0.0))
    assert activity.heard == ["begin Confirm", "end Confirm", "begin Offer", "end Offer"]
    leg.peer_hangs_up()
    assert await outcome == "stopped"


@staged
async def test_what_an_activity_does_not_take_the_older_ones_hear(stage: Stage) -> None:
    call, leg = a_stream(stage)
    older, newer = Listening(), Listening()
    call.begin(older)
    call.begin(newer)
    call.handle(leg, Confirm(at=0.0))
    assert (len(older.heard), len(newer.heard)) == (0, 2)
    call.stop(newer)
    call.handle(leg, Confirm(at=0.0))
    assert (len(older.heard), len(newer.heard)) == (2, 2)
    leg.peer_hangs_up()
    assert (older.stopped, newer.stopped) == (1, 1)


@staged
async def test_what_follows_an_activity_has_its_outcome(stage: Stage) -> None:
    call, _ = a_stream(stage)
    first, second = Listening(), Listening()
    outcome = call.begin(first)
    call.follow(first, second)
    call.finish(first, "too late")
    assert not outcome.done()
    call.finish(second, "done")
    assert await outcome == "done"
    call.end_all()


@staged
async def test_an_error_of_ours_reaches_whoever_waits(stage: Stage) -> None:
    """Not the peer's message: a leg that tells an event never hears of it."""
    call, leg = a_stream(stage)
    activity = Failing()
    outcome = call.begin(activity)
    leg.peer_offers(PCMU)
    with pytest.raises(ZeroDivisionError):
        await outcome
    assert activity.stopped == 1
    assert not call.state.doing


@staged
async def test_to_cancel_a_dial_stops_it(stage: Stage) -> None:
    """Other verbs take its place: the leg that rings is cancelled, the first one stays."""
    person = stage.peer("person")
    call, leg = a_stream(stage)
    dialling = stage.dial(call, "person")
    await person.expect("INVITE")
    await person.send(180)
    await asyncio.sleep(1)
    dialling.cancel()
    await person.expect("CANCEL")
    await person.send(200, answering="CANCEL")
    await person.send(487)
    await person.expect("ACK")
    assert [one.activity for one in call.state.doing] == ["idle"]
    assert not leg.gone
    leg.peer_hangs_up()
