"""Remembers which SIP messages passed, so that a failed call can be explained by its ladder.

Only start lines are kept: no bodies, no digests, no header values.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sip.core.message import Request, Response

#: One call of ours has two or three dialogs; a dialog has some ten messages.
MAX_DIALOGS = 2000
MAX_MESSAGES = 60
#: Longest Call-ID and start line remembered, in characters: a peer may send kilobytes of either.
MAX_CALL_ID = 255
MAX_SUMMARY = 200

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Traced:
    """One message as a ladder shows it; `at` is seconds since 1970, `peer` `udp:192.0.2.1:5060`."""

    at: float
    direction: Direction
    peer: str
    local: str
    summary: str
    sip_call_id: str


_Noted = tuple[float, Direction, object, object, int | None, str, str]
"""As `Trace.add` gets it; of the message the status of a response, its reason or a request's URI,
and the method. One flat tuple: a message is put down many times before one ladder is read."""


class Trace:
    """The last messages of the last dialogs, by SIP Call-ID; bounded in both.

    A dialog begins with an INVITE. What else comes and goes all day, OPTIONS and REGISTER, belongs
    to no call, and would push the calls out.
    """

    def __init__(self, max_dialogs: int = MAX_DIALOGS) -> None:
        self._dialogs: OrderedDict[str, list[_Noted]] = OrderedDict()
        self._max_dialogs = max_dialogs

    def add(
        self,
        at: float,
        direction: Direction,
        peer: object,
        local: object,
        message: Request | Response,
    ) -> None:
        """Remember `message`; `peer` and `local` print as their endpoints."""
        sip_call_id = message.call_id[:MAX_CALL_ID]
        messages = self._dialogs.get(sip_call_id)
        if isinstance(message, Request):
            status, text, method = None, message.uri, message.method
        else:
            status, text, method = message.status, message.reason, message.cseq.method
        if messages is None:
            if method != "INVITE":
                return
            messages = self._dialogs[sip_call_id] = []
            if len(self._dialogs) > self._max_dialogs:
                self._dialogs.popitem(last=False)
        if len(messages) < MAX_MESSAGES:
            messages.append((at, direction, peer, local, status, text[:MAX_SUMMARY], method))

    def ladder(self, sip_call_ids: Iterable[str]) -> list[Traced]:
        """All messages of these dialogs, in the order they passed."""
        found = [
            _traced(noted, sip_call_id)
            for sip_call_id in sip_call_ids
            for noted in self._dialogs.get(sip_call_id[:MAX_CALL_ID], ())
        ]
        return sorted(found, key=lambda traced: traced.at)


def _traced(noted: _Noted, sip_call_id: str) -> Traced:
    at, direction, peer, local, status, text, method = noted
    summary = f"{method} {text}"[:MAX_SUMMARY] if status is None else f"{status} {text} ({method})"
    return Traced(at, direction, str(peer), str(local), summary, sip_call_id)
