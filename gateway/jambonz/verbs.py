"""Verbs, as jambonz 0.9.8 takes them: it refuses a whole array for one property it does not know,
so that only properties of its own verbs are ever written here; what our softswitch alone knows is
left out where nobody asks for it.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeAlias

from gateway.value import frozen

Wire: TypeAlias = dict[str, Any]


@frozen
class PhoneTarget:
    """A number on a trunk, which jambonz calls a carrier.

    `headers` and `caller_id` are of this target alone; `confirm_hook` is called when it answers,
    and its verbs decide whether it is joined.
    """

    number: str
    trunk: str
    headers: Mapping[str, str] = field(default_factory=dict)
    confirm_hook: str | None = None
    caller_id: str | None = None

    def wire(self) -> Wire:
        target = {"type": "phone", "number": self.number, "trunk": self.trunk}
        return target | _own(self)


@frozen
class SipTarget:
    """A SIP URI, its transport in its `;transport=` parameter; the rest as of `PhoneTarget`."""

    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    confirm_hook: str | None = None
    caller_id: str | None = None

    def wire(self) -> Wire:
        return {"type": "sip", "sipUri": self.uri} | _own(self)


Target: TypeAlias = PhoneTarget | SipTarget


@frozen(kw_only=True)
class Dial:
    """Call the targets, all at once, and bridge the first that answers to the caller, who hears no
    answer before that.

    A real jambonz sends two targets on different trunks both by the second one's trunk, and takes
    the same number on two trunks for a duplicate; so failover is one dial after another.
    `anchorMedia` keeps jambonz from re-inviting both sides right after the answer. `encrypted`
    demands SRTP on the targets' side. The two may talk for `time_limit_s`. `refer_hook` is called
    where either party sends REFER.
    """

    targets: tuple[Target, ...]
    action_hook: str
    timeout_s: float
    caller_id: str | None = None
    music: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    encrypted: bool = False
    time_limit_s: float | None = None
    refer_hook: str | None = None

    def wire(self) -> Wire:
        verb: Wire = {
            "verb": "dial",
            "target": [target.wire() for target in self.targets],
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
        if self.time_limit_s is not None:
            verb["timeLimit"] = max(1, round(self.time_limit_s))
        if self.refer_hook:
            verb["referHook"] = self.refer_hook
        return verb


@frozen(kw_only=True)
class SipRefer:
    """Send the caller's side a REFER (RFC 3515). `event_hook` hears of each change, `action_hook`
    how it ended."""

    refer_to: str
    action_hook: str
    event_hook: str | None = None
    referred_by: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def wire(self) -> Wire:
        verb: Wire = {
            "verb": "sip:refer",
            "referTo": self.refer_to,
            "actionHook": self.action_hook,
        }
        if self.event_hook:
            verb["eventHook"] = self.event_hook
        if self.referred_by:
            verb["referredBy"] = self.referred_by
        if self.headers:
            verb["headers"] = dict(self.headers)
        return verb


@frozen
class Play:
    """Play a file of our softswitch's folder, `early`: before the answer; `forever`: until other
    verbs take its place."""

    file: str
    early: bool = False
    action_hook: str | None = None
    forever: bool = False

    def wire(self) -> Wire:
        verb: Wire = {"verb": "play", "url": self.file, "earlyMedia": self.early}
        if self.action_hook:
            verb["actionHook"] = self.action_hook
        if self.forever:
            verb["loop"] = "forever"
        return verb


@frozen(kw_only=True)
class Gather:
    """Wait `timeout_s` for so many digits, `play` being heard meanwhile."""

    action_hook: str
    digits: int
    timeout_s: float
    play: str | None = None

    def wire(self) -> Wire:
        verb: Wire = {
            "verb": "gather",
            "input": ["digits"],
            "numDigits": self.digits,
            "timeout": max(1, round(self.timeout_s)),
            "actionHook": self.action_hook,
        }
        if self.play:
            verb["play"] = {"url": self.play}
        return verb


@frozen
class Pause:
    """Wait before the next verb."""

    length_s: float

    def wire(self) -> Wire:
        return {"verb": "pause", "length": self.length_s}


@frozen
class Decline:
    """End an unanswered call with a final SIP status, or refuse a REFER. `status` is 400-699."""

    status: int
    reason: str | None = None
    retry_after_s: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 699:
            raise ValueError(f"{self.status} does not decline a call")

    def wire(self) -> Wire:
        verb: Wire = {"verb": "sip:decline", "status": self.status}
        if self.reason:
            verb["reason"] = self.reason
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if headers:
            verb["headers"] = headers
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


Verb: TypeAlias = Dial | SipRefer | Play | Gather | Pause | Decline | Hangup | Config
Verbs: TypeAlias = tuple[Verb, ...]


def _own(target: Target) -> Wire:
    """What a target says of itself alone."""
    own: Wire = {}
    if target.headers:
        own["headers"] = dict(target.headers)
    if target.confirm_hook:
        own["confirmHook"] = target.confirm_hook
    if target.caller_id:
        own["from"] = {"user": target.caller_id}
    return own
