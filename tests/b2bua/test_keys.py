"""Keys from leg to leg, in every form, each once: whole calls with our relay, on virtual time."""

import asyncio
import audioop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from sip.b2bua.call import Call
from sip.b2bua.call_events import Event
from sip.b2bua.hub import Hub
from sip.b2bua.keys import DOUBT_S
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.leg_keys import MAX_WAITING
from sip.b2bua.legs.options import LegOptions
from sip.core.info_keys import ALONE, KEYS, RELAY
from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.core.sdp_keys import has_keys
from sip.media.events import Digit
from sip.media.key_tones import KeyToneReader, key_tone
from sip.media.terms import KeyForm, MediaTerms
from tests.b2bua.stage import Stage, make_stage
from tests.fakes.relay import RelayHere
from tests.media.keyboard import PTIME_S, Heard, Party, clean_events
from tests.media.talk import key_packets
from tests.ports import free_ports
from tests.virtual import virtual_time

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Kind:
    """A peer: whether its SDP has telephone-event, its Allow has INFO, and its trunk's term."""

    events: bool = False
    info: bool = False
    dtmf: KeyForm = KeyForm.AUTO

    def sdp(self, port: int) -> str:
        events = "a=rtpmap:101 telephone-event/8000\r\n" if self.events else ""
        return (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0{' 101' if self.events else ''}\r\n{events}a=sendrecv\r\n"
        )

    @property
    def allow(self) -> tuple[tuple[str, str], ...]:
        return (("Allow", "INVITE, ACK, BYE, CANCEL" + (", INFO" if self.info else "")),)

    @property
    def options(self) -> LegOptions:
        return LegOptions(media=MediaTerms(dtmf=self.dtmf))


EVENTS, INFO, TONES = Kind(events=True), Kind(info=True), Kind()
RETELL = Kind(events=True, dtmf=KeyForm.EVENTS)
INFO_ALONE = Kind(dtmf=KeyForm.INFO_ALONE)


class Told:
    """An activity that puts down the keys that the call is told."""

    name = "told"
    legs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.keys: list[tuple[str | None, str]] = []

    def start(self, call: Hub) -> None:
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        if isinstance(event, Digit):
            self.keys.append((self._call.name_of(leg), event.digit))
        return False

    def stop(self) -> None: ...


class Conversation:
    """A caller at the carrier and an agent, who both speak all the time."""

    def __init__(self, stage: Stage, relay: RelayHere, caller: Kind, agent: Kind) -> None:
        self.stage = stage
        self.relay = relay
        self.kinds = caller, agent
        stage.options = {"carrier": caller.options, "agent": agent.options}
        self.carrier, self.agent = stage.peer("carrier"), stage.peer("agent")
        self.a, self.b = Party(0xA, HOST), Party(0xB, HOST)
        self.told = Told()
        #: what each was offered or answered
        self.a_sdp = self.b_sdp = ""

    @property
    def call(self) -> Call:
        [call] = self.stage.calls
        return call

    async def begin(self) -> None:
        caller, agent = self.kinds
        await self.carrier.send("INVITE", sdp=caller.sdp(self.a.port), headers=caller.allow)
        await self.carrier.expect(100)
        self.call.begin(self.told)
        self.dialling = self.stage.dial(self.call, "agent")
        self.b_sdp = self._tell(self.b, await self.agent.expect("INVITE"))
        await self.agent.send(200, sdp=agent.sdp(self.b.port), headers=agent.allow)
        await self.agent.expect("ACK")
        self.a_sdp = self._tell(self.a, await self.carrier.expect(200, of="INVITE"))
        await self.carrier.send("ACK")
        await self.speaks(0.5)
        self.a.heard.clear()
        self.b.heard.clear()

    def _tell(self, party: Party, message: Request | Response) -> str:
        sdp = message.body.decode()
        audio = parse(sdp).audio
        assert audio is not None
        party.told_port = audio.port
        return sdp

    async def speaks(self, seconds: float) -> None:
        for _ in range(round(seconds / PTIME_S)):
            for party in (self.a, self.b):
                for data in party.take():
                    party.socket.sendto(data, (HOST, party.told_port))
            await asyncio.sleep(PTIME_S)
            self.a.listen()
            self.b.listen()

    # the caller presses a key

    async def press(self, key: str, kind: str = "event", *, lost: int | None = None) -> None:
        if kind == "event":
            at = self.a.timestamp + 160 * (len(self.a.next) + 1)
            packets = key_packets(
                101, KEYS.index(key), seq=self.a.seq + 1, timestamp=at, ssrc=self.a.ssrc
            )
            self.a.seq += len(packets)
            self.a.next += [[] if n == lost else [packet] for n, packet in enumerate(packets)]
        elif kind == "tone":
            coded = audioop.lin2ulaw(key_tone(key, 100), 2)
            self.a.next += [coded[at : at + 160] for at in range(0, 800, 160)]
        else:
            body = key if kind == ALONE else f"Signal={key}\r\nDuration=120\r\n"
            await self.carrier.send("INFO", sdp=body, headers=(("Content-Type", kind),))
            await self.carrier.expect(200, of="INFO")

    # what the agent hears of it

    async def informed(self, kind: str) -> str:
        """The key of the next INFO."""
        info = await self.agent.expect("INFO")
        assert info.content_type == kind
        await self.agent.send(200, answering="INFO")
        text: str = info.body.decode()
        return text if kind == ALONE else text.partition("Signal=")[2].partition("\r\n")[0]

    @property
    def events(self) -> list[Heard]:
        return clean_events(self.b.heard, 101)

    @property
    def tones(self) -> list[str]:
        reader = KeyToneReader()
        audio = b"".join([each.payload for each in self.b.heard if each.payload_type == 0])
        changes = reader.take(audioop.ulaw2lin(audio, 2)) + reader.end()
        return [change.key for change in changes if change.held_s is None]

    async def end(self) -> None:
        """The caller hangs up; nothing else came to either peer."""
        await self.carrier.hang_up()
        await self.agent.is_hung_up()
        await self.dialling
        await self.call.close()
        assert len(self.relay.sessions) == 0
        self.a.socket.close()
        self.b.socket.close()


