"""A wish to have somebody called, before it is a queued call."""

from gateway.storage.queued_call import RetryPolicy
from gateway.storage.wanted import Wanted
from gateway.value import frozen


@frozen(kw_only=True)
class Wish:
    """`priority` is -10 to 10, the higher the earlier. Times are milliseconds since 1970.

    What is not said is the configuration's (`outbound.queue`): `expires_ms`, `retries` and
    `window`, a name in `schedules` that is read by the clock of `time_zone`, else by all those
    that the number may be in; an empty one is no window. `queued_id` makes a second wish of the
    same id an error.
    """

    wanted: Wanted
    priority: int = 0
    not_before_ms: int | None = None
    expires_ms: int | None = None
    retries: RetryPolicy | None = None
    window: str | None = None
    time_zone: str | None = None
    campaign: str | None = None
    queued_id: str | None = None
