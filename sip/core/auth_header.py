"""The authentication header fields (RFC 3261 20.7, 20.27, 20.28, 20.44; RFC 7235 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sip.core.header_values import TOKEN
from sip.errors import ParseError

#: Most challenges or answers of one line: each costs its reader a hash.
MAX_IN_LINE: Final = 4
_SEPARATORS: Final = re.compile(r"[\s,]*+")
_PARAM: Final = re.compile(
    rf'({TOKEN.pattern})\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s",]++))(?=[\s,]|\Z)', re.DOTALL
)
#: What stands alone: a scheme, or a further element of a list that should have been quoted.
_WORD: Final = re.compile(rf"({TOKEN.pattern})(?:(\s++)(?=[^\s,])|\s*+(?=,|\Z))")


@dataclass(frozen=True, slots=True)
class AuthHeader:
    """A challenge or the answer to one: any of the four authentication header fields.

    `params` has lower-case names; values are without their quotes, escapes in them left alone,
    which is the form that digests are made of (RFC 7616 3.3, unq).
    """

    scheme: str
    params: dict[str, str]

    @staticmethod
    def parse(value: str) -> AuthHeader:
        """Reads the first challenge or answer of a line; raises ParseError(400)."""
        return AuthHeader.parse_all(value)[0]

    @staticmethod
    def parse_all(value: str) -> list[AuthHeader]:
        """Reads every challenge or answer of a line, at least one; raises ParseError(400).

        Devices leave the quotes off a list (`qop=auth,auth-int`), write a comma too many or too
        few, and the same parameter twice; two that differ are refused, and so are more than
        `MAX_IN_LINE`.
        """
        found: list[AuthHeader] = []
        unquoted: str | None = None
        at = _next(value, 0)
        while at < len(value):
            match = _PARAM.match(value, at) if found else None
            if match is not None:
                name = match[1].lower()
                unquoted = name if match[2] is None else None
                _put(found[-1].params, name, match[3] if match[2] is None else match[2])
            else:
                match = _WORD.match(value, at)
                if match is None:
                    raise ParseError(_MALFORMED)
                if match[2] and len(found) < MAX_IN_LINE:
                    found.append(AuthHeader(match[1].lower(), {}))
                    unquoted = None
                elif unquoted is not None and not match[2]:
                    found[-1].params[unquoted] += f",{match[1]}"
                else:
                    raise ParseError(_MALFORMED)
            at = _next(value, match.end())
        if not all(header.params for header in found) or not found:
            raise ParseError(_MALFORMED)
        return found


_MALFORMED: Final = "Malformed Authentication Header"


def _next(value: str, at: int) -> int:
    """Where the next item begins."""
    separators = _SEPARATORS.match(value, at)
    return separators.end() if separators else at


def _put(params: dict[str, str], name: str, value: str) -> None:
    if params.setdefault(name, value).lower() != value.lower():
        raise ParseError(_MALFORMED)
