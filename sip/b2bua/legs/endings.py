"""Why a leg ended or never came up, as far as messages or their absence tell."""

from sip.b2bua.call_events import Cause, Headers
from sip.core.message import Request, Response
from sip.ua.transaction import Failure

#: RFC 3326; RFC 3261 20.33, 20.43, 20.18; RFC 8688 4: who blocked a call, and whom to ask about it.
_SAYING = frozenset({"reason", "retry-after", "warning", "error-info", "call-info"})


def passing_headers(message: Request | Response) -> Headers:
    """Headers that tell the application why a leg ended: X-* and those of `_SAYING`."""
    return tuple(
        (name, value)
        for key, (name, lines) in message.headers.fields.items()
        if key[:2] == "x-" or key in _SAYING
        for value in lines
    )


def failure_status(failure: Failure) -> tuple[int, str, Cause]:
    """RFC 3261 8.1.3.1: what no response at all counts as."""
    match failure:
        case Failure.TIMEOUT:
            return 408, "Request Timeout", Cause.SILENT
        case Failure.UNREACHABLE:
            return 503, "Service Unavailable", Cause.UNREACHABLE
