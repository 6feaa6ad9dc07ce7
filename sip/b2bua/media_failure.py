"""What SIP says of media that could not be had."""

from typing import Final, NamedTuple

from sip.b2bua.call_events import Cause, Headers
from sip.media.plane import MediaError

#: When to come back, in seconds: calls end, and an engine that died is there again.
RETRY_AFTER_S: Final = 5
_LATER: Final = (("Retry-After", str(RETRY_AFTER_S)),)


class MediaFailure(NamedTuple):
    """A final response without media, and why for the record."""

    status: int
    reason: str
    cause: Cause
    headers: Headers = ()


def media_failure(error: MediaError) -> MediaFailure:
    """488 is the offer's fault, 503 ours, and another gateway's chance."""
    if error.slug == "bad-sdp":
        return MediaFailure(488, "Not Acceptable Here", Cause.MEDIA)
    if error.slug == "no-ports":
        return MediaFailure(503, "Media Ports In Use", Cause.NO_PORTS, _LATER)
    return MediaFailure(503, "Media Unavailable", Cause.MEDIA, _LATER)
