"""Writes SIP messages into the log, without their secrets, where an operator wants to see them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from sip.core.message import Request, Response
    from sip.redaction import Redaction
    from sip.trace import Direction

log = structlog.get_logger(__name__)


class MessageLog:
    """`every` message is logged, or for those that watch single calls, each at debug."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        #: whether anybody wants to see any
        self.wanted = False
        self._every = False

    def configure(self, *, every: bool, watching: bool) -> None:
        """What is wanted from now on: `every` message, or those of calls that are watched."""
        self._every = every
        self.wanted = every or watching

    def add(
        self, direction: Direction, peer: object, local: object, message: Request | Response
    ) -> None:
        """Log a message that came (`in`) or goes (`out`)."""
        log.log(
            logging.INFO if self._every else logging.DEBUG,
            "message.sip",
            direction=direction,
            peer=str(peer),
            local=str(local),
            sip_call_id=message.call_id,
            message=self._redaction.of(message.to_bytes().decode(errors="replace")),
            **_parties(message),
        )


def _parties(message: Request | Response) -> dict[str, str]:
    """Who calls whom, as far as it can be read."""
    try:
        return {"from": message.from_.uri.user or "", "to": message.to.uri.user or ""}
    except ValueError:
        return {}
