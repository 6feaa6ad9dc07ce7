"""A call that we have Twilio place: what is known of it, and its record. Pure, but for its waiting.

Twilio repeats callbacks, and they arrive in any order: each only adds what is known.

    asked for ─CallSid─> rings ─> somebody answers ─> an agent is dialled ─────────────────> over
        │                  │              └─a machine, by Twilio's ear: hung up, or a message─> ┤
        │                  └─busy, no answer, no way──────────────────────────────────────────> ┤
        └─no CallSid came, and nothing was heard: nobody knows────────────────────────────────> ┘
"""

import asyncio
from typing import Any, Final

from gateway.calls.endings import (
    AGENTS,
    ANSWERED_BY_CALLEE,
    ANSWERED_BY_CALLER,
    Ending,
    Fault,
    Refusal,
    Role,
    dial_refusal,
)
from gateway.calls.live_call import LiveCall
from gateway.calls.person import Who, no_person
from gateway.calls.placed_elsewhere import PlacedElsewhere
from gateway.calls.record_of_call import between
from gateway.calls.routing import Direction
from gateway.storage.call_records import CallRecord
from gateway.twilio import course
from gateway.twilio.placing import UNKNOWN, Then, ToCall
from gateway.twilio.requests import FAX, FINAL, MACHINES, Told
from gateway.twilio.wishes import TRUNK

#: Somebody ended it at Twilio before it was answered, and it was not we.
CALLED_OFF: Final = Ending("caller", "cancelled", 487, Fault.OPERATOR)
#: Twilio kept it and did not call: there is no use in that later.
QUEUED: Final = Refusal(480, "Temporarily Unavailable", "twilio-queued", Fault.OPERATOR)
#: Nothing was heard of it.
UNHEARD: Final = Ending("gateway", "nothing-heard", 0, Fault.UNKNOWN)
#: Statuses that say that somebody, or something, took the call.
_ANSWERED: Final = frozenset({"in-progress", "answered", "completed"})


