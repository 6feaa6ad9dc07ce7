"""The two written forms of an NG message."""

import pytest

from sip.media.ng.bencode import Encodable
from sip.media.ng.form import Form, FormError, decode, encode

MESSAGE: dict[str, Encodable] = {"command": "offer", "sdp": "v=0\r\ns=é\r\n", "n": [1, {"a": "b"}]}


@pytest.mark.parametrize("form", list(Form))
def test_decode_undoes_encode_and_tells_the_form(form: Form) -> None:
    assert decode(encode(MESSAGE, form)) == (MESSAGE, form)


def test_text_that_is_no_utf_8_is_bencoded() -> None:
    """An SDP in Latin-1 must not be lost on the way."""
    latin = {"sdp": b"s=caf\xe9".decode("utf-8", "surrogateescape")}
    wire = encode(latin, Form.JSON)
    assert wire == b"d3:sdp6:s=caf\xe9e"
    assert decode(wire) == (latin, Form.BENCODE)


def test_text_that_json_makes_too_long_for_a_datagram_is_bencoded() -> None:
    """It would wait three seconds for a reply to what was never sent."""
    odd = {"sdp": "s=" + "\x01" * 16_000}
    wire = encode(odd, Form.JSON)
    assert len(wire) < 16_100
    assert decode(wire) == (odd, Form.BENCODE)


@pytest.mark.parametrize(
    "wire", [b"", b"le", b"i1e", b"[]", b"{", b"{}x", b'{"a":"\xff"}', b'{"a":' * 100_000]
)
def test_what_is_no_dictionary_is_refused(wire: bytes) -> None:
    with pytest.raises(FormError):
        decode(wire)
