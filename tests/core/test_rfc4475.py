"""RFC 4475: the torture test messages, byte for byte as in its appendix A.1.

14 are valid (3.1.1), 18 must be refused (3.1.2), the others ask something of the layers above:
there the test shows that these find what they need.
"""

import hashlib
from operator import attrgetter
from pathlib import Path

import pytest

from sip.core import sdp
from sip.core.auth_header import AuthHeader
from sip.core.body import takes_session
from sip.core.message import MessageError, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.validation import validate

CORPUS = {
    path.stem: path
    for path in sorted((Path(__file__).parents[1] / "data" / "rfc4475").glob("*.dat"))
}


def receive(name: str) -> Request | Response:
    """What every received datagram goes through."""
    message = parse_message(CORPUS[name].read_bytes())
    validate(message)
    return message


def read(message: object, path: str) -> object:
    """An attribute by its dotted path; `headers:NAME` for all lines of a header."""
    owner, colon, name = path.partition(":")
    value = attrgetter(owner)(message)
    return value.get_all(name) if colon else value


def refusal(name: str) -> MessageError:
    with pytest.raises(MessageError) as caught:
        receive(name)
    return caught.value


def test_the_corpus_is_the_rfcs() -> None:
    everything = b"".join(path.read_bytes() for path in CORPUS.values())
    assert len(CORPUS) == 49
    assert hashlib.sha256(everything).hexdigest() == (
        "e6cf1e5e4ec89ebb736976dfeab5baa4bcad5116d1492d810d53106fc6fc964e"
    )


