"""Header fields with a structure, and the names of all (RFC 3261 7.3, 20, 25)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from sip.core.memo import memo
from sip.core.uri import (
    Params,
    Uri,
    bare_host,
    find_param,
    join_hostport,
    parse_port,
    set_param,
)
from sip.core.value import frozen, kept
from sip.errors import ParseError

# --- names -----------------------------------------------------------------------------------

#: Compact forms, from the IANA registry of SIP header fields.
COMPACT: Final = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires",
    "y": "identity",
}  # fmt: skip

_UNUSUAL_CAPITALS: Final = {
    "call-id": "Call-ID", "cseq": "CSeq", "mime-version": "MIME-Version", "rack": "RAck",
    "rseq": "RSeq", "sip-etag": "SIP-ETag", "sip-if-match": "SIP-If-Match", "min-se": "Min-SE",
    "www-authenticate": "WWW-Authenticate",
}  # fmt: skip

#: token of RFC 3261 25.1: methods, header names, tags.
TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]++")


@memo
def canonical(name: str) -> str:
    """The name of a header field in lower case and full: "i" and "Call-Id" give "call-id"."""
    lowered = name.strip(" \t").lower()
    return COMPACT.get(lowered, lowered)


@memo
def wire_name(name: str) -> str:
    """The conventional spelling of a lower-case name: "call-id" gives "Call-ID"."""
    return _UNUSUAL_CAPITALS.get(name) or "-".join(part.capitalize() for part in name.split("-"))


# --- the common grammar ----------------------------------------------------------------------

_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_QUOTED_STRING: Final = re.compile(_QUOTED, re.DOTALL)
_COMMA_ITEM: Final = re.compile(rf'((?:[^,"<]|{_QUOTED}|<[^<>]*+>)*+)(?:,|$)', re.DOTALL)
_PARAM: Final = re.compile(
    rf'\s*+;\s*+([^\s;,="<>]++)(?:\s*+=\s*+({_QUOTED}|[^\s;,"<>]++))?+\s*+', re.DOTALL
)
_BARE_VALUE: Final = re.compile(r'[^\s;,"<>]++')
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


def split_commas(value: str) -> list[str]:
    """The elements of a comma-separated value (RFC 3261 7.3.1), blank ones left out.

    Commas in quotes or angle brackets do not count. Raises ParseError(400) for one of these that
    does not close.
    """
    plain = '"' not in value and "<" not in value
    items = value.split(",") if plain else _split_quoted(value)
    return [item for item in map(str.strip, items) if item]


def first_item(value: str) -> str:
    """The first element of a comma-separated value; raises ParseError(400) when there is none."""
    if "," not in value:
        return value
    items = split_commas(value)
    if not items:
        raise ParseError("Empty List")
    return items[0]


def _split_quoted(value: str) -> list[str]:
    items: list[str] = []
    at = 0
    while at < len(value):
        match = _COMMA_ITEM.match(value, at)
        if match is None:
            raise ParseError("Unbalanced Quote Or Bracket")
        items.append(match[1])
        at = match.end()
    return items


def parse_params(text: str | None) -> Params:
    """`;name=value;flag` as pairs, quoted values kept in their quotes; raises ParseError(400).

    One semicolon at the end, which some senders leave, says nothing.
    """
    if not text:
        return ()
    params: list[tuple[str, str | None]] = []
    at, end = 0, len(text)
    while at < end:
        match = _PARAM.match(text, at)
        if match is None:
            if text[at:].strip() == ";":
                break
            raise ParseError("Malformed Header Parameter")
        params.append((match[1], match[2]))
        at = match.end()
    return tuple(params)


def params_text(params: Params) -> str:
    """The inverse of `parse_params`."""
    if not params:
        return ""
    return "".join(f";{k}" if v is None else f";{k}={v}" for k, v in params)


def quote(text: str) -> str:
    """`text` as a quoted-string (RFC 3261 25.1)."""
    return f'"{escape(text)}"'


def escape(text: str) -> str:
    """`text` as it stands between the quotes of a quoted-string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def unquote(text: str) -> str:
    """The text of a quoted-string, or the text itself when it is not one."""
    return unescape(text[1:-1]) if text[:1] == '"' else text


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _QUOTED_PAIR.sub(r"\1", text) if "\\" in text else text


