"""The one place that decides whether a received message may be served (RFC 3261 8.2, 20)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sip.core.header_fields import Fields
from sip.core.header_values import (
    parse_cseq,
    parse_name_addr,
    parse_name_addrs,
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
Check = Callable[[str], object]
_SERVED_SCHEMES: Final = ("sip", "sips", "tel")


def validate(message: Request | Response) -> None:
    """Raises MessageError for a received message that cannot be served (RFC 3261 8.2, RFC 4475).

    Only what is used is judged: a request by the fields that every element reads, and what its
    method adds to them; a response counts as soon as it finds its request. What depends on the
    configuration of a UAS (methods, extensions, content types, destinations), or on its dialogs
    (Contact), is for the UAS.
    """
    try:
        if isinstance(message, Request):
            _check_request(message)
        else:
            _check_response(message)
    except ParseError as error:
        raise MessageError(error.reason, error.status, message) from None


def _check_request(request: Request) -> None:
    fields = request.headers.fields
    _check_presence(fields)
    used = _USED_BY.get(request.method, _USED)
    for name, (shown, lines) in fields.items():
        check = used.get(name)
        if check is not None:
            check(lines[0])
            if len(lines) > 1:
                _check_further(check, name, shown, lines)
    if request.cseq.method != request.method:
        raise ParseError("CSeq Method Mismatch")
    uri = request.request_uri
    if uri.scheme not in _SERVED_SCHEMES:
        raise ParseError("Unsupported URI Scheme", 416)
    if uri.headers:
        raise ParseError("Headers In Request-URI")  # RFC 3261 19.1.1, table 1


def _check_response(response: Response) -> None:
    """RFC 3261 17.1.3: its branch and CSeq find its request. That knows the rest by itself."""
    fields = response.headers.fields
    _check_presence(fields)
    _check_via(fields["via"][1][0])
    parse_cseq(fields["cseq"][1][0])


def _check_presence(fields: Fields) -> None:
    for name in REQUIRED:
        if name not in fields:
            raise ParseError(f"Missing {wire_name(name)}")


def _check_further(check: Check, name: str, shown: str, lines: list[str]) -> None:
    if name not in _REPEATABLE:
        raise ParseError(f"Multiple {shown}")
    if name != "via":  # the Vias below the topmost are other people's
        for line in lines[1:]:
            check(line)


def _check_via(line: str) -> None:
    # RFC 4475 3.2.1: the cookie alone identifies nothing, and so would pair strangers.
    if parse_via(line).branch == MAGIC_COOKIE:
        raise ParseError("Empty Branch")


@memo
def _check_contacts(line: str) -> None:
    """Of a REGISTER, to which every one of them matters."""
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


_SPACE: Final = re.compile(r"\s")
#: What every request is served by.
_USED: Final[dict[str, Check]] = {
    "via": _check_via,
    "from": parse_name_addr,
    "to": parse_name_addr,
    "call-id": _check_call_id,
    "cseq": parse_cseq,
    "max-forwards": read_max_forwards,
    "content-length": read_content_length,
}
#: Of a request in a dialog nothing hangs on Max-Forwards: it goes no further.
_USED_IN_DIALOGS: Final = {name: check for name, check in _USED.items() if name != "max-forwards"}
#: The same with what some methods add to it, or do without.
_USED_BY: Final[dict[str, dict[str, Check]]] = {
    "INVITE": _USED | {"record-route": _check_addresses},
    "REGISTER": _USED | {"contact": _check_contacts},
    **dict.fromkeys(("ACK", "BYE", "CANCEL", "PRACK", "UPDATE"), _USED_IN_DIALOGS),
}
_REPEATABLE: Final = frozenset({"via", "contact", "record-route"})
