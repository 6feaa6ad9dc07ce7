"""RFC 4028's rules: who refreshes, how often, and what each message says of it."""

import pytest

from sip.core.message import Headers, Request, Response
from sip.core.session_timer import (
    Agreement,
    Mode,
    Policy,
    Refresher,
    TooSmall,
    agree_as_uac,
    agree_as_uas,
    min_se,
    request_headers,
    response_headers,
    session_expires,
)

ACCEPT = Policy(mode=Mode.ACCEPT)
REQUEST = Policy(mode=Mode.REQUEST)
ALWAYS = Policy(mode=Mode.ALWAYS)
OFF = Policy(mode=Mode.OFF)


def fields(**values: str) -> Headers:
    headers = Headers()
    for name, value in values.items():
        headers.add(name.replace("_", "-"), value)
    return headers


def invite(**values: str) -> Request:
    return Request("INVITE", "sip:gateway", fields(**values))


def ok(**values: str) -> Response:
    return Response(200, "OK", fields(**values))


# RFC 4028 9, table 2 and the text around it: request, our policy, agreement
AS_UAS = [
    ({}, REQUEST, None),
    ({}, ALWAYS, Agreement(1800, Refresher.US)),
    ({"supported": "timer"}, ACCEPT, None),
    ({"supported": "timer"}, REQUEST, Agreement(1800, Refresher.US)),
    ({"supported": "timer", "min_se": "2400"}, REQUEST, Agreement(2400, Refresher.US)),
    ({"supported": "timer", "session_expires": "600"}, ACCEPT, Agreement(600, Refresher.PEER)),
    (
        {"supported": "timer", "session_expires": "600;refresher=uac"},
        REQUEST,
        Agreement(600, Refresher.PEER),
    ),
    (
        {"supported": "timer", "session_expires": "600;refresher=uas"},
        ACCEPT,
        Agreement(600, Refresher.US),
    ),
    # a proxy put it there: the caller knows nothing of it, so it is ours to refresh
    ({"session_expires": "600"}, ACCEPT, Agreement(600, Refresher.US)),
    ({"session_expires": "60"}, ACCEPT, Agreement(90, Refresher.US)),
    ({"supported": "timer", "session_expires": "60"}, ACCEPT, TooSmall(90)),
    ({"supported": "timer", "session_expires": "600"}, OFF, None),
]


@pytest.mark.parametrize(("request_fields", "policy", "agreed"), AS_UAS)
def test_what_a_uas_agrees_to(
    request_fields: dict[str, str], policy: Policy, agreed: Agreement | TooSmall | None
) -> None:
    assert agree_as_uas(policy, invite(**request_fields)) == agreed


AS_UAC = [
    ({"session_expires": "1800;refresher=uac"}, REQUEST, Agreement(1800, Refresher.US)),
    ({"session_expires": "900;refresher=uas"}, REQUEST, Agreement(900, Refresher.PEER)),
    ({"session_expires": "900"}, REQUEST, Agreement(900, Refresher.US)),
    ({}, REQUEST, None),
    ({}, ALWAYS, Agreement(1800, Refresher.US)),
    ({"session_expires": "900;refresher=uac"}, OFF, None),
]


@pytest.mark.parametrize(("response_fields", "policy", "agreed"), AS_UAC)
def test_what_a_uac_takes_from_the_answer(
    response_fields: dict[str, str], policy: Policy, agreed: Agreement | None
) -> None:
    assert agree_as_uac(policy, ok(**response_fields)) == agreed


def test_what_our_requests_say() -> None:
    assert request_headers(OFF) == request_headers(ACCEPT) == ()
    assert request_headers(REQUEST) == (("Session-Expires", "1800"),)
    assert request_headers(REQUEST, min_se_s=3600) == (
        ("Session-Expires", "3600"),
        ("Min-SE", "3600"),
    )
    ours, theirs = Agreement(600, Refresher.US), Agreement(600, Refresher.PEER)
    assert request_headers(ACCEPT, current=ours) == (("Session-Expires", "600;refresher=uac"),)
    brief = Agreement(2, Refresher.US)
    assert request_headers(ACCEPT, current=brief) == (("Session-Expires", "90;refresher=uac"),)
    assert request_headers(ACCEPT, current=theirs) == (("Session-Expires", "600;refresher=uas"),)


def test_what_our_answers_say() -> None:
    """RFC 4028 9: Require wherever the uac knows what that means; it refreshes, or gives up."""
    ours, theirs = Agreement(600, Refresher.US), Agreement(600, Refresher.PEER)
    knows = invite(supported="100rel, timer")
    assert response_headers(None, knows) == ()
    assert response_headers(ours, invite()) == (("Session-Expires", "600;refresher=uas"),)
    assert response_headers(ours, knows) == (
        ("Require", "timer"),
        ("Session-Expires", "600;refresher=uas"),
    )
    assert response_headers(theirs, knows) == (
        ("Require", "timer"),
        ("Session-Expires", "600;refresher=uac"),
    )


@pytest.mark.parametrize(
    ("interval_s", "refresh_s", "end_s"),
    [(1800, 900, 1768), (90, 45, 60), (96, 48, 64), (40, 20, 60), (2, 10, 60)],
)
def test_when_to_refresh_and_when_to_give_up(
    interval_s: int, refresh_s: float, end_s: float
) -> None:
    agreement = Agreement(interval_s, Refresher.US)
    assert agreement.refresh_after_s == refresh_s
    assert agreement.expires_after_s == end_s


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("1800", (1800, None)),
        ("1800 ; refresher = UAC", (1800, "uac")),
        ("1800;x=y;refresher=uas", (1800, "uas")),
        ("0", (1, None)),
        ("-5", None),
        ("soon", None),
        ("99999999999", None),
        ("1800;;=", (1800, None)),
    ],
)
def test_session_expires_of_every_form(value: str, read: tuple[int, str | None] | None) -> None:
    assert session_expires(invite(session_expires=value)) == read


def test_min_se_is_ninety_where_it_says_nothing() -> None:
    assert min_se(invite()) == min_se(invite(min_se="x")) == 90
    assert min_se(invite(min_se="1800;y=z")) == 1800
