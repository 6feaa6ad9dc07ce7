"""What Twilio is asked for, to have it call a person: pure
(twilio.com/docs/voice/api/call-resource#create-a-call-resource)."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal

from gateway.calls.routing import Dialling
from gateway.twilio.requests import FAX, MACHINES
from gateway.twilio.twiml import LONGEST_RING_S, LONGEST_S
from gateway.value import frozen

#: What is told of a call on its way.
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
#: A machine that still speaks its greeting: a message would be said into it.
_GREETING: Final = "machine_start"
#: What Twilio says of an answer that it could not tell, or that nobody spoke after.
UNKNOWN: Final = "unknown"

Then = Literal["agent", "hangup", "message"]


@frozen(kw_only=True)
class Listen:
    """That a person is told from a machine, and what becomes of others. `message` is spoken to a
    machine after its greeting."""

    on_machine: Then = "hangup"
    on_unknown: Literal["agent", "hangup"] = "agent"
    message: str = ""

    def then(self, answered_by: str) -> Then:
        """What becomes of a call that this answered."""
        if answered_by == FAX:
            return "hangup"
        if answered_by == UNKNOWN:
            return self.on_unknown
        if answered_by not in MACHINES:
            return "agent"
        if self.on_machine == "message" and answered_by == _GREETING:
            return "hangup"
        return self.on_machine


@frozen(kw_only=True)
class ToCall:
    """One person to be called by `account_sid`, and `agent`, which talks then: a plan whose person
    is there already. `headers` are the agent's leg's. Times are seconds."""

    call_id: str
    account_sid: str
    from_number: str
    to_number: str
    agent: Dialling
    ring_timeout_s: float
    time_limit_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    listen: Listen | None = None


def form_of(wish: ToCall, urls: str) -> list[tuple[str, str]]:
    """The parameters; `urls` is how the URLs of this call's webhooks begin."""
    form = [
        ("To", wish.to_number),
        ("From", wish.from_number),
        ("Url", f"{urls}/voice"),
        ("StatusCallback", f"{urls}/status"),
        *(("StatusCallbackEvent", event) for event in _EVENTS),
        ("Timeout", str(_within(wish.ring_timeout_s, LONGEST_RING_S))),
    ]
    if wish.time_limit_s is not None:
        form.append(("TimeLimit", str(_within(wish.time_limit_s, LONGEST_S))))
    if wish.listen is not None:
        # with DetectMessageEnd it is told when the greeting is over, and not before
        leaves = wish.listen.on_machine == "message"
        form += [
            ("MachineDetection", "DetectMessageEnd" if leaves else "Enable"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", f"{urls}/amd"),
        ]
    return form


def _within(seconds: float, most: int) -> int:
    return max(1, min(most, round(seconds)))
