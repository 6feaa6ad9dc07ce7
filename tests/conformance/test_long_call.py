"""A call of forty minutes whose session timers (RFC 4028) run on both legs, on virtual time.

Every 120 s each leg is refreshed, by us or by the peer, by UPDATE or by re-INVITE. In turn a
refresh goes well, is lost, comes late, and comes twice. No refresh crosses to the other leg.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from config.values import Source
from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request, Response
from sip.core.session_timer import Mode, Policy
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, Peer, dial, make_ladder
from tests.virtual import virtual_time

MINUTES = 40
INTERVAL_S = 240
REFRESH_S = INTERVAL_S / 2
#: RFC 4028 10: so long after the last refresh the session is given up.
EXPIRES_S = INTERVAL_S - 32
REFRESHES = int(MINUTES * 60 / REFRESH_S) - 1
#: How late a late answer or refresh is; T1 to 64*T1 and the interval's slack bound it.
LATE_S = 20.0

METHODS = {"UPDATE": "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE", "INVITE": "INVITE, ACK, BYE"}


@dataclass
class Party:
    """One peer of the call, who refreshes or is refreshed until the call is over."""

    peer: Peer
    method: str
    #: the time of each refresh, and what became of it
    refreshes: list[tuple[float, str]] = field(default_factory=list)
    _fates: "itertools.cycle[str]" = field(
        default_factory=lambda: itertools.cycle(["fine", "lost", "late", "twice"])
    )

    async def is_refreshed(self) -> None:
        """Answer what the gateway sends, as the fates have it, until it sends BYE."""
        since = asyncio.get_running_loop().time()
        fate = next(self._fates)
        while True:
            request = await self.peer.next(INTERVAL_S * 2)
            assert isinstance(request, Request)
            if request.method == "ACK":
                continue
            self.peer._received[request.method] = request
            if request.method == "BYE":
                await self.peer.send(200, answering="BYE")
                return
            assert request.method == self.method
            assert request.headers.get("session-expires") == f"{INTERVAL_S};refresher=uac"
            self.refreshes.append((asyncio.get_running_loop().time() - since, fate))
            if fate == "late":
                await asyncio.sleep(LATE_S)
            for _ in range(2 if fate == "twice" else 1):
                await self._accept(request)
            fate = next(self._fates)
            self.peer.lost = fate == "lost"

    async def _accept(self, request: Request) -> None:
        timer = (("Session-Expires", f"{INTERVAL_S};refresher=uac"), ("Require", "timer"))
        sdp = PCMU if request.method == "INVITE" else None
        await self.peer.send(200, answering=request.method, headers=timer, sdp=sdp)

    async def refreshes_us(self) -> None:
        """Refresh every 120 s, as the fates have it, as often as the call is long."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        for number in range(1, REFRESHES + 1):
            fate = next(self._fates)
            due = since + number * REFRESH_S + (LATE_S if fate == "late" else 0)
            await asyncio.sleep(due - loop.time())
            self.refreshes.append((loop.time() - since, fate))
            await self._refresh(fate)

    async def _refresh(self, fate: str) -> None:
        timer = (("Session-Expires", f"{INTERVAL_S};refresher=uac"), ("Supported", "timer"))
        sdp = PCMU if self.method == "INVITE" else None
        request = await self.peer.send(self.method, headers=timer, sdp=sdp)
        repeats = len(self.peer.again)
        if fate == "lost":  # the answers, so we ask once more
            self.peer.lost = 1 if self.method == "UPDATE" else 2
            await asyncio.sleep(0.4)
        if fate in ("lost", "twice"):
            await self.peer.transmit(request.to_bytes())
        answer = await self._final()
        assert answer.headers.get("session-expires") == f"{INTERVAL_S};refresher=uac"
        assert "timer" in (answer.headers.get("require") or "")
        if self.method == "INVITE":
            await self.peer.send("ACK")
        if fate == "twice" and self.method == "UPDATE":
            assert await self.peer.drain(1.0) == ["200"]
        assert len(self.peer.again) <= repeats + 1

    async def _final(self) -> Response:
        while True:
            answer = await self.peer.next()
            assert isinstance(answer, Response)
            if answer.status >= 200:
                assert (answer.status, answer.cseq.method) == (200, self.method)
                self.peer._answer = answer if self.method == "INVITE" else self.peer._answer
                return answer


def trunk(name: str, peer: Peer) -> Trunk:
    timer = Policy(mode=Mode.REQUEST, expires_s=INTERVAL_S)
    return Trunk(
        name=name,
        gateways=(Uri.parse(f"sip:127.0.0.1:{peer.port}"),),
        sources=(Source.parse(f"127.0.0.1:{peer.port}"),),
        leg=LegOptions(session_timer=timer),
    )


