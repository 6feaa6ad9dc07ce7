"""How an NG dictionary is written: as JSON or in bencode (rtpengine's ng_control_protocol.md).

Both engines read both. rtpengine is at home in bencode and converts JSON into it; our relay is
spoken to in JSON, which costs Python a twentieth. A reply has the form of its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, cast

import orjson

from sip.errors import Fault, SipError
from sip.media.ng import bencode
from sip.media.ng.bencode import BencodeError, Decoded, Encodable


class Form(Enum):
    """The two written forms."""

    JSON = "json"
    BENCODE = "bencode"


class FormError(SipError, ValueError):
    """The bytes are something else than an NG dictionary."""

    fault = Fault.ENGINE


#: What fits into a datagram, with room for a cookie.
_MAX_JSON: Final = 65_000


def encode(message: Mapping[str, Encodable], form: Form) -> bytes:
    """`message` as bytes.

    Bencoded is what JSON cannot say (text outside UTF-8) or makes too long: a control character of
    an SDP is six there.
    """
    if form is Form.JSON:
        try:
            text = orjson.dumps(message)
        except orjson.JSONEncodeError:
            return bencode.encode(message)
        if len(text) <= _MAX_JSON:
            return text
    return bencode.encode(message)


def decode(data: bytes) -> tuple[dict[str, Decoded], Form]:
    """The dictionary that `data` holds, and in which form; FormError otherwise."""
    try:
        if data[:1] == b"{":
            return cast(dict[str, Decoded], orjson.loads(data)), Form.JSON
        message = bencode.decode(data)
    except (orjson.JSONDecodeError, BencodeError) as error:
        raise FormError(str(error)) from None
    if not isinstance(message, dict):
        raise FormError("not a dictionary")
    return message, Form.BENCODE
