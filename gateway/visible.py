"""Text from elsewhere that moves no terminal's cursor: what a peer, or a store, may have in it."""

import re
from typing import Any, Final

#: Control characters but the tabulator, ends of lines and paragraphs, changes of direction, and
#: halves of characters.
_HARMFUL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with a sign in place of each harmful character, and no line end behind it."""
    return text if text.isprintable() else _HARMFUL.sub("\ufffd", text.rstrip("\r\n"))


def all_visible(value: Any) -> Any:
    """The same of every text in what was read from JSON."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): all_visible(item) for key, item in value.items()}
    if isinstance(value, list):
        return [all_visible(item) for item in value]
    return value
