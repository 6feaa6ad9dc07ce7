"""Reliable provisional responses: RFC 3262's header fields, and which response comes next."""

from dataclasses import dataclass

from sip.core.message import Request, Response
from sip.core.value import frozen

#: The option tag.
TAG = "100rel"
#: RFC 3262 7.1: RSeq is below 2**32, and the first one below 2**31.
MAX_RSEQ = 2**32 - 1


@frozen
class RAck:
    """What a PRACK acknowledges (RFC 3262 7.2)."""

    rseq: int
    cseq: int
    method: str

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


def read_rack(request: Request) -> RAck | None:
    """RAck of a PRACK; None where it is missing or cannot be read."""
    match (request.headers.get("rack") or "").split():
        case [rseq, cseq, method] if _number(rseq) is not None and _number(cseq) is not None:
            return RAck(int(rseq), int(cseq), method)
    return None


def read_rseq(response: Response) -> int | None:
    """RSeq of a provisional response that must be acknowledged; None for all others."""
    if not 100 < response.status < 200 or TAG not in response.headers.tokens("require"):
        return None
    return _number((response.headers.get("rseq") or "").strip())


def _number(text: str) -> int | None:
    if not text.isdecimal() or len(text) > 10 or not 0 < int(text) <= MAX_RSEQ:
        return None
    return int(text)


@dataclass(slots=True)
class InOrder:
    """The reliable responses of one early dialog, as the UAC takes them (RFC 3262 4)."""

    last: int | None = None

    def take(self, rseq: int) -> bool:
        """Whether `rseq` is the next one. Repeated ones and those after a gap are dropped."""
        if self.last is not None and rseq != self.last + 1:
            return False
        self.last = rseq
        return True