@asynccontextmanager
async def timed_call(method: str, refresher: str) -> AsyncIterator[tuple[Ladder, Party, Party]]:
    """A call whose timers make the peers refresh, or us, on both legs."""
    nowhere = Endpoint("udp", "127.0.0.1", 0)
    caller, agent = (Party(Peer(name, nowhere), method) for name in ("caller", "agent"))
    trunks = [trunk("timed-caller", caller.peer), trunk("timed-agent", agent.peer)]
    try:
        async with make_ladder(trunks=trunks) as ladder:
            await set_up(ladder, caller, agent, refresher)
            yield ladder, caller, agent
            await ladder.settled()
    finally:
        await caller.peer.close()
        await agent.peer.close()


async def set_up(ladder: Ladder, caller: Party, agent: Party, refresher: str) -> None:
    caller.peer.gateway = agent.peer.gateway = ladder.peer("carrier").gateway
    ladder.app.verbs = lambda _: [dial("timed-agent"), {"verb": "hangup"}]
    ours = refresher == "us"
    asked = f"{INTERVAL_S};refresher={'uas' if ours else 'uac'}"
    manners = (("Supported", "timer"), ("Allow", METHODS[caller.method]))
    await caller.peer.send("INVITE", sdp=PCMU, headers=(*manners, ("Session-Expires", asked)))
    await caller.peer.expect(100)
    invite = await agent.peer.expect("INVITE")
    assert invite.headers.get("session-expires") == str(INTERVAL_S)
    assert "timer" in invite.headers.tokens("supported")
    answered = f"{INTERVAL_S};refresher={'uac' if ours else 'uas'}"
    timer = (("Session-Expires", answered), ("Require", "timer"), ("Allow", METHODS[agent.method]))
    await agent.peer.send(200, sdp=PCMU, headers=timer)
    await agent.peer.expect("ACK")
    ok = await caller.peer.expect(200, of="INVITE")
    assert ok.headers.get("session-expires") == asked
    await caller.peer.send("ACK")


@pytest.mark.parametrize("method", METHODS)
@virtual_time
async def test_we_refresh_both_legs(method: str) -> None:
    async with timed_call(method, "us") as (ladder, caller, agent):
        keeping = [asyncio.create_task(party.is_refreshed()) for party in (caller, agent)]
        await asyncio.sleep(MINUTES * 60)
        assert ladder.switch.gauges["calls"] == 1
        await ladder.app.command("redirect", [{"verb": "hangup"}])
        await asyncio.gather(*keeping)
        for party in (caller, agent):
            assert len(party.refreshes) >= REFRESHES - 4
            assert {fate for _, fate in party.refreshes} == {"fine", "lost", "late", "twice"}
            moments = [0.0, *(at for at, _ in party.refreshes)]
            gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
            assert max(gaps) <= REFRESH_S + LATE_S + 1


@pytest.mark.parametrize("method", METHODS)
@virtual_time
async def test_the_peers_refresh_both_legs(method: str) -> None:
    async with timed_call(method, "peers") as (ladder, caller, agent):
        await asyncio.gather(caller.refreshes_us(), agent.refreshes_us())
        for party in (caller, agent):
            assert len(party.refreshes) == REFRESHES
            assert {fate for _, fate in party.refreshes} == {"fine", "lost", "late", "twice"}
        await asyncio.sleep(REFRESH_S - LATE_S)
        assert ladder.switch.gauges["calls"] == 1
        await caller.peer.hang_up()
        await agent.peer.is_hung_up()


@virtual_time
async def test_a_peer_that_stops_refreshing_is_given_up() -> None:
    """RFC 4028 10: BYE at the interval's end less a third of it, at most 32 s; on both legs."""
    async with timed_call("UPDATE", "peers") as (_, caller, agent):
        loop = asyncio.get_running_loop()
        since = loop.time()
        await asyncio.sleep(REFRESH_S)
        await agent._refresh("fine")  # the agent does, the caller does not
        await caller.peer.expect("BYE", within_s=INTERVAL_S)
        assert loop.time() - since == pytest.approx(EXPIRES_S, abs=0.1)
        await caller.peer.send(200, answering="BYE")
        await agent.peer.is_hung_up()


@pytest.mark.parametrize("method", METHODS)
@virtual_time
async def test_a_peer_that_does_not_answer_our_refresh_is_given_up(method: str) -> None:
    """RFC 4028 10, RFC 3261 12.2.1.2: 64*T1 without an answer, and the other leg hears of it."""
    async with timed_call(method, "us") as (_, caller, agent):
        loop = asyncio.get_running_loop()
        since = loop.time()
        answering = asyncio.create_task(caller.is_refreshed())
        await agent.peer.expect(method, within_s=REFRESH_S + 1)
        assert loop.time() - since == pytest.approx(REFRESH_S, abs=0.1)
        await agent.peer.is_hung_up()
        assert loop.time() - since == pytest.approx(REFRESH_S + 32, abs=0.1)
        await answering
