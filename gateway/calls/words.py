"""A peer's own words: the headers in which it says why it ended a leg."""

from collections.abc import Mapping
from typing import Final

#: RFC 3326, RFC 3261 20.43, 20.18, 20.33; its X- headers are its own.
_SAYING: Final = frozenset({"reason", "warning", "error-info", "retry-after"})
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


def extension_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """X- headers of a BYE: what Retell reports of the call."""
    return {name: value for name, value in words(headers).items() if name.startswith("x-")}
