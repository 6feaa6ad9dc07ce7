"""The addresses of ours that the peers of a call are told, where SIP and audio have one each."""

from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request, Response
from sip.transport.advertise import Public
from tests.b2bua.test_reinvites import HOLD
from tests.ladder import PCMU, make_ladder
from tests.virtual import virtual_time

SIP, MEDIA, ELSEWHERE = "192.0.2.10", "192.0.2.20", "192.0.2.30"


def told(message: Request | Response) -> tuple[str, str]:
    """The hosts of Contact and of the session description."""
    assert message.contact is not None
    [line] = [line for line in message.body.split(b"\r\n") if line.startswith(b"c=")]
    return message.contact.uri.host, line.decode().split()[2]


@virtual_time
async def test_each_leg_is_told_both_and_another_one_with_the_next_request() -> None:
    """The audio of a call that is up stays where it was told; a new call's is elsewhere."""
    public, options = Public(SIP, MEDIA), LegOptions(advertise="public")
    async with make_ladder(public=public, legs={"carrier": options, "agent": options}) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        assert told(await ladder.call_up()) == (SIP, MEDIA)
        public.sip, public.media = ELSEWHERE, None
        await carrier.send("INVITE", sdp=HOLD)
        await carrier.expect(100)
        assert told(await agent.expect("INVITE")) == (ELSEWHERE, MEDIA)
        await agent.send(200, sdp=PCMU.replace("a=ptime:20", "a=recvonly"))
        await agent.expect("ACK")
        assert told(await carrier.expect(200, of="INVITE")) == (ELSEWHERE, MEDIA)
        await carrier.send("ACK")
        await ladder.hung_up_by("carrier")
        await ladder.settled()
    async with make_ladder(public=public, legs={"agent": options}) as ladder:
        assert told(await ladder.call_up()) == (ELSEWHERE, ELSEWHERE)
        await ladder.hung_up_by("carrier")
        await ladder.settled()
