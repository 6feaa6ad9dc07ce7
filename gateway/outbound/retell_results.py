"""What Retell's words say of a call that it was asked to place: tables.

`disconnection_reason` is an open set (docs.retellai.com/reliability/debug-call-disconnect); what is
not listed goes by the call's status.
"""

from collections.abc import Mapping
from typing import Final

from gateway.calls.endings import Fault, registration_refusal
from gateway.retell.failures import RetellError, RetellFailure
from gateway.storage.queued_call import Result

#: By `disconnection_reason`.
RESULTS: Final[Mapping[str, Result]] = {
    # ended
    "user_hangup": Result.ANSWERED,
    "agent_hangup": Result.ANSWERED,
    "call_transfer": Result.ANSWERED,
    "inactivity": Result.ANSWERED,
    "max_duration_reached": Result.ANSWERED,
    "transfer_bridged": Result.ANSWERED,
    "transfer_cancelled": Result.ANSWERED,
    "manual_stopped": Result.ANSWERED,
    "call_take_over": Result.ANSWERED,
    "user_requested_dnc": Result.ANSWERED,
    "user_requested_callback": Result.ANSWERED,
    "voicemail_reached": Result.MACHINE,
    "ivr_reached": Result.MACHINE,
    "no_concurrency_fallback": Result.AGENT_FAILED,
    # not_connected
    "dial_busy": Result.BUSY,
    "dial_no_answer": Result.NO_ANSWER,
    "user_declined": Result.DECLINED,
    "marked_as_spam": Result.DECLINED,
    "network_blocked": Result.DECLINED,
    "invalid_destination": Result.INVALID_NUMBER,
    "dial_failed": Result.FAILED,
    "telephony_provider_permission_denied": Result.FAILED,
    "telephony_provider_unavailable": Result.FAILED,
    "sip_routing_error": Result.FAILED,
    # error
    "concurrency_limit_reached": Result.AGENT_FAILED,
    "no_valid_payment": Result.AGENT_FAILED,
    "credit_exhausted": Result.AGENT_FAILED,
    "budget_reached": Result.AGENT_FAILED,
    "scam_detected": Result.AGENT_FAILED,
    "registered_call_timeout": Result.AGENT_FAILED,
    "error_llm_websocket_open": Result.AGENT_FAILED,
    "error_llm_websocket_lost_connection": Result.AGENT_FAILED,
    "error_llm_websocket_runtime": Result.AGENT_FAILED,
    "error_llm_websocket_corrupt_payload": Result.AGENT_FAILED,
    "error_no_audio_received": Result.AGENT_FAILED,
    "error_asr": Result.AGENT_FAILED,
    "error_retell": Result.AGENT_FAILED,
    "error_unknown": Result.AGENT_FAILED,
    "error_user_not_joined": Result.AGENT_FAILED,
}
_PREFIXES: Final = {
    "error_": Result.AGENT_FAILED,
    "dial_": Result.FAILED,
    "telephony_": Result.FAILED,
}
#: Reasons for which the SIP side tried nothing, though it may look as if the number was at fault:
#: the INVITE did not find us.
NOT_DIALLED: Final = frozenset(
    {
        "dial_failed",
        "dial_no_answer",
        "telephony_provider_permission_denied",
        "telephony_provider_unavailable",
        "sip_routing_error",
    }
)

#: What the operator can do about a refusal.
_MENDS: Final[Mapping[RetellFailure, str]] = {
    RetellFailure.UNAUTHORIZED: "check retell.api_key",
    RetellFailure.PAYMENT: "see the billing page of Retell's dashboard",
    RetellFailure.UNKNOWN_AGENT: "name an agent that Retell knows",
    RetellFailure.UNKNOWN_NUMBER: (
        "import the number to call from at Retell, or call from one that is"
    ),
    RetellFailure.BAD_REQUEST: (
        "numbers are in E.164, and the called one's country is allowed at the number to call from"
    ),
}


def of_reason(reason: str | None, *, answered: bool) -> Result:
    """The result of a call by its `disconnection_reason`; `answered`: the person did, as far as the
    SIP side knows. A person who talked stays one whatever ended the talk."""
    found = RESULTS.get(reason or "")
    if found is None:
        found = next(
            (result for prefix, result in _PREFIXES.items() if (reason or "").startswith(prefix)),
            Result.ANSWERED if answered else Result.AGENT_FAILED,
        )
    if answered and found not in (Result.MACHINE, Result.AGENT_FAILED):
        return Result.ANSWERED
    if not answered and found is Result.ANSWERED:
        return Result.NO_ANSWER  # it ended before anybody answered: nobody talked
    return found


def fault_of(reason: str | None) -> Fault:
    """Whose it is that Retell placed no call, by its word."""
    match of_reason(reason, answered=False):
        case Result.AGENT_FAILED:
            return Fault.RETELL
        case Result.FAILED:
            return Fault.OPERATOR
        case _:
            return Fault.CALLEE


def words_of(error: RetellError) -> str:
    """What Retell said, and what can be done."""
    mend = _MENDS.get(error.failure)
    return error.detail if mend is None else f"{error.detail}: {mend}"


def cause_of(failure: RetellFailure) -> str:
    """The slug for the record, as that of a registration that failed."""
    return registration_refusal(failure).cause
