"""A call of two peers that speak all the time, while one of them presses keys, in every form.

The same stories run on virtual time and in real time, with any media plane.
"""

from __future__ import annotations

import asyncio
import audioop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sip.b2bua.call import Call
from sip.b2bua.call_events import Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.core.info_keys import ALONE, KEYS, RELAY
from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.media.events import Digit
from sip.media.key_tones import KeyToneReader, key_tone
from sip.media.plane import MediaPlane
from sip.media.terms import KeyForm, MediaTerms
from tests.b2bua.stage import Stage, make_stage
from tests.ladder import Peer
from tests.media.keyboard import PTIME_S, Heard, Party, clean_events
from tests.media.talk import key_packets


@dataclass(frozen=True)
class Kind:
    """A peer: whether its SDP has telephone-event, its Allow has INFO, and its trunk's term."""

    events: bool = False
    info: bool = False
    dtmf: KeyForm = KeyForm.AUTO

    def sdp(self, host: str, port: int) -> str:
        events = "a=rtpmap:101 telephone-event/8000\r\n" if self.events else ""
        return (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0{' 101' if self.events else ''}\r\n{events}a=sendrecv\r\n"
        )

    @property
    def allow(self) -> tuple[tuple[str, str], ...]:
        return (("Allow", "INVITE, ACK, BYE, CANCEL" + (", INFO" if self.info else "")),)

    @property
    def terms(self) -> MediaTerms:
        return MediaTerms(dtmf=self.dtmf)


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


class Talk:
    """A caller at the carrier and an agent, who both speak all the time."""

    def __init__(self, carrier: Peer, agent: Peer, caller: Kind, called: Kind) -> None:
        self.kinds = caller, called
        self.carrier, self.agent = carrier, agent
        self.a, self.b = Party(0xA, carrier.host), Party(0xB, agent.host)
        #: what each was offered or answered
        self.a_sdp = self.b_sdp = ""

    async def begin(self) -> None:
        caller, agent = self.kinds
        offer = caller.sdp(self.carrier.host, self.a.port)
        await self.carrier.send("INVITE", sdp=offer, headers=caller.allow)
        await self.carrier.expect(100)
        self.dial()
        self.b_sdp = self._tell(self.b, await self.agent.expect("INVITE"))
        answer = agent.sdp(self.agent.host, self.b.port)
        await self.agent.send(200, sdp=answer, headers=agent.allow)
        await self.agent.expect("ACK")
        self.a_sdp = self._tell(self.a, await self.carrier.expect(200, of="INVITE"))
        await self.carrier.send("ACK")
        await self.speaks(0.5)
        self.a.heard.clear()
        self.b.heard.clear()

    def _tell(self, party: Party, message: Request | Response) -> str:
        sdp = message.body.decode()
        described = parse(sdp)
        audio = described.audio
        assert audio is not None
        connection = described.connection_of(audio)
        assert connection is not None
        party.told = connection.address, audio.port
        return sdp

    def dial(self) -> None:
        """The agent is called, where nobody else sees to it."""

    async def speaks(self, seconds: float) -> None:
        for _ in range(round(seconds / PTIME_S)):
            for party in (self.a, self.b):
                for data in party.take():
                    party.socket.sendto(data, party.told)
            await asyncio.sleep(PTIME_S)
            self.a.listen()
            self.b.listen()

    # a key is pressed: by the caller, or on the way `back` by the agent

    async def press(
        self, key: str, kind: str = "event", *, lost: int | None = None, back: bool = False
    ) -> None:
        party, peer = (self.b, self.agent) if back else (self.a, self.carrier)
        if kind == "event":
            packets = key_packets(
                101,
                KEYS.index(key),
                seq=party.seq + 1,
                timestamp=party.timestamp + 160 * (len(party.next) + 1),
                ssrc=party.ssrc,
            )
            party.seq += len(packets)
            party.next += [[] if n == lost else [packet] for n, packet in enumerate(packets)]
        elif kind == "tone":
            coded = audioop.lin2ulaw(key_tone(key, 100), 2)
            party.next += [coded[at : at + 160] for at in range(0, 800, 160)]
        else:
            body = key if kind == ALONE else f"Signal={key}\r\nDuration=120\r\n"
            await peer.send("INFO", sdp=body, headers=(("Content-Type", kind),))
            await peer.expect(200, of="INFO")

    # what the other hears of it

    async def informed(self, kind: str, *, back: bool = False) -> str:
        """The key of the next INFO."""
        peer = self.carrier if back else self.agent
        info = await peer.expect("INFO")
        assert info.content_type == kind
        await peer.send(200, answering="INFO")
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
        self.close()

    def close(self) -> None:
        self.a.socket.close()
        self.b.socket.close()


class StagedTalk(Talk):
    """On a stage: what the call was told is seen."""

    def __init__(self, stage: Stage, caller: Kind, called: Kind) -> None:
        super().__init__(stage.peer("carrier"), stage.peer("agent"), caller, called)
        stage.terms = {"carrier": caller.terms, "agent": called.terms}
        self.stage = stage
        self.told = Told()

    @property
    def call(self) -> Call:
        [call] = self.stage.calls
        return call

    def dial(self) -> None:
        self.call.begin(self.told)
        self._dialling = self.stage.dial(self.call, "agent")

    async def end(self) -> None:
        await super().end()
        await self._dialling
        await self.call.close()


@asynccontextmanager
async def staged_talk(plane: MediaPlane, caller: Kind, called: Kind) -> AsyncIterator[StagedTalk]:
    """A talk that is over when this is left, and leaves nothing."""
    async with make_stage(plane) as stage:
        talk = StagedTalk(stage, caller, called)
        try:
            await talk.begin()
            yield talk
            await talk.end()
        finally:
            talk.close()


#: In which forms a caller presses keys, and what it is like.
IN = [("event", EVENTS), (RELAY, INFO), (ALONE, INFO), ("tone", TONES)]
