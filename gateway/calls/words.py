"""A peer's own words: the headers in which it says why it ended a leg."""

from collections.abc import Mapping
from typing import Final

#: RFC 3326, RFC 3261 20.43, 20.18, 20.33, RFC 8688; its X- headers are its own.
_SAYING: Final = frozenset({"reason", "warning", "error-info", "retry-after", "call-info"})
#: Codes that say by Call-Info who blocked a call (RFC 8688 4).
_BLOCKED: Final = frozenset({607, 608})
#: The longest of them that is kept, in characters.
MAX_WORDS: Final = 500


def words(headers: Mapping[str, object]) -> dict[str, str]:
    """Reason, Warning and the like, and X- headers. jambonz turned their names into snake_case;
    hyphens are restored."""
    found = {
        name.replace("_", "-").lower(): value[:MAX_WORDS]
        for name, value in headers.items()
        if isinstance(value, str)
    }
    return {
        name: value for name, value in found.items() if name in _SAYING or name.startswith("x-")
    }


def passed_on(said: Mapping[str, str], code: int) -> dict[str, str]:
    """Of a callee's side's words those that go back to the caller's side with the same `code`."""
    names = {"reason": "Reason"} | ({"call-info": "Call-Info"} if code in _BLOCKED else {})
    return {
        written: said[name]
        for name, written in names.items()
        if name in said and said[name].isprintable() and len(said[name]) < MAX_WORDS
    }


def extension_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """X- headers of a BYE: what Retell reports of the call."""
    return {name: value for name, value in words(headers).items() if name.startswith("x-")}
