"""What is remembered of SIP messages, and what is taken out of them first."""

from config.settings import Settings
from sip.redaction import Redaction
from sip.trace import Trace


def make_trace(settings: Settings) -> Trace:
    """The memory of `ladders`."""
    return Trace(
        budget_bytes=settings.ladders.memory_mb << 20,
        dialog_bytes=settings.ladders.leg_kb << 10,
        redaction=redaction_of(settings),
    )


def redaction_of(settings: Settings) -> Redaction:
    """Headers by which trunks are known are secrets, beside what always is one."""
    secret = {name for trunk in settings.every_trunk() for name in trunk.identify_headers}
    return Redaction(sorted(secret))
