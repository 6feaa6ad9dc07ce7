"""The attempts of a call as they went. Times are seconds since 1970."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.calls.routing import Attempt
from gateway.calls.spend import Meter
from gateway.calls.words import words
from gateway.jambonz.messages import DialResult, LegStatus
from gateway.jambonz.verbs import PhoneTarget

#: What a dialled leg says once the callee's side has it.
_RUNG: Final = frozenset({"ringing", "early-media", "in-progress"})


@dataclass(slots=True)
class Tried:
    """One attempt as it went. `code` 0 and `reason` "" until it ended."""

    attempt: Attempt
    started: float
    #: it rings at once with the one before it
    beside: bool = False
    #: it was looked at whether it leaves for a carrier (`outgoing.py`)
    noticed: bool = False
    call_sid: str = ""
    #: one for each server that was asked, in order
    sip_call_ids: list[str] = field(default_factory=list)
    early_media: bool = False
    #: when it first rang, sent early media or answered
    rang: float | None = None
    answered: float | None = None
    #: its dial is over
    ended: bool = False
    #: its leg is over: it may outlast its dial
    gone: bool = False
    code: int = 0
    reason: str = ""
    detail: str = ""
    #: why it ended, by our softswitch
    cause: str = ""
    #: it is from the record of a former run, which counted it
    past: bool = False
    #: what it costs, of a leg that left for a carrier; then `past_cost` counts no more
    meter: Meter | None = None
    past_cost: float | None = None
    #: headers of the peer's last message that say why
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def cost_estimate(self) -> float | None:
        """In the currency of `outbound.spend`, what it has reserved included; None: not known."""
        return self.past_cost if self.meter is None else self.meter.cost

    @property
    def sip_call_id(self) -> str:
        """That of the last INVITE; "" if there was none."""
        return self.sip_call_ids[-1] if self.sip_call_ids else ""

    def note_status(self, at: float, status: LegStatus) -> None:
        """Its leg reported."""
        self._note_sip_call_id(status.sip_call_id)
        if self.rang is None and status.status in _RUNG:
            self.rang = at
        if status.status == "early-media":
            self.early_media = True
        elif status.status == "in-progress":
            if self.answered is None:
                self.answered = at
            self._note_code(status.code, status.reason)
        elif status.final:
            self.ended = self.gone = True
            self.cause = status.cause
            self._note_code(status.code, status.reason)
            self.words = words(status.headers)

    def note_result(self, result: DialResult) -> None:
        """Its dial is over."""
        self.ended = True
        self._note_sip_call_id(result.sip_call_id)
        self.detail = result.detail
        self.cause = self.cause or result.cause
        self._note_code(result.code, result.reason)

    def _note_sip_call_id(self, sip_call_id: str) -> None:
        """Another server is asked, or the same one spoke."""
        if sip_call_id and sip_call_id not in self.sip_call_ids:
            self.sip_call_ids.append(sip_call_id)

    def _note_code(self, code: int, reason: str) -> None:
        if code >= 200:
            self.code, self.reason = code, reason or self.reason

    def _calls(self, number: str) -> bool:
        target = self.attempt.target
        shown = target.number if isinstance(target, PhoneTarget) else target and target.uri
        return bool(number) and shown == number


def connected(tried: Sequence[Tried]) -> Tried | None:
    """The attempt that was answered, the last of several, else the last one."""
    answered = next((each for each in reversed(tried) if each.answered is not None), None)
    return answered or (tried[-1] if tried else None)


def of_leg(
    tried: Sequence[Tried], call_sid: str, sip_call_id: str = "", number: str = ""
) -> Tried | None:
    """The attempt whose leg this is; a leg not seen before is that of the running attempt, or, of
    several that ring at once, of the one that calls this `number`. One that a former run of this
    program saw is known by its SIP Call-ID."""
    if not call_sid:
        return None
    for each in tried:
        if each.call_sid == call_sid:
            return each
    found = next(
        (each for each in tried if not each.call_sid and sip_call_id in each.sip_call_ids), None
    )
    if found is None:
        new = [each for each in _running(tried) if not each.call_sid]
        found = next((each for each in new if each._calls(number)), new[-1] if new else None)
    if found is not None:
        found.call_sid = call_sid
    return found


def _running(tried: Sequence[Tried]) -> Sequence[Tried]:
    """The attempts of the last dial."""
    first = len(tried) - 1
    while first > 0 and tried[first].beside:
        first -= 1
    return tried[max(first, 0) :]