def parse_uint(text: str, maximum: int, what: str) -> int:
    """A decimal number of 0 to `maximum`; raises ParseError(400) naming `what`."""
    # The length is checked first: int() refuses thousands of digits with another error.
    if not (text.isdecimal() and text.isascii()) or len(text) > 64 or int(text) > maximum:
        raise ParseError(f"Malformed {what}")
    return int(text)


# --- the typed fields ------------------------------------------------------------------------


class _Parameterised:
    """What fields with `;name=value` parameters share. `params` holds values as on the wire."""

    params: Params

    def param(self, name: str) -> str | None:
        """A parameter, unquoted: "" when it has no value, None if absent."""
        value = find_param(self.params, name)
        return unquote(value) if value and value[0] == '"' else value


@frozen
class Via(_Parameterised):
    """One hop of the way back (RFC 3261 20.42). `host` is without the brackets of IPv6."""

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    @kept
    def branch(self) -> str | None:
        """The transaction identifier, None from RFC 2543 peers."""
        return self.param("branch")

    @property
    def received(self) -> str | None:
        """Where the request came from, as the receiver noted it (RFC 3261 18.2.1).

        An IPv6 address is without brackets, which senders may or may not put (RFC 5118 4.5).
        """
        value = self.param("received")
        return bare_host(value) if value else value

    @property
    def rport(self) -> str | None:
        """The source port (RFC 3581): "" when asked for, None when not."""
        return self.param("rport")

    def with_param(self, name: str, value: str | None = None) -> Via:
        """The same Via with this parameter, in place of an earlier one of that name."""
        params = set_param(self.params, name, _wire_value(value))
        return Via(self.transport, self.host, self.port, params)

    def __str__(self) -> str:
        hostport = join_hostport(self.host, self.port)
        return f"SIP/2.0/{self.transport} {hostport}{params_text(self.params)}"


@frozen
class NameAddr(_Parameterised):
    """From, To, Contact, Route, Record-Route, P-Asserted-Identity… (RFC 3261 20.10).

    `display_name` is without quotes and escapes, None when there is none.
    """

    display_name: str | None
    uri: Uri
    params: Params = ()

    @kept
    def tag(self) -> str | None:
        """What tells one party's dialogs apart (RFC 3261 19.3), None where there is none yet."""
        return self.param("tag")

    def with_param(self, name: str, value: str | None = None) -> NameAddr:
        """The same address with this header parameter, in place of an earlier one of that name."""
        params = set_param(self.params, name, _wire_value(value))
        return NameAddr(self.display_name, self.uri, params)

    def __str__(self) -> str:
        return self.text

    @kept
    def text(self) -> str:
        """The address as it is written, its URI between angle brackets."""
        name = "" if self.display_name is None else f"{_shown_name(self.display_name)} "
        return f"{name}<{self.uri.text}>{params_text(self.params)}"


