"""What SIP says of media that could not be had."""

from sip.media.plane import MediaError


def media_failure(error: MediaError) -> tuple[int, str]:
    """Status and reason: 488 is the offer's fault, 503 ours."""
    if error.slug == "bad-sdp":
        return 488, "Not Acceptable Here"
    return 503, "Media Unavailable"