VALID: dict[str, dict[str, object]] = {
    "wsinv": {
        "method": "INVITE",
        "request_uri.user": "vivekg",
        "request_uri.host": "chair-dnrc.example.com",
        "request_uri.params": (("unknownparam", None),),
        "to.uri.host": "chair-dnrc.example.com",
        "to.tag": "1918181833n",
        "from_.display_name": 'J Rosenberg \\"',
        "from_.tag": "98asjd8",
        "max_forwards": 68,
        "call_id": "wsinv.ndaksdj@192.0.2.1",
        "cseq.number": 9,
        "cseq.method": "INVITE",
        "via.transport": "UDP",
        "via.host": "192.0.2.2",
        "branch": "390skdjuw",
        "headers:via": [
            "SIP  /   2.0 /UDP 192.0.2.2;branch=390skdjuw",
            "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8",
            "SIP  /    2.0   / UDP  192.168.255.111   ; branch= z9hG4bK30239",
        ],
        "headers:subject": [""],
        "headers:newfangledheader": ["newfangled value continued newfangled value"],
        "headers:unknownheaderwithunusualvalue": [";;,,;;,;"],
        "contact.display_name": 'Quoted string ""',
        "contact.params": (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33")),
    },
    "intmeth": {
        "method": "!interesting-Method0123456789_*+`.%indeed'~",
        "request_uri.user": "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
        "request_uri.password": "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
        "branch": "z9hG4bK-.!%66*_+`'~",
        "to.display_name": "BEL:\ufffd NUL:\ufffd DEL:\ufffd",
        "from_.display_name": "token1~` token2'+_ token3*%!.-",
        "from_.params": (("fromParam''~+*_!.-%", '"работающий"'), ("tag", "_token~1'+`*%!-.")),
        "call_id": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
        "cseq.number": 139122385,
        "max_forwards": 255,
        "headers:extensionheader-!.%*+_`'~": ["\ufeff大停電"],
    },
    "esc01": {
        "request_uri.user": "sips:user@example.com",
        "request_uri.host": "example.net",
        "to.uri.user": "user",
        "from_.uri.user": "I have spaces",
        "contact.uri.user": "caller",
        "contact.uri.params": (("lr", None), ("name", "value%41")),
        "content_type": "application/sdp",
    },
    "escnull": {
        "to.uri.user": "null-%00-null",
        "from_.uri.user": "null-%00-null",
        "headers:contact": ["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"],
    },
    "esc02": {
        "method": "RE%47IST%45R",
        "cseq.method": "RE%47IST%45R",
        "to.display_name": "%Z%45",
        "branch": "z9hG4bK209%fzsnel234",
        "headers:contact": ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"],
        "headers:c%6fntact": ["<sip:alias2@host2.example.com>"],
    },
    "lwsdisp": {"from_.display_name": "caller", "from_.uri.user": "caller", "from_.tag": "323"},
    "longreq": {
        "to.display_name": f"I have a user name of {'extreme' * 10} proportion",
        "to.uri.port": 6000,
        "from_.uri.user": "amazinglylongcallername" * 5,
        "from_.uri.host": "example.net",
        "call_id": f"longreq.one{'really' * 20}longcallid",
        "via.host": "sip33.example.com",
        "content_type": "application/sdp",
    },
    "dblreq": {"method": "REGISTER", "body": b"", "contact.uri.host": "host.example.com"},
    "semiuri": {
        "request_uri.user": "user;par=u@example.net",
        "request_uri.host": "example.com",
        "request_uri.params": (),
    },
    "transports": {
        "via.transport": "UDP",
        "headers:via": [
            "SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw",
            "SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
            "SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
            "SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
            "SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee",
        ],
    },
    "mpart01": {"method": "MESSAGE", "content_type": "multipart/mixed", "via.rport": ""},
    "unreason": {
        "status": 200,
        "reason": "= 2**3 * 5**2 но сто девяносто девять - простое",
        "contact.uri.host": "host198.example.com",
    },
    # 3.1.2.12: refused by those alone that need the Date
    "baddate": {"headers:date": ["Fri, 01 Jan 2010 16:00:00 EST"], "cseq.number": 1392934},
    "noreason": {"status": 100, "reason": "", "cseq.number": 35},
    # 3.1.2.15: no valid one, but an element may infer the missing quotes
    "baddn": {"from_.display_name": "Bell, Alexander", "to.display_name": "Watson, Thomas"},
}


@pytest.mark.parametrize("name", VALID)
def test_valid_messages_are_understood(name: str) -> None:
    """RFC 4475 3.1.1."""
    message = receive(name)
    assert {path: read(message, path) for path in VALID[name]} == VALID[name]


def test_a_binary_body_is_kept_to_the_octet() -> None:
    """RFC 4475 3.1.1.11: line breaks and NULs within a body are none of ours."""
    body = receive("mpart01").body
    assert len(body) == 553
    assert body.startswith(b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n")
    assert body.endswith(b"\r\n--7a9cbec02ceef655--\r\n")


# Refused with this status; and whether a response can be sent (not to a response).
INVALID = {
    "badinv01": (400, True),
    "clerr": (400, True),
    "ncl": (400, True),
    "scalar02": (400, True),
    "scalarlg": (400, False),
    "quotbal": (400, True),
    "ltgtruri": (400, True),
    "lwsruri": (400, True),
    "lwsstart": (400, True),
    "trws": (400, True),
    "escruri": (400, True),
    "regbadct": (400, True),
    "badaspec": (400, True),
    "badvers": (505, True),
    "mismatch01": (400, True),
    "mismatch02": (400, True),
    "bigcode": (400, False),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_messages_are_refused(name: str) -> None:
    """RFC 4475 3.1.2."""
    error = refusal(name)
    assert (error.status, error.request is not None) == INVALID[name]
    if error.request is not None:
        response = make_response(error.request, error.status, error.reason, to_tag="us")
        assert response.headers.get_all("via") == error.request.headers.get_all("via")
        assert f"SIP/2.0 {error.status} {error.reason}\r\n".encode() in response.to_bytes()


# 3.2, 3.3 and 3.4: what the parser itself is to refuse.
REFUSED_AT_THE_DOOR = {
    "badbranch": 400,
    "insuf": 400,
    "unkscm": 416,
    "novelsc": 416,
    "multi01": 400,
    "mcl01": 400,
}


@pytest.mark.parametrize("name", REFUSED_AT_THE_DOOR)
def test_messages_that_no_element_can_serve(name: str) -> None:
    assert refusal(name).status == REFUSED_AT_THE_DOOR[name]


# And what is well-formed, with that from which a UAS makes its answer.
LEFT_TO_THE_UAS: dict[str, dict[str, object]] = {
    # 3.3.4: a registrar refuses schemes that it does not register (400 or 404 by its policy)
    "unksm2": {
        "to.uri.scheme": "isbn",
        "to.uri.user": "2983792873",
        "to.uri.host": "",
        "from_.uri.scheme": "http",
        "contact.uri.scheme": "name",
    },
    # 3.3.5: 420
    "bext01": {
        "headers:require": ["nothingSupportsThis, nothingSupportsThisEither"],
        "headers:proxy-require": ["noProxiesSupportThis, norDoAnyProxiesSupportThis"],
    },
    # 3.3.6: 415
    "invut": {"method": "INVITE", "content_type": "application/unknownformat"},
    # 3.3.7: 401, or as if nothing was offered
    "regaut01": {"headers:authorization": ["NoOneKnowsThisScheme opaque-data=here"]},
    # 3.3.10: dropped, because one Via too many is not ours
    "bcast": {
        "status": 200,
        "headers:via": [
            "SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
            "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23",
        ],
    },
    # 3.3.11: an OPTIONS for us is answered, one for others gets 483
    "zeromf": {"method": "OPTIONS", "max_forwards": 0},
    # 3.3.12: the parameter is the Contact's
    "cparam01": {"contact.params": (("unknownparam", None),), "contact.uri.params": ()},
    # 3.3.13: the parameter is the URI's
    "cparam02": {"contact.params": (), "contact.uri.params": (("unknownparam", None),)},
    # 3.3.14
    "regescrt": {"contact.uri.headers": "Route=%3Csip:sip.example.com%3E"},
    # 3.3.15: 406
    "sdp01": {"headers:accept": ["text/nobodyKnowsThis"], "content_type": "application/sdp"},
    # 3.4.1: no branch, no From tag, no Max-Forwards, no Content-Length, and to be served
    "inv2543": {
        "branch": None,
        "from_.tag": None,
        "max_forwards": None,
        "to.uri.user": "+16505552222",
        "to.params": (("user", "phone"),),
    },
}


@pytest.mark.parametrize("name", LEFT_TO_THE_UAS)
def test_well_formed_messages_show_the_uas_what_it_needs(name: str) -> None:
    message = receive(name)
    assert {path: read(message, path) for path in LEFT_TO_THE_UAS[name]} == LEFT_TO_THE_UAS[name]


def test_unsupported_extensions_can_be_listed() -> None:
    """RFC 4475 3.3.5: the 420 names each in Unsupported."""
    required = receive("bext01").headers.values("require")
    assert required == ["nothingSupportsThis", "nothingSupportsThisEither"]


def test_an_unknown_authentication_scheme_can_be_read() -> None:
    """RFC 4475 3.3.7."""
    value = receive("regaut01").headers.get("authorization")
    assert value is not None
    assert AuthHeader.parse(value) == AuthHeader("nooneknowsthisscheme", {"opaque-data": "here"})


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        (["text/nobodyKnowsThis"], False),
        ([""], False),
        (["application/SDP;level=1, text/plain"], True),
        (["text/plain", "application/*"], True),
        (["*/*"], True),
        ([], True),
    ],
)
def test_who_cannot_read_an_answer_can_be_told(accept: list[str], taken: bool) -> None:
    """RFC 4475 3.3.15, RFC 3261 20.1: 406 is for those whose Accept leaves no session."""
    request = receive("sdp01")
    assert isinstance(request, Request)
    assert not takes_session(request)
    request.headers.remove("accept")
    for value in accept:
        request.headers.add("accept", value)
    assert takes_session(request) is taken


def test_a_body_without_content_length_ends_with_the_datagram() -> None:
    """RFC 4475 3.4.1, RFC 3261 18.3."""
    description = sdp.parse(receive("inv2543").body)
    assert description.audio is not None
    assert description.audio.port == 49217


def test_the_first_of_several_is_answered() -> None:
    """RFC 4475 3.3.8: the response to doubled fields still finds its sender."""
    request = refusal("multi01").request
    assert request is not None
    response = make_response(request, 400, to_tag="us")
    assert response.headers.get_all("from") == ["sip:caller@example.com;tag=3413415"]
    assert response.headers.get_all("cseq") == ["5 INVITE"]


def test_a_broken_via_still_leads_back() -> None:
    """RFC 4475 3.1.2.1: what is broken is cut off, and the sender is told."""
    request = refusal("badinv01").request
    assert request is not None
    assert make_response(request, 400).headers.get_all("via") == ["SIP/2.0/UDP 192.0.2.15"]


def test_missing_fields_are_missing_in_the_refusal() -> None:
    """RFC 4475 3.3.1: ideally a 400, though the request has no Call-ID, From or To."""
    request = refusal("insuf").request
    assert request is not None
    response = make_response(request, 400, to_tag="us")
    assert [name for name, _ in response.headers] == ["Via", "CSeq"]


def test_every_message_of_the_corpus_is_judged_here() -> None:
    judged = [*VALID, *INVALID, *REFUSED_AT_THE_DOOR, *LEFT_TO_THE_UAS]
    assert sorted(judged) == sorted(CORPUS)
