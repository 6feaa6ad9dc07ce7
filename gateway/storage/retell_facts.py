"""What Retell tells of its own call, beside what SIP told: values, and which of two counts.

Events overtake each other and come again: what an earlier one says never takes the place of what a
later one said.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

#: Retell's events in the order in which a call has them; of one that is not listed we know nothing
#: and take what is missing.
_ORDER: Final = {
    "call_started": 1,
    "transcript_updated": 2,
    "transfer_started": 3,
    "transfer_bridged": 4,
    "transfer_cancelled": 4,
    "transfer_ended": 5,
    "call_ended": 6,
    "call_analyzed": 7,
}
#: Bytes of JSON of one fact: an operator's own analysis may be long.
LONGEST: Final = 32 << 10


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


#: Our name of a fact, Retell's, and what it must be.
_FACTS: Final[tuple[tuple[str, str, Callable[[Any], bool]], ...]] = (
    ("status", "call_status", _text),
    ("agent", "agent_id", _text),
    ("agent_version", "agent_version", lambda value: _text(value) or _number(value)),
    ("started_ms", "start_timestamp", _number),
    ("ended_ms", "end_timestamp", _number),
    ("transfer_ended_ms", "transfer_end_timestamp", _number),
    ("duration_ms", "duration_ms", _number),
    ("transfer_destination", "transfer_destination", lambda value: _text(value) or _object(value)),
    ("recording_url", "recording_url", _text),
    ("recording_multi_channel_url", "recording_multi_channel_url", _text),
    ("scrubbed_recording_url", "scrubbed_recording_url", _text),
    ("public_log_url", "public_log_url", _text),
    ("latency", "latency", _object),
    ("cost", "call_cost", _object),
    ("analysis", "call_analysis", _object),
    ("collected_variables", "collected_dynamic_variables", _object),
)


def facts_of(event: str, event_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says of its call. `transcript_event` is the event that has the transcript: it
    is as long as the call. A value of another kind than Retell documents is left out."""
    call = body.get("call")
    if not isinstance(call, dict):
        return {}
    told = {**call, **{key: body[key] for key in ("transfer_destination",) if key in body}}
    facts: dict[str, Any] = {"as_of": event}
    for name, theirs, fits in _FACTS:
        value = told.get(theirs)
        if value is not None and fits(value) and len(orjson.dumps(value)) <= LONGEST:
            facts[name] = value
    if call.get("transcript") or call.get("transcript_object"):
        facts["transcript_event"] = event_id
    return facts


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; where both say something, the later event of the two counts."""
    if _place(new) >= _place(old):
        return {**old, **new}
    return {**new, **old}


def _place(facts: Mapping[str, Any]) -> int:
    return _ORDER.get(str(facts.get("as_of")), 0)
