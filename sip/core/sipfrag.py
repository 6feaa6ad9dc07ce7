"""Bodies of type ``message/sipfrag``: how far what a REFER asked for is (RFC 3420, RFC 3515 2.4.4).

What is written is a status line. What is read may have header fields behind it, or lack the version
of SIP, as some peers have it.
"""

from __future__ import annotations

import re
from typing import Final

from sip.core.body import Body
from sip.core.header_fields import one_line
from sip.core.reasons import reason_phrase
from sip.core.uri import decode_text
from sip.core.value import frozen
from sip.core.visible import visible
from sip.errors import ParseError

KIND: Final = "message/sipfrag"

_STATUS_LINE: Final = re.compile(
    r"(?:SIP[ \t]*/[ \t]*[0-9.]+[ \t]+)?([1-6][0-9]{2})(?:[ \t]+(.*))?", re.IGNORECASE | re.ASCII
)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@frozen
class Status:
    """A status of 100 to 699, and its reason phrase."""

    status: int
    reason: str

    @property
    def final(self) -> bool:
        """Whether nothing follows it."""
        return self.status >= 200


def write(status: Status) -> Body:
    """The body that says `status`."""
    line = f"SIP/2.0 {status.status} {one_line(status.reason)}\r\n"
    return Body(f"{KIND};version=2.0", line.encode(errors="replace"))


def read(body: bytes) -> Status:
    """The status that a body says; a phrase that is missing is the usual one.

    Raises ParseError(400) for a body that does not begin with one.
    """
    text = decode_text(body).lstrip()
    line = _LINE_END.split(text, maxsplit=1)[0].strip()
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ParseError("No Status In Body")
    number = int(match[1])
    return Status(number, visible((match[2] or "").strip()) or reason_phrase(number))
