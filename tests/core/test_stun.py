"""STUN Binding: RFC 5769's samples, and what must not be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.stun import Mapped, binding_request, mapped_address
from sip.errors import ParseError

ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
#: RFC 5769 2.2 and 2.3: a response with SOFTWARE, MESSAGE-INTEGRITY and FINGERPRINT.
IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf1"
    "1784c97c8292c275bfe3ed4180280004c8fb0b4c"
)


def response(kind: str, *attributes: str) -> bytes:
    """Type and attributes in hex, with the head that they need."""
    body = bytes.fromhex("".join(attributes))
    return bytes.fromhex(kind) + len(body).to_bytes(2) + bytes.fromhex("2112a442") + ID + body


def test_a_request_is_a_head_alone() -> None:
    assert binding_request(ID).hex() == "000100002112a442" + ID.hex()


def test_the_rfcs_samples() -> None:
    assert mapped_address(IPV4, ID) == Mapped("192.0.2.1", 32853)
    assert mapped_address(IPV6, ID) == Mapped("2001:db8:1234:5678:11:2233:4455:6677", 32853)


def test_a_server_of_old_says_it_plainly() -> None:
    assert mapped_address(response("0101", "00010008000113c4c6336407"), ID) == Mapped(
        "198.51.100.7", 5060
    )


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (response("0111", "0009004000000401556e617574686f72697a6564202e2e2e"), "cut off"),
        (response("0111", "000900100000040155") + bytes(7), "wrong length"),
        (response("0111", "000900080000040100000000"), "refuses: 401"),
        (response("0111", "0009000a000004006f6820646561", "0000"), "refuses: 400 oh dea"),
        (response("0111"), "without saying why"),
        (response("0101"), "without an address"),
        (response("0101", "00200008"), "cut off"),
        (response("0101", "002000040001a147"), "cannot be read"),
        (response("0101", "002000080003a147e112a643"), "cannot be read"),
        (response("0101", "00200000"), "cannot be read"),
    ],
)
def test_what_is_no_answer_is_said(datagram: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        mapped_address(datagram, ID)


@pytest.mark.parametrize(
    "datagram",
    [b"", IPV4[:19], binding_request(ID), IPV4[:4] + bytes(4) + IPV4[8:], b"SIP/2.0 200 OK" * 5],
)
def test_what_is_not_stun_is_passed_over(datagram: bytes) -> None:
    assert mapped_address(datagram, ID) is None


def test_another_requests_answer_is_not_believed() -> None:
    assert mapped_address(IPV4, ID[:-1] + b"\0") is None


@given(st.binary(max_size=64), st.sampled_from(["0101", "0111"]))
def test_whatever_comes_it_is_an_address_or_said(body: bytes, kind: str) -> None:
    try:
        mapped_address(response(kind, body.hex()), ID)
    except ParseError:
        return
