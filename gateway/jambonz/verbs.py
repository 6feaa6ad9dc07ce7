"""Verbs, as jambonz 0.9.8 takes them: it refuses a whole array for one property it does not know,
so that only properties of its dial, play, sip:decline, hangup and config are ever written here.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeAlias

from gateway.value import frozen

Wire: TypeAlias = dict[str, Any]


@frozen
class PhoneTarget:
    """A number on a trunk, which jambonz calls a carrier."""

    number: str
    trunk: str

    def wire(self) -> Wire:
        return {"type": "phone", "number": self.number, "trunk": self.trunk}


@frozen
class SipTarget:
    """A SIP URI, its transport in its `;transport=` parameter."""

    uri: str

    def wire(self) -> Wire:
        return {"type": "sip", "sipUri": self.uri}


Target: TypeAlias = PhoneTarget | SipTarget


@frozen(kw_only=True)
class Dial:
    """Call one target and bridge it to the caller, who hears no answer before the target's.

    One target only: two on different trunks would both leave by the second one's trunk, and the
    same number on two trunks counts as a duplicate; so failover is one dial after another.
    `anchorMedia` keeps jambonz from re-inviting both sides right after the answer. `encrypted`
    demands SRTP on the target's side.
    """

    target: Target
    action_hook: str
    timeout_s: float
    caller_id: str | None = None
    music: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    encrypted: bool = False

    def wire(self) -> Wire:
        verb: Wire = {
            "verb": "dial",
            "target": [self.target.wire()],
            "answerOnBridge": True,
            "anchorMedia": True,
            "timeout": max(1, round(self.timeout_s)),
            "actionHook": self.action_hook,
        }
        if self.caller_id:
            verb["callerId"] = self.caller_id
        if self.music:
            verb["dialMusic"] = self.music
        if self.headers:
            verb["headers"] = dict(self.headers)
        if self.encrypted:
            verb["srtpEncryption"] = "sdes"
        return verb


@frozen
class Play:
    """Play a file of our softswitch's folder to the caller, `early`: before the answer."""

    file: str
    early: bool

    def wire(self) -> Wire:
        return {"verb": "play", "url": self.file, "earlyMedia": self.early}


@frozen
class Decline:
    """End an unanswered call with a final SIP status. `status` is 400-699."""

    status: int
    reason: str | None = None
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 699:
            raise ValueError(f"{self.status} does not decline a call")

    def wire(self) -> Wire:
        verb: Wire = {"verb": "sip:decline", "status": self.status}
        if self.reason:
            verb["reason"] = self.reason
        if self.retry_after_s is not None:
            verb["headers"] = {"Retry-After": str(self.retry_after_s)}
        return verb


@frozen
class Hangup:
    """End an answered call. An unanswered one would go on waiting: decline that."""

    def wire(self) -> Wire:
        return {"verb": "hangup"}


@frozen
class Config:
    """Acknowledges a call without answering it; verbs follow by command.

    With the name of a `recording` the call is recorded from when two talk; `fax_hook` is called
    where the caller is a fax machine.
    """

    recording: str | None = None
    fax_hook: str | None = None

    def wire(self) -> Wire:
        verb: Wire = {"verb": "config"}
        if self.recording is not None:
            verb["record"] = {"action": "startCallRecording", "recordingID": self.recording}
        if self.fax_hook is not None:
            verb["amd"] = {"actionHook": self.fax_hook}
        return verb


Verb: TypeAlias = Dial | Play | Decline | Hangup | Config
Verbs: TypeAlias = tuple[Verb, ...]
