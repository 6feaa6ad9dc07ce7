"""The call records of tries that a killed process left: each try has one, and it says what is
known of it."""

from typing import Final

from config.twilio_settings import TWILIO
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.queued_call import QueuedCall, Result, Try

#: What a killed process was in the middle of.
_UNKNOWN: Final = Result.UNKNOWN


async def mend_record(store: CallStore, call: QueuedCall, attempt: Try) -> None:
    """Write down what is known of the call of that try. Raises StorageError."""
    record = await store.get(attempt.call_id)
    if record is None:
        record = _made(call, attempt)
    elif attempt.result is _UNKNOWN:
        return  # the record says so
    if attempt.result is not _UNKNOWN:
        record.state = "ended"
        record.answered_ms, record.ended_ms = attempt.answered_ms, attempt.ended_ms
        record.duration_s = attempt.duration_s
        record.cause = attempt.cause or None
        record.sip_status = attempt.sip_status
        record.retell_call_id = record.retell_call_id or attempt.retell_call_id
    store.save(record)


def _made(call: QueuedCall, attempt: Try) -> CallRecord:
    """The record that was not stored any more."""
    wanted = call.wanted
    return CallRecord(
        call_id=attempt.call_id,
        call_sid=attempt.call_id,
        direction="retell" if wanted.mode == "retell" else "outbound",
        trunk=TWILIO if wanted.mode == "twilio" else wanted.trunk or "",
        from_number=wanted.from_number,
        to_number=wanted.to_number,
        method=None,
        agent=wanted.agent,
        state="interrupted",
        started_ms=attempt.started_ms,
    )
