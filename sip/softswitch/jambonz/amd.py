"""Who has answered: what an application wants to know of it, and is told, in jambonz's words.

jambonz judges by speech-to-text; here the sound itself is judged (`sip.media.detection`). Beside
jambonz's keys each event says how sure it is (`confidence`), when it was found (`at_ms`, since the
beginning), for how long somebody spoke and was quiet since, and of a tone whose it is.
"""

from typing import Any, Final

from sip.core.value import frozen
from sip.media.detection.found import Found, Verdict
from sip.media.detection.terms import DetectionTerms

Json = dict[str, Any]

#: jambonz's `type` of what is found.
_TYPES: Final = {
    Verdict.HUMAN: "amd_human_detected",
    Verdict.MACHINE: "amd_machine_detected",
    Verdict.MACHINE_STOPPED: "amd_machine_stopped_speaking",
    Verdict.BEEP: "amd_tone_detected",
    Verdict.FAX: "amd_tone_detected",
    Verdict.NO_SPEECH: "amd_no_speech_detected",
    Verdict.UNKNOWN: "amd_decision_timeout",
}
#: The leg is over, or is asked about anew, before it is known who it is.
STOPPED: Final[Json] = {"type": "amd_stopped"}


@frozen(kw_only=True)
class Amd:
    """`action_hook` is told who a leg's peer is; `terms` say how long is waited for what, None
    where the application does not."""

    action_hook: str
    terms: DetectionTerms | None = None


def told_of(found: Found) -> Json:
    """What the hook is told, beside what every hook is told of the call."""
    told: Json = {
        "type": _TYPES[found.what],
        "reason": found.reason,
        "confidence": found.confidence,
        "at_ms": found.at_ms,
        "speech_ms": found.speech_ms,
        "silence_ms": found.silence_ms,
    }
    if found.frequency_hz is not None:
        told["frequency"] = found.frequency_hz
    if found.what in (Verdict.BEEP, Verdict.FAX):
        told["tone"] = found.what.value
    return told


def failed(error: str) -> Json:
    """The same where nobody can listen, and why."""
    return {"type": "amd_error", "error": error}
