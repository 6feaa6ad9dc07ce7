"""Messages out of bytes (RFC 3261 7), as they come in a datagram or were cut out of a stream.

Parsing is lazy: the head is split into lines, whose values are kept as they came.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from sip.core.header_fields import Headers, field_name
from sip.core.header_values import TOKEN, read_content_length, split_commas
from sip.core.message import MessageError, Request, Response, answerable
from sip.core.uri import decode_text
from sip.core.visible import HARMFUL, visible
from sip.errors import ParseError

#: Longest start line and header fields, in bytes.
MAX_HEAD: Final = 16 * 1024
#: Longest body, in bytes.
MAX_BODY: Final = 64 * 1024
#: Most header lines.
MAX_HEADERS: Final = 100

_FOLD: Final = re.compile(r"\r\n[ \t]++")
_REQUEST_LINE: Final = re.compile(rf"({TOKEN.pattern}) (\S++) (?i:SIP)/2\.0")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ++([1-6][0-9]{2})(?: (.*+))?", re.IGNORECASE | re.ASCII)
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE | re.ASCII)


def parse_message(data: bytes) -> Request | Response:
    """One message from one datagram, or as framed from a stream; raises MessageError.

    Empty lines before it are skipped (RFC 3261 7.5) and bytes past Content-Length dropped
    (18.3). A body shorter than its Content-Length, a head over 16 KB, more than 100 header lines
    and a body over 64 KB are refused. A broken header line refuses a request; of a response it is
    left out. Header values are not looked at: see `validate`.
    """
    data = data.lstrip(b"\r\n")
    end = data.find(b"\r\n\r\n")
    if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
        raise MessageError("Message Too Large", 513)
    if end < 0:
        raise MessageError("Incomplete Message")
    message = _read_head(data[:end])
    try:
        message.body = _read_body(message, data[end + 4 :])
    except ParseError as error:
        raise MessageError(error.reason, error.status, message) from None
    return message


def reread_response(sent: bytes) -> Response:
    """The head of a response of ours, which keeps to no limits of length but needs no checks."""
    status_line, headers = _reread(sent)
    return _read_status_line(status_line, headers)


def reread_request(sent: bytes) -> Request:
    """The same of a request of ours."""
    request_line, headers = _reread(sent)
    method, uri, _ = request_line.split(" ")
    return Request(method, uri, headers)


def _reread(sent: bytes) -> tuple[str, Headers]:
    start_line, *lines = _lines(sent.partition(b"\r\n\r\n")[0])
    return start_line, _read_headers(lines)[0]


def best_effort(head: bytes) -> Request | None:
    """The request that a head stands for, when it can be read well enough to be answered."""
    try:
        return answerable(_read_head(head))
    except MessageError as error:
        return error.request


def _read_head(head: bytes) -> Request | Response:
    start_line, *lines = _lines(head)
    if len(lines) > MAX_HEADERS:
        raise MessageError("Too Many Header Fields")
    headers, fault = _read_headers(lines)
    message = _read_start_line(start_line, headers)
    if fault and isinstance(message, Request):
        raise MessageError(fault, 400, message)
    return message


def _lines(head: bytes) -> list[str]:
    """The lines of a head, folded ones joined by a space (RFC 3261 7.3.1).

    Whatever is read of a header holds no control character; what the request line holds refuses it.
    """
    text = decode_text(head)
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    # A lone CR or LF would end a line for an element further on, but not for us.
    rest = "".join(lines)
    if rest.isprintable():
        return lines
    if "\r" in rest or "\n" in rest:
        raise MessageError("Stray Line Break")
    return [lines[0], *map(visible, lines[1:])]


def _read_headers(lines: list[str]) -> tuple[Headers, str]:
    """The header fields, and what is wrong with a broken line ("" when all can be read)."""
    headers, fault = Headers(), ""
    fields = headers.fields
    for line in lines:
        name, colon, value = line.partition(":")
        try:
            key, shown = field_name(name)
        except ValueError:
            fault = "Malformed Header Name"
            continue
        if not colon:
            fault = "Malformed Header Field"
            continue
        if key in fields:
            fields[key][1].append(value.strip())
        else:
            fields[key] = (shown, [value.strip()])
    if "via" in fields:
        _split_vias(fields["via"][1])
    return headers, fault


def _split_vias(lines: list[str]) -> None:
    """One Via a line: who takes off or marks the topmost need not care how it was sent."""
    if "," in "".join(lines):
        with suppress(ParseError):  # `validate` reports it
            lines[:] = [item for line in lines for item in split_commas(line)] or lines


def _read_start_line(line: str, headers: Headers) -> Request | Response:
    match = _REQUEST_LINE.fullmatch(line)
    if match is not None and not HARMFUL.search(line):
        return Request(match[1], match[2], headers)
    if line[:4].upper() == "SIP/":
        return _read_status_line(line, headers)
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    request = Request(method, uri, headers)
    if _VERSION.fullmatch(version) and version.upper() != "SIP/2.0":
        raise MessageError("Version Not Supported", 505, request)
    raise MessageError("Malformed Request-Line", 400, request)


def _read_status_line(line: str, headers: Headers) -> Response:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MessageError("Malformed Status-Line")
    return Response(int(match[1]), visible(match[2] or ""), headers)


def _read_body(message: Request | Response, rest: bytes) -> bytes:
    announced = message.headers.get("content-length")
    try:
        length = len(rest) if announced is None else read_content_length(announced)
    except ParseError:
        if isinstance(message, Request):
            raise
        length = len(rest)
    if length > MAX_BODY:
        raise ParseError("Request Entity Too Large", 413)
    if length > len(rest):
        raise ParseError("Body Shorter Than Content-Length")
    return rest[:length]
