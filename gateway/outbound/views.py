"""Queued calls and their tries as others see them: the API's answers, callbacks, results."""

from typing import Any

from gateway.iso import iso, iso_or_none
from gateway.storage.queued_call import QueuedCall, Try


def call_view(call: QueuedCall) -> dict[str, Any]:
    """A queued call: times in ISO 8601, null where nothing is known."""
    wanted = call.wanted
    return {
        "queued_id": call.queued_id,
        "state": str(call.state),
        "result": None if call.result is None else str(call.result),
        "detail": call.detail or None,
        "to": wanted.to_number,
        "from": wanted.from_number or None,
        "mode": wanted.mode,
        "agent": wanted.agent,
        "agent_version": wanted.agent_version,
        "trunk": wanted.trunk,
        "variables": wanted.variables,
        "metadata": wanted.metadata,
        "tag": wanted.tag,
        "campaign": call.campaign,
        "priority": call.priority,
        "created_at": iso(call.created_ms),
        "not_before": iso(call.not_before_ms),
        "due_at": iso_or_none(None if call.ended_ms is not None else call.due_ms),
        "expires_at": iso(call.expires_ms),
        "ended_at": iso_or_none(call.ended_ms),
        "window": call.window or None,
        "time_zones": list(call.time_zones),
        "tries": call.tries,
        "call_id": call.call_id,
    }


def try_view(attempt: Try) -> dict[str, Any]:
    """One try of it, likewise."""
    return {
        "call_id": attempt.call_id,
        "number": attempt.number,
        "started_at": iso(attempt.started_ms),
        "ringing_at": iso_or_none(attempt.ringing_ms),
        "answered_at": iso_or_none(attempt.answered_ms),
        "agent_answered_at": iso_or_none(attempt.agent_answered_ms),
        "ended_at": iso_or_none(attempt.ended_ms),
        "result": None if attempt.result is None else str(attempt.result),
        "cause": attempt.cause or None,
        "sip_status": attempt.sip_status,
        "reason": attempt.reason or None,
        "detail": attempt.detail or None,
        "retell_call_id": attempt.retell_call_id,
        "duration_s": attempt.duration_s,
        "amd": attempt.amd,
        "cost_estimate": attempt.cost_estimate,
    }
