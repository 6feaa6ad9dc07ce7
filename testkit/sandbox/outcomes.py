"""How a SIP result of a dialled call becomes a `disconnection_reason`.

Retell's page "debug-call-disconnect" names the reasons; which code leads to which is documented
for some and inferred from community reports for others. Pure tables.
"""

from enum import Enum

_BY_STATUS = {
    401: "telephony_provider_permission_denied",
    403: "telephony_provider_permission_denied",
    404: "invalid_destination",
    407: "telephony_provider_permission_denied",
    408: "telephony_provider_unavailable",
    477: "telephony_provider_unavailable",  # Kamailio's: next hop not reachable
    480: "dial_no_answer",
    482: "sip_routing_error",
    483: "sip_routing_error",
    484: "invalid_destination",
    486: "dial_busy",
    487: "dial_no_answer",
    600: "dial_busy",
    603: "user_declined",
    607: "marked_as_spam",
    608: "network_blocked",
}


def reason_for_status(status: int) -> str:
    """The reason for a final SIP status of 300 and above."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "telephony_provider_unavailable" if 500 <= status < 600 else "dial_failed"


class Ending(Enum):
    """Endings that are not a SIP status. The value is the `disconnection_reason`."""

    USER_HANGUP = "user_hangup"
    AGENT_HANGUP = "agent_hangup"
    INACTIVITY = "inactivity"
    MAX_DURATION = "max_duration_reached"
    NO_AUDIO = "error_no_audio_received"
    TRANSFERRED = "call_transfer"
    STOPPED = "manual_stopped"
    RING_TIMEOUT = "dial_no_answer"
    DIAL_FAILED = "dial_failed"
    UNREACHABLE = "telephony_provider_unavailable"
    LOST = "error_unknown"
    """no ACK, or the dialog was gone"""
    REGISTERED_TIMEOUT = "registered_call_timeout"
    CONCURRENCY = "concurrency_limit_reached"
    FALLBACK = "no_concurrency_fallback"
