"""Generated SIP: values from which messages are made, and mutations of valid messages."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from sip.core.header_values import CSeq, NameAddr, Via, quote
from sip.core.message import Headers, Request, Response
from sip.core.uri import Params, Uri
from sip.core.visible import visible

LETTERS = "abcxyzABZ0159"


def text_of(alphabet: str | st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=8)


TOKENS = text_of(LETTERS + ".!%*_+`'~-", 1)
#: What comes out as it went in; of the rest tests/core/test_visible.py tells.
ANY = st.characters().filter(lambda letter: visible(letter) == letter)
TEXTS = text_of(ANY).map(str.strip)
NAMES = text_of(ANY.filter(lambda letter: letter != "\t"))
HOSTS = st.one_of(
    text_of(LETTERS + "-._", 1),
    st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
    st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number))),
)
PORTS = st.none() | st.integers(1, 65535)
USERS = text_of(ANY, 1)

uri_params: st.SearchStrategy[Params] = st.lists(
    st.tuples(USERS, st.none() | text_of(ANY)), max_size=2
).map(tuple)
sip_uris = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    user=USERS,
    password=st.none() | USERS,
    host=HOSTS,
    port=PORTS,
    params=uri_params,
    headers=st.sampled_from(["", "Subject=a%20b", "a=1&b=2"]),
) | st.builds(Uri, st.sampled_from(["sip", "sips"]), host=HOSTS, port=PORTS, params=uri_params)
tel_uris = st.builds(
    Uri,
    st.just("tel"),
    user=text_of("0159*#().-", 1).map(lambda number: f"+{number}"),
    params=uri_params,
)
uris = sip_uris | tel_uris

header_params: st.SearchStrategy[Params] = st.lists(
    st.tuples(TOKENS, st.none() | TOKENS | NAMES.map(quote)), max_size=2
).map(tuple)
vias = st.builds(Via, TOKENS.map(str.upper), HOSTS, PORTS, header_params)
name_addrs = st.builds(NameAddr, st.none() | NAMES, uris, header_params)
methods = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REFER"]) | TOKENS
cseqs = st.builds(CSeq, st.integers(0, 2**31 - 1), methods)

_VIAS = st.lists(vias.map(lambda via: via.with_param("branch", "z9hG4bK1")), min_size=1, max_size=3)
_CONTACTS = st.lists(name_addrs, max_size=2)
_OTHERS = st.lists(st.tuples(st.sampled_from(["X-Own", "Subject", "s", "k"]), TEXTS), max_size=4)


@st.composite
def headers(draw: st.DrawFn, method: str) -> Headers:
    """The fields of a sound message, in full or compact form and in any order."""
    one_of = st.sampled_from
    lines = [
        (draw(one_of(["From", "f"])), str(draw(name_addrs))),
        (draw(one_of(["To", "t"])), str(draw(name_addrs))),
        (draw(one_of(["Call-ID", "i", "call-id"])), draw(TOKENS)),
        ("CSeq", f"{draw(st.integers(0, 2**31 - 1))} {method}"),
        ("Max-Forwards", str(draw(st.integers(0, 255)))),
        *[(draw(one_of(["Via", "v"])), str(via)) for via in draw(_VIAS)],
        *[(draw(one_of(["Contact", "m"])), str(contact)) for contact in draw(_CONTACTS)],
        *draw(_OTHERS),
    ]
    return Headers(draw(st.permutations(lines)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    method = draw(methods)
    uri = draw(uris).replace(headers="")
    return Request(method, str(uri), draw(headers(method)), draw(st.binary(max_size=60)))


@st.composite
def responses(draw: st.DrawFn) -> Response:
    method = draw(methods)
    status = draw(st.integers(100, 699))
    return Response(status, draw(TEXTS), draw(headers(method)), draw(st.binary(max_size=60)))


messages = requests() | responses()


_NASTY = st.sampled_from([bytes([octet]) for octet in b'\0\t\r\n "%,:;<=>?@[\\]\xc3\xff']) | (
    st.sampled_from([b"\r\n", b"\r\n ", b"\r\n\r\n", b"sip:", b"SIP/2.0", b"l: ", b"9" * 30])
)


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """A valid message with a few octets replaced, dropped or doubled."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        data[start:end] = draw(_NASTY | st.binary(max_size=4) | st.just(bytes(data[start:end]) * 2))
    return bytes(data)
