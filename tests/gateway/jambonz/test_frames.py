"""What is read of a jambonz's frames, whatever its own peers sent to it."""

import json

import pytest

from gateway.jambonz.messages import DialResult, LegStatus, NewCall, parse

HARM = "\0\x1b[2J\x7f\x9b\u202e"
CLEAN = "\ufffd\ufffd[2J\ufffd\ufffd\ufffd"


def frame(**data: object) -> str:
    return json.dumps({"type": "session:new", "msgid": "m", "call_sid": "s", "data": data})


def test_no_control_character_is_read() -> None:
    envelope = parse(
        frame(
            call_id=HARM,
            **{"from": HARM, "to": HARM},
            sip={"headers": {"X-Own": HARM, "X-Odd": 7}},
            sip_reason=HARM,
            headers={"x_own": HARM},
            dial_sip_reason=HARM,
        )
    )
    new, status = NewCall.of(envelope), LegStatus.of(envelope.data)
    assert (new.sip_call_id, new.from_number, new.to_number) == (CLEAN, CLEAN, CLEAN)
    assert new.headers == {"X-Own": CLEAN}
    assert (status.reason, status.headers) == (CLEAN, {"x_own": CLEAN})
    assert DialResult.of(envelope.data).reason == CLEAN


@pytest.mark.parametrize("harm", "\x7f\x9b\u202e\u2028\x1b")
@pytest.mark.parametrize("escaped", [True, False])
def test_each_alone_is_found(harm: str, escaped: bool) -> None:
    """Escaped, or as it is, which JSON allows of all but the first 32."""
    text = json.dumps(
        {"type": "call:status", "msgid": "m", "data": {"sip_reason": f"a{harm}b"}},
        ensure_ascii=escaped,
    )
    assert LegStatus.of(parse(text).data).reason == "a\ufffdb"
