"""Errors of the SIP core, and whose fault they are.

SipError
└── ParseError    the peer's fault: what it sent is not SIP, or not SIP that may be served
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sip.core.message import Request


class SipError(Exception):
    """Base of everything that the SIP stack raises on purpose."""


class ParseError(SipError):
    """Received bytes that must be refused.

    `status` is what a UAS answers (400, 413, 416, 505, 513; RFC 3261 21.4) and `reason` the
    phrase for its status line. `request` is the request as far as it could be read, present when
    that is enough to answer it: when its Via says by whom it was sent, and it is no ACK; without
    it the bytes are dropped.
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.request = request

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"
