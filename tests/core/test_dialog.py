"""RFC 3261 12: route sets, targets, CSeq, and requests built from them."""

from sip.core.dialog import Dialog, Order
from sip.core.message import Headers, Request, Response


def invite(*extra: tuple[str, str]) -> Request:
    fields = [
        ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("from", "<sip:alice@192.0.2.1>;tag=a"),
        ("to", "<sip:bob@192.0.2.9>"),
        ("call-id", "c1"),
        ("cseq", "7 INVITE"),
        ("contact", "<sip:alice@192.0.2.1:5070>"),
        *extra,
    ]
    headers = Headers()
    for name, value in fields:
        headers.add(name, value)
    return Request("INVITE", "sip:bob@192.0.2.9", headers)


def ok(*extra: tuple[str, str], status: int = 200) -> Response:
    headers = Headers()
    fields = [
        ("from", "<sip:alice@192.0.2.1>;tag=a"),
        ("to", "<sip:bob@192.0.2.9>;tag=b"),
        ("call-id", "c1"),
        ("cseq", "7 INVITE"),
        ("contact", "<sip:bob@192.0.2.9:5080>"),
        *extra,
    ]
    for name, value in fields:
        headers.add(name, value)
    return Response(status, "OK", headers)


ROUTES = (("record-route", "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>"),)


def test_a_callee_keeps_the_route_set_in_order() -> None:
    """12.1.1."""
    dialog = Dialog.as_uas(invite(*ROUTES), "b")
    assert dialog.routes == ("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>")
    assert (dialog.local_tag, dialog.remote_tag) == ("b", "a")
    bye = dialog.request("BYE")
    assert bye.uri == "sip:alice@192.0.2.1:5070"
    assert bye.headers.get_all("route") == list(dialog.routes)
    assert str(dialog.next_hop().host) == "p1.example.com"


def test_a_caller_turns_the_route_set_round() -> None:
    """12.1.2."""
    dialog = Dialog.as_uac(invite(), ok(*ROUTES))
    assert dialog.routes == ("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>")
    ack = dialog.request("ACK", cseq=7)
    assert (ack.cseq.number, ack.cseq.method) == (7, "ACK")
    assert ack.to.tag == "b"
    assert dialog.request("BYE").cseq.number == 8


def test_a_strict_router_takes_the_request_uri() -> None:
    """12.2.1.1: without lr the first route becomes the Request-URI and our target goes last."""
    dialog = Dialog.as_uas(invite(("record-route", "<sip:old.example.com>")), "b")
    bye = dialog.request("BYE")
    assert bye.uri == "sip:old.example.com"
    assert bye.headers.get_all("route") == ["<sip:alice@192.0.2.1:5070>"]


def test_an_older_cseq_is_told_from_a_new_one() -> None:
    """12.2.2."""
    dialog = Dialog.as_uas(invite(), "b")
    request = invite()
    assert dialog.receive(request) is Order.NEW
    request = dialog.request("BYE", cseq=3)
    assert dialog.receive(request) is Order.OLD


def test_a_2xx_moves_the_target_and_the_route_set_of_an_early_dialog() -> None:
    """13.2.2.4."""
    dialog = Dialog.as_uac(invite(), ok(*ROUTES, status=183))
    before = dialog.confirmed
    dialog.learn(ok(("record-route", "<sip:p3.example.com;lr>")))
    assert (before, dialog.confirmed) == (False, True)
    assert dialog.routes == ("<sip:p3.example.com;lr>",)
