"""SIP messages: requests, responses and their header fields (RFC 3261 7).

Parsing is lazy: `parse_message` splits the head into lines and keeps their values as they came.
Typed headers are built where somebody reads them, and what only passes through is never looked at.
`validate` is the one place that decides whether a received message may be served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from sip.core.errors import ParseError
from sip.core.header_fields import Headers as Headers
from sip.core.header_fields import field_name, one_line
from sip.core.header_values import (
    TOKEN,
    CSeq,
    NameAddr,
    Via,
    first_item,
    parse_cseq,
    parse_name_addr,
    parse_via,
    split_commas,
    wire_name,
)
from sip.core.memo import memo
from sip.core.reasons import REASONS as REASONS
from sip.core.reasons import reason_phrase
from sip.core.uri import Uri, decode_text
from sip.core.validation import check_fields, read_content_length, read_max_forwards

MAX_HEAD: Final = 16 * 1024
"""Longest start line and header fields, in bytes."""
MAX_BODY: Final = 64 * 1024
"""Longest body, in bytes."""
MAX_HEADERS: Final = 100
"""Most header lines."""


class _Message:
    """What requests and responses share.

    The typed accessors parse on reading and raise ParseError(400) when the field is missing or
    malformed; after `validate` they cannot. Parses are remembered by text, so reading is cheap,
    and a changed header is seen at once.
    """

    __slots__ = ("body", "headers")

    headers: Headers
    body: bytes

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return parse_via(self.headers.fields["via"][1][0])

    @property
    def branch(self) -> str | None:
        """The branch of the topmost Via, None from RFC 2543 peers."""
        return self.via.branch

    @property
    def from_(self) -> NameAddr:
        return parse_name_addr(self.headers.fields["from"][1][0])

    @property
    def to(self) -> NameAddr:
        return parse_name_addr(self.headers.fields["to"][1][0])

    @property
    def cseq(self) -> CSeq:
        return parse_cseq(self.headers.fields["cseq"][1][0])

    @property
    def call_id(self) -> str:
        return self.headers.fields["call-id"][1][0]

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact; None when there is none or it is the `*` of a REGISTER."""
        line = self.headers.get("contact")
        return None if line in (None, "*") else parse_name_addr(first_item(line))

    @property
    def max_forwards(self) -> int | None:
        """0 to 255, None when absent (RFC 2543 peers)."""
        line = self.headers.get("max-forwards")
        return None if line is None else read_max_forwards(line)

    @property
    def content_type(self) -> str:
        """`type/subtype` in lower case without parameters, "" when there is none."""
        return _media_type(self.headers.get("content-type") or "")

    def to_bytes(self) -> bytes:
        """The message for the wire, Content-Length last and computed."""
        lines = [
            f"{shown}: {line}"
            for key, (shown, values) in self.headers.fields.items()
            if key != "content-length"
            for line in values
        ]
        head = "\r\n".join(
            (self._start_line(), *lines, f"Content-Length: {len(self.body)}\r\n\r\n")
        )
        return head.encode(errors="replace") + self.body

    def _start_line(self) -> str:
        """The Request-Line or Status-Line, without its end."""
        raise NotImplementedError


@memo
def _media_type(line: str) -> str:
    return "".join(line.partition(";")[0].split()).lower()


class Request(_Message):
    """A request. `uri` is the Request-URI as on the wire, `request_uri` the same parsed."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: str, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        self.method = method
        self.uri = uri
        self.headers = Headers() if headers is None else headers
        self.body = body

    @property
    def request_uri(self) -> Uri:
        """The Request-URI; raises ParseError(400) when it is none."""
        return Uri.parse(self.uri)

    def _start_line(self) -> str:
        if _SPACE.search(self.uri) or not TOKEN.fullmatch(self.method):
            raise ValueError("a method must be a token and a Request-URI without white space")
        return f"{self.method} {self.uri} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(_Message):
    """A response; `status` is 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = Headers() if headers is None else headers
        self.body = body

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {one_line(self.reason)}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


# --- reading -----------------------------------------------------------------------------------

_SPACE: Final = re.compile(r"\s")
_FOLD: Final = re.compile(r"\r\n[ \t]++")
_REQUEST_LINE: Final = re.compile(rf"({TOKEN.pattern}) (\S++) (?i:SIP)/2\.0")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*+))?", re.IGNORECASE | re.ASCII)
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE | re.ASCII)


def parse_message(data: bytes) -> Request | Response:
    """One message from one datagram, or as framed from a stream; raises ParseError.

    Empty lines before it are skipped (RFC 3261 7.5) and bytes past Content-Length dropped
    (18.3). A body shorter than its Content-Length, a head over 16 KB, more than 100 header lines
    and a body over 64 KB are refused. Header values are not looked at: see `validate`.
    """
    data = data.lstrip(b"\r\n")
    end = data.find(b"\r\n\r\n")
    if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
        raise ParseError("Message Too Large", 513)
    if end < 0:
        raise ParseError("Incomplete Message")
    message = _read_head(data[:end])
    try:
        message.body = _read_body(message.headers, data[end + 4 :])
    except ParseError as error:
        error.request = _answerable(message)
        raise
    return message


def reread(response: bytes) -> Response:
    """The head of a response of ours, which keeps to no limits of length but needs no checks."""
    status_line, *lines = _lines(response.partition(b"\r\n\r\n")[0])
    headers, _ = _read_headers(lines)
    return _read_status_line(status_line, headers)


