"""What Retell is asked for, to have it call a person: pure."""

from typing import Any, Final

from config.workspace_settings import EvidenceSettings
from gateway.calls.expected_calls import QUEUED_HEADER
from gateway.retell.wishes import ToPlace
from gateway.storage.wanted import Wanted

#: What Retell takes of an agent's settings (docs.retellai.com/api-references/create-phone-call), in
#: milliseconds.
RING_MS: Final = (5_000, 300_000)
CALL_MS: Final = (60_000, 7_200_000)


def to_place(
    call_id: str, queued_id: str, wanted: Wanted, evidence: EvidenceSettings | None
) -> ToPlace:
    """The call, with all that leads back from it to ours: headers of its INVITE, one of them the
    workspace's `evidence`, and metadata."""
    headers = {**wanted.headers, QUEUED_HEADER: call_id}
    if evidence is not None:
        headers[evidence.header] = evidence.value.get_secret_value()
    agent: dict[str, Any] = {}
    if wanted.ring_timeout_s is not None:
        agent["ring_duration_ms"] = _within(wanted.ring_timeout_s, RING_MS)
    if wanted.time_limit_s is not None:
        agent["max_call_duration_ms"] = _within(wanted.time_limit_s, CALL_MS)
    return ToPlace(
        idempotency_key=call_id,
        from_number=wanted.from_number,
        to_number=wanted.to_number,
        agent=wanted.agent,
        agent_version=wanted.agent_version,
        agent_override={"agent": agent} if agent else {},
        variables=wanted.variables,
        headers=headers,
        metadata={**wanted.metadata, "gateway_call_id": call_id, "gateway_queued_id": queued_id},
    )


def _within(seconds: float, bounds: tuple[int, int]) -> int:
    """Milliseconds, as near to it as Retell takes them; our own limits hold besides."""
    least, most = bounds
    return min(max(round(seconds * 1000), least), most)
