"""Bencode: the round trip, the exact bytes, and everything that is not bencode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.media.ng.bencode import BencodeError, Decoded, decode, encode

VALUES: st.SearchStrategy[Decoded] = st.recursive(
    st.integers(-(2**63), 2**63) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_decode_undoes_encode(value: Decoded) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({"b": 1, "a": "x"}, b"d1:bi1e1:a1:xe"),
        ([], b"le"),
        (-7, b"i-7e"),
        ("", b"0:"),
        ("é", b"2:\xc3\xa9"),
        ({"list": [["nested"], {}]}, b"d4:listll6:nestededeee"),
    ],
)
def test_the_exact_bytes(value: Decoded, wire: bytes) -> None:
    assert encode(value) == wire
    assert encode(decode(wire)) == wire


def test_a_key_of_any_bytes_comes_back_the_same() -> None:
    """An SDP or tag in Latin-1 must not be lost on the way."""
    assert encode(decode(b"d1:\xffi1ee")) == b"d1:\xffi1ee"


@pytest.mark.parametrize(
    "wire",
    [
        b"", b"x", b"i", b"ie", b"i1", b"i--1e", b"i1.5e", b"i+1e", b"i 1e", b"l", b"d", b"li1e",
        b"d1:ae", b"di1ei2ee", b"5:abc", b"-1:a", b":", b"1", b"1:", b"i1ei2e", b"1:ab",
        b"99999999999999999999:a", b"999999999999999999999999999999:a", b"l" * 10_000,
        b"d1:a" * 10_000, b"i" + b"9" * 1000 + b"e",
    ],
)  # fmt: skip
def test_what_is_not_bencode_is_refused(wire: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(wire)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(wire: bytes) -> None:
    try:
        value = decode(wire)
    except BencodeError:
        return
    assert decode(encode(value)) == value


def test_what_cannot_be_encoded_is_our_mistake() -> None:
    with pytest.raises(TypeError, match="float"):
        encode({"jitter": 0.5})  # type: ignore[dict-item]
