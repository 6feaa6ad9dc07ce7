"""The one place that decides whether a received message may be served (RFC 3261 8.2, 20)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sip.core.header_fields import Headers
from sip.core.header_values import (
    TOKEN,
    parse_cseq,
    parse_name_addr,
    parse_name_addrs,
    parse_uint,
    parse_via,
    read_content_length,
    read_max_forwards,
    wire_name,
)
from sip.core.memo import memo
from sip.core.message import MessageError, Request, Response
from sip.core.visible import REPLACEMENT
from sip.errors import ParseError

#: What a transaction and a response are made of (RFC 3261 8.1.1, 8.2.6).
REQUIRED: Final = ("via", "from", "to", "call-id", "cseq")
#: How the branch of an RFC 3261 transaction begins (RFC 3261 8.1.1.7).
MAGIC_COOKIE: Final = "z9hG4bK"
_SERVED_SCHEMES: Final = ("sip", "sips", "tel")


def validate(message: Request | Response) -> None:
    """Raises MessageError for a received message that must not be served (RFC 3261 8.2, RFC 4475).

    What depends on the configuration of a UAS (methods, extensions, content types, destinations)
    is for the UAS.
    """
    try:
        _check_fields(message.headers)
        if isinstance(message, Request):
            _check_request(message)
    except ParseError as error:
        raise MessageError(error.reason, error.status, message) from None


def _check_request(request: Request) -> None:
    if request.cseq.method != request.method:
        raise ParseError("CSeq Method Mismatch")
    uri = request.request_uri
    if uri.scheme not in _SERVED_SCHEMES:
        raise ParseError("Unsupported URI Scheme", 416)
    if uri.headers:
        raise ParseError("Headers In Request-URI")  # RFC 3261 19.1.1, table 1


def _check_fields(headers: Headers) -> None:
    """Raises ParseError(400) unless the fields that SIP itself rests on are sound.

    Required fields are there, single fields stand once, and those that routing, dialogs
    and transactions read are well-formed. All others are let through unread.
    """
    fields = headers.fields
    for name in REQUIRED:
        if name not in fields:
            raise ParseError(f"Missing {wire_name(name)}")
    for name, (shown, lines) in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(lines[0])
            if len(lines) > 1:
                _check_further(name, shown, lines)


def _check_further(name: str, shown: str, lines: list[str]) -> None:
    if name not in _REPEATABLE:
        raise ParseError(f"Multiple {shown}")
    if name != "via":  # the Vias below the topmost are other people's
        for line in lines[1:]:
            _CHECKS[name](line)


def _check_via(line: str) -> None:
    # RFC 4475 3.2.1: the cookie alone identifies nothing, and so would pair strangers.
    if parse_via(line).branch == MAGIC_COOKIE:
        raise ParseError("Empty Branch")


@memo
def _check_contact(line: str) -> None:
    if line != "*":
        _check_addresses(line)


@memo
def _check_addresses(line: str) -> None:
    if "," not in line:
        parse_name_addr(line)
    elif not parse_name_addrs((line,)):
        raise ParseError("Empty Address List")


def _check_call_id(line: str) -> None:
    if not line or _SPACE.search(line) or REPLACEMENT in line:
        raise ParseError("Malformed Call-ID")


def _check_date(line: str) -> None:
    if not _DATE.fullmatch(line):
        raise ParseError("Malformed Date")  # RFC 4475 3.1.2.12


@memo
def _check_content_type(line: str) -> None:
    if not _MEDIA_TYPE.fullmatch(line):
        raise ParseError("Malformed Content-Type")


def _check_expires(line: str) -> None:
    parse_uint(line, 2**32 - 1, "Expires")


_SPACE: Final = re.compile(r"\s")
_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
_MEDIA_TYPE: Final = re.compile(rf"{TOKEN.pattern}\s*+/\s*+{TOKEN.pattern}\s*+(?:;.*+)?", re.DOTALL)

_CHECKS: Final[dict[str, Callable[[str], object]]] = {
    "via": _check_via,
    "from": parse_name_addr,
    "to": parse_name_addr,
    "call-id": _check_call_id,
    "cseq": parse_cseq,
    "max-forwards": read_max_forwards,
    "contact": _check_contact,
    "route": _check_addresses,
    "record-route": _check_addresses,
    "content-length": read_content_length,
    "content-type": _check_content_type,
    "expires": _check_expires,
    "date": _check_date,
}
_REPEATABLE: Final = frozenset({"via", "contact", "route", "record-route"})
