"""Which messages a ladder remembers."""

from sip.core.message import Headers, Request, make_response
from sip.trace import Trace


def request(method: str, call_id: str) -> Request:
    headers = Headers()
    headers.add("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1")
    headers.add("from", "<sip:a@192.0.2.1>;tag=1")
    headers.add("to", "<sip:b@192.0.2.2>")
    headers.add("call-id", call_id)
    headers.add("cseq", f"1 {method}")
    return Request(method, "sip:b@192.0.2.2", headers)


def note(trace: Trace, message: Request) -> None:
    trace.add(0.0, "in", "udp:192.0.2.1:5060", "udp:192.0.2.2:5060", message)


def test_a_call_from_its_invite_on() -> None:
    trace = Trace()
    invite = request("INVITE", "call")
    note(trace, invite)
    trace.add(1.0, "out", "udp:192.0.2.1:5060", "udp:192.0.2.2:5060", make_response(invite, 200))
    note(trace, request("BYE", "call"))
    note(trace, request("OPTIONS", "call"))
    shown = [traced.summary for traced in trace.ladder(["call"])]
    assert sorted(shown) == [
        "200 OK (INVITE)",
        "BYE sip:b@192.0.2.2",
        "INVITE sip:b@192.0.2.2",
        "OPTIONS sip:b@192.0.2.2",
    ]


def test_what_belongs_to_no_call_pushes_no_call_out() -> None:
    """A PBX asks by OPTIONS all day, each with a Call-ID of its own."""
    trace = Trace(max_dialogs=2)
    note(trace, request("INVITE", "call"))
    for number in range(10):
        for method in ("OPTIONS", "REGISTER", "BYE"):
            note(trace, request(method, f"{method}-{number}"))
    assert len(trace.ladder(["call"])) == 1
    assert trace.ladder(["OPTIONS-9", "REGISTER-9", "BYE-9"]) == []
