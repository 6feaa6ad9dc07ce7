"""SIP, SIPS and tel URIs (RFC 3261 19.1 and 25.1, RFC 3966)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import quote, unquote_to_bytes

from sip.core.memo import memo
from sip.core.value import frozen, kept
from sip.core.visible import HARMFUL
from sip.errors import ParseError

Params = tuple[tuple[str, str | None], ...]


@frozen
class Uri:
    """One URI.

    sip and sips: `user`, `password` and `params` are kept unescaped (`%00` and other control
    characters stay escapes), `host` without the brackets
    of an IPv6 reference, `headers` as received (the text after `?`). tel: the number is in `user`
    and `host` is empty. Any other scheme: all that follows the colon is in `user`, untouched, and
    `host` is empty.
    """

    scheme: str
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: str = ""

    #: Reads a URI; raises ParseError(400), also for white space around it.
    parse: ClassVar[Callable[[str], Uri]]

    def param(self, name: str) -> str | None:
        """The value of a URI parameter: "" when it stands alone, None when it is absent."""
        return find_param(self.params, name)

    def has_param(self, name: str) -> bool:
        return find_param(self.params, name) is not None

    def with_param(self, name: str, value: str | None = None) -> Uri:
        """The same URI with this parameter, in place of an earlier one of that name."""
        return self.replace(params=set_param(self.params, name, value))

    def replace(self, **changes: Any) -> Uri:
        """The same URI with other values for the named fields."""
        # a third of the time of dataclasses.replace, three times a call
        fields: dict[str, Any] = {
            "scheme": self.scheme,
            "user": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "params": self.params,
            "headers": self.headers,
        }
        fields.update(changes)
        return Uri(**fields)

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, None when absent."""
        value = self.param("transport")
        return value.lower() if value else None

    @property
    def hostport(self) -> str:
        """`host` or `host:port`, as it stands in the URI."""
        return join_hostport(self.host, self.port)

    def __str__(self) -> str:
        return self.text

    @kept
    def text(self) -> str:
        """The URI as it is written, what needs an escape escaped."""
        if self.scheme == "tel":
            return f"tel:{_escape(self.user or '', _TEL_SAFE)}{_params_text(self.params)}"
        if self.scheme not in _READERS:
            return f"{self.scheme}:{self.user}"
        user = ""
        if self.user is not None:
            password = "" if self.password is None else ":" + _escape(self.password, _PASSWORD_SAFE)
            user = f"{_escape(self.user, _USER_SAFE)}{password}@"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.hostport}{_params_text(self.params)}{headers}"


def same_uri(a: Uri, b: Uri) -> bool:
    """Whether two URIs are equal by the rules of RFC 3261 19.1.4.

    Host names and parameters compare without regard to case, users and passwords with it. A port
    that is left out differs from one that is spelt out, the default included.
    """
    return (
        (a.scheme, a.user, a.password, a.host.lower(), a.port)
        == (b.scheme, b.user, b.password, b.host.lower(), b.port)
        and _same_params(a.params, b.params)
        and sorted(a.headers.lower().split("&")) == sorted(b.headers.lower().split("&"))
    )


def find_param(params: Params, name: str) -> str | None:
    """The raw value of a parameter: "" when it has none, None when there is no such parameter."""
    for key, value in params:
        if key == name or key.lower() == name.lower():
            return value or ""
    return None


def set_param(params: Params, name: str, value: str | None) -> Params:
    """`params` with one more, in the place of an earlier one of that name if there is one."""
    if find_param(params, name) is None:
        return (*params, (name, value))
    lowered = name.lower()
    return tuple((name, value) if key.lower() == lowered else (key, old) for key, old in params)