@asynccontextmanager
async def conversation(caller: Kind, agent: Kind) -> AsyncIterator[Conversation]:
    async with RelayHere(free_ports(40)) as relay, make_stage(relay) as stage:
        talk = Conversation(stage, relay, caller, agent)
        await talk.begin()
        yield talk
        await talk.end()
        await stage.cleared()


IN = [("event", EVENTS), (RELAY, INFO), (ALONE, INFO), ("tone", TONES)]


@pytest.mark.parametrize(("kind", "caller"), IN)
@virtual_time
async def test_into_events(kind: str, caller: Kind) -> None:
    async with conversation(caller, RETELL) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.5)
        assert [each.key for each in talk.events] == list(KEYS)
        assert talk.told.keys == [("a", key) for key in KEYS]
    stats = talk.call.stats
    assert stats is not None
    counted = {tag: (each.keys_received, each.keys_sent) for tag, each in stats.parties.items()}
    assert counted == {"a": (16, 0), "b1": (0, 16)}


@pytest.mark.parametrize(("kind", "caller"), IN)
@pytest.mark.parametrize(("body", "agent"), [(RELAY, INFO), (ALONE, INFO_ALONE)])
@virtual_time
async def test_into_info(kind: str, caller: Kind, body: str, agent: Kind) -> None:
    async with conversation(caller, agent) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.3)
            assert await talk.informed(body) == key
        assert {each.payload_type for each in talk.b.heard} == {0}
        assert talk.tones == []
        assert talk.told.keys == [("a", key) for key in KEYS]
    stats = talk.call.stats
    assert stats is not None
    assert stats.parties["b1"].keys_sent == stats.parties["a"].keys_received == 16


@pytest.mark.parametrize(("kind", "caller"), IN)
@virtual_time
async def test_into_tones(kind: str, caller: Kind) -> None:
    async with conversation(caller, TONES) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.6)
        assert talk.tones == list(KEYS)
        assert talk.told.keys == [("a", key) for key in KEYS]


@virtual_time
async def test_events_with_losses_into_info() -> None:
    """With each packet lost in turn; all keys so, in `tests/media/test_keys.py`."""
    async with conversation(EVENTS, INFO) as talk:
        for index, key in enumerate(KEYS):
            await talk.press(key, lost=index % 8)
            await talk.speaks(0.3)
            assert await talk.informed(RELAY) == key


@pytest.mark.parametrize("caller", [EVENTS, INFO, TONES])
@pytest.mark.parametrize("agent", [RETELL, INFO, TONES])
@virtual_time
async def test_each_side_is_told_of_events_if_it_has_them(caller: Kind, agent: Kind) -> None:
    """The other side is offered them whatever the caller has, and the caller answered its own."""
    async with conversation(caller, agent) as talk:
        assert has_keys(talk.b_sdp)
        assert has_keys(talk.a_sdp) is caller.events


@virtual_time
async def test_who_has_info_by_its_trunk_is_offered_no_events() -> None:
    async with conversation(EVENTS, INFO_ALONE) as talk:
        assert not has_keys(talk.b_sdp)
        assert has_keys(talk.a_sdp)


