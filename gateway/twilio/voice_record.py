"""The record of a call that Twilio carries, as it begins, and its two lines in the log."""

from typing import Final

import structlog

from gateway.calls.endings import Ending
from gateway.calls.kept_headers import VERSTAT
from gateway.storage.call_records import CallRecord
from gateway.twilio.requests import Asked
from gateway.twilio.wishes import TRUNK

log = structlog.get_logger("gateway.call")

#: An agent's id, as the column has room for it.
_LONGEST_AGENT: Final = 128


def new_record(call_id: str, asked: Asked, agent: str | None, at_ms: int) -> CallRecord:
    """Of a call that begins; `agent` is whom it is for, as far as anybody is."""
    return CallRecord(
        call_id=call_id,
        call_sid=asked.call_sid,
        direction="outbound" if asked.outbound else "inbound",
        trunk=TRUNK,
        from_number=asked.from_number,
        to_number=asked.to_number,
        method="dial",
        agent=None if agent is None else agent[:_LONGEST_AGENT],
        started_ms=at_ms,
        headers={VERSTAT: asked.verstat} if asked.verstat else {},
    )


def log_begin(record: CallRecord) -> None:
    """As every call's first line."""
    log.info(
        "call.begin",
        call_id=record.call_id,
        call_sid=record.call_sid,
        sip_call_id=None,
        direction=record.direction,
        trunk=record.trunk,
        **{"from": record.from_number, "to": record.to_number},
        method=record.method,
        agent=record.agent,
    )


def log_end(record: CallRecord, ending: Ending) -> None:
    """As every call's last line."""
    log.info(
        "call.end",
        call_id=record.call_id,
        call_sid=record.call_sid,
        retell_call_id=record.retell_call_id,
        direction=record.direction,
        by=ending.by,
        cause=ending.cause,
        sip_status=ending.sip_status,
        fault=ending.fault.value,
        talk_s=record.duration_s,
        attempts=[f"{one['role']}:{one['code'] or '-'}" for one in record.attempts],
    )