def best_effort(head: bytes) -> Request | None:
    """The request that a head stands for, when it can be read well enough to be answered."""
    try:
        return _answerable(_read_head(head))
    except ParseError as error:
        return error.request


def _read_head(head: bytes) -> Request | Response:
    start_line, *lines = _lines(head)
    if len(lines) > MAX_HEADERS:
        raise ParseError("Too Many Header Fields")
    headers, fault = _read_headers(lines)
    message = _read_start_line(start_line, headers)
    if fault:
        raise ParseError(fault, 400, _answerable(message))
    return message


def _lines(head: bytes) -> list[str]:
    """The lines of a head, folded ones joined by a space (RFC 3261 7.3.1)."""
    text = decode_text(head)
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    # A lone CR or LF would end a line for somebody further on, but not for us.
    rest = "".join(lines)
    if "\r" in rest or "\n" in rest:
        raise ParseError("Stray Line Break")
    return lines


def _read_headers(lines: list[str]) -> tuple[Headers, str]:
    """The header fields, and what is wrong with a line that is none ("" when nothing is)."""
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
    if match is not None:
        return Request(match[1], match[2], headers)
    if line[:4].upper() == "SIP/":
        return _read_status_line(line, headers)
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    request = Request(method, uri, headers)
    if _VERSION.fullmatch(version) and version.upper() != "SIP/2.0":
        raise ParseError("Version Not Supported", 505, _answerable(request))
    raise ParseError("Malformed Request-Line", 400, _answerable(request))


def _read_status_line(line: str, headers: Headers) -> Response:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ParseError("Malformed Status-Line")
    return Response(int(match[1]), match[2] or "", headers)


def _read_body(headers: Headers, rest: bytes) -> bytes:
    announced = headers.get("content-length")
    length = len(rest) if announced is None else read_content_length(announced)
    if length > MAX_BODY:
        raise ParseError("Request Entity Too Large", 413)
    if length > len(rest):
        raise ParseError("Body Shorter Than Content-Length")
    return rest[:length]


def _answerable(message: Request | Response) -> Request | None:
    """The message, when a response to it can be sent back: when it says by whom it was sent.

    A refusal copies what is there (RFC 4475 3.3.1). A topmost Via that is broken behind its sent-by
    is cut there (RFC 4475 3.1.2.1), since that alone is needed to find the way back.
    """
    if not isinstance(message, Request) or message.method == "ACK":
        return None
    vias = message.headers.fields.get("via")
    if vias is None:
        return None
    try:
        _ = message.via
    except ParseError:
        sent_by = vias[1][0].partition(";")[0].strip()
        try:
            parse_via(sent_by)
        except ParseError:
            return None
        message.headers.set("via", sent_by)
    return message


# --- validating --------------------------------------------------------------------------------

_SERVED_SCHEMES: Final = ("sip", "sips", "tel")


def validate(message: Request | Response) -> None:
    """Raises ParseError for a received message that must not be served (RFC 3261 8.2, RFC 4475).

    What depends on the configuration of a UAS (methods, extensions, content types, destinations)
    is for the UAS.
    """
    try:
        check_fields(message.headers)
        if isinstance(message, Request):
            _check_request(message)
    except ParseError as error:
        error.request = _answerable(message)
        raise


def _check_request(request: Request) -> None:
    if request.cseq.method != request.method:
        raise ParseError("CSeq Method Mismatch")
    uri = request.request_uri
    if uri.scheme not in _SERVED_SCHEMES:
        raise ParseError("Unsupported URI Scheme", 416)
    if uri.headers:
        raise ParseError("Headers In Request-URI")  # RFC 3261 19.1.1, table 1


# --- answering ---------------------------------------------------------------------------------

_COPIED: Final = (("from", "From"), ("to", "To"), ("call-id", "Call-ID"), ("cseq", "CSeq"))
_MAKES_DIALOG: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


def make_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str | None = None,
) -> Response:
    """A response to `request` (RFC 3261 8.2.6).

    Via, From, To, Call-ID and CSeq are copied as they came, To with `to_tag` unless it has a tag
    (a request that lacks one of them but Via can only be refused, RFC 4475 3.3.1);
    Record-Route goes into what may establish a dialog (12.1.1), Timestamp into a 100.
    """
    response = Response(status, reason_phrase(status) if reason is None else reason, None, body)
    source, fields = request.headers.fields, response.headers.fields
    fields["via"] = ("Via", source["via"][1][:])
    for name, shown in _COPIED:
        if name in source:
            fields[name] = (shown, [source[name][1][0]])
    if to_tag is not None and "to" in fields and not _has_tag(request):
        fields["to"][1][0] += f";tag={to_tag}"
    echoed = "timestamp" if status == 100 else "record-route"
    if echoed in source and (status == 100 or (status < 300 and request.method in _MAKES_DIALOG)):
        fields[echoed] = (wire_name(echoed), source[echoed][1][:])
    response.headers.extend(headers)
    if content_type is not None:
        response.headers.set("content-type", content_type)
    return response


def _has_tag(request: Request) -> bool:
    """Whether To has a tag; one that cannot be read is left alone."""
    try:
        return request.to.tag is not None
    except ParseError:
        return True
