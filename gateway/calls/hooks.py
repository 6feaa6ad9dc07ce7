"""Which event of a call a hook tells of. Hooks that decide something have places of their own."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.calls.call_events import (
    CalleeAsked,
    CalleePressed,
    DialEnded,
    Event,
    FaxHeard,
    MessageSaid,
    PersonHeard,
    ReferEnded,
    ReferSucceeded,
    TransferDialEnded,
    TransferSaid,
)
from gateway.calls.opening import DIAL_HOOK, FAX_HOOK
from gateway.calls.person import MESSAGE_HOOK, PERSON_HOOK
from gateway.calls.transfer_verbs import (
    ACCEPT_HOOK,
    CONFIRM_HOOK,
    NEWS_HOOK,
    REFERRED_HOOK,
    SAID_HOOK,
)
from gateway.calls.transfer_verbs import DIAL_HOOK as TRANSFER_DIAL_HOOK
from gateway.jambonz.messages import AmdHeard, DialResult, ReferResult, digits_of

#: What amd's hook is told of a fax.
TONE: Final = "amd_tone_detected"


def event_of(hook: str, data: Mapping[str, Any], at: float) -> Event | None:
    """The event that a hook tells of; None where it changes nothing."""
    if hook == DIAL_HOOK:
        return DialEnded(at=at, result=DialResult.of(data))
    if hook == FAX_HOOK:
        return FaxHeard(at=at) if data.get("type") == TONE else None
    if hook == PERSON_HOOK:
        heard = AmdHeard.of(data)
        return None if heard is None else PersonHeard(at=at, heard=heard)
    if hook == MESSAGE_HOOK:
        return MessageSaid(at=at, whole=data.get("reason") == "playCompleted")
    if hook == TRANSFER_DIAL_HOOK:
        return TransferDialEnded(at=at, result=DialResult.of(data))
    if hook == REFERRED_HOOK:
        return ReferEnded(at=at, result=ReferResult.of(data))
    if hook == NEWS_HOOK:
        return ReferSucceeded(at=at) if str(data.get("call_status")).startswith("2") else None
    if hook == SAID_HOOK:
        return TransferSaid(at=at)
    if (number := _numbered(hook, CONFIRM_HOOK)) is not None:
        return CalleeAsked(at=at, number=number)
    if (number := _numbered(hook, ACCEPT_HOOK)) is not None:
        return CalleePressed(at=at, number=number, digits=digits_of(data))
    return None


def _numbered(hook: str, name: str) -> int | None:
    """The number at the end of such a hook."""
    rest = hook.removeprefix(name)
    return int(rest) if rest != hook and rest.isascii() and rest.isdigit() else None
