"""Session timers on both legs: RFC 4028. Each leg has its own; none crosses."""

from sip.b2bua.legs.options import LegOptions
from sip.core.session_timer import Mode, Policy
from tests.b2bua.test_call_stories import bridged
from tests.b2bua.test_reliable import hang_up
from tests.ladder import PCMU, Ladder, ladder_test, ladder_with

TIMER = ("Supported", "timer")


def expires(value: str) -> tuple[str, str]:
    return ("Session-Expires", value)


async def up(ladder: Ladder, *, caller: tuple = (), callee: tuple = ()) -> tuple:  # type: ignore[type-arg]
    """A call whose INVITE and 200 carry these headers; answers our INVITE and our 200."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=caller)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    await agent.send(200, sdp=PCMU, headers=callee)
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    return invite, answer


@ladder_test
async def test_who_knows_no_session_timer_hears_of_none(ladder: Ladder) -> None:
    """We ask the callee, who does not answer it, and say nothing to the caller."""
    invite, answer = await up(ladder)
    assert invite.headers.get("session-expires") == "1800"
    assert "timer" in invite.headers.get("supported")
    assert "session-expires" not in answer.headers
    assert await ladder.peer("agent").drain(3600) == []
    await hang_up(ladder)


@ladder_test
async def test_we_refresh_by_update_where_the_peer_takes_it(ladder: Ladder) -> None:
    """At half of the interval, every time; the other leg hears nothing."""
    agent = ladder.peer("agent")
    allow = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")
    await up(ladder, callee=(TIMER, expires("300;refresher=uac"), allow))
    for _ in range(3):
        update = await agent.expect("UPDATE", within_s=151)
        assert not update.body
        assert update.headers.get("session-expires") == "300;refresher=uac"
        assert update.contact is not None
        await agent.send(200, answering="UPDATE", headers=(TIMER, expires("300;refresher=uac")))
    assert await ladder.peer("carrier").drain(1) == []
    await hang_up(ladder)


@ladder_test
async def test_we_refresh_by_re_invite_where_it_does_not(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await up(ladder, callee=(TIMER, expires("300;refresher=uac"), ("Allow", "INVITE, ACK, BYE")))
    reinvite = await agent.expect("INVITE", within_s=151)
    assert reinvite.body
    assert reinvite.headers.get("session-expires") == "300;refresher=uac"
    await agent.send(200, sdp=PCMU, headers=(TIMER, expires("300;refresher=uac")))
    await agent.expect("ACK")
    assert await ladder.peer("carrier").drain(1) == []
    await hang_up(ladder)


@ladder_test
async def test_an_update_that_the_peer_does_not_take_after_all(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    allow = ("Allow", "INVITE, ACK, BYE, UPDATE")
    await up(ladder, callee=(TIMER, expires("300;refresher=uac"), allow))
    await agent.expect("UPDATE", within_s=151)
    await agent.send(501, answering="UPDATE")
    await agent.expect("INVITE")
    await agent.send(200, sdp=PCMU, headers=(expires("300;refresher=uac"),))
    await agent.expect("ACK")
    await hang_up(ladder)


@ladder_test
async def test_the_peer_refreshes_and_then_falls_silent(ladder: Ladder) -> None:
    """RFC 4028 10: BYE before the session expires, on both legs."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    _, answer = await up(ladder, caller=(TIMER, expires("120;refresher=uac")))
    assert answer.headers.get("session-expires") == "120;refresher=uac"
    assert answer.headers.get("require") == "timer"
    for _ in range(2):
        assert await carrier.drain(60) == []
        await carrier.send("UPDATE", headers=(TIMER, expires("120;refresher=uac")))
        refreshed = await carrier.expect(200, of="UPDATE")
        assert refreshed.headers.get("session-expires") == "120;refresher=uac"
    assert await carrier.drain(87) == []
    bye = await carrier.expect("BYE", within_s=2)  # 120 s less a third
    await carrier.send(200, answering="BYE")
    assert "expired" in bye.headers.get("reason")
    await agent.is_hung_up()


@ladder_test
async def test_a_dead_peer_is_found_by_our_refresh(ladder: Ladder) -> None:
    """RFC 4028 10: a refresh that gets 481, or no answer at all, ends the call."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await up(ladder, callee=(expires("120;refresher=uac"), ("Allow", "UPDATE")))
    await agent.expect("UPDATE", within_s=61)
    await agent.send(481, answering="UPDATE")
    await agent.is_hung_up()
    await carrier.is_hung_up()


@ladder_test
async def test_an_interval_too_small_for_the_callee(ladder: Ladder) -> None:
    """422: the INVITE again with the Min-SE that it names (RFC 4028 7.3); the caller waits."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(422, headers=(("Min-SE", "3600"),))
    await agent.expect("ACK")
    invite = await agent.expect("INVITE")
    assert invite.headers.get("session-expires") == "3600"
    assert invite.headers.get("min-se") == "3600"
    await agent.send(200, sdp=PCMU, headers=(expires("3600;refresher=uas"),))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_test
async def test_an_interval_too_small_for_us(ladder: Ladder) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, headers=(TIMER, expires("40")))
    refused = await carrier.expect(422)
    assert refused.headers.get("min-se") == "90"
    await carrier.send("ACK")


@ladder_with(legs={"agent": LegOptions(session_timer=Policy(mode=Mode.ALWAYS, expires_s=200))})
async def test_a_peer_that_has_none_is_refreshed_all_the_same(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await up(ladder)
    for _ in range(2):
        reinvite = await agent.expect("INVITE", within_s=101)
        assert reinvite.body
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
    await hang_up(ladder)


@ladder_with(legs={"agent": LegOptions(session_timer=Policy(mode=Mode.OFF))})
async def test_a_trunk_without_session_timers_says_nothing_of_them(ladder: Ladder) -> None:
    invite, _ = await up(ladder, callee=(expires("100;refresher=uac"),))
    assert "session-expires" not in invite.headers
    assert "timer" not in invite.headers.get("supported")
    assert await ladder.peer("agent").drain(300) == []
    await hang_up(ladder)


@ladder_test
async def test_a_refused_refresh_is_made_again_until_the_session_expires(ladder: Ladder) -> None:
    """RFC 4028 7.4: the session lives on; our next try may do better."""
    agent = ladder.peer("agent")
    await up(ladder, callee=(expires("120;refresher=uac"), ("Allow", "UPDATE")))
    await agent.expect("UPDATE", within_s=61)
    await agent.send(500, answering="UPDATE")
    await agent.expect("UPDATE", within_s=5)
    await agent.send(200, answering="UPDATE", headers=(expires("120;refresher=uac"),))
    assert await agent.drain(55) == []
    await hang_up(ladder)


@ladder_test
async def test_a_refresh_closes_no_offer_of_the_peer(ladder: Ladder) -> None:
    """RFC 3261 14.2: its second offer is refused while the first is open, UPDATE or not."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    allow = ("Allow", "INVITE, ACK, BYE, UPDATE")
    await up(ladder, callee=(TIMER, expires("300;refresher=uac"), allow))
    await agent.expect("UPDATE", within_s=151)
    await agent.send("INVITE", sdp=PCMU + "a=sendonly\r\n")
    await agent.expect(100)
    await carrier.expect("INVITE")
    await agent.send(200, answering="UPDATE", headers=(TIMER, expires("300;refresher=uac")))
    await agent.send("INVITE", sdp=PCMU + "a=inactive\r\n")
    second = await agent.expect(500)
    assert second.headers.get("retry-after")
    await agent.send("ACK")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    await hang_up(ladder)
