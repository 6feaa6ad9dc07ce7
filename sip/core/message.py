"""SIP messages: requests, responses and their header fields (RFC 3261 7).

A message holds its header values as text. Typed headers are built when they are read, and what
only passes through is never looked at. `sip.core.parser` makes messages out of bytes,
`sip.core.validation` decides whether a received one may be served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sip.core.header_fields import Headers as Headers
from sip.core.header_fields import one_line
from sip.core.header_values import (
    TOKEN,
    CSeq,
    NameAddr,
    Via,
    first_item,
    parse_cseq,
    parse_name_addr,
    parse_via,
    read_max_forwards,
    read_target,
    wire_name,
)
from sip.core.memo import memo
from sip.core.reasons import reason_phrase
from sip.core.uri import Uri
from sip.errors import ParseError

_SPACE: Final = re.compile(r"\s")


class _Message:
    """What requests and responses share.

    The typed accessors parse on reading and raise ParseError(400) when the field is missing or
    malformed; after `validate` those that it checks cannot. Parses are remembered by text, so
    reading is cheap, and a changed header is seen at once.
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
    def target(self) -> tuple[str, Uri] | None:
        """The URI of the first Contact, to the letter and parsed; None as in `contact`.

        It is read where `contact` cannot be, as it is where requests in a dialog go.
        """
        line = self.headers.get("contact")
        return None if line in (None, "*") else read_target(line)

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
        """The Request-URI; raises ParseError(400) when it cannot be read."""
        return Uri.parse(self.uri)

    def _start_line(self) -> str:
        if _SPACE.search(self.uri) or not TOKEN.fullmatch(self.method):
            raise ValueError("a method must be a token and a Request-URI without white space")
        return f"{self.method} {self.uri} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


_TAG: Final = re.compile(rf";\s*+tag\s*+=\s*+({TOKEN.pattern})", re.IGNORECASE)


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

    @property
    def to_tag(self) -> str | None:
        """The tag in To, also where the rest of that field is broken."""
        try:
            return self.to.tag
        except ParseError:
            match = _TAG.search(self.headers.get("to") or "")
            return match[1] if match else None

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {one_line(self.reason)}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


class MessageError(ParseError):
    """A received message that must be refused.

    `request` is the message as far as it could be read, present when that is enough to answer it:
    a request other than ACK, whose Via names its sender. Without it the bytes are dropped.
    """

    def __init__(
        self, reason: str, status: int = 400, message: Request | Response | None = None
    ) -> None:
        super().__init__(reason, status)
        self.request = None if message is None else answerable(message)


def answerable(message: Request | Response) -> Request | None:
    """The message, when a response to it can be sent back: when its Via names its sender.

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
        # some end it with a semicolon, which is read over; two together nobody could read
        fields["to"][1][0] = fields["to"][1][0].rstrip("; \t") + f";tag={to_tag}"
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
