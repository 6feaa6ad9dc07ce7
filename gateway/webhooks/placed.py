"""What there is to find a call by that Retell placed through us."""

from collections.abc import Callable
from typing import Final

from config.settings import OutboundSettings
from gateway.calls.numbers import e164
from gateway.retell.models import EventCall
from gateway.storage.retell_joins import Placed

#: No column takes a later moment than this, in milliseconds since 1970.
MAX_MS: Final = 10**15


def placed(outbound: OutboundSettings, call: EventCall, now: Callable[[], float]) -> Placed | None:
    """A call that Retell placed, as far as it tells; None for another one. Its INVITE names no id
    of Retell's. Where the caller's number is ours to choose, the record has that one."""
    if call.direction != "outbound" or call.to_number is None or call.from_number is None:
        return None
    country, began = outbound.default_country, call.start_timestamp or 0
    return Placed(
        to_number=e164(call.to_number, country) or call.to_number,
        from_number=None
        if outbound.caller_id
        else e164(call.from_number, country) or call.from_number,
        at_ms=began if 0 < began < MAX_MS else round(now() * 1000),
        headers=call.placed_headers(),
    )
