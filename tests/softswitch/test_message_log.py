"""SIP messages in the log: those of one call, or all, and no secret in any."""

import pytest
from structlog.testing import capture_logs

from sip.message_log import MessageLog
from sip.redaction import Redaction
from tests.ladder import DID, PCMU, Ladder, dial, make_ladder
from tests.virtual import virtual_time

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
SECRETS = (
    ("Authorization", 'Digest username="pbx", realm="r", nonce="n", response="0a1b2c3d4e5f"'),
    ("X-Trunk-Token", "s3cret-token"),
)


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        ({"every": True, "watching": False}, "info"),
        ({"every": False, "watching": True}, "debug"),
        ({"every": False, "watching": False}, None),
    ],
)
def test_messages_of_both_legs_and_both_ways(wanted: dict[str, bool], level: str | None) -> None:
    async def story() -> None:
        async with make_ladder() as ladder:
            ladder.switch.ua.message_log = MessageLog(Redaction(["X-Trunk-Token"]))
            ladder.switch.ua.message_log.configure(**wanted)
            with capture_logs() as lines:
                await _a_call_with_secrets(ladder)
            await ladder.settled()
        found = [line for line in lines if line["event"] == "message.sip"]
        if level is None:
            assert found == []
            return
        assert {line["log_level"] for line in found} == {level}
        invites = [line for line in found if line["message"].startswith("INVITE ")]
        assert [(line["direction"], line["to"]) for line in invites] == [("in", DID), ("out", DID)]
        assert len({line["sip_call_id"] for line in found}) == 2
        assert all(line["peer"] and line["local"] for line in found)
        shown = "".join(line["message"] for line in found)
        assert 'username="pbx"' in shown  # who it says it is may be seen
        assert not [secret for secret in ("0a1b2c3d4e5f", "s3cret-token", KEY) if secret in shown]

    virtual_time(story)()


async def _a_call_with_secrets(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:32\r\n"
    await carrier.send("INVITE", sdp=PCMU + crypto, headers=SECRETS)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
