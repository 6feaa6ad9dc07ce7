"""REFER: whom to call, by whose wish, in whose place (RFC 3515, RFC 3892, RFC 4488).

Peers write Refer-To in many ways: with and without brackets, as a bare number, without a host. All
that says plainly whom to call is read.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from sip.core.header_values import (
    TOKEN,
    NameAddr,
    parse_name_addr,
    parse_params,
    split_commas,
)
from sip.core.message import Request, Response
from sip.core.replaces import Replaces, parse_replaces
from sip.core.uri import Uri, decode_text
from sip.core.value import frozen
from sip.core.visible import HARMFUL
from sip.errors import ParseError

#: The option tag of a peer that wants no NOTIFY (RFC 4488).
NO_SUBSCRIPTION: Final = "norefersub"
#: The event package of the NOTIFYs (RFC 3515 3.1).
PACKAGE: Final = "refer"

_SCHEMES: Final = ("sip", "sips", "tel")
#: An address between brackets, whatever its name.
_NAME_ADDR: Final = re.compile(
    r'(?:[^"<>]|"(?:[^"\\]|\\.)*+")*+<\s*+([^<>]*+)>\s*+(;.*+)?', re.DOTALL
)
_NUMBER: Final = re.compile(r"[+0-9*#.()-]*[0-9*#][+0-9*#.()-]*")
#: A SIP URI without a host: a number alone, of which nobody's host name consists.
_HOSTLESS: Final = re.compile(r"(sips?):((?:[+0-9*#.()-]|%23|%2a)+)@?([;?].*)?", re.IGNORECASE)
_ALL_DIGITS: Final = re.compile(r"[0-9]+")


@frozen(kw_only=True)
class ReferTo:
    """Whom to call.

    `text` is the value as it came. `uri` is a sip, sips or tel URI without header fields and
    method, which no Request-URI has (RFC 3261 19.1.1); its `host` is empty where the peer named a
    number and no host. `headers` are the fields that the INVITE is asked to have (19.1.5), but for
    Replaces.
    """

    text: str
    uri: Uri
    replaces: Replaces | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def user(self) -> str:
        """The number or name that is to be called; "" where there is none."""
        return self.uri.user or ""


@frozen(kw_only=True)
class ReferredBy:
    """Who wishes it (RFC 3892): `text` as it came, and the address, None if it cannot be read."""

    text: str
    address: NameAddr | None

    @property
    def user(self) -> str:
        """The number or name of who wishes it; "" where it is not known."""
        return "" if self.address is None else self.address.uri.user or ""


@frozen(kw_only=True)
class Refer:
    """What a REFER asks for. `headers` are its X- headers and User-to-User.

    `subscribes` is false where the peer wants no NOTIFYs.
    """

    refer_to: ReferTo
    referred_by: ReferredBy | None = None
    headers: tuple[tuple[str, str], ...] = ()
    user_agent: str | None = None
    subscribes: bool = True


def read_refer(request: Request) -> Refer:
    """What `request` asks for.

    Raises ParseError: 400 where it does not say whom to call, 416 for a kind of URI that cannot be
    called, 501 for one that is to be asked otherwise than by INVITE.
    """
    lines = request.headers.get_all("refer-to")
    if not lines:
        raise ParseError("Missing Refer-To")
    if len(lines) > 1:
        raise ParseError("More Than One Refer-To")
    wishes = request.headers.get("referred-by")
    return Refer(
        refer_to=parse_refer_to(lines[0]),
        referred_by=None if wishes is None else _referred_by(wishes),
        headers=tuple(
            (name, value)
            for key, (name, values) in request.headers.fields.items()
            if key[:2] == "x-" or key == "user-to-user"
            for value in values
        ),
        user_agent=request.headers.get("user-agent"),
        subscribes=not says_no_subscription(request),
    )


def parse_refer_to(value: str) -> ReferTo:
    """One Refer-To value; raises ParseError as `read_refer` does.

    What stands without brackets is a URI to its end: peers leave the brackets out where RFC 3261
    20.10 wants them.
    """
    text = value.strip()
    if len(split_commas(text)) != 1:
        raise ParseError("More Than One Refer-To" if text else "Missing Refer-To")
    written = text
    if "<" in text:
        match = _NAME_ADDR.fullmatch(text)
        if match is None:
            raise ParseError("Malformed Refer-To")
        parse_params(match[2])
        written = match[1].strip()
    address, fields = _without_fields(written)
    uri = _read_uri(address)
    if uri.scheme not in _SCHEMES:
        raise ParseError("Unsupported URI Scheme", 416)
    if (uri.param("method") or "INVITE").upper() != "INVITE":
        raise ParseError("Refer-To Method Not Implemented", 501)
    headers = _embedded(fields)
    replaces = [content for name, content in headers if name.lower() == "replaces"]
    if len(replaces) > 1:
        raise ParseError("More Than One Replaces")
    return ReferTo(
        text=text,
        uri=uri.replace(
            headers="", params=tuple(one for one in uri.params if one[0].lower() != "method")
        ),
        replaces=parse_replaces(replaces[0]) if replaces else None,
        headers=tuple(field for field in headers if field[0].lower() != "replaces"),
    )


def says_no_subscription(message: Request | Response) -> bool:
    """Whether a REFER or the 2xx to it says that no NOTIFY is wanted, or comes (RFC 4488)."""
    line = message.headers.get("refer-sub") or ""
    return line.partition(";")[0].strip().lower() == "false"


def _without_fields(text: str) -> tuple[str, str]:
    """A URI, and the header fields behind it: peers leave the @ of a Call-ID there unescaped."""
    mark = text.find("?", text.find("@") + 1)
    return (text, "") if mark < 0 else (text[:mark], text[mark + 1 :])


def _read_uri(text: str) -> Uri:
    if _NUMBER.fullmatch(text):
        return Uri("sip", user=text)
    match = _HOSTLESS.fullmatch(text)
    if match is not None:
        scheme, user, rest = match.groups()
        if _ALL_DIGITS.fullmatch(user) or not _is_address(user):
            found = Uri.parse(f"{scheme}:{user}@host.invalid{rest or ''}")
            return found.replace(host="")
    return Uri.parse(text)


def _is_address(text: str) -> bool:
    """Whether it may be an IPv4 address: then it is a host."""
    parts = text.split(".")
    return len(parts) == 4 and all(map(_ALL_DIGITS.fullmatch, parts))


def _embedded(text: str) -> tuple[tuple[str, str], ...]:
    """The header fields of a URI: what is behind its question mark, unescaped."""
    fields = []
    for item in filter(None, text.split("&")):
        name, _, content = (decode_text(unquote_to_bytes(part)) for part in item.partition("="))
        if not TOKEN.fullmatch(name) or HARMFUL.search(content):
            raise ParseError("Malformed Header In Refer-To")
        fields.append((name, content.strip()))
    return tuple(fields)


def _referred_by(value: str) -> ReferredBy:
    """RFC 3892 3: one that cannot be read is told as it is, and refuses nothing."""
    try:
        return ReferredBy(text=value, address=parse_name_addr(value))
    except ParseError:
        return ReferredBy(text=value, address=None)
