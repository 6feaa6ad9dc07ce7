"""A whole call with real media: a sound for the caller, and the agent after it, on both engines."""

import asyncio

import pytest

from sip.b2bua.call_events import Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.core.message import Request, Response
from sip.media.events import Digit
from sip.media.ng.client import NgClient
from sip.media.plane import MediaError
from testkit import melody
from tests.b2bua.stage import Stage, make_stage
from tests.media.talk import PATIENCE_S, Phone, key_packets, rtp
from tests.media.voices import pcm_of as pcm
from tests.media.voices import recording, sings, wav

#: Sounds like neither party: a melody does not resemble itself played backwards.
GREETING = tuple(reversed(melody.AGENT))


class Keys:
    """An activity that puts down the keys of all legs."""

    name = "keys"
    legs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.pressed: list[tuple[str, str]] = []
        self._told: asyncio.Queue[None] = asyncio.Queue()

    def start(self, call: Hub) -> None:
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        if not isinstance(event, Digit):
            return False
        self.pressed.append((self._call.name_of(leg) or "", event.digit))
        self._told.put_nowait(None)
        return True

    def stop(self) -> None: ...

    async def told(self, count: int) -> None:
        """That many more keys were pressed."""
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(count):
                await self._told.get()


def press(phone: Phone, number: int, *, nth: int, lost: int) -> None:
    """A key, of which one packet is lost on the way."""
    seq = 1000 * nth
    packets = key_packets(101, number, seq=seq, timestamp=160 * seq, ssrc=int.from_bytes(b"call"))
    for index, packet in enumerate(packets):
        if index != lost:
            phone.snd(packet)


def told(phone: Phone, message: Request | Response) -> None:
    """The phone reads the description that its SIP peer got."""
    phone.hear_of(message.body.decode())


async def greeted(stage: Stage, caller: Phone, keys: Keys) -> None:
    """The carrier calls; its caller hears the greeting, and presses keys meanwhile."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=caller.sdp())
    await carrier.expect(100)
    [call] = stage.calls
    call.begin(keys)
    async with recording(caller) as heard:
        playing = asyncio.create_task(call.play(wav(melody.synthesise(GREETING))))
        told(caller, await carrier.expect(200, of="INVITE"))
        await carrier.send("ACK")
        caller.snd(rtp(0, 1, 160, int.from_bytes(b"call"), b"\xff" * 160))
        press(caller, 4, nth=1, lost=0)
        press(caller, 11, nth=2, lost=5)
        assert await playing is True
        await asyncio.sleep(0.1)
    assert melody.find(GREETING, pcm(heard)).heard
    assert not melody.find(melody.AGENT, pcm(heard)).heard


async def connected(stage: Stage, caller: Phone, agent: Phone) -> None:
    """The agent answers, and the caller is told of it."""
    carrier, peer = stage.peer("carrier"), stage.peer("agent")
    told(agent, await peer.answer_call(sdp=agent.sdp()))
    told(caller, await carrier.expect("INVITE"))
    await carrier.send(200, sdp=caller.sdp())
    await carrier.expect("ACK")


async def test_a_caller_is_greeted_and_then_talks_with_the_agent(plane: NgClient) -> None:
    """Each is heard by content; keys come as events, each once, before the agent and with it."""
    caller, agent, keys = Phone("caller"), Phone("agent"), Keys()
    async with make_stage(plane) as stage:
        await greeted(stage, caller, keys)
        await keys.told(2)
        port = caller.told_port

        [call] = stage.calls
        dialling = stage.dial(call, "agent")
        await connected(stage, caller, agent)
        assert caller.told_port == port, "what faces a party never moves"
        async with recording(caller) as to_caller, recording(agent) as to_agent:
            await asyncio.gather(sings(caller, melody.CALLER), sings(agent, melody.AGENT))
            await asyncio.sleep(0.1)
        assert melody.find(melody.AGENT, pcm(to_caller)).heard
        assert melody.find(melody.CALLER, pcm(to_agent)).heard
        assert not melody.find(GREETING, pcm(to_caller)).heard
        press(caller, 7, nth=3, lost=6)
        await keys.told(1)

        await stage.peer("carrier").hang_up()
        await stage.peer("agent").is_hung_up()
        await dialling
        await call.close()
        assert call.stats is not None
        assert call.stats.parties["a"].packets_received > 50
        with pytest.raises(MediaError, match="unknown-call"):
            await plane.query(call.status.call_sid)
    assert keys.pressed == [("a", "4"), ("a", "#"), ("a", "7")]
    caller.close()
    agent.close()


async def test_one_whom_we_call_hears_a_message_and_is_hung_up(plane: NgClient) -> None:
    """As after the beep of an answering machine: no other leg was ever there."""
    person = Phone("person")
    async with make_stage(plane) as stage:
        peer, call = stage.peer("person"), stage.call()
        placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
        told(person, await peer.answer_call(sdp=person.sdp()))
        await placing
        person.snd(person.voice())
        async with recording(person) as heard:
            assert await call.play(wav(melody.synthesise(GREETING))) is True
            await asyncio.sleep(0.1)
        call.hangup()
        await peer.is_hung_up()
        await call.close()
        assert call.stats is not None
        assert call.stats.parties["a"].packets_received == 1
    assert melody.find(GREETING, pcm(heard)).heard
    person.close()
