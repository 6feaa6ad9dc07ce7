"""Every timer of RFC 3261 table 4, and L and M of RFC 6026, as they show on the wire.

Each story runs over UDP and over TCP: what is repeated on one and not on the other, when a
transaction ends, and what a message does that comes just before and just after its end. The times
are virtual, so they are exact. T1 is 500 ms, T2 4 s, T4 5 s (RFC 3261 17.1.1.1, 17.1.2.2):

  A  T1, doubling             the INVITE again, UDP only        17.1.1.2
  B  64*T1                    nobody answered the INVITE        17.1.1.2
  C  more than 3 minutes      a proxy's; see `test_c_…`         16.6, 16.8
  D  32 s UDP, 0 TCP          ACK to a repeated refusal         17.1.1.2
  E  T1, doubling up to T2    another request again, UDP only   17.1.2.2
  F  64*T1                    nobody answered it                17.1.2.2
  G  T1, doubling up to T2    our refusal again, UDP only       17.2.1
  H  64*T1                    nobody acknowledged it            17.2.1
  I  T4 UDP, 0 TCP            ACKs again                        17.2.1
  J  64*T1 UDP, 0 TCP         a request again                   17.2.2
  K  T4 UDP, 0 TCP            a response again                  17.1.2.2
  L  64*T1                    the INVITE again after our 2xx    RFC 6026 7.1
  M  64*T1                    a 2xx again, or a fork's          RFC 6026 7.2
"""

import asyncio

from sip.core.message import Response
from sip.core.parser import parse_message
from tests.conformance.stage import Stage, Watch, at, on_udp_and_tcp
from tests.ladder import PCMU

DOUBLING = (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)
UP_TO_T2 = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
GIVE_UP_S = 32.0
#: Shorter than anything that is measured here; enough for an answer that needs no timer.
AT_ONCE_S = 0.01
T4_S = 5.0

# The INVITE that we send


@on_udp_and_tcp
async def test_a_and_b_nobody_answers_our_invite(stage: Stage) -> None:
    """A repeats the INVITE, doubling without bound, on UDP; B ends it at 64*T1 on both.

    An answer that comes later belongs to nothing and is not acknowledged.
    """
    stage.dials()
    await stage.invite()
    sent, told = await asyncio.gather(Watch(stage.agent).until(60), Watch(stage.caller).until(33))
    assert sent == ([] if stage.reliable else at("INVITE", *DOUBLING))
    assert told[:1] == at("480", GIVE_UP_S)
    await stage.caller.send("ACK")
    await stage.agent.send(486)
    assert await Watch(stage.agent).until(5) == []


@on_udp_and_tcp
async def test_a_and_b_end_with_a_provisional_response(stage: Stage) -> None:
    """Once a 100 is there, nothing is repeated and nobody gives up: it may ring for minutes."""
    stage.dials(timeout=100)
    await stage.invite()
    await stage.agent.send(100)
    assert await Watch(stage.agent).until(90) == []
    await stage.agent.send(486)
    await stage.agent.expect("ACK")


@on_udp_and_tcp
async def test_c_is_the_ringing_time_of_a_b2bua(stage: Stage) -> None:
    """C is a proxy's, which waits for somebody else's INVITE. A B2BUA is a user agent on both
    legs and asks RFC 3261 9.1 in its stead: the ringing time ends in CANCEL, and the INVITE is
    over 64*T1 after it even if its final response never comes.
    """
    stage.dials(timeout=200)
    await stage.invite()
    await stage.agent.send(180)
    watch = Watch(stage.agent)
    seen = await watch.until(300)
    cancels = at("CANCEL", 200, *(() if stage.reliable else (200 + s for s in UP_TO_T2)))
    assert seen == cancels
    assert stage.dialogs == 0
    await stage.agent.send(487)
    assert await Watch(stage.agent).until(5) == []


