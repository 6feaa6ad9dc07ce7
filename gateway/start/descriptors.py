"""Descriptors: calls need them, so the process takes as many as it may, and HTTP a part of them."""

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

#: More than any gateway needs: some programs that we start close every one that there may be.
MOST: Final = 65_536


def raise_limit() -> int:
    """Raise the soft limit of descriptors to the hard one, for us and the media relay; the limit
    that holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else MOST
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("descriptors.not-raised", limit=soft, wanted=wanted, error=str(error))
        return soft
    log.info("descriptors.raised", limit=wanted, before=soft)
    return wanted
