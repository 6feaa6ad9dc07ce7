"""Which event of Retell's it is: the same one comes again, and others come of the same call.

Retell's page says by what to tell them (docs.retellai.com/features/webhook-overview): the event and
its call, of a transfer its start besides. Of a transcript there are many, and of what we do not
know there may be: those are the same only where every byte is.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

_ONCE: Final = frozenset({"call_started", "call_ended", "call_analyzed"})
_TRANSFERS: Final = frozenset(
    {"transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended"}
)
#: Every event that Retell documents.
KNOWN: Final = _ONCE | _TRANSFERS | {"transcript_updated"}


def event_id_of(body: str, told: Mapping[str, Any]) -> str:
    """The id of an event, whose body says `told`: the same one whenever it comes."""
    event, call = told.get("event"), told.get("call")
    call_id = call.get("call_id") if isinstance(call, dict) else None
    if isinstance(call, dict) and call_id is not None and event in _ONCE:
        which: Any = [event, call_id]
    elif isinstance(call, dict) and call_id is not None and event in _TRANSFERS:
        which = [event, call_id, call.get("start_timestamp"), told.get("transfer_destination")]
    else:
        which = body
    digest = hashlib.sha256(orjson.dumps(which, option=orjson.OPT_SORT_KEYS))
    return f"rte_{digest.hexdigest()[:32]}"
