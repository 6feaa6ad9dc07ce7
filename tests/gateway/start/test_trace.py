"""What the gateway remembers of SIP messages shows no secret of its configuration."""

from config.settings import Settings
from gateway.start.drain import Drain
from gateway.start.shown import Shown
from gateway.start.trace import make_trace
from sip.clock import LoopClock
from sip.core.parser import parse_message
from tests.virtual import virtual_time

SETTINGS = Settings.model_validate(
    {
        "trunks": [
            {
                "name": "carrier",
                "gateways": ["sip:192.0.2.10"],
                "identify_headers": {"X-Token": "token-of-the-carrier"},
            }
        ],
        "numbers": {"*": {}},
        "ladders": {"memory_mb": 1},
    }
)
INVITE = (
    b"INVITE sip:+14155550100@192.0.2.2 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-1\r\n"
    b"From: <sip:+12125550100@192.0.2.10>;tag=1\r\n"
    b"To: <sip:+14155550100@192.0.2.2>\r\n"
    b"Call-ID: call\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"x-token: token-of-the-carrier\r\n"
    b"Content-Length: 0\r\n\r\n"
)


@virtual_time
async def test_headers_by_which_a_trunk_is_known_are_hidden() -> None:
    trace = make_trace(SETTINGS)
    trace.add(
        LoopClock(),
        "in",
        "udp:192.0.2.10:5060",
        "udp:192.0.2.2:5060",
        parse_message(INVITE),
        INVITE,
    )
    [shown] = Shown(expected=True, drain=Drain(1.0), trace=trace).ladder(["call"])
    hidden = INVITE.replace(b"token-of-the-carrier", b"*" * len("token-of-the-carrier"))
    assert shown["message"] == hidden.decode()
    del shown["at"]
    assert shown == {
        "direction": "in",
        "peer": "udp:192.0.2.10:5060",
        "local": "udp:192.0.2.2:5060",
        "summary": "INVITE sip:+14155550100@192.0.2.2",
        "sip_call_id": "call",
        "message": hidden.decode(),
        "left_out": 0,
    }