def join_hostport(host: str, port: int | None) -> str:
    """`host[:port]`, an IPv6 address in brackets (RFC 3261 25.1 hostport)."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def bare_host(text: str) -> str:
    """A host without the brackets of an IPv6 reference.

    RFC 5118 4.10: the grammar of RFC 3261 also derives three colons before an embedded IPv4
    address; these are to be accepted, and mean two.
    """
    return text[1:-1].replace(":::", "::") if text.startswith("[") else text


def parse_port(digits: str | None) -> int | None:
    """A port number of 1 to 65535, None for None; raises ParseError(400)."""
    if digits is None:
        return None
    port = int(digits)
    if not 0 < port < 65536:
        raise ParseError("Port Out Of Range")
    return port


#: Characters that need no escape, beyond the letters and digits (RFC 3261 25.1).
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE: Final = "-_.!~*'()&=+$,"
_TEL_SAFE: Final = "-.()*#+"
_PARAM_SAFE: Final = "-_.!~*'()[]/:&+$"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.+-]*+")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f<>\\]|%(?![0-9A-Fa-f]{2})")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
#: A user may hold what the grammar wants escaped, such as the # of a feature code: PBXs send it so.
_SIP: Final = re.compile(
    r"(?:([^@:\"]++)(?::([^@\"]*+))?@)?"  # user, password
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)(?::([0-9]{1,5}))?"  # host, port
    r"((?:;[^;?@]++)*+);?"  # parameters; some senders put one in quotes, or a semicolon at the end
    r"(?:\?([^@\"]++))?"  # headers
)
_TEL: Final = re.compile(r"(\+?[0-9A-Fa-f*#().-]++)((?:;[^;]++)*+);?")


@memo
def _parse_uri(text: str) -> Uri:
    start = _SCHEME.match(text)
    if start is None or _FORBIDDEN.search(text):
        raise ParseError("Malformed URI")
    scheme = start[1].lower()
    reader = _READERS.get(scheme)
    rest = text[start.end() :]
    if reader is not None:
        return reader(scheme, rest)
    if '"' in rest:
        raise ParseError("Malformed URI")
    return Uri(scheme, user=rest)


Uri.parse = _parse_uri


def _read_sip(scheme: str, rest: str) -> Uri:
    match = _SIP.fullmatch(rest)
    if match is None:
        raise ParseError("Malformed URI")
    user, password, host, port, params, headers = match.groups()
    return Uri(
        scheme,
        None if user is None else _unescape(user),
        None if password is None else _unescape(password),
        bare_host(host),
        parse_port(port),
        _read_params(params),
        headers or "",
    )


def _read_tel(scheme: str, rest: str) -> Uri:
    match = _TEL.fullmatch(rest)
    if match is None:
        raise ParseError("Malformed Telephone URI")
    return Uri(scheme, user=match[1], params=_read_params(match[2]))


_READERS: Final[dict[str, Callable[[str, str], Uri]]] = {
    "sip": _read_sip,
    "sips": _read_sip,
    "tel": _read_tel,
}


def _read_params(text: str) -> Params:
    return tuple(_read_param(item) for item in text.split(";")[1:]) if text else ()


def _read_param(item: str) -> tuple[str, str | None]:
    name, equals, value = item.partition("=")
    if not name:
        raise ParseError("Malformed URI Parameter")
    return _unescape(name), _unescape(value) if equals else None


def _params_text(params: Params) -> str:
    if not params:
        return ""
    return "".join(
        f";{_escape(name, _PARAM_SAFE)}"
        if value is None
        else f";{_escape(name, _PARAM_SAFE)}={_escape(value, _PARAM_SAFE)}"
        for name, value in params
    )


def _unescape(text: str) -> str:
    """Without escapes, but for control characters, which are escaped whether they came so or not:
    nobody wants to meet them."""
    plain = decode_text(unquote_to_bytes(text)) if "%" in text else text
    return plain if plain.isprintable() else HARMFUL.sub(_escaped, plain)


def _escaped(match: re.Match[str]) -> str:
    return quote(match[0], errors="replace")


def decode_text(raw: bytes) -> str:
    """UTF-8 as RFC 3261 7 wants it; ISO 8859-1 for the PBXs that send their names in that."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _escape(text: str, safe: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if "%" not in text:
        return quote(text, safe=safe, errors="replace")
    pieces = _KEPT_ESCAPE.split(text)  # each second one is such an escape
    pieces[::2] = [quote(piece, safe=safe, errors="replace") for piece in pieces[::2]]
    return "".join(pieces)


#: What `_unescape` has left as it was.
_KEPT_ESCAPE: Final = re.compile(
    "(%[01][0-9A-F]|%7F|%C2%[89][0-9A-F]|%E2%80%A[89A-E]|%E2%81%A[6-9])"
)
_NEVER_DEFAULTED: Final = ("transport", "user", "ttl", "method", "maddr")


def _same_params(a: Params, b: Params) -> bool:
    """What both have must match, and these five must be in both or in neither."""
    mine, theirs = _folded(a), _folded(b)
    if any((name in mine) != (name in theirs) for name in _NEVER_DEFAULTED):
        return False
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _folded(params: Params) -> dict[str, str]:
    return {name.lower(): (value or "").lower() for name, value in params}


def at_domain(domain: str, user: str | None = None) -> Uri:
    """`sip:user@domain`; `domain` is a name or an address, IPv6 without brackets, or has a port."""
    bare_ipv6 = domain.count(":") > 1 and "[" not in domain
    return Uri.parse(f"sip:[{domain}]" if bare_ipv6 else f"sip:{domain}").replace(user=user)
