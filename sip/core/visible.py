"""Text of a peer that nobody is harmed by who looks at it: in a log, a terminal, a store.

NUL ends a text for some programs and stops others; ESC and its kin move a terminal's cursor; the
marks that turn the direction of writing make one name look like another.
"""

from __future__ import annotations

import re
from typing import Final

#: Stands for a character that must not be there.
REPLACEMENT: Final = "\ufffd"
#: Control characters but the tabulator, ends of lines and paragraphs, changes of direction, and
#: halves of characters.
HARMFUL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with a sign of its own in place of each harmful character."""
    return text if text.isprintable() else HARMFUL.sub(REPLACEMENT, text)