@frozen
class CSeq:
    """RFC 3261 20.16: `number` is below 2**31."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


_VIA: Final = re.compile(
    rf"\s*+[Ss][Ii][Pp]\s*+/\s*+{TOKEN.pattern}\s*+/\s*+({TOKEN.pattern})"  # version, transport
    r"\s++(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)(?:\s*+:\s*+([0-9]{1,5}))?+\s*+"  # sent-by
    r"(;.*+)?",
    re.DOTALL,
)
#: The display name may be more than tokens: senders leave out quotes round "J. O'Neil (desk)" and
#: round names that are not ASCII. What would make it ambiguous stays refused (RFC 4475 3.1.2.15).
_NAME_ADDR: Final = re.compile(
    rf"\s*+(?:({_QUOTED})|([^\"<>,;\\\x00-\x08\x0a-\x1f]*+))\s*+<([^<>]*+)>\s*+(;.*+)?", re.DOTALL
)
#: What should have been quoted, or escaped between its quotes: plain as long as no other address,
#: and no quote that is left open (RFC 4475 3.1.2.15), stands before the URI.
_ODD_NAME_ADDR: Final = re.compile(
    r"\s*+(?:\"([^<>]*)\"|([^\"<>@]*+))\s*+<([^<>]*+)>\s*+(;.*+)?", re.DOTALL
)
#: An address between others that cannot be read.
_BRACKETED: Final = re.compile(r"(<[^<>]*+>[^,<>]*+)")
#: Without <> all after a semicolon belongs to the field, and , and ? are refused (RFC 3261 20.10).
_ADDR_SPEC: Final = re.compile(r'\s*+([^\s<>",;?]++)\s*+(;.*+)?', re.DOTALL)
#: The first URI of Contact, whatever stands around it.
_TARGET: Final = re.compile(
    rf'\s*+(?:(?:[^"<>,]|{_QUOTED})*+<([^<>]++)>|([^\s<>",;?]++))', re.DOTALL
)
_CSEQ: Final = re.compile(rf"([0-9]++)\s++({TOKEN.pattern})")


@memo
def parse_via(value: str) -> Via:
    """One Via element; raises ParseError(400)."""
    match = _VIA.fullmatch(value)
    if match is None:
        raise ParseError("Malformed Via")
    transport, host, port, params = match.groups()
    return Via(transport.upper(), bare_host(host), parse_port(port), parse_params(params))


@memo
def parse_name_addr(value: str) -> NameAddr:
    """One address with its parameters, with or without <>; raises ParseError(400)."""
    match = _NAME_ADDR.fullmatch(value)
    if match is not None:
        quoted, plain, uri, params = match.groups()
        name = (plain.strip() or None) if quoted is None else unquote(quoted)
        return NameAddr(name, Uri.parse(uri), parse_params(params))
    match = _ODD_NAME_ADDR.fullmatch(value)
    if match is not None:
        quoted, plain, uri, params = match.groups()
        name = plain.strip() if quoted is None else unescape(quoted).rstrip("\\")
        return NameAddr(name, Uri.parse(uri), parse_params(params))
    match = _ADDR_SPEC.fullmatch(value)
    if match is None:
        raise ParseError("Malformed Address")
    return NameAddr(None, Uri.parse(match[1]), parse_params(match[2]))


@memo
def read_target(value: str) -> tuple[str, Uri]:
    """The first URI of a Contact, to the letter and parsed; raises ParseError(400).

    Where requests in a dialog go (RFC 3261 12.1) is all that we need of it: a display name or
    parameters that break the grammar do not matter.
    """
    match = _TARGET.match(value)
    text = "" if match is None else match[1] or match[2]
    try:
        return text, Uri.parse(text)
    except ParseError:
        raise ParseError("Malformed Contact") from None


def parse_name_addrs(values: Iterable[str]) -> list[NameAddr]:
    """Every address of a field that may be repeated or comma-separated; raises ParseError(400)."""
    return [parse_name_addr(item) for value in values for item in split_commas(value)]


def readable_addresses(values: Iterable[str]) -> list[NameAddr]:
    """Every address that can be read: of a field that is only as good as what it tells."""
    found: list[NameAddr] = []
    for value in values:
        try:
            found += parse_name_addrs((value,))
        except ParseError:
            found += _plain_to_see(value)
    return found


def _plain_to_see(value: str) -> Iterable[NameAddr]:
    with suppress(ParseError):
        return (parse_name_addr(value),)
    found = []
    for address in _BRACKETED.findall(value):
        with suppress(ParseError):
            found.append(parse_name_addr(address))
    return found


@memo
def parse_cseq(value: str) -> CSeq:
    """The sequence number and method; raises ParseError(400)."""
    match = _CSEQ.fullmatch(value)
    if match is None:
        raise ParseError("Malformed CSeq")
    return CSeq(parse_uint(match[1], 2**31 - 1, "CSeq"), match[2])


@memo
def read_max_forwards(line: str) -> int:
    """0 to 255 (RFC 3261 20.22)."""
    return parse_uint(line, 255, "Max-Forwards")


@memo
def read_content_length(line: str) -> int:
    """Bytes (RFC 3261 20.14)."""
    return parse_uint(line, 2**32 - 1, "Content-Length")


def _wire_value(value: str | None) -> str | None:
    if value is None or _BARE_VALUE.fullmatch(value) or _QUOTED_STRING.fullmatch(value):
        return value
    return quote(value)


_DISPLAY_TOKENS: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+(?: [A-Za-z0-9.!%*_+`'~-]+)*")


def _shown_name(name: str) -> str:
    return name if _DISPLAY_TOKENS.fullmatch(name) else quote(name)
