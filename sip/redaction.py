"""Takes secrets out of a SIP message before anybody reads it; what is left has the same length, so
that Content-Length holds.

Taken out are the proofs of a digest (RFC 7616), other credentials, passwords in URIs, headers that
identify a trunk, the keys of SRTP and ICE (RFC 4567, RFC 4568, RFC 8839), and the digits of an
INFO, which may be those of a card or a PIN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_PROOF: Final = re.compile(r'\b(response|rspauth)(\s*=\s*"?)([^",\s]+)', re.IGNORECASE)
_SCHEME: Final = re.compile(r"\s*(\S+)\s+(.*)", re.DOTALL)
# begins with the colon, which is found faster than a word in any case
_PASSWORD: Final = re.compile(r'(:(?<=[sS][iI][pP]:|[iI][pP][sS]:)[^\s:@;<>"]+:)([^\s@<>"]+)(?=@)')
#: The same in small letters, of which there is one or none: found faster still.
_PASSWORD_MARK: Final = re.compile(r'sips?:[^\s:@;<>"]+:[^\s@<>"]+@')
#: Lines of a body that hold a secret behind their beginning.
_BODY: Final = re.compile(
    r"^(a=(?:ice-pwd|key-mgmt):|k=\w+:|Signal *[=:] *)([^\r\n|]+)",
    re.MULTILINE | re.IGNORECASE,
)
#: A key of SRTP, of which a line may have several (RFC 4568 6.1), up to what follows it.
_INLINE: Final = re.compile(r"(\binline:)([^\s|;]+)", re.IGNORECASE)
_DIGITS_ALONE: Final = re.compile(
    r"^content-type[ \t]*:[ \t]*application/dtmf[ \t;\r\n]", re.I | re.M
)
#: One of these is in every message whose body holds a secret.
_BODY_MARKS: Final = ("inline:", "ice-pwd:", "key-mgmt:", "\nk=", "signal", "application/dtmf")
_CREDENTIALS: Final = ("authorization", "proxy-authorization", "authentication-info")


class Redaction:
    """`secret_headers` are the names of headers whose values are secrets."""

    def __init__(self, secret_headers: Iterable[str] = ()) -> None:
        secret = (*_CREDENTIALS, *secret_headers)
        self._marks = tuple(name.lower() for name in secret)
        marks = {*self._marks, *_BODY_MARKS}
        #: without those that hold another: "proxy-authorization" holds "authorization"
        self._all_marks = tuple(
            mark for mark in marks if not any(other in mark for other in marks - {mark})
        )
        names = "|".join(map(re.escape, secret))
        self._field = re.compile(
            rf"^({names})([ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE
        )

    def spares(self, text: str) -> bool:
        """Whether nothing in `text`, which may be several messages, looks like a secret: a quick
        look, that `of` need not be asked."""
        lower = text.lower()
        for mark in self._all_marks:
            if mark in lower:
                return False
        return _PASSWORD_MARK.search(lower) is None

    def of(self, message: str) -> str:
        """`message` without its secrets."""
        lower = message.lower()
        head, gap, body = message.partition("\r\n\r\n")
        shown = head
        if any(mark in lower for mark in self._marks):
            shown = self._field.sub(_field, shown)
        if _PASSWORD.search(shown):
            shown = _PASSWORD.sub(_second, shown)
        if body and any(mark in lower for mark in _BODY_MARKS):
            if _DIGITS_ALONE.search(head):
                body = _stars(body)
            body = _INLINE.sub(_second, _BODY.sub(_second, body))
        return shown + gap + body


def _field(found: re.Match[str]) -> str:
    name, colon, value = found.groups()
    scheme = _SCHEME.fullmatch(value)
    if name.lower() not in _CREDENTIALS or scheme is None:
        return name + colon + _stars(value)
    if scheme[1].lower() == "digest" or name.lower() == "authentication-info":
        return (
            name + colon + _PROOF.sub(lambda proof: proof[1] + proof[2] + _stars(proof[3]), value)
        )
    return name + colon + value[: scheme.start(2)] + _stars(scheme[2])


def _second(found: re.Match[str]) -> str:
    return found[1] + _stars(found[2])


def _stars(secret: str) -> str:
    """As many stars as `secret` takes bytes, but for white space."""
    return "".join(
        letter if letter.isspace() else "*" * len(letter.encode(errors="replace"))
        for letter in secret
    )
