"""Whole calls whose sides differ in codecs: what SIP says of it, and what is heard."""

from collections.abc import AsyncIterator, Iterator

import pytest

from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.core.sdp_codecs import Codecs
from sip.media.ng.client import NgClient
from sip.media.terms import MediaTerms
from testkit.melody import AGENT, CALLER, find
from tests.b2bua.stage import Stage, make_stage
from tests.media.talk import Phone
from tests.media.test_conversions import RTPMAPS, names, says
from tests.media.test_convert import understood

#: As the profile of the agents' platform says it.
AGENT_TERMS = MediaTerms(codecs=Codecs(("PCMU", "PCMA", "G722"), ordered=False))


@pytest.fixture
async def stage(relay_plane: NgClient) -> AsyncIterator[Stage]:
    async with make_stage(relay_plane) as stage:
        stage.terms["agent"] = AGENT_TERMS
        yield stage
        for call in stage.calls:
            await call.close()


@pytest.fixture
def caller() -> Iterator[Phone]:
    phone = Phone("caller")
    yield phone
    phone.close()


@pytest.fixture
def agent() -> Iterator[Phone]:
    phone = Phone("agent")
    yield phone
    phone.close()


def told(phone: Phone, message: Request | Response) -> None:
    """The phone reads the description that its SIP peer got."""
    phone.hear_of(message.body.decode())


async def talking(stage: Stage, caller: Phone, agent: Phone, formats: str, answer: str) -> None:
    """The caller offers `formats`, the agent answers with `answer`."""
    carrier, peer = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=caller.sdp(formats, extra=RTPMAPS))
    await carrier.expect(100)
    stage.dial(stage.calls[0], "agent")
    told(agent, await peer.answer_call(sdp=agent.sdp(answer, extra=RTPMAPS)))
    await carrier.expect(180)
    told(caller, await carrier.expect(200, of="INVITE"))
    await carrier.send("ACK")


async def test_g729_alone_gets_488_and_a_warning_that_says_so(stage: Stage, caller: Phone) -> None:
    """RFC 3261 20.43, 21.4.26."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=caller.sdp("18 101", extra=RTPMAPS))
    await carrier.expect(100)
    report = stage.dial(stage.calls[0], "agent")
    assert (await report).sip_status == 488
    stage.calls[0].reject(488, "Not Acceptable Here")
    refusal = await carrier.expect(488)
    await carrier.send("ACK")
    warning = refusal.headers.get("warning") or ""
    assert warning.startswith("305 ")
    assert "only G729 offered" in warning
    assert stage.peer("agent").inbox == []


async def test_an_opus_caller_and_a_pcmu_agent_hear_each_other(
    stage: Stage, caller: Phone, agent: Phone
) -> None:
    await talking(stage, caller, agent, "111", "0")
    assert names(agent)[:3] == ["PCMU/8000", "PCMA/8000", "G722/8000"]
    assert names(caller) == ["opus/48000/2"]
    assert find(CALLER, understood("PCMU", await says(caller, "OPUS", CALLER, agent))).heard
    assert find(AGENT, understood("OPUS", await says(agent, "PCMU", AGENT, caller))).heard


async def test_a_reinvite_changes_the_callers_codec_and_back(
    stage: Stage, caller: Phone, agent: Phone
) -> None:
    carrier, peer = stage.peer("carrier"), stage.peer("agent")
    await talking(stage, caller, agent, "0 101", "0 101")
    heard = await says(caller, "PCMU", CALLER, agent)

    await carrier.send("INVITE", sdp=caller.sdp("111", extra=RTPMAPS))
    await carrier.expect(100)
    offer = await peer.expect("INVITE")
    audio = parse(offer.body.decode()).audio
    assert audio is not None
    assert next(iter(audio.rtpmap().values())).name == "PCMU"
    await peer.send(200, sdp=agent.sdp("0 101"))
    await peer.expect("ACK")
    told(caller, await carrier.expect(200, of="INVITE"))
    await carrier.send("ACK")
    assert names(caller) == ["opus/48000/2"]
    heard += await says(caller, "OPUS", AGENT, agent)

    await carrier.send("INVITE", sdp=caller.sdp("0 101"))
    await carrier.expect(100)
    told(agent, await peer.expect("INVITE"))
    await peer.send(200, sdp=agent.sdp("0 101"))
    await peer.expect("ACK")
    told(caller, await carrier.expect(200, of="INVITE"))
    await carrier.send("ACK")
    heard += await says(caller, "PCMU", CALLER, agent)
    assert {packet[8:12] for packet in heard} == {heard[0][8:12]}
    assert find(AGENT, understood("PCMU", heard)).heard
    assert find(CALLER, understood("PCMU", heard[-60:])).heard


async def test_who_asks_for_an_offer_may_answer_with_another_codec(
    stage: Stage, caller: Phone, agent: Phone
) -> None:
    """RFC 3261 14.2: a re-INVITE without a description. The agent's side hears no change."""
    carrier = stage.peer("carrier")
    await talking(stage, caller, agent, "0 8 101", "0 101")
    await says(caller, "PCMU", CALLER, agent)
    await carrier.send("INVITE")
    await carrier.expect(100)
    offer = await carrier.expect(200, of="INVITE")
    told(caller, offer)
    assert "PCMU/8000" in names(caller)
    await carrier.send("ACK", sdp=caller.sdp("8 101"))
    await stage.peer("agent").silence(0.2)
    heard = await says(caller, "PCMA", CALLER, agent)
    assert find(CALLER, understood("PCMU", heard)).heard
    assert find(AGENT, understood("PCMA", await says(agent, "PCMU", AGENT, caller))).heard
