"""When an event is told again that was not heard, and when it is given up."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from gateway.storage.callbacks import Callback

#: Seconds until the second try; each further wait is twice as long, up to the longest.
FIRST_S: Final = 1.0
LONGEST_S: Final = 3600.0
#: The part of a wait that chance adds, so that what failed together comes back one by one.
SPREAD: Final = 0.2
DAY_MS: Final = 86_400_000


def after_failure(
    callback: Callback,
    *,
    now_ms: int,
    status: int | None,
    error: str,
    retry_after_s: float | None,
    keep_trying_days: float,
    chance: float,
) -> Callback:
    """The event after one more try that failed: due again, or dead. `chance` is from 0 to 1.

    410 says that nobody will ever hear it (RFC 9110 15.5.11). A receiver that says when to come
    again (Retry-After) is believed, up to the longest wait.
    """
    tries = callback.tries + 1
    wait_s = min(FIRST_S * 2.0 ** min(callback.tries, 20), LONGEST_S) * (1 + SPREAD * chance)
    wait_s = max(wait_s, min(retry_after_s or 0.0, LONGEST_S))
    given_up = status == HTTPStatus.GONE
    given_up = given_up or now_ms - callback.since_ms >= keep_trying_days * DAY_MS
    return replace(
        callback,
        state="dead" if given_up else "waiting",
        tries=tries,
        due_ms=now_ms + round(wait_s * 1000),
        status=status,
        error=error,
    )
