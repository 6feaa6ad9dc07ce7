"""A call that an error of ours keeps from starting: 500, and nothing of it stays behind."""

from typing import Any

import pytest

from config.values import Source
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import PCMU, Ladder, Peer, ladder_with

#: What taking a call goes through, in this order, and what the caller hears before the 500.
STEPS = {
    "sip.softswitch.softswitch.inbound_identity": [],
    "sip.softswitch.softswitch.told_headers": [],
    "sip.softswitch.softswitch.called_number": [],
    "sip.softswitch.softswitch.Driver": [],
    "sip.softswitch.softswitch.Call": [],
    "sip.b2bua.call.Call.start": [],
    "sip.softswitch.jambonz.driver.AppSocket": [],
    "sip.softswitch.softswitch.Driver.run": [100],
    "sip.softswitch.jambonz.messages.new_session": [100],
}


def narrow(peers: dict[str, Peer]) -> list[Trunk]:
    """A trunk with room for one call: a slot that stays taken shows in the next call."""
    source = Source.parse(f"127.0.0.1:{peers['stranger'].port}")
    return [Trunk(name="narrow", sources=(source,), max_calls=1)]


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("an error of ours")


@pytest.mark.parametrize(("step", "before"), STEPS.items())
def test_a_call_that_cannot_start_gets_500_and_leaves_nothing(step: str, before: list[int]) -> None:
    @ladder_with(trunks_to=narrow, kinds=())  # what broke before it began may be left as it was
    async def story(ladder: Ladder) -> None:
        carrier = ladder.peer("stranger")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, broken)
            await carrier.send("INVITE", sdp=PCMU)
            for status in before:
                await carrier.expect(status)
            await carrier.expect(500)
            await carrier.send("ACK")
        await ladder.settled()
        assert ladder.switch.dialler.limits.calls("narrow") == 0
        assert not ladder.app.told("session:new")
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await carrier.expect(404)
        await carrier.send("ACK")

    story()