@virtual_time
async def test_an_info_waits_for_the_answer_to_the_one_before() -> None:
    """And a refused one holds up none."""
    async with conversation(EVENTS, INFO) as talk:
        for key in "123":
            await talk.press(key)
        await talk.speaks(0.46)
        first = await talk.agent.expect("INFO")
        assert b"Signal=1" in first.body
        assert await talk.agent.drain(0.1) == []
        await talk.agent.send(415, answering="INFO")
        assert [await talk.informed(RELAY), await talk.informed(RELAY)] == ["2", "3"]


@virtual_time
async def test_an_info_that_comes_again_is_one_key() -> None:
    async with conversation(INFO, RETELL) as talk:
        info = await talk.carrier.send(
            "INFO", sdp="Signal=7\r\n", headers=(("Content-Type", RELAY),)
        )
        await talk.carrier.transmit(info.to_bytes())
        await talk.carrier.expect(200, of="INFO")
        await talk.speaks(1.0)
        assert talk.events == [Heard("7", 250)]
        assert talk.told.keys == [("a", "7")]


@virtual_time
async def test_a_flash_and_other_bodies_are_no_keys() -> None:
    async with conversation(INFO, RETELL) as talk:
        for body, kind, status in (
            ("Signal=!\r\n", RELAY, 200),
            ("", RELAY, 200),
            ("<x/>", "application/media_control+xml", 415),
        ):
            await talk.carrier.send("INFO", sdp=body, headers=(("Content-Type", kind),))
            reply = await talk.carrier.expect(status, of="INFO")
            if status == 415:
                assert reply.headers.get("accept") == f"{ALONE}, {RELAY}"
        await talk.speaks(0.5)
        assert talk.events == []
        assert talk.told.keys == []


@pytest.mark.parametrize("first", ["event", RELAY])
@virtual_time
async def test_a_phone_that_sends_both_is_heard_once(first: str) -> None:
    """Some have telephone-event, and send each key by INFO as well."""
    second = RELAY if first == "event" else "event"
    async with conversation(Kind(events=True, info=True), RETELL) as talk:
        for key in "1123":
            await talk.press(key, first)
            await talk.speaks(0.2)
            await talk.press(key, second)
            await talk.speaks(0.4)
        await talk.speaks(2 * DOUBT_S)
        assert [each.key for each in talk.events] == list("1123")
        assert talk.told.keys == [("a", key) for key in "1123"]


@virtual_time
async def test_a_phone_that_has_events_and_sends_info_alone_is_heard() -> None:
    """The first key waits until it is clear that it does not come in the media as well."""
    async with conversation(Kind(events=True, info=True), RETELL) as talk:
        await talk.press("1", RELAY)
        await talk.press("2", RELAY)
        await talk.speaks(DOUBT_S - 0.1)
        assert talk.told.keys == []
        await talk.speaks(0.9)
        await talk.press("3", RELAY)
        await talk.speaks(0.5)
        assert [each.key for each in talk.events] == ["1", "2", "3"]
        assert talk.told.keys == [("a", "1"), ("a", "2"), ("a", "3")]


@virtual_time
async def test_by_its_trunk_only_one_form_counts() -> None:
    async with conversation(Kind(events=True, dtmf=KeyForm.INFO), RETELL) as talk:
        await talk.press("1", "event")
        await talk.press("2", RELAY)
        await talk.speaks(1.0)
        assert [each.key for each in talk.events] == ["2"]
    async with conversation(Kind(events=True, info=True, dtmf=KeyForm.EVENTS), RETELL) as talk:
        await talk.press("1", RELAY)
        await talk.speaks(2.0)
        await talk.press("2", "event")
        await talk.speaks(1.0)
        assert [each.key for each in talk.events] == ["2"]


@virtual_time
async def test_the_agent_presses_keys_for_the_caller() -> None:
    """The way back: an agent's events become what the caller has."""
    async with conversation(RETELL, INFO) as talk:
        body = "Signal=9\r\nDuration=100\r\n"
        await talk.agent.send("INFO", sdp=body, headers=(("Content-Type", RELAY),))
        await talk.agent.expect(200, of="INFO")
        await talk.speaks(0.5)
        assert clean_events(talk.a.heard, 101) == [Heard("9", 100)]
        assert talk.told.keys == [("b1", "9")]


@virtual_time
async def test_too_many_that_wait_are_left_out() -> None:
    async with conversation(INFO, INFO) as talk:
        for _ in range(MAX_WAITING + 5):
            await talk.press("1", RELAY)
        for _ in range(MAX_WAITING + 1):
            assert await talk.informed(RELAY) == "1"
        assert await talk.agent.drain(2) == []