class PlacedCall:
    """One of them. Times are milliseconds since 1970."""

    def __init__(self, record: CallRecord, wish: ToCall | None = None) -> None:
        """Without a `wish` it is one of a former run: its record is completed, and no more."""
        self.wish = wish
        self.record = record
        #: what Twilio has told of its end
        self.final: Told | None = None
        self.rang = False
        #: what answered, in Twilio's word, and what became of it
        self.answered_by = ""
        self.then: Then = "agent"
        #: the message was said to its end
        self.message_left = False
        #: why we have it end
        self.stopped: Refusal | None = None
        self.stop_words = ""
        #: the document that the person's answer got
        self.answer: asyncio.Task[str] | None = None
        #: why no agent could be had, and in a sentence
        self.no_agent: Refusal | None = None
        #: the call that came of it, where our own SIP side carries it
        self.live: LiveCall | None = None
        #: what counts it, and knows what it costs
        self.meter: PlacedElsewhere | None = None
        #: nobody talks any more: its end must come soon
        self.let_go = False
        #: nobody waits for it any more
        self.over = False
        self._told: set[str] = set()
        #: set by whatever is told; whoever waits clears it
        self.changed = asyncio.Event()

    @property
    def call_id(self) -> str:
        """Ours."""
        return self.record.call_id

    @property
    def call_sid(self) -> str:
        """Twilio's; "" as long as it is not known."""
        return "" if self.record.call_sid == self.record.call_id else self.record.call_sid

    @property
    def answered(self) -> bool:
        """Whether the person's side was."""
        return bool(self._person["code"] == 200)

    @property
    def agent_answered(self) -> bool:
        """Whether the agent was there."""
        if self.live is not None:
            tried = self.live.machine.tried
            return any(one.answered is not None for one in tried if one.attempt.role in AGENTS)
        agent = self._agent
        return agent is not None and agent["code"] == 200

    @property
    def who(self) -> Who | None:
        """What answered, by Twilio's word; None: nobody has said."""
        if self.answered_by == FAX:
            return Who.FAX
        if self.answered_by in MACHINES:
            return Who.MACHINE
        if self.answered_by == UNKNOWN:
            return Who.UNKNOWN
        return Who.HUMAN if self.answered_by == "human" else None

    @property
    def settled(self) -> bool:
        """Whether its end is known, and all that belongs to it."""
        if self.final is None:
            return False
        if not self.answered or self.then != "agent" or self.stopped is not None:
            return True
        if self.live is not None:
            return self.live.record.state == "ended"
        agent = self._agent
        return self.no_agent is not None or (agent is not None and agent["code"] is not None)

    # -- what is told -----------------------------------------------------------------------------

    def learnt(self, call_sid: str) -> None:
        """Twilio's id of it."""
        if not self.call_sid and call_sid:
            self.record.call_sid = call_sid
        self.changed.set()

    def status(self, told: Told, at_ms: int) -> None:
        """How the person's leg is."""
        self.learnt(told.call_sid)
        if told.status in _ANSWERED:
            self.rang = True
            course.note(self.record, self._person, told.status, told, at_ms)
        elif told.status == "ringing":
            self.rang = True
        elif told.status in FINAL:
            course.note(self.record, self._person, told.status, told, at_ms)
        if told.status in FINAL and self.final is None:
            self.final = told
            self.record.ended_ms = max(at_ms, self.record.started_ms)

    def person_answered(self, at_ms: int) -> None:
        """Somebody, or something, took the call: Twilio asks what to do with it."""
        self.rang = True
        self._person["code"], self._person["reason"] = 200, None
        if self.record.answered_ms is None:
            self.record.answered_ms = at_ms
        self.changed.set()

    def leg(self, told: Told, status: str, at_ms: int) -> None:
        """How the agent's leg is that Twilio dialled."""
        attempt = course.attempt_of(self.record, Role.RETELL, course.REGISTERED, at_ms)
        course.note(self.record, attempt, status, told, at_ms)
        attempt["sip_call_id"] = attempt["sip_call_id"] or told.sip_call_id or None
        self.changed.set()

    def dial_over(self, told: Told, at_ms: int) -> None:
        """The agent's leg is over; whether the person is there yet says who ended it."""
        self.leg(told, told.dial_status, at_ms)
        self.record.ended_by = "callee" if told.status in FINAL else "caller"
        self.release()

    def release(self) -> None:
        """Nobody talks any more."""
        self.let_go = True
        self.changed.set()

    def heard(self, told: Told, then: Then) -> None:
        """Twilio has found out who answered."""
        self.answered_by, self.then = told.answered_by[:32], then
        heard: dict[str, Any] = {"heard": self.answered_by}
        if told.detection_ms is not None:
            heard["at_ms"] = told.detection_ms
        self._person["amd"] = heard
        self.changed.set()

    def said(self) -> None:
        """The message was said to its end."""
        self.message_left = True
        self._person.setdefault("amd", {})["message_left"] = True
        self.changed.set()

    def refuse(self, refusal: Refusal, words: str, at_ms: int) -> None:
        """No agent can be had."""
        attempt = course.attempt_of(self.record, Role.RETELL, course.REGISTERED, at_ms)
        attempt["reason"], attempt["detail"] = refusal.cause, words
        self.no_agent = refusal

    def stop(self, refusal: Refusal, words: str) -> None:
        """It is to end; the first reason counts."""
        if self.stopped is None:
            self.stopped, self.stop_words = refusal, words
        self.changed.set()

    def came(self, live: LiveCall) -> None:
        """Our SIP side has it: it keeps the record from now on."""
        self.live = live
        self.changed.set()

    # -- how it ended -----------------------------------------------------------------------------

    @property
    def ending(self) -> Ending:
        """By all that is known."""
        if self.stopped is not None:
            return self.stopped.ending(answered=self.answered)
        if not self.answered:
            return self._unanswered()
        if self.then != "agent" and self.who is not None:
            return no_person(self.who).ending(answered=True)
        if self.agent_answered:
            callee = self.record.ended_by == "callee"
            return ANSWERED_BY_CALLEE if callee else ANSWERED_BY_CALLER
        return self._no_agent()

    @property
    def amd(self) -> dict[str, Any] | None:
        """Who answered, for whoever asked for the call."""
        found = self._person.get("amd")
        return None if found is None else dict(found)

    @property
    def words(self) -> str:
        """A sentence for the operator, where there is something to be said of its end."""
        if self.stop_words:
            return self.stop_words
        details = [one["detail"] for one in self.record.attempts if one["detail"]]
        return str(details[-1]) if details else ""

    @property
    def duration_s(self) -> float | None:
        """Since the person's side had answered, in seconds, once it is over."""
        if not self.answered:
            return None
        if self.final is not None and self.final.duration_s is not None:
            return self.final.duration_s
        return between(self.record.answered_ms, self.record.ended_ms)

    @property
    def cost(self) -> float | None:
        """What it has cost so far, or has reserved."""
        return None if self.meter is None else self.meter.cost

    def conclude(self, at_ms: int) -> None:
        """Close the record."""
        record, ending = self.record, self.ending
        record.state = "ended"
        record.ended_ms = record.ended_ms or max(at_ms, record.started_ms)
        record.ended_by, record.cause = ending.by, ending.cause
        record.sip_status, record.fault = ending.sip_status or None, ending.fault.value
        record.duration_s = self.duration_s
        if self.stop_words and not self.answered:
            self._person["reason"] = self._person["reason"] or ending.cause
            self._person["detail"] = self.stop_words

    def note_cost(self) -> None:
        """Keep what it has cost so far."""
        if self.meter is not None:
            self._person["cost_estimate"] = self.record.cost_estimate = self.meter.cost

    def is_news(self, what: str, so: bool) -> bool:
        """Whether that is so and was not told before."""
        if not so or what in self._told:
            return False
        self._told.add(what)
        return True

    @property
    def _person(self) -> dict[str, Any]:
        record = self.record
        return course.attempt_of(record, Role.CARRIER, record.to_number, record.started_ms)

    @property
    def _agent(self) -> dict[str, Any] | None:
        """The leg that Twilio dialled to it; None: none yet, or our own SIP side did."""
        role = Role.RETELL.value
        return next((one for one in self.record.attempts if one["role"] == role), None)

    def _unanswered(self) -> Ending:
        if self.final is None:
            return UNHEARD
        if self.final.status == "canceled":
            return CALLED_OFF
        return dial_refusal(Role.CARRIER, "failed", self._person["code"] or 0, "").ending()

    def _no_agent(self) -> Ending:
        if self.no_agent is not None:
            return self.no_agent.ending(answered=True)
        agent = self._agent
        if agent is None and self.record.retell_call_id is not None and self.live is None:
            return course.NOT_DIALLED
        if agent is None or agent["code"] is None or agent["reason"] == "canceled":
            return ANSWERED_BY_CALLEE
        code = agent["code"]
        return dial_refusal(Role.RETELL, "failed", code, "", registered=True).ending(answered=True)


def new_placed(wish: ToCall, at_ms: int) -> CallRecord:
    """The record of a call that is about to be asked for; its `call_sid` is ours until Twilio has
    told its own."""
    return CallRecord(
        call_id=wish.call_id,
        call_sid=wish.call_id,
        direction=Direction.OUTBOUND.value,
        trunk=TRUNK,
        from_number=wish.from_number,
        to_number=wish.to_number,
        method=wish.agent.method,
        agent=wish.agent.agent,
        started_ms=at_ms,
    )
