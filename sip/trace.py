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


_StartLine = tuple[int | None, str, str]
"""The status of a response, its reason or a request's URI, and the method."""
_Noted = tuple[float, Direction, object, object, _StartLine]


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
        line = _start_line(message)
        if messages is None:
            if line[-1] != "INVITE":
                return
            messages = self._dialogs[sip_call_id] = []
            if len(self._dialogs) > self._max_dialogs:
                self._dialogs.popitem(last=False)
        if len(messages) < MAX_MESSAGES:
            messages.append((at, direction, peer, local, line))

    def ladder(self, sip_call_ids: Iterable[str]) -> list[Traced]:
        """All messages of these dialogs, in the order they passed."""
        found = [
            Traced(at, direction, str(peer), str(local), _summary(*line), sip_call_id)
            for sip_call_id in sip_call_ids
            for at, direction, peer, local, line in self._dialogs.get(sip_call_id[:MAX_CALL_ID], ())
        ]
        return sorted(found, key=lambda traced: traced.at)


def _start_line(message: Request | Response) -> _StartLine:
    """What `_summary` needs: a message is put down many times before one ladder is read."""
    if isinstance(message, Request):
        return None, message.uri[:MAX_SUMMARY], message.method
    return message.status, message.reason[:MAX_SUMMARY], message.cseq.method


def _summary(status: int | None, text: str, method: str) -> str:
    if status is None:
        return f"{method} {text}"[:MAX_SUMMARY]
    return f"{status} {text} ({method})"
