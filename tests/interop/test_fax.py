"""A fax machine calls an agent's number, in real time: the program sends it to the fax's trunk."""

import asyncio
import audioop
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sip.media.tones import tone
from sip.transport.endpoint import Endpoint
from tests.b2bua.keyed import RETELL, TONES, Talk
from tests.interop.harness.gateway import PLAIN, Gateway, Json
from tests.interop.harness.network import Network
from tests.ladder import Peer
from tests.media.keyboard import QUIET, Party

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Whom the fax's trunk is asked for, and what its machine says: nothing but its own tone.
FAX = "+14155550155"
ANSWER = audioop.lin2ulaw(tone([2100], 1000, level_dbm0=-12), 2)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that has a fax's target for one number."""

    def change(settings: Json) -> None:
        settings["numbers"][PLAIN] = {"fax": {"trunk": "pbx", "to": FAX}}

    with Network() as network:
        directory = tmp_path_factory.mktemp("fax")
        async with Gateway(network, "udp", directory, change) as running:
            yield running


class FaxCall(Talk):
    """A caller, an agent, and a fax machine at a trunk of its own."""

    def __init__(self, gateway: Gateway) -> None:
        network = gateway.network
        at = Endpoint("udp", network.gateway.host, network.gateway.port)
        carrier, agent, pbx = network.carrier_a, network.retell, network.pbx
        super().__init__(
            Peer("carrier", at, carrier.port, carrier.host),
            Peer("agent", at, agent.port, agent.host),
            TONES,
            RETELL,
        )
        self.fax = Peer("fax", at, pbx.port, pbx.host)
        self.machine = Party(0xC, pbx.host)

    def calls(self) -> None:
        """The caller sends two periods of its tone."""
        coded = audioop.lin2ulaw(tone([1100], 500, level_dbm0=-12), 2)
        period = [coded[at : at + 160] for at in range(0, len(coded), 160)] + [QUIET] * 150
        self.a.next += [*([QUIET] * 10), *period * 2]

    async def answered(self) -> None:
        """The fax machine's trunk is called, and answers."""
        invite = await self.fax.expect("INVITE")
        assert invite.uri.startswith(f"sip:{FAX}@")
        assert "sip:+12125550101@" in str(invite.headers.get("From")), "the caller's number"
        self._tell(self.machine, invite)
        sdp = TONES.sdp(self.fax.host, self.machine.port)
        await self.fax.send(200, sdp=sdp)
        await self.fax.expect("ACK")
        before = self.a.told
        self._tell(self.a, await self.carrier.expect("INVITE"))
        assert self.a.told == before, "the caller's port stays"
        await self.carrier.send(200, sdp=TONES.sdp(self.carrier.host, self.a.port))
        await self.carrier.expect("ACK")

    async def all_gone(self) -> None:
        self.close()
        self.machine.socket.close()
        for peer in (self.carrier, self.agent, self.fax):
            await peer.close()


async def recorded(gateway: Gateway) -> Json:
    """The newest call's record, once the call is over."""
    for _ in range(50):
        newest: Json = (await gateway.calls())[0]
        if newest["ended_at"]:
            return newest
        await asyncio.sleep(0.1)
    raise AssertionError("the call has no end")


async def test_the_fax_trunk_gets_the_call_and_the_caller_stays(gateway: Gateway) -> None:
    call = FaxCall(gateway)
    try:
        await call.begin()
        call.calls()
        await call.speaks(4)
        await call.agent.is_hung_up()
        await call.answered()
        said = bytes(range(100, 256)) + b"\x55" * 4
        call.a.next = [*([QUIET] * 25), *([said] * 20)]
        call.machine.next += [ANSWER[at : at + 160] for at in range(0, len(ANSWER), 160)]
        call.b, call.machine = call.machine, call.b  # who speaks with the caller now
        call.a.heard.clear()
        await call.speaks(2)
        call.b, call.machine = call.machine, call.b
        assert [each.payload for each in call.machine.heard].count(said) == 20, "bit for bit"
        assert ANSWER[1600:1760] in [each.payload for each in call.a.heard]
        assert len({each.ssrc for each in call.a.heard}) == 1, "one stream to the caller"
        await call.fax.hang_up()
        await call.carrier.is_hung_up()
    finally:
        await call.all_gone()
    record = await recorded(gateway)
    assert [(each["trunk"], each["role"], each["code"]) for each in record["attempts"]] == [
        ("retell", "retell", 200),
        ("pbx", "fax", 200),
    ]
    assert (record["ended_by"], record["cause"], record["fault"]) == ("callee", "hangup", "nobody")
    assert '"event":"fax.heard"' in gateway.log()


async def test_a_fax_target_that_is_busy_ends_the_call(gateway: Gateway) -> None:
    """A fax machine has nothing to say to an agent, who is gone by then."""
    call = FaxCall(gateway)
    try:
        await call.begin()
        call.calls()
        await call.speaks(4)
        await call.agent.is_hung_up()
        await call.fax.expect("INVITE")
        await call.fax.send(486)
        await call.fax.expect("ACK")
        await call.carrier.is_hung_up()
    finally:
        await call.all_gone()
    record = await recorded(gateway)
    assert [(each["trunk"], each["code"]) for each in record["attempts"]] == [
        ("retell", 200),
        ("pbx", 486),
    ]
    assert (record["ended_by"], record["cause"], record["fault"]) == ("callee", "busy", "callee")
    assert record["sip_status"] == 200
