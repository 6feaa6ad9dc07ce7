"""Whom a transfer asks for: a number, an extension, a name or a URI, as agents and REFERs write it.

Nothing here is dialled: what is read is looked up in `gateway/calls/directory.py`.
"""

import re
from typing import Final
from urllib.parse import unquote

from gateway.calls.numbers import e164
from gateway.value import frozen

#: RFC 3261 20.10: a name, in quotes or not, and the URI in angle brackets.
_NAME_ADDR: Final = re.compile(r'(?:[^<"]|"(?:[^"\\]|\\.)*+")*+<([^>]*)>', re.DOTALL)
_URI: Final = re.compile(r"(sips?|tel):(.*)", re.IGNORECASE | re.DOTALL)
#: An extension or a name, of characters that nobody takes for another kind of address.
_EXTENSION: Final = re.compile(r"[\w.*#+-]+")
#: So many digits may be a telephone number, in one form or another: what stands before it to get an
#: outside line, or another country, is the PBX's own.
_MANY_DIGITS: Final = 7
#: No user part that a peer may send is longer.
_LONGEST: Final = 256


@frozen
class Asked:
    """Who is asked for, without escapes, and the host that stood with it, in lower case."""

    user: str
    host: str | None = None


def asked_for(text: str) -> Asked:
    """What a Refer-To, a function's argument or a command names. Never fails: what makes no sense
    is the name of nobody."""
    text = text.strip()
    bracketed = _NAME_ADDR.match(text)
    if bracketed:
        text = bracketed[1].strip()
    uri = _URI.fullmatch(text)
    if uri is None:
        return Asked(text[:_LONGEST])
    if uri[1].lower() == "tel":
        return Asked(_unescaped(uri[2]))
    user, at, rest = _without_fields(uri[2]).rpartition("@")
    if not at:
        return Asked(_unescaped(rest))
    # a password after the user's name is nobody's business (RFC 3261 19.1.1)
    return Asked(_unescaped(user).partition(":")[0], _host(rest))


def is_extension(user: str) -> bool:
    """Whether a PBX can take it for nothing but a phone or a queue of its own."""
    digits = sum(map(str.isdecimal, user))
    return _EXTENSION.fullmatch(user) is not None and digits < _MANY_DIGITS


def key_of(user: str, country: str | None) -> str:
    """What is compared: a number in E.164, else the name without case and needless blanks."""
    return e164(user, country) or " ".join(user.split()).casefold()


def _without_fields(rest: str) -> str:
    """Without the header fields of a SIP URI, in which peers leave the @ of a Call-ID as it is.
    A user may have a question mark (RFC 3261 25.1)."""
    mark = rest.find("?", rest.find("@") + 1)
    return rest if mark < 0 else rest[:mark]


def _unescaped(user: str) -> str:
    """Without parameters, such as those of a telephone number (RFC 3966 3), and escapes."""
    return unquote(re.split(r"[;?]", user, maxsplit=1)[0]).strip()[:_LONGEST]


def _host(rest: str) -> str:
    """Host of `host:port;parameters?headers`."""
    authority = re.split(r"[;?]", rest, maxsplit=1)[0].strip().lower()
    if authority.startswith("["):
        return authority.partition("]")[0].lstrip("[")
    return authority.partition(":")[0]
