"""What the operator's own server is told of an event of Retell's."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from config.webhook_settings import WebhookSettings
from gateway.callbacks.outbox import MAX_BODY, Event
from gateway.storage.retell_events import RetellEvent

#: How the kinds of such callbacks begin; Retell's own name of the event follows.
RETELL: Final = "retell."
#: What is as long as the call, the longest first: left out of what would be too long for a
#: callback.
_LONG: Final = (
    "transcript_with_tool_calls",
    "scrubbed_transcript_with_tool_calls",
    "transcript_object",
    "knowledge_base_retrieved_contents",
    "transcript",
)
#: Bytes for what a callback has beside Retell's own.
_ROOM: Final = 2048


def forwarded(
    settings: WebhookSettings, event: RetellEvent, told: Mapping[str, Any], call_id: str | None
) -> Event | None:
    """The callback of an event that says `told`, about our call `call_id`; None where nobody wants
    to hear of it. `left_out` names what was too long: the API has it, by the event's id."""
    if settings.forward_url is None:
        return None
    if "*" not in settings.forward_events and event.event not in settings.forward_events:
        return None
    shown, left_out = _fitting(told)
    return Event(
        kind=f"{RETELL}{event.event}",
        subject=event.retell_call_id or event.event_id,
        data={
            "call_id": call_id,
            "retell_call_id": event.retell_call_id,
            "workspace": event.workspace,
            "left_out": left_out,
            "retell": shown,
        },
        url=settings.forward_url,
        event_id=event.event_id,
        at_ms=event.received_ms,
        private=True,
    )


def _fitting(told: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    left_out: list[str] = []
    for name in _LONG:
        if len(orjson.dumps(told)) <= MAX_BODY - _ROOM:
            break
        call = told.get("call")
        if name in told:
            told = {key: value for key, value in told.items() if key != name}
            left_out.append(name)
        if isinstance(call, dict) and name in call:
            kept = {key: value for key, value in call.items() if key != name}
            told = {**told, "call": kept}
            left_out.append(f"call.{name}")
    return told, left_out