@on_udp_and_tcp
async def test_d_a_repeated_refusal_is_acknowledged_again(stage: Stage) -> None:
    """D: 32 s on UDP; on TCP nothing can come again, so the transaction ends at once."""
    stage.dials()
    await stage.invite()
    await stage.agent.send(486)
    await stage.agent.expect("ACK")
    for pause_s in (1, 15, 15.8):
        await asyncio.sleep(pause_s)
        await stage.agent.send(486)
        again = await Watch(stage.agent).until(AT_ONCE_S)
        assert again == ([] if stage.reliable else at("ACK", 0))
    await asyncio.sleep(0.2)
    await stage.agent.send(486)
    assert await Watch(stage.agent).until(5) == []


@on_udp_and_tcp
async def test_m_a_repeated_2xx_is_acknowledged_again(stage: Stage) -> None:
    """M: for 64*T1, on TCP too, because a 2xx is repeated end to end (RFC 6026 7.2)."""
    stage.dials()
    await stage.talk()
    for pause_s in (1, 15, 15.8):
        await asyncio.sleep(pause_s)
        await stage.agent.send(200, sdp=PCMU)
        assert await Watch(stage.agent).until(AT_ONCE_S) == at("ACK", 0)
    await asyncio.sleep(0.2)
    await stage.agent.send(200, sdp=PCMU)
    assert await Watch(stage.agent).until(5) == []
    await stage.caller.hang_up()
    await stage.agent.is_hung_up()


@on_udp_and_tcp
async def test_m_a_forks_2xx_is_acknowledged_and_hung_up(stage: Stage) -> None:
    """M: another branch answers too. Just before 64*T1 it gets ACK and BYE; after it, nothing."""
    stage.dials()
    await stage.talk()
    first = stage.agent.tag
    await asyncio.sleep(31.8)
    stage.agent.tag = "fork-in-time"
    await stage.agent.send(200, sdp=PCMU)
    ack = await stage.agent.expect("ACK")
    bye = await stage.agent.is_hung_up()
    assert ack.to.tag == bye.to.tag == "fork-in-time"
    await asyncio.sleep(0.3)
    stage.agent.tag = "fork-too-late"
    await stage.agent.send(200, sdp=PCMU)
    assert await Watch(stage.agent).until(5) == []
    stage.agent.tag = first
    await stage.caller.hang_up()
    await stage.agent.is_hung_up()


# Other requests that we send: BYE


@on_udp_and_tcp
async def test_e_and_f_nobody_answers_our_bye(stage: Stage) -> None:
    """E repeats it, doubling up to T2, on UDP; F ends it at 64*T1, and with it the leg."""
    stage.dials()
    await stage.talk()
    await stage.caller.hang_up()
    await stage.agent.expect("BYE")
    agent = Watch(stage.agent)
    assert await agent.until(31.9) == ([] if stage.reliable else at("BYE", *UP_TO_T2))
    assert stage.dialogs == 1
    assert await agent.until(60) == []
    assert stage.dialogs == 0


@on_udp_and_tcp
async def test_e_waits_t2_after_a_provisional_response(stage: Stage) -> None:
    """RFC 3261 17.1.2.2: somebody is at work on it, so T2 from the next repetition on."""
    stage.dials()
    await stage.talk()
    await stage.caller.hang_up()
    await stage.agent.expect("BYE")
    agent = Watch(stage.agent)
    await stage.agent.send(100, answering="BYE")
    expected = at("BYE", 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5)
    assert await agent.until(40) == ([] if stage.reliable else expected)


@on_udp_and_tcp
async def test_k_a_repeated_response_is_absorbed(stage: Stage) -> None:
    """K: T4 on UDP, nothing on TCP. Nothing shows on the wire but that nobody stumbles."""
    stage.dials()
    await stage.talk()
    await stage.caller.hang_up()
    await stage.agent.expect("BYE")
    await asyncio.sleep(0.1)
    open_before = stage.transactions
    await stage.agent.send(200, answering="BYE")
    await asyncio.sleep(AT_ONCE_S)
    assert stage.transactions == open_before - stage.reliable
    for pause_s, gone in ((0.1, stage.reliable), (T4_S - 0.2, stage.reliable), (0.2, True)):
        await asyncio.sleep(pause_s)
        await stage.agent.send(200, answering="BYE")
        assert await Watch(stage.agent).until(AT_ONCE_S) == []
        assert stage.transactions == open_before - gone


# The INVITE that we answer


@on_udp_and_tcp
async def test_g_and_h_nobody_acknowledges_our_refusal(stage: Stage) -> None:
    """G repeats it, doubling up to T2, on UDP; H ends it at 64*T1, and a late ACK is nobody's."""
    stage.declines(486)
    await stage.caller.send("INVITE", sdp=PCMU)
    await stage.caller.expect(100)
    await stage.caller.expect(486)
    caller = Watch(stage.caller)
    assert await caller.until(31.9) == ([] if stage.reliable else at("486", *UP_TO_T2))
    assert stage.transactions == 1
    assert await caller.until(32.1) == []
    assert stage.transactions == 0
    await stage.caller.send("ACK")
    assert await caller.until(60) == []


@on_udp_and_tcp
async def test_g_ends_with_the_ack_and_i_absorbs_what_comes_after(stage: Stage) -> None:
    """I: for T4 after the ACK, on UDP, a stray INVITE or ACK is absorbed; after it the same
    INVITE is a new one. On TCP nothing strays, so that is so at once.
    """
    stage.declines(486)
    await stage.caller.send("INVITE", sdp=PCMU)
    await stage.caller.expect(100)
    await stage.caller.expect(486)
    await asyncio.sleep(0.2)
    await stage.caller.send("ACK")
    caller = Watch(stage.caller)
    assert await caller.until(0.1) == []
    await stage.caller.send("ACK")
    if not stage.reliable:
        await stage.caller.send("INVITE", again=True)
        assert await caller.until(T4_S - 0.1) == []
        await stage.caller.send("INVITE", again=True)
        assert await caller.until(T4_S + 0.1) == []
    await stage.caller.send("INVITE", again=True)
    assert [title for _, title in (await caller.until(T4_S + 0.4))[:2]] == ["100", "486"]
    await stage.caller.send("ACK")


@on_udp_and_tcp
async def test_l_a_repeated_invite_is_absorbed_after_our_2xx(stage: Stage) -> None:
    """L: for 64*T1 our 2xx owns the INVITE (RFC 6026 7.1), on TCP too; then it is a new one."""
    stage.dials()
    await stage.talk()
    caller = Watch(stage.caller)
    for second in (1, 31.8):
        assert await caller.until(second) == []
        await stage.caller.send("INVITE", again=True)
    assert await caller.until(32.2) == []
    await stage.caller.hang_up()
    await stage.agent.is_hung_up()
    stage.declines(486)
    await stage.caller.send("INVITE", again=True)
    assert [title for _, title in await Watch(stage.caller).until(0.4)] == ["100", "486"]
    await stage.caller.send("ACK")


@on_udp_and_tcp
async def test_nobody_acknowledges_our_2xx(stage: Stage) -> None:
    """RFC 3261 13.3.1.4: T1 doubling up to T2, over TCP as well; BYE at 64*T1."""
    stage.dials()
    await stage.invite()
    await stage.agent.send(200, sdp=PCMU)
    await stage.agent.expect("ACK")
    await stage.caller.expect(200)
    seen = await Watch(stage.caller).until(GIVE_UP_S + 0.2)
    assert seen == at("200", *UP_TO_T2) + at("BYE", GIVE_UP_S)
    await stage.caller.send("ACK")  # too late: it is hung up
    assert [title for _, title in await Watch(stage.caller).until(0.2)] == []
    await stage.agent.is_hung_up()


# Other requests that we answer: OPTIONS


@on_udp_and_tcp
async def test_j_a_repeated_request_gets_the_same_answer(stage: Stage) -> None:
    """J: for 64*T1 on UDP the very same response again; later, and on TCP, it is asked anew."""
    first = await stage.caller.send("OPTIONS")
    answer = await stage.caller.expect(200)
    for pause_s in (1, 30.9):
        await asyncio.sleep(pause_s)
        await stage.caller.transmit(first.to_bytes())
        again = parse_message(await stage.caller._read())
        assert isinstance(again, Response)
        assert (again.to.tag == answer.to.tag) is not stage.reliable
    await asyncio.sleep(0.2)
    await stage.caller.transmit(first.to_bytes())
    later = await stage.caller.expect(200)
    assert later.to.tag != answer.to.tag
